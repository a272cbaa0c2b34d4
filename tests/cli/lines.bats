#!/usr/bin/env bats
# weir append --format ss, weir cat --format ss, weir clock: lines of the SeaStreamer dialect.

load setup

fixtures=$here/../fixtures/seastreamer

# take [OPTION...]: appends standard input as lines; the summary in the file summary.
take() {
    weir append "$store" --format ss "$@" >summary 2>"$err"
}

# shown [OPTION...]: the lines of the store, the daemon's own left out.
shown() {
    weir cat "$store" --format ss "$@" | grep -v '^\[[^|]*| xs\.'
}

# timeless: standard input without the times of lines.
timeless() {
    sed 's/^\[[0-9T:.-]* | /[/'
}

# has FILE N: it has so many lines.
has() {
    [ "$(wc -l <"$1")" -eq "$2" ]
}

# gone PID: the process, a child of this shell, has ended.
gone() {
    ! kill -0 "$1" 2>/dev/null
}

# --- append -------------------------------------------------------------------------------------

@test "every form of a line is taken, defaults as they are" {
    start
    printf '%s\n' 'plain text' '[a] x' '[2022-01-01T00:00:00 | c | 123 | 4] {"p":1}' '[2022-01-01T00:00:00.123 | d] x' \
        '[2022-01-01T00:00:00] 12345' '[e|1|2]x' ' [a] x' '[] hello' '[abc' '' '[123] x' '[k] a]b] ' '[f]' >in
    take <in
    [ ! -s "$err" ]
    grep -qF '{"frames":13,' summary
    shown | timeless >out
    cat >expected <<'END'
[broadcast | 0 | 0] plain text
[a | 0 | 0] x
[c | 123 | 4] {"p":1}
[d | 0 | 0] x
[broadcast | 1 | 0] 12345
[e | 1 | 2] x
[broadcast | 2 | 0]  [a] x
[broadcast | 3 | 0] [] hello
[broadcast | 4 | 0] [abc
[broadcast | 5 | 0]
[123 | 0 | 0] x
[k | 0 | 0] a]b] 
[f | 0 | 0]
END
    cmp out expected
    shown --stream c | grep -qF '[2022-01-01T00:00:00.0 | c | 123 | 4] {"p":1}'
    shown --stream d | grep -qF '[2022-01-01T00:00:00.123 | d | 0 | 0] x'
}

@test "bad lines are told with their number and skipped" {
    start
    printf '[a] one\n["x"]\n[a] two\n[ ]\n[1,2,3]\n[a | -1] x\n[a] \xff\xfe\n[2022-02-30T00:00:00 | a] x\n[a] three' >in
    take <in
    shown | timeless | cmp - <(printf '[a | %d | 0] %s\n' 0 one 1 two 2 three)
    [ "$(grep -c '^weir append: line [0-9]*: ' "$err")" -eq 6 ]
    for n in 2 4 5 6 7 8; do grep -q "^weir append: line $n: " "$err"; done
    grep -q 'line 7: it is no UTF-8 (byte 5)' "$err"
    grep -q '6 bad lines were skipped' "$err"
}

@test "keys that are no stream of a store are skipped" {
    start
    printf '[a] one\n[..] x\n[.] x\n[...] x\n[a] two\n' | take
    [ "$(grep -c 'a store has no stream' "$err")" -eq 2 ]
    shown --topic '*' | timeless | grep -v '^.xs' | cmp - <(printf '[a | 0 | 0] one\n[... | 0 | 0] x\n[a | 1 | 0] two\n')
    fails 2 'a store has no stream' weir append "$store" --format ss ..
}

@test "strict: everything good is stored, and the status is 1" {
    start
    printf '[a] one\n[,]\n[a] two\n' >in
    run -1 take --strict <in
    grep -qF '{"frames":2,' summary
    shown | timeless | cmp - <(printf '[a | 0 | 0] one\n[a | 1 | 0] two\n')
    printf '[a] three\n' | take --strict
}

@test "a sequence once named goes on by the dialect's rule, others are the store's" {
    start
    printf '[a] w\n[a | 5] x\n[a] y\n[a] z\n[b] 1\n[b] 2\n[a | 9 | 1] s\n[b | 18446744073709551615] t\n[b] u\n[b] v\n' | take
    shown --stream a | timeless | cmp - <(printf '[a | %s\n' '0 | 0] w' '5 | 0] x' '5 | 0] y' '6 | 0] z' '9 | 1] s')
    shown --stream b | timeless | cmp - <(printf '[b | %s | 0] %s\n' 0 1 1 2 18446744073709551615 t 18446744073709551615 u 0 v)
    shown --stream a --sequence store | timeless | cmp - <(printf '[a | %s\n' '0 | 0] w' '1 | 0] x' '2 | 0] y' '3 | 0] z' '4 | 1] s')
    shown --stream a --sequence kept | cmp - <(shown --stream a)
    weir cat "$store" --stream b | sed -n 1p | grep -qF '"meta":null'
    weir cat "$store" --stream a | sed -n 5p | grep -qF '"meta":{"ss-seq":"9","ss-shard":"1"}'
}

@test "lines without key go to the stream that is named" {
    start
    printf 'raw\n[a] x\n' | weir append "$store" --format ss deflt
    printf 'raw\n' | weir append "$store" --format ss --stream 9a
    printf 'raw\n' | WEIR_ADDR=$store weir append --format ss --stream=-b
    printf 'raw\n' | WEIR_ADDR=$store weir append --format ss
    shown | timeless | cmp - <(printf '[%s | 0 | 0] %s\n' deflt raw a x 9a raw -b raw broadcast raw)
}

@test "time to the nanosecond is kept, and is the frame's timestamp" {
    start
    printf '[2022-01-01T00:00:00.123456789123 | a] x\n[1999-12-31T23:59:59 | a] earlier\n' | take
    shown --stream a | cmp - <(printf '%s\n' '[2022-01-01T00:00:00.123456789 | a | 0 | 0] x' '[1999-12-31T23:59:59.0 | a | 1 | 0] earlier')
    weir cat "$store" --stream a | sed -n 1p | grep -qF '"meta":{"ss-time":"2022-01-01T00:00:00.123456789"}'
    # A topic's timestamps do not go back.
    curl -sS --max-time 10 --unix-socket "$store/sock" 'http://localhost/?stream=a&with-stamp' >frames
    [ "$(grep -c '"stamp":1640995200123' frames)" -eq 2 ]
}

@test "a ttl is that of all frames" {
    start
    printf '[a] 1\n[b] 2\n[a] 3\n' | take --ttl last:1
    shown | timeless | cmp - <(printf '[b | 0 | 0] 2\n[a | 1 | 0] 3\n')
}

@test "lines are stored as they come" {
    start
    mkfifo pipe
    weir append "$store" --format ss <pipe >summary 2>"$err" 3>&- &
    appender=$!
    daemons+=("$appender")
    exec 4>pipe
    for i in 1 2 3; do
        printf '[slow] %d\n[' "$i" >&4
        until_ok bash -c "weir cat '$store' --format ss --stream slow | grep -q '| $((i - 1)) | 0\] $i'"
        printf 'x] part\n' >&4
    done
    exec 4>&-
    until_ok gone "$appender"
    wait "$appender"
    grep -qF '{"frames":6,' summary
}

@test "a line that the daemon refuses is told with its number in the input" {
    start "$store" --expose 127.0.0.1:0
    at=$(weir cat "$store" -T xs.start | grep -o '127.0.0.1:[0-9]*' | tail -n 1)
    printf '[a] one\n[,]\n\n[xs.service.x.create] #!/bin/sh\n[a] two\n' >in
    run -1 weir append "$at" --format ss <in
    [[ $output == *'line 2: '* ]]
    [[ $output == *'line 4: topics under xs.service are appended to over the store'* ]]
    shown | timeless | cmp - <(printf '[a | 0 | 0] one\n[broadcast | 0 | 0]\n')
}

@test "the daemon's refusal ends it, also while the input is silent" {
    start "$store" --expose 127.0.0.1:0
    at=$(weir cat "$store" -T xs.start | grep -o '127.0.0.1:[0-9]*' | tail -n 1)
    mkfifo pipe
    weir append "$at" --format ss <pipe >out 2>"$err" 3>&- &
    appender=$!
    daemons+=("$appender")
    exec 4>pipe
    printf '[xs.store.x] x\n' >&4
    status=0
    until_ok gone "$appender"
    wait "$appender" || status=$?
    exec 4>&-
    [ "$status" -eq 1 ]
    grep -q 'line 1: ' "$err"
}

@test "a line over 8 MiB is bad, the rest is taken" {
    start
    {
        printf '[a] first\n[a] '
        head -c 9000000 /dev/zero | tr '\0' x
        printf '\n[a] '
        head -c 30000000 /dev/zero | tr '\0' y
        printf '\n[a] '
        head -c 8000000 /dev/zero | tr '\0' z
        printf '\n[a] '
        head -c 3000000 /dev/zero | tr '\0' '\1'
        printf '\n[a] last'
    } | take
    [ "$(grep -c 'line [23]: it is over 8 MiB' "$err")" -eq 2 ]
    shown --stream a >out
    has out 4
    [ "$(sed -n 2p out | tr -cd z | wc -c)" -eq 8000000 ]
    [ "$(sed -n 3p out | tr -cd '\1' | wc -c)" -eq 3000000 ]
    sed -n 4p out | grep -q '| 3 | 0] last$'
}

@test "no lines at all" {
    start
    take </dev/null
    grep -qF '{"frames":0,' summary
    printf '[,]\n' | take
    grep -qF '1 bad line was skipped' "$err"
}

@test "what does not go together is said" {
    fails 2 '--format is json or ss' weir append "$store" a --format xml
    fails 2 '--strict goes with --format ss' weir append "$store" a --strict
    fails 2 'each line is a frame' weir append "$store" --format ss --batch
    fails 2 'each line is a frame' weir append "$store" --format ss --meta '{}'
    fails 2 'each line is a frame' weir append "$store" --format ss --key k
    fails 2 'a stream key has byte' weir append "$store" --format ss 'a b'
    fails 2 'one operand too many' weir append "$store" --format ss --stream a b
    fails 1 '--ttl' weir append "$store" --format ss --ttl x
    fails 2 '--format is json or ss' weir cat "$store" --format xml
    fails 2 '--sequence is kept or store' weir cat "$store" --format ss --sequence x
    fails 2 '--odd is refuse, raw or json' weir cat "$store" --format ss --odd x
    fails 2 'go with --format ss' weir cat "$store" --odd raw
    fails 2 'go with --format ss' weir cat "$store" --format json --sequence store
    for option in --json --sse --count --with-timestamp --with-seq --with-content; do
        fails 2 '--format ss does not go with' weir cat "$store" --format ss "$option"
    done
}

@test "--format json is as without" {
    start
    weir append "$store" --format json a --content x | grep -qF '"topic":"a"'
    weir cat "$store" --format json | cmp - <(weir cat "$store")
}

# --- cat ----------------------------------------------------------------------------------------

@test "what the real decoder printed comes out as it went in" {
    start
    for name in basic ended-1k multi-1k appended-1k; do
        grep -v '^#' "$fixtures/$name.log" >in
        take <in
        weir cat "$store" --format ss --topic '*' --last "$(wc -l <in)" | cmp - in
    done
}

@test "options of cat go with it, made-up frames are left out" {
    start
    seq -f '[a | %.0f] x' 10 | take
    shown --limit 3 --stream a | timeless | cmp - <(printf '[a | %d | 0] x\n' 1 2 3)
    shown --stream a --reverse --limit 2 | timeless | cmp - <(printf '[a | %d | 0] x\n' 10 9)
    shown --topic 'a,b.*' --last 1 | timeless | cmp - <(printf '[a | 10 | 0] x\n')
    weir cat "$store" --format ss --stream a --follow --pulse 10 >out 2>&1 3>&- &
    follower=$!
    daemons+=("$follower")
    until_ok has out 10
    printf '[a] y\n[b] n\n[a] z\n' | take
    until_ok has out 12
    lacks 'xs\.' out
    tail -n 2 out | timeless | cmp - <(printf '[a | %d | 0] %s\n' 10 y 11 z)
    stop
    wait "$follower"
    grep -q 'the daemon stopped' out
}

@test "a followed read ends with its limit, without a word" {
    start
    printf '[a] 1\n[a] 2\n' | take
    weir cat "$store" --format ss --stream a -f --limit 2 >out 2>"$err"
    [ ! -s "$err" ]
    has out 2
}

@test "ephemeral frames have sequence 0" {
    start
    weir cat "$store" --format ss --topic 'a,e' --follow >out 2>&1 3>&- &
    daemons+=($!)
    printf '[a] 1\n[a] 2\n' | take
    until_ok has out 2
    weir append "$store" e --ttl ephemeral --content hi
    until_ok has out 3
    tail -n 1 out | timeless | cmp - <(printf '[e | 0 | 0] hi\n')
}

@test "what no line can hold is told, or printed as asked for" {
    start
    printf 'a\nb' | weir append "$store" odd >added
    printf '\xff\n' | weir append "$store" odd >>added
    weir append "$store" odd --content good
    status=0
    weir cat "$store" --format ss --topic odd >out 2>"$err" || status=$?
    [ "$status" -eq 1 ]
    timeless <out | cmp - <(printf '[odd | 2 | 0] good\n')
    grep -q "frame $(sed -n 1p added | id_of): its payload has a newline" "$err"
    grep -q "frame $(sed -n 2p added | id_of): its payload is no UTF-8" "$err"
    grep -q '2 frames were not printed' "$err"
    shown --topic odd --odd json | timeless | cmp - <(printf '[odd | %s\n' '0 | 0] "a\nb"' '1 | 0] [255,10]' '2 | 0] good')
    weir cat "$store" --format ss --topic odd --odd raw | sed 's/^\[2[^|]*| /[/' |
        cmp - <(printf '[odd | 0 | 0] a\nb\n[odd | 1 | 0] \xff\n\n[odd | 2 | 0] good\n')
}

@test "a name that is no stream key is told" {
    start
    weir append "$store" --stream 'a b"c' --content x >added
    fails 1 "frame $(id_of <added): a stream key has byte 0x20 at 2" weir cat "$store" --format ss --stream 'a b"c' --odd raw
}

@test "large contents are fetched" {
    start
    head -c 3000000 /dev/zero | tr '\0' z | weir append "$store" big
    head -c 600000 /dev/zero | tr '\0' y | weir append "$store" big
    head -c 2000000 /dev/zero | weir append "$store" bytes
    shown --stream big >out
    has out 2
    [ "$(sed -n 1p out | tr -cd z | wc -c)" -eq 3000000 ]
    [ "$(sed -n 2p out | tr -cd y | wc -c)" -eq 600000 ]
    weir cat "$store" --format ss --stream bytes | timeless | tr -d '\0' | cmp - <(printf '[bytes | 0 | 0] \n')
}

@test "lines of a group are acknowledged when they are written" {
    start
    seq -f '[t] %.0f' 10 | take
    weir cat "$store" --format ss --group g --topic t --limit 4 | timeless | cmp - <(printf '[t | %d | 0] %d\n' 0 1 1 2 2 3 3 4)
    weir cat "$store" --format ss --group g --limit 6 | timeless >out
    has out 6
    sed -n 1p out | grep -q '| 4 | 0] 5'
    printf '1\n2' | weir append "$store" t >added
    fails 1 "frame $(id_of <added): its payload has a newline" weir cat "$store" --format ss --group g --limit 1
    # It was given back, so it comes again at once.
    weir cat "$store" --format ss --group g --odd json --limit 1 | grep -qF '"1\n2"'
    weir groups "$store" --json | grep '"name":"g"' | grep -q '"open":0'
}

@test "frames of a group that no line can hold do not stop it for ever" {
    start
    for ((i = 0; i < 8; i++)); do printf '{"stream":"odd","content":"a\\nb"}\n'; done | weir append "$store" --batch >/dev/null
    printf '[odd] good\n' | take
    status=0
    timeout 10 weir cat "$store" --format ss --group g --topic odd --window 6 >out 2>"$err" || status=$?
    [ "$status" -eq 1 ]
    grep -q 'frames that no line can hold go back to the group; --odd raw or json prints them' "$err"
    timeout 10 weir cat "$store" --format ss --group g --topic odd --odd json >out
    has out 9
}

@test "a reader that goes away ends it quietly" {
    start
    seq -f '[t] %.0f' 2000 | take
    weir cat "$store" --format ss --stream t -f 2>"$err" | head -n 1 | grep -q '] 1$'
    [ "${PIPESTATUS[0]}" -eq 0 ]
    [ ! -s "$err" ]
}

@test "a terminal gets no bytes that steer it" {
    start
    printf '[t] a\033[31mb\n' | take
    on_terminal "weir cat '$store' --format ss --stream t" | timeless | cmp - <(printf '[t | 0 | 0] a\\x1b[31mb\n')
}

@test "out again and in again is the same" {
    start
    printf '%s\n' '[2022-01-01T00:00:00.5 | a | 5 | 2] x' '[a] ' '[b]' '[c] tail ' | take
    shown >once
    start "$dir/t"
    weir append "$dir/t" --format ss <once
    weir cat "$dir/t" --format ss | grep -v '| xs\.' | cmp - once
}

@test "help and completion know it" {
    weir append --help | grep -qF -- '--format FORM'
    weir cat --help | grep -qF -- '--odd HOW'
    weir completion bash >script
    grep -qF 'json ss' script
    grep -qF 'refuse raw json' script
    grep -qF 'kept store' script
}

# --- clock --------------------------------------------------------------------------------------

@test "clock prints ticks as a producer does" {
    weir clock --stream K.1 --interval 1ms --count 12 >out
    has out 12
    for i in 0 11; do
        sed -n "$((i + 1))p" out | grep -qE "^\[20[0-9-]{8}T[0-9:]{8} \| K\.1 \| $i\] \{ \"tick\": $i \}$"
    done
    weir clock --stream k --interval 1s --count 0 | cmp - /dev/null
    weir clock --stream k --interval 5m --count 1 >out
    has out 1
    weir clock --stream k --interval 1ns --count 100000 | tail -n 1 | grep -qF '| k | 99999] { "tick": 99999 }'
}

@test "clock keeps its rate, and makes up for what was held up" {
    began=$(date +%s%N)
    weir clock --stream k --interval 300ms --count 6 >out 3>&- &
    clock=$!
    daemons+=("$clock")
    until_ok has out 1
    kill -STOP "$clock"
    until_ok eval '(($(date +%s%N) > began + 1200000000))'
    kill -CONT "$clock"
    wait "$clock"
    took=$(($(date +%s%N) - began))
    has out 6
    ((took >= 1500000000))
    ((took < 2500000000))
}

@test "clock ends when nobody reads, and when it is told to" {
    weir clock --stream k --interval 1ms 2>"$err" | head -n 3 >out
    [ "${PIPESTATUS[0]}" -eq 0 ]
    has out 3
    # Long before the next tick.
    timeout 10 weir clock --stream k --interval 60m 2>"$err" | head -n 1 >out
    [ "${PIPESTATUS[0]}" -eq 0 ]
    for signal in INT TERM; do
        rm -f out # the last one's line is not this one's
        weir clock --stream k --interval 60m >out 2>"$err" 3>&- &
        clock=$!
        daemons+=("$clock")
        until_ok has out 1
        kill "-$signal" "$clock"
        until_ok gone "$clock"
        wait "$clock"
    done
    [ ! -s "$err" ]
}

@test "clock ends by a signal also while its reader does not read" {
    mkfifo pipe
    exec 4<>pipe
    weir clock --stream k --interval 1ns >pipe 2>"$err" 3>&- &
    clock=$!
    daemons+=("$clock")
    until_ok bash -c "grep -q '^State:.S' /proc/$clock/status"
    kill -TERM "$clock"
    until_ok gone "$clock"
    wait "$clock"
    exec 4>&-
}

@test "clock says what it needs" {
    fails 2 '--stream is missing' weir clock --interval 1s
    fails 2 '--interval is missing' weir clock --stream k
    fails 2 'a stream key has byte 0x20' weir clock --stream 'a b' --interval 1s
    fails 2 'at least 1ns' weir clock --stream k --interval 0s
    for bad in 1.5s 1h 1 s '' -1s +1s '1 s' 1S 99999999999999999999s 400000000m; do
        fails 2 'is no interval: whole digits and one of s, m, ms, us, ns' weir clock --stream k --interval="$bad"
    done
    fails 2 'it has no operands' weir clock --stream k --interval 1s x
    fails 2 '--count' weir clock --stream k --interval 1s --count x
}

@test "clock's ticks go into a store and come out again" {
    start
    weir clock --stream k --interval 1ms --count 5 >out
    take <out
    shown --stream k | cmp - <(sed 's/ | k | \([0-9]*\)\]/.0 | k | \1 | 0]/' out)
}
