#!/usr/bin/env bats
# The HTTP routes by curl over the store's socket: what each answers, and every error.

load setup

# http METHOD TARGET [CURL OPTION...]: the body in $body and the file body, the status in $status, the head in $head.
http() {
    local method=$1 target=$2
    shift 2
    : >"$dir/body"
    status=$(curl -sS --max-time 20 --unix-socket "$store/sock" -X "$method" -D "$dir/head" -o "$dir/body" \
        -w '%{http_code}' "$@" "http://localhost$target")
    body=$(tr -d '\0' <"$dir/body")
    head=$(tr -d '\r' <"$dir/head")
}

# is STATUS [TEXT]: the last answer had this status and holds the text.
is() {
    [ "$status" = "$1" ] || { echo "status $status, not $1: $body" >&2; return 1; }
    [ $# -eq 1 ] || [[ $body == *"$2"* ]] || { echo "no $2 in: $body" >&2; return 1; }
}

# refused STATUS CODE: an error in JSON with this code.
refused() {
    is "$1" "{\"error\":\"$2\",\"message\":\"" || return 1
    [[ $head == *'Content-Type: application/json'* ]]
}

has_field() {
    [[ $head == *"$1"* ]] || { echo "no $1 in: $head" >&2; return 1; }
}

no_id=0000000000000000000000001
hello=sha256-LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=
no_hash=sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=

@test "append: the frame without a newline, as read later" {
    start
    http POST /append/note -d hello
    is 200 "\"hash\":\"$hello\",\"meta\":null,\"ttl\":\"forever\"}"
    has_field 'Content-Type: application/json'
    frame=$body
    [ "$(curl -sS --unix-socket "$store/sock" http://localhost/last/note)" = "$frame" ]
    http GET "/$(id_of <<<"$frame")"
    [ "$body" = "$frame" ]
}

@test "append: ttl, with-timestamp, with-seq" {
    start
    http POST '/append/t?ttl=last:3&with-seq&with-timestamp' -d ''
    is 200 '"hash":null,"meta":null,"ttl":"last:3","seq":0,"timestamp":"'
    http POST '/append/t?with-seq' -d ''
    is 200 '"seq":1}'
    http POST '/append/t?ttl=ephemeral&with-seq' -d ''
    is 200 '"ttl":"ephemeral","seq":null}'
    http POST '/append/t?ttl=head:3'
    refused 400 invalid
    http POST '/append/t?ttl=last:1&ttl=last:1'
    refused 400 invalid
}

@test "append: meta as base64 and as JSON, and what is neither" {
    start
    http POST /append/t -H 'xs-meta: eyJrZXkiOiJ2YWx1ZSJ9'
    is 200 '"meta":{"key":"value"}'
    http POST /append/t -H 'xs-meta: {"a": [1, 2]}'
    is 200 '"meta":{"a":[1,2]}'
    http POST /append/t -H 'xs-meta: null'
    refused 400 invalid
    for bad in '%%%' '{"a":' 'bm90IGpzb24='; do
        http POST /append/t -H "xs-meta: $bad"
        refused 400 invalid
    done
    [ -z "$(weir cat "$store" -T t --json | sed -n 3p)" ]
}

@test "append: topics that are none" {
    start
    for bad in 1a .a a. a..b a%20b a%2Fb "$(printf 'a%.0s' {1..256})" %zz; do
        http POST "/append/$bad"
        refused 400 invalid
    done
    http POST "/append/$(printf 'a%.0s' {1..255})"
    is 200
    http POST /append/%61bc
    is 200 '"topic":"abc"'
}

@test "append: content of any size is kept whole" {
    start
    head -c 3000000 /dev/urandom >big
    http POST /append/big --data-binary @big
    is 200
    http GET "/cas/$(grep -o 'sha256-[^"]*' <<<"$body")"
    cmp big body
    http POST /append/chunked --data-binary @big -H 'Transfer-Encoding: chunked'
    is 200
    [ "$(grep -o 'sha256-[^"]*' <<<"$body")" = "sha256-$(openssl dgst -sha256 -binary big | base64)" ]
}

@test "conditions: 412 tells the actual values" {
    start
    http POST '/append/t?expect-seq=0'
    is 200
    id=$(id_of <<<"$body")
    http POST '/append/t?expect-seq=0'
    refused 412 condition_failed
    is 412 "\"next_seq\":1,\"last_id\":\"$id\""
    http POST "/append/t?expect-last=$id"
    is 200
    http POST "/append/t?expect-last=$id"
    refused 412 condition_failed
    http POST '/append/t?expect-last=1'
    refused 400 invalid
}

@test "a repeated key gives the first answer, another content 409" {
    start
    http POST '/append/t?key=k1&with-seq' -d one
    first=$body
    is 200 '"seq":0}'
    http POST /append/t -d between
    http POST '/append/t?key=k1&with-seq' -d one
    [ "$body" = "$first" ]
    has_field 'weir-repeat: 1'
    http POST '/append/t?key=k1' -d other
    refused 409 key_reused
    http POST "/append/t?key=$(printf 'k%.0s' {1..65})"
    refused 400 invalid
}

@test "the seed's append: one segment that is no route" {
    start
    http POST /note -d x
    is 200 '"topic":"note"'
    http POST '/note?ttl=head:2'
    is 200 '"ttl":"last:2"'
    for name in exec v1 streams access-tokens dashboard; do
        http POST "/$name"
        is 404
        [ -z "$body" ]
    done
    http POST /a/b
    is 404
}

@test "batch: all frames or none" {
    start
    printf '%s\n' '{"topic":"a","content":"hello"}' '' '{"topic":"b","meta":{"x": 1},"ttl":"last:2"}' >lines
    http POST /append --data-binary @lines
    is 200 '"topic":"b"'
    [ "$(wc -l <<<"$body")" -eq 2 ]
    has_field 'Content-Type: application/x-ndjson'
    printf '%s\n' '{"topic":"a"}' '{"topic":"1"}' >lines
    http POST /append --data-binary @lines
    refused 400 invalid
    is 400 '"line":2,"committed":0}'
    [ "$(weir cat "$store" --json | topics_of)" = "a b" ]
    for bad in '[]' '{}' '{"topic":"a","topic":"a"}' '{"topic":"a","content":"x","content_base64":"eA=="}' 'x'; do
        http POST /append -d "$bad"
        refused 400 invalid
    done
}

@test "batch: content by its hash must be there" {
    start
    http POST /append -d "{\"topic\":\"a\",\"hash\":\"$hello\"}"
    refused 409 conflict
    http POST /cas -d hello
    is 200 "$hello"
    http POST /append -d "{\"topic\":\"a\",\"hash\":\"$hello\"}"
    is 200
    http GET "/cas/$hello"
    is 200 hello
}

@test "batch: limits, conditions and keys" {
    start
    yes '{"topic":"a"}' | head -n 10001 >lines || :
    http POST /append --data-binary @lines
    refused 413 too_large
    head -c 8388609 /dev/zero | tr '\0' ' ' >large
    http POST /append --data-binary @large
    refused 413 too_large
    http POST /append --data-binary @large -H 'Transfer-Encoding: chunked'
    refused 413 too_large
    printf '%s\n' '{"topic":"a"}' '{"topic":"b"}' >lines
    http POST '/append?expect-seq=0' --data-binary @lines
    refused 400 invalid
    http POST '/append?expect-seq=5' -d '{"topic":"a"}'
    refused 412 condition_failed
    http POST '/append?key=k&with-seq' --data-binary @lines
    first=$body
    http POST '/append?key=k&with-seq' --data-binary @lines
    [ "$body" = "$first" ]
    has_field 'weir-repeat: 1'
    http POST '/append?key=k' -d '{"topic":"a"}'
    refused 409 key_reused
    http POST '/append?stream&key=k2' -d '{"topic":"a"}'
    refused 400 invalid
}

@test "batch as a stream: groups, and what was kept before a bad line" {
    start
    seq -f '{"topic":"n","content":"%.0f"}' 2500 >lines
    http POST '/append?stream' --data-binary @lines
    is 200 '{"frames":2500,"first":"'
    http GET '/?topic=n&count'
    is 200 '{"count":2500}'
    printf '%s\n' '{"topic":"m"}' '{"topic":"m"}' 'oops' >lines
    http POST '/append?stream' --data-binary @lines
    refused 400 invalid
    is 400 '"line":3,"committed":2}'
    http GET '/?topic=m&count'
    is 200 '{"count":2}'
    http POST '/append?stream' -d ''
    is 200 '{"frames":0,"first":null,"last":null}'
    { printf '{"topic":"m","content":"'; head -c 8400000 /dev/zero | tr '\0' x; } >long
    http POST '/append?stream' --data-binary @long
    refused 413 too_large
}

@test "reading: lines, options, errors" {
    start
    for n in 1 2 3 4; do add t.$n >/dev/null; done
    id=$(curl -sS --unix-socket "$store/sock" http://localhost/last/t.2 | id_of)
    http GET '/?topic=t.*'
    has_field 'Content-Type: application/x-ndjson'
    [ "$(topics_of <<<"$body")" = "t.1 t.2 t.3 t.4" ]
    http GET "/?topic=t.*&after=$id"
    [ "$(topics_of <<<"$body")" = "t.3 t.4" ]
    http GET "/?topic=t.*&from=$id&limit=2"
    [ "$(topics_of <<<"$body")" = "t.2 t.3" ]
    http GET "/?topic=t.*&before=$id"
    [ "$(topics_of <<<"$body")" = "t.1" ]
    http GET '/?topic=t.*&reverse&limit=3'
    [ "$(topics_of <<<"$body")" = "t.4 t.3 t.2" ]
    http GET '/?topic=t.*&last=2'
    [ "$(topics_of <<<"$body")" = "t.3 t.4" ]
    http GET '/?stream=t.1'
    [ "$(topics_of <<<"$body")" = "t.1" ]
    http GET '/?topic=t.*&since=10m&until=0s&count'
    is 200 '{"count":4}'
    for empty in 'limit=0' 'last=0' 'topic=none' "before=$no_id" 'until=@1'; do
        http GET "/?$empty"
        is 200
        [ -z "$body" ]
    done
    for bad in after=123 limit=x follow=maybe follow=5 topic=a* 'topic=a&topic=a' 'new&tail' since=soon 'follow&reverse' \
        'follow&count' 'follow&until=0s' stream=; do
        http GET "/?$bad"
        refused 400 invalid
    done
    http GET '/?foo=bar'
    is 200
    http HEAD / -I
    is 200
}

@test "events: blocks, and Last-Event-ID" {
    start
    a=$(add t)
    b=$(add t)
    http GET '/?topic=t' -H 'Accept: text/html, Text/Event-Stream;q=1'
    has_field 'Content-Type: text/event-stream'
    [ "$(grep -c '^data: {' <<<"$body")" -eq 2 ]
    [ "$(grep '^id: ' <<<"$body" | paste -s -d ' ')" = "id: $a id: $b" ]
    http GET '/?topic=t' -H 'Accept: text/event-stream' -H "Last-Event-ID: $a"
    [ "$(grep -c '^id: ' <<<"$body")" -eq 1 ]
}

@test "following: threshold, live frames, limit, pulses, a clean end at the stop" {
    start
    add t >/dev/null
    curl -sS -N --max-time 20 --unix-socket "$store/sock" 'http://localhost/?follow&topic=t&limit=2' >limited &
    local reader=$!
    until_ok grep -q xs.threshold limited
    add other >/dev/null
    add t >/dev/null
    wait "$reader"
    [ "$(grep -o '"topic":"[^"]*"' limited | cut -d '"' -f 4 | paste -s -d ' ')" = "t xs.threshold t" ]
    curl -sS -N --max-time 20 --unix-socket "$store/sock" 'http://localhost/?follow=50&new' >pulses &
    reader=$!
    until_ok eval '[ "$(grep -c xs.pulse pulses)" -ge 3 ]'
    lacks xs.threshold pulses
    stop
    wait "$reader" # with 0: the answer ended as it should
    grep -q xs.stopping pulses
}

@test "last: one object, lines, 404, following" {
    start
    add a >/dev/null
    add a >/dev/null
    http GET /last/a
    has_field 'Content-Type: application/json'
    http GET '/last/a?last=5'
    [ "$(wc -l <<<"$body")" -eq 2 ]
    has_field 'Content-Type: application/x-ndjson'
    http GET /head/a
    is 200 '"topic":"a"'
    for none in /last/b '/last/b?last=2' /head/b; do
        http GET "$none"
        is 404
        [ -z "$body" ]
    done
    http GET '/last?last=x'
    refused 400 invalid
    http GET /last/1x
    refused 400 invalid
}

@test "get and delete by id" {
    start
    id=$(add t)
    http GET "/${id^^}?with-seq"
    is 200 "\"id\":\"$id\""
    http GET "/$no_id"
    is 404
    [ -z "$body" ]
    http GET /nothing
    refused 400 invalid
    http DELETE "/$id"
    is 204
    http DELETE "/$id"
    is 204
    http GET "/$id"
    is 404
    http DELETE /nothing
    refused 400 invalid
}

@test "contents: whole, ranges, known ones, absent ones" {
    start
    http POST /cas -d hello
    is 200 "$hello"
    has_field 'Content-Type: text/plain'
    http POST /cas -d ''
    refused 400 invalid
    head -c 2000000 /dev/urandom >big
    http POST /cas --data-binary @big
    large=$body
    for hash in "$hello" "${hello//\//%2F}"; do
        http GET "/cas/$hash"
        is 200 hello
    done
    has_field "ETag: \"$hello\""
    has_field 'Accept-Ranges: bytes'
    http GET "/cas/$hello" -H 'Range: bytes=1-3'
    is 206 ell
    has_field 'Content-Range: bytes 1-3/5'
    http GET "/cas/$hello" -H 'Range: bytes=-2'
    is 206 lo
    http GET "/cas/$hello" -H 'Range: bytes=9-'
    refused 416 range
    has_field 'Content-Range: bytes */5'
    http GET "/cas/$hello" -H 'Range: lines=1-2'
    is 200 hello
    http GET "/cas/$hello" -H "If-None-Match: \"x\", \"$hello\""
    is 304
    http GET "/cas/$large" -H 'Range: bytes=1000000-1700000'
    is 206
    cmp body <(tail -c +1000001 big | head -c 700001)
    http GET "/cas/$no_hash"
    is 404
    [ -z "$body" ]
    for bad in sha256-%2525 md9-abcd sha256-abc x; do
        http GET "/cas/$bad"
        refused 400 invalid
    done
}

@test "import: a frame, lines, faults" {
    start
    old=03bcpn2dnq529qrqkbqcz4jv4
    http POST /import -d "{\"topic\":\"test\",\"id\":\"$old\"}"
    is 200 "{\"topic\":\"test\",\"id\":\"$old\",\"hash\":null,\"meta\":null,\"ttl\":null}"
    http POST /import -d "{\"topic\":\"test\",\"id\":\"$old\"}"
    is 200
    http POST /import -d "{\"topic\":\"test\",\"id\":\"$old\",\"meta\":1}"
    refused 409 conflict
    for bad in '' '{}' '[]' '{"topic":"a","id":"x"}' '{"topic":"a"}' '{"id":"03bcpn2dnq529qrqkbqcz4jv5"}' \
        '{"topic":"a","id":"f5lxx1zz5pnorynqglhzmsp33"}'; do
        http POST /import -d "$bad"
        refused 400 invalid
    done
    next=03bcpn2dnq529qrqkbqcz4jv5
    http POST /import -d "{\"topic\":\"a\",\"id\":\"$next\",\"hash\":\"$no_hash\"}"
    refused 409 conflict
    http POST '/import?allow-missing' -d "{\"topic\":\"a\",\"id\":\"$next\",\"hash\":\"$no_hash\"}"
    is 200
    printf '{"topic":"l","id":"03bcpn2dnq529qrqkbqcz4jv%s","content":"%s"}\n' 4 same 6 one 7 two >lines
    http POST '/import?stream' --data-binary @lines
    refused 409 conflict
    is 409 '"line":1,"committed":0}'
    tail -n 2 lines >rest
    http POST '/import?stream' --data-binary @rest
    is 200 '{"frames":2,"existing":0,"first":"03bcpn2dnq529qrqkbqcz4jv6","last":"03bcpn2dnq529qrqkbqcz4jv7"}'
    http POST '/import?stream' --data-binary @rest
    is 200 '{"frames":2,"existing":2,'
    http POST '/import?stream' -d "{\"topic\":\"l\",\"id\":\"$next\",\"hash\":\"$hello\",\"content\":\"not hello\"}"
    refused 400 invalid
}

@test "export and import of a dump restore everything; a cut or changed one is refused" {
    start
    head -c 300000 /dev/urandom >big
    weir append "$store" a.big <big >/dev/null
    weir append "$store" a.big2 <big >/dev/null
    weir append "$store" a.small --meta '{"k":1}' --ttl last:7 <<<hello >/dev/null
    http GET '/export?topic=a.*'
    cp body dump
    has_field 'Content-Type: application/x-weir-dump'
    weir cat "$store" -T 'a.*' --with-seq --json >before
    start "$dir/other"
    store=$dir/other
    http POST /import -H 'Content-Type: application/x-weir-dump' --data-binary @dump
    is 200 '{"frames":3,"existing":0,'
    weir cat "$store" -T 'a.*' --with-seq --json >after
    cmp before after
    http GET "/cas/$(grep -o 'sha256-[^"]*' after | head -n 1)"
    cmp big body
    http POST /import -H 'Content-Type: application/x-weir-dump' --data-binary @dump
    is 200 '{"frames":3,"existing":3,'
    head -c -20 dump >short
    http POST /import -H 'Content-Type: application/x-weir-dump' --data-binary @short
    refused 400 invalid
    printf 'X' | dd of=dump bs=1 seek=100000 conv=notrunc status=none
    http POST /import -H 'Content-Type: application/x-weir-dump' --data-binary @dump
    refused 400 invalid
    http POST /import -H 'Content-Type: application/x-weir-dump' -d ''
    refused 400 invalid
    http POST /import -H 'Content-Type: application/x-weir-dump' -d 'no dump'
    refused 400 invalid
}

@test "version, status, metrics" {
    start
    http GET /version
    is 200 '{"version":"'
    http GET /status
    for key in pid uuid path format uptime_ms frames topics bytes followers connections programs stores journal index; do
        is 200 "\"$key\":"
    done
    is 200 '"sync":"every-append","state":"ok"}'
    http GET /metrics
    is 200 '# TYPE weir_frames gauge'
    has_field 'Content-Type: text/plain; version=0.0.4'
}

@test "other methods: 405 with Allow where the path is known, else 404" {
    start
    for path in / /append /append/t /last /last/t /cas /cas/x /import /export /version /status /metrics; do
        http PUT "$path"
        is 405
        has_field 'Allow: '
    done
    http POST /version
    is 405
    for path in /a/b /append/a/b /cas/ /v1/nothing //; do
        http GET "$path"
        is 404
        [ -z "$body" ]
    done
    http PUT /nothing
    is 404
}

@test "a head that is too large: 431" {
    start
    big=$(printf 'x%.0s' {1..7000})
    http GET / -H "a: $big" -H "b: $big" -H "c: $big" -H "d: $big" -H "e: $big" -H "f: $big" -H "g: $big" -H "h: $big" \
        -H "i: $big" -H "j: $big"
    is 431
}

@test "a body that does not come: 408" {
    "$WEIR_BIN/weird" "$store" --idle-timeout 1 --expose :0 2>log 3>&- &
    daemon=$!
    daemons+=("$daemon")
    until_ok weir version "$store"
    port=$(weir last "$store" xs.start --json | grep -o '127.0.0.1:[0-9]*')
    exec {conn}<>"/dev/tcp/${port/://}"
    printf 'POST /append/t HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nab' >&"$conn"
    timeout 10 cat <&"$conn" >answer
    exec {conn}>&-
    grep -q 'HTTP/1.1 408' answer
    [ "$(weir cat "$store" --json | topics_of)" = "" ]
}

@test "over TCP: everything but what defines programs and stores; xs.start names the port" {
    start "$store" --expose 127.0.0.1:0
    port=$(weir last "$store" xs.start --json | grep -o '127.0.0.1:[0-9]*')
    curl -sS --max-time 5 -d x "http://$port/append/t" | grep -q '"topic":"t"'
    for topic in xs.service.a.create xs.actor.a.create xs.action.a.create xs.store.a.create; do
        [ "$(curl -sS --max-time 5 -o out -w '%{http_code}' -d x "http://$port/append/$topic")" = 403 ]
        grep -q '"error":"forbidden"' out
        [ "$(curl -sS --max-time 5 -o out -w '%{http_code}' -d "{\"topic\":\"$topic\"}" "http://$port/append")" = 403 ]
        weir append "$store" $topic --no-content >/dev/null
    done
    [ "$(curl -sS --max-time 5 -o out -w '%{http_code}' -H 'Origin: http://evil.example' "http://$port/")" = 403 ]
}

@test "what would be lost silently is refused: a mistyped key, a second xs-meta" {
    start
    for end in /append '/append?stream'; do
        http POST "$end" --data-binary '{"topic":"q","contnt":"x"}'
        refused 400 invalid
        is 400 contnt
    done
    http POST /append/t -d x -H 'xs-meta: 1' -H 'xs-meta: 2'
    refused 400 invalid
    http GET '/?count'
    is 200 '{"count":1}'
}

@test "a refused start and a check make no store" {
    run "$WEIR_BIN/weird" ./refused --expose bogus
    [ "$status" -eq 1 ]
    [ ! -e refused ]
    run "$WEIR_BIN/weird" ./typo --verify
    [ "$status" -eq 1 ]
    [[ "$output" == *"no store at ./typo"* ]]
    run "$WEIR_BIN/weird" ./typo --repair
    [ "$status" -eq 1 ]
    [ ! -e typo ]
}
