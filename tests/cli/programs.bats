#!/usr/bin/env bats
# Programs that the daemon runs: defined, replaced, ended and restarted by frames, in both vocabularies.

load setup

# count TOPIC: how many frames the topic has.
count() {
    weir cat "$store" -T "$1" | grep -c . || :
}

# has N TOPIC: it has that many, or more.
has() {
    (($(count "$2") >= $1))
}

# await N TOPIC: waits for them.
await() {
    until_ok has "$1" "$2" || { weir cat "$store" >&2; cat "$store.log" >&2; return 1; }
}

# define TOPIC [META]: appends standard input, prints the id.
define() {
    weir append "$store" "$1" ${2:+--meta "$2"} | id_of
}

# field TOPIC KEY: a text of the meta of the topic's newest frame.
field() {
    weir last "$store" "$1" | grep -o "\"$2\":\"[^\"]*\"" | tail -n 1 | cut -d '"' -f 4
}

# content TOPIC: of the topic's newest frame.
content() {
    weir cas "$store" "$(weir last "$store" "$1" | grep -o 'sha256-[^"]*')"
}

# lives ID: a process has the definition's directory as its own.
lives() {
    local cwd
    for cwd in /proc/[0-9]*/cwd; do
        case $(readlink "$cwd" 2>/dev/null) in "$(realpath "$store")/run/$1"*) return 0 ;; esac
    done
    return 1
}

dead() {
    ! lives "$1"
}

@test "a service runs, ends, runs again after a second, and stops for term" {
    start
    id=$(echo 'echo hi' | define xs.service.a.create)
    await 2 a.recv
    await 2 xs.service.a.active
    [ "$(content a.recv)" = hi ]
    [ "$(field xs.service.a.active source_id)" = "$id" ]
    [ "$(count xs.service.a.fin.ok)" = 0 ]
    end=$(add xs.service.a.term)
    await 1 xs.service.a.fin.term
    [ "$(field xs.service.a.fin.term service_id)" = "$id" ]
    [ "$(field xs.service.a.fin.term frame_id)" = "$end" ]
    [ "$(weir cat "$store" -T 'xs.service.*,a.recv' | topics_of)" = "a.recv a.recv" ]
    [ "$(weir cat "$store" | tail -n 1 | id_of)" = "$(weir last "$store" xs.service.a.fin.term | id_of)" ]
    [ ! -e "$store/run/$id" ] || until_ok [ ! -e "$store/run/$id" ]
    echo 'echo again' | define xs.service.a.create
    await 3 a.recv
}

@test "seed words are answered in seed words" {
    start
    id=$(printf '#!/bin/sh\necho hi; exec sleep 1000\n' | define s.spawn)
    await 1 s.start
    await 1 s.recv
    add s.terminate
    await 1 s.stop
    [ "$(field s.stop reason)" = term ]
    [ "$(field s.stop service_id)" = "$id" ]
    until_ok dead "$id"
    [ "$(weir cat "$store" | grep -c '"xs.service')" = 0 ]
    id=$(printf '#!/bin/sh\nexec cat >/dev/null\n' | define h.register)
    await 1 h.registered
    add h.unregister
    await 1 h.unregistered
    [ "$(field h.unregistered handler_id)" = "$id" ]
    printf '#!/nowhere/at/all\n' | define h.register
    await 2 h.unregistered
    [ "$(field h.unregistered reason)" = invalid ]
    printf '#!/nowhere/at/all\n' | define s.spawn
    await 1 s.spawn.error
    printf '#!/bin/sh\ncat\n' | define c.define
    await 1 c.ready
    add c.undefine
    await 1 c.undefined
}

@test "in seed words only a script or an ELF file defines" {
    start
    weir append "$store" user.register --content '{"name":"Ann"}'
    weir append "$store" user.spawn --content 'echo hi'
    add user.define
    # what follows in order is answered, so those before were passed over
    printf '#!/bin/sh\nexec sleep 1000\n' | define x.spawn
    await 1 x.start
    [ "$(weir cat "$store" -T 'user.*' | grep -c .)" = 3 ]
}

@test "one name in both vocabularies is one program; term answers in its own words" {
    start
    one=$(printf '#!/bin/sh\nexec sleep 1000\n' | define a.spawn)
    await 1 a.start
    two=$(echo 'exec sleep 1000' | define xs.service.a.create)
    await 1 xs.service.a.active
    [ "$(field xs.service.a.replaced service_id)" = "$one" ]
    [ "$(field xs.service.a.replaced update_id)" = "$two" ]
    until_ok dead "$one"
    add a.terminate
    await 1 a.stop
    [ "$(field a.stop service_id)" = "$two" ]
    until_ok dead "$two"
}

@test "what proves bad never takes the place of what runs" {
    start
    good=$(echo 'exec sleep 1000' | define xs.service.a.create)
    await 1 xs.service.a.active
    head -c 64 /bin/sh >elf && head -c 64 /dev/zero >>elf
    tries=0
    for bad in '#!/no/such' '#!' '#!/usr/bin/env no-such-program-anywhere' $'#!/bin/sh\r'; do
        printf '%s\n' "$bad" | define xs.service.a.create
        await $((tries += 1)) xs.service.a.invalid
    done
    weir append "$store" xs.service.a.create --no-content
    await $((tries += 1)) xs.service.a.invalid
    echo 'exec sleep 1000' | define xs.service.a.create '{"duplex":"perhaps"}'
    await $((tries += 1)) xs.service.a.invalid
    [ "$(count xs.service.a.replaced)" = 0 ]
    lives "$good"
    # one that only running shows to be bad: the last good one runs again
    bad=$(define xs.service.a.create <elf)
    await $((tries += 1)) xs.service.a.invalid
    [ "$(field xs.service.a.invalid service_id)" = "$bad" ]
    await 2 xs.service.a.active
    [ "$(field xs.service.a.active service_id)" = "$good" ]
    until_ok lives "$good"
    stop && start
    await 3 xs.service.a.active
    [ "$(field xs.service.a.active service_id)" = "$good" ]
}

@test "several definitions quickly: the newest runs, each is answered" {
    start
    for i in 1 2 3 4 5 6; do
        last=$(echo "echo $i; exec sleep 1000" | define xs.service.a.create)
    done
    bad=$(printf '#!/no/such\n' | define xs.service.a.create)
    await 1 xs.service.a.invalid
    [ "$(field xs.service.a.invalid service_id)" = "$bad" ]
    await 5 xs.service.a.replaced
    until_ok lives "$last"
    await 1 a.recv
    [ "$(content a.recv)" = 6 ]
    [ "$(field xs.service.a.active service_id)" = "$last" ]
    weir cat "$store" -T xs.service.a.create | grep -o '"id":"[^"]*"' | cut -d '"' -f 4 | while read -r id; do
        weir cat "$store" -T xs.service.a.active,xs.service.a.replaced,xs.service.a.invalid | grep -q "\"service_id\":\"$id\""
    done
}

@test "term acts at once while a program begins, ends or pauses" {
    start
    echo 'exit 0' | define xs.service.pause.create
    await 1 xs.service.pause.active
    add xs.service.pause.term
    await 1 xs.service.pause.fin.term
    echo 'trap "" TERM; echo up; while :; do sleep 100; done' | define xs.service.slow.create
    await 1 slow.recv
    echo 'echo new; exec sleep 1000' | define xs.service.slow.create
    add xs.service.slow.term
    await 1 xs.service.slow.fin.term
    until_ok has 2 xs.service.slow.fin.term
    [ "$(count slow.recv)" = 1 ]
    echo 'exec sleep 1000' | define xs.service.quick.create
    add xs.service.quick.term
    await 1 xs.service.quick.fin.term
    add xs.service.unknown.term
    echo 'exec sleep 1000' | define xs.service.last.create
    await 1 xs.service.last.active
    [ "$(count xs.service.unknown.fin.term)" = 0 ]
    [ "$(weir cat "$store" -T xs.service.pause.active | grep -c .)" = 1 ]
}

@test "what is defined while the one before takes its time to end runs after a restart" {
    start
    old=$(define xs.service.a.create <<<'trap "" TERM; echo up; while :; do sleep 1; done')
    await 1 a.recv
    add xs.service.a.term
    new=$(echo 'exec sleep 1000' | define xs.service.a.create)
    weir list "$store" a >listed
    grep -q '"state":"starting"' listed
    stop
    start
    [ "$(field xs.service.a.fin.term service_id)" = "$old" ]
    await 2 xs.service.a.active
    [ "$(field xs.service.a.active service_id)" = "$new" ]
}

@test "what was defined but does not run is told fin.term too" {
    start
    cp /bin/sh interpreter
    id=$(printf '#!%s/interpreter\nsleep 1000\n' "$dir" | define xs.service.a.create)
    await 1 xs.service.a.active
    stop
    rm interpreter
    start
    await 1 xs.service.a.invalid
    dead "$id"
    end=$(add xs.service.a.term)
    await 1 xs.service.a.fin.term
    [ "$(field xs.service.a.fin.term service_id)" = "$id" ]
    [ "$(field xs.service.a.fin.term frame_id)" = "$end" ]
    add xs.service.a.term
    echo 'exec sleep 1000' | define xs.service.b.create
    await 1 xs.service.b.active
    [ "$(count xs.service.a.fin.term)" = 1 ]
}

@test "a stop says stopped; the next start goes on, with last:20 for repeated active" {
    start
    id=$(echo 'exec sleep 1000' | define xs.service.a.create)
    await 1 xs.service.a.active
    weir last "$store" xs.service.a.active | grep -q '"ttl":null'
    stop
    dead "$id"
    start
    [ "$(field xs.service.a.stopped service_id)" = "$id" ]
    await 2 xs.service.a.active
    weir last "$store" xs.service.a.active | grep -q '"ttl":"last:20"'
    kill -9 "$daemon"
    until_ok dead "$id"
    start
    await 3 xs.service.a.active
}

@test "a failure ends it for good, with what it said" {
    start
    echo 'echo trouble >&2; exit 3' | define xs.service.a.create
    await 1 xs.service.a.fin.error
    weir last "$store" xs.service.a.fin.error | grep -q '"exit_code":3'
    [ "$(field xs.service.a.fin.error stderr)" = trouble ]
    stop
    start
    printf '#!/bin/sh\nexec sleep 1000\n' | define b.spawn
    await 1 b.start
    [ "$(count xs.service.a.active)" = 1 ]
}

@test "actions answer calls that came after them, and only while they are defined" {
    start
    before=$(add act.call)
    await 1 act.error
    [ "$(field act.error frame_id)" = "$before" ]
    field act.error error | grep -q 'no action act'
    one=$(printf '#!/bin/sh\necho one\n' | define act.define)
    first=$(add act.call)
    await 1 act.response
    [ "$(field act.response frame_id)" = "$first" ]
    printf '#!/bin/sh\necho two\n' | define act.define
    second=$(add act.call)
    await 2 act.response
    [ "$(content act.response)" = two ]
    [ "$(field act.response frame_id)" = "$second" ]
    until_ok [ ! -e "$store/run/$one" ]
    stop
    start
    await 3 act.ready
    add act.call
    await 3 act.response
    add act.undefine
    await 1 act.undefined
    gone=$(add act.call)
    await 2 act.error
    [ "$(field act.error frame_id)" = "$gone" ]
    [ "$(count act.response)" = 3 ]
}

@test "a program has its own directory, address and few variables" {
    export SECRET=do-not-tell
    start
    id=$(cat <<'END' | define xs.service.env.create '{"env":{"COLOUR":"green"}}'
echo "$0|$#"
no_such_command 2>&1
echo "$PWD|$WEIR_KIND|$WEIR_NAME|$WEIR_ID|$COLOUR|$SECRET"
echo "from inside" | weir append inner
env | grep -c . | xargs test 15 -gt && echo few
exec sleep 1000
END
    )
    await 5 env.recv
    await 1 inner
    here=$(realpath "$store")/run/$id
    weir cat "$store" -T env.recv | grep -o 'sha256-[^"]*' | while read -r hash; do weir cas "$store" "$hash"; echo; done >lines
    grep -qxF "$here/program|0" lines
    grep -q '2: no_such_command' lines
    grep -qxF "$here|service|env|$id|green|" lines
    grep -qx few lines
    [ "$(field inner origin)" = service/env ]
    [ "$(stat -c %a "$here")" = 700 ]
    [ "$(stat -c %a "$here/sock")" = 600 ]
    weir cat "$here" -T inner | grep -q inner
}

@test "stderr goes to the log and to ephemeral frames" {
    start
    weir cat "$store" -f --new -T loud.log >seen 3>&- &
    reader=$!
    until_ok grep -q . <(weir status "$store")
    echo 'while :; do echo "a	b" >&2; sleep 0.1; done' | define xs.service.loud.create
    until_ok grep -q loud.log seen
    kill "$reader"
    grep -q '"ttl":"ephemeral"' seen
    until_ok grep -q 'name=loud stderr="a' "$store.log"
    [ "$(count loud.log)" = 0 ]
    add xs.service.loud.term
    await 1 xs.service.loud.fin.term
}

@test "directories of definitions that are gone are removed" {
    start
    id=$(echo 'mkdir -p deep/er; touch deep/er/file; chmod 500 deep/er; ln -s / out; exec sleep 1000' | define xs.service.a.create)
    await 1 xs.service.a.active
    until_ok [ -L "$store/run/$id/out" ]
    kill -9 "$daemon"
    until_ok dead "$id"
    mkdir -p "$store/run/03d4q1qhbiv09ovtuhokw5yxv/x" "$store/run/mine"
    start
    await 2 xs.service.a.active
    [ -d "$store/run/$id" ]
    [ -d "$store/run/mine" ]
    [ ! -e "$store/run/03d4q1qhbiv09ovtuhokw5yxv" ]
    echo 'exec sleep 1000' | define xs.service.a.create
    until_ok [ ! -e "$store/run/$id" ]
    [ -d /usr ]
}

@test "a large program is run from its blob" {
    start
    { printf '#!/bin/sh\necho big; exec sleep 1000\n'; head -c 300000 /dev/zero | tr '\0' '#'; } | define big.spawn
    await 1 big.recv
    [ "$(content big.recv)" = big ]
    head -c 300000 /dev/zero | tr '\0' 'x' | define nothing.spawn
    stop
    start
    await 2 big.start
    [ "$(weir cat "$store" -T 'nothing.*' | grep -c .)" = 1 ]
    # and it ends in order with what came behind it
    add big.terminate
    await 1 big.stop
}
