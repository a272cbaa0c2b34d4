#!/usr/bin/env bats
# weir relay between lines, files, a store and S2 streams. Redis has its own tests.

load setup.bash

unset S2_ACCESS_TOKEN S2_ACCOUNT_ENDPOINT S2_BASIN_ENDPOINT
unset XDG_STATE_HOME

fixtures=$here/../fixtures/seastreamer

# relay OPTION...: state beside the test's own files.
relay() {
    HOME=$dir weir relay "$@"
}

# background NAME OPTION...: a relay that goes on; its pid in $relay, what it prints in NAME.out and NAME.err.
background() {
    local name=$1
    shift
    HOME=$dir weir relay "$@" >"$name.out" 2>"$name.err" <&0 3>&- 7>&- &
    relay=$!
    daemons+=("$relay")
}

# lines FILE COUNT: it has so many.
lines() {
    [ "$(wc -l <"$1")" -eq "$2" ]
}

# count FROM TO: "n FROM" ... "n TO", a line each.
count() {
    seq -f 'n %.0f' "$1" "$2"
}

@test "lines to lines as a producer prints them" {
    printf '[a] one\n[b] no\nraw\n\n[a | 7] [two]\n[broadcast] no\n' | relay --input stdio:///a --output stdio:///z >out
    sed -E 's/^\[[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2} /[T /' out >plain
    printf '[T | z | 0] one\n[T | z | 1] raw\n[T | z | 2] [two]\n' | cmp - plain
    printf 'last line without newline' | relay --input - --output stdio:///z | grep -q '| z | 0\] last line without newline$'
}

@test "what --preserve keeps of lines" {
    printf '[2022-01-01T00:00:00.1234567 | a | 18446744073709551615 | 4] x \n[2022-01-01T00:00:00 | a] y\n[2022-01-01T00:00:00 | b | 5]\n' >in
    relay -i - -o - --preserve <in >out
    cat >want <<'END'
[2022-01-01T00:00:00.1234567 | a | 18446744073709551615 | 4] x 
[2022-01-01T00:00:00.0 | a | 0 | 0] y
[2022-01-01T00:00:00.0 | b | 5 | 0]
END
    cmp out want
    relay -i - -o - --preserve <out | cmp - want
    relay -i - -o - --preserve --rename a=c <in | grep -c '| c |' | grep -qx 2
    relay -i - -o stdio:///k --preserve <in | grep -c '| k |' | grep -qx 3
}

@test "bad lines are told with their number and skipped" {
    printf '[a] one\n["x"]\n[a] \xff\n[a] two\n[a|-1] x\n' >in
    relay -i - -o stdio:///z <in >out 2>err
    lines out 2
    lines err 3
    grep -q '^weir relay: line 2: ' err
    grep -q '^weir relay: line 3: .*UTF-8' err
    grep -q '^weir relay: line 5: ' err
    run -1 --separate-stderr relay -i - -o stdio:///z --strict <in
    [ "${#lines[@]}" -eq 2 ]
    [[ $stderr == *"3 bad lines were skipped"* ]]
}

@test "payloads that no line can hold" {
    printf '[k|1] a\n[k|2] "b\n' | relay -i - -o two.ss --preserve
    printf '[k|3] x\n' | relay -i - -o file://two.ss/ --preserve
    relay -i "$fixtures/payloads-2k.ss" -o - --preserve --offset start --no-follow --odd raw >raw.out
    run -1 --separate-stderr relay -i "$fixtures/payloads-2k.ss" -o stdio:///k --offset start --no-follow
    [[ $stderr == *"does not go over"* ]]
    # Numbers have no holes where a message was refused, or was empty.
    cut -d '|' -f 3 <<<"$output" | cut -d ']' -f 1 | tr -d ' ' | cmp - <(seq 0 $((${#lines[@]} - 1)))
    relay -i "$fixtures/payloads-2k.ss" -o - --preserve --offset start --no-follow --odd json >json.out
    [ "$(wc -l <raw.out)" -gt "$(wc -l <json.out)" ]
}

@test "a line of a slow pipe goes through at once" {
    mkfifo in
    exec 7<>in
    background slow -i - -o stdio:///z <in
    for i in 1 2 3; do
        printf 'line %s\n' "$i" >&7
        until_ok lines slow.out "$i"
    done
    exec 7>&-
    wait "$relay"
}

@test "an output pipe that is closed ends it quietly, with and without input" {
    yes '[a] x' | (relay -i - -o stdio:///z 2>err; echo "$?" >status) | head -n 1 >/dev/null
    until_ok grep -qx 0 status
    [ ! -s err ]
    mkfifo in
    exec 7<>in
    (relay -i - -o stdio:///z <in 2>err; echo "$?" >status2) | true
    until_ok grep -qx 0 status2
    [ ! -s err ]
}

@test "lines into a file and back: all that was there" {
    relay -i "$fixtures/multi-1k.ss" -o - --preserve --offset start --no-follow >out
    lines out 90
    cmp out <(grep -v '^#' "$fixtures/multi-1k.log" | grep -v SEA_STREAMER_INTERNAL)
    relay -i - -o again.ss --preserve --interval 1024 --end-mark <out
    relay -i again.ss -o - --preserve --offset start | cmp - out
    relay -i file://again.ss/beta -o - --preserve --offset start | cmp - <(grep '| beta |' out)
}

@test "a growing file is followed to its end mark" {
    count 1 3 | relay -i - -o file://grow.ss/k
    background follow -i grow.ss -o stdio:///z
    background all -i grow.ss -o stdio:///z --offset start
    until_ok lines all.out 3
    # --offset end begins where the file ends once it is open.
    until_ok grep -q inotify "/proc/${daemons[0]}/fdinfo" -r
    count 4 5 | relay -i - -o file://grow.ss/k
    until_ok lines all.out 5
    until_ok lines follow.out 2
    count 6 6 | relay -i - -o file://grow.ss/k --end-mark
    wait "${daemons[0]}" "${daemons[1]}"
    cut -d ']' -f 2 all.out | cmp - <(seq -f ' n %.0f' 1 6)
    cut -d ']' -f 2 follow.out | cmp - <(seq -f ' n %.0f' 4 6)
}

@test "offsets, limits, moments and shares" {
    for i in 1 2 3 4 5 6; do echo "[2022-01-01T00:00:0$i.5 | k | $i] n $i"; done >in
    relay -i - -o x.ss --preserve <in
    relay -i x.ss -o - --preserve --no-follow --offset 4 | cut -d ' ' -f 9 | paste -s -d ' ' | grep -qx '4 5 6'
    relay -i file://x.ss/k -o - --preserve --no-follow --offset 2022-01-01T00:00:04.5 | cut -d ' ' -f 9 | paste -s -d ' ' | grep -qx '5 6'
    relay -i x.ss -o - --preserve --no-follow --offset 2022-01-01T01:00:05+01:00 | cut -d ' ' -f 9 | paste -s -d ' ' | grep -qx '5 6'
    relay -i x.ss -o - --preserve --offset start --until 2022-01-01T00:00:03.5 | cut -d ' ' -f 9 | paste -s -d ' ' | grep -qx '1 2 3'
    relay -i x.ss -o - --preserve --offset start --limit 2 | cut -d ' ' -f 9 | paste -s -d ' ' | grep -qx '1 2'
    relay -i x.ss -o - --preserve --offset start --no-follow --share 1/3 | cut -d ' ' -f 9 | paste -s -d ' ' | grep -qx '1 4'
    fails 1 'out of bound' relay -i file://x.ss/k -o - --preserve --no-follow --offset 99
}

@test "a cursor in a file goes on where it was, by parts" {
    count 1 100 | relay -i - -o file://in.ss/k
    relay -i in.ss -o file://out.ss/k --offset start --no-follow --cursor mine --limit 30
    relay -i in.ss -o file://out.ss/k --offset start --no-follow --cursor mine --limit 30
    relay -i in.ss -o file://out.ss/k --offset start --no-follow --cursor mine
    relay -i in.ss -o file://out.ss/k --offset start --no-follow --cursor mine
    relay -i out.ss -o - --preserve --offset start --no-follow >all
    lines all 100
    cut -d ']' -f 2 all | cmp - <(seq -f ' n %.0f' 1 100)
    [ "$(stat -c %a .local/state/weir/relay/mine)" = 600 ]
    # The place belongs to that file alone.
    count 1 3 | relay -i - -o file://other.ss/k
    fails 1 'cursor mine' relay -i other.ss -o stdio:///z --no-follow --cursor mine
}

@test "a cursor begins where the relay began, also when it was ended before the first message" {
    count 1 3 | relay -i - -o file://in.ss/k
    background first -i in.ss -o stdio:///z --cursor c
    until_ok test -e .local/state/weir/relay/c
    kill -9 "$relay"
    wait "$relay" || :
    count 4 5 | relay -i - -o file://in.ss/k
    relay -i in.ss -o stdio:///z --cursor c --no-follow | cut -d ']' -f 2 | cmp - <(seq -f ' n %.0f' 4 5)
}

@test "SIGTERM stops it in order, and two relays never share a cursor" {
    count 1 10 | relay -i - -o file://in.ss/k
    background one -i in.ss -o file://out.ss/k --offset start --cursor c
    until_ok test -s out.ss
    until_ok grep -q . .local/state/weir/relay/c
    fails 1 'used by another relay' relay -i in.ss -o stdio:///z --cursor c --no-follow
    stop "$relay"
    relay -i in.ss -o file://out.ss/k --offset start --cursor c --no-follow
    relay -i out.ss -o - --preserve --offset start --no-follow >all
    lines all 10
}

@test "a file that is full refuses whole messages" {
    run -1 --separate-stderr relay -i - -o file://small.ss/k --size-limit 1000 < <(count 1 100)
    [[ $stderr == *"File Limit Exceeded"* ]]
    [ "$(stat -c %s small.ss)" -le 1000 ]
    relay -i small.ss -o - --preserve --offset start --no-follow >out
    [ "$(wc -l <out)" -gt 10 ]
}

@test "S2 streams in both directions" {
    start
    export WEIR_ADDR=$store
    weir s2 create-basin test-basin --create-stream-on-append >/dev/null
    weir s2 create-stream s2://test-basin/empty >/dev/null
    printf '[2022-01-01T00:00:00.125 | k | 5 | 4] one\n[k] two\n' | relay -i - -o s2://test-basin/ --preserve
    relay -i s2://test-basin/k -o - --preserve --offset start --no-follow >out
    lines out 2
    grep -q '^\[2022-01-01T00:00:00.125 | k | 5 | 4\] one$' out
    weir s2 read s2://test-basin/k -s 0 -n 1 --format json | grep -q '"ss-shard","4"'
    relay -i s2://test-basin/empty -o stdio:///z --offset start --no-follow >none
    [ ! -s none ]
    # Another writer in between does not harm it.
    fails 1 'stream_not_found' relay -i s2://test-basin/k,other -o stdio:///z
    background tail -i s2://test-basin/k,other -o stdio:///z --make-stream
    until_ok weir s2 check-tail s2://test-basin/other
    mkfifo in
    exec 7<>in
    background writer -i - -o s2://test-basin/other <in
    printf 'n 1\n' >&7
    until_ok lines tail.out 1
    printf 'n 2\n' | weir s2 append s2://test-basin/other >/dev/null
    until_ok lines tail.out 2
    printf 'n 3\n' >&7
    until_ok lines tail.out 3
    weir s2 fence s2://test-basin/k '' tok >/dev/null 2>&1 || weir s2 fence s2://test-basin/k tok >/dev/null
    printf 'n 4\n' >&7
    until_ok lines tail.out 4
    cut -d ']' -f 2 tail.out | cmp - <(seq -f ' n %.0f' 1 4)
    exec 7>&-
    stop "${daemons[1]}"
}

@test "a store in both directions, by topics and names, with what the messages said" {
    start
    export WEIR_ADDR=$store
    printf '[2022-01-01T00:00:00.125 | 9a | 5 | 4] one\n[b] two\n[2022-01-01T00:00:00 | 9a]\n' | relay -i - -o weir:/// --preserve
    weir cat --stream 9a | grep -q '"ss-seq":"5","ss-shard":"4"'
    relay -i weir:///9a -o - --preserve --offset start --no-follow >out
    lines out 2
    grep -qx '\[2022-01-01T00:00:00.125 | 9a | 5 | 4\] one' out
    relay -i weir:///9a,b -o stdio:///z --offset start --no-follow | cut -d ']' -f 2 | cmp - <(printf ' one\n two\n')
    relay -i "$fixtures/payloads-2k.ss" -o weir:/// --preserve --offset start --no-follow
    relay -i "$fixtures/payloads-2k.ss" -o one.ss --preserve --offset start --no-follow
    relay -i weir:/// -o all.ss --preserve --offset start --no-follow
    weir decode one.ss --format exact | grep -v SEA_STREAMER >want
    weir decode all.ss --format exact | grep -F -f <(grep -o '"stream_key":"[^"]*"' want | sort -u) | cmp - want
    background live -i weir:///live -o stdio:///z --cursor live
    until_ok sh -c 'weir cursors | grep -q live'
    count 1 3 | relay -i - -o weir:///live
    until_ok lines live.out 3
}

@test "a store keeps the cursor with the messages" {
    start
    export WEIR_ADDR=$store
    count 1 100 | relay -i - -o file://in.ss/k
    relay -i in.ss -o weir:///k --offset start --no-follow --cursor mine --limit 40
    weir cursors | grep -q mine
    [ ! -e .local/state/weir/relay/mine ]
    relay -i in.ss -o weir:///k --offset start --no-follow --cursor mine
    relay -i in.ss -o weir:///k --offset start --no-follow --cursor mine
    relay -i weir:///k -o file://out.ss/k --offset start --no-follow --cursor back --limit 60
    relay -i weir:///k -o file://out.ss/k --offset start --no-follow --cursor back
    weir cursors | grep -q back
    relay -i out.ss -o - --preserve --offset start --no-follow >all
    cut -d ']' -f 2 all | cmp - <(seq -f ' n %.0f' 1 100)
}

@test "a cursor over S2 streams" {
    start
    export WEIR_ADDR=$store
    weir s2 create-basin test-basin --create-stream-on-append >/dev/null
    count 1 50 | relay -i - -o s2://test-basin/a
    count 51 60 | relay -i - -o s2://test-basin/b
    relay -i s2://test-basin/a,b -o file://out.ss/k --offset start --no-follow --cursor c --limit 20
    relay -i s2://test-basin/a,b -o file://out.ss/k --offset start --no-follow --cursor c
    relay -i out.ss -o - --preserve --offset start --no-follow | cut -d ']' -f 2 | sort -n -k 2 | cmp - <(seq -f ' n %.0f' 1 60)
    fails 1 'no place in these S2 streams' relay -i s2://test-basin/other -o stdio:///z --cursor c --no-follow
    # More than a record holds is refused by name.
    head -c 1100000 /dev/zero | tr '\0' x >large
    run -1 --separate-stderr relay -i - -o s2://test-basin/a <large
    [[ $stderr == *"a record holds 1 MiB"* ]]
}

@test "a message of a file that is damaged is told, skipped, and shows with --strict" {
    local file=$fixtures/flipped-payload.ss status=0
    weir relay -i "$file" -o - --preserve --offset start --no-follow >out 2>"$err"
    grep -q 'offset 416: checksum error' "$err"
    [ "$(wc -l <out)" -eq 39 ]
    weir relay -i "$file" -o - --preserve --offset start --no-follow --strict >out 2>"$err" || status=$?
    [ "$status" -eq 1 ]
    grep -q '1 bad message was skipped' "$err"
}

@test "what cannot be" {
    fails 2 'is needed' relay --output stdio:///k
    fails 2 'is needed' relay --input stdio:///
    fails 2 'must name one key' relay -i - -o stdio:///
    fails 2 'must name one key, not 2' relay -i - -o stdio:///a,b --preserve
    fails 2 'ending slash' relay -i stdio:// -o stdio:///k
    fails 2 "not \`middle'" relay -i - -o stdio:///k --offset middle
    fails 2 '--mode is realtime, resumable or balanced' relay -i - -o stdio:///k --mode x
    fails 2 '--share is I/N' relay -i - -o stdio:///k --share 3/3
    fails 2 '--rename needs --preserve' relay -i - -o stdio:///k --rename a=b
    fails 2 '--until cannot be used' relay -i - -o stdio:///k --mode balanced --until 2022-01-01T00:00:00
    fails 2 'unknown option' relay -i - -o stdio:///k --offst start
    fails 2 'number from 128' relay -i - -o file://x.ss/k --interval 100
    fails 1 'known are stdio, file, redis' relay -i foo://h/k -o stdio:///k
    fails 1 'kcat -C' relay -i kafka://h:9092/k -o stdio:///k
    fails 1 'kcat -P' relay -i - -o kafka://a:1,b:2/k
    fails 1 'iggy' relay -i iggy://h/k -o stdio:///k
    fails 1 'cannot be read again' relay -i - -o stdio:///k --cursor c
    fails 1 '--offset' relay -i - -o stdio:///k --offset 5
    fails 1 'no groups' relay -i s2://basin/s -o stdio:///k --mode balanced
    fails 1 'absent.ss' relay -i absent.ss -o file://made.ss/k --no-follow --offset start
    [ ! -e made.ss ]
    count 1 2 | relay -i - -o file://x.ss/k
    fails 1 'input and output are the same' relay -i x.ss -o file://x.ss/k
    ln x.ss y.ss
    fails 1 'input and output are the same' relay -i file://x.ss/k -o file://y.ss/k
}

@test "what a terminal sees, and help" {
    count 1 2000 | relay -i - -o file://x.ss/k
    on_terminal "HOME=$dir weir relay -i x.ss -o file://y.ss/k --offset start --no-follow"
    grep -q 'relay: 2,000 messages, .* in [0-9.]* s' typescript
    relay --help | grep -q '^usage: weir relay \[OPTION\]... --input URL --output URL'
    weir help relay | grep -q -- '--preserve'
    weir completion bash | grep -q -- '--end-mark'
    weir-relay --help | grep -q relay
    weir-relay --version | grep -q '^weir-relay '
}
