#!/usr/bin/env bats
# weir cas and cas-post.

load setup

hello=sha256-LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=

@test "cas-post prints the hash and appends nothing" {
    start
    [ "$(printf hello | weir cas-post "$store")" = "$hello" ]
    [ -z "$(weir cat "$store" | topics_of)" ]
    fails 1 "no content on standard input" weir cas-post "$store"
}

@test "contents come back byte for byte, large ones too" {
    start
    printf 'a\r\nb\0c\n' >x
    for _ in 1 2 3; do head -c 700000 /dev/urandom; done >y
    for file in x y; do
        hash=$(weir cas-post "$store" <$file)
        weir cas "$store" "$hash" | cmp - $file
    done
}

@test "cas --range" {
    start
    hash=$(printf 0123456789 | weir cas-post "$store")
    [ "$(weir cas "$store" "$hash" --range 2-4)" = 234 ]
    [ "$(weir cas "$store" "$hash" --range 7-)" = 789 ]
    [ "$(weir cas "$store" "$hash" --range -2)" = 89 ]
    fails 1 "outside the content" weir cas "$store" "$hash" --range 100-
    fails 2 "is no byte range" weir cas "$store" "$hash" --range x
}

@test "cas: absent and malformed hashes" {
    start
    fails 1 "no content $hello" weir cas "$store" "$hello"
    fails 1 "weir cas:" weir cas "$store" sha256-%%
    fails 1 "weir cas:" weir cas "$store" md9-abcd
    fails 2 "usage: weir cas" weir cas "$store"
}

@test "a hash with a slash is no address" {
    start
    # sha256 of "a" holds a slash in base64.
    hash=$(printf a | weir cas-post "$store")
    [[ $hash == */* ]]
    [ "$(WEIR_ADDR=$store weir cas "$hash")" = a ]
}

@test "cas into head: the reader's leaving is no failure" {
    start
    hash=$(head -c 3000000 /dev/zero | weir cas-post "$store")
    run -0 bash -c "set -o pipefail; weir cas '$store' '$hash' | head -c 1 | wc -c"
    [ "$output" -eq 1 ]
}
