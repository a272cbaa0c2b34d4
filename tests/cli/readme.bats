#!/usr/bin/env bats
# The session in README.md, run as it stands there.

load setup

readme=$BATS_TEST_DIRNAME/../../README.md

@test "the session of the README works" {
    awk '/^## A session/ { on = 1 } on && /^```/ { if (inside) exit; inside = 1; next } inside' "$readme" >session
    [ "$(wc -l <session)" -gt 10 ]
    status=0
    timeout 60 bash -eu session >out 2>err </dev/null || status=$?
    # The session ends its daemon; one that failed half-way may not have.
    pid=$(weir status ./notes --json 2>/dev/null | grep -o '"pid":[0-9]*' | cut -d : -f 2) || :
    if [ -n "$pid" ] && [ "$status" -ne 0 ]; then
        kill "$pid" || :
    fi
    cat out err
    [ "$status" -eq 0 ]
    grep -qx 'milk and bread' out
    grep -q '"topic":"weather"' out
    [ "$(grep -c '"topic":"shopping' followed)" -eq 5 ]
    # The boundary after the two frames of history, before the three that came later.
    sed -n 3p followed | grep -q '"topic":"xs.threshold"'
}

# section HEADING: the shell code below it.
section() {
    awk -v head="## $1" '$0 == head { on = 1 } on && /^```/ { if (inside) exit; inside = 1; next } inside' "$readme"
}

# ends_what_it_serves: the daemon of each store that the code made.
ends_what_it_serves() {
    local store pid
    for store in "$@"; do
        pid=$(weir status "$store" --json 2>/dev/null | grep -o '"pid":[0-9]*' | cut -d : -f 2) || :
        [ -z "$pid" ] || { kill "$pid" && until_ok bash -c "! kill -0 $pid"; }
    done
}

@test "the programs of the README work, its groups and its further store" {
    section Programs >code
    section Groups >>code
    section 'Many stores' >>code
    [ "$(wc -l <code)" -gt 20 ]
    status=0
    timeout 60 bash -eu code >out 2>err </dev/null || status=$?
    ends_what_it_serves ./work
    cat out err
    [ "$status" -eq 0 ]
    grep -q '^MILK AND BREAD' out
    grep -qx 42 out
    grep '"name":"clock"' out | grep -q '"state":"active"'
    grep -q '"topic":"xs.service.clock.fin.term"' out
    [ "$(wc -l <taken)" -eq 1 ]
    grep '"name":"workers"' out | grep -q '"open":0'
    grep '"kind":"store","name":"notes"' out | grep -q '"state":"active"'
}

@test "the page of the README works" {
    section 'HTTP through frames' >code
    status=0
    timeout 60 bash -eu code >out 2>err </dev/null || status=$?
    ends_what_it_serves ./web
    cat out err
    [ "$status" -eq 0 ]
    grep -q 'hello, you asked for /world' out
}

@test "the streams of the README work" {
    section Streams >code
    status=0
    timeout 60 bash -eu code >out 2>err </dev/null || status=$?
    ends_what_it_serves ./laptop
    cat out err
    [ "$status" -eq 0 ]
    grep -q '"name":"my-laptop"' out
    grep -q '"body":"milk and bread"' out
    grep -q 'and butter' out
}
