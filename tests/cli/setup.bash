# What every file here loads: programs, a fresh directory, daemons that end with the test.
#
# Programs are taken from the directory WEIR_BIN, else BUILD (set by tests/run), else build/release.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
WEIR_BIN=${WEIR_BIN:-${BUILD:-$here/../../build/release}}
WEIR_BIN=$(cd "$WEIR_BIN" && pwd)
export WEIR_BIN
export PATH=$WEIR_BIN:$PATH WEIR_NO_AUTOSTART=1 TZ=UTC LC_ALL=C.UTF-8
unset WEIR_ADDR XS_ADDR WEIR_TOKEN NO_COLOR

bats_require_minimum_version 1.5.0

setup() {
    # Short, so that the socket's path fits its address.
    dir=$(mktemp -d "${TMPDIR:-/tmp}/weir-cli.XXXXXX")
    store=$dir/s
    err=$dir/err
    daemons=()
    cd "$dir" || return 1
}

teardown() {
    local pid
    for pid in "${daemons[@]}"; do
        kill -9 "$pid" 2>/dev/null || :
        wait "$pid" 2>/dev/null || :
    done
    cd / && rm -rf "$dir"
}

# until_ok COMMAND...: runs it until it succeeds, ten seconds at most.
until_ok() {
    local end=$((SECONDS + 10))
    until "$@" >/dev/null 2>&1; do
        ((SECONDS < end)) || { echo "not so within 10 s: $*" >&2; return 1; }
        sleep 0.02
    done
}

# start [STORE [OPTION...]]: a daemon that answers; its pid in $daemon.
start() {
    local at=${1:-$store}
    (($# == 0)) || shift
    weir serve "$at" "$@" >"$at.log" 2>&1 3>&- &
    daemon=$!
    daemons+=("$daemon")
    until_ok weir version "$at" || { cat "$at.log" >&2; return 1; }
}

# stop [PID]: SIGTERM, and the exit status of the daemon.
stop() {
    local pid=${1:-$daemon}
    kill -TERM "$pid"
    wait "$pid"
}

# The id in a frame on standard input (of the last, when there are several).
id_of() {
    grep -o '"id":"[0-9a-z]*"' | tail -n 1 | cut -d '"' -f 4
}

# Topics of the frames on standard input, joined by blanks; the daemon's own left out.
topics_of() {
    grep -o '"topic":"[^"]*"' | cut -d '"' -f 4 | grep -v '^xs\.' | paste -s -d ' '
}

# add TOPIC [OPTION...]: appends without content, prints the id.
add() {
    local topic=$1
    shift
    weir append "$store" "$topic" --no-content "$@" | id_of
}

# lacks PATTERN [FILE]: the file, or standard input, holds no such line. (`! grep` would not fail a test.)
lacks() {
    if grep -- "$1" "${2:--}"; then return 1; fi
}

# on_terminal COMMAND: its output as a terminal gets it, carriage returns removed; the exit status is kept.
on_terminal() {
    script -qec "$1" /dev/null </dev/null >"$dir/typescript"
    local status=$?
    tr -d '\r' <"$dir/typescript"
    return "$status"
}

# fails STATUS TEXT COMMAND...: it ends with STATUS, has TEXT on stderr and nothing on stdout.
fails() {
    local want=$1 text=$2 got=0
    shift 2
    "$@" >"$dir/out" 2>"$err" </dev/null || got=$?
    if [[ $got != "$want" || -s $dir/out ]] || ! grep -qF -- "$text" "$err"; then
        echo "status $got, not $want, or not \"$text\": $*" >&2
        head -c 500 "$dir/out" "$err" >&2
        return 1
    fi
}
