#!/usr/bin/env bats
# What a terminal gets, by script(1).

load setup

setup_terminal() {
    command -v script >/dev/null || skip "script(1) is missing"
    export TERM=xterm NO_COLOR=1
    start
}

@test "cat: aligned lines with local times, one a frame" {
    setup_terminal
    id=$(add short --meta '{"k":1}')
    add much.longer
    on_terminal "weir cat $store" >out
    [ "$(wc -l <out)" -eq 3 ]
    grep -qE "^20[0-9-]{8} [0-9:]{8}\.[0-9]{3}  $id  short {17}\{\"k\":1\}$" out
    [ "$(grep -c '^.\{50\}  [a-z]' out)" -eq 3 ]
}

@test "cat --json stays JSON" {
    setup_terminal
    add t
    on_terminal "weir cat $store --json" >out
    weir cat "$store" | cmp - out
}

@test "colours: on a terminal, not with NO_COLOR, not in a pipe" {
    setup_terminal
    add t
    on_terminal "weir cat $store" | lacks $'\033'
    unset NO_COLOR
    on_terminal "weir cat $store" | grep -q $'\033\[36m'
    weir cat "$store" | lacks $'\033'
    TERM=dumb
    on_terminal "weir cat $store" | lacks $'\033'
}

@test "local times follow TZ" {
    setup_terminal
    echo '{"topic":"t","id":"03amo4vrpq0xs2alqicv0426b"}' | weir import "$store"
    TZ=UTC on_terminal "weir cat $store --limit 1" | grep -q '^2023-11-14 22:13:20.000  '
    TZ=Etc/GMT-2 on_terminal "weir cat $store --limit 1" | grep -q '^2023-11-15 00:13:20.000  '
}

@test "nothing in a frame or a content steers the terminal" {
    setup_terminal
    add t --meta "{\"evil\":\"$(printf '\302\233')31m\u001b[2J\"}"
    hash=$(printf 'a\033[2Jb\tc\nd\n' | weir cas-post "$store")
    on_terminal "weir cat $store" >out
    on_terminal "weir cas $store $hash" >>out
    lacks $'\033' out
    lacks "$(printf '\302\233')" out
    grep -q '^d$' out
    weir cas "$store" "$hash" | grep -q $'\033'
}

@test "get is a block, last a line" {
    setup_terminal
    id=$(add t --meta '{"k":1}')
    on_terminal "weir get $store $id" >out
    grep -q '^topic t$' out
    grep -q "^id    $id$" out
    grep -q '^meta  {"k":1}$' out
    on_terminal "weir last $store" | grep -q "  $id  t "
}

@test "status in words, count as a number" {
    setup_terminal
    on_terminal "weir status $store" >out
    grep -q '^frames  *1$' out
    grep -q '^uptime  *[0-9.]* s$' out
    [ "$(on_terminal "weir cat $store --count")" = 1 ]
}

@test "append without standard input does not wait" {
    setup_terminal
    on_terminal "timeout 10 weir append $store t --json </dev/tty" | grep -q '"hash":null'
}

@test "a dump is not sent to a terminal" {
    setup_terminal
    run -1 on_terminal "weir export $store -"
    [[ $output == *"no text for a terminal"* ]]
}

@test "progress shows on a terminal and is wiped at the end" {
    setup_terminal
    for k in $(seq 3); do echo "{\"topic\":\"t\",\"meta\":$k}"; done >lines
    # Slow enough for the line to be drawn.
    on_terminal "(cat lines; sleep 0.3; cat lines) | weir append $store --batch" >out
    grep -q 'append: ' out
    grep -q 'appended 6 frames' out
}
