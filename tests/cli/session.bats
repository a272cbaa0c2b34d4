#!/usr/bin/env bats
# A minute with weir, from nothing: append, read, follow, count, dump, restore.

load setup

@test "sixty seconds" {
    weir serve ./store >log 2>&1 &
    daemons+=($!)
    until_ok weir version ./store
    export WEIR_ADDR=./store

    echo "hello" | weir append notes
    weir append notes --content "a second one" --meta '{"mood":"good"}'
    [ "$(weir cat -T notes | wc -l)" -eq 2 ]
    [ "$(weir last notes | grep -o 'sha256-[^"]*' | xargs weir cas)" = "a second one" ]

    weir cat --follow --new -T 'sensor.*' >live &
    reader=$!
    # The follower is there when a first frame reaches it.
    until_ok bash -c "weir append sensor.probe --no-content; grep -q probe live"
    weir append sensor.kitchen --meta '{"c":21.5}' --no-content
    until_ok grep -q '"c":21.5' live
    kill "$reader"
    wait "$reader" || :

    weir cat --since 10m --count | grep -q '"count"'
    weir export backup.weir
    weir serve ./copy >log2 2>&1 &
    daemons+=($!)
    until_ok weir version ./copy
    weir import ./copy backup.weir
    [ "$(weir cat ./copy -T notes)" = "$(weir cat -T notes)" ]
}
