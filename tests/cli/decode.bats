#!/usr/bin/env bats
# weir decode: files of the real writer, as the real decoder prints them; verify and repair. Without a daemon.

load setup

fixtures=$here/../fixtures/seastreamer

# The exit status that the real decoder had.
status_of() {
    grep -o '"exit": *[0-9]*' "$fixtures/$1.status.json" | grep -o '[0-9]*$'
}

# same WANTED COMMAND...: its output is that file's, its exit status $want.
same() {
    local wanted=$1 got=0
    shift
    "$@" >out 2>"$err" || got=$?
    cmp out "$wanted" || return 1
    [ "$got" = "$want" ] || { echo "status $got, not $want: $*" >&2; return 1; }
}

@test "every fixture, both formats: from a file, and out of a pipe" {
    for file in "$fixtures"/*.ss; do
        name=$(basename "$file" .ss)
        want=$(status_of "$name")
        for form in log ndjson; do
            [ -e "$fixtures/$name.$form" ] || continue
            same "$fixtures/$name.$form" weir decode --format "$form" "$file"
            same "$fixtures/$name.$form" weir decode --file "$file" --format="$form"
            same "$fixtures/$name.$form" weir decode - --format "$form" <"$file"
            same "$fixtures/$name.$form" bash -c "cat '$file' | weir decode --format $form"
        done
    done
}

@test "log is the default; --header-only leaves payloads out" {
    cp "$fixtures/basic.ss" .
    weir decode basic.ss | cmp - "$fixtures/basic.log"
    weir decode basic.ss --header-only >out
    [ "$(sed -n 2p out)" = '[2023-11-14T22:13:20.001 | hello | 1 | 0]' ]
    weir decode basic.ss --header-only --format ndjson >out
    [ "$(sed -n 2p out)" = '{"header":{"stream_key":"hello","shard_id":0,"sequence":1,"timestamp":"2023-11-14T22:13:20.001"},"payload":null}' ]
}

@test "plain is NDJSON, exact loses nothing" {
    weir decode "$fixtures/multi-1k.ss" --format plain >out
    grep -v '^/\*' "$fixtures/multi-1k.ndjson" | cmp - out
    jq -e . out >/dev/null
    weir decode "$fixtures/payloads-2k.ss" --format exact >out
    [ "$(jq -r 'select(.header.stream_key == "text" and .header.sequence == 10).payload' out)" = '  {"padded" : true}  ' ]
    [ "$(jq -r 'select(.header.sequence == 17).payload' out)" = 123456789012345678901234567890 ]
    jq -r 'select(.header.stream_key == "bin" and .header.sequence == 1).payload_base64' out | base64 -d | od -An -v -tu1 -w1 | tr -d ' ' >bytes
    seq 0 255 | cmp - bytes
}

@test "--stream chooses, more than once" {
    weir decode "$fixtures/multi-1k.ss" --stream beta >out
    [ "$(grep -c ' | beta | ' out)" = 30 ]
    [ "$(wc -l <out)" = 31 ]
    weir decode "$fixtures/multi-1k.ss" -s beta -s alpha --format plain >out
    [ "$(wc -l <out)" = 60 ]
    lacks gamma out
}

@test "--offset begins at a sequence or behind a time" {
    weir decode "$fixtures/ended-1k.ss" -s hello --offset 38 >out
    [ "$(sed -n 2p out)" = '[2023-11-14T22:13:58.0 | hello | 38 | 0] {"tick": 38}' ]
    [ "$(wc -l <out)" = 4 ]
    weir decode "$fixtures/ended-1k.ss" -s hello --offset 2023-11-14T22:13:40 >out
    [ "$(sed -n 2p out)" = '[2023-11-14T22:13:41.0 | hello | 21 | 0] {"tick": 21}' ]
    weir decode "$fixtures/ended-1k.ss" --offset start | cmp - "$fixtures/ended-1k.log"
    fails 1 "out of bound" weir decode "$fixtures/ended-1k.ss" -s hello --offset 999
}

@test "wrong usage, and what is no such file" {
    fails 2 "none of log" weir decode "$fixtures/basic.ss" --format json
    fails 2 "one file" weir decode a b
    fails 2 "one file" weir decode a --file b
    fails 2 "--stream" weir decode "$fixtures/basic.ss" --stream 'a b'
    fails 2 "needs --follow" weir decode "$fixtures/basic.ss" --offset end
    fails 2 "needs one --stream" weir decode "$fixtures/basic.ss" --offset 5
    fails 2 "--verify or --repair" weir decode "$fixtures/basic.ss" --verify --repair
    fails 2 "prints no messages" weir decode "$fixtures/basic.ss" --verify --format log
    fails 2 "needs a FILE" weir decode - --repair
    fails 1 "No such file" weir decode none.ss
    fails 1 "byte mark mismatch" weir decode "$fixtures/README.md"
    head -c 127 "$fixtures/basic.ss" >short.ss
    fails 1 "not enough bytes" weir decode short.ss
    fails 1 "directory" weir decode .
}

@test "what is torn is told, and is no failure" {
    weir decode "$fixtures/truncated-payload.ss" >out 2>"$err"
    cmp out "$fixtures/truncated-payload.log"
    grep -q 'ends in the middle of a message: 42 bytes' "$err"
    weir decode "$fixtures/basic.ss" 2>"$err" >out
    [ ! -s "$err" ]
}

@test "out of a pipe a message is shown when it is there" {
    mkfifo pipe
    weir decode pipe >out &
    reader=$!
    exec 7>pipe
    head -c 185 "$fixtures/basic.ss" >&7
    until_ok grep -q 'message-1$' out
    lacks message-2 out
    tail -c +186 "$fixtures/basic.ss" >&7
    exec 7>&-
    wait "$reader"
    cmp out "$fixtures/basic.log"
}

@test "--follow waits for more, until the end mark" {
    head -c 700 "$fixtures/ended-1k.ss" >grows.ss
    weir decode grows.ss --follow >out &
    reader=$!
    until_ok grep -q '| 11 | 0' out
    kill -0 "$reader"
    tail -c +701 "$fixtures/ended-1k.ss" >>grows.ss
    wait "$reader"
    cmp out "$fixtures/ended-1k.log"
}

@test "--follow from the end shows what is new alone" {
    head -c 700 "$fixtures/ended-1k.ss" >grows.ss
    weir decode grows.ss --follow --offset end >out &
    reader=$!
    # The header comes out when what was there is passed.
    until_ok grep -q '^# ' out
    tail -c +701 "$fixtures/ended-1k.ss" >>grows.ss
    wait "$reader"
    [ "$(grep -c '^\[' out)" = 30 ]
    [[ $(sed -n 2p out) == *' | hello | 12 | 0] '* ]]
}

@test "a reader that goes away ends it quietly" {
    run -0 bash -c "weir decode '$fixtures/large-1k.ss' --format ndjson | head -c 10; exit \"\${PIPESTATUS[0]}\""
    cp "$fixtures/basic.ss" open.ss
    mkfifo gone
    weir decode open.ss --follow >gone &
    reader=$!
    head -n 1 gone >/dev/null
    wait "$reader"
}

@test "on a terminal nothing in a payload steers it" {
    on_terminal "weir decode '$fixtures/payloads-2k.ss'" >shown
    grep -q 'Ss\\x01' shown
    lacks "$(printf '\001')" shown
}

@test "--verify: sound files" {
    for name in appended-1k basic boundary-1k empty empty-eos ended-1k interval-128 large-1k multi-1k payloads-2k truncated-payload; do
        weir decode --verify "$fixtures/$name.ss" >out
        [ "$(jq -c .faults out)" = '[]' ]
    done
    [ "$(jq -c '[.messages,.torn_bytes,.ended]' out)" = '[11,42,false]' ]
    on_terminal "weir decode --verify '$fixtures/truncated-payload.ss'" >shown
    grep -q '11 messages in 1 stream, 0 beacons, 700 bytes, not ended' shown
    grep -q 'note: 42 bytes of an incomplete message' shown
    grep -q 'no damage' shown
}

@test "--verify: damage has an offset and exit status 1" {
    run -1 --separate-stderr weir decode --verify "$fixtures/flipped-payload.ss"
    [ "$(jq -c '[.messages,.lost_bytes,.good_bytes,(.faults|length),.faults[0].offset]' <<<"$output")" = '[39,48,416,1,416]' ]
    [[ $stderr == *'is damaged'* ]]
    run -1 on_terminal "weir decode --verify '$fixtures/flipped-payload.ss'"
    [[ $output == *'offset 416: message 7 of hello: checksum error: received 16478, computed 9855'* ]]
}

@test "--repair loses the damaged message alone and keeps the old file" {
    cp "$fixtures/flipped-payload.ss" log.ss
    chmod u+w log.ss
    weir decode --repair log.ss >out 2>"$err"
    [ "$(jq -c '[.changed,.messages]' out)" = '[true,39]' ]
    cmp "$(jq -r .kept out)" "$fixtures/flipped-payload.ss"
    [ -e log.ss.damaged ] && [ ! -e log.ss.repairing ]
    weir decode log.ss >out
    grep -v '^#' "$fixtures/ended-1k.log" | grep -v '| 7 |' | grep -v INTERNAL >wanted
    grep -v '^#' out | grep -v INTERNAL | cmp - wanted
    weir decode --verify log.ss >out
    weir decode --repair log.ss >out 2>"$err"
    [ "$(jq -c '[.changed,has("kept")]' out)" = '[false,false]' ]
    [ ! -s "$err" ]
}

@test "--repair keeps away from a file that is being written" {
    cp "$fixtures/flipped-payload.ss" log.ss
    chmod u+w log.ss
    exec 8<log.ss
    flock -n 8
    fails 1 "being written" weir decode --repair log.ss
    exec 8<&-
    cmp log.ss "$fixtures/flipped-payload.ss"
}

@test "a large length that lies is told, not waited for" {
    # A message of 512 MiB by its head, in a file of which the rest is a hole.
    head -c 128 "$fixtures/basic.ss" >lie.ss
    printf '\001k\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\001\0\0\0\0\0\0\0\0\040\0\0\0' >>lie.ss
    truncate -s 600M lie.ss
    run -1 --separate-stderr weir decode lie.ss
    [[ $stderr == *'offset 128: a message of '*' of which no beacon knows' ]]
    [ "${#lines[@]}" = 1 ]
}
