#!/usr/bin/env bats
# The S2 API as plain HTTP clients use it: curl over an exposed port, by HTTP/1.1 and by HTTP/2 with prior knowledge.

load setup

# A daemon with a port; its URL in $url.
expose() {
    start "$store" --expose 127.0.0.1:0
    until_ok grep -q 'listening=127.0.0.1:' "$store.log"
    url=http://$(grep -o 'listening=127.0.0.1:[0-9]*' "$store.log" | cut -d = -f 2)
}

# s2 METHOD PATH [CURL-OPTION...]: in $basin, by HTTP/1.1 or by what $version says.
basin=weir-root
version=--http1.1
s2() {
    local method=$1 path=$2
    shift 2
    curl -sS "$version" --max-time 20 -X "$method" -H "s2-basin: $basin" -H 'authorization: Bearer any' "$url/v1$path" "$@"
}

# json METHOD PATH BODY [CURL-OPTION...]
json() {
    local method=$1 path=$2 body=$3
    shift 3
    s2 "$method" "$path" -H 'content-type: application/json' --data-binary "$body" "$@"
}

# code COMMAND...: the answer's status alone.
code() {
    "$@" -o /dev/null -w '%{http_code}'
}

@test "a basin, a stream, an append, a read: the same by both versions of HTTP" {
    expose
    for version in --http1.1 --http2-prior-knowledge; do
        basin=curl${version//[^a-z0-9]/-}
        [ "$(code json POST /basins "{\"basin\":\"$basin\"}")" = 201 ]
        [ "$(code json POST /streams '{"stream":"notes/a b"}')" = 201 ]
        run -0 json POST /streams/notes%2Fa%20b/records '{"records":[{"body":"one","headers":[["k","v"]]},{"body":"two"}]}'
        [[ $output == '{"start":{"seq_num":0,'*'"end":{"seq_num":2,'*'"tail":{"seq_num":2,'* ]]
        run -0 s2 GET '/streams/notes%2Fa%20b/records?seq_num=0' -w '\n%{http_code} %{http_version} %{content_type}'
        [ "$(jq -c '.records|map([.seq_num,.headers,.body])' <<<"${lines[0]}")" = '[[0,[["k","v"]],"one"],[1,null,"two"]]' ]
        [[ ${lines[1]} == "200 ${version:6:1}"*' application/json' ]]
        [ "$(s2 GET /streams/notes%2Fa%20b/records/tail | jq .tail.seq_num)" = 2 ]
        [ "$(s2 GET '/streams?prefix=notes/' | jq -r '.streams[].name')" = 'notes/a b' ]
        [ "$(code s2 DELETE /streams/notes%2Fa%20b)" = 202 ]
        [ "$(code s2 GET /streams/notes%2Fa%20b/records/tail)" = 404 ]
    done
}

@test "bytes travel as base64; numbers are exact" {
    expose
    json PUT /streams/s '{"timestamping":{"uncapped":true}}' -o /dev/null
    run -0 json POST /streams/s/records '{"records":[{"timestamp":18446744073709551615,"headers":[["/w==","AA=="]],"body":"AAH/"}]}' \
        -H 's2-format: base64'
    [[ $output == '{"start":{"seq_num":0,"timestamp":18446744073709551615},'* ]]
    run -0 s2 GET '/streams/s/records?seq_num=0' -H 's2-format: base64'
    [ "$output" = '{"records":[{"seq_num":0,"timestamp":18446744073709551615,"headers":[["/w==","AA=="]],"body":"AAH/"}]}' ]
    run -0 json POST /streams/s/records '{"records":[{}],"match_seq_num":18446744073709551615}' -w '%{http_code}'
    [ "$output" = '{"seq_num_mismatch":1}412' ]
    [ "$(json POST /streams/s/records '{"records":[{"body":"?"}]}' -H 's2-format: base64' | jq -r .code)" = invalid ]
    [ "$(weir cas "$store" "$(weir cat "$store" -T s | jq -r .hash)" | od -An -tx1)" = ' 00 01 ff' ]
}

@test "server-sent events: history, a ping at the tail, what is appended, by either dialect" {
    expose
    json PUT /streams/s '{}' -o /dev/null
    json POST /streams/s/records '{"records":[{"body":"first"}]}' -o /dev/null
    for version in --http1.1 --http2-prior-knowledge; do
        rm -f "$dir/events" # that of the other dialect is not to be taken for this one's
        s2 GET '/streams/s/records?seq_num=0' -N -H 'accept: text/event-stream' >"$dir/events" 2>/dev/null 3>&- &
        local reader=$!
        daemons+=("$reader")
        until_ok grep -q '^event: ping' "$dir/events"
        local before
        before=$(grep -c '^event: batch' "$dir/events")
        weir append "$store" s --content "live" >/dev/null
        until_ok eval "[ \$(grep -c '^event: batch' '$dir/events') -gt $before ]"
        grep '^data: {"records"' "$dir/events" | head -n 1 | grep -q '"body":"first"'
        grep '^data: {"records"' "$dir/events" | tail -n 1 | grep -q '"body":"live"'
        kill "$reader"
        wait "$reader" 2>/dev/null || :
    done
    run -0 s2 GET '/streams/s/records?seq_num=0&count=2' -H 'accept: text/event-stream' -H 'last-event-id: 0,1,13'
    [ "${lines[1]}" = 'id: 1,2,25' ]
    [ "${lines[-1]}" = 'data: [DONE]' ]
}

@test "answers are packed when asked, requests may be" {
    expose
    json PUT /streams/s '{}' -o /dev/null
    printf '{"records":[{"body":"%s"}]}' "$(printf 'again %.0s' {1..500})" >"$dir/body"
    gzip -k "$dir/body"
    [ "$(code s2 POST /streams/s/records -H 'content-type: application/json' -H 'content-encoding: gzip' --data-binary "@$dir/body.gz")" = 200 ]
    s2 GET '/streams/s/records?seq_num=0' -H 'accept-encoding: gzip' -o "$dir/answer" -D "$dir/head"
    grep -qi '^content-encoding: gzip' "$dir/head"
    [ "$(gzip -dc <"$dir/answer" | jq -r '.records[0].body|length')" = 3000 ]
}

@test "HTTP/1.1 and HTTP/2 share the port with each other and with the other dialect" {
    expose
    for version in --http1.1 --http2-prior-knowledge --http1.1; do
        [ "$(curl -sS "$version" --max-time 20 "$url/health")" = OK ]
        [ "$(curl -sS "$version" --max-time 20 "$url/version" | jq 'has("version")')" = true ]
        json POST /streams/s/records '{"records":[{"body":"x"}]}' -o "$dir/answer" -w '%{http_code}' >"$dir/code"
        [ "$(cat "$dir/code") $(jq -r .code "$dir/answer")" = '404 stream_not_found' ]
        jq -r .message "$dir/answer" | grep -q create_stream_on_append
    done
}
