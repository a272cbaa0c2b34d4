#!/usr/bin/env bats
# The verbs for programs and stores: service, handler, action, call, list, logs, stop, store.

load setup

# plain: a daemon whose store is the one meant without ADDR.
plain() {
    start
    export WEIR_ADDR=$store
}

# state NAME: what `weir list' says of it.
state() {
    weir list "$1" | sed 's/.*"state":"\([a-z]*\)".*/\1/'
}

is_state() {
    [ "$(state "$1")" = "$2" ]
}

# text TOPIC: the newest content.
text() {
    weir cas "$(weir last "$1" | sed 's/.*"hash":"\([^"]*\)".*/\1/')"
}

# counts N TOPIC: so many frames are there.
counts() {
    [ "$(weir cat -T "$2" --count)" = "{\"count\":$1}" ]
}

# deaf: a server at ./deaf/sock that takes appends and never answers who waits.
deaf() {
    mkdir deaf
    python3 - <<'END' 3>&- &
import socket, threading
listener = socket.socket(socket.AF_UNIX)
listener.bind('deaf/sock')
listener.listen()
FRAME = b'{"topic":"t","id":"03d4q1qhbiv09ovtuhokw5yxv","hash":null,"meta":null,"ttl":null}'
MARK = FRAME.replace(b'"t"', b'"xs.threshold"') + b'\n'
def serve(s):
    wire = s.makefile('rb')
    while head := wire.readline():
        length = 0
        while (line := wire.readline()) not in (b'\r\n', b''):
            length = int(line.split(b':')[1]) if line.lower().startswith(b'content-length:') else length
        wire.read(length)
        if head.startswith(b'POST'):
            s.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n' % len(FRAME) + FRAME)
        else:
            s.sendall(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n' % len(MARK) + MARK + b'\r\n')
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
END
    daemons+=("$!")
    until_ok test -S deaf/sock
}

@test "service add: waits until it runs; the program is a file, a command line, or standard input" {
    plain
    printf '#!/bin/sh\necho from a file\nexec sleep 60\n' >program
    run -0 --separate-stderr weir service add file program
    [[ $output == '{"topic":"xs.service.file.active"'* ]]
    [ -z "$stderr" ]
    weir service add line -- sh -c 'echo "$1"; exec sleep 60' sh "it's \"quoted\" \$HOME" >/dev/null
    echo 'echo from stdin; exec sleep 60' | weir service add piped - >/dev/null 2>"$err"
    grep -q 'standard input does not begin with #! : /bin/sh runs it' "$err"
    for name in file line piped; do until_ok weir last $name.recv; done
    [ "$(text file.recv)" = 'from a file' ]
    [ "$(text line.recv)" = "it's \"quoted\" \$HOME" ]
    [ "$(text piped.recv)" = 'from stdin' ]
    # A command found by a path runs from elsewhere.
    chmod +x program
    weir service add beside -- ./program >/dev/null
    until_ok weir last beside.recv
    weir cas "$(weir last xs.service.beside.create | sed 's/.*"hash":"\([^"]*\)".*/\1/')" | grep -qxF "exec '$(pwd -P)/program'"
}

@test "add: ADDR by place, by looks, by --addr; before the word or behind it" {
    start
    weir action add "$store" a -- true >/dev/null
    weir action "$store" add b -- true >/dev/null
    weir action add --addr "$store" c -- true >/dev/null
    echo '#!/bin/sh' >d.sh
    weir action add "$store" d d.sh >/dev/null
    weir action add s e d.sh >/dev/null
    [ "$(weir list "$store" | grep -o '"name":"."' | cut -d '"' -f 4 | paste -s -d ' ')" = 'a b c d e' ]
}

@test "options become meta; --meta wins" {
    plain
    meta() { weir last "xs.$1.create" | grep -o '"meta":.*,"ttl"' | sed 's/^"meta"://; s/,"ttl"$//'; }
    weir service add s --duplex --restart on-failure --backoff 2s --max-restarts 3 --output raw --suffix .line --ttl last:5 \
        --env A='x "y"' --env B= --env A=z --limit memory=64M --limit cpu=10 --limit processes=20 -- cat >/dev/null
    [ "$(meta service.s)" = '{"output":"raw","duplex":true,"return_options":{"suffix":".line","ttl":"last:5"},"env":{"B":"","A":"z"},"limits":{"memory":"64M","cpu_s":10,"processes":20},"restart":{"policy":"on-failure","backoff_ms":2000,"max":3}}' ]
    weir handler add h --mode each --start first --topics a,b.* --content --pulse 1000 --on-error retry:5 --timeout 1m --confine -- cat >/dev/null
    [ "$(meta actor.h)" = '{"confine":true,"mode":"each","start":"first","topics":"a,b.*","content":true,"pulse":1000,"timeout_ms":60000,"on_error":{"retry":{"times":5}}}' ]
    weir handler add i --on-error stop --target meta -- cat >/dev/null
    [ "$(meta actor.i)" = '{"return_options":{"target":"meta"},"on_error":"stop"}' ]
    weir action add a --concurrency 2 --binary --exec --timeout 5s --meta '{ "timeout_ms": 7, "mine": [1] }' -- cat >/dev/null
    [ "$(meta action.a)" = '{"binary":true,"exec":true,"concurrency":2,"timeout_ms":7,"mine":[1]}' ]
    weir action add none -- cat >/dev/null
    [ "$(meta action.none)" = null ]
    fails 2 "is not NAME=TEXT" weir action add x --env A -- true
    fails 2 "none of memory" weir action add x --limit disk=3 -- true
    fails 2 "not retry:TIMES" weir handler add x --on-error retry:x -- true
    fails 2 "are an object" weir action add x --meta '[1]' -- true
    fails 1 "--meta" weir action add x --meta '{' -- true
    fails 2 "--timeout" weir action add x --timeout 5 -- true
    fails 1 "no program or store x" weir list x
}

@test "add: what cannot run is said, exit 1; wrong usage is 2" {
    plain
    fails 1 'service bad is invalid: ' weir service add bad --meta '{"duplex":3}' -- true
    grep -q '"duplex"' "$err"
    printf '#!/no/such/thing\n' >bad
    fails 1 'action bad is invalid: ' weir action add bad bad
    : >empty
    fails 1 'empty is empty' weir service add x empty
    fails 1 'open none' weir service add x none
    fails 2 'say what is to be done' weir service frobnicate x bad
    fails 2 'an operand is missing' weir service add x
    fails 2 'no command' weir service add x --
    fails 2 'one operand too many' weir handler add a b c d
    fails 2 'is no name' weir service add 'a b' -- true
    fails 2 'is no name' weir service add x..y -- true
    fails 2 'at most 200' weir service add "$(printf 'a%.0s' {1..201})" -- true
    fails 1 'is invalid' weir service add xs.a -- true
}

@test "add: for people a sentence; --no-wait the defining frame; no answer is told in time" {
    plain
    [ "$(on_terminal 'weir handler add web -- cat')" = 'handler web is active' ]
    run -0 weir action add later --no-wait -- cat
    [[ $output == '{"topic":"xs.action.later.create"'* ]]
    until_ok is_state later active
    deaf
    fails 1 'no answer within 50 ms' weir service add ./deaf x --wait 50ms -- cat
    fails 2 'is no duration' weir service add x --wait soon -- cat
    stop
    fails 1 'no daemon at' weir service add "$store" x -- cat
}

@test "a new definition replaces the old one; one that is no good leaves it running" {
    plain
    weir action add a -- echo one >/dev/null
    fails 1 'is invalid' weir action add a --meta '{"concurrency":0}' -- echo two
    [ "$(weir call a)" = one ]
    is_state a active
    weir action add a -- echo two >/dev/null
    [ "$(weir call a)" = two ]
    [ "$(weir list a | wc -l)" -eq 1 ]
}

@test "call: arguments, content, answer, exit code, stderr" {
    plain
    weir action add args -- sh -c 'printf "<%s>" "$@"' sh >/dev/null
    [ "$(weir call args)" = '<>' ]
    [ "$(weir call args a 'b c' '' "d'\"")" = "<a><b c><><d'\">" ]
    [ "$(weir call args -- -x --yes)" = '<-x><--yes>' ]
    weir action add copy --binary -- cat >/dev/null
    head -c 300000 /dev/urandom >big
    weir call copy --input big | cmp - big
    [ "$(weir call copy --content text)" = text ]
    weir call copy --input - <big >copied
    cmp copied big
    [ -z "$(weir call copy </dev/null)" ]
    weir action add fail -- sh -c 'echo printed; echo why >&2; exit "$1"' sh >/dev/null
    fails 7 why weir call fail 7
    lacks 'weir call' "$err"
    fails 255 why weir call fail 255
    weir action add killed -- sh -c 'kill -KILL $$' >/dev/null
    fails 137 'signal 9' weir call killed
    [ "$(weir call "$store" args x)" = '<x>' ]
}

@test "call: an answer that is meta, and one that is ephemeral" {
    plain
    weir action add m --target meta -- echo '{"n": 1, "frame_id": "x"}' >/dev/null
    [ "$(weir call m)" = '{"n":1}' ]
    weir action add e --ttl ephemeral -- echo gone >/dev/null
    [ "$(weir call e)" = gone ]
    fails 1 'no frame' weir last e.response
}

@test "call: 125 for what is ours, 126 and 127 for the action" {
    plain
    fails 127 'no action nope is defined' weir call nope
    fails 2 'an operand is missing' weir call
    fails 2 'is no name' weir call 'a b'
    fails 2 'not both' weir call a --content x --input big
    weir action add slow -- sleep 60 >/dev/null
    fails 125 'no answer within 100ms' weir call slow --timeout 100ms
    weir action add late --timeout 100ms -- sleep 60 >/dev/null
    run -143 --separate-stderr weir call late
    [[ $stderr == *'timed out'* ]]
    weir action add frames --output frames -- echo text >/dev/null
    fails 126 'frame' weir call frames
    fails 125 'open none' weir call slow --input none
    # Calls that are open are answered when the action ends.
    weir call slow >out 2>"$err" 3>&- &
    calling=$!
    until_ok counts 2 slow.call # with the one above
    weir stop slow >/dev/null
    ended=0
    wait "$calling" || ended=$?
    [ "$ended" -ne 0 ]
    [ -s "$err" ]
    stop
    fails 125 'no daemon at' weir call "$store" slow
}

@test "list: kinds, states, reasons; a name; JSON and a table" {
    plain
    [ -z "$(weir list)" ]
    weir service add s -- sleep 60 >/dev/null
    weir handler add h -- cat >/dev/null
    weir action add a -- true >/dev/null
    weir service add over --restart never -- true >/dev/null
    weir service add broken -- sh -c 'exit 3' >/dev/null
    weir service add again --restart always --backoff 1h -- sh -c 'exit 4' >/dev/null
    weir store add st >/dev/null
    until_ok is_state over finished
    until_ok is_state broken failed
    until_ok is_state again retrying
    weir list >out
    [ "$(sed 's/.*"kind":"\([a-z]*\)","name":"\([a-z]*\)","state":"\([a-z]*\)".*/\1 \2 \3/' out | paste -s -d ,)" = \
        'service again retrying,service broken failed,service over finished,service s active,handler h active,action a active,store st active' ]
    grep '"name":"broken"' out | grep -qF '"error":"exited with 3"'
    id=$(weir last xs.service.s.create | id_of)
    grep '"name":"s"' out | grep -qF "\"id\":\"$id\""
    grep '"name":"st"' out | grep -qF '"path":"/'
    on_terminal 'weir list' >table
    head -n 1 table | grep -qE '^KIND +NAME +STATE +SINCE +DEFINITION$'
    grep -qE "^service +s +active +[0-9-]{10} [0-9:]{8} +$id$" table
    [ "$(weir list handler/h | wc -l)" -eq 1 ]
    fails 1 'no program or store action/h' weir list action/h
    fails 2 'none of service/NAME' weir list "$store" thing/h
    # What points at no definition of it says nothing of it.
    other=$(weir last xs.service.broken.create | id_of)
    add xs.service.s.fin.error --meta "{\"service_id\":\"$other\"}" || :
    is_state s active
    weir stop s >/dev/null
    weir list | lacks '"name":"s"'
    is_state s ended
    weir list --all | grep '"name":"s"' | grep -q '"state":"ended"'
}

@test "list: what restarts with the daemon; a definition not answered yet" {
    plain
    weir service add s -- sleep 60 >/dev/null
    stop
    start
    until_ok is_state s active
    [ "$(weir cat -T xs.service.s.active --count)" = '{"count":2}' ]
    weir cat -T xs.service.s.stopped | grep -q stopped
}

@test "seed words: found by name and by --all; ordinary frames of such topics are none" {
    plain
    weir append old.spawn --content $'#!/bin/sh\nexec sleep 60' >/dev/null
    add user.register
    until_ok is_state old active
    weir list | lacks old
    weir list --all | grep -q '"kind":"service","name":"old"'
    weir list --all | lacks user
    fails 1 'no program or store user' weir list user
    weir logs old | grep -qF '"topic":"old.start"'
    weir stop old >/dev/null
    is_state old ended
}

@test "stop: waits for the end; several of a name; what does not run" {
    plain
    weir service add x -- sh -c 'trap "echo bye; exit 0" TERM; echo up; while :; do sleep 0.01; done' >/dev/null
    weir action add x -- true >/dev/null
    until_ok weir last x.recv
    fails 2 'service/x, action/x' weir stop x
    run -0 weir stop service/x
    [[ $output == '{"topic":"xs.service.x.fin.term"'* ]]
    [ "$(text x.recv)" = bye ]
    [ "$(on_terminal 'weir stop x')" = 'action x is stopped' ]
    fails 1 'service x does not run: ended' weir stop service/x
    fails 1 'does not run' weir stop x
    fails 1 'no program nothing' weir stop nothing
    fails 2 'an operand is missing' weir stop
    fails 2 'is no name' weir stop service/
    weir service add deaf -- sh -c 'trap "" TERM; echo up; while :; do sleep 0.01; done' >/dev/null
    until_ok weir last deaf.recv
    fails 1 'did not end within 20 ms' weir stop deaf --wait 20ms
    until_ok is_state deaf ended
    weir handler add h -- cat >/dev/null
    run -0 weir stop handler/h --no-wait
    [[ $output == '{"topic":"xs.actor.h.term"'* ]]
    until_ok is_state h ended
}

@test "logs: what became of it and why; with -f what it says" {
    plain
    weir service add talk --duplex -- sh -c 'while read -r line; do echo "$line" >&2; done' >/dev/null
    weir logs talk | topics_of >out # own topics begin with xs.
    [ -z "$(<out)" ]
    [ "$(weir logs talk | grep -o 'talk\.[a-z]*' | paste -s -d ' ')" = 'talk.create talk.active' ]
    weir logs -f talk >live 3>&- &
    daemons+=("$!")
    until_ok grep -q '"topic":"xs.service.talk.active"' live
    printf 'first\n\033[31mred\n' | weir append talk.send >/dev/null
    until_ok grep -qF '"content":"first"}' live
    until_ok grep -qF '"content":"\u001b[31mred"}' live
    grep -F '"topic":"talk.log"' live | head -n 1 | grep -q '"service_id"'
    weir stop talk >/dev/null
    until_ok grep -q talk.fin.term live
    weir action add fail -- sh -c 'echo why >&2; exit 3' >/dev/null
    fails 3 why weir call fail
    weir logs action/fail | grep '"topic":"fail.error"' | grep -qF '"stderr":"why"'
    NO_COLOR=1 on_terminal 'weir logs fail' >out
    grep -qE '^[0-9-]{10} [0-9:.]{12}  error: exited with 3 at frame [0-9a-z]{25}$' out
    grep -qx '    why' out
    weir action add twice -- sh -c 'echo one >&2; echo two >&2; exit 3' >/dev/null
    fails 3 two weir call twice
    NO_COLOR=1 on_terminal 'weir logs twice' >out
    [ "$(grep -cx '    one\|    two' out)" -eq 2 ]
    fails 1 'nothing is said of a program service/fail' weir logs service/fail
    fails 1 'nothing is said' weir logs none
}

@test "store: add, use, list, remove, add again, delete" {
    plain
    path=$(weir store add notes)
    [ -S "$path/sock" ]
    weir append "$path" t --content inside >/dev/null
    lacks '"topic":"t"' <(weir cat)
    [ "$(weir cat "$path" -T t --count)" = '{"count":1}' ]
    [ "$(weir store add other ./there)" = "$PWD/there" ]
    [ -S there/sock ]
    [ "$(weir store list | wc -l)" -eq 2 ]
    weir store list | grep '"name":"notes"' | grep -qF "\"path\":\"$path\""
    run -0 weir store remove notes
    [ -z "$output" ]
    [ -e "$path/format" ]
    fails 1 'no daemon at' weir cat "$path"
    weir store list | lacks notes
    weir store list --all | grep '"name":"notes"' | grep -q '"state":"ended"'
    [ "$(weir store add notes "$path")" = "$path" ]
    [ "$(weir cat "$path" -T t --count)" = '{"count":1}' ]
    fails 2 'give --yes' weir store delete notes
    weir store delete notes --yes
    [ ! -e "$path" ]
    fails 1 'no store notes' weir store delete notes --yes
    fails 1 'no store notes' weir store remove notes
}

@test "store: refusals, and the question before a deletion" {
    plain
    path=$(weir store add a)
    : >file
    fails 1 'b: ' weir store add b ./file
    fails 2 'say what is to be done' weir store
    fails 2 'say what is to be done' weir store frobnicate
    fails 2 'an operand is missing' weir store add
    fails 2 'one operand too many' weir store list "$store" x
    fails 2 'is no name' weir store add 'a b'
    ask() { script -qec 'weir store delete a' /dev/null <<<"$1" >typescript; }
    run -1 ask n
    grep -qF "delete the store a with all that is in $path? [y/N]" typescript
    grep -q 'nothing was deleted' typescript
    [ -e "$path/format" ]
    ask y
    [ ! -e "$path" ]
}

@test "programs of a further store are its own" {
    plain
    path=$(weir store add sub)
    weir action add "$path" hi -- echo 'of sub' >/dev/null
    [ "$(weir call "$path" hi)" = 'of sub' ]
    fails 127 'no action hi' weir call hi
    weir list | lacks '"action"'
    weir list "$path" | grep -q '"kind":"action","name":"hi"'
}

@test "over TCP nothing can be defined, ended or added" {
    start "$store" --expose 127.0.0.1:0
    until_ok grep -q xs.start "$store.log"
    port=$(weir last "$store" xs.start | grep -o '127.0.0.1:[0-9]*')
    fails 1 "over the store's own socket only" weir service add "$port" x -- cat
    weir service add "$store" y -- cat >/dev/null
    fails 1 "over the store's own socket only" weir stop "$port" y
    fails 1 "over the store's own socket only" weir store add "$port" z
    weir list "$store" y | grep -q '"state":"active"'
    lacks '"x"\|"z"' <(weir list "$store" --all)
}

@test "list, stop: what anybody may append says nothing of programs" {
    start "$store" --expose 127.0.0.1:0
    until_ok grep -q xs.start "$store.log"
    port=$(weir last "$store" xs.start | grep -o '127.0.0.1:[0-9]*')
    weir service add "$store" y -- sleep 1000 >/dev/null
    of=$(weir last "$store" xs.service.y.create | id_of)
    weir append "$port" y.stop --no-content --meta "{\"service_id\":\"$of\",\"reason\":\"term\"}" >/dev/null
    weir append "$port" y.terminate --no-content >/dev/null
    weir list "$store" y | grep -q '"state":"active"'
    run -0 weir stop "$store" y
    [[ $output == *'"topic":"xs.service.y.fin.term"'* ]]
    weir list "$store" y | grep -q '"state":"ended"'
}

@test "completion knows the words and the names of programs" {
    plain
    weir action add upper -- tr a-z A-Z >/dev/null
    weir completion bash >comp
    completes() { bash -c 'source ./comp; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _weir; echo "${COMPREPLY[*]}"' _ "$@"; }
    [ "$(completes weir call up)" = upper ]
    [ "$(completes weir store del)" = delete ]
    [ "$(completes weir service add x --restart on)" = on-failure ]
    stop
    [ -z "$(completes weir stop up)" ]
}
