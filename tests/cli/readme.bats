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
