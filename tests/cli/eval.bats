#!/usr/bin/env bats
# weir eval and weir pipe: programs run beside the store.

load setup

# ends STATUS TEXT COMMAND...: it ends with STATUS and has TEXT on stderr; its output in $dir/out.
ends() {
    local want=$1 text=$2 got=0
    shift 2
    "$@" >"$dir/out" 2>"$err" </dev/null || got=$?
    if [[ $got != "$want" || $(<"$err") != *"$text"* ]]; then
        echo "status $got, not $want, or not \"$text\": $*" >&2
        head -c 500 "$dir/out" "$err" >&2
        return 1
    fi
}

gone() {
    ! kill -0 "$1" 2>/dev/null
}

# Nothing of any run is left in the store.
swept() {
    [ -z "$(ls "$store/run" 2>/dev/null)" ]
}

@test "what a program prints, from a file, standard input or the command line" {
    start
    [ "$(weir eval "$store" -c 'echo one; echo two')" = $'one\ntwo' ]
    echo 'echo "$0 $1 $2"; cat' >script
    [[ $(weir eval "$store" script --arg 'a b' --arg c) == */program\ a\ b\ c ]]
    [ "$(echo 'echo from stdin' | weir eval "$store" -)" = "from stdin" ]
    printf '#!/usr/bin/env -S awk -f\nBEGIN { print 6 * 7; exit }\n' >script
    [ "$(WEIR_ADDR=$store weir eval script)" = 42 ]
    [ "$(weir eval "$store" /bin/uname)" = "$(uname)" ]
    [ -z "$(weir eval "$store" -c :)" ]
    until_ok swept
}

@test "output is binary and comes as it is printed" {
    start
    head -c 100000 /dev/urandom >bytes
    weir eval "$store" -c "cat '$dir/bytes'" | cmp - bytes
    mkfifo go
    weir eval "$store" -c "echo first; read x <'$dir/go'; echo second" >out &
    until_ok grep -q first out
    echo >go
    wait $!
    [ "$(tail -n 1 out)" = second ]
}

@test "exit statuses" {
    start
    ends 3 "" weir eval "$store" -c 'exit 3'
    ends 3 "" weir eval "$store" -c 'echo x; exit 3'
    ends 137 "signal 9" weir eval "$store" -c 'kill -9 $$'
    ends 143 "signal 15" weir eval "$store" -c 'echo x; kill $$'
    ends 4 $'what\xef\xbf\xbd' weir eval "$store" -c 'printf "no\nwhat\377\n" >&2; exit 4'
    grep -qx no "$err"
    ends 4 "at last" weir eval "$store" -c 'echo begun; echo at first >&2; echo at last >&2; exit 4'
    [ "$(cat out)" = begun ]
    ends 0 "" weir eval "$store" -c 'echo unsaid >&2'
    [ ! -s "$err" ]
    ends 125 "could not be started" weir eval "$store" -c $'#!/nonexistent\n'
    ends 125 "body is empty" weir eval "$store" -c ''
    ends 125 "body is empty" weir eval "$store" /dev/null
    ends 125 "open ./none" weir eval "$store" ./none
    ends 125 "nowhere" weir eval ./nowhere -c :
    ends 2 "usage" weir eval
    ends 2 "usage" weir eval "$store" -c : more
    ends 2 "usage" weir pipe -c :
    ends 125 "directory" weir eval "$store" "$dir"
    ends 2 "timeout" weir eval "$store" -c : --timeout soon
    grep -q 'stderr="what' s.log
}

@test "a timeout ends the program and all it started" {
    start
    ends 143 "ran longer than 300 ms" weir eval "$store" --timeout 300ms -c "sleep 60 & echo \$! >'$dir/pids'; setsid sh -c 'echo \$\$ >>\"$dir/pids\"; exec sleep 60'"
    [ "$(wc -l <pids)" -eq 2 ]
    while read -r pid; do gone "$pid"; done <pids
    ends 143 "ran longer" weir eval "$store" --timeout 300ms -c "echo x; sleep 60"
    ends 125 "memory" weir eval "$store" --memory much -c :
}

@test "large streams both ways, in little memory" {
    start
    head -c 10485760 /dev/urandom >bytes
    id=$(weir append "$store" big <bytes | id_of)
    weir pipe "$store" "$id" -c cat | cmp - bytes
    [ "$(weir pipe "$store" "$id" -c 'wc -c')" -eq 10485760 ]
    [ "$(weir pipe "$store" "$id" -c 'head -c 5 | wc -c')" -eq 5 ]
    weir eval "$store" -c 'head -c 300000000 /dev/zero' | cmp -n 300000000 - /dev/zero
    kib=$(awk '/VmHWM/ { print $2 }' "/proc/$daemon/status")
    ((kib < 40000))
    until_ok swept
}

@test "a slow reader holds the program up, not the daemon" {
    start
    mkfifo slow
    weir eval "$store" -c "yes && echo done >'$dir/done'" >slow &
    client=$!
    exec 5<slow
    head -c 10 <&5 >/dev/null
    weir version "$store"
    kib=$(awk '/VmRSS/ { print $2 }' "/proc/$daemon/status")
    ((kib < 30000))
    kill "$client"
    exec 5<&-
    until_ok swept
    [ ! -e "done" ]
}

@test "pipe: a frame's content, and the frame itself" {
    start
    id=$(printf 'some content' | weir append "$store" notes.a --meta '{"n":1.50}' | id_of)
    [ "$(weir pipe "$store" "$id" -c 'tr a-z A-Z')" = "SOME CONTENT" ]
    printf '#!/bin/sh\nwc -c\n' >script
    [ "$(weir pipe "$store" "$id" script)" -eq 12 ]
    weir pipe "$store" "$id" -c 'echo "$WEIR_FRAME_ID $WEIR_TOPIC $WEIR_META $WEIR_KIND"; echo "$WEIR_FRAME"; cat "$WEIR_FRAME_FILE"' >out
    [ "$(sed -n 1p out)" = "$id notes.a {\"n\":1.50} pipe" ]
    [ "$(sed -n 2p out)" = "$(weir get "$store" "$id")" ]
    [ "$(sed -n 3p out)" = "$(weir get "$store" "$id")" ]
    empty=$(add notes.b)
    [ "$(weir pipe "$store" "$empty" -c 'wc -c; echo "$WEIR_META"')" = $'0\nnull' ]
}

@test "pipe: a frame too large for the environment is in its file" {
    start
    meta="{\"a\":\"$(head -c 70000 /dev/zero | tr '\0' x)\"}"
    id=$(add t --meta "$meta")
    [ "$(weir pipe "$store" "$id" -c 'echo "${WEIR_FRAME-none} ${WEIR_META-none}"')" = "none none" ]
    [ "$(weir pipe "$store" "$id" -c 'cat "$WEIR_FRAME_FILE"')" = "$(weir get "$store" "$id")" ]
}

@test "pipe: frames that are not there" {
    start
    id=$(add gone --ttl time:100)
    until_ok fails 1 "no frame" weir get "$store" "$id"
    ends 125 "no frame $id" weir pipe "$store" "$id" -c :
    ends 125 "no frame" weir pipe "$store" "$(weir scru128)" -c :
    ends 125 "ID" weir pipe "$store" nonsense -c :
    until_ok swept
}

@test "the environment is little, and weir works in it" {
    start
    SECRET=x weir eval "$store" -c 'env | cut -d= -f1 | sort' >out
    lacks SECRET out
    for name in PATH WEIR_ADDR WEIR_KIND; do grep -qx $name out; done
    weir eval "$store" -c 'ls; pwd' >out
    [[ $(<out) == program$'\n'"$store/run/eval."?????? ]]
    weir eval "$store" -c 'echo hello | weir append said; echo made >here; ls' >out
    grep -qx here out
    [ "$(weir last "$store" said | grep -c origin)" -eq 0 ]
    [ "$(weir cat "$store" | topics_of)" = said ]
    until_ok swept
}

@test "confined: no address, no sockets, its own directory only" {
    start
    [ "$(weir eval "$store" --confine -c 'echo "${WEIR_ADDR-none}"; echo x >here && cat here')" = $'none\nx' ]
    if weir eval "$store" --confine -c "weir version '$store'" >out 2>&1; then return 1; fi
}

@test "a client that goes away ends the program, at once" {
    start
    for script in 'sleep 61' 'echo x; sleep 61' 'trap "" TERM HUP INT; echo x; setsid sleep 61'; do
        weir eval "$store" -c "echo \$\$ >'$dir/pid'; $script" >/dev/null &
        client=$!
        until_ok test -s pid
        pid=$(cat pid)
        kill -0 "$pid"
        kill -9 "$client"
        until_ok gone "$pid"
        rm pid
    done
    until_ok swept
    weir version "$store"
}
@test "a stop of the daemon ends the programs, and so does its death" {
    start
    weir eval "$store" -c "echo \$\$ >'$dir/pid'; echo x; sleep 61" >/dev/null 2>"$err" &
    client=$!
    until_ok test -s pid
    kill -TERM "$daemon"
    wait "$daemon"
    until_ok gone "$(cat pid)"
    wait "$client" || status=$?
    [ "$status" -eq 125 ]
    grep -q "in the middle" "$err"
    swept
    rm pid
    start
    weir eval "$store" -c "echo \$\$ >'$dir/pid'; echo x; sleep 61" >/dev/null 2>&1 &
    until_ok test -s pid
    kill -9 "$daemon"
    until_ok gone "$(cat pid)"
    wait $! || :
    [ -n "$(ls "$store/run")" ]
    start
    until_ok swept
}

@test "a lost program is a cut answer, not an end" {
    start
    supervisor=
    started() { # the log comes a little later
        local pid
        pid=$(grep -o 'supervisor=[0-9]*$' s.log | tail -n 1 | cut -d= -f2)
        [[ -n $pid && $pid != "$supervisor" ]] && supervisor=$pid
    }
    for script in 'sleep 61' 'echo x; sleep 61'; do
        weir eval "$store" -c "echo \$\$ >'$dir/pid'; $script" >out 2>"$err" &
        client=$!
        until_ok test -s pid
        [ "$script" = 'sleep 61' ] || until_ok grep -q x out
        until_ok started
        kill -9 "$supervisor"
        status=0
        wait "$client" || status=$?
        [ "$status" -eq 125 ]
        until_ok gone "$(cat pid)"
        rm pid
    done
    grep -q "in the middle" "$err"
    [ "$(weir eval "$store" -c 'echo again')" = again ]
    until_ok swept
}

@test "not over TCP" {
    start "$store" --expose 127.0.0.1:0
    until_ok grep -q listening= s.log
    port=$(sed -n 's/.*listening=.*:\([0-9]*\)$/\1/p' s.log)
    ends 125 "own socket only" weir eval ":$port" -c :
    id=$(add t)
    ends 125 "own socket only" weir pipe ":$port" "$id" -c :
}

@test "the routes: trailers, 422, limits of size" {
    start
    curl -sS --unix-socket "$store/sock" -i --data-binary 'echo x; echo bad >&2; exit 9' http://l/eval >out
    grep -q '^Trailer: Weir-Exit' out
    grep -q '^Weir-Exit: 9' out
    grep -q '^Weir-Error: bad' out
    curl -sS --unix-socket "$store/sock" -i --data-binary 'echo bad >&2; exit 9' http://l/eval >out
    grep -q '^HTTP/1.1 422' out
    grep -qx '{"error":"program","message":"the program exited with 9","exit_code":9,"stderr":"bad"}' out
    [ "$(curl -sS --unix-socket "$store/sock" -0 --data-binary 'echo x; exit 9' http://l/eval)" = x ]
    head -c 8388609 /dev/zero >large
    [ "$(curl -sS --unix-socket "$store/sock" -o /dev/null -w '%{http_code}' --data-binary @large http://l/eval)" = 413 ]
    [ "$(curl -sS --unix-socket "$store/sock" -o /dev/null -w '%{http_code}' -H 'Transfer-Encoding: chunked' --data-binary @large http://l/eval)" = 413 ]
    for query in confine=perhaps timeout_ms=x memory=1Q processes=-1; do
        [ "$(curl -sS --unix-socket "$store/sock" -o /dev/null -w '%{http_code}' --data-binary : "http://l/eval?$query")" = 400 ]
    done
    [ "$(curl -sS --unix-socket "$store/sock" -o /dev/null -w '%{http_code}' http://l/eval)" = 405 ]
}
