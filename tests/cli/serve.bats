#!/usr/bin/env bats
# HTTP through frames: requests become http.request, are answered by http.response. tests/cli/responder.py answers.

load setup

# http [OPTION...]: a daemon with a public listener; its port in $port.
http() {
    start "$store" --http 127.0.0.1:0 "$@"
    until_ok grep -q '^live page: ' "$store.log"
    until_ok grep -q 'serve listening=' "$store.log"
    port=$(sed -n 's/.*serve listening=127\.0\.0\.1://p' "$store.log")
    url=http://127.0.0.1:$port
}

# respond [NAME]: a responder that follows.
respond() {
    python3 "$here/responder.py" "$store" "$dir" "$@" 3>&- &
    daemons+=("$!")
    until_ok test -e "$dir/ready${1:-}"
}

teardown() {
    local pid
    for pid in "${daemons[@]}"; do
        pkill -9 -P "$pid" 2>/dev/null || :
        kill -9 "$pid" 2>/dev/null || :
        wait "$pid" 2>/dev/null || :
    done
    cd / && rm -rf "$dir"
}

# watch FILE TOPIC: from now on, the topic's frames are written to the file.
watch() {
    weir cat "$store" -f --topic "$2" >"$1" 3>&- &
    daemons+=("$!")
    until_ok grep -q xs.threshold "$1"
}

# comes FILE TOPIC: a frame of the topic comes to be in the file.
comes() {
    until_ok grep -q "\"topic\":\"$2\"" "$1"
}

# is_head NAME VALUE: the answer's head in the file `head` has the header.
is_head() {
    tr -d '\r' <./head | grep -qix "$1: $2"
}

# field EXPRESSION: of the JSON in the file `out`, as Python sees it.
field() {
    python3 -c 'import json,sys; d=json.load(open("out")); print(eval(sys.argv[1]))' "$1"
}

@test "a request becomes a frame: method, path, query, headers, peer, body" {
    http
    respond
    run -0 curl -s -o out -D head -X PUT --data-binary hello -H 'X-Thing: a' -H 'x-thing: b' -H 'X-Solo: s' \
        "$url/echo/a%20b?q=1&q=2&name=%41+b&bare"
    is_head content-type application/json
    [ "$(field 'd["topic"], d["ttl"]')" = "('http.request', 'ephemeral')" ]
    [ "$(field 'd["meta"]["proto"], d["meta"]["method"], d["meta"]["authority"]')" = \
        "('HTTP/1.1', 'PUT', '127.0.0.1:$port')" ]
    [ "$(field 'd["meta"]["uri"]')" = '/echo/a%20b?q=1&q=2&name=%41+b&bare' ]
    [ "$(field 'd["meta"]["path"]')" = /echo/a%20b ]
    [ "$(field 'd["meta"]["query"]')" = "{'q': '2', 'name': 'A b', 'bare': ''}" ]
    [ "$(field 'd["meta"]["headers"]["x-thing"], d["meta"]["headers"]["x-solo"]')" = "(['a', 'b'], 's')" ]
    [ "$(field 'd["meta"]["remote_ip"], d["meta"]["remote_port"] > 0')" = "('127.0.0.1', True)" ]
    [ "$(field 'd["hash"]')" = sha256-LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ= ]
    # No body, no hash; and an ephemeral frame is not in the history.
    curl -s -o out "$url/echo"
    [ "$(field 'd["hash"]')" = None ]
    weir cat "$store" | lacks http.request
}

@test "bytes of a header and of a query that are no UTF-8 arrive as Latin-1, or as sent" {
    http
    respond
    curl -s -o out -H $'X-Old: caf\xe9' "$url/echo?a=%FF&b=%zz&c=%C3%A9"
    [ "$(field 'ascii(d["meta"]["headers"]["x-old"])')" = "'caf\\xe9'" ]
    [ "$(field 'ascii(d["meta"]["query"])')" = "{'a': '\\xff', 'b': '%zz', 'c': '\\xe9'}" ]
}

@test "a response's status and headers arrive; text/plain by default; what belongs to the connection does not" {
    http
    respond
    [ "$(curl -s -D head "$url/plain")" = plain ]
    is_head content-type text/plain
    grep -q '^HTTP/1.1 200 ' head
    [ "$(curl -s -D head "$url/head?status=418")" = made ]
    grep -q '^HTTP/1.1 418 ' head
    is_head x-one uno
    is_head content-length 4
    [ "$(grep -ci '^set-cookie: ' head)" -eq 2 ]
    lacks '^connection' head
    # A status without body.
    [ -z "$(curl -s -D head "$url/head?status=204")" ]
    grep -q '^HTTP/1.1 204 ' head
    lacks -i '^content-length: 4' head
}

@test "HEAD gets the head alone, and the connection goes on" {
    http
    respond
    curl -s -I "$url/plain" --next -s "$url/plain" -o out >./head
    is_head content-length 5
    [ "$(<out)" = plain ]
    curl -s -I "$url/more" --next -s "$url/plain" -o out >./head
    grep -q '^HTTP/1.[01] 200 ' head
    [ "$(<out)" = plain ]
}

@test "a response of several frames is streamed in order, until one has no more" {
    http
    respond
    [ "$(curl -s -D head "$url/more")" = 'one two three' ]
    grep -q '^HTTP/1.1 200 ' head
    is_head transfer-encoding chunked
}

@test "a slow stream is flushed frame by frame" {
    http
    respond
    curl -sN -D head "$url/events" >out 3>&- &
    daemons+=("$!")
    until_ok grep -qx 'data: 1' out
    is_head content-type text/event-stream
    lacks 'data: 2' out
    touch go
    wait "$!"
    grep -qx 'data: 2' out
}

@test "bodies are binary and of any size, both ways" {
    http
    respond
    head -c 1048576 /dev/urandom >big
    head -c 65537 big >odd
    printf 'a\0b\r\n\377' >small
    for file in small odd big; do
        curl -s -o out --data-binary "@$file" "$url/body"
        cmp "$file" out
    done
    curl -s -o out -H 'Transfer-Encoding: chunked' --data-binary @big "$url/body"
    cmp big out
    # A client that announces its body waits for the word, and gets it.
    curl -sv -o out -H 'Expect: 100-continue' --data-binary @odd "$url/body" 2>said
    grep -q '^< HTTP/1.1 100' said
    cmp odd out
}

@test "a body over the limit is 413, announced or not" {
    http --http-body-max 1K
    respond
    head -c 1024 /dev/zero >fits
    head -c 1025 /dev/zero >over
    curl -s -o out --data-binary @fits "$url/body"
    cmp fits out
    [ "$(curl -s -o out -w '%{http_code}' --data-binary @over "$url/body")" = 413 ]
    grep -q '"error":"too_large"' out
    [ "$(curl -s -o out -w '%{http_code}' -H 'Transfer-Encoding: chunked' --data-binary @over "$url/body")" = 413 ]
}

@test "a request nobody answers is 504, and the programs are told" {
    http --http-timeout 1
    respond
    watch gone http.disconnect
    [ "$(curl -s -o out -w '%{http_code}' "$url/silent")" = 504 ]
    grep -q '"error":"timeout"' out
    comes gone http.disconnect
    grep -q '"topic":"http.disconnect".*"meta":{"request_id":"[0-9a-z]*"},"ttl":"ephemeral"' gone
}

@test "without a responder a request is 503, empty, and no frame" {
    http
    [ "$(curl -s -o out -w '%{http_code} %{size_download}' "$url/x")" = '503 0' ]
    weir cat "$store" -f >all 3>&- & # one that follows everything looks on; it is no responder
    daemons+=("$!")
    until_ok grep -q xs.threshold all
    [ "$(curl -s -o out -w '%{http_code} %{size_download}' -d body "$url/x")" = '503 0' ]
    weir append "$store" end --no-content >/dev/null
    until_ok grep -q '"topic":"end"' all
    lacks http.request all
}

@test "more than 1024 open requests are 503 with Retry-After" {
    http --http-timeout 60
    respond
    python3 - "$port" <<'END'
import resource, socket, sys
most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
port = int(sys.argv[1])
ask = b'GET /silent HTTP/1.1\r\nHost: x\r\n\r\n'
held = []
for _ in range(1024):
    s = socket.create_connection(('127.0.0.1', port), 10)
    s.sendall(ask)
    held.append(s)
# One of them may still be on its way in when the next one comes, so that one asks until all are open.
for _ in range(200):
    with socket.create_connection(('127.0.0.1', port), 10) as s:
        s.settimeout(0.05)
        s.sendall(ask)
        try:
            answer = s.recv(4096)
        except socket.timeout:
            continue
    break
assert answer.startswith(b'HTTP/1.1 503 ') and b'Retry-After: 1' in answer, answer
END
}

@test "a client that hangs up: http.disconnect names its request" {
    http
    respond
    watch asked http.request
    watch gone http.disconnect
    curl -s -m 0.3 "$url/silent" || [ $? -eq 28 ]
    comes gone http.disconnect
    [ "$(grep -o '"request_id":"[^"]*"' gone | cut -d '"' -f 4)" = "$(grep http.request asked | id_of)" ]
    # In the middle of an answer, too.
    watch gone2 http.disconnect
    curl -sN -m 0.5 "$url/events" >out || [ $? -eq 28 ]
    grep -q 'data: 1' out
    comes gone2 http.disconnect
    touch go
    # And the late response harms nobody.
    [ "$(curl -s "$url/plain")" = plain ]
}

@test "a malformed response is 502 and says why in the log" {
    http
    respond
    for path in status interim word line name number headers long; do
        [ "$(curl -s -o out -D head -w '%{http_code}' "$url/bad/$path")" = 502 ]
        grep -q '"error":"bad_response"' out
        lacks -i 'x-c' head
    done
    until_ok grep -q 'warn serve refused=.* request=' "$store.log"
}

blobs() { find "$store/cas/sha256" -type f | wc -l; }
no_blobs() { [ "$(blobs)" -eq "${1:-0}" ]; }

@test "large contents of ephemeral requests and responses do not stay on the disk" {
    http
    respond
    head -c 300000 /dev/urandom >big
    for _ in 1 2 3; do # the response's content is the request's
        curl -s --data-binary @big "$url/body" | cmp - big
    done
    until_ok no_blobs
    # Nobody takes the answer, nobody takes the frame: the same.
    curl -s --data-binary @big --limit-rate 1000 --max-time 0.5 "$url/body" >/dev/null || :
    [ "$(curl -s --data-binary @big "$url/echo" -o /dev/null -w '%{http_code}')" = 200 ]
    weir append "$store" http.response --ttl ephemeral --meta '{"request_id":"0000000000000000000000000"}' <big >/dev/null
    until_ok no_blobs
    # What a stored frame names stays.
    weir append "$store" kept <big >/dev/null
    curl -s --data-binary @big "$url/body" | cmp - big
    curl -s -d x "$url/plain"
    no_blobs 1
    weir last "$store" kept >/dev/null
    stop
    start "$store"
    no_blobs 1
}

@test "large contents of durable requests stay" {
    http --http-durable
    respond
    head -c 300000 /dev/urandom >big
    curl -s --data-binary @big "$url/body" | cmp - big
    curl -s "$url/plain"
    no_blobs 1
    hash=$(weir cat "$store" --topic http.request | head -n 1 | grep -o 'sha256-[^"]*')
    weir cas "$store" "$hash" | cmp - big
}

# flooding: a handler that answers every request by 12 MB in 200 frames.
flooding() {
    weir append "$store" xs.actor.flood.create --meta '{"topics":"http.request"}' >/dev/null <<'END'
#!/usr/bin/env python3
import json, sys
for line in sys.stdin:
    meta = {'request_id': json.loads(line)['id'], 'more': True}
    for i in range(200):
        meta['more'] = i < 199
        print(json.dumps({'topic': 'http.response', 'ttl': 'ephemeral', 'meta': meta, 'content': 'z' * 60000}), flush=True)
END
    until_ok weir last "$store" xs.actor.flood.active
}

@test "a program waits for a client that takes its answer slowly" {
    http
    flooding
    [ "$(curl -s --limit-rate 8M "$url/" | wc -c)" -eq 12000000 ]
    lacks 'serve cut' "$store.log"
}

@test "a client that takes nothing holds up neither a replacement nor the end" {
    http
    flooding
    python3 - "$port" 3>&- <<'END' &
import socket, sys, time
s = socket.create_connection(('127.0.0.1', int(sys.argv[1])))
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
s.sendall(b'GET / HTTP/1.1\r\nHost: x\r\n\r\n')
open('asked', 'w').close()
time.sleep(60)
END
    daemons+=("$!")
    until_ok test -e asked
    stuck() { # the log tells of frames of the answer, and of no more of them; how many there is room for is the sockets' business
        local was
        was=$(grep -c http.response "$store.log")
        sleep 0.5
        [[ $was -gt 0 && $was -lt 200 && $was == "$(grep -c http.response "$store.log")" ]]
    }
    until_ok stuck
    begin=$SECONDS
    flooding
    until_ok weir last "$store" xs.actor.flood.replaced
    stop
    ((SECONDS - begin < 7))
    lacks 'serve cut' "$store.log"
}

@test "the first responder claims the request; the other is ignored with a line in the log" {
    http
    respond one
    respond two
    for _ in 1 2 3; do
        [ "$(curl -s "$url/more")" = 'one two three' ]
    done
    until_ok grep -q 'warn serve ignored=.* request=' "$store.log"
}

@test "one connection serves request after request, also pipelined" {
    http
    respond
    run -0 curl -s -w '%{num_connects} ' "$url/plain" "$url/plain" "$url/plain"
    [ "$output" = 'plain1 plain0 plain0 ' ]
    python3 - "$port" <<'END'
import socket, sys
s = socket.create_connection(('127.0.0.1', int(sys.argv[1])), 10)
ask = b'GET /plain HTTP/1.1\r\nHost: x\r\n\r\n'
s.sendall(ask * 2 + b'POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc')
got = b''
while piece := s.recv(65536):
    got += piece
assert got.count(b'HTTP/1.1 200 ') == 3 and got.count(b'plain') >= 2 and got.endswith(b'\r\n\r\nabc'), got
END
}

@test "a slow responder still finds the frame's content" {
    http
    respond
    curl -s -o out --data-binary 'keep me' "$url/held" 3>&- &
    local asking=$!
    daemons+=("$asking")
    # More passes by meanwhile than the daemon keeps by itself.
    for _ in $(seq 40); do head -c 60000 /dev/urandom | weir append "$store" noise --ttl ephemeral >/dev/null; done
    touch go
    wait "$asking"
    [ "$(<out)" = 'keep me' ]
}

@test "a client that does not read is cut, and others go on" {
    http
    respond
    watch gone http.disconnect
    python3 - "$port" <<'END' &
import socket, sys, time
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
s.connect(('127.0.0.1', int(sys.argv[1])))
s.sendall(b'GET /stuck HTTP/1.1\r\nHost: x\r\n\r\n')
open('asked', 'w').close()
end = time.monotonic() + 20
import os
while not os.path.exists('over') and time.monotonic() < end:
    time.sleep(0.02)
END
    daemons+=("$!")
    until_ok test -e asked
    comes gone http.disconnect
    touch over
    until_ok grep -q 'warn serve cut=.* reason="the client does not take its answer"' "$store.log"
}

@test "--http-durable keeps the requests" {
    http --http-durable
    respond
    curl -s -o out "$url/echo"
    [ "$(weir last "$store" http.request | id_of)" = "$(field 'd["id"]')" ]
    [ "$(field 'd["ttl"]')" = forever ]
}

@test "a Unix socket serves too, without a peer" {
    start "$store" --http ./public
    respond
    curl -s -o out --unix-socket public http://any.name/echo
    [ "$(field '"remote_ip" in d["meta"], d["meta"]["authority"]')" = "(False, 'any.name')" ]
}

@test "a stop answers those who wait with 503, cuts what streams, and is clean" {
    http
    respond
    curl -sN "$url/events" >stream 3>&- &
    local streaming=$!
    daemons+=("$streaming")
    until_ok grep -q 'data: 1' stream
    watch asked http.request
    curl -s -o out -w '%{http_code}' "$url/silent" >code 3>&- &
    local asking=$!
    daemons+=("$asking")
    comes asked http.request
    stop
    wait "$asking"
    [ "$(<code)" = 503 ]
    status=0
    wait "$streaming" || status=$?
    [ "$status" -ne 0 ]
}

@test "an address that is not loopback serves requests, never the page" {
    start "$store" --http 0.0.0.0:0
    until_ok grep -q 'serve listening=' "$store.log"
    port=$(sed -n 's/.*serve listening=0\.0\.0\.0://p' "$store.log")
    lacks 'live page' "$store.log"
    [ "$(curl -s -o out -w '%{http_code} %{size_download}' "http://127.0.0.1:$port/?key=")" = '503 0' ]
    respond
    [ "$(curl -s "http://127.0.0.1:$port/plain")" = plain ]
}

@test "the live page: only with the key, then with the cookie, on a loopback name" {
    http
    local page
    page=$(sed -n 's/^live page: //p' "$store.log")
    [[ $page == "$url/?key="* ]]
    code() { curl -s -o out -w '%{http_code}' "$@"; }
    [ "$(code "$url/?key=00000000000000000000000000000000")" = 503 ]
    [ "$(code -I "$page")" = 503 ]
    for host in evil.example localhost.evil.example localhost:80@evil.example localhost:x 127.0.0.1.evil.example; do
        [ "$(code -H "Host: $host" "$page")" = 503 ]
    done
    [ "$(code -H 'Sec-Fetch-Site: cross-site' "$page")" = 503 ]
    [ "$(code -c jar "$page")" = 303 ]
    grep -q '#HttpOnly_127.0.0.1' jar
    [ "$(code "$page")" = 503 ] # used up
    [ ! -s out ]
    [ "$(code -b jar -D head "$url/")" = 200 ]
    is_head content-security-policy "default-src 'none'; script-src 'self'.*"
    is_head cache-control no-store
    grep -q 'id="frames"' out
    for part in page.css page.js events cas/x; do
        [ "$(code "$url/_weir/$part")" = 503 ]
        [ ! -s out ]
    done
    [ "$(code -b jar -H 'Host: evil.example' "$url/")" = 503 ]
    [ "$(code -b jar -d x "$url/")" = 503 ]
    [ "$(code -b jar "$url/_weir/page.js")" = 200 ]
    [ "$(code -b jar "$url/other")" = 404 ]
    # Once somebody answers, it is theirs.
    respond
    [ "$(code -b jar "$url/plain")" = 200 ]
    [ "$(<out)" = plain ]
}

@test "the live page's stream: history, live, frames as they come; contents on demand" {
    http
    curl -s -o /dev/null -c jar "$(sed -n 's/^live page: //p' "$store.log")"
    weir append "$store" old --content '<b>hello</b>' >/dev/null
    curl -sN -b jar -D head "$url/_weir/events" >stream 3>&- &
    daemons+=("$!")
    until_ok grep -q '^event: live' stream
    is_head content-type text/event-stream
    add new.one --meta '{"a":1}'
    until_ok grep -q '"topic":"new.one"' stream
    [ "$(grep -c '^data: {"topic"' stream)" -eq 3 ]
    local hash
    hash=$(grep '"topic":"old"' stream | grep -o 'sha256-[^"]*' | sed 's|+|%2B|g; s|/|%2F|g; s|=|%3D|g')
    [ "$(curl -s -b jar -D head "$url/_weir/cas/$hash")" = '<b>hello</b>' ]
    is_head content-type application/octet-stream
    is_head weir-size 12
    is_head x-content-type-options nosniff
}

@test "wrong options are refused before anything is made" {
    fails 1 'no address' weir serve ./none --http nonsense
    fails 2 'is no size' weir serve ./none --http :0 --http-body-max 5T
    fails 2 'is no size' weir serve ./none --http :0 --http-body-max 0
    fails 2 'at most 4' weir serve ./none --http :0 --http :0 --http :0 --http :0 --http :0
    [ ! -e none ]
}
