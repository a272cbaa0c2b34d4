#!/usr/bin/env bats
# Handlers: programs that are given frames and answer with frames.

load setup

# define NAME [META] < PROGRAM: in the newer words; waits until it runs. Its id in $def.
define() {
    def=$(weir append "$store" "xs.actor.$1.create" --meta "${2:-null}" | id_of)
    until_ok is_active "$1"
}

# is_active NAME: the definition in $def was answered.
is_active() {
    weir cat "$store" -T "xs.actor.$1.active,$1.registered" | grep -qF "\"$def\""
}

# count TOPIC: how many frames there are.
count() {
    weir cat "$store" -T "$1" | wc -l
}

# has N TOPIC: so many, at least.
has() {
    (($(count "$2") >= $1))
}

# texts TOPIC: contents of its frames, one a line.
texts() {
    weir cat "$store" -T "$1" | while read -r frame; do
        hash=$(grep -o '"hash":"[^"]*"' <<<"$frame" | cut -d '"' -f 4)
        [ -z "$hash" ] || weir cas "$store" "$hash"
        echo
    done
}

# ended NAME: the last word on it is an end.
ended() {
    weir cat "$store" -T "xs.actor.$1.*" | tail -n 1 | grep -q '\.fin\.'
}

ponger='#!/bin/sh
while read -r line; do
    case $line in
    *"\"topic\":\"ping\""*) echo pong ;;
    esac
done'

@test "a handler answers its trigger and nothing else; the answer points at both" {
    start
    define ponger <<<"$ponger"
    add noise
    ping=$(add ping)
    until_ok has 1 ponger.out
    add noise
    add ping2
    last=$(add ping)
    until_ok has 2 ponger.out
    [ "$(texts ponger.out | paste -s -d ' ')" = "pong pong" ]
    weir cat "$store" -T ponger.out >out
    grep -F "\"frame_id\":\"$ping\"" out | grep -F "\"actor_id\":\"$def\"" | grep -qF "\"handler_id\":\"$def\""
    grep -qF "\"frame_id\":\"$last\"" out
    grep -qF '"origin":"handler/ponger"' out
}

@test "seed words: NAME.register, answers in the same words, run-from start" {
    start
    ping=$(add ping)
    def=$(weir append "$store" ponger.register --meta '{"run-from":"start"}' <<<"$ponger" | id_of)
    until_ok has 1 ponger.out
    is_active ponger
    weir cat "$store" -T ponger.out >out
    grep -F "\"frame_id\":\"$ping\"" out | grep -qF "\"handler_id\":\"$def\""
    lacks actor_id out
    add ponger.unregister
    until_ok has 1 ponger.unregistered
    weir cat "$store" -T ponger.unregistered | grep -qF '"reason":"term"'
    add ping
    stop
    start
    [ "$(count ponger.out)" -eq 1 ]
}

@test "a counting handler keeps its count; noise does not change it" {
    start
    define counter '{"topics":"tick"}' <<'END'
#!/bin/sh
n=0
while read -r line; do
    echo "$n"
    n=$((n + 1))
done
END
    for _ in 1 2 3; do
        add noise
        add tick
    done
    until_ok has 3 counter.out
    [ "$(texts counter.out | paste -s -d ' ')" = "0 1 2" ]
}

@test "topics: exact names and prefixes, a list too" {
    start
    define some '{"topics":["a","b.*"],"output":"raw"}' <<<'#!/bin/sh
exec sed -u "s/.*\"topic\":\"\([^\"]*\)\".*/\1/"'
    for topic in a ab b b.c b.c.d c.b a; do add "$topic"; done
    until_ok has 4 some.out
    [ "$(texts some.out | paste -s -d ' ')" = "a b.c b.c.d a" ]
}

@test "on_error stop: fin.error says frame, exit code and stderr; nothing is handled after it" {
    start
    define fragile '{"on_error":"stop","topics":"bad,good"}' <<'END'
#!/bin/sh
while read -r line; do
    case $line in
    *'"topic":"bad"'*) echo "cannot bear it" >&2; exit 3 ;;
    esac
    echo fine
done
END
    add good
    until_ok has 1 fragile.out
    bad=$(add bad)
    until_ok ended fragile
    weir cat "$store" -T xs.actor.fragile.fin.error >out
    grep -F "\"actor_id\":\"$def\"" out | grep -F "\"frame_id\":\"$bad\"" | grep -F '"exit_code":3' |
        grep -qF 'cannot bear it'
    add good
    stop
    start
    add good
    [ "$(count fragile.out)" -eq 1 ]
}

@test "a handler that ends itself with a last output: the output, then fin.ok" {
    start
    define once '{"topics":"go"}' <<<'#!/bin/sh
read -r line && printf "the last word"'
    add go
    until_ok ended once
    [ "$(texts once.out)" = "the last word" ]
    weir cat "$store" -T 'once.out,xs.actor.once.*' | topics_of >order
    [ "$(weir cat "$store" -T 'once.out,xs.actor.once.*' | grep -o '"topic":"[^"]*"' | cut -d '"' -f 4 | paste -s -d ' ')" = \
        "xs.actor.once.create xs.actor.once.active once.out xs.actor.once.fin.ok" ]
}

@test "on_error skip, a stream: an error frame, and it goes on behind the frame" {
    start
    define fragile '{"topics":"t"}' <<<'#!/bin/sh
while read -r line; do
    case $line in *crash*) kill -9 $$ ;; esac
    echo fine
done'
    bad=$(add t --meta '"crash"')
    until_ok has 1 fragile.error
    weir cat "$store" -T fragile.error >out
    grep -F "\"frame_id\":\"$bad\"" out | grep -F '"signal":9' | grep -qF "\"handler_id\":\"$def\""
    add t
    until_ok has 1 fragile.out
    [ "$(count fragile.error)" -eq 1 ]
    [ "$(count xs.actor.fragile.active)" -eq 1 ]
}

@test "each: content on stdin, the frame in the environment, one answer a frame" {
    start
    define shout '{"mode":"each","topics":"say","output":"raw"}' <<'END'
#!/bin/sh
tr a-z A-Z
echo
echo "$WEIR_TOPIC $WEIR_FRAME_ID $WEIR_META $WEIR_ATTEMPT"
printf '%s' "$WEIR_FRAME" | cmp - "$WEIR_FRAME_FILE" && echo same
END
    id=$(weir append "$store" say --meta '{"to":"all"}' --content 'hello there' | id_of)
    until_ok has 3 shout.out
    texts shout.out >out
    [ "$(paste -s -d '|' out)" = "HELLO THERE|say $id {\"to\":\"all\"} 1|same" ]
    [ "$(weir cat "$store" -T shout.out | grep -cF "\"frame_id\":\"$id\"")" -eq 3 ]
}

@test "each: large content on stdin, a large frame only in the file" {
    start
    define sum '{"mode":"each","topics":"big","output":"raw"}' <<'END'
#!/bin/sh
echo "$(sha256sum | cut -c 1-64) $(wc -c <"$WEIR_FRAME_FILE") ${WEIR_FRAME-unset} ${WEIR_META-unset}"
END
    head -c 3000000 /dev/urandom >blob
    meta="{\"k\":\"$(head -c 70000 /dev/zero | tr '\0' x)\"}"
    weir append "$store" big --meta "$meta" <blob >frame
    until_ok has 1 sum.out
    texts sum.out >out
    [ "$(cut -d ' ' -f 1 out)" = "$(sha256sum blob | cut -c 1-64)" ]
    [ "$(cut -d ' ' -f 3- out)" = "unset unset" ]
    (($(cut -d ' ' -f 2 out) > 70000))
}

@test "each: what a failing run printed is thrown away, with an error frame" {
    start
    define half '{"mode":"each","topics":"t"}' <<'END'
#!/bin/sh
echo one
[ "$WEIR_META" = '"bad"' ] && { echo why >&2; exit 7; }
echo two
END
    bad=$(add t --meta '"bad"')
    add t
    until_ok has 2 half.out
    [ "$(texts half.out | paste -s -d ' ')" = "one two" ]
    weir cat "$store" -T half.error >out
    grep -F "\"frame_id\":\"$bad\"" out | grep -F '"exit_code":7' | grep -qF '"stderr":"why"'
    [ "$(wc -l <out)" -eq 1 ]
}

@test "each: timeout_ms ends a run" {
    start
    define slow '{"mode":"each","topics":"t","timeout_ms":200}' <<<'#!/bin/sh
[ "$WEIR_META" = null ] || sleep 1000
echo done'
    add t --meta 1
    add t
    until_ok has 1 slow.out
    weir cat "$store" -T slow.error | grep -q 'time'
}

@test "each: retry with attempts, then the frame is skipped" {
    start
    define again '{"mode":"each","topics":"t","on_error":{"retry":{"times":2,"backoff_ms":10}}}' <<'END'
#!/bin/sh
echo "$WEIR_META attempt $WEIR_ATTEMPT"
[ "$WEIR_META" = 1 ] && exit 1
[ "$WEIR_META" = 2 ] && [ "$WEIR_ATTEMPT" -lt 3 ] && exit 1
exit 0
END
    bad=$(add t --meta 1)
    add t --meta 2
    add t --meta 3
    until_ok has 2 again.out
    [ "$(texts again.out | paste -s -d '|')" = "2 attempt 3|3 attempt 1" ]
    weir cat "$store" -T again.error >out
    [ "$(wc -l <out)" -eq 1 ]
    grep -F "\"frame_id\":\"$bad\"" out | grep -qF '"attempt":3'
    [ "$(count xs.actor.again.retry)" -eq 4 ]
}

@test "each with on_error stop ends at the frame" {
    start
    define strict '{"mode":"each","topics":"t","on_error":"stop"}' <<<'#!/bin/sh
echo "$WEIR_META"; [ "$WEIR_META" != 2 ]'
    for n in 1 2 3; do add t --meta "$n"; done
    until_ok ended strict
    [ "$(texts strict.out)" = 1 ]
    weir cat "$store" -T xs.actor.strict.fin.error | grep -qF '"exit_code":1'
}

@test "resume: frames appended while the daemon is down are handled once, after it starts" {
    start
    define each1 '{"mode":"each","topics":"t","start":"resume"}' <<<'#!/bin/sh
echo "$WEIR_META"'
    add t --meta 1
    until_ok has 1 each1.out
    stop
    start "$store"
    for n in 2 3 4; do add t --meta "$n"; done
    until_ok has 4 each1.out
    stop
    start
    add t --meta 5
    until_ok has 5 each1.out
    [ "$(texts each1.out | paste -s -d ' ')" = "1 2 3 4 5" ]
}

@test "resume: nothing is missed between the definition and a stop before it answered anything" {
    start
    define quiet '{"mode":"each","topics":"t","start":"resume","on_error":{"retry":{"times":50,"backoff_ms":20}}}' <<<'#!/bin/sh
[ -e ../../go ] && echo "$WEIR_META"'
    add t --meta 1
    until_ok has 1 xs.actor.quiet.retry
    stop
    touch "$store/go"
    start
    until_ok has 1 quiet.out
    [ "$(texts quiet.out)" = 1 ]
}

# Answers each frame with its meta; acknowledges every second one.
acker='#!/bin/sh
n=0
while read -r line; do
    case $line in "{\"topic\":\"t\","*) ;; *) continue ;; esac
    id=${line#*\"id\":\"} id=${id%%\"*}
    meta=${line#*\"meta\":} meta=${meta%%,*}
    echo "{\"content\":\"$meta\",\"frame_id\":\"$id\"}"
    n=$((n + 1))
    [ $((n % 2)) -eq 1 ] || echo "{\"ack\":\"$id\"}"
done'

@test "resume, a stream: lines wait for their ack, and come once" {
    start
    define held '{"topics":"t","start":"resume"}' <<<"$acker"
    for n in 1 2 3; do add t --meta "$n"; done
    until_ok has 2 held.out
    stop
    start
    [ "$(texts held.out | paste -s -d ' ')" = "1 2" ]
    add t --meta 4
    until_ok has 4 held.out
    [ "$(texts held.out | paste -s -d ' ')" = "1 2 3 4" ]
    weir cat "$store" -T t,held.out >out
    for n in 1 2 3 4; do
        id=$(grep '"topic":"t"' out | sed -n "${n}p" | id_of)
        [ "$(grep '"topic":"held.out"' out | grep -cF "\"frame_id\":\"$id\"")" -eq 1 ]
    done
}

@test "resume: the place survives a new definition" {
    start
    define moved '{"topics":"t","start":"resume"}' <<<"$acker"
    add t --meta 1
    add t --meta 2
    add t --meta 3
    until_ok has 2 moved.out
    define moved '{"mode":"each","topics":"t","start":"resume"}' <<<'#!/bin/sh
echo "new $WEIR_META"'
    until_ok has 3 moved.out
    [ "$(texts moved.out | paste -s -d ' ')" = "1 2 new 3" ]
}

@test "acks of frames that were not given are refused" {
    start
    define liar '{"topics":"t","start":"resume"}' <<<'#!/bin/sh
read -r line
echo "{\"ack\":\"zzzzzzzzzzzzzzzzzzzzzzzzz\"}"
echo "{\"ack\":\"0000000000000000000000001\"}"
read -r line'
    add t
    until_ok has 2 liar.error
    weir cat "$store" -T liar.error >out
    grep -q 'not given yet\|ack' out
    grep -q 'long ago' out
}

@test "resume, a stream that dies at a frame gets it again, with attempt, and then without it" {
    start
    define poison '{"topics":"t","start":"resume","on_error":{"retry":{"times":2,"backoff_ms":10}}}' <<'END'
#!/bin/sh
while read -r line; do
    id=${line#*\"id\":\"} id=${id%%\"*}
    case $line in
    *'"attempt":'*) echo "seen again: ${line#*\"attempt\":}" >&2 ;;
    esac
    case $line in
    "{\"topic\":\"t\","*bad*) exit 1 ;;
    "{\"topic\":\"t\","*) ;;
    *) continue ;; # xs.threshold
    esac
    echo "{\"content\":\"ok\",\"ack\":\"$id\"}"
done
END
    add t
    bad=$(add t --meta '"bad"')
    add t
    until_ok has 2 poison.out
    weir cat "$store" -T poison.error >out
    [ "$(wc -l <out)" -eq 1 ]
    grep -F "\"frame_id\":\"$bad\"" out | grep -F '"attempt":3' | grep -qF 'seen again: 3'
    [ "$(count xs.actor.poison.retry)" -eq 2 ]
    stop
    start
    add t
    until_ok has 3 poison.out
    [ "$(count poison.error)" -eq 1 ]
}

@test "resume, a stream that dies: its place does not move while it waits to be started again" {
    start
    define once '{"topics":"t","start":"resume","on_error":{"retry":{"times":1,"backoff_ms":1500}}}' <<'END'
#!/bin/sh
while read -r line; do
    id=${line#*\"id\":\"} id=${id%%\"*}
    case $line in
    "{\"topic\":\"t\","*bad*) [ -e seen ] || { : >seen; exit 1; } ;;
    "{\"topic\":\"t\","*) ;;
    *) continue ;; # xs.threshold
    esac
    echo "{\"content\":\"ok\",\"ack\":\"$id\"}"
done
END
    for meta in '"a"' '"bad"' '"c"'; do add t --meta "$meta"; done
    until_ok has 3 once.out
    [ "$(count xs.actor.once.retry)" -eq 1 ]
}

@test "held output has a bound" {
    start
    define hoarder '{"topics":"t","start":"resume","on_error":"stop"}' <<<'#!/bin/sh
read -r line
yes "never acknowledged"'
    add t
    until_ok ended hoarder
    weir cat "$store" -T xs.actor.hoarder.fin.error | grep -qF 'held output over 1 MiB without an ack'
    [ "$(count hoarder.out)" -eq 0 ]
}

@test "own output, errors, log and definitions are not fed back; others' are" {
    start
    define echoer '{"start":"first","output":"raw"}' <<<'#!/bin/sh
exec sed -u "s/.*\"topic\":\"\([^\"]*\)\".*/\1/"'
    define other '{"topics":"t"}' <<<'#!/bin/sh
while read -r line; do echo "log line" >&2; echo answer; done'
    add t
    add end
    until_ok weir cat "$store" -T other.out --limit 1
    until_ok texts_have echoer.out end
    texts echoer.out >out
    lacks '^echoer\.' out
    lacks '^xs\.actor\.echoer\.' out
    for topic in t end other.out other.log xs.actor.other.create xs.actor.other.active xs.start xs.threshold; do
        grep -qx "$topic" out || { echo "not given: $topic"; return 1; }
    done
}

texts_have() {
    texts "$1" | grep -qx -- "$2"
}

@test "two handlers that answer each other are cut" {
    start
    for pair in 'a b' 'b a'; do
        read -r me you <<<"$pair"
        define "$me" "{\"topics\":\"go,$you.*\"}" <<<'#!/bin/sh
while read -r line; do echo again; done'
    done
    weir append "$store" go --no-content >frame
    until_ok grep_errors loop
    quiet_at=$(($(count a.out) + $(count b.out)))
    add go
    until_ok more_answers "$quiet_at"
    ((quiet_at >= 20 && quiet_at <= 140))
}

grep_errors() {
    weir cat "$store" -T a.error,b.error | grep -q "$1"
}

more_answers() {
    (($(count a.out) + $(count b.out) > $1))
}

@test "a handler that reads nothing holds back only itself" {
    start
    define stuck '{"topics":"t"}' <<<'#!/bin/sh
exec sleep 1000'
    define brisk '{"topics":"t"}' <<<'#!/bin/sh
n=0
while read -r line; do n=$((n + 1)); done'
    define last '{"topics":"end"}' <<<'#!/bin/sh
read -r line && echo seen'
    meta=$(head -c 4000 /dev/zero | tr '\0' x)
    for ((i = 0; i < 1000; i++)); do echo "{\"topic\":\"t\",\"meta\":\"$meta\"}"; done | weir append "$store" --batch >/dev/null
    add end
    until_ok has 1 last.out
}

@test "ephemeral frames are given; those that left memory before they were read are counted" {
    start
    mkfifo "$store/go"
    define eye '{"topics":"e","output":"raw"}' <<<'#!/bin/sh
read -r line
echo "${line#*\"meta\":}"
read -r go <../../go
exec grep --line-buffered -o "\"topic\":\"xs.lost\".*\"ephemeral\":[0-9]*"'
    add e --ttl ephemeral --meta 7
    until_ok has 1 eye.out
    [ "$(texts eye.out)" = '7,"ttl":"ephemeral"}' ]
    meta=$(head -c 4000 /dev/zero | tr '\0' x) # 24 MB: memory keeps 16 MiB while much is appended
    for ((i = 0; i < 6000; i++)); do echo "{\"topic\":\"e\",\"meta\":\"$meta\",\"ttl\":\"ephemeral\"}"; done |
        weir append "$store" --batch >/dev/null
    echo >"$store/go"
    until_ok has 2 eye.out
    lost=$(texts eye.out | sed -n '2s/.*"ephemeral"://p')
    ((lost > 0 && lost < 6000))
}

@test "content inline: text, base64, none, and too large" {
    start
    define inline '{"topics":"t","content":true,"output":"raw"}' <<<'#!/bin/sh
while read -r line; do
    rest=${line#*\"ttl\":\"forever\"}
    printf "%s\n" "$rest" | head -c 60
    echo
done'
    printf 'a "b"\n\303\251' | weir append "$store" t >/dev/null
    printf '\377\000' | weir append "$store" t >/dev/null
    add t
    head -c 100000 /dev/zero | tr '\0' y | weir append "$store" t >/dev/null
    head -c 1100000 /dev/zero | tr '\0' z | weir append "$store" t >/dev/null
    until_ok has 9 inline.out
    texts inline.out | grep . >out
    [ "$(sed -n 1p out)" = ',"content":"a \"b\"\né"}' ]
    [ "$(sed -n 2p out)" = ',"content_base64":"/wA="}' ]
    [ "$(sed -n 3p out)" = ',"content":null}' ]
    grep -q '^,"content":"yyyyyy' out
    grep -qx ',"content_too_large":true}' out
}

@test "output: frames by JSON lines, plain lines, and a bad one is named" {
    start
    define speak '{"topics":"t"}' <<'END'
#!/bin/sh
read -r line
echo plain
echo '{"topic":"other.topic","content":"c","meta":{"m":1},"ttl":"ephemeral"}'
echo '{"content_base64":"/wA=","ttl":"last:3"}'
echo '{"not":"a frame"}'
echo '{"topic":"bad topic!","content":"x"}'
echo '{"content":"x","ttl":"never"}'
echo after
read -r line
END
    weir cat "$store" -f -T other.topic --limit 1 >ephemeral 3>&- &
    reader=$!
    until_ok grep -q xs.threshold ephemeral
    add t
    until_ok texts_have speak.out after
    weir cat "$store" -T speak.out >out
    grep -q '"ttl":"last:3"' out
    texts speak.out | grep -qF '{"not":"a frame"}'
    until_ok has 2 speak.error
    weir cat "$store" -T speak.error >errors
    grep -q 'line 5\|bad topic' errors
    grep -q 'line 6' errors
    wait "$reader"
    grep -qF '"m":1' ephemeral
    grep -qF "\"handler_id\":\"$def\"" ephemeral
}

@test "return_options: suffix, ttl, meta as target" {
    start
    define opt '{"topics":"t","return_options":{"suffix":".made","ttl":"last:1","target":"meta"}}' <<<'#!/bin/sh
while read -r line; do echo "{\"n\": 1}"; done'
    add t
    until_ok has 1 opt.made
    weir cat "$store" -T opt.made | grep -F '"n":1' | grep -F '"ttl":"last:1"' | grep -q '"hash":null'
}

@test "pulse and threshold come as lines; new has no threshold" {
    start
    define beat '{"start":"first","topics":"none","pulse":50,"output":"raw"}' <<<'#!/bin/sh
exec sed -u "s/.*\"topic\":\"\([^\"]*\)\".*/\1/"'
    define fresh '{"topics":"none","pulse":50,"output":"raw"}' <<<'#!/bin/sh
exec sed -u "s/.*\"topic\":\"\([^\"]*\)\".*/\1/"'
    define each '{"mode":"each","topics":"none","pulse":50}' <<<'#!/bin/sh
echo "$WEIR_TOPIC"'
    until_ok has 3 beat.out
    until_ok has 2 fresh.out
    until_ok has 1 each.out
    [ "$(texts beat.out | grep -c xs.threshold)" -eq 1 ]
    texts fresh.out | lacks xs.threshold
    [ "$(texts each.out | sort -u)" = xs.pulse ]
}

@test "start at an id means behind it" {
    start
    add t --meta 1 >/dev/null
    id=$(add t --meta 2)
    add t --meta 3 >/dev/null
    define late "{\"mode\":\"each\",\"topics\":\"t\",\"start\":\"$id\"}" <<<'#!/bin/sh
echo "$WEIR_META"'
    until_ok has 1 late.out
    add t --meta 4
    until_ok has 2 late.out
    [ "$(texts late.out | paste -s -d ' ')" = "3 4" ]
    weir cat "$store" -T xs.actor.late.active | grep -qF "\"start\":{\"after\":\"$id\"}"
}

@test "a program that cannot be run is invalid" {
    start
    weir append "$store" xs.actor.none.create >/dev/null <<<'#!/no/such/interpreter
'
    until_ok has 1 xs.actor.none.invalid
    [ "$(count xs.actor.none.active)" -eq 0 ]
}

@test "python" {
    command -v python3 >/dev/null || skip "no python3"
    start
    define py '{"topics":"t","content":true}' <<'END'
#!/usr/bin/env python3
import json, sys
total = 0
for line in sys.stdin:
    frame = json.loads(line)
    if frame['topic'] == 't':
        total += int(frame['content'])
        print(json.dumps({'content': str(total), 'frame_id': frame['id']}), flush=True)
END
    for n in 5 6 7; do weir append "$store" t --content "$n"; done >/dev/null
    until_ok has 3 py.out
    [ "$(texts py.out | paste -s -d ' ')" = "5 11 18" ]
}

@test "node" {
    command -v node >/dev/null || skip "no node"
    start
    define js '{"topics":"t"}' <<'END'
#!/usr/bin/env node
require('readline').createInterface({input: process.stdin}).on('line', line => {
    const frame = JSON.parse(line)
    console.log(JSON.stringify({content: frame.meta.word.toUpperCase(), frame_id: frame.id}))
})
END
    add t --meta '{"word":"weir"}'
    until_ok has 1 js.out
    [ "$(texts js.out)" = WEIR ]
}
