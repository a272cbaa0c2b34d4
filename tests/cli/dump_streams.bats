#!/usr/bin/env bats
# Streams in our own dump: seqs, timestamps, headers, settings, tokens and trim points come back as they were.

load setup

# s2 STORE METHOD PATH [CURL-OPTION...]
s2() {
    local at=$1 method=$2 path=$3
    shift 3
    curl -s --unix-socket "$at/sock" -X "$method" -H 'content-type: application/json' "http://localhost/v1$path" "$@"
}

# put STREAM JSON: an append.
put() {
    s2 "$store" POST "/streams/$1/records" -H 's2-format: base64' --data-binary "$2" >"$dir/out"
}

export_to() {
    curl -s --unix-socket "$1/sock" http://localhost/export >"$2"
}

import_from() {
    curl -s --unix-socket "$1/sock" -H 'content-type: application/x-weir-dump' --data-binary "@$2" http://localhost/import
}

# What the S2 API tells of a stream of a store.
tale() {
    local at=$1 stream=$2
    s2 "$at" GET "/streams/$stream"
    s2 "$at" GET "/streams/$stream/records/tail"
    s2 "$at" GET "/streams/$stream/records?seq_num=0&clamp=true&count=1000" -H 's2-format: base64'
    s2 "$at" POST "/streams/$stream/records" --data-binary '{"records":[{}],"fencing_token":"nobody"}'
    s2 "$at" GET "/streams?prefix=$stream" | grep -o '"created_at":"[^"]*"'
}

@test "a store of streams comes back exactly" {
    start
    s2 "$store" PUT /streams/a%2Fb%20c -d '{"retention_policy":{"age":86400},"timestamping":{"mode":"client-require","uncapped":true},"storage_class":"standard","delete_on_empty":{"min_age_secs":99999}}' >"$dir/out"
    s2 "$store" PUT /streams/empty -d '{}' >"$dir/out"
    s2 "$store" PUT /streams/gone -d '{}' >"$dir/out"
    put a%2Fb%20c '{"records":[{"timestamp":10,"body":"AP8=","headers":[["YQ==","/w=="],["YQ==",""]]},{"timestamp":20},{"timestamp":9000000000000,"body":"eA=="}]}'
    put a%2Fb%20c '{"records":[{"timestamp":1,"headers":[["","ZmVuY2U="]],"body":"dG9r"},{"timestamp":2,"headers":[["","dHJpbQ=="]],"body":"AAAAAAAAAAE="}]}'
    put gone '{"records":[{},{},{"headers":[["","dHJpbQ=="]],"body":"AAAAAAAAAGQ="}]}'
    head -c 1000000 /dev/urandom | base64 -w0 >"$dir/large64"
    { printf '{"records":[{"timestamp":9000000000001,"body":"'; cat "$dir/large64"; printf '"}]}'; } >"$dir/large"
    put a%2Fb%20c "@$dir/large"
    weir append "$store" plain --content text --meta '{"k":1}' >"$dir/out"
    add plain >"$dir/id"
    weir remove "$store" "$(cat "$dir/id")"
    export_to "$store" "$dir/dump"
    start "$dir/t"
    run -0 import_from "$dir/t" "$dir/dump"
    [[ $output == '{"frames":'* ]]
    for way in now again later; do
        for stream in a%2Fb%20c empty gone plain; do
            tale "$store" "$stream" >"$dir/want"
            tale "$dir/t" "$stream" >"$dir/got"
            diff "$dir/want" "$dir/got"
        done
        weir cat "$store" --stream plain --with-seq | diff - <(weir cat "$dir/t" --stream plain --with-seq)
        [ "$way" != again ] || import_from "$dir/t" "$dir/dump" >"$dir/out"
    done
    stop
    run -0 weird --verify "$dir/t"
}

@test "what is left of a dropped stream is not in a dump" {
    start
    s2 "$store" PUT /streams/s -d '{}' >"$dir/out"
    put s '{"records":[{"body":"b2xk"}]}'
    s2 "$store" DELETE /streams/s
    s2 "$store" PUT /streams/s -d '{}' >"$dir/out"
    export_to "$store" "$dir/dump"
    lacks old <"$dir/dump"
    start "$dir/t"
    import_from "$dir/t" "$dir/dump" >"$dir/out"
    run -0 s2 "$dir/t" GET /streams/s/records/tail
    [ "$output" = '{"tail":{"seq_num":0,"timestamp":0}}' ]
}
