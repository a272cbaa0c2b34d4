#!/usr/bin/env bats
# Marks (durable cursors) in our own dump: imported, kept over a restart, exported again as they were.

load setup.bash

# A dump of one frame and two marks, `group/sample` with config and acknowledged ids, and `plain`.
marked_dump() {
    base64 -d <<'END'
d2VpcmR1bXAAAAACAAAAAAECAwAAAAAAAAAAAAAAAABGAAAAdQQAAAABi8/laAAATQECAwQFBgcIAAAAAAAAAAAAAAAAAAAAAAAA
AAAAAAAAAAABi8/laAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAABwAKAABvcmRlcnMubmV3eyJu
IjoxfU0AAABXAAwAAAAVAYvP5WgAAE0BAgMEBQYHCGdyb3VwL3NhbXBsZXsidG9waWNzIjoib3JkZXJzLioifQGLz+VoAABNCQAA
AAAAAAABi8/laAAAUgAAAAAAAAABTQAAABsABQAAAAABi8/laAAATQECAwQFBgcIcGxhaW5FAAAAGAAAAAAAAAABAAAAAAAAAACM
eqtk1aszyg==

END
}

import_marked() {
    marked_dump | curl -s --unix-socket "$1/sock" -H 'Content-Type: application/x-weir-dump' --data-binary @- http://weir/import
}

# The marks of an export, in hexadecimal: all from the first on, without the end, which has a checksum.
marks_of() {
    curl -s --unix-socket "$1/sock" "http://weir/export$2" | od -An -v -tx1 | tr -d ' \n' |
        grep -o '4d0000....000c.*' | head -c -58
}

@test "marks are imported, survive a restart and are exported as they were" {
    start
    run -0 import_marked "$store"
    [[ $output == *'"frames":1,'*'"marks":2,'* ]]
    marked_dump | od -An -v -tx1 | tr -d ' \n' | grep -o '4d0000....000c.*' | head -c -58 >want
    marks_of "$store" >got
    [ -s want ] && cmp want got
    stop
    start
    marks_of "$store" >got
    cmp want got
    run -0 import_marked "$store"
    [[ $output == *'"existing":1,"marks":2,'* ]]
    marks_of "$store" >got
    cmp want got
    stop
    weird --verify "$store" | grep -q " 0 faults"
}

@test "a part of a store is exported without marks" {
    start
    import_marked "$store"
    curl -s --unix-socket "$store/sock" 'http://weir/export?topic=orders.*' >part
    [ "$(head -c 12 part | od -An -tx1 | tr -d ' \n')" = 7765697264756d7000000003 ]
    lacks group/sample part
    start "$dir/other"
    run -0 curl -s --unix-socket "$dir/other/sock" -H 'Content-Type: application/x-weir-dump' --data-binary @part http://weir/import
    [[ $output == '{"frames":1,"existing":0,"first"'* ]]
}

@test "a dump with marks whose checksum does not fit sets none" {
    start
    { marked_dump | head -c -1 && printf '\252'; } >dump
    run -0 curl -s --unix-socket "$store/sock" -H 'Content-Type: application/x-weir-dump' --data-binary @dump http://weir/import
    [[ $output == *'"error":"invalid"'*'"committed":1'* ]]
    curl -s --unix-socket "$store/sock" http://weir/export >whole
    lacks group/sample whole
}

@test "a dump with marks comes in over the socket alone" {
    start "$store" --expose 127.0.0.1:0
    port=$(weir last "$store" xs.start --json | grep -o '127.0.0.1:[0-9]*')
    marked_dump >dump
    run -0 curl -s -w '%{http_code}' "http://$port/import" -H 'Content-Type: application/x-weir-dump' --data-binary @dump
    [[ $output == *'"error":"forbidden"'*403 ]]
    curl -s --unix-socket "$store/sock" http://weir/export >whole
    lacks group/sample whole
}
