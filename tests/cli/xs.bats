#!/usr/bin/env bats
# The program under the name xs: ADDR is always the first operand, output is always plain.

load setup

setup_xs() {
    ln -s "$WEIR_BIN/weir" xs
    xs=$dir/xs
}

@test "version and help name xs" {
    setup_xs
    run -0 "$xs" --version
    [[ $output == "xs "* ]]
    run -0 "$xs" cat --help
    [[ $output == "usage: xs cat [OPTION]... ADDR"* ]]
    [[ $output != *--addr* ]]
}

@test "ADDR is needed, whatever the environment says" {
    setup_xs
    start
    export WEIR_ADDR=$store
    for verb in cat last cas-post version import; do
        fails 2 "ADDR is missing" "$xs" $verb
    done
    fails 2 "usage: xs append" "$xs" append note
    fails 2 "usage: xs export" "$xs" export dump
    fails 2 "unknown option" "$xs" cat --addr "$store"
    unset WEIR_NO_AUTOSTART
    fails 2 "ADDR is missing" "$xs" status
}

@test "a session as with xs" {
    setup_xs
    "$xs" serve "$store" >log 2>&1 &
    daemons+=($!)
    until_ok weir version "$store"
    printf hello | "$xs" append "$store" note --meta '{"a":1}' >frame
    "$xs" get "$store" "$(id_of <frame)" | cmp - frame
    "$xs" last "$store" note | cmp - frame
    "$xs" cat "$store" -T note | cmp - frame
    [ "$("$xs" cas "$store" "$(grep -o 'sha256-[^"]*' frame)")" = hello ]
    "$xs" remove "$store" "$(id_of <frame)"
    fails 1 "xs last:" "$xs" last "$store" note
    "$xs" scru128 | grep -q '^[0-9a-z]\{25\}$'
}

@test "plain output also on a terminal" {
    setup_xs
    start
    add t
    on_terminal "$xs cat $store" >out
    weir cat "$store" | cmp - out
}
