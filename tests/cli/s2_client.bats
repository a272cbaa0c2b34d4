#!/usr/bin/env bats
# weir s2: the client library's program against our daemon, and against s2 lite where it is installed.

load setup.bash

PEER=${XDG_CACHE_HOME:-$HOME/.cache}/weir-peers/s2-cli-0.43.4/bin/s2
unset S2_ACCESS_TOKEN S2_ACCOUNT_ENDPOINT S2_BASIN_ENDPOINT S2_COMPRESSION S2_SSL_NO_VERIFY S2_ENCRYPTION_KEY

# A daemon with a basin; its endpoint in WEIR_ADDR.
begin() {
    start
    export WEIR_ADDR=$store
    weir s2 create-basin test-basin --create-stream-on-append >/dev/null
}

# lite OPTION...: s2 lite on a free port, in memory; its URL in S2_ACCOUNT_ENDPOINT.
lite() {
    local port scheme=http
    [[ " $* " != *" --tls-self "* ]] || scheme=https
    for _ in 1 2 3 4 5; do
        port=$((20000 + (RANDOM * 32768 + RANDOM) % 40000))
        "$PEER" lite --port "$port" "$@" >"$dir/lite.log" 2>&1 3>&- &
        daemons+=("$!")
        export S2_ACCOUNT_ENDPOINT=$scheme://localhost:$port S2_ACCESS_TOKEN=any
        if until_ok curl -sfk "$S2_ACCOUNT_ENDPOINT/health"; then return 0; fi
    done
    cat "$dir/lite.log" >&2
    return 1
}

@test "help of the program and of every verb" {
    weir s2 --help >out
    grep -q '^usage: weir s2 VERB' out
    awk '/^  [a-z]/ { print $1 }' out >verbs
    [ "$(wc -l <verbs)" -gt 20 ]
    while read -r verb; do
        weir s2 "$verb" --help </dev/null | grep -q "^usage: weir s2 $verb"
    done <verbs
    weir help s2 | grep -q '^usage: weir s2 VERB'
    fails 2 'unknown verb' weir s2 nonsense
    fails 2 'unknown option' weir s2 append --nonsense s2://test-basin/s
    fails 2 'names no stream' weir s2 append s2://test-basin
    fails 2 'an operand is missing' weir s2 fence s2://test-basin/s
    fails 2 'one start alone' weir s2 read s2://test-basin/s -s 1 --tail-offset 2
}

@test "basins and streams: create, list, configs, delete" {
    begin
    for i in 1 2 3; do weir s2 create-stream "s2://test-basin/t/$i" --retention-policy 1h >/dev/null; done
    weir s2 create-stream s2://test-basin/other >/dev/null
    [ "$(weir s2 ls s2://test-basin/t/ | wc -l)" -eq 3 ]
    [ "$(weir s2 ls s2://test-basin/t/ -n 2 | wc -l)" -eq 2 ]
    [ "$(weir s2 list-streams s2://test-basin -s t/1 | wc -l)" -eq 2 ]
    weir s2 ls | grep -q '"name":"test-basin"'
    weir s2 get-stream-config s2://test-basin/t/1 | grep -q '"age":3600'
    weir s2 reconfigure-stream s2://test-basin/t/1 --timestamping-mode arrival --retention-policy infinite >/dev/null
    weir s2 get-stream-config s2://test-basin/t/1 | grep -q '"infinite".*"mode":"arrival"'
    weir s2 reconfigure-basin test-basin --create-stream-on-read >/dev/null
    weir s2 get-basin-config test-basin | grep -q '"create_stream_on_read":true'
    fails 1 'resource_already_exists' weir s2 create-stream s2://test-basin/other
    weir s2 delete-stream s2://test-basin/other
    fails 1 'stream_not_found' weir s2 get-stream-config s2://test-basin/other
    fails 1 'basin_not_found' weir s2 check-tail s2://no-such-basin/s
    weir s2 delete-basin test-basin
}

@test "lines in, lines out" {
    begin
    [ "$(printf 'one\n\ntwo' | weir s2 append s2://test-basin/s)" = '{"start":0,"end":3}' ]
    [ "$(weir s2 read s2://test-basin/s -s 0 -n 3)" = "$(printf 'one\n\ntwo')" ]
    [ "$(weir s2 tail s2://test-basin/s -n 1)" = two ]
    weir s2 check-tail s2://test-basin/s | grep -q '"seq_num":3'
    printf '%s\n' '{"headers":[["k","v"]],"body":"ü \u0000"}' '{"body":""}' | weir s2 append s2://test-basin/s --format json >/dev/null
    weir s2 read s2://test-basin/s -s 3 -n 1 --format json | grep -q '"headers":\[\["k","v"\]\]'
    weir s2 read s2://test-basin/s -s 0 -n 5 --format json-base64 >copy
    weir s2 append s2://test-basin/copy -i copy --format json-base64 >/dev/null
    diff <(weir s2 read s2://test-basin/copy -s 0 -n 5 --format json-base64 | sed 's/"timestamp":[0-9]*//') \
        <(sed 's/"timestamp":[0-9]*//' copy)
    fails 1 'nothing to read there' weir s2 read s2://test-basin/s -s 99
    [ -z "$(weir s2 read s2://test-basin/s -s 99 --clamp -n 1 --wait 0 2>/dev/null)" ]
}

@test "conditions: match-seq-num, fencing, trim" {
    begin
    echo a | weir s2 append s2://test-basin/s -m 0 >/dev/null
    echo b >b
    fails 1 'the next one is 1' weir s2 append s2://test-basin/s -m 0 -i b
    weir s2 fence s2://test-basin/s first >/dev/null
    fails 1 'it is "first"' weir s2 append s2://test-basin/s -f other -i b
    fails 1 'it is "first"' weir s2 fence s2://test-basin/s -f other second
    weir s2 append s2://test-basin/s -f first -i b >/dev/null
    weir s2 trim s2://test-basin/s 2 -f first >/dev/null
    [ "$(weir s2 read s2://test-basin/s -s 0 -n 10 2>commands)" = b ]
    grep -q 'command record 3: trim' commands
}

@test "a follower gets what comes" {
    begin
    seq 3 | weir s2 append s2://test-basin/s >/dev/null
    weir s2 read s2://test-basin/s -s 0 >followed 3>&- &
    daemons+=("$!")
    until_ok grep -q 3 followed
    seq 4 6 | weir s2 append s2://test-basin/s >/dev/null
    until_ok grep -q 6 followed
    diff followed <(seq 6)
}

@test "messages larger than a record" {
    begin
    head -c 2500000 /dev/zero | tr '\0' x >large
    { cat large; printf '\nsmall\n'; } | weir s2 append s2://test-basin/s --messages >/dev/null
    weir s2 read s2://test-basin/s -s 0 -n 4 --messages >back
    { cat large; printf '\nsmall\n'; } | cmp - back
    weir s2 read s2://test-basin/s -s 0 -n 1 --format json-base64 | head -c 200 | grep -q '"headers"'
}

@test "records compressed and not, and of a megabyte" {
    begin
    head -c 1000000 /dev/urandom | base64 -w 700000 >large
    for how in zstd gzip; do
        weir s2 append "s2://test-basin/$how" --compression "$how" -i large >/dev/null
        weir s2 read "s2://test-basin/$how" -s 0 -n 2 --compression "$how" | cmp - large
    done
}

@test "apply makes what a file says, and nothing the second time" {
    begin
    cat >spec.json <<'END'
{"basins":[{"name":"spec-basin","config":{"create_stream_on_append":true,
  "default_stream_config":{"retention_policy":"1h 30m","delete_on_empty":{"min_age":"1day"}}},
  "streams":[{"name":"plain"},{"name":"a/b","config":{"retention_policy":"infinite"}}]}]}
END
    [ "$(weir s2 apply -f spec.json | cut -d ' ' -f 1 | sort -u)" = created ]
    [ "$(weir s2 apply -f - <spec.json | cut -d ' ' -f 1 | sort -u)" = noop ]
    weir s2 get-stream-config s2://spec-basin/plain | grep -q '"age":5400.*"min_age_secs":86400'
    weir s2 get-stream-config s2://spec-basin/a/b | grep -q infinite
    echo '{"basins":[{"name":"spec-basin","config":{"nonsense":1}}]}' >bad.json
    fails 1 'has no "nonsense"' weir s2 apply -f bad.json
}

@test "bench reads back what it wrote" {
    begin
    weir s2 bench test-basin -b 1024 -t 4 -d 1s -w 0s >out
    grep -q '^hash chain: ok' out
    grep -q '^write: ' out
    grep -q '^catch-up read: ' out
    [ -z "$(weir s2 ls s2://test-basin/bench/)" ]
}

@test "the example of weir-client(3) compiles with pkg-config and runs" {
    local root=$here/../..
    command -v pkg-config >/dev/null || skip 'pkg-config is not installed'
    case $WEIR_BIN in *san) skip 'a library with a sanitizer needs it in the program too' ;; esac
    begin
    # shellcheck disable=SC2046 # words
    cc -Wall -Wextra -Werror "$root/tests/compat/s2_client_example.c" -o example $(PKG_CONFIG_PATH=$WEIR_BIN pkg-config \
        --define-variable=libdir="$WEIR_BIN" --define-variable=includedir="$root/include" --cflags --libs weir-s2)
    ./example "$store" test-basin >out
    grep -q '^durable up to 1003, the tail is 1004$' out
    grep -q '^a message of 3145728 bytes in records 1000 to 1003$' out
}

# Twice the daemon is killed while an idempotent producer runs.
@test "kill -9 of the daemon: nothing acked is lost, none is there twice" {
    begin
    mkfifo lines
    timeout 60 weir s2 append s2://test-basin/s --idempotent --acks --attempts 200 -i lines >acks 2>err 3>&- &
    local writer=$! at=0
    daemons+=("$writer")
    exec 7>lines
    for upto in 4000 8000 12000; do
        seq $((at + 1)) "$upto" >&7
        at=$upto
        [ "$upto" -eq 12000 ] || {
            until_ok test -s acks
            kill -9 "$daemon" && { wait "$daemon" || :; }
            start 7>&- # or it would hold the pipe open
        }
    done
    exec 7>&-
    wait "$writer" || { cat err >&2; false; }
    diff acks <(seq 0 11999)
    diff <(weir s2 read s2://test-basin/s -s 0 -n 20000) <(seq 12000)
}

@test "a follower comes back after kill -9 of the daemon" {
    begin
    seq 10 | weir s2 append s2://test-basin/s >/dev/null
    weir s2 read s2://test-basin/s -s 0 --attempts 200 >followed 2>err 3>&- &
    daemons+=("$!")
    until_ok grep -q 10 followed
    kill -9 "$daemon" && { wait "$daemon" || :; }
    start
    seq 11 20 | weir s2 append s2://test-basin/s >/dev/null
    until_ok grep -q 20 followed
    diff followed <(seq 20)
}

@test "TLS, an encryption key, an access token" {
    start "$store" --expose 127.0.0.1:0 --tls-self
    local port other key=S2_ENCRYPTION_KEY
    until_ok grep listening= "$store.log"
    port=$(grep -o 'listening=127.0.0.1:[0-9]*' "$store.log" | cut -d : -f 2)
    export S2_ACCOUNT_ENDPOINT=https://localhost:$port
    fails 1 'issuer is unknown' weir s2 ls
    trust=(--ca-file "$store/tls/certificate.pem")
    other=$(head -c 32 /dev/urandom | base64)
    export S2_ENCRYPTION_KEY
    S2_ENCRYPTION_KEY=$(head -c 32 /dev/urandom | base64)
    weir s2 create-basin test-basin "${trust[@]}" --stream-cipher aes-256-gcm --create-stream-on-append >/dev/null
    seq 10 | weir s2 append "${trust[@]}" s2://test-basin/s >/dev/null
    diff <(weir s2 read "${trust[@]}" s2://test-basin/s -s 0 -n 10) <(seq 10)
    fails 1 decryption_failed env "$key=$other" weir s2 read "${trust[@]}" s2://test-basin/s -s 0 -n 10
    weir s2 issue-access-token "${trust[@]}" reader --basins-prefix '' --streams-exact s --op-group-perms stream=r >issued
    weir s2 list-access-tokens "${trust[@]}" | grep -q '"id":"reader"'
    S2_ACCESS_TOKEN=$(sed 's/.*:"//; s/".*//' issued)
    export S2_ACCESS_TOKEN
    [ "$(weir s2 tail "${trust[@]}" s2://test-basin/s -n 1)" = 10 ]
    echo x >x
    fails 1 permission_denied weir s2 append "${trust[@]}" s2://test-basin/s -i x
    fails 1 permission_denied weir s2 check-tail "${trust[@]}" s2://test-basin/other
}

@test "another server: s2 lite, plain" {
    [ -x "$PEER" ] || skip 's2 lite is not installed (scripts/dev/peers)'
    lite
    weir s2 create-basin lite-basin --create-stream-on-append >/dev/null
    seq 1000 | weir s2 append s2://lite-basin/s --idempotent >out
    grep -q '"end":1000' out
    diff <(weir s2 read s2://lite-basin/s -s 0 -n 1000) <(seq 1000)
    weir s2 bench lite-basin -b 1024 -t 4 -d 1s -w 0s | grep -q '^hash chain: ok'
    fails 1 'stream_not_found' weir s2 get-stream-config s2://lite-basin/none
}

@test "another server: s2 lite with TLS" {
    [ -x "$PEER" ] || skip 's2 lite is not installed (scripts/dev/peers)'
    lite --tls-self
    fails 1 'certificate' weir s2 ls
    export S2_SSL_NO_VERIFY=1
    weir s2 create-basin lite-basin --create-stream-on-append >/dev/null
    head -c 2500000 /dev/zero | tr '\0' x >large
    echo >>large
    weir s2 append s2://lite-basin/s --messages -i large >/dev/null
    weir s2 read s2://lite-basin/s -s 0 -n 3 --messages | cmp - large
    weir s2 bench lite-basin -b 1024 -t 4 -d 1s -w 0s | grep -q '^hash chain: ok'
}
