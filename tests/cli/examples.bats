#!/usr/bin/env bats
# The programs of scripts/examples/, each run as its head says.

load setup

examples=$BATS_TEST_DIRNAME/../../scripts/examples

# http: a daemon with a public listener; its address in $url. Its store is the one meant without ADDR.
http() {
    start "$store" --http 127.0.0.1:0
    until_ok grep -q 'serve listening=' "$store.log"
    url=http://$(sed -n 's/.*serve listening=//p' "$store.log")
    export WEIR_ADDR=$store
}

plain() {
    start
    export WEIR_ADDR=$store
}

# text TOPIC: the newest content.
text() {
    weir cas "$(weir last "$1" | sed 's/.*"hash":"\([^"]*\)".*/\1/')"
}

# says TOPIC TEXT: the newest content is this.
says() {
    [ "$(text "$1")" = "$2" ]
}

code() {
    curl -s -o out -w '%{http_code}' "$@"
}

@test "clipboard: newest first, nothing twice in a row, fifty at most" {
    plain
    for n in $(seq 52); do echo "text $n" | "$examples/clipboard" copy; done
    echo 'text 52' | "$examples/clipboard" copy
    [ "$("$examples/clipboard" paste)" = 'text 52' ]
    [ "$("$examples/clipboard" paste 50)" = 'text 3' ]
    fails 1 'nothing number 51' "$examples/clipboard" paste 51
    "$examples/clipboard" list >out
    [ "$(wc -l <out)" -eq 50 ]
    grep -qE '^  2  [0-9]{4}-[0-9T:-]+  text 51 $' out
    printf 'two\nlines\n' | "$examples/clipboard" copy
    [ "$("$examples/clipboard" paste | wc -l)" -eq 2 ]
    fails 2 'clipboard copy' "$examples/clipboard" frobnicate
}

@test "counter: counts, goes on behind a restart, and loses nothing that came meanwhile" {
    plain
    weir handler add counter "$examples/counter.py" --topics tick --start resume --content >/dev/null
    weir append tick --no-content >/dev/null
    weir append tick --content 41 >/dev/null
    until_ok says counter 42
    weir append tick --content nonsense >/dev/null
    weir stop counter >/dev/null
    weir append tick --content 8 >/dev/null
    stop
    start
    weir handler add counter "$examples/counter.py" --topics tick --start resume --content >/dev/null
    until_ok says counter 50
    [ "$(weir cat --topic counter --count)" = '{"count":1}' ]
}

@test "counter: a kill in the middle of many counts each once" {
    plain
    weir handler add counter "$examples/counter.py" --topics tick --start resume --content >/dev/null
    yes '{"topic":"tick"}' | head -n 300 | weir append --batch >/dev/null
    until_ok weir last counter
    kill -9 "$daemon"
    wait "$daemon" || :
    start
    until_ok says counter 300
}

@test "webhook: a frame with body and headers, and only what is asked properly" {
    http
    weir handler add webhook "$examples/webhook.py" --topics http.request --content >/dev/null
    [ "$(code -H 'X-Event: push' -H 'Content-Type: application/json' -d '{"ref":"main"}' "$url/hook/deploy")" = 202 ]
    [ "$(text hook.deploy)" = '{"ref":"main"}' ]
    weir last hook.deploy | grep -qE '"headers":\{.*"x-event":"push"'
    printf '\377\0x' | curl -s -o out --data-binary @- "$url/hook/raw"
    text hook.raw | cmp - <(printf '\377\0x')
    [ "$(code "$url/hook/deploy")" = 405 ]
    [ "$(code -d x "$url/hook/a.b")" = 404 ]
    [ "$(code -d x "$url/elsewhere")" = 404 ]
    [ "$(weir cat --topic 'hook.*' --count)" = '{"count":2}' ]
}

@test "webhook: with a secret the body must be signed" {
    http
    weir handler add webhook "$examples/webhook.py" --topics http.request --content --env SECRET=it >/dev/null
    sign=$(python3 -c 'import hmac; print(hmac.new(b"it", b"body", "sha256").hexdigest())')
    [ "$(code -d body "$url/hook/x")" = 401 ]
    [ "$(code -d other -H "X-Hub-Signature-256: sha256=$sign" "$url/hook/x")" = 401 ]
    [ "$(code -d body -H "X-Hub-Signature-256: sha256=$sign" "$url/hook/x")" = 202 ]
    [ "$(weir cat --topic hook.x --count)" = '{"count":1}' ]
}

@test "tail-log: each new line is a frame, over a rotation; a file that is not there is said" {
    plain
    weir service add missing "$examples/tail-log" --env "FILE=$dir/none" >/dev/null || :
    until_ok bash -c 'weir logs missing | grep -q "cannot read"'
    echo old >file
    weir service add log "$examples/tail-log" --env "FILE=$dir/file" --ttl last:3 --output raw >/dev/null
    # It runs; the lines count once tail has the file open.
    until_ok eval 'echo "{\"topic\":\"x\"}" >>file; weir last log.recv'
    says log.recv '{"topic":"x"}'
    mv file file.1
    echo first >file
    until_ok says log.recv first
    seq 10 >>file
    until_ok says log.recv 10
    [ "$(weir cat --topic log.recv --count)" = '{"count":3}' ]
    lacks '"topic":"x"' <(weir cat --topic x)
    weir stop log >/dev/null
}

@test "chat: what one says all hear, also what was said before, and what comes from the shell" {
    http
    weir handler add chat "$examples/chat.py" --topics http.request,http.disconnect,chat.message --content >/dev/null
    curl -s "$url/" | grep -q 'new EventSource'
    [ "$(code --data-urlencode from=ann --data-urlencode 'text=hi & bye' "$url/say")" = 204 ]
    curl -sN "$url/events" >ben 3>&- &
    ben=$!
    daemons+=("$ben")
    until_ok grep -qxF 'data: {"from": "ann", "text": "hi & bye"}' ben
    curl -sN "$url/events" >eve 3>&- &
    daemons+=("$!")
    until_ok grep -q ann eve
    curl -s -d 'from=ben&text=hello' "$url/say"
    weir append chat.message --meta '{"from":"shell"}' --content 'from here' >/dev/null
    for who in ben eve; do
        until_ok grep -qxF 'data: {"from": "ben", "text": "hello"}' $who
        until_ok grep -qxF 'data: {"from": "shell", "text": "from here"}' $who
    done
    [ "$(weir cat --topic chat.message --count)" = '{"count":3}' ]
    # One who left is forgotten, and harms nobody.
    weir cat -f --last 0 --topic http.disconnect >gone 3>&- &
    daemons+=("$!")
    until_ok grep -q xs.threshold gone
    kill "$ben"
    wait "$ben" || :
    until_ok grep -q '"topic":"http.disconnect"' gone
    curl -s -d 'from=eve&text=still' "$url/say"
    until_ok grep -q still eve
    lacks still ben
    [ "$(code -d 'from=x' "$url/say")" = 400 ]
    [ "$(code "$url/nothing")" = 404 ]
}

@test "todo: the list follows the events, and is made again from history" {
    plain
    topics=todo.add,todo.done,todo.drop
    weir append todo.add --content 'buy milk' >/dev/null
    weir handler add todo "$examples/todo.py" --topics "$topics" --start first --content >/dev/null
    until_ok says todo.list '  1 [ ] buy milk'
    weir append todo.add --content 'mend the roof' >/dev/null
    weir append todo.done --content 1 >/dev/null
    weir append todo.done --content 7 >/dev/null
    want=$(printf '  1 [x] buy milk\n  2 [ ] mend the roof')
    until_ok says todo.list "$want"
    # All it printed goes; all of it comes back.
    weir stop todo >/dev/null
    weir remove "$(weir last todo.list | id_of)"
    fails 1 'no frame' weir last todo.list
    weir append todo.drop --content 1 >/dev/null
    weir handler add todo "$examples/todo.py" --topics "$topics" --start first --content >/dev/null
    until_ok says todo.list '  2 [ ] mend the roof'
    weir last todo.list | grep -qF '"open":1'
}

@test "the table names every example" {
    for file in "$examples"/*; do
        [ "${file##*/}" = README.md ] || grep -qF "(${file##*/})" "$examples/README.md"
    done
}
