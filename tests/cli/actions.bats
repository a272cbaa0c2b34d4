#!/usr/bin/env bats
# Actions: programs that are run once for each call, and answer it with one frame.

load setup

# frames N TOPICS: waits for the first N frames of these topics and prints them.
frames() {
    timeout 10 weir cat "$store" -f -T "$2" --limit "$1" >"$dir/frames" || return 1
    grep -v '"topic":"xs.threshold"' "$dir/frames"
}

# action NAME [META] < PROGRAM: defines it and waits until it is told active. Its id in $def.
action() {
    def=$(weir append "$store" "xs.action.$1.create" --meta "${2:-null}" | id_of)
    until_ok told "$1" active "$def"
}

# told NAME EVENT ID: the log says so of the definition ID.
told() {
    weir cat "$store" -T "xs.action.$1.$2" | grep -qF "\"action_id\":\"$3\""
}

# answer ID [TOPIC...]: waits for the frame that answers the call ID, prints it, and fails if there are two.
answer() {
    until_ok answered "$1"
    weir cat "$store" | grep -F "\"frame_id\":\"$1\"" >"$dir/answer"
    [ "$(wc -l <"$dir/answer")" = 1 ]
    cat "$dir/answer"
}

answered() {
    weir cat "$store" | grep -qF "\"frame_id\":\"$1\""
}

# text: the content of the frame on standard input.
text() {
    weir cas "$store" "$(grep -o '"hash":"[^"]*"' | cut -d '"' -f 4)"
}

# call NAME [OPTION...]: prints the call's id.
call() {
    local name=$1
    shift
    weir append "$store" "$name.call" "$@" | id_of
}

@test "a call has content, arguments and environment, and one response that points at both" {
    start
    action a <<'END'
#!/bin/sh
echo "in: $(cat)"
echo "args: $# $1|$2|$WEIR_ARGS"
echo "$WEIR_KIND $WEIR_NAME $WEIR_TOPIC $WEIR_FRAME_ID $WEIR_ID"
echo "$WEIR_META"
[ "$WEIR_FRAME" = "$(cat "$WEIR_FRAME_FILE")" ] && echo same
END
    id=$(call a --content $'some\ntext' --meta '{"args":["x","two words"],"k":1}')
    answer "$id" >out
    grep -F '"topic":"a.response"' out | grep -qF "\"action_id\":\"$def\",\"frame_id\":\"$id\""
    text <out >got
    cat >expected <<END
in: some
text
args: 2 x|two words|["x","two words"]
action a a.call $id $def
{"args":["x","two words"],"k":1}
same
END
    cmp got expected
    [ "$(find s/run -name 'call-*' | wc -l)" = 0 ]
}

@test "a failing call is an error with exit code, signal and stderr; the next one is answered" {
    start
    action a <<'END'
#!/bin/sh
echo thrown away
case $1 in
bad) echo "cannot do it" >&2; exit 4 ;;
kill) kill -KILL $$ ;;
esac
END
    answer "$(call a --meta '{"args":["bad"]}' --no-content)" >out
    grep '"topic":"a.error"' out | grep -F '"exit_code":4' | grep -qF '"stderr":"cannot do it"'
    answer "$(call a --meta '{"args":["kill"]}' --no-content)" | grep -qF '"signal":9'
    [ "$(answer "$(call a --no-content)" | text)" = 'thrown away' ]
}

@test "a call that takes too long is ended, with all it started" {
    start
    action a '{"timeout_ms":100}' <<<'sleep 61.5 & echo $! >pid; wait'
    answer "$(call a --no-content)" >out
    grep '"topic":"a.error"' out | grep -q 'timed out'
    ! kill -0 "$(cat s/run/*/pid)" 2>/dev/null || false
}

@test "calls run side by side, as many as concurrency allows" {
    start
    action a '{"concurrency":3}' <<'END'
#!/bin/sh
: >"at.$1"
while [ "$(ls at.* | wc -l)" -lt 3 ]; do sleep 0.01; done
END
    for n in 1 2 3; do call a --no-content --meta "{\"args\":[\"$n\"]}" >/dev/null; done
    frames 3 a.response
    action b '{"concurrency":1}' <<'END'
#!/bin/sh
mkdir busy || exit 1
echo "$1" >>order
sleep 0.05
rmdir busy
END
    for n in 1 2 3 4 5 6; do echo "{\"topic\":\"b.call\",\"meta\":{\"args\":[\"$n\"]}}"; done |
        weir append "$store" --batch >calls
    frames 6 b.response,b.error | lacks '"b.error"'
    [ "$(cat s/run/*/order | paste -s -d ' ')" = "1 2 3 4 5 6" ]
}

@test "large contents go in and out byte for byte" {
    start
    action a <<<'exec cat'
    head -c 5000000 /dev/urandom >x
    answer "$(call a <x)" | text | cmp - x
    printf 'a\0\xff\n\n' >y
    answer "$(call a <y)" | text | cmp - y
    [ "$(answer "$(call a --no-content)" | grep -c '"hash":null')" = 1 ]
}

@test "a program that does not read its input is no failure" {
    start
    action a <<<'exec <&-; echo done'
    head -c 3000000 /dev/zero >x
    [ "$(answer "$(call a <x)" | text)" = 'done' ]
}

@test "an output that is too large is an error" {
    start
    action a <<<'exec head -c 70000000 /dev/zero'
    answer "$(call a --no-content)" | grep '"topic":"a.error"' | grep -q 'larger than 64 MiB'
}

@test "a line that is a frame is the response; target meta; output frames" {
    start
    action a <<'END'
#!/usr/bin/env python3
import json, os, sys
kind = sys.argv[1]
if kind == "frame":
    print(json.dumps({"content": "x", "meta": {"n": 1}, "ttl": "last:5", "frame_id": os.environ["WEIR_ID"]}))
elif kind == "two":
    print('{"content":"x"}\n{"content":"y"}')
elif kind == "bad":
    print('{"content":5}')
END
    answer "$(call a --no-content --meta '{"args":["frame"]}')" >out
    grep '"topic":"a.response"' out | grep -F '"n":1' | grep -qF '"ttl":"last:5"'
    [ "$(text <out)" = x ]
    [ "$(answer "$(call a --no-content --meta '{"args":["two"]}')" | text | wc -l)" = 2 ]
    answer "$(call a --no-content --meta '{"args":["bad"]}')" | grep '"topic":"a.error"' | grep -q 'must be a string'
    action m '{"return_options":{"target":"meta","suffix":".answer"}}' <<<"cat"
    answer "$(call m --content $'{\n "a": 1.50\n}')" | grep '"topic":"m.answer"' | grep -qF '"a":1.50'
    answer "$(call m --content '5')" | grep '"topic":"m.error"' | grep -q 'must be a JSON object'
    action f '{"output":"frames"}' <<<"cat"
    answer "$(call f --content '5')" | grep '"topic":"f.error"' | grep -q 'one line that is a frame'
}

@test "only live calls are run, and by the newest definition" {
    start
    call a --content old >/dev/null
    action a <<<'echo one'
    [ "$(answer "$(call a --no-content)" | text)" = one ]
    weir append "$store" xs.action.a.create --content '#!/no/such/program' >/dev/null
    frames 1 xs.action.a.invalid
    [ "$(answer "$(call a --no-content)" | text)" = one ]
    action a <<<'echo two'
    [ "$(answer "$(call a --no-content)" | text)" = two ]
    stop
    start
    frames 3 xs.action.a.active
    [ "$(answer "$(call a --no-content)" | text)" = two ]
    [ "$(weir cat "$store" -T a.response | wc -l)" = 4 ]
}

@test "a call of nothing, and one after term, is an error" {
    start
    answer "$(call nothing --no-content)" | grep -q '"topic":"nothing.error"'
    action a <<<'echo one'
    add xs.action.a.term >/dev/null
    frames 1 xs.action.a.fin.term
    answer "$(call a --no-content)" | grep -q '"topic":"a.error"'
}

@test "term answers every call: those that run, those that wait, those that were too many" {
    start
    action a '{"concurrency":1}' <<<'exec sleep 62.5'
    for n in $(seq 1005); do echo '{"topic":"a.call"}'; done | weir append "$store" --batch >calls
    until_ok told_too_many
    add xs.action.a.term >/dev/null
    frames 1 xs.action.a.fin.term
    weir cat "$store" -T a.error >errors
    [ "$(wc -l <errors)" = 1005 ]
    [ "$(grep -c 'too many calls' errors)" = 4 ]
    [ "$(grep -c '"error":"stopped"' errors)" = 1001 ]
    [ "$(grep -o '"frame_id":"[^"]*' errors | sort -u | wc -l)" = 1005 ]
}

told_too_many() {
    [ "$(weir cat "$store" -T a.error | grep -c 'too many calls')" = 4 ]
}

@test "the end of the daemon answers the calls that run" {
    start
    action a <<<'echo >started; exec sleep 63.5'
    id=$(call a --no-content)
    until_ok test -e s/run/"$def"/started
    stop
    start
    answer "$id" | grep '"topic":"a.error"' | grep -qF '"error":"stopped"'
}

# crash: ends the daemon as a power cut would.
crash() {
    kill -9 "$daemon"
    wait "$daemon" || :
}

@test "what a killed daemon left is answered, not run again, and its files go" {
    start
    call a --no-content >old # older than the definition: an error, as there is no action
    answer "$(cat old)" | grep -qF 'no action a is defined'
    action a '{"concurrency":2}' <<<'echo run >>runs; [ "$1" = fast ] || exec sleep 64.5'
    call a --meta '{"args":["fast"]}' --no-content >calls
    answer "$(cat calls)" | grep -qF '"topic":"a.response"'
    for n in 1 2 3 4; do call a --no-content >>calls; done
    until_ok has_lines 3 s/run/"$def"/runs
    [ "$(find s/run -name 'call-*' | wc -l)" = 2 ]
    crash
    start
    until_ok owed_were 4
    [ "$(find s/run -name 'call-*' | wc -l)" = 0 ]
    crash
    start # once more: nothing is answered twice
    frames 3 xs.action.a.active
    [ "$(answer "$(call a --meta '{"args":["fast"]}' --no-content)" | grep -c '"topic":"a.response"')" = 1 ]
    weir cat "$store" -T a.error,a.response >answers
    while read -r id; do [ "$(grep -cF "\"frame_id\":\"$id\"" answers)" = 1 ]; done < <(cat calls old)
    [ "$(wc -l <answers)" = 7 ]
    has_lines 4 s/run/"$def"/runs
}

has_lines() {
    [ "$(wc -l <"$2")" = "$1" ]
}

# owed_were N: so many calls were answered for a daemon that ended.
owed_were() {
    [ "$(weir cat "$store" -T a.error | grep -cF '"error":"the daemon ended before this call did"')" = "$1" ]
}

@test "a call is answered once however often the daemon is killed while calls come and go" {
    start
    action a '{"concurrency":3}' <<<'echo "$WEIR_FRAME_ID" >>ran; [ "$1" != slow ] || exec sleep 0.05'
    for round in 1 2 3 4 5; do
        for n in $(seq 40); do
            echo '{"topic":"a.call"}'
            echo '{"topic":"a.call","meta":{"args":["slow"]}}'
        done | weir append "$store" --batch >/dev/null
        until_ok has_answers $((round * 80 - 60))
        crash
        start
    done
    until_ok has_answers 400
    weir cat "$store" -T a.call | id_all | sort >calls
    weir cat "$store" -T a.error,a.response | grep -o '"frame_id":"[^"]*' | cut -d '"' -f 4 | sort >answers
    cmp calls answers
    [ "$(wc -l <calls)" = 400 ]
    sort s/run/"$def"/ran | uniq -d | lacks .
    weir cat "$store" -T a.error | lacks '"error":"[^t]'
}

has_answers() {
    [ "$(weir cat "$store" -T a.error,a.response | wc -l)" -ge "$1" ]
}

id_all() {
    grep -o '"id":"[0-9a-z]*"' | cut -d '"' -f 4
}

@test "calls between definitions that follow each other at once are answered once each" {
    start
    for n in 1 2 3 4 5 6; do
        printf '{"topic":"xs.action.a.create","content":"#!/bin/sh\\necho %d"}\n' "$n"
        echo '{"topic":"a.call"}'
    done | weir append "$store" --batch >/dev/null
    until_ok has_answers 6
    weir cat "$store" -T a.call | id_all >calls
    [ "$(answer "$(call a --no-content)" | text)" = 6 ]
    [ "$(wc -l <calls)" = 6 ]
    mapfile -t ids <calls
    for id in "${ids[@]}"; do answer "$id" >>answers; done
    [ "$(answer "$(tail -n 1 calls)" | text)" = 6 ]
    grep -F '"a.error"' answers | lacks '"error":"[^st]'
}

@test "a new definition does not answer for the time when there was none" {
    start
    action a <<<'echo one'
    answer "$(call a --no-content)" | grep -qF '"topic":"a.response"'
    add xs.action.a.term >/dev/null
    frames 1 xs.action.a.fin.term
    id=$(call a --no-content)
    answer "$id" | grep -qF 'no action a is defined'
    crash
    start
    action a <<<'exec sleep 66.5'
    running=$(call a --no-content)
    until_ok test -e s/run/"$def"/call-"$running".json
    weir append "$store" xs.action.a.create --content $'#!/bin/sh\necho two' >/dev/null
    answer "$running" | grep -qF '"error":"stopped"'
    crash
    start
    [ "$(answer "$(call a --no-content)" | text)" = two ]
    answer "$id" | grep -qF 'no action a is defined'
    answer "$running" | grep -qF '"error":"stopped"'
    [ "$(weir cat "$store" -T a.error,a.response | wc -l)" = 4 ]
}

@test "seed words: define, ready, undefine" {
    start
    id=$(weir append "$store" a.define --content $'#!/bin/sh\necho "$WEIR_ADDR" >/dev/null; weir append side --content x >/dev/null; echo ok' | id_of)
    frames 1 a.ready | grep -qF "\"action_id\":\"$id\""
    [ "$(answer "$(call a --no-content)" | text)" = ok ]
    frames 1 side | grep -qF '"origin":"action/a"'
    add a.undefine >/dev/null
    frames 1 a.undefined | grep -qF '"reason":"term"'
}
