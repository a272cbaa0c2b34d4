#!/usr/bin/env bats
# Appends by the S2 API, as the other dialects see them; weir fence, weir trim, names that only streams may have.

load setup

# s2 METHOD PATH [CURL-OPTION...]: over the store's own socket; the body is of $type.
type=application/json
s2() {
    local method=$1 path=$2
    shift 2
    curl -s --unix-socket "$store/sock" -X "$method" -H "content-type: $type" "http://localhost/v1$path" "$@"
}

# put STREAM JSON [CURL-OPTION...]: an append.
put() {
    local stream=$1 body=$2
    shift 2
    s2 POST "/streams/$stream/records" --data-binary "$body" "$@"
}

# make NAME [CONFIG]: a stream.
make() {
    s2 PUT "/streams/$1" -d "${2:-{\}}" >/dev/null
}

# status COMMAND...: its answer's status alone.
status() {
    "$@" -o /dev/null -w '%{http_code}'
}

@test "a record is a frame: what one dialect appends, the other reads" {
    start
    make notes '{"retention_policy":{"infinite":{}}}'
    run -0 put notes '{"records":[{"body":"one","headers":[["k","v"]]},{"body":"two"}]}'
    [[ $output == '{"start":{"seq_num":0,"timestamp":'*'},"end":{"seq_num":2,'*'},"tail":{"seq_num":2,'* ]]
    run -0 weir cat "$store" --stream notes --with-seq
    [[ ${lines[0]} == *'"meta":{"k":"v"},"ttl":"forever","seq":0'* ]]
    [[ ${lines[1]} == *'"meta":null,'* ]]
    [ "$(weir get "$store" "$(id_of <<<"${lines[0]}")" | grep -c notes)" = 1 ]
    [ "$(weir cas "$store" "$(grep -o 'sha256-[^"]*' <<<"${lines[0]}")")" = one ]
    weir append "$store" notes --content three --meta '{"k":"w"}' >"$dir/out"
    run -0 s2 GET '/streams/notes/records?seq_num=2'
    [[ $output == *'"seq_num":2,'*'"headers":[["k","w"]],"body":"three"'* ]]
}

@test "the stream's retention is its records' ttl" {
    start
    make short '{"retention_policy":{"age":60}}'
    put short '{"records":[{"body":"x"}]}' >"$dir/out"
    run -0 weir cat "$store" --stream short
    [[ $output == *'"ttl":"time:60000"'* ]]
}

@test "bodies: base64, protobuf, gzip; what cannot be read is 400" {
    start
    make s
    put s '{"records":[{"body":"AP8=","headers":[["YQ==","YQ=="]]}]}' -H 's2-format: base64' >"$dir/out"
    run -0 s2 GET '/streams/s/records?seq_num=0' -H 's2-format: base64'
    [[ $output == *'"headers":[["YQ==","YQ=="]],"body":"AP8="'* ]]
    printf '\x0a\x04\x1a\x02hi' >"$dir/input"
    type=application/protobuf
    run -0 put s "@$dir/input" -H 'accept: application/protobuf' -o "$dir/ack" -w '%{http_code} %{content_type}'
    [ "$output" = '200 application/protobuf' ]
    [[ $(od -An -tx1 "$dir/ack" | tr -d ' \n') == 0a??0801* ]]
    run -0 put s 'x' ; [[ $output == '{"code":"bad_proto",'* ]]
    type=application/json
    printf '{"records":[{"body":"packed"}]}' | gzip >"$dir/input"
    [ "$(status put s "@$dir/input" -H 'content-encoding: gzip')" = 200 ]
    run -0 put s 'nothing packed' -H 'content-encoding: gzip'
    [[ $output == '{"code":"bad_json",'* ]]
    run -0 put s '{"records":' ; [[ $output == '{"code":"bad_json",'* ]]
    type=text/plain
    run -0 put s '{"records":[]}' ; [[ $output == '{"code":"bad_json",'* ]]
    type=application/json
    run -0 s2 GET '/streams/s/records?seq_num=1'
    [[ $output == *'"body":"hi"'*'"body":"packed"}]}' ]]
}

@test "a body over 2 MiB is refused, as it came or unpacked" {
    start
    make s
    head -c 2097153 /dev/zero >"$dir/input"
    run -0 put s "@$dir/input"
    [[ $output == '{"code":"bad_json",'*'length limit'* ]]
    gzip -k "$dir/input"
    run -0 put s "@$dir/input.gz" -H 'content-encoding: gzip'
    [[ $output == '{"code":"bad_json",'*'length limit'* ]]
    type=application/protobuf
    run -0 put s "@$dir/input"
    [[ $output == '{"code":"bad_proto",'* ]]
}

@test "what is refused makes no stream" {
    start
    curl -s --unix-socket "$store/sock" -X PATCH -H 'content-type: application/json' \
        http://localhost/v1/basins/weir-root -d '{"create_stream_on_append":true}' >"$dir/out"
    for body in '{' '{"records":[]}' '{"records":[{"headers":[["","nope"]]}]}'; do
        [[ $(status put new "$body") == 4* ]]
    done
    [ "$(status put new '{"records":[{"body":"x"}],"match_seq_num":5}')" = 412 ]
    [ "$(status put new '{"records":[{"body":"x"}],"fencing_token":"t"}')" = 412 ]
    [ "$(status s2 GET /streams/new)" = 404 ]
    [ "$(status put new '{"records":[{"body":"x"}]}')" = 200 ]
    [ "$(status s2 GET /streams/new)" = 200 ]
}

@test "definitions of programs and stores need the store's own socket, by this API as by others" {
    start "$store" --expose "127.0.0.1:0"
    until_ok grep -q 'listening=127.0.0.1:' "$store.log"
    port=$(grep -o 'listening=127.0.0.1:[0-9]*' "$store.log" | grep -o '[0-9]*$')
    weir append "$store" xs.service.a.other --no-content >"$dir/out"
    run -0 curl -s "http://127.0.0.1:$port/v1/streams/xs.service.a.other/records" -H 's2-basin: weir-root' \
        -H 'content-type: application/json' -d '{"records":[{"body":"x"}]}'
    [[ $output == '{"code":"permission_denied",'* ]]
    [ "$(status put xs.service.a.other '{"records":[{"body":"x"}]}')" = 200 ]
}

@test "fence: who names another token is refused; '' takes it away" {
    start
    weir append "$store" t --content a >"$dir/out"
    run -0 weir fence "$store" t one
    [[ $output == '{"start":{"seq_num":1,'* ]]
    run -0 put t '{"records":[{"body":"x"}],"fencing_token":"other"}'
    [ "$output" = '{"fencing_token_mismatch":"one"}' ]
    [ "$(status put t '{"records":[{"body":"x"}],"fencing_token":"one"}')" = 200 ]
    [ "$(status put t '{"records":[{"body":"x"}]}')" = 200 ]
    fails 1 'another token is in force: one' weir fence "$store" t two --if-token three
    fails 1 "the topic's next seq is 4" weir fence "$store" t two --expect-seq 3
    weir fence "$store" t two --if-token one --expect-seq 4 >"$dir/out"
    weir fence "$store" t '' >"$dir/out"
    fails 1 'no token is in force' weir fence "$store" t four --if-token two
    weir fence "$store" t tok/en --if-token '' >"$dir/out"
    fails 1 '36 bytes' weir fence "$store" t 1234567890123456789012345678901234567
    fails 1 'no such' weir fence "$store" absent one
    fails 2 'usage' weir fence "$store" t
    stop
    start
    run -0 put t '{"records":[{"body":"x"}],"fencing_token":"one"}'
    [ "$output" = '{"fencing_token_mismatch":"tok/en"}' ]
}

@test "trim: frames below a seq are gone from every dialect" {
    start
    for n in 0 1 2 3; do weir append "$store" t --content "$n" >"$dir/out"; done
    run -0 weir trim "$store" t 2
    [[ $output == '{"start":{"seq_num":4,'* ]]
    [ "$(weir cat "$store" --stream t --with-seq | grep -o '"seq":[0-9]*' | paste -sd ' ')" = '"seq":2 "seq":3 "seq":4' ]
    weir trim "$store" t 1 >"$dir/out"
    weir trim "$store" t 18446744073709551615 --expect-seq 6 >"$dir/out"
    [ "$(weir cat "$store" --stream t | wc -l)" = 0 ]
    fails 2 'is no seq' weir trim "$store" t -- -1
    fails 2 'is no seq' weir trim "$store" t all
    run -0 s2 GET '/streams/t/records/tail'
    [[ $output == '{"tail":{"seq_num":7,'* ]]
}

@test "names that only streams may have are reached by --stream" {
    start
    name=$'dir/a b "\n\u00e9'
    run -0 weir append "$store" --stream "$name" --content x
    [[ $output == '{"topic":"dir/a b \"\n'* ]]
    [ "$(weir cat "$store" --stream "$name" | wc -l)" = 1 ]
    weir fence "$store" --stream "$name" token >"$dir/out"
    weir trim "$store" --stream "$name" 1 >"$dir/out"
    [ "$(weir cat "$store" --stream "$name" | wc -l)" = 2 ]
    fails 2 'only a-z' weir append "$store" "$name" --content x
    long=$(printf 'n%.0s' {1..512})
    weir append "$store" --stream "$long" --content x >"$dir/out"
    [ "$(weir cat "$store" --stream "$long" | wc -l)" = 1 ]
    fails 1 '512' weir append "$store" --stream "${long}n" --content x
    [ "$(grep -c ' dir/a b " ' "$store.log")" = 3 ] # control characters of a name are none of the log
}

@test "another store is named by its basin" {
    start
    weir store "$store" add other-store >"$dir/out"
    s2 PUT /streams/t -H 's2-basin: other-store' -d '{}' >"$dir/out"
    run -0 weir fence "$store" t one --basin other-store
    [[ $output == '{"start":{"seq_num":0,'* ]]
    [ "$(weir cat "$store" --stream t | wc -l)" = 0 ]
    run -0 put t '{"records":[{"body":"x"}]}' -H 's2-basin: other-store'
    run -0 put xs.store.a.create '{"records":[{"body":"x"}]}' -H 's2-basin: other-store'
    [[ $output == '{"code":"permission_denied",'* ]]
}

@test "a store whose name no basin may have is reached over its own socket" {
    start
    weir store "$store" add ab >"$dir/out"
    own=$(echo "$store"/basins/ab.*)
    weir append "$own" t --content x >"$dir/out"
    run -0 weir fence "$own" t one
    [[ $output == '{"start":{"seq_num":1,'* ]]
    fails 1 'another token is in force: one' weir trim "$own" t 1 --if-token two
    [ "$(weir cat "$own" --stream t | wc -l)" = 2 ]
}

@test "encrypted records open in a store restored from a dump, with their key alone" {
    start
    key=$(head -c 32 /dev/zero | base64)
    s2 PUT /basins/sealed-one -d '{"config":{"stream_cipher":"aes-256-gcm","create_stream_on_append":true}}' >"$dir/out"
    run -0 put s '{"records":[{"body":"hidden"}]}' -H 's2-basin: sealed-one'
    [[ $output == '{"code":"bad_header",'* ]]
    [ "$(status put s '{"records":[{"body":"hidden"}]}' -H 's2-basin: sealed-one' -H "s2-encryption-key: $key")" = 200 ]
    own=$(echo "$store"/basins/sealed-one.*)
    run -0 weir cat "$own" --stream s
    [[ $output == *'"meta":{"s2.sealed":"aes-256-gcm"}'* ]]
    weir export --addr "$own" "$dir/dump"
    stop
    store=$dir/restored
    start
    weir import --addr "$store" "$dir/dump" >"$dir/out"
    run -0 s2 GET '/streams/s/records?seq_num=0' -H "s2-encryption-key: $key"
    [[ $output == *'"body":"hidden"'* ]]
    run -0 s2 GET '/streams/s/records?seq_num=0' -H "s2-encryption-key: $(head -c 32 /dev/zero | tr '\0' x | base64)"
    [[ $output == '{"code":"decryption_failed",'* ]]
}

@test "what a program appends by this API carries its origin" {
    start
    weir append "$store" t --content x >"$dir/out"
    weir service "$store" add once -- weir fence t by-program >"$dir/out"
    seen() { weir cat "$store" --stream t --with-seq | grep '"seq":1' >"$dir/seen"; }
    until_ok seen
    grep -qF '"origin":"service/once"' "$dir/seen"
}
