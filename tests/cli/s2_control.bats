#!/usr/bin/env bats
# The control plane of the S2 API: basins and streams, init files, stores in memory.

load setup

# api METHOD PATH [JSON [CURL-OPTION...]]: over the store's own socket; the status in $status, the body in $body, the head in $dir/head.
api() {
    local method=$1 path=$2 json=${3-} data=()
    shift 2
    (($# == 0)) || shift
    [ -z "$json" ] || data=(-H 'content-type: application/json' -d "$json")
    rm -f "$dir/body"
    status=$(curl -s --max-time 10 --unix-socket "${at:-$store}/sock" -X "$method" -D "$dir/head" -o "$dir/body" \
        -w '%{http_code}' "${data[@]}" "$@" "http://localhost$path")
    body=
    [ ! -f "$dir/body" ] || body=$(cat "$dir/body")
}

# wants STATUS [TEXT...]: of the last answer; each TEXT is in its body.
wants() {
    local text=$1
    if [ "$status" != "$text" ]; then
        echo "status $status, not $text: $body" >&2
        return 1
    fi
    shift
    for text; do
        [[ $body == *"$text"* ]] || { echo "lacks $text: $body" >&2; return 1; }
    done
}

# provision RESULT: what the last answer says of it.
provision() {
    tr -d '\r' <"$dir/head" | grep -qix "s2-provision-result: $1"
}

# gone NAME: the basin is not there any more.
gone() {
    api GET "/v1/basins/$1"
    [ "$status" = 404 ]
}

names() {
    grep -o '"name":"[^"]*"' <<<"$body" | cut -d '"' -f 4 | paste -s -d ' '
}

@test "a basin is created, looked at, changed and deleted" {
    start
    api POST /v1/basins '{"basin":"my-basin-1","config":{"default_stream_config":{"storage_class":"standard"}}}'
    wants 201 '"name":"my-basin-1"' '"deleted_at":null' '"state":"active"'
    provision created
    [[ $body =~ \"created_at\":\"20[0-9-]+T[0-9:.]+Z\" ]]
    api GET /v1/basins/my-basin-1
    wants 200 '"storage_class":"standard"' '"create_stream_on_append":false' '"stream_cipher":null'
    api PATCH /v1/basins/my-basin-1 '{"create_stream_on_read":true,"default_stream_config":{"retention_policy":{"age":60}}}'
    wants 200 '"create_stream_on_read":true' '"storage_class":"standard"' '"age":60'
    api PATCH /v1/basins/my-basin-1 '{"default_stream_config":{"storage_class":null}}'
    wants 200 '"age":60'
    [[ $body != *standard* ]]
    api PATCH /v1/basins/my-basin-1 '{"default_stream_config":null}'
    wants 200 '"default_stream_config":null'
    api PUT /v1/basins/my-basin-1 '{"config":{}}'
    wants 200 '"my-basin-1"'
    provision updated
    api PUT /v1/basins/my-basin-1
    wants 200
    provision noop
    api DELETE /v1/basins/my-basin-1
    wants 202
    [ -z "$body" ]
    until_ok gone my-basin-1
    [ -z "$(ls "$store/basins")" ]
    api PUT /v1/basins/my-basin-1
    wants 201
    provision created
}

@test "a create is repeated with its token and config, and with nothing else" {
    start
    config='"config":{"create_stream_on_append":true}'
    api POST /v1/basins "{\"basin\":\"my-basin-1\",$config}" -H 's2-request-token: one'
    wants 201
    first=$body
    api PATCH /v1/basins/my-basin-1 '{"create_stream_on_append":false}'
    for again in 1 2; do
        api POST /v1/basins "{\"basin\":\"my-basin-1\",$config}" -H 's2-request-token: one'
        wants 201
        provision noop
        [ "$body" = "$first" ]
        api POST /v1/basins "{\"basin\":\"my-basin-1\",$config}" -H 's2-request-token: two'
        wants 409 '"resource_already_exists"'
        api POST /v1/basins '{"basin":"my-basin-1"}' -H 's2-request-token: one'
        wants 409
        api POST /v1/basins "{\"basin\":\"my-basin-1\",$config}"
        wants 409
        [ $again = 2 ] || { stop && start; }
    done
    api POST /v1/basins '{"basin":"my-basin-2"}' -H "s2-request-token: $(printf '%037d' 0)"
    wants 400 '"bad_header"'
    api POST /v1/streams '{"stream":"s","config":{"storage_class":"standard"}}' -H 's2-request-token: t'
    wants 201
    first=$body
    stop && start
    api POST /v1/streams '{"stream":"s","config":{"storage_class":"standard"}}' -H 's2-request-token: t'
    wants 201
    provision noop
    [ "$body" = "$first" ]
    api POST /v1/streams '{"stream":"s"}' -H 's2-request-token: t'
    wants 409
}

@test "of creates at one time one makes it" {
    start
    for i in 1 2 3 4 5 6 7 8; do
        curl -s --unix-socket "$store/sock" -o /dev/null -w '%{http_code}\n' -H 'content-type: application/json' \
            -d '{"basin":"contested-1"}' http://localhost/v1/basins >"$dir/code.$i" &
        curl -s --unix-socket "$store/sock" -o /dev/null -w '%{http_code}\n' -H 'content-type: application/json' \
            -H 's2-request-token: same' -d '{"basin":"contested-2"}' http://localhost/v1/basins >"$dir/same.$i" &
        pids+=($! )
    done
    for i in 1 2 3 4 5 6 7 8; do until_ok test -s "$dir/code.$i" -a -s "$dir/same.$i"; done
    [ "$(sort "$dir"/code.* | uniq -c | tr -s ' ' | paste -s -d ,)" = ' 1 201, 7 409' ]
    [ "$(sort -u "$dir"/same.*)" = 201 ]
    [ "$(weir cat "$store" --topic 'xs.store.*' | grep -c '\.create"')" = 2 ]
}

@test "the served store is a basin, too, and stays" {
    start "$store" --basin my-own-root
    api GET /v1/basins
    [ "$(names)" = my-own-root ]
    created=$body
    api DELETE /v1/basins/my-own-root
    wants 403 '"permission_denied"'
    api POST /v1/basins '{"basin":"my-own-root"}'
    wants 409
    api PATCH /v1/basins/my-own-root '{"create_stream_on_append":true}'
    wants 200
    stop
    start
    api GET /v1/basins/weir-root
    wants 200 '"create_stream_on_append":true'
    api GET /v1/basins
    [ "${created//my-own-root/weir-root}" = "$body" ]
    fails 2 'a basin' weird "$store" --basin Bad
}

@test "basins are stores: made by frames, and seen by other verbs" {
    start
    weir store add "$store" by-frames-1
    api GET /v1/basins/by-frames-1
    wants 200 '"create_stream_on_append":false'
    api PUT /v1/basins/by-frames-1 '{"config":{"create_stream_on_append":true}}'
    wants 200
    provision updated
    api POST /v1/basins '{"basin":"0by-the-api"}'
    wants 201
    weir store list "$store" | grep -q 0by-the-api
    weir store add "$store" no_basin.name
    api GET /v1/basins
    [ "$(names)" = "0by-the-api by-frames-1 weir-root" ]
    path=$(weir last "$store" xs.store.by-frames-1.active | grep -o '"path":"[^"]*"' | cut -d '"' -f 4)
    add xs.store.by-frames-1.term
    until_ok gone by-frames-1
    stop && start
    gone by-frames-1
    add xs.store.by-frames-1.create --meta "{\"path\":\"$path\"}"
    again() { api GET /v1/basins/by-frames-1 && [ "$status" = 200 ]; }
    until_ok again
    wants 200 '"create_stream_on_append":true'
    add xs.store.by-frames-1.delete
    until_ok gone by-frames-1
    [ ! -e "$path" ]
    api PUT /v1/basins/by-frames-1
    wants 201
    api GET /v1/basins/by-frames-1
    wants 200 '"create_stream_on_append":false'
}

@test "a basin that is being deleted: its name is not free until it is gone" {
    start
    api POST /v1/basins '{"basin":"my-basin-1"}' && wants 201
    api POST /v1/streams '{"stream":"old"}' -H 's2-basin: my-basin-1' && wants 201
    path=$(echo "$store"/basins/my-basin-1.*)
    # An append whose content never ends holds the store open until it is cut.
    mkfifo "$dir/content"
    exec 9<>"$dir/content"
    curl -s --unix-socket "$path/sock" -X POST -T "$dir/content" http://localhost/append/slow >/dev/null 2>&1 3>&- &
    daemons+=("$!")
    until_ok sh -c "curl -s --unix-socket '$path/sock' http://localhost/status | grep -q '\"connections\":2'"
    api DELETE /v1/basins/my-basin-1 && wants 202
    api DELETE /v1/basins/my-basin-1 && wants 202
    api POST /v1/basins '{"basin":"my-basin-1"}' && wants 409 '"basin_deletion_pending"'
    api PUT /v1/basins/my-basin-1 && wants 409 '"basin_deletion_pending"'
    api PATCH /v1/basins/my-basin-1 '{}' && wants 409 '"basin_deletion_pending"'
    api POST /v1/streams '{"stream":"s"}' -H 's2-basin: my-basin-1' && wants 409 '"basin_deletion_pending"'
    api GET /v1/basins/my-basin-1 && wants 200
    api GET /v1/streams '' -H 's2-basin: my-basin-1' && wants 200 '"streams":[]'
    api GET /v1/basins && wants 200 '"state":"deleting"'
    [[ $body =~ \"deleted_at\":\"20[0-9-]+T ]]
    exec 9<&-
    until_ok gone my-basin-1
    api POST /v1/basins '{"basin":"my-basin-1"}' && wants 201
    api GET /v1/streams '' -H 's2-basin: my-basin-1' && wants 200 '"streams":[]'
}

@test "a read of a basin that is deleted ends, and does not hold it" {
    start
    api POST /v1/basins '{"basin":"my-basin-1"}' && wants 201
    api POST /v1/streams '{"stream":"s"}' -H 's2-basin: my-basin-1' && wants 201
    curl -sN --max-time 20 --unix-socket "$store/sock" -H 's2-basin: my-basin-1' -H 'accept: text/event-stream' \
        'http://localhost/v1/streams/s/records?seq_num=0' >"$dir/events" 3>&- &
    reader=$!
    daemons+=("$reader")
    until_ok grep -q 'event: ping' "$dir/events"
    api DELETE /v1/basins/my-basin-1 && wants 202
    until_ok gone my-basin-1
    over() { ! kill -0 "$reader"; }
    until_ok over
    grep -q 'event: error' "$dir/events"
    # One of a stream that is deleted, too.
    api POST /v1/streams '{"stream":"s"}' && wants 201
    curl -sN --max-time 20 --unix-socket "$store/sock" -H 'accept: text/event-stream' \
        'http://localhost/v1/streams/s/records?seq_num=0' >"$dir/events" 3>&- &
    reader=$!
    daemons+=("$reader")
    until_ok grep -q 'event: ping' "$dir/events"
    api DELETE /v1/streams/s && wants 202
    until_ok over
    grep -q 'event: error' "$dir/events"
}

@test "names that are none, and requests that cannot be read" {
    start "$store" --expose 127.0.0.1:0
    port=$(weir last "$store" xs.start | grep -o '127.0.0.1:[0-9]*' | cut -d : -f 2)
    api GET /v1/basins/UPPER-case && wants 400 '"bad_path"'
    api GET /v1/basins/%zz && wants 400 '"bad_path"'
    api GET /v1/streams/%2e%2e && wants 400 '"bad_path"'
    api GET /v1/streams/%ff && wants 400 '"bad_path"'
    api GET /v1/streams '' -H 's2-basin: NO' && wants 400 '"bad_header"'
    api GET /v1/streams '' -H 's2-basin: nobody-made-it' && wants 404 '"basin_not_found"'
    [ "$(curl -s -o "$dir/body" -w '%{http_code}' "http://127.0.0.1:$port/v1/streams")" = 400 ]
    grep -q '"bad_header"' "$dir/body"
    api POST /v1/basins '{"basin":"short"}' && wants 400 '"bad_json"'
    api POST /v1/basins '{nope' && wants 400 '"bad_json"'
    api POST /v1/basins '[]' && wants 400 '"bad_json"'
    api POST /v1/basins '{"basin":5}' && wants 400 '"bad_json"'
    api POST /v1/basins '' -d '{"basin":"my-basin-1"}' -H 'content-type: text/plain' && wants 400 '"bad_json"'
    api PUT /v1/basins/my-basin-1 '' -H 'content-type: text/plain' && wants 400 '"bad_json"'
    api POST /v1/basins '{"basin":"my-basin-1","config":{"default_stream_config":{"retention_policy":{"age":0}}}}'
    wants 422 '"invalid"'
    api POST /v1/basins '{"basin":"my-basin-1","config":{"stream_cipher":"aegis-256"}}'
    wants 422 '"invalid"' 'aegis-256'
    api GET '/v1/basins?limit=abc' && wants 400 '"bad_query"'
    api GET '/v1/basins?limit=1&limit=2' && wants 400 '"bad_query"'
    api GET '/v1/basins?prefix=-x' && wants 400 '"bad_query"'
    api GET '/v1/streams?prefix=%00' && wants 400 '"bad_query"'
    api POST /v1/basins "{\"basin\":\"$(head -c 3000000 /dev/zero | tr '\0' x)\"}" -H 'expect:' 2>/dev/null || :
    api GET /v1/nothing && wants 404
    [ -z "$body" ]
    api DELETE /v1/basins && wants 405
    api GET /v1/basins
    [ "$(names)" = weir-root ]
}

@test "streams: defaults at creation, changes, deletion, and a new life" {
    start
    api PATCH /v1/basins/weir-root '{"default_stream_config":{"retention_policy":{"age":3600},"timestamping":{"mode":"arrival"}}}'
    wants 200
    api POST /v1/streams '{"stream":"dir/na me","config":{"retention_policy":{"age":60}}}'
    wants 201 '"name":"dir/na me"' '"deleted_at":null' '"cipher":null'
    provision created
    api GET /v1/streams/dir%2Fna%20me
    wants 200 '"age":60' '"arrival"' '"express"' '"uncapped":false' '"min_age_secs":0'
    api PATCH /v1/streams/dir%2Fna%20me '{"timestamping":{"uncapped":true}}'
    wants 200 '"age":60' '"arrival"' '"uncapped":true'
    api PATCH /v1/basins/weir-root '{"default_stream_config":{"retention_policy":{"infinite":{}}}}'
    api PATCH /v1/streams/dir%2Fna%20me '{"retention_policy":null}'
    wants 200 '"infinite":{}' '"arrival"'
    api PUT /v1/streams/dir%2Fna%20me '{"storage_class":"standard"}'
    wants 200 '"name":"dir/na me"'
    provision updated
    api PUT /v1/streams/dir%2Fna%20me '{"storage_class":"standard","delete_on_empty":{"min_age_secs":0}}'
    wants 200
    provision noop
    api PATCH /v1/streams/dir%2Fna%20me '{"retention_policy":{"age":0}}' && wants 422 '"invalid"'
    api PATCH /v1/streams/dir%2Fna%20me '{"retention_policy":5}' && wants 400 '"bad_json"'
    stop && start
    api GET /v1/streams/dir%2Fna%20me
    wants 200 '"standard"' '"uncapped":false' '"infinite":{}'
    api DELETE /v1/streams/dir%2Fna%20me && wants 202
    api DELETE /v1/streams/dir%2Fna%20me && wants 404 '"stream_not_found"'
    api PATCH /v1/streams/dir%2Fna%20me '{}' && wants 404 '"stream_not_found"'
    api PUT /v1/streams/dir%2Fna%20me
    wants 201
    provision created
}

@test "what another dialect made is a stream that keeps everything; what is the daemon's own is none" {
    start
    add plain.topic
    api GET /v1/streams
    [ "$(names)" = plain.topic ]
    api GET /v1/streams/plain.topic
    wants 200 '"infinite":{}' '"client-prefer"' '"uncapped":false' '"min_age_secs":0' '"express"'
    api PATCH /v1/streams/plain.topic '{"timestamping":{"mode":"arrival"}}'
    wants 200 '"infinite":{}' '"arrival"'
    api DELETE /v1/streams/plain.topic && wants 202
    [ -z "$(weir cat "$store" --topic plain.topic)" ]
    [ "$(weir append "$store" plain.topic --no-content --with-seq | grep -o '"seq":[0-9]*')" = '"seq":0' ]
}

@test "only those who may define programs and stores touch the topics that do" {
    start "$store" --expose 127.0.0.1:0
    url=http://$(weir last "$store" xs.start | grep -o '127.0.0.1:[0-9]*')
    weir store add "$store" some-basin-1
    code=$(curl -s -o "$dir/body" -w '%{http_code}' -X DELETE -H 's2-basin: weir-root' "$url/v1/streams/xs.store.some-basin-1.create")
    [ "$code" = 403 ]
    grep -q '"permission_denied"' "$dir/body"
    [ -n "$(weir cat "$store" --topic xs.store.some-basin-1.create)" ]
    # A store that was put elsewhere is removed only by those who could put it there.
    id=$(add xs.store.far-basin-1.create --meta "{\"path\":\"$dir/far\"}")
    until_ok sh -c "weir cat '$store' --topic xs.store.far-basin-1.active | grep -q '$id'"
    [ "$(curl -s -o /dev/null -w '%{http_code}' -X DELETE "$url/v1/basins/far-basin-1")" = 403 ]
    api DELETE /v1/basins/far-basin-1 && wants 202
    until_ok gone far-basin-1
    [ ! -e "$dir/far" ]
    [ "$(curl -s -o /dev/null -w '%{http_code}' -X DELETE "$url/v1/basins/some-basin-1")" = 202 ]
}

@test "streams are listed by name, in pages, in each basin its own" {
    start "$store" --store-idle 1
    api POST /v1/basins '{"basin":"my-basin-1"}' && wants 201
    for name in t/2 u/1 t/3 t/1 "t/é"; do
        api POST /v1/streams "{\"stream\":\"$name\"}" -H 's2-basin: my-basin-1' && wants 201
    done
    api GET /v1/streams
    [ -z "$(names)" ]
    api GET '/v1/streams?prefix=t%2F&limit=2' '' -H 's2-basin: my-basin-1'
    wants 200 '"has_more":true'
    [ "$(names)" = "t/1 t/2" ]
    api GET '/v1/streams?prefix=t%2F&limit=2&start_after=t%2F2' '' -H 's2-basin: my-basin-1'
    wants 200 '"has_more":false'
    [ "$(names)" = "t/3 t/é" ]
    api GET '/v1/streams?prefix=t%2F&start_after=a' '' -H 's2-basin: my-basin-1'
    [ "$(names)" = "t/1 t/2 t/3 t/é" ]
    # Its store is closed when nobody uses it, and opened again.
    until_ok sh -c "weir status '$store' | grep -q '\"open\":0'"
    at=$(echo "$store"/basins/my-basin-1.*)
    api GET /v1/streams/t%2F1 && wants 200
    at=
    until_ok sh -c "weir status '$store' | grep -q '\"open\":0'"
    api POST /v1/streams '{"stream":"v"}' -H 's2-basin: my-basin-1' && wants 201
    stop && start
    api GET '/v1/streams?start_after=t%2Fz' '' -H 's2-basin: my-basin-1'
    [ "$(names)" = "t/é u/1 v" ]
}

@test "a stream that is to go when it is empty goes, others stay" {
    export WEIR_EMPTY_SWEEP_MS=50
    start
    api POST /v1/basins '{"basin":"my-basin-1","config":{"default_stream_config":{"delete_on_empty":{"min_age_secs":1}}}}'
    api POST /v1/streams '{"stream":"goes"}' -H 's2-basin: my-basin-1' && wants 201
    api POST /v1/streams '{"stream":"older","config":{"delete_on_empty":{"min_age_secs":3600}}}' -H 's2-basin: my-basin-1' && wants 201
    api POST /v1/streams '{"stream":"full"}' -H 's2-basin: my-basin-1' && wants 201
    at=$(echo "$store"/basins/my-basin-1.*)
    weir append "$at" full --content x >"$dir/id"
    api PUT /v1/streams/goes-too '{"delete_on_empty":{"min_age_secs":1}}' && wants 201
    weir append "$at" goes-too --content x
    left() { api GET /v1/streams && [ "$(names)" = "$1" ]; }
    until_ok left "full goes-too older"
    weir remove "$at" "$(weir last "$at" goes-too | id_of)"
    until_ok left "full older"
    stop
    start
    until_ok left "full older"
}

@test "an init file is made so, and again without change" {
    cat >"$dir/init.json" <<'END'
{"$schema":"any","basins":[{"name":"init-basin-1","config":{"create_stream_on_append":true,
 "default_stream_config":{"retention_policy":"7days"}},
 "streams":[{"name":"a/b","config":{"retention_policy":"1h 30m","delete_on_empty":{"min_age":"1day"}}},{"name":"c"}]},
 {"name":"weir-root","streams":[{"name":"in-root","config":{"retention_policy":"infinite"}}]}]}
END
    start "$store" --init-file "$dir/init.json"
    api GET /v1/streams/a%2Fb '' -H 's2-basin: init-basin-1'
    wants 200 '"age":5400' '"min_age_secs":86400'
    api GET /v1/streams/c '' -H 's2-basin: init-basin-1'
    wants 200 '"age":604800'
    api GET /v1/streams/in-root
    wants 200 '"infinite":{}'
    api PUT /v1/streams/a%2Fb '' -H 's2-basin: init-basin-1'
    provision updated
    frames=$(weir cat "$store" --topic 'xs.store.*' | wc -l)
    stop
    S2LITE_INIT_FILE=$dir/init.json start
    api GET /v1/streams/a%2Fb '' -H 's2-basin: init-basin-1'
    wants 200 '"age":5400'
    [ "$(weir cat "$store" --topic 'xs.store.*' | grep -c create)" = 1 ]
    [ "$frames" = 2 ]
}

@test "a faulty init file: every fault is told, nothing is made" {
    echo '{"basins":[{"name":"x"},{"name":"good-basin","size":1,"streams":[{"name":"s","config":{"retention_policy":"0s"}}]}]}' >init.json
    run --separate-stderr env WEIR_INIT_FILE=init.json timeout 10 weird "$store"
    [ "$status" = 1 ]
    # shellcheck disable=SC2154
    [[ $stderr == *'basins[0]: name: '*'basins[1]: "size" is not known here'*'basins[1].streams[0].config: retention_policy'* ]]
    [ ! -e "$store" ]
    fails 1 'No such file' timeout 10 weird "$store" --init-file nowhere.json
    # One that names what cannot be had is told by the store, and the daemon does not start.
    echo '{"basins":[{"name":"good-basin","config":{"stream_cipher":"aegis-256"}}]}' >init.json
    run --separate-stderr timeout 10 weird "$store" --init-file init.json
    [ "$status" = 1 ]
    [[ $stderr == *'basin good-basin cannot be made: '*aegis-256* ]]
    start
    api GET /v1/basins
    [ "$(names)" = weir-root ]
}

@test "a store in memory ends with its daemon" {
    start "$store" --memory
    [ -L "$store" ]
    real=$(readlink "$store")
    [ "$(stat -c %a "$real")" = 700 ]
    weir status "$store" | grep -q '"memory":true'
    weir append "$store" t --content x
    api POST /v1/basins '{"basin":"my-basin-1"}' && wants 201
    [ -d "$real/basins" ]
    fails 1 'is there already' timeout 10 weird --memory "$store"
    stop
    [ ! -e "$real" ]
    [ ! -L "$store" ]
    # One that was killed leaves its directory to the next.
    start "$store" --memory
    real=$(readlink "$store")
    kill -9 "$daemon"
    wait "$daemon" || :
    [ -e "$real/format" ]
    start "$store" --memory
    [ ! -e "$real" ]
    [ -z "$(weir cat "$store" --topic t)" ]
    other=$(readlink "$store")
    start "$dir/second" --memory
    [ -e "$other/format" ] # that of a living one stays
    fails 2 'nothing to check' weird --memory "$store" --verify
}

@test "a store in memory needs no name: it is reached by what is exposed" {
    weir serve --memory --expose 127.0.0.1:0 >"$dir/log" 2>&1 3>&- &
    daemons+=("$!")
    daemon=$!
    until_ok grep -q 'listening=127' "$dir/log"
    url=http://$(grep -o '127.0.0.1:[0-9]*' "$dir/log" | head -n 1)
    [ "$(curl -s "$url/health")" = OK ]
    [ "$(curl -s "$url/ping")" = OK ]
    real=$(grep -o 'serving=[^ ]*' "$dir/log" | cut -d = -f 2)
    weir append "$real" t --content x
    stop
    [ ! -e "$real" ]
}

@test "locations: there is one" {
    start
    api GET /v1/locations && wants 200 '[{"name":"weir:local"'
    api GET /v1/locations/default && wants 200 '{"name":"weir:local"'
    api PUT /v1/locations/default '"weir:local"' && wants 200 '"weir:local"'
    api PUT /v1/locations/default '"elsewhere:1"' && wants 422 '"invalid"'
    api PUT /v1/locations/default '"!"' && wants 400 '"bad_json"'
    api PUT /v1/locations/default '5' && wants 400 '"bad_json"'
}
