#!/usr/bin/env bats
# HTTP through frames, answered by programs that the daemon runs: those that come with weir, under scripts/handlers.

load setup

# serve: a daemon with a public listener; $url.
serve() {
    local port
    start "$store" --http 127.0.0.1:0
    until_ok grep -q 'serve listening=' "$store.log"
    port=$(sed -n 's/.*serve listening=127\.0\.0\.1://p' "$store.log")
    url=http://127.0.0.1:$port
}

# handler FILE META: registers scripts/handlers/FILE and waits until it runs.
handler() {
    local name=${1%%.*}
    weir append "$store" "xs.actor.$name.create" --meta "$2" <"$here/../../scripts/handlers/$1" >/dev/null
    until_ok weir last "$store" "xs.actor.$name.active"
}

# code CURL OPTION...: the status; the body in the file out, the head in the file head.
code() {
    curl -s --path-as-is -o out -D head -w '%{http_code}' "$@"
}

site() {
    mkdir -p www/sub
    echo '<h1>home</h1>' >www/index.html
    echo 'in sub' >www/sub/index.html
    echo 'body{}' >www/a.css
    echo secret >secret
    echo hidden >www/.hidden
    ln -s "$dir/secret" www/link
    serve
    handler site.py "{\"topics\":\"http.request\",\"env\":{\"SITE_ROOT\":\"$dir/www\"}}"
}

@test "site.py serves files with their types, folders by their index" {
    site
    [ "$(code "$url/")" = 200 ]
    [ "$(<out)" = '<h1>home</h1>' ]
    grep -qi '^content-type: text/html; charset=utf-8' head
    [ "$(code "$url/a.css?v=2")" = 200 ]
    grep -qi '^content-type: text/css' head
    [ "$(code "$url/sub")" = 301 ]
    [ "$(code -L "$url/sub")" = 200 ]
    [ "$(<out)" = 'in sub' ]
    [ "$(code -I "$url/")" = 200 ]
    [ "$(code -H "If-None-Match: $(grep -i '^etag' head | tr -d '\r' | cut -d ' ' -f 2)" "$url/")" = 304 ]
    [ "$(code -d x "$url/")" = 405 ]
}

@test "site.py serves nothing outside of its folder, and nothing hidden" {
    site
    local path
    for path in /none /link /.hidden /../secret /%2e%2e/secret /sub/%2e%2e/%2e%2e/secret /..%2fsecret /a.css%00 //etc/passwd; do
        [ "$(code "$url$path")" = 404 ] || { echo "$path" >&2; false; }
        lacks secret out
    done
}

@test "site.py serves large files through the store" {
    site
    head -c 5000000 /dev/urandom >www/big
    [ "$(code "$url/big")" = 200 ]
    cmp out www/big
    grep -qi '^content-length: 5000000' head
}

@test "api.sh appends, lists, shows and removes frames of its topic" {
    local id
    serve
    handler api.sh '{"topics":"http.request","mode":"each","env":{"API_TOPIC":"memo"}}'
    [ "$(code "$url/api/memo")" = 200 ]
    [ "$(tr -d '\n' <out)" = '[]' ]
    [ "$(code --data-binary 'first' "$url/api/memo")" = 201 ]
    id=$(id_of <out)
    [ "$(code --data-binary 'second' "$url/api/memo")" = 201 ]
    [ "$(weir cas "$store" "$(weir get "$store" "$id" | grep -o 'sha256-[^"]*')")" = first ]
    [ "$(code "$url/api/memo?last=1")" = 200 ]
    [ "$(topics_of <out)" = memo ]
    code "$url/api/memo" >/dev/null
    [ "$(topics_of <out)" = 'memo memo' ]
    [ "$(code "$url/api/memo/$id/content")" = 200 ]
    [ "$(<out)" = first ]
    [ "$(code -X DELETE "$url/api/memo/$id")" = 204 ]
    [ "$(code "$url/api/memo/$id")" = 404 ]
    [ "$(code -X PUT "$url/api/memo")" = 405 ]
}

@test "api.sh shows no frame of another topic, whatever a client says" {
    local other
    serve
    handler api.sh '{"topics":"http.request","mode":"each"}'
    other=$(add private)
    [ "$(code "$url/api/notes/$other")" = 404 ]
    [ "$(code -X DELETE "$url/api/notes/$other")" = 404 ]
    weir get "$store" "$other" >/dev/null
    [ "$(code "$url/api/private")" = 404 ]
    # Headers and parameters that look like what the program reads.
    [ "$(code -H 'method: POST' -H 'path: /api/private' -H 'query: x' "$url/api/notes?x=1&path=/api/private&query=2&method=POST")" = 200 ]
    [ "$(topics_of <out)" = '' ]
}

@test "two programs share the paths; each leaves the other's alone" {
    site
    handler api.sh '{"topics":"http.request","mode":"each"}'
    [ "$(code --data-binary n "$url/api/notes")" = 201 ]
    [ "$(code "$url/")" = 200 ]
    [ "$(code "$url/api/notes")" = 200 ]
    lacks 'serve ignored' "$store.log"
}

@test "a handler of everything may answer; other programs leave a request to nobody" {
    serve
    weir append "$store" xs.service.clock.create --content $'#!/bin/sh\necho tick\nexec sleep 60\n' >/dev/null
    weir append "$store" xs.actor.other.create --meta '{"topics":"note"}' --content $'#!/bin/sh\nexec cat\n' >/dev/null
    until_ok weir last "$store" clock.recv
    until_ok weir last "$store" xs.actor.other.active
    [ "$(code "$url/")" = 503 ]
    weir append "$store" xs.actor.all.create --meta '{"mode":"each"}' >/dev/null <<'END'
#!/bin/sh
[ "$WEIR_TOPIC" = http.request ] || exit 0
echo all | weir append http.response --ttl ephemeral --meta "{\"request_id\":\"$WEIR_FRAME_ID\"}"
END
    until_ok weir last "$store" xs.actor.all.active
    [ "$(code "$url/")" = 200 ]
    [ "$(<out)" = all ]
    weir append "$store" xs.actor.all.term --no-content >/dev/null
    until_ok weir last "$store" xs.actor.all.fin.term
    [ "$(code "$url/")" = 503 ]
}
