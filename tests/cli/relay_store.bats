#!/usr/bin/env bats
# weir relay with a store at either end.

load setup

setup_file() {
    [ -x "${WEIR_BIN:-${BUILD:-build/release}}/weir-relay" ] || skip "weir-relay is not built"
}

# http METHOD TARGET [BODY]: the answer's body.
http() {
    curl -sS --max-time 20 --unix-socket "$store/sock" -X "$1" ${3+--data-binary "$3"} "http://localhost$2"
}

# relay ARGUMENT...: `weir relay` that ends by itself.
relay() {
    timeout 30 weir relay "$@"
}

# say KEY FIRST LAST: lines of a key.
say() {
    local i
    for ((i = $2; i <= $3; i++)); do
        printf '[2023-11-14T22:13:20.%02d5 | %s | %d | 0] %s-%d\n' "$((i % 100))" "$1" "$i" "$1" "$i"
    done
}

out() {
    relay --output stdio:/// --offset start --no-follow --preserve "$@"
}

@test "messages go in and come out as they were, keys that are no topics among them" {
    start
    (say 9a 0 5; say -a 7 9; say clock 3 4) >in
    relay --input stdio:/// --output "weir://$store/" --preserve <in
    out --input "weir://$store/" | cmp - in
    out --input "weir://$store/9a" | cmp - <(say 9a 0 5)
    out --input "weir://$store/9a,clock" | cmp - <(say 9a 0 5; say clock 3 4)
    out --input "weir://$store/none" | cmp - /dev/null
    # The frame's timestamp is the message's time; what its line says of it stays in meta.
    http GET '/?stream=clock&with-stamp' | sed -n 1p | grep -q '"meta":{"ss-seq":"3","ss-time":"2023-11-14T22:13:20.035"}.*"stamp":1700000000035}'
    # Without --preserve the payload alone goes over.
    relay --input stdio:/// --output "weir://$store/plain" <<<'[2023-11-14T22:13:20 | a | 5 | 0] x'
    http GET '/?stream=plain&with-content' | grep -q '"meta":null,"ttl":"forever","content":"x"}'
}

@test "an address in its forms: relative, the environment's" {
    start
    say a 0 2 | relay --input stdio:/// --output weir://./s/ --preserve
    say a 3 3 | relay --input stdio:/// --output weir://"${dir#/}"/nothing/ --preserve && return 1
    out --input weir://./s/a | cmp - <(say a 0 2)
    WEIR_ADDR=$store out --input weir:///a | cmp - <(say a 0 2)
    WEIR_ADDR=$store out --input weir://./a | cmp - <(say a 0 2)
    fails 1 'one store' timeout 5 weir relay --input "weir://$store,$store/" --output stdio:/// --preserve
}

@test "large and binary contents, contents that the line's form lengthens" {
    start
    python3 - <<'X'
import os
for n, data in enumerate([b'', b'\0\1\2' * 1000, '\u00e4"\\'.encode() * 10000, os.urandom(70000), b'x' * 1048576, os.urandom(1048577), os.urandom(5000000)]):
    open('c%d' % n, 'wb').write(data)
X
    for i in 0 1 2 3 4 5 6; do weir append "$store" "t.$i" <"c$i" >/dev/null; done
    start "$dir/other"
    relay --input "weir://$store/t.0,t.1,t.2,t.3,t.4,t.5,t.6" --output "weir://$dir/other/" --offset start --no-follow --preserve
    local n=0 hash
    while read -r hash; do
        n=$((n + 1))
        weir cas "$dir/other" "$hash" | cmp - "c$n"
    done < <(weir cat "$dir/other" -T 't.*' | grep -o 'sha256-[^"]*')
    [ "$n" -eq 6 ]
    weir cat "$dir/other" -T t.0 | grep -q '"hash":null'
}

@test "offsets: end, a sequence, a time" {
    start
    say a 0 9 | relay --input stdio:/// --output "weir://$store/" --preserve
    relay --input "weir://$store/a" --output stdio:/// --offset 7 --no-follow --preserve | cmp - <(say a 7 9)
    relay --input "weir://$store/a" --output stdio:/// --offset 2023-11-14T22:13:20.065 --no-follow --preserve | cmp - <(say a 7 9)
    relay --input "weir://$store/a" --output stdio:/// --offset end --no-follow --preserve | cmp - /dev/null
    fails 1 'exactly one key' timeout 5 weir relay --input "weir://$store/" --output stdio:/// --preserve --offset 7
    weir relay --input "weir://$store/a" --output stdio:/// --preserve >live 3>&- &
    daemons+=("$!")
    until_ok bash -c "[ \$(weir status '$store' --json | grep -o '\"followers\":[0-9]*' | cut -d: -f2) -ge 1 ]"
    say a 10 11 | relay --input stdio:/// --output "weir://$store/" --preserve
    say a 10 11 >wanted
    until_ok cmp live wanted
    kill -TERM "${daemons[-1]}"
    wait "${daemons[-1]}"
}

@test "a cursor is stored with what is appended, and a follower outlives the daemon" {
    start
    say a 0 99 >in
    say a 100 150 >rest
    relay --input stdio:/// --output file://x.ss/ --preserve <in
    for n in 30 30 100; do
        relay --input file://x.ss/ --output "weir://$store/" --offset start --no-follow --preserve --cursor r --limit "$n"
    done
    out --input "weir://$store/" | cmp - in
    weir cursors "$store" | grep -q '"name":"r"'
    # The other way: the file cannot keep a cursor, the store as the source can.
    start "$dir/other"
    weir relay --input "weir://$store/a" --output "file://y.ss/" --offset start --preserve --cursor back 3>&- 2>relay.err &
    local pid=$!
    daemons+=("$pid")
    until_ok bash -c 'weir relay --input file://y.ss/ --output stdio:/// --offset start --no-follow --preserve | cmp - in'
    kill -9 "${daemons[0]}"
    wait "${daemons[0]}" || :
    start
    relay --input stdio:/// --output "weir://$store/" --preserve <rest
    until_ok bash -c 'weir relay --input file://y.ss/ --output stdio:/// --offset start --no-follow --preserve | cmp - <(cat in rest)'
    kill -TERM "$pid"
    wait "$pid"
    weir cursors "$store" | grep -q '"name":"back","position":"id='
}

@test "what the store refuses is skipped and counted, the rest goes over in one piece" {
    start "$store" --expose 127.0.0.1:0
    port=$(weir last "$store" xs.start --json | grep -o '127\.0\.0\.1:[0-9]*')
    WEIR_TOKEN=$(weir token issue "$store" t --op read,append --stream 'a*')
    export WEIR_TOKEN
    (say a 0 2; say xs.action.x 0 0; say b 0 0; say a 3 4) >in
    run -1 --separate-stderr relay --input stdio:/// --output "weir://$port/" --preserve <in
    [ "$(grep -c 'refused and skipped' <<<"$stderr")" -eq 2 ]
    out --input "weir://$store/" | cmp - <(say a 0 4)
    # One that a store does not take at all is an error.
    WEIR_TOKEN=$(weir token issue "$store" r --op read) fails 1 'does not allow' \
        bash -c "timeout 5 weir relay --input stdio:/// --output weir://$port/ --preserve <in"
}

@test "groups: members share, a resumable one goes on where it was" {
    start
    say a 0 49 | relay --input stdio:/// --output "weir://$store/" --preserve
    relay --input "weir://$store/a" --output stdio:/// --offset start --preserve --mode resumable --group g --limit 20 >one
    relay --input "weir://$store/a" --output stdio:/// --no-follow --preserve --mode resumable --group g >two
    cat one two | sort -u | cmp - <(say a 0 49 | sort)
    [ "$(cat one two | wc -l)" -le 70 ]
    relay --input "weir://$store/a" --output stdio:/// --no-follow --preserve --mode resumable --group g | cmp - /dev/null
    weir relay --input "weir://$store/a" --output stdio:/// --preserve --mode balanced --group h --consumer x >of-x 3>&- &
    daemons+=("$!")
    weir relay --input "weir://$store/a" --output stdio:/// --preserve --mode balanced --group h --consumer y >of-y 3>&- &
    daemons+=("$!")
    until_ok bash -c "http() { curl -sS --unix-socket '$store/sock' http://localhost/groups/h; }; [ \$(http | grep -o '\"connected\":true' | wc -l) -eq 2 ]"
    say a 50 149 | relay --input stdio:/// --output "weir://$store/" --preserve
    until_ok bash -c '[ "$(cat of-x of-y | wc -l)" -eq 100 ]'
    sort of-x of-y | cmp - <(say a 50 149 | sort)
    fails 1 'is no topic' timeout 5 weir relay --input "weir://$store/9a" --output stdio:/// --preserve --mode balanced --group h
}
