#!/usr/bin/env bats
# Cursors: positions kept by name, alone and in one record with frames.

load setup

# http METHOD TARGET [BODY]: the answer's body; its status in the file status.
http() {
    curl -sS --max-time 20 --unix-socket "$store/sock" -X "$1" ${3+--data-binary "$3"} \
        -w '%{stderr}%{http_code}' "http://localhost$2" 2>status
}

# answers STATUS METHOD TARGET [BODY]: it is answered so; the body in `body`.
answers() {
    local want=$1
    shift
    http "$@" >body
    [ "$(cat status)" = "$want" ] || { echo "status $(cat status), not $want: $*" >&2; cat body >&2; return 1; }
}

position() {
    http GET "/cursors/$1" | sed -n 's/.*"position":"\(.*\)","time".*/\1/p'
}

frames() {
    http GET '/?count' | grep -o '[0-9]*'
}

@test "a cursor is put, read, listed and forgotten" {
    start
    answers 404 GET /cursors/a
    answers 200 PUT /cursors/a '{"position":"one"}'
    grep -q '^{"name":"a","position":"one","time":"20[0-9T:.+-]*"}$' body
    http GET /cursors/a | cmp - body
    answers 200 PUT /cursors/a '{"position":"two \"quoted\" \u0000 \u00e4"}'
    [ "$(position a)" = 'two \"quoted\" \u0000 ä' ]
    answers 200 PUT "/cursors/b%2Fb%20%C3%A4" '{"position":""}'
    [ "$(http GET /cursors | grep -o '"name":"[^"]*"' | paste -sd ' ')" = '"name":"a" "name":"b/b ä"' ]
    weir cursors "$store" | cmp - <(http GET /cursors)
    on_terminal "weir cursors $store" >table
    grep -q '^CURSOR  *SET  *POSITION' table
    grep -q '^b/b ä ' table
    weir cursors "$store" --forget a
    fails 1 'no cursor a' weir cursors "$store" --forget a
    answers 204 DELETE "/cursors/b%2Fb%20%C3%A4"
    [ -z "$(http GET /cursors)" ]
}

@test "what is no cursor is refused" {
    start
    long=$(printf 'n%.0s' {1..255})
    answers 200 PUT "/cursors/$long" '{"position":"x"}'
    answers 400 PUT "/cursors/${long}n" '{"position":"x"}'
    answers 400 PUT /cursors/a%0Ab '{"position":"x"}'
    answers 400 PUT /cursors/a%C2%85 '{"position":"x"}'
    answers 400 PUT /cursors/a%FF '{"position":"x"}'
    answers 400 PUT /cursors/a ''
    answers 400 PUT /cursors/a '{}'
    answers 400 PUT /cursors/a '{"position":7}'
    answers 400 PUT /cursors/a '{"position":"x","positon":"y"}'
    answers 400 PUT /cursors/a '{"position":"\ud800"}'
    answers 404 DELETE /cursors/a
    answers 405 POST /cursors/a x
    answers 405 PUT /cursors '{"position":"x"}'
    python3 -c 'print("{\"position\":\"" + "p" * 65527 + "\"}", end="")' >largest
    answers 200 PUT /cursors/a @largest
    python3 -c 'print("{\"position\":\"" + "p" * 65528 + "\"}", end="")' >larger
    answers 413 PUT /cursors/a @larger
    [ "$(position a | wc -c)" -eq 65527 ]
}

@test "frames and cursor of a batch are stored together or not at all" {
    start
    printf '%s\n' '{"topic":"a","content":"1"}' '{"stream":"9 b","meta":{"k":1}}' '' '{"cursor":"c","position":"p1"}' >batch.ndjson
    answers 200 POST '/append?brief' @batch.ndjson
    grep -q '"frames":2,"cursors":1' body
    [ "$(position c)" = p1 ]
    printf '%s\n' '{"cursor":"c","position":"p2"}' >batch.ndjson
    answers 200 POST /append @batch.ndjson
    [ ! -s body ]
    [ "$(position c)" = p2 ]
    before=$(frames)
    printf '%s\n' '{"topic":"a"}' '{"cursor":"c","position":"p3"}' '{"topic":"b"}' >batch.ndjson
    answers 400 POST /append @batch.ndjson
    grep -q '"line":3' body
    printf '%s\n' '{"topic":"a"}' '{"cursor":"c","position":"p3"}' >batch.ndjson
    answers 412 POST '/append?expect-seq=99' @batch.ndjson
    printf '%s\n' '{"topic":"xs bad"}' '{"cursor":"c","position":"p3"}' >batch.ndjson
    answers 400 POST /append @batch.ndjson
    printf '%s\n' '{"topic":"a"}' '{"cursor":"c"}' >batch.ndjson
    answers 400 POST /append @batch.ndjson
    printf '%s\n' '{"topic":"a"}' '{"cursor":"c","position":"p","topic":"x"}' >batch.ndjson
    answers 400 POST /append @batch.ndjson
    printf '%s\n' '{"topic":"a","stream":"a"}' >batch.ndjson
    answers 400 POST /append @batch.ndjson
    [ "$(position c)" = p2 ]
    [ "$(frames)" = "$before" ]
    # A repeated key changes nothing, and says so.
    printf '%s\n' '{"topic":"a"}' '{"cursor":"c","position":"p4"}' >batch.ndjson
    answers 200 POST '/append?brief&key=k' @batch.ndjson
    first=$(cat body)
    answers 200 POST '/append?brief&key=k' @batch.ndjson
    [ "$(grep -o '"first".*' body | cut -d, -f1,2)" = "$(grep -o '"first".*' <<<"$first" | cut -d, -f1,2)" ]
    [ "$(frames)" = $((before + 1)) ]
    # Another timestamp is another request.
    answers 200 POST '/append?key=s' '{"topic":"a","stamp":1}'
    answers 409 POST '/append?key=s' '{"topic":"a","stamp":2}'
}

@test "a stream of lines with cursors is stored up to each of them" {
    start
    printf '%s\n' '{"topic":"a"}' '{"cursor":"c","position":"1"}' '{"topic":"a"}' '{"topic":"a"}' '{"cursor":"d","position":"3"}' \
        '{"topic":"a"}' >lines
    answers 200 POST '/append?stream=cursors' @lines
    grep -q '"frames":4,"cursors":2' body
    printf '%s\n' '{"topic":"a"}' '{"cursor":"c","position":"5"}' '{"topic":"a"}' '{"topc":"a"}' '{"cursor":"c","position":"7"}' >lines
    answers 400 POST '/append?stream=cursors' @lines
    grep -q '"line":4,"committed":1' body
    [ "$(position c)" = 5 ]
    answers 400 POST '/append?stream' '{"cursor":"c","position":"7"}'
    grep -q 'stream=cursors' body
}

@test "what comes before a cursor's line may be long, and has a bound" {
    start
    python3 - <<'X'
frame = '{"topic":"a","content":"%s"}\n'
def write(name, count, size, head=0):
    with open(name, 'w') as f:
        for i in range(head):
            f.write(frame % 'h' + '{"cursor":"c","position":"h%d"}\n' % i)
        for i in range(count):
            f.write(frame % ('x' * size))
        f.write('{"cursor":"c","position":"%s"}\n' % name)
write('most', 10000, 10, 3)
write('frames', 10001, 10, 3)
write('wide', 100, 80000)
write('bytes', 120, 80000, 2)
write('many', 1, 10, 3000)
X
    answers 200 POST '/append?stream=cursors' @most
    grep -q '"frames":10003,"cursors":4' body
    [ "$(position c)" = most ]
    answers 413 POST '/append?stream=cursors' @frames
    grep -q '"line":10007,"committed":3' body
    [ "$(position c)" = h2 ]
    answers 200 POST '/append?stream=cursors' @wide
    [ "$(position c)" = wide ]
    answers 413 POST '/append?stream=cursors' @bytes
    grep -q '"committed":2' body
    [ "$(position c)" = h1 ]
    answers 200 POST '/append?stream=cursors' @many
    grep -q '"frames":3001,"cursors":3001' body
    [ "$(position c)" = many ]
    # In small pieces, so that what belongs together comes in parts.
    (while IFS= read -r -N 200000 piece || [ -n "$piece" ]; do printf '%s' "$piece"; sleep 0.005; done <most) |
        curl -sS --max-time 20 --unix-socket "$store/sock" -T - -X POST 'http://localhost/append?stream=cursors' >body
    grep -q '"frames":10003,"cursors":4' body
}

@test "cursors outlive the daemon and travel in dumps" {
    start
    answers 200 PUT /cursors/a '{"position":"one"}'
    add t >/dev/null
    stop
    start
    [ "$(position a)" = one ]
    weir export "$store" "$dir/dump"
    start "$dir/other"
    weir import "$dir/other" "$dir/dump" >/dev/null
    weir cursors "$dir/other" | cmp - <(http GET /cursors)
}

@test "a narrow token has the cursors of its names" {
    start "$store" --expose 127.0.0.1:0
    answers 200 PUT /cursors/theirs '{"position":"x"}'
    secret=$(weir token issue "$store" n --op read,append --stream 'mine*')
    reader=$(weir token issue "$store" r --op read --stream 'mine*')
    port=$(weir last "$store" xs.start --json | grep -o '127\.0\.0\.1:[0-9]*')
    as() { # TOKEN STATUS METHOD TARGET [BODY]
        [ "$(curl -sS -o body -w '%{http_code}' -H "Authorization: Bearer $1" -X "$3" \
            ${5+--data-binary "$5"} "http://$port$4")" = "$2" ] || { cat body >&2; return 1; }
    }
    as "$secret" 200 PUT /cursors/mine.a '{"position":"p"}'
    as "$secret" 403 PUT /cursors/theirs '{"position":"p"}'
    as "$secret" 404 GET /cursors/theirs
    as "$secret" 403 DELETE /cursors/theirs
    as "$secret" 200 GET /cursors
    [ "$(wc -l <body)" -eq 1 ]
    as "$reader" 200 GET /cursors/mine.a
    as "$reader" 403 PUT /cursors/mine.a '{"position":"q"}'
    as "$reader" 403 DELETE /cursors/mine.a
    printf '%s\n' '{"topic":"mine.t"}' '{"cursor":"theirs","position":"q"}' >batch.ndjson
    as "$secret" 403 POST /append @batch.ndjson
    printf '%s\n' '{"topic":"mine.t"}' '{"cursor":"mine.a","position":"q"}' >batch.ndjson
    as "$secret" 200 POST /append @batch.ndjson
    printf '%s\n' '{"stream":"their s"}' >batch.ndjson
    as "$secret" 403 POST /append @batch.ndjson
    [ "$(position theirs)" = x ]
    [ "$(position mine.a)" = q ]
    as "$secret" 204 DELETE /cursors/mine.a
}
