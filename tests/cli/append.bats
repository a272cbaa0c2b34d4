#!/usr/bin/env bats
# weir append, one frame and many; remove.

load setup

hello=sha256-LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=

@test "content from standard input; the frame is printed with a newline" {
    start
    printf hello | weir append "$store" note >frame
    [ "$(wc -l <frame)" -eq 1 ]
    grep -qF "\"hash\":\"$hello\"" frame
    grep -q '^{"topic":"note","id":"[0-9a-z]\{25\}",.*"meta":null,"ttl":"forever"}$' frame
    [ "$(weir cas "$store" "$hello")" = hello ]
}

@test "--content, --no-content and an empty standard input" {
    start
    weir append "$store" t --content hello | grep -qF "$hello"
    echo ignored | weir append "$store" t --no-content | grep -q '"hash":null'
    weir append "$store" t </dev/null | grep -q '"hash":null'
    weir append "$store" t --content '' | grep -q '"hash":null'
}

@test "--no-content leaves a loop's standard input alone" {
    start
    printf 'a\nb\nc\n' | while read -r topic; do weir append "$store" "$topic" --no-content; done >/dev/null
    [ "$(weir cat "$store" | topics_of)" = "a b c" ]
}

@test "meta is kept byte for byte, also numbers beyond doubles, keys in order" {
    start
    meta='{"z":9007199254740993,"a":{"y":[1,2.50,null,true]},"ü":"é"}'
    weir append "$store" t --no-content --meta "$meta" | grep -qF "\"meta\":$meta"
    weir append "$store" t --no-content --meta ' [ 1 , 2 ] ' | grep -qF '"meta":[1,2]'
    weir append "$store" t --no-content --meta 5 | grep -qF '"meta":5'
}

@test "meta too large for a header" {
    start
    big=$(head -c 100000 /dev/zero | tr '\0' x)
    weir append "$store" t --meta "{\"k\":\"$big\"}" --content hello >frame
    grep -qF "$hello" frame
    [ "$(wc -c <frame)" -gt 100000 ]
}

@test "ttl and timestamp" {
    start
    for ttl in forever ephemeral time:3600000 last:4294967295; do
        weir append "$store" t --no-content --ttl $ttl | grep -qF "\"ttl\":\"$ttl\""
    done
    weir append "$store" t --no-content --with-timestamp | grep -q '"timestamp":"20[^"]*+00:00"}$'
    add numbered
    weir append "$store" numbered --no-content --with-seq | grep -q '"seq":1}$'
}

@test "what is refused here: exit status and nothing stored" {
    start
    fails 1 "--meta" weir append "$store" t --meta 'not json'
    fails 1 "--meta" weir append "$store" t --meta ''
    for ttl in last:0 time:abc head bogus last:-1 time: head:1 Forever ''; do
        fails 1 "--ttl" weir append "$store" t --ttl "$ttl"
    done
    for topic in '' .a a. a..b 123 'a b' 'a*' a,b a/b ä "$(printf 'a%.0s' {1..256})"; do
        fails 2 "usage: weir append" weir append "$store" "$topic"
    done
    fails 2 "unknown option" weir append "$store" -a
    fails 2 "usage: weir append" weir append "$store" -- -a
    fails 2 "not both" weir append "$store" t --content x --no-content
    fails 2 "not a number" weir append "$store" t --expect-seq x
    fails 1 "--expect-last" weir append "$store" t --expect-last x
    [ -z "$(weir cat "$store" | topics_of)" ]
}

@test "a megabyte and more, by pipe" {
    start
    head -c 3000000 /dev/urandom >big
    head -c 9000000 big | weir append "$store" big >frame
    hash=$(grep -o 'sha256-[^"]*' frame)
    weir cas "$store" "$hash" | cmp - big
}

@test "conditions: --expect-seq and --expect-last" {
    start
    weir append "$store" t --no-content --expect-seq 0
    fails 1 "weir append:" weir append "$store" t --no-content --expect-seq 0
    weir append "$store" t --no-content --expect-seq 1
    last=$(weir last "$store" | id_of)
    weir append "$store" u --no-content --expect-last "$last"
    fails 1 "weir append:" weir append "$store" u --no-content --expect-last "$last"
    [ "$(weir cat "$store" | topics_of)" = "t t u" ]
}

@test "--key: a repeat answers the first frame, other content is refused" {
    start
    weir append "$store" t --content one --key k1 >a
    weir append "$store" t --content one --key k1 >b
    cmp a b
    fails 1 "weir append:" weir append "$store" t --content two --key k1
    [ "$(weir cat "$store" | topics_of)" = t ]
}

@test "--batch stores lines as they come and prints a summary" {
    start
    printf '%s\n' '{"topic":"a","content":"hello"}' '{"topic":"b","meta":{"n":1}}' '{"topic":"c","ttl":"last:3"}' |
        weir append "$store" --batch >summary
    grep -q '"frames":3' summary
    [ "$(weir cat "$store" | topics_of)" = "a b c" ]
    weir last "$store" a | grep -qF "$hello"
    [ "$(weir last "$store" | id_of)" = "$(grep -o '"last":"[^"]*' summary | cut -d '"' -f 4)" ]
}

@test "--batch names the bad line and what was stored before it" {
    start
    fails 1 "line 3:" bash -c "printf '%s\n' '{\"topic\":\"a\"}' '{\"topic\":\"b\"}' '{\"topic\":\"9\"}' | weir append '$store' --batch"
    grep -q '2 frames before it were stored' "$err"
    [ "$(weir cat "$store" | topics_of)" = "a b" ]
}

@test "--batch --atomic prints the frames, or stores none" {
    start
    printf '%s\n' '{"topic":"a"}' '{"topic":"b"}' | weir append "$store" --batch --atomic >frames
    [ "$(wc -l <frames)" -eq 2 ]
    weir cat "$store" -T a,b | cmp - frames
    fails 1 "weir append:" bash -c "printf '%s\n' '{\"topic\":\"c\"}' '{\"topic\":\"9\"}' | weir append '$store' --batch --atomic"
    [ "$(weir cat "$store" | topics_of)" = "a b" ]
}

@test "--batch: usage faults" {
    fails 2 "each line names its own topic" weir append topic --batch
    fails 2 "each line brings its own" weir append "$store" --batch --ttl forever
    fails 2 "needs --atomic" weir append "$store" --batch --key k
    fails 2 "--atomic goes with --batch" weir append "$store" t --atomic
}

@test "remove: silent, for good, also when there is nothing" {
    start
    id=$(add a)
    add b
    run -0 weir remove "$store" "$id"
    [ -z "$output" ]
    run -0 weir remove "$store" "$id"
    fails 1 "no frame $id" weir get "$store" "$id"
    [ "$(weir cat "$store" | topics_of)" = b ]
    fails 1 "weir remove:" weir remove "$store" notanid
}
