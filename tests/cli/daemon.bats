#!/usr/bin/env bats
# weir serve, status, version; addresses; how a stream's end shows.

load setup

@test "serve makes the store and serves until SIGTERM" {
    start
    [ -S "$store/sock" ]
    weir cat "$store" | grep -q xs.start
    stop
    start
    [ "$(weir cat "$store" | grep -c 'xs.start\|xs.stopping')" -eq 3 ]
}

@test "a second daemon on the same store is refused, the first works on" {
    start
    run ! weir serve "$store"
    [ -n "$output" ]
    add t
}

@test "serve passes options on" {
    port=$((20000 + RANDOM % 20000))
    start "$store" --expose ":$port"
    weir append ":$port" t --content x
    [ "$(weir cat "http://127.0.0.1:$port/" | topics_of)" = t ]
    [ "$(weir cat "localhost:$port" | topics_of)" = t ]
    fails 2 "unknown option" weir serve "$store" --expoze :1
    fails 2 "one operand too many" weir serve a b
}

@test "status and version are JSON in a pipe" {
    start
    weir status "$store" | grep -q '^{.*"frames":.*}$'
    weir version "$store" | grep -q '^{"version":"[0-9.]*"}$'
}

@test "no daemon: the address and how to start one, exit 1" {
    for verb in cat last status version; do
        fails 1 "weir serve" weir $verb "$store"
        grep -qF "$store" "$err"
    done
    mkdir -p "$store"
    fails 1 "weir serve" weir cat "$store"
    fails 1 "weir serve" weir append "$store" t --no-content
}

@test "a clean stop ends a follower with 0 and a note" {
    start
    weir cat "$store" -f >out 2>"$err" &
    reader=$!
    until_ok grep -q xs.threshold out
    stop
    wait "$reader"
    grep -q "the daemon stopped" "$err"
}

@test "a killed daemon ends a follower with 1 and a message" {
    start
    weir cat "$store" -f >out 2>"$err" &
    reader=$!
    until_ok grep -q xs.threshold out
    kill -9 "$daemon"
    status=0
    wait "$reader" || status=$?
    [ "$status" -eq 1 ]
    grep -q "weir cat:" "$err"
}

@test "addresses: directory, socket, relative, ~, --addr, environment" {
    start
    add t
    [ "$(weir cat "$store/sock" | topics_of)" = t ]
    [ "$(weir cat ./s | topics_of)" = t ]
    [ "$(weir cat s | topics_of)" = t ]
    [ "$(HOME=$dir weir cat '~/s' | topics_of)" = t ]
    [ "$(weir cat --addr "$store" | topics_of)" = t ]
    [ "$(weir cat s/ | topics_of)" = t ]
    [ "$(weir cat s/sock | topics_of)" = t ]
    [ "$(WEIR_ADDR=./none weir cat --addr "$store" | topics_of)" = t ]
    [ "$(WEIR_ADDR=$store weir cat | topics_of)" = t ]
    [ "$(XS_ADDR=$store weir cat | topics_of)" = t ]
    [ "$(WEIR_ADDR=$store XS_ADDR=./none weir cat | topics_of)" = t ]
    fails 1 "no daemon at ./none" env WEIR_ADDR="$store" weir cat ./none
}

@test "addresses: recognised among operands" {
    start
    export WEIR_ADDR=$store
    weir append note --no-content >frame
    id=$(id_of <frame)
    weir get "$id" | cmp - frame
    weir get s "$id" | cmp - frame
    weir last note | cmp - frame
    weir last s note 1 | cmp - frame
    weir last "$store" note | cmp - frame
    fails 2 "usage: weir get" weir get "$store"
}

@test "a socket path longer than an address can hold" {
    long=$dir/$(printf 'd%.0s' {1..120})
    mkdir "$long"
    start "$long/s"
    weir append "$long/s" t --no-content
    [ "$(weir cat "$long/s" | topics_of)" = t ]
}

@test "the default store: its daemon is started on demand" {
    unset WEIR_NO_AUTOSTART
    export XDG_DATA_HOME=$dir/data HOME=$dir
    weir append first --no-content >frame
    pid=$(weir status | grep -o '"pid": *[0-9]*' | grep -o '[0-9]*')
    daemons+=("$pid")
    weir last first | cmp - frame
    weir cat "$dir/data/weir" -T first | cmp - frame
}

@test "the default store, without starting" {
    export XDG_DATA_HOME=$dir/data HOME=$dir
    fails 1 "weir serve" weir append first --no-content
}

@test "serve without PATH serves the default store" {
    mkdir data
    XDG_DATA_HOME=$dir/data weir serve >log 2>&1 &
    daemons+=($!)
    until_ok weir version "$dir/data/weir"
    XDG_DATA_HOME=$dir/data weir append t --no-content
}
