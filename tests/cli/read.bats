#!/usr/bin/env bats
# weir cat, last, first, next, previous, get.

load setup

# Five frames on a, b, a, b, a; their ids in $ids.
five() {
    ids=()
    for topic in a b a b a; do ids+=("$(add "$topic")"); done
}

@test "cat prints frames in order, bounds and limits cut" {
    start
    five
    [ "$(weir cat "$store" | topics_of)" = "a b a b a" ]
    [ "$(weir cat "$store" -T b | topics_of)" = "b b" ]
    [ "$(weir cat "$store" -T 'a,' --limit 2 | id_of)" = "${ids[2]}" ]
    [ "$(weir cat "$store" --after "${ids[1]}" | head -n 1 | id_of)" = "${ids[2]}" ]
    [ "$(weir cat "$store" -a "${ids[3]}" --from "${ids[1]}" | head -n 1 | id_of)" = "${ids[1]}" ]
    [ "$(weir cat "$store" --before "${ids[2]}" | id_of)" = "${ids[1]}" ]
    [ "$(weir cat "$store" --last 2 -T a | head -n 1 | id_of)" = "${ids[2]}" ]
    [ "$(weir cat "$store" --reverse --limit 1 | id_of)" = "${ids[4]}" ]
    [ -z "$(weir cat "$store" --after "${ids[4]}")" ]
    [ -z "$(weir cat "$store" --limit 0)" ]
}

@test "cat understands the options' former names" {
    start
    five
    [ "$(weir cat "$store" --last-id "${ids[3]}" | id_of)" = "${ids[4]}" ]
    weir cat "$store" -f --tail --limit 1 >out &
    reader=$!
    until_ok bash -c "weir append '$store' live --no-content >/dev/null; ! kill -0 $reader"
    [ "$(topics_of <out)" = live ]
}

@test "cat --since and --until" {
    start
    five
    [ "$(weir cat "$store" --since 10m -T a,b | wc -l)" -eq 5 ]
    [ "$(weir cat "$store" --until 10m -T a,b | wc -l)" -eq 0 ]
    [ "$(weir cat "$store" --since 2000-01-01 --until now -T a,b | wc -l)" -eq 5 ]
    fails 2 "--since" weir cat "$store" --since yesterdayish
}

@test "cat --count" {
    start
    five
    [ "$(weir cat "$store" --count -T a)" = '{"count":3}' ]
    [ "$(weir cat "$store" --count -T nosuch)" = '{"count":0}' ]
}

@test "cat --stream takes the name as it is" {
    start
    five
    [ "$(weir cat "$store" --stream b | topics_of)" = "b b" ]
    [ -z "$(weir cat "$store" --stream '*')" ]
    fails 2 "not both" weir cat "$store" --stream b -T b
}

@test "cat --with-timestamp, --with-seq, --sse" {
    start
    five
    weir cat "$store" -T a --with-timestamp | grep -q '"timestamp":"[^"]*"}$'
    weir cat "$store" -T a --with-seq | grep -q '"ttl":"forever","seq":2}$'
    weir cat "$store" -T b --sse >events
    [ "$(grep -c '^id: ' events)" -eq 2 ]
    [ "$(grep -c '^data: {' events)" -eq 2 ]
}

@test "cat: what is refused" {
    start
    for patterns in ',' '' 'a,1bad' 'a.*.b'; do
        fails 2 "usage: weir cat" weir cat "$store" -T "$patterns"
    done
    fails 1 "--after" weir cat "$store" --after 123
    fails 1 "--from" weir cat "$store" --from 123
    fails 1 "--before" weir cat "$store" --before 123
    fails 2 "do not go with --follow" weir cat "$store" -f --reverse
    fails 2 "do not go with --follow" weir cat "$store" -p 100 --count
}

@test "cat -f: history, threshold, then what is appended" {
    start
    add old
    weir cat "$store" -f >out &
    reader=$!
    until_ok grep -q xs.threshold out
    add new
    until_ok grep -q '"topic":"new"' out
    kill "$reader"
    wait "$reader" || :
    [ "$(topics_of <out)" = "old new" ]
}

@test "cat -f --limit ends by itself, without a word" {
    start
    add t
    weir cat "$store" -f --limit 2 -T t >out 2>"$err" &
    reader=$!
    until_ok grep -q xs.threshold out
    add t
    wait "$reader"
    [ ! -s "$err" ]
    [ "$(topics_of <out)" = "t t" ]
}

@test "cat -p: heartbeats, and it follows" {
    start
    weir cat "$store" -p 20 >out &
    reader=$!
    until_ok grep -q xs.pulse out
    kill "$reader"
    wait "$reader" || :
    [ "$(weir cat "$store" | grep -c xs.pulse)" -eq 0 ]
}

@test "cat ends when the reader of its output goes away" {
    start
    add t
    # Nothing flows after the first line: the end has to be noticed without a write.
    run -0 timeout 10 bash -c "weir cat '$store' -f | head -n 1"
    [[ $output == *xs.start* ]]
}

@test "cat writes to files, the null device; a full disk is a failure" {
    start
    five
    weir cat "$store" >file
    [ "$(topics_of <file)" = "a b a b a" ]
    weir cat "$store" >/dev/null
    [ -c /dev/full ] || skip "no /dev/full"
    run -1 bash -c "weir cat '$store' >/dev/full"
    [[ $output == *"No space left"* ]]
}

@test "last: newest, N newest, in either order" {
    start
    five
    [ "$(weir last "$store" | id_of)" = "${ids[4]}" ]
    [ "$(weir last "$store" b | id_of)" = "${ids[3]}" ]
    weir last "$store" a 2 >x
    weir last "$store" 2 a >y
    cmp x y
    [ "$(wc -l <x)" -eq 2 ]
    [ "$(head -n 1 x | id_of)" = "${ids[2]}" ]
    [ "$(weir last "$store" b 9 | wc -l)" -eq 2 ]
    [ "$(weir last "$store" 3 | id_of)" = "${ids[4]}" ]
    [ "$(weir head "$store" b | id_of)" = "${ids[3]}" ]
    weir last "$store" a --with-timestamp | grep -q '"timestamp"'
    [ "$(weir last "$store" a | wc -l)" -eq 1 ]
}

@test "last and first: nothing there, bad operands" {
    start
    fails 1 "no frame on that topic" weir last "$store" nosuch
    fails 1 "no frame on that topic" weir last "$store" nosuch 3
    fails 1 "no frame on that topic" weir first "$store" nosuch
    fails 2 "two counts" weir last "$store" 1 2
    fails 2 "\`0' is no count" weir last "$store" t 0
    fails 2 "99' is no count" weir first "$store" 99999999999999999999 t
    fails 2 "usage: weir last" weir last "$store" 'a*'
    fails 2 "usage: weir first" weir first "$store" 'a*'
}

@test "last -f goes on with what is appended" {
    start
    add t
    weir last "$store" t -f >out &
    reader=$!
    until_ok grep -q xs.threshold out
    add t
    until_ok bash -c '[ "$(grep -c "\"topic\":\"t\"" out)" -eq 2 ]'
    kill "$reader"
    wait "$reader" || :
}

@test "first, next, previous walk the log" {
    start
    five
    [ "$(weir first "$store" b | id_of)" = "${ids[1]}" ]
    [ "$(weir first "$store" b 2 | id_of)" = "${ids[3]}" ]
    weir first "$store" | grep -q xs.start
    [ "$(weir next "$store" "${ids[0]}" | id_of)" = "${ids[1]}" ]
    [ "$(weir next "$store" "${ids[0]}" -T a | id_of)" = "${ids[2]}" ]
    [ "$(weir previous "$store" "${ids[4]}" | id_of)" = "${ids[3]}" ]
    [ "$(weir previous "$store" "${ids[4]}" -T a | id_of)" = "${ids[2]}" ]
    fails 1 "no frame after" weir next "$store" "${ids[4]}"
    fails 1 "no frame before" weir previous "$store" "${ids[0]}" -T a
    fails 1 "weir next:" weir next "$store" notanid
    fails 2 "usage: weir next" weir next "$store"
}

@test "get: as appended, in any case; absent and malformed ids" {
    start
    weir append "$store" t --meta '{"k":1}' --content x >frame
    id=$(id_of <frame)
    weir get "$store" "$id" | cmp - frame
    weir get "$store" "${id^^}" | cmp - frame
    weir get "$store" "$id" --with-timestamp | grep -q '"timestamp"'
    weir get "$store" "$id" --with-seq | grep -q '"seq":0}$'
    fails 1 "no frame 03bcpn2dnq529qrqkbqcz4jv4" weir get "$store" 03bcpn2dnq529qrqkbqcz4jv4
    fails 1 "weir get:" weir get "$store" notanid
}
