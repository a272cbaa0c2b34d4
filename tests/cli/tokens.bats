#!/usr/bin/env bats
# Access tokens: who may do what over exposed addresses, by every route of every dialect.

load setup

port_of() {
    weir last "$1" xs.start --json | grep -o '127\.0\.0\.1:[0-9]*' | cut -d : -f 2
}

# exposed [OPTION...]: a daemon on a TCP port; its URL in $url, its port in $port.
exposed() {
    start "$store" --expose 127.0.0.1:0 "$@"
    port=$(port_of "$store")
    url=http://127.0.0.1:$port
}

# ask STATUS [CURL ARGUMENT...]: a request over TCP with $token (none when empty) answers so; its body is in `body'.
ask() {
    local want=$1 got
    shift
    got=$(curl -sS --max-time 5 -o body -w '%{http_code}' ${token:+-H "Authorization: Bearer $token"} "$@") || :
    if [[ $got != "$want" ]]; then
        echo "status $got, not $want: $*" >&2
        head -c 500 body >&2
        return 1
    fi
}

# issue ID OPTION...: a token over the store's own socket.
issue() {
    weir token issue "$store" "$@"
}

json='content-type: application/json'

# METHOD PATH [BODY]: every route, but those that need no token; ID and HASH stand for what is there.
routes() {
    cat <<'END_OF_ROUTES'
GET /
HEAD /
GET /?count
GET /?last=1
GET /?group=g
POST /append
POST /append?stream
POST /append/t
POST /t
GET /last
GET /last/t
GET /head/t
GET /ID
DELETE /ID
POST /cas
GET /cas/HASH
POST /import
POST /eval
POST /pipe/ID
GET /export
GET /groups
GET /groups/g
PUT /groups/g
DELETE /groups/g
POST /groups/g/ack
GET /cursors
GET /cursors/c
PUT /cursors/c
DELETE /cursors/c
GET /tokens
POST /tokens
DELETE /tokens/t
GET /status
GET /metrics
GET /v1/basins
POST /v1/basins
GET /v1/basins/weir-root
PUT /v1/basins/weir-root
PATCH /v1/basins/weir-root
DELETE /v1/basins/other-basin
GET /v1/streams
POST /v1/streams
GET /v1/streams/t
PUT /v1/streams/t
PATCH /v1/streams/t
DELETE /v1/streams/t
GET /v1/streams/t/records/tail
GET /v1/streams/t/records?seq_num=0
POST /v1/streams/t/records
GET /v1/access-tokens
POST /v1/access-tokens
DELETE /v1/access-tokens/t
GET /v1/locations
GET /v1/locations/default
PUT /v1/locations/default
GET /v1/metrics?set=active-basins&start=1&end=2
GET /v1/metrics/weir-root?set=storage&start=1&end=2
GET /v1/metrics/weir-root/t?set=storage&start=1&end=2
END_OF_ROUTES
}

# over_all FUNCTION: calls it with METHOD and target of every route.
over_all() {
    local method target
    while read -r method target; do
        target=${target//ID/$id}
        "$1" "$method" "${target//HASH/$hash}"
    done < <(routes)
}

something() {
    id=$(weir append "$store" t --content hello | id_of)
    hash=$(weir get "$store" "$id" | grep -o 'sha256-[^"]*')
}

@test "the table has every route of the daemon" {
    local root=$here/../.. path
    grep -ho '\.path = "[^"]*"' "$root/daemon/api.c" "$root/daemon/s2/s2_routes.c" | cut -d '"' -f 2 | sort -u >paths
    [ "$(wc -l <paths)" -gt 20 ]
    while read -r path; do
        case $path in
            /version | /health | /ping) continue ;;
            */\*) path=${path%\*} ;;
        esac
        routes | sed 's/^[A-Z]* //; s/\*/./g' | grep -qE -- "^${path//\*/[^/]*}" || { echo "not in the table: $path" >&2; return 1; }
    done <paths
}

no_token() {
    local data=()
    [[ $1 == HEAD ]] && data=(--head)
    [[ $1 == P* ]] && data=(-H "$json" -d '{}')
    ask 401 -X "$1" "${data[@]}" -D head "$url$2"
    grep -qi '^www-authenticate: Bearer' head
    [[ $1 == HEAD || $2 != /v1/* ]] || grep -q '^{"code":"authn","message":' body
    [[ $1 == HEAD || $2 == /v1/* ]] || grep -q '^{"error":"unauthorized","message":' body
}

@test "in the closed state every route needs a token" {
    local root token path
    exposed
    something
    root=$(weir token root "$store")
    token=
    over_all no_token
    for token in nonsense "${root}x" "${root%?}"; do
        no_token GET /
        no_token POST /v1/streams
    done
    token=
    for path in /version /health /ping; do
        ask 200 "$url$path"
    done
    ask 401 -H "Authorization: Basic $(printf %s "me:$root" | base64 -w0)" "$url/"
    ask 404 "$url/nothing/here"
    token=$root
    ask 200 "$url/"
    ask 200 "$url/v1/basins"
    ask 200 -d 'echo run' "$url/eval"
    [ "$(cat body)" = run ]
    weir cat "$store" | grep -q '"topic":"t"' # its own socket needs none
}

in_open_state() {
    local got
    got=$(curl -sS --max-time 2 -o /dev/null -w '%{http_code}' -X "$1" -H "Authorization: Bearer $token" "$url$2") || :
    [[ $got != 401 ]] || { echo "401: $1 $2" >&2; return 1; }
}

@test "in the open state any token will do, for everything but exec" {
    local token=any
    exposed
    something
    over_all in_open_state
    something
    token=
    ask 200 "$url/"
    ask 403 -d 'echo run' "$url/eval"
    ask 403 -d x "$url/pipe/$id"
    ask 403 -d '#!/bin/sh' "$url/append/xs.service.x.create"
    ask 403 -d '{"root":true}' "$url/tokens"
    ask 400 -d '{"id":"more","scope":{}}x' "$url/tokens"
    ask 403 -d '{"id":"more","scope":{"ops":["exec"]}}' "$url/tokens"
    ask 400 -H "$json" -d '{"id":"more","scope":{"ops":["exec"]}}' "$url/v1/access-tokens"
    ask 201 -H "$json" -d '{"id":"more","scope":{"ops":["read"]}}' "$url/v1/access-tokens"
}

@test "a token that is known holds in the open state, too" {
    local token=''
    exposed
    token=$(issue t --op read --stream 'a.*')
    ask 200 "$url/"
    ask 403 -d x "$url/append/a.b"
    weir token revoke "$store" t
    ask 401 "$url/"
    grep -q revoked body
    token=$(issue t --op read --expires 1s)
    ask 200 "$url/"
    until_ok ask 401 "$url/"
    grep -q expired body
    stop
    exposed
    ask 401 "$url/"
    token=
    ask 200 "$url/"
}

# Reads of a token for a.* : nothing else is shown, however it is asked for.
@test "reads show the topics that a token has" {
    local token='' a b i big
    exposed
    head -c 100000 /dev/urandom >large
    for i in 1 2; do
        weir append "$store" a.x --content "mine $i" >/dev/null
        weir append "$store" b.x --content "theirs $i" >/dev/null
    done
    a=$(weir last "$store" a.x | id_of)
    b=$(weir last "$store" b.x | id_of)
    big=$(weir append "$store" b.large <large | grep -o 'sha256-[^"]*')
    token=$(issue t --op read --stream 'a.*')
    for i in / '/?last=9' '/?reverse' '/?limit=3' '/?topic=*' '/?topic=a.x,b.x' '/last?last=9' '/last/b.x,a.*?last=9' /export; do
        ask 200 "$url$i"
        grep -qa 'a\.x' body || { echo "nothing: $i" >&2; return 1; }
        lacks 'b\.\|xs\.start' body
    done
    for i in '/?topic=b.*' '/?topic=b.x' '/?stream=b.x' '/?topic=xs.*' '/?last=9&topic=b.x'; do
        ask 200 "$url$i"
        [ ! -s body ]
    done
    ask 200 "$url/last"
    grep -q "$a" body
    ask 200 "$url/?count"
    [ "$(cat body)" = '{"count":2}' ]
    ask 404 "$url/last/b.x"
    ask 404 "$url/head/b.x"
    ask 200 "$url/$a"
    ask 404 "$url/$b"
    # Contents: of its frames only, whatever else names them.
    ask 200 "$url/cas/$(weir get "$store" "$a" | grep -o 'sha256-[^"]*')"
    [ "$(cat body)" = 'mine 2' ]
    for i in "$(weir get "$store" "$b" | grep -o 'sha256-[^"]*')" "$big" "$(weir cas-post "$store" <<<loose)"; do
        ask 404 "$url/cas/$i"
        ask 404 -H "If-None-Match: \"$i\"" "$url/cas/$i"
    done
    weir append "$store" a.large <large >/dev/null
    ask 200 "$url/cas/$big"
    cmp body large
}

@test "naming a content is no way to read it" {
    local token='' hash
    exposed
    hash=$(weir append "$store" b.x --content theirs | grep -o 'sha256-[^"]*')
    token=$(issue t --op read,append --stream 'a.*')
    ask 409 -d "{\"id\":\"03d4q1qhbiv09ovtuhokw5yxv\",\"topic\":\"a.x\",\"hash\":\"$hash\"}" "$url/import"
    ask 404 "$url/cas/$hash"
    weir append "$store" a.y --content theirs >/dev/null
    ask 200 -d "{\"id\":\"03d4q1qhbiv09ovtuhokw5yxv\",\"topic\":\"a.x\",\"hash\":\"$hash\"}" "$url/import"
    # What a dump brings along is its sender's.
    start "$dir/o"
    head -c 100000 /dev/urandom >large
    weir append "$dir/o" a.large <large >/dev/null
    weir export "$dir/o" dump --topic 'a.*'
    ask 200 -H 'content-type: application/x-weir-dump' --data-binary @dump "$url/import"
    ask 200 "$url/cas/$(weir last "$dir/o" a.large | grep -o 'sha256-[^"]*')"
    cmp body large
}

@test "writes reach the topics that a token has" {
    local token='' a b
    exposed
    a=$(weir append "$store" a.x --content x | id_of)
    b=$(weir append "$store" b.x --content x | id_of)
    token=$(issue t --op append --stream 'a.*')
    ask 200 -d x "$url/append/a.x"
    ask 200 -d x "$url/a.x"
    ask 403 -d x "$url/append/b.x"
    ask 403 -d x "$url/b.x"
    ask 403 -d '{"topic":"a.x"}
{"topic":"b.x"}' "$url/append"
    ask 403 -d '{"topic":"a.x"}
{"topic":"b.x"}' "$url/append?stream"
    grep -q '"line":2,"committed":1' body
    ask 403 -d '{"id":"03d4q1qhbiv09ovtuhokw5yxv","topic":"b.x"}' "$url/import"
    ask 403 "$url/"
    ask 403 "$url/$a"
    ask 403 -X DELETE "$url/$a"
    ask 403 "$url/status"
    ask 403 -d 'echo' "$url/eval"
    ask 403 "$url/tokens"
    ask 403 -d '{"id":"u","scope":{}}' "$url/tokens"
    token=$(issue u --op trim --stream 'a.*')
    ask 404 -X DELETE "$url/$b"
    ask 204 -X DELETE "$url/$a"
    ask 404 -X DELETE "$url/$a"
    [ "$(weir cat "$store" --topic b.x | wc -l)" = 1 ]
}

@test "an export over TCP has no tokens; one over the socket has, and brings them along" {
    local token='' other other_port
    exposed
    weir token root "$store" >/dev/null 2>&1
    token=$(issue reader --read)
    ask 200 "$url/export"
    lacks 'token/' body
    weir export "$store" dump
    grep -qa 'token/reader' dump
    stop
    other=$dir/o
    start "$other" --expose 127.0.0.1:0
    other_port=$(port_of "$other")
    weir import "$other" dump
    url=http://127.0.0.1:$other_port
    until_ok ask 200 "$url/"
    token=
    ask 401 "$url/"
}

@test "groups are within what their members may read" {
    local token=''
    exposed
    weir append "$store" a.x --content 1 >/dev/null
    weir append "$store" b.x --content 1 >/dev/null
    weir cat "$store" --group all --limit 1 >/dev/null
    token=$(issue t --op read --stream 'a.*')
    ask 200 "$url/groups"
    [ ! -s body ]
    ask 404 "$url/groups/all"
    ask 403 "$url/?group=all"
    ask 403 -X DELETE "$url/groups/all"
    ask 403 -d "$id" "$url/groups/all/ack"
    ask 403 "$url/?group=mine"
    ask 403 "$url/?group=mine&topic=a.*"
    grep -q 'mine\.dead' body
    ask 200 "$url/?group=mine&topic=a.*&max=0"
    grep -q 'a\.x' body
    ask 200 "$url/groups"
    grep -q '"name":"mine"' body
    ask 403 -X PUT -d '{"topics":"b.*"}' "$url/groups/mine"
    ask 403 -X PUT -d '{"max":3}' "$url/groups/mine"
    ask 200 -X PUT -d '{"at":"new"}' "$url/groups/mine"
    ask 204 -X DELETE "$url/groups/mine"
}

@test "revoking ends what is open, and the follow is no clean end" {
    local token='' reader status=0
    exposed
    weir append "$store" a.x --content 1 >/dev/null
    token=$(issue t --op read)
    curl -sSN -H "Authorization: Bearer $token" "$url/?follow" >followed 2>/dev/null 3>&- &
    reader=$!
    until_ok grep -q xs.threshold followed
    weir token revoke "$store" t
    wait "$reader" || status=$?
    [ "$status" != 0 ]
    weir append "$store" a.x --content 2 >/dev/null
    [ "$(grep -c a.x followed)" = 1 ]
}

@test "making the root token ends what came without one" {
    local reader status=0
    exposed
    curl -sSN "$url/?follow" >followed 2>/dev/null 3>&- &
    reader=$!
    until_ok grep -q xs.threshold followed
    weir token root "$store" >/dev/null 2>&1
    wait "$reader" || status=$?
    [ "$status" != 0 ]
}

@test "a token that was answered is there after kill -9, and so is a revocation" {
    local token='' gone i
    exposed
    for i in 1 2 3; do
        gone=$(issue gone --read)
        weir token revoke "$store" gone
        token=$(issue "t$i" --read)
        kill -9 "$daemon"
        wait "$daemon" || :
        exposed
        ask 200 "$url/"
        token=$gone
        ask 401 "$url/"
    done
}

@test "S2 routes: operations, names and the auto-prefix" {
    local token='' s b
    exposed
    weir append "$store" team/a --stream 'team/a' --content x >/dev/null 2>&1 || :
    b='s2-basin: weir-root'
    for s in team/a team/b other; do
        ask 201 -H "$json" -H "$b" -d "{\"stream\":\"$s\"}" "$url/v1/streams"
    done
    token=$(issue r --op read,list-streams,check-tail --stream 'team/*')
    ask 200 -H "$b" "$url/v1/streams/team%2Fa/records/tail"
    ask 403 -H "$b" "$url/v1/streams/other/records/tail"
    grep -q '^{"code":"permission_denied","message":' body
    ask 403 -H "$b" "$url/v1/streams/other/records?seq_num=0&count=1"
    ask 403 -H "$b" -H "$json" -d '{"records":[{"body":"x"}]}' "$url/v1/streams/team%2Fa/records"
    ask 403 -H "$b" "$url/v1/streams/team%2Fa"
    ask 403 -H "$b" -X DELETE "$url/v1/streams/team%2Fa"
    ask 403 -H "$b" -H "$json" -d '{"stream":"team/c"}' "$url/v1/streams"
    ask 403 "$url/v1/basins"
    ask 403 -H "$json" -d '{"basin":"more-basin"}' "$url/v1/basins"
    ask 403 -X DELETE "$url/v1/basins/weir-root"
    ask 403 "$url/v1/access-tokens"
    ask 403 -X DELETE "$url/v1/access-tokens/r"
    ask 403 "$url/v1/locations"
    ask 403 "$url/v1/metrics?set=active-basins&start=1&end=2"
    ask 200 -H "$b" "$url/v1/streams"
    grep -q 'team/a.*team/b' body
    lacks other body
    token=$(issue w --op append --stream 'team/*')
    ask 200 -H "$b" -H "$json" -d '{"records":[{"body":"x"}]}' "$url/v1/streams/team%2Fa/records"
    ask 403 -H "$b" -H "$json" -d '{"records":[{"headers":[["","fence"]],"body":"mine"}]}' "$url/v1/streams/team%2Fa/records"
    ask 403 -H "$b" -H "$json" -d '{"records":[{"body":"x"}]}' "$url/v1/streams/other/records"
    token=$(issue p --op append,read,list-streams,check-tail --stream 'team/*' --auto-prefix)
    ask 200 -H "$b" -H "$json" -d '{"records":[{"body":"y"}]}' "$url/v1/streams/b/records"
    ask 200 -H "$b" "$url/v1/streams"
    grep -q '"name":"a".*"name":"b"' body
    lacks team body
    ask 200 -H "$b" "$url/v1/streams?start_after=a"
    lacks '"name":"a"' body
    token=$(issue o --op read,check-tail --basin other-basin)
    ask 403 -H "$b" "$url/v1/streams/other/records/tail"
    ask 403 "$url/"
}

@test "S2 access tokens: issue, list, revoke" {
    local token='' secret own
    exposed
    weir token root "$store" >root.token 2>/dev/null
    token=$(cat root.token)
    ask 201 -H "$json" -d '{"id":"boss","scope":{"basins":{"prefix":""},"streams":{"prefix":"a/"},"access_tokens":{"prefix":"boss-"},
        "op_groups":{"stream":{"read":true}},"ops":["issue-access-token","revoke-access-token","list-access-tokens"]},
        "expires_at":"2099-01-01T00:00:00Z"}' "$url/v1/access-tokens"
    secret=$(grep -o 'weir_[A-Za-z0-9_-]*' body)
    grep -qx '{"access_token":"weir_[A-Za-z0-9_-]*"}' body
    ask 409 -H "$json" -d '{"id":"boss","scope":{}}' "$url/v1/access-tokens"
    grep -q resource_already_exists body
    ask 422 -H "$json" -d '{"id":"x","auto_prefix_streams":true,"scope":{"streams":{"exact":"a"}}}' "$url/v1/access-tokens"
    ask 422 -H "$json" -d '{"id":"x","expires_at":"2001-01-01T00:00:00Z","scope":{}}' "$url/v1/access-tokens"
    ask 400 -H "$json" -d '{"id":"","scope":{}}' "$url/v1/access-tokens"
    ask 400 -H "$json" -d '{"id":"x"' "$url/v1/access-tokens"
    ask 400 -H 'content-type: text/plain' -d '{"id":"x","scope":{}}' "$url/v1/access-tokens"
    token=$secret
    for own in '{"ops":["append"]}' '{"ops":["read"],"streams":{"prefix":""}}' '{"ops":["read"],"access_tokens":{"prefix":""}}' \
        '{"op_groups":{"basin":{"read":true}}}'; do
        ask 403 -H "$json" -d "{\"id\":\"boss-1\",\"scope\":$own}" "$url/v1/access-tokens"
        grep -q permission_denied body
    done
    ask 403 -H "$json" -d '{"id":"other","scope":{"ops":["read"]}}' "$url/v1/access-tokens"
    ask 403 -H "$json" -d '{"id":"boss-1","expires_at":"2099-01-01T00:00:01Z","scope":{"ops":["read"]}}' "$url/v1/access-tokens"
    for own in boss-1 boss-2 boss-3; do
        ask 201 -H "$json" -d "{\"id\":\"$own\",\"scope\":{\"streams\":{\"exact\":\"a/1\"},\"ops\":[\"read\"]}}" "$url/v1/access-tokens"
    done
    ask 200 "$url/v1/access-tokens?limit=2"
    grep -q '^{"access_tokens":\[{"id":"boss-1",.*"id":"boss-2",.*\],"has_more":true}$' body
    grep -q '"streams":{"exact":"a/1"}' body
    grep -q '"expires_at":"2099-01-01T00:00:00+00:00"' body
    lacks '"id":"root"\|"id":"boss"' body
    ask 200 "$url/v1/access-tokens?start_after=boss-2&prefix=boss"
    grep -q '^{"access_tokens":\[{"id":"boss-3",.*\],"has_more":false}$' body
    ask 204 -X DELETE "$url/v1/access-tokens/boss-2"
    ask 404 -X DELETE "$url/v1/access-tokens/boss-2"
    grep -q access_token_not_found body
    ask 403 -X DELETE "$url/v1/access-tokens/boss"
    token=$(cat root.token)
    ask 200 "$url/v1/access-tokens"
    lacks exec body
    ask 403 -X DELETE "$url/v1/access-tokens/root"
}

@test "weir token: root, issue, list, revoke; WEIR_TOKEN" {
    local root secret
    exposed
    fails 2 "say what is to be done" weir token "$store"
    fails 2 "say what the token is for" weir token issue "$store" t
    fails 2 "is for \`issue'" weir token list "$store" --read
    fails 1 "there is no operation" weir token issue "$store" t --op nonsense
    fails 2 "such as 30d" weir token issue "$store" t --read --expires soon
    root=$(weir token root "$store")
    fails 1 "set WEIR_TOKEN" weir cat ":$port"
    WEIR_TOKEN=$root weir cat ":$port" | grep -q xs.start
    WEIR_TOKEN="a b" fails 1 "WEIR_TOKEN holds blanks" weir cat ":$port"
    WEIR_TOKEN=$root fails 1 "own socket only" weir token root ":$port"
    secret=$(WEIR_TOKEN=$root weir token issue ":$port" t --write --read --stream 'a.*' --expires 30d)
    WEIR_TOKEN=$secret weir append ":$port" a.x --content 1
    WEIR_TOKEN=$secret fails 1 "does not allow" weir append ":$port" b.x --content 1
    weir token list "$store" | grep -q '^{"id":"t",.*"streams":{"prefix":"a."}'
    on_terminal "weir token list '$store'" | grep -q '^t  *[-0-9T:.+]*  *\* *a\.\*  *account-read,'
    WEIR_TOKEN=$root weir token revoke ":$port" t
    fails 1 "no token t" weir token revoke "$store" t
    WEIR_TOKEN=$secret fails 1 "was revoked" weir cat ":$port"
    fails 1 "is not revoked but replaced" weir token revoke "$store" root
    WEIR_TOKEN=$(weir token root "$store" 2>"$err") weir cat ":$port" >/dev/null
    WEIR_TOKEN=$root fails 1 "was revoked" weir cat ":$port"
}

@test "a token for exec defines programs over TCP; --require-token closes without a root token" {
    local secret
    exposed --require-token
    fails 1 "none was made yet" weir cat ":$port"
    secret=$(issue e --exec --op append,read)
    WEIR_TOKEN=$secret weir eval ":$port" -c 'echo run' | grep -qx run
    WEIR_TOKEN=$secret weir service add ":$port" x -- sleep 1000
    WEIR_TOKEN=$secret weir stop ":$port" x
    secret=$(issue n --op append,read)
    WEIR_TOKEN=$secret fails 1 "token for exec" weir service add ":$port" y -- sleep 1000
}

@test "browsers: preflights are answered for every route, answers carry the origin" {
    local token=''
    exposed --cors '*'
    weir token root "$store" >/dev/null 2>&1
    ask 200 -X OPTIONS -D head -H 'Origin: http://app.example' -H 'Access-Control-Request-Method: PUT' \
        -H 'Access-Control-Request-Headers: authorization,s2-basin' "$url/v1/basins"
    tr -d '\r' <./head >fields
    grep -qix 'access-control-allow-origin: http://app.example' fields
    grep -qix 'access-control-allow-headers: authorization,s2-basin' fields
    grep -qix 'access-control-allow-credentials: true' fields
    grep -qi 'access-control-allow-methods:.*PATCH' fields
    ask 401 -D head -H 'Origin: http://app.example' "$url/v1/basins"
    grep -qi '^access-control-allow-origin: http://app.example' head
    stop
    exposed
    ask 403 -X OPTIONS -H 'Origin: http://app.example' -H 'Access-Control-Request-Method: PUT' "$url/v1/basins"
    ask 403 -H 'Host: evil.example' "$url/v1/basins"
}
