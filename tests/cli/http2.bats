#!/usr/bin/env bats
# HTTP/2 with prior knowledge: the same routes as over HTTP/1.1, on the store's socket and on exposed addresses, by curl.
# (A curl of Debian 12 cannot use such a connection twice, so each call has its own; the unit test has many requests on one.)

load setup

# curls VERSION [CURL OPTION...]: over the Unix socket.
curls() {
    local version=$1
    shift
    curl -sS --max-time 20 "--http$version" --unix-socket "$store/sock" "$@"
}

# over VERSION METHOD TARGET [CURL OPTION...]: status, head without what the versions do differently, and body.
over() {
    local version=$1 method=$2 target=$3
    shift 3
    curls "$version" -X "$method" -D head.txt -o body -w '%{http_code} %{http_version}\n' "$@" "http://localhost$target" >code
    cut -d ' ' -f 1 code
    [ "$(cut -d ' ' -f 2 code)" = "${version%%-*}" ] || { echo "version $(cat code)" && return 1; }
    tr -d '\r' <head.txt | tr '[:upper:]' '[:lower:]' | grep -vE '^(http/|date:|transfer-encoding:|connection:|$)' | sort
    [ "$method" = HEAD ] || cat body
}

# same METHOD TARGET [CURL OPTION...]: both versions answer alike.
same() {
    over 1.1 "$@" >one || return 1
    over 2-prior-knowledge "$@" >two || return 1
    diff one two || { echo "not alike: $*" >&2; return 1; }
}

expose() {
    start "$store" --expose 127.0.0.1:0
    until_ok grep -q listening=127.0.0.1 "$store.log"
    port=$(grep -o 'listening=127.0.0.1:[0-9]*' "$store.log" | head -n 1 | grep -o '[0-9]*$')
    url=http://127.0.0.1:$port
}

@test "every route answers alike over both versions" {
    start
    over 2-prior-knowledge POST /append/note -d hello >two
    grep -q '"hash":"sha256-LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ="' two
    id=$(id_of <two)
    head -c 200000 /dev/urandom >large
    digest=sha256-$(openssl dgst -sha256 -binary large | base64)
    over 2-prior-knowledge POST /append/large -T large >two
    grep -qF "\"hash\":\"$digest\"" two
    same GET /last/note
    same GET "/$id"
    same GET '/?limit=2'
    same GET '/?limit=2' -H 'Accept: text/event-stream'
    same GET "/cas/$digest"
    same GET "/cas/$digest" -H 'Range: bytes=5-70000'
    same GET /version
    same GET /groups
    same HEAD /version -I
    same HEAD "/cas/$digest" -I
    same GET /none
    same GET /a/b
    same PUT /append/x -d a
    same POST /append/1bad -d a
    same POST /append/t -H 'xs-meta: %%%'
    same POST /cas -d 'by hash'
    same POST /eval --data-binary 'echo out; echo bad >&2; exit 9'
    same DELETE "/$id"
    same GET "/$id"
    over 2-prior-knowledge GET /metrics | grep -q '^weir_'
    over 2-prior-knowledge GET /status | grep -q '"state":"ok"'
    over 2-prior-knowledge POST /append -H 'Content-Type: application/x-ndjson' --data-binary '{"topic":"a"}
{"topic":"b"}' | grep -q '"topic":"b"'
    weir export "$store" >dump || over 2-prior-knowledge GET /export >dump
    [ -s dump ]
}

@test "trailers of a program that fails" {
    start
    curls 2-prior-knowledge -i --data-binary 'echo x; echo bad >&2; exit 9' http://l/eval >out
    grep -q '^weir-exit: 9' out
}

@test "a large content up and down, byte by byte, on every listener" {
    expose
    head -c 30000000 /dev/urandom >large
    digest=sha256-$(openssl dgst -sha256 -binary large | base64)
    curl -sS --max-time 30 --http2-prior-knowledge -X POST -T large "$url/append/large" | grep -qF "$digest"
    curl -sS --max-time 30 --http2-prior-knowledge "$url/cas/$digest" | cmp - large
    curls 2-prior-knowledge "http://l/cas/$digest" | cmp - large
    curls 2-prior-knowledge -X POST -T large http://l/append/again | grep -qF "$digest"
}

@test "a follow gets what comes, and ends well when the daemon stops" {
    expose
    curl -sSN --max-time 20 --http2-prior-knowledge "$url/?follow" >followed &
    follow=$!
    until_ok grep -q xs.threshold followed
    add note >/dev/null
    until_ok grep -q '"topic":"note"' followed
    stop
    wait "$follow"
    grep -q '"topic":"xs.stopping"' followed
}

@test "a killed daemon is no clean end" {
    expose
    curl -sSN --max-time 20 --http2-prior-knowledge "$url/?follow" >followed 2>err &
    follow=$!
    until_ok grep -q xs.threshold followed
    kill -9 "$daemon"
    run wait "$follow"
    [ "$status" -ne 0 ]
}

@test "browsers' rules hold: a foreign authority or origin may not come" {
    expose
    code() { curl -sS -o /dev/null -w '%{http_code}' --max-time 20 --http2-prior-knowledge "$@" "$url/version"; }
    [ "$(code)" = 200 ]
    [ "$(code -H 'Host: evil.example')" = 403 ]
    [ "$(code -H 'Origin: http://evil.example')" = 403 ]
    [ "$(code -H 'Sec-Fetch-Site: cross-site')" = 403 ]
    [ "$(code -H "Origin: $url")" = 200 ]
}

@test "frames as answers: --http speaks it, too" {
    start "$store" --http 127.0.0.1:0
    until_ok grep -q "serve listening" "$store.log"
    url=http://$(grep -o "serve listening=[0-9.:]*" "$store.log" | cut -d = -f 2)
    curl -sS --max-time 20 --http2-prior-knowledge -w '%{http_version} %{http_code}' -o out "$url/" >code
    [ "$(cat code)" = '2 503' ]
}
