#!/usr/bin/env bats
# Reads that print frames with their contents, from a seq on, with their S2 timestamps.

load setup

# http METHOD TARGET [BODY]: the answer's body; its status in the file status.
http() {
    curl -sS --max-time 10 --unix-socket "$store/sock" -X "$1" ${3+--data-binary "$3"} \
        -w '%{stderr}%{http_code}' "http://localhost$2" 2>status
}

# content_of: the contents of the frames on standard input, a line each as base64; "size N" and "none" for those without.
content_of() {
    python3 -c '
import base64, json, sys
for line in sys.stdin:
    f = json.loads(line)
    if f["topic"].startswith("xs."):
        continue
    if "content" in f:
        print(base64.b64encode(f["content"].encode()).decode())
    elif "content_base64" in f:
        print(f["content_base64"])
    else:
        print("size %s" % f["size"] if "size" in f else "none")'
}

# some_frames: contents of all kinds, in `wanted` as content_of prints them.
some_frames() {
    printf 'plain' >c1
    printf 'quote " slash \\ tab \t newline \n bell \a ae \303\244 end' >c2
    printf 'not \377\376 text' >c3
    printf '\303' >c4
    head -c 65537 /dev/zero | tr '\0' 'x' >c5
    head -c 1048576 /dev/urandom >c6
    local c
    for c in c1 c2 c3 c4 c5 c6; do
        weir append "$store" "t.$c" <$c >/dev/null
        base64 -w0 <$c
        echo
    done >wanted
    head -c 1048577 /dev/zero | weir append "$store" t.large >/dev/null
    echo 'size 1048577' >>wanted
    add t.empty >/dev/null
    echo none >>wanted
}

@test "each content comes back byte for byte, behind the other keys; a large one as its size" {
    start
    some_frames
    weir cat "$store" --with-content | content_of | cmp - wanted
    [ "$(weir cat "$store" --with-content -T t.c1 --with-seq --with-timestamp | sed 's/.*,"ttl"/"ttl"/; s/timestamp":"[^"]*"/timestamp":T/')" = \
        '"ttl":"forever","seq":0,"timestamp":T,"content":"plain"}' ]
    [ "$(weir cat "$store" -T t.c1 | grep -c content)" -eq 0 ]
}

@test "from memory, from the index, reversed, last, one frame, events" {
    start
    some_frames
    stop
    start
    weir cat "$store" --with-content | content_of | cmp - wanted
    weir cat "$store" --with-content --reverse | content_of | tac | cmp - wanted
    weir cat "$store" --with-content --last 3 -T 't.*' | content_of | cmp - <(tail -n 3 wanted)
    http GET '/last/t.c5?with-content' | content_of | cmp - <(sed -n 5p wanted)
    http GET "/$(weir cat "$store" -T t.c6 | id_of)?with-content" | content_of | cmp - <(sed -n 6p wanted)
    curl -sS -H 'Accept: text/event-stream' --unix-socket "$store/sock" 'http://localhost/?with-content' |
        sed -n 's/^data: //p' | content_of | cmp - wanted
}

@test "a follower gets contents of what is appended, ephemeral ones too, while others share plain lines" {
    start
    weir cat "$store" -f --new --with-content -T 't' >rich 2>/dev/null 3>&- &
    daemons+=("$!")
    weir cat "$store" -f --new -T 't' >plain 2>/dev/null 3>&- &
    daemons+=("$!")
    until_ok bash -c "[ \$(weir status '$store' --json | grep -o '\"followers\":[0-9]*' | cut -d: -f2) -ge 2 ]"
    head -c 200000 /dev/urandom >big
    echo -n one | weir append "$store" t >/dev/null
    echo -n two | weir append "$store" t --ttl ephemeral >/dev/null
    weir append "$store" t <big >/dev/null
    echo -n last | weir append "$store" t >/dev/null
    until_ok grep -q '"content":"last"' rich
    content_of <rich | cmp - <(echo -n one | base64; echo -n two | base64; base64 -w0 <big; echo; echo -n last | base64)
    until_ok bash -c '[ "$(wc -l <plain)" -eq 4 ]'
    lacks content plain
}

@test "a group's members get contents, also of frames that are handed out again" {
    start
    echo -n one | weir append "$store" t >/dev/null
    echo -n two | weir append "$store" t >/dev/null
    http GET '/?group=g&member=a&topic=t&ack=manual&limit=1&with-content' | content_of | cmp - <(echo -n one | base64)
    http POST '/groups/g/nack?member=a' "$(weir cat "$store" -T t --limit 1 | id_of)" >/dev/null
    http GET '/?group=g&member=b&topic=t&with-content' | content_of | sort | cmp - <(echo -n one | base64; echo -n two | base64)
}

@test "a content that is gone or damaged costs its frame nothing but the content" {
    start
    head -c 200000 /dev/urandom | weir append "$store" t >/dev/null
    head -c 200001 /dev/urandom | weir append "$store" t >/dev/null
    echo -n small | weir append "$store" t >/dev/null
    rm "$(find "$store/cas/sha256" -type f -size -200001c | head -n 1)"
    weir cat "$store" --with-content -T t >out
    [ "$(wc -l <out)" -eq 3 ]
    [ "$(grep -c '"size":20000[01]}' out)" -ge 1 ]
    grep -q '"content":"small"' out
}

# idle_kib: memory of the daemon's own.
idle_kib() {
    awk '/RssAnon/ { print $2 }' "/proc/$daemon/status"
}

is_small() {
    (($(idle_kib) < 8000))
}

@test "followers that wait keep no content in memory" {
    start
    head -c 786432 /dev/urandom >c1
    for i in {1..24}; do
        curl -sN --unix-socket "$store/sock" 'http://localhost/?follow&with-content' >"out.$i" 3>&- &
        daemons+=("$!")
    done
    until_ok bash -c '[ "$(cat out.* | grep -c xs.threshold)" -eq 24 ]'
    weir append "$store" t <c1 >/dev/null
    until_ok bash -c '[ "$(cat out.* | grep -c content_base64)" -eq 24 ]'
    content_of <out.1 | cmp - <(base64 -w0 c1; echo)
    # Sanitizers keep what is freed.
    [[ $BUILD == *san ]] || until_ok is_small
    # Those that follow go on.
    echo -n again | weir append "$store" t >/dev/null
    until_ok bash -c '[ "$(cat out.* | grep -c "\"content\":\"again\"")" -eq 24 ]'
}

@test "a narrow token sees contents of its own topics alone" {
    start "$store" --expose 127.0.0.1:0
    echo -n mine | weir append "$store" mine.a >/dev/null
    echo -n theirs | weir append "$store" theirs.a >/dev/null
    secret=$(weir token issue "$store" n --op read --stream 'mine.*')
    port=$(weir last "$store" xs.start --json | grep -o '127\.0\.0\.1:[0-9]*')
    curl -sS -H "Authorization: Bearer $secret" "http://$port/?with-content" >out
    grep -q '"content":"mine"' out
    lacks theirs out
}

@test "from-seq begins a stream at that record; with-stamp shows the timestamp a client chose" {
    start
    for i in 0 1 2 3; do echo "{\"stream\":\"9a\",\"stamp\":$((1000 + i)),\"content\":\"$i\"}"; done >lines
    http POST '/append?brief' "$(cat lines)" | grep -q '^{"frames":4,"first":"[0-9a-z]*","last":"[0-9a-z]*"}$'
    [ "$(http GET '/?stream=9a&from-seq=2&with-stamp&with-seq' | grep -o '"seq".*' | paste -sd ' ')" = \
        '"seq":2,"stamp":1002} "seq":3,"stamp":1003}' ]
    [ -z "$(http GET '/?stream=9a&from-seq=4')" ]
    [ -z "$(http GET '/?stream=none&from-seq=0')" ]
    http GET '/?from-seq=2' | grep -q 'from-seq needs stream'
    # What a client chose is the S2 timestamp, raised to the topic's last and never ahead of the clock; the id's time stays.
    http POST /append '{"stream":"9a","stamp":5}' >/dev/null
    http POST /append '{"stream":"9a","stamp":18446744073709551615}' >/dev/null
    http GET '/?stream=9a&from-seq=4&with-stamp&with-timestamp' >out
    sed -n 1p out | grep -q '"stamp":1003}'
    python3 -c '
import json, time
frames = [json.loads(l) for l in open("out")]
assert abs(frames[1]["stamp"] / 1000 - time.time()) < 60, frames[1]
assert all(f["timestamp"].startswith("20") for f in frames)'
}
