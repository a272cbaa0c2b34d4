#!/usr/bin/env bats
# Many stores in one process: frames xs.store.NAME.create, .term, .delete of the root store.

load setup

# ask NAME EVENT [OPTION...]: appends the frame, prints its id.
ask() {
    local name=$1 event=$2
    shift 2
    add "xs.store.$name.$event" "$@"
}

# answer TOPIC ID [KEY]: waits for the newest answer on the topic that points at ID.
answer() {
    until_ok sh -c "weir cat '$store' --topic '$1' | grep -q '\"${3:-store_id}\":\"$2\"'"
}

path_of() {
    weir last "$store" "xs.store.$1.active" | grep -o '"path":"[^"]*"' | cut -d '"' -f 4
}

descriptors() {
    ls "/proc/$daemon/fd" | wc -l
}

@test "a store is added, used at its own address, and there again after a restart" {
    start
    id=$(ask notes create)
    answer xs.store.notes.active "$id"
    at=$(path_of notes)
    [ "$at" = "$(cd "$store" && pwd -P)/basins/notes.$id" ]
    weir append "$at" first --content one
    [ "$(weir cat "$at" | topics_of)" = first ]
    [ -z "$(weir cat "$store" --topic first)" ]
    lacks xs.start < <(weir cat "$at")
    stop
    start
    until_ok weir append "$at" second --content two
    [ "$(weir cat "$at" | topics_of)" = "first second" ]
    [ "$(weir cas "$at" "$(weir last "$at" first | grep -o 'sha256-[^"]*')")" = one ]
}

@test "a store elsewhere: its path in meta; never twice, never the root" {
    start
    id=$(ask far create --meta "{\"path\":\"$dir/far\"}")
    answer xs.store.far.active "$id"
    weir append "$dir/far" t
    id=$(ask near create --meta "{\"path\":\"$dir/far/../far\"}")
    answer xs.store.near.invalid "$id"
    id=$(ask root create --meta "{\"path\":\"$store\"}")
    answer xs.store.root.invalid "$id"
    weir append "$dir/far" t
    [ "$(weir cat "$dir/far" | topics_of)" = "t t" ]
}

@test "what is no store is told and does no harm" {
    start
    id=$(ask bad create --meta '{"path":"relative"}')
    answer xs.store.bad.invalid "$id"
    weir last "$store" xs.store.bad.invalid | grep -q 'not an absolute'
    id=$(ask bad create --meta '{"path":5}')
    answer xs.store.bad.invalid "$id"
    mkdir "$dir/mine" && echo precious >"$dir/mine/file"
    id=$(ask mine create --meta "{\"path\":\"$dir/mine\"}")
    answer xs.store.mine.invalid "$id"
    ask mine delete
    [ "$(cat "$dir/mine/file")" = precious ]
    [ "$(ls "$dir/mine")" = file ]
}

@test "stores are asked for in the root store only" {
    start
    id=$(ask one create)
    answer xs.store.one.active "$id"
    fails 1 "in the root store: $store" weir append "$(path_of one)" xs.store.two.create --no-content
    fails 1 "in the root store: $store" weir store add two --addr "$(path_of one)"
    weir append "$(path_of one)" xs.storekeeper --no-content
}

@test "a store among another one's files is refused" {
    start
    id=$(ask outer create)
    answer xs.store.outer.active "$id"
    ln -s "$(path_of outer)/journal" "$dir/link"
    for path in "$(path_of outer)/journal/x" "$(path_of outer)/cas/a/b" "$dir/link/x" "$store/index/x"; do
        id=$(ask inner create --meta "{\"path\":\"$path\"}")
        answer xs.store.inner.invalid "$id"
        [ ! -e "$path" ]
    done
    weir last "$store" xs.store.inner.invalid | grep -q 'lies in the files of the store'
    # Beside them there is room.
    id=$(ask inner create --meta "{\"path\":\"$dir/journal/x\"}")
    answer xs.store.inner.active "$id"
}

@test "a broken store is reported and skipped; the others start" {
    start
    good=$(ask good create)
    answer xs.store.good.active "$good"
    bad=$(ask broken create --meta "{\"path\":\"$dir/broken\"}")
    answer xs.store.broken.active "$bad"
    stop
    echo "no format" >"$dir/broken/format"
    start
    until_ok grep -q 'store=broken not_open' "$store.log"
    weir append "$(path_of good)" t
    [ -z "$(weir cat "$store" --topic xs.store.broken.invalid)" ]
    # It stays asked for: mended, it is there at the next start.
    stop
    rm -r "$dir/broken"
    start
    until_ok weir append "$dir/broken" t
}

@test "term detaches and keeps, delete removes from the disk" {
    start
    for name in kept gone; do
        id=$(ask $name create)
        answer xs.store.$name.active "$id"
        weir append "$(path_of $name)" t --content "$name"
    done
    kept=$(path_of kept) gone=$(path_of gone)
    end=$(ask kept term)
    answer xs.store.kept.fin.term "$end" frame_id
    [ -d "$kept/journal" ]
    [ ! -e "$kept/sock" ]
    end=$(ask gone delete)
    answer xs.store.gone.fin.deleted "$end" frame_id
    [ ! -e "$gone" ]
    stop
    start
    fails 1 "weir serve" weir cat "$kept"
    # What was detached can be attached again where it lies.
    id=$(ask again create --meta "{\"path\":\"$kept\"}")
    answer xs.store.again.active "$id"
    [ "$(weir cat "$kept" | topics_of)" = t ]
}

@test "a create that a kill left unanswered is answered at the next start; a delete too" {
    start
    id=$(ask one create)
    answer xs.store.one.active "$id"
    at=$(path_of one)
    # Frames of another time: the daemon that reads them has answered none.
    weir import "$store" < <(weir cat "$store" --topic xs.store.one.create) >"$dir/out"
    id=$(ask two create)
    ask one delete
    kill -9 "$daemon"
    wait "$daemon" || :
    start
    answer xs.store.two.active "$id"
    until_ok test ! -e "$at"
    weir append "$(path_of two)" t
}

@test "a store that nobody uses is closed, and opened by its next user" {
    start "$store" --store-idle 1
    id=$(ask idle create)
    answer xs.store.idle.active "$id"
    at=$(path_of idle)
    weir append "$at" t
    open=$(descriptors)
    until_ok sh -c "[ \$(ls /proc/$daemon/fd | wc -l) -lt $((open - 3)) ]"
    [ "$(weir cat "$at" | topics_of)" = t ]
    # A follower keeps it open.
    weir cat "$at" -f --limit 2 >"$dir/out" &
    until_ok grep -q '"t"' "$dir/out"
    weir append "$at" u
    wait $!
    [ "$(topics_of <"$dir/out")" = "t u" ]
}

@test "programs of an attached store run, and start with the daemon" {
    start
    id=$(ask prog create)
    answer xs.store.prog.active "$id"
    at=$(path_of prog)
    printf '#!/bin/sh\ntr a-z A-Z\n' | weir append "$at" xs.action.up.create
    until_ok sh -c "weir last '$at' xs.action.up.active"
    weir append "$at" up.call --content quiet
    until_ok sh -c "weir last '$at' up.response"
    stop
    start
    until_ok weir append "$at" up.call --content again
    until_ok sh -c "[ \$(weir cat '$at' --topic up.response | wc -l) -eq 2 ]"
    [ "$(weir cas "$at" "$(weir last "$at" up.response | grep -o 'sha256-[^"]*')")" = AGAIN ]
}

@test "a newer create of a name takes its place" {
    start
    first=$(ask name create)
    answer xs.store.name.active "$first"
    old=$(path_of name)
    second=$(ask name create --meta "{\"path\":\"$dir/new\"}")
    answer xs.store.name.active "$second"
    answer xs.store.name.replaced "$second" frame_id
    weir append "$dir/new" t
    [ -d "$old/journal" ]
    # One that is no good changes nothing.
    third=$(ask name create --meta '{"path":"/proc/no/store"}')
    answer xs.store.name.invalid "$third"
    weir append "$dir/new" t
    stop
    start
    until_ok weir append "$dir/new" t
    fails 1 "weir serve" weir cat "$old"
}

@test "only who may run programs may name stores" {
    port=$((20000 + RANDOM % 20000))
    start "$store" --expose ":$port"
    curl -s -o "$dir/out" -w '%{http_code}' -X POST "http://127.0.0.1:$port/append/xs.store.x.create" | grep -q 403
    weir export "$store" --help >/dev/null
    printf '{"topic":"xs.store.x.create","id":"%s"}' "$(weir scru128)" >"$dir/frame"
    curl -s -o "$dir/out" -w '%{http_code}' -X POST --data-binary "@$dir/frame" "http://127.0.0.1:$port/import" | grep -q 403
    ask y create
    until_ok weir last "$store" xs.store.y.active
    [ -z "$(weir cat "$store" --topic 'xs.store.x.*')" ]
}

@test "the daemon's end is a clean end for every store" {
    start
    for name in a b c d e; do ask $name create; done
    for name in a b c d e; do until_ok weir last "$store" xs.store.$name.active; done
    for name in a b c d e; do weir append "$(path_of $name)" t --content "$name"; done
    weir cat "$(path_of c)" -f >"$dir/out" &
    follower=$!
    until_ok grep -q '"t"' "$dir/out"
    stop
    wait $follower
    for name in a b c d e; do
        run ! test -e "$store"/basins/$name.*/sock
        weird --verify "$store"/basins/$name.*
    done
}
