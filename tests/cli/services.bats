#!/usr/bin/env bats
# Services: programs that run all the time; what they print are frames.

load setup

# frames N TOPICS: waits for the first N frames of these topics and prints them.
frames() {
    timeout 10 weir cat "$store" -f -T "$2" --limit "$1" >"$dir/frames" || return 1
    grep -v '"topic":"xs.threshold"' "$dir/frames"
}

# service NAME [META] < PROGRAM: defines it and waits until it runs. Its id in $def.
service() {
    def=$(weir append "$store" "xs.service.$1.create" --meta "${2:-null}" | id_of)
    until_ok told "$1" active "$def"
}

# told NAME EVENT ID: the log says so of the definition ID.
told() {
    weir cat "$store" -T "xs.service.$1.$2" | grep -qF "\"service_id\":\"$3\""
}

# texts: contents of the frames on standard input, one a line.
texts() {
    local frame hash
    while read -r frame; do
        hash=$(grep -o '"hash":"[^"]*"' <<<"$frame" | cut -d '"' -f 4) || :
        [ -z "$hash" ] || weir cas "$store" "$hash"
        echo
    done
}

# count TOPICS: how many frames there are.
count() {
    weir cat "$store" -T "$1" | wc -l
}

# millis: of the clock.
millis() {
    date +%s%3N
}

@test "every line is a frame, in order, the last one without newline too" {
    start
    service n '{"restart":"never","return_options":{"target":"meta","suffix":".line"}}' <<'END'
#!/bin/sh
seq -f '{"n":%.0f}' 2000
printf '{"n":2001}'
END
    frames 1 xs.service.n.fin.ok
    weir cat "$store" -T n.line | grep -o '"n":[0-9]*' | cut -d : -f 2 | cmp - <(seq 2001)
    [ "$(weir cat "$store" -T n.line | grep -cF "\"service_id\":\"$def\",\"source_id\":\"$def\"")" = 2001 ]
}

@test "a clean end: a second later it is active again, and no end is told" {
    start
    service a <<<'echo hi'
    frames 2 a.recv | texts >out
    [ "$(paste -s -d ' ' out)" = "hi hi" ]
    weir cat "$store" -T 'xs.service.a.*,a.*' --with-timestamp >all
    [ "$(topics_of <all)" = "a.recv a.recv" ]
    [ "$(grep -c 'service.a.active' all)" = 2 ]
    lacks 'fin\|stopped\|retry' all
    first=$(grep -m 1 '"topic":"a.recv"' all | grep -o '"timestamp":"[^"]*"' | cut -d '"' -f 4)
    again=$(grep 'service.a.active' all | tail -n 1 | grep -o '"timestamp":"[^"]*"' | cut -d '"' -f 4)
    (($(date -d "$again" +%s%3N) - $(date -d "$first" +%s%3N) >= 990))
}

@test "term in the pause acts at once; a new definition starts it again" {
    start
    service a <<<'echo hi'
    frames 1 a.recv
    before=$(millis)
    add xs.service.a.term >/dev/null
    frames 1 xs.service.a.fin.term | grep -qF "\"service_id\":\"$def\""
    (($(millis) - before < 800))
    service a <<<'echo ho; exec sleep 60'
    frames 2 a.recv | texts >out
    [ "$(paste -s -d ' ' out)" = "hi ho" ]
    [ "$(count xs.service.a.active)" = 2 ]
}

@test "term ends it at any time; what it prints on the way out comes before its end" {
    start
    service a <<'END'
#!/bin/sh
trap 'echo bye; exit 0' TERM
echo up
while :; do sleep 0.01; done
END
    frames 1 a.recv
    add xs.service.a.term >/dev/null
    frames 1 xs.service.a.fin.term
    weir cat "$store" | grep -o '"topic":"[^"]*' | cut -d '"' -f 4 | tail -n 2 >out
    printf 'a.recv\nxs.service.a.fin.term\n' | cmp - out
}

@test "a program that does not heed SIGTERM is killed" {
    start
    service a <<'END'
#!/bin/sh
trap '' TERM
echo $$
while :; do sleep 0.1; done
END
    pid=$(frames 1 a.recv | texts)
    kill -0 "$pid"
    add xs.service.a.term >/dev/null
    frames 1 xs.service.a.fin.term
    ! kill -0 "$pid" 2>/dev/null || false
}

@test "a broken definition is invalid, says why, and never runs" {
    start
    weir append "$store" xs.service.a.create --content '#!/no/such/program' >/dev/null
    weir append "$store" xs.service.b.create --meta '{"duplex":"yes"}' --content 'echo' >/dev/null
    frames 2 'xs.service.a.invalid,xs.service.b.invalid' >out
    grep -q '/no/such/program' out
    grep -qF '\"duplex\": \"yes\" is not true or false' out
    [ "$(count 'xs.service.a.active,xs.service.b.active')" = 0 ]
}

@test "duplex: contents are its input as they are, and its output is not" {
    start
    add echo.send --content early >/dev/null
    service echo '{"duplex":true}' <<<'while read -r line; do echo "<$line>"; done'
    weir append "$store" echo.send --content $'henry\n' >/dev/null
    add echo.send >/dev/null
    weir append "$store" echo.send --content 'in ' >/dev/null
    weir append "$store" echo.send --content $'parts\n' >/dev/null
    frames 2 echo.recv | texts >out
    [ "$(paste -s -d ' ' out)" = "<henry> <in parts>" ]
}

@test "duplex: what it prints itself to NAME.send is not its input" {
    start
    service loop '{"duplex":true}' <<'END'
#!/bin/sh
while read -r line; do
    printf '%s\n' '{"topic":"loop.send","content":"mine\n"}'
    weir append loop.send --content 'mine
' >/dev/null
    echo "<$line>"
done
END
    for word in a b; do
        weir append "$store" loop.send --content "$word"$'\n' >/dev/null
    done
    frames 2 loop.recv | texts | paste -s -d ' ' >out
    [ "$(<out)" = "<a> <b>" ]
    frames 6 loop.send | grep -c '"origin":"service/loop"' | grep -qx 4
}

@test "duplex and binary: any bytes, large contents too" {
    start
    service copy '{"duplex":true,"binary":true}' <<<'exec cat'
    head -c 3000000 /dev/urandom >x
    weir append "$store" copy.send <x >/dev/null
    printf 'a\0\xff\nb' | weir append "$store" copy.send >/dev/null
    cat x >expected
    printf 'a\0\xff\nb' >>expected
    all_there() {
        weir cat "$store" -T copy.recv | grep -o '"hash":"[^"]*"' | cut -d '"' -f 4 |
            while read -r hash; do weir cas "$store" "$hash"; done | cmp - expected
    }
    until_ok all_there
}

@test "what a run did not read the next one gets, and nothing comes twice" {
    start
    service one '{"duplex":true,"restart":{"backoff_ms":1}}' <<<'read -r line && echo "$$ $line"'
    seq 5 | weir append "$store" one.send >/dev/null
    for n in 6 7 8; do echo "$n" | weir append "$store" one.send >/dev/null; done
    frames 8 one.recv | texts >out
    cut -d ' ' -f 2 out | cmp - <(seq 8)
    [ "$(cut -d ' ' -f 1 out | sort -u | wc -l)" = 8 ]
}

@test "a failure is told with its exit code and last lines of stderr, and is the end" {
    start
    service a <<'END'
#!/bin/sh
echo one
echo "no such thing" >&2
exit 3
END
    frames 1 xs.service.a.fin.error >out
    grep -F '"exit_code":3' out | grep -F '"stderr":"no such thing"' | grep -F "\"source_id\":\"$def\"" | grep -q '"error":"'
    [ "$(count a.recv)" = 1 ]
    service b <<<'kill -KILL $$'
    frames 1 xs.service.b.fin.error | grep -qF '"signal":9'
    stop
    start
    service c <<<'echo up; exec sleep 60'
    frames 1 c.recv
    [ "$(count 'xs.service.a.active,xs.service.b.active')" = 2 ]
}

@test "a program that came to its limit of memory is told so" {
    start
    printf '#!/usr/bin/env python3\nprint(len(bytearray(500 << 20)))\n' |
        weir append "$store" xs.service.big.create --meta '{"limits":{"memory":"100M"}}' >/dev/null
    until_ok weir last "$store" xs.service.big.fin.error
    # By a control group: its memory came to its limit; by address space: MemoryError.
    weir last "$store" xs.service.big.fin.error | grep -qi memory
}

@test "restart always: retries with growing waits, then the end" {
    start
    service a '{"restart":{"policy":"always","backoff_ms":20,"max_backoff_ms":50,"max":3}}' <<<'exit 7'
    frames 1 xs.service.a.fin.error | grep -qF '"exit_code":7'
    weir cat "$store" -T xs.service.a.retry >out
    grep -o '"attempt":[0-9]*,"next_ms":[0-9]*' out | tr -dc '0-9,\n' | paste -s -d ' ' >waits
    [ "$(<waits)" = "1,20 2,40 3,50" ]
    [ "$(grep -c '"ttl":"last:20"' out)" = 3 ]
    [ "$(count xs.service.a.active)" = 4 ]
}

@test "restart on-failure: tried until it ends well" {
    start
    service a '{"restart":{"policy":"on-failure","backoff_ms":5}}' <<'END'
#!/bin/sh
echo x >>runs
echo "run $(wc -l <runs)"
[ "$(wc -l <runs)" -ge 3 ]
END
    frames 1 xs.service.a.fin.ok
    weir cat "$store" -T a.recv | texts >out
    [ "$(paste -s -d , out)" = "run 1,run 2,run 3" ]
    [ "$(count xs.service.a.retry)" = 2 ]
}

@test "another definition replaces it; a broken one does not" {
    start
    service a <<<'echo old; exec sleep 60'
    old=$def
    frames 1 a.recv
    weir append "$store" xs.service.a.create --content '#!/no/such/program' >/dev/null
    frames 1 xs.service.a.invalid
    service a <<<'echo new; exec sleep 60'
    frames 1 xs.service.a.replaced >out
    grep -F "\"source_id\":\"$old\"" out | grep -qF "\"update_id\":\"$def\""
    frames 2 a.recv | texts | paste -s -d ' ' >out
    [ "$(<out)" = "old new" ]
    weir cat "$store" -T a.recv | tail -n 1 | grep -qF "\"service_id\":\"$def\""
}

@test "of two services one is ended, the other answers on" {
    start
    for name in a b; do
        service $name '{"duplex":true}' <<<'while read -r line; do echo "$line"; done'
    done
    add xs.service.a.term >/dev/null
    frames 1 xs.service.a.fin.term
    weir append "$store" b.send --content $'there\n' >/dev/null
    [ "$(frames 1 b.recv | texts)" = there ]
}

@test "seed words: spawn, start, stop with its reason" {
    start
    weir append "$store" a.spawn --content 'no program' >/dev/null
    id=$(weir append "$store" a.spawn --content $'#!/bin/sh\necho hi; exec sleep 60' | id_of)
    frames 1 a.start | grep -qF "\"service_id\":\"$id\""
    [ "$(frames 1 a.recv | texts)" = hi ]
    add a.terminate >/dev/null
    frames 1 a.stop >out
    grep -F '"reason":"term"' out | grep -qF "\"service_id\":\"$id\""
    lacks source_id out
}

@test "lines that are frames; malformed ones are errors that name the line" {
    start
    service a '{"return_options":{"ttl":"last:9"}}' <<'END'
#!/usr/bin/env python3
import base64, json, time
print(json.dumps({"topic": "other", "meta": {"k": "ä"}, "content": "x\ny", "ttl": "forever"}))
print(json.dumps({"content_base64": base64.b64encode(b"\xff\x00").decode()}))
print(json.dumps({"level": "info"}))
print(json.dumps({"topic": "not a topic"}))
print("x" * (1 << 20) + "y")
print("", flush=True)
time.sleep(60)
END
    frames 6 'other,a.*' >all
    grep '"topic":"other"' all | grep -F '"k":"' | grep -qF '"ttl":"forever"'
    [ "$(grep '"topic":"other"' all | texts)" = $'x\ny' ]
    grep '"topic":"a.recv"' all >recv
    [ "$(wc -l <recv)" = 3 ]
    [ "$(grep -c '"ttl":"last:9"' recv)" = 3 ]
    [ "$(sed -n 1p recv | texts | od -An -tx1 | tr -d ' \n')" = ff000a ]
    [ "$(sed -n 2p recv | texts)" = '{"level": "info"}' ]
    sed -n 3p recv | grep -qF '"hash":null'
    grep '"topic":"a.error"' all | grep -qF 'line 4: topic'
    grep '"topic":"a.error"' all | grep -qF 'line 5: the line is longer than'
}

@test "it runs on after a restart of the daemon, which is told as stopped" {
    start
    service a <<<'echo up; exec sleep 60'
    frames 1 a.recv
    stop
    start
    frames 2 a.recv
    weir cat "$store" -T 'xs.service.a.*' | grep -o 'service\.a\.[a-z]*' | paste -s -d ' ' >out
    [ "$(<out)" = "service.a.create service.a.active service.a.stopped service.a.active" ]
}
