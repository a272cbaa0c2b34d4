#!/usr/bin/env bats
# weir cat --group, ack, nack, groups: readers that share a durable cursor.

load setup

# http METHOD TARGET [BODY]: the answer's body; its status in the file status.
http() {
    curl -sS --max-time 10 --unix-socket "$store/sock" -X "$1" ${3+--data-binary "$3"} \
        -w '%{stderr}%{http_code}' "http://localhost$2" 2>status
}

# member NAME [OPTION...]: a member that follows, in the background; its frames in the file NAME, its pid in $member.
member() {
    local name=$1 file=$1
    shift
    weir cat "$store" --group g --member "$name" -f "$@" >"$file" 2>"$file.err" 3>&- &
    member=$!
    daemons+=("$member")
    until_ok joined "$name"
}

joined() {
    http GET /groups/g | grep -q "\"name\":\"$1\",\"open\":[0-9]*,\"connected\":true"
}

# has FILE N: it has so many frames.
has() {
    [ "$(wc -l <"$1")" -eq "$2" ]
}

# says TEXT: GET /groups/g has it.
says() {
    http GET '/groups/g?lag' | grep -qF -- "$1"
}

add_some() {
    local i
    for ((i = 0; i < $1; i++)); do add "${2:-t}"; done
}

ids_in() {
    grep -oh '"id":"[0-9a-z]*"' "$@" | cut -d '"' -f 4 | sort
}

@test "members share the frames, each frame to one" {
    start
    member a -T 't,u' --order none
    member b
    add_some 20 >added
    until_ok bash -c '[ "$(cat a b | wc -l)" -eq 20 ]'
    ids_in a b | cmp - <(sort added)
    [ "$(wc -l <a)" -eq 10 ]
    until_ok says '"open":0,"waiting":0,"acked":0'
    says '"lag":0'
}

@test "a group goes on where it was, also over restarts of the daemon" {
    start
    add_some 5 >added
    weir cat "$store" -g g -T t --limit 2 >one
    weir cat "$store" -g g --limit 1 >two
    kill -9 "$daemon" && wait "$daemon" || :
    start
    weir cat "$store" -g g >three
    ids_in one two three | cmp - <(sort added)
    has one 2 && has two 1 && has three 2
    stop
    start
    [ -z "$(weir cat "$store" -g g)" ]
    id=$(add t)
    [ "$(weir cat "$store" -g g | id_of)" = "$id" ]
    [ "$(weir cat "$store" -T t | wc -l)" -eq 6 ]
}

@test "what was acknowledged never comes again, what was not does, also after kill -9 of the daemon" {
    start
    add_some 6 >added
    weir cat "$store" -g g -T t --ack manual >one
    has one 6
    sed -n '2p;4p' added | weir ack "$store" g | grep -qx '{"acked":2,"unknown":0}'
    says '"open":4,"waiting":0,"acked":2'
    kill -9 "$daemon" && wait "$daemon" || :
    start
    says '"open":0,"waiting":0,"acked":2'
    says '"lag":4'
    weir cat "$store" -g g >two
    ids_in two | cmp - <(sed '2d;4d' added | sort)
    says '"acked":0'
}

@test "a new group begins at the beginning, or where it is told" {
    start
    add_some 3 >added
    [ "$(weir cat "$store" -g all -T t | wc -l)" -eq 3 ]
    [ -z "$(weir cat "$store" -g fresh -T t --new)" ]
    [ "$(weir cat "$store" -g behind -T t --after "$(sed -n 1p added)" | wc -l)" -eq 2 ]
    [ "$(weir cat "$store" -g there -T t --from "$(sed -n 3p added)" | wc -l)" -eq 1 ]
    [ "$(weir cat "$store" -g "then" -T t --since 1h | wc -l)" -eq 3 ]
    add t
    [ "$(weir cat "$store" -g fresh -T t --new | wc -l)" -eq 1 ]
}

@test "who is killed hands over: frames not written by then go to others" {
    start
    member a -T t
    kill -STOP "$member"
    add_some 4 >added
    until_ok says '"open":4'
    killed=$member
    member b
    kill -9 "$killed"
    until_ok has b 4
    ids_in b | cmp - <(sort added)
    until_ok says '"open":0,"waiting":0'
    says '"lag":0'
}

@test "by hand: a broken connection hands over after the grace" {
    start
    member a -T t --ack manual
    add_some 2 >added
    until_ok has a 2
    weir ack "$store" g "$(head -n 1 added)"
    kill -9 "$member"
    member b
    until_ok has b 1
    ids_in b | cmp - <(tail -n 1 added)
}

@test "by hand: what is not acknowledged in time goes to another member" {
    start
    member a -T t --ack manual --timeout-ms 200 --window 1
    id=$(add t)
    until_ok has a 1
    member b --ack manual
    until_ok bash -c 'cat b | grep -q .'
    [ "$(head -n 1 b | id_of)" = "$id" ]
    weir ack "$store" g "$id"
    says '"open":0,"waiting":0'
}

@test "an answer that came to its end keeps its frames open" {
    start
    add_some 3 >added
    weir cat "$store" -g g -T t --ack manual --limit 2 --member w >one
    says '"open":2'
    [ "$(weir cat "$store" -g g --member w | id_of)" = "$(sed -n 3p added)" ]
    weir cat "$store" -g g --ack manual --limit 2 >/dev/null
    weir ack "$store" g --member w --upto "$(sed -n 1p added)" | grep -qx '{"acked":1,"unknown":0}'
    weir ack "$store" g <one | grep -qx '{"acked":2,"unknown":0}'
    says '"members":[]'
}

@test "order topic: one frame of a topic at a time, in order, over hand-overs" {
    start
    a1=$(add a) a2=$(add a) b1=$(add b)
    weir cat "$store" -g g -f -T a,b --order topic --ack manual --member taker >x 3>&- &
    daemons+=("$!")
    until_ok has x 2
    [ "$(topics_of <x)" = "a b" ]
    says '"open":2,"waiting":1'
    weir nack "$store" g "$a1"
    until_ok has x 3
    [ "$(tail -n 1 x | id_of)" = "$a1" ]
    weir ack "$store" g "$b1" "$a1"
    until_ok has x 4
    [ "$(tail -n 1 x | id_of)" = "$a2" ]
    says '"open":1,"waiting":0'
}

@test "order topic: without follow everything comes, each when its time has come" {
    start
    add_some 30 a >added
    add_some 5 b >>added
    weir cat "$store" -g g -T a,b --order topic >x
    ids_in x | cmp - <(sort added)
    [ "$(grep '"topic":"a"' x | grep -o '"id":"[^"]*' | cut -d '"' -f 4)" = "$(head -n 30 added)" ]
}

@test "what nobody can do goes to GROUP.dead with its content" {
    start
    weir append "$store" t --content 'hard nut' >frame
    head -c 200000 /dev/zero | weir append "$store" t >large
    id=$(id_of <frame)
    weir cat "$store" -g g --max 2 -T '*' -f --ack manual --member taker >m 3>&- &
    daemons+=("$!")
    until_ok grep -q "$id" m
    weir nack "$store" g "$id" | grep -qx '{"nacked":1,"unknown":0}'
    until_ok bash -c "[ \"\$(grep -c $id m)\" -eq 2 ]"
    weir nack "$store" g "$id" --member taker
    until_ok weir last "$store" g.dead
    weir last "$store" g.dead | grep -qF "\"meta\":{\"group\":\"g\",\"frame_id\":\"$id\",\"topic\":\"t\",\"attempts\":2}"
    [ "$(weir cas "$store" "$(weir last "$store" g.dead | grep -o 'sha256-[^"]*')")" = 'hard nut' ]
    id=$(id_of <large)
    weir nack "$store" g "$id"
    until_ok bash -c "[ \"\$(grep -c $id m)\" -eq 2 ]"
    weir nack "$store" g "$id"
    until_ok bash -c "weir last '$store' g.dead | grep -q '$id'"
    weir remove "$store" "$id"
    [ "$(weir cas "$store" "$(weir last "$store" g.dead | grep -o 'sha256-[^"]*')" | wc -c)" -eq 200000 ]
    lacks g.dead m
    weir cat "$store" -T xs.start | weir ack "$store" g
    until_ok says '"open":0,"waiting":0'
}

@test "a frame removed while it waits is not waited for" {
    start
    id=$(add t)
    weir cat "$store" -g g -T t --ack manual >/dev/null
    weir remove "$store" "$id"
    weir nack "$store" g "$id"
    [ -z "$(weir cat "$store" -g g)" ]
    says '"open":0,"waiting":0'
}

@test "a slow member holds back only its window" {
    start
    member a -T t --window 2
    kill -STOP "$member"
    member b --window 100
    add_some 30 >/dev/null
    until_ok has b 28
    says '"open":2'
    kill -CONT "${daemons[1]}"
    until_ok has a 2
    until_ok says '"open":0'
}

@test "ephemeral frames and other topics are not for groups" {
    start
    member a -T t
    add t --ttl ephemeral
    add u
    id=$(add t)
    until_ok has a 1
    [ "$(id_of <a)" = "$id" ]
    [ "$(weir cat "$store" -g g2 -T t | wc -l)" -eq 1 ]
}

@test "settings: kept, compared, changed" {
    start
    add_some 3 >added
    weir cat "$store" -g g -T 'b.*,t' --order topic --max 7 --timeout-ms 900 >/dev/null
    says '"topics":"b.*,t","order":"topic","max":7,"timeout_ms":900'
    weir cat "$store" -g g -T 't,b.*' --max 7
    fails 1 "the group's topics are b.*,t, not t" weir cat "$store" -g g -T t
    fails 1 "the group's order is topic" weir cat "$store" -g g --order none
    fails 1 "the group's max is 7" weir cat "$store" -g g --max 8
    fails 1 "the group's timeout_ms is 900" weir cat "$store" -g g --timeout-ms 901
    http GET '/?group=g&topic=x' | grep -q '"error":"conflict"'
    [ "$(cat status)" = 409 ]
    http PUT /groups/g '{"topics":["t"],"order":null,"max":0,"at":"first"}' >new
    grep -q '"topics":"t","order":null,"max":0,"timeout_ms":900,"low":"0000000000000000000000000"' new
    stop
    start
    says '"topics":"t","order":null,"max":0,"timeout_ms":900'
    [ "$(weir cat "$store" -g g | wc -l)" -eq 3 ]
    http PUT /groups/made '{"at":"new","topics":"u"}' | grep -q '"name":"made","topics":"u"'
    [ "$(cat status)" = 200 ]
    [ -z "$(weir cat "$store" -g made)" ]
}

@test "groups: list, reset, remove" {
    start
    add_some 4 >added
    [ -z "$(weir groups "$store")" ]
    weir cat "$store" -g g -T t >/dev/null
    weir cat "$store" -g a --new >/dev/null
    [ "$(weir groups "$store" | grep -o '"name":"[a-z]*","topics"' | paste -s)" = $'"name":"a","topics"\t"name":"g","topics"' ]
    weir groups "$store" --lag | grep -q '"name":"g".*"lag":0}$'
    weir groups reset g "$(sed -n 2p added)" --addr "$store"
    weir groups "$store" --lag | grep -q '"name":"g".*"lag":2}$'
    weir groups "$store" reset g first
    [ "$(weir cat "$store" -g g | wc -l)" -eq 4 ]
    weir groups "$store" reset g first
    weir groups "$store" reset g new
    [ -z "$(weir cat "$store" -g g)" ]
    WEIR_ADDR=$store weir groups remove a
    fails 1 "no group a" weir groups "$store" remove a
    fails 1 "no group a" weir groups "$store" reset a first
    fails 1 "reset to neither" weir groups "$store" reset g "then"
    fails 2 "usage" weir groups "$store" remove g more words
    stop
    start
    [ "$(weir groups "$store" | wc -l)" -eq 1 ]
    on_terminal "weir groups '$store' --lag" >table
    grep -qE '^GROUP +TOPICS +ORDER +MEMBERS +OPEN +WAITING +ACKED +LAG' table
    grep -qE '^g +t +- +0 +0 +0 +0 +0 *$' table
}

@test "a group that is removed cuts its members; one reset under them goes on" {
    start
    member a -T t --ack manual
    id=$(add t)
    until_ok has a 1
    weir groups "$store" reset g first
    until_ok has a 2
    weir ack "$store" g "$id"
    weir groups "$store" remove g
    status=0
    wait "$member" || status=$? # `run' is a shell of its own, which cannot wait for our children
    [ "$status" -eq 1 ]
    [ -s a.err ]
    fails 1 "no group g" weir ack "$store" g "$id"
}

@test "a member's name is for one connection at a time" {
    start
    member a -T t
    fails 1 "member a is connected already" weir cat "$store" -g g --member a
    kill "$member" && wait "$member" || :
    until_ok weir cat "$store" -g g --member a
}

@test "a stop of the daemon ends the answer in order" {
    start
    member a -T t
    stop
    wait "$member"
    grep -q "stopped" a.err
}

@test "HTTP: members' names, auto acknowledgement, events" {
    start
    add_some 3 >added
    curl -sS --max-time 10 -D head --unix-socket "$store/sock" "http://l/?group=g&topic=t&limit=1" >one
    grep -qi '^weir-member: m' head
    says '"open":0,"waiting":0'
    curl -sS --max-time 10 -D head -H 'Accept: text/event-stream' --unix-socket "$store/sock" \
        "http://l/?group=g&member=me&with-seq" >two
    grep -qi '^weir-member: me' head
    [ "$(grep -c '^id: ' two)" -eq 2 ]
    grep -q '^data: {.*"seq":2}$' two
    says '"lag":0'
    http POST /groups/g/ack "[\"$(head -n 1 added)\",\"zzz\"]" | grep -q invalid
    http POST /groups/g/ack "[\"$(head -n 1 added)\", \"f5lxx1zz5pnorynqglhzmsp33\"]" >counts
    [ "$(cat counts)" = '{"acked":1,"unknown":1}' ]
}

@test "over TCP as well" {
    start "$store" --expose 127.0.0.1:0
    add_some 3 >/dev/null
    at=$(weir cat "$store" -T xs.start | grep -o '127.0.0.1:[0-9]*' | tail -n 1)
    weir cat "$at" -g g -T t --ack manual --limit 2 | weir ack "$at" g | grep -q '"acked":2'
    [ "$(weir cat "$at" -g g | wc -l)" -eq 1 ]
    weir groups "$at" remove g
}

@test "what is refused" {
    start
    fails 1 "written as a topic" weir cat "$store" -g 'a b'
    fails 1 "do not begin with xs." weir cat "$store" -g xs.g
    fails 1 "at most 250" weir cat "$store" -g "$(printf 'g%.0s' {1..251})"
    fails 1 "a member's name" weir cat "$store" -g g --member 'a b'
    fails 1 "window" weir cat "$store" -g g --window 0
    fails 1 "timeout_ms" weir cat "$store" -g g --timeout-ms 1
    fails 2 "--ack is auto or manual" weir cat "$store" -g g --ack never
    fails 2 "does not go with" weir cat "$store" -g g --reverse
    fails 2 "go with --group" weir cat "$store" --ack auto
    fails 2 "usage: weir ack" weir ack "$store"
    fails 1 "no group g" weir ack "$store" g 03bcpn2dnq529qrqkbqcz4jv4
    fails 2 "--upto needs --member" weir ack "$store" g --upto 03bcpn2dnq529qrqkbqcz4jv4
    weir cat "$store" -g g -T t
    fails 1 "weir ack:" weir ack "$store" g notanid
    run -1 weir ack "$store" g f5lxx1zz5pnorynqglhzmsp33
    [[ $output == *'{"acked":0,"unknown":1}'*"not open"* ]]
    for target in '/?group=' '/?group=g&last=1' '/?group=g&follow=100' '/?group=g&count' '/?group=g&group=h'; do
        http GET "$target"
        [ "$(cat status)" = 400 ]
    done
    http PUT /groups/g '{"what":1}' && [ "$(cat status)" = 400 ]
    http PUT /groups/g 'no' && [ "$(cat status)" = 400 ]
    http POST /groups/g/then '' && [ "$(cat status)" = 404 ]
    http POST '/groups/g/ack?upto=03bcpn2dnq529qrqkbqcz4jv4' '' && [ "$(cat status)" = 400 ]
    http GET /groups/none && [ "$(cat status)" = 404 ]
    http PATCH /groups/g '' && [ "$(cat status)" = 405 ]
}

@test "groups move with a dump, also into a daemon that knows groups" {
    start
    add_some 4 >added
    weir cat "$store" -g g -T t --limit 3 >/dev/null
    weir export "$store" dump
    store=$dir/s2
    start "$store"
    weir cat "$store" -g other >/dev/null
    weir import "$store" dump
    [ "$(weir groups "$store" | wc -l)" -eq 2 ]
    [ "$(weir cat "$store" -g g | id_of)" = "$(tail -n 1 added)" ]
}
