#!/usr/bin/env bats
# Reading streams as the S2 API does: one answer, events, sessions; limits, resuming, waiting; usage.

load setup

# s2 PATH [CURL-OPTION...]: a request to the store's own socket; what comes is printed.
s2() {
    local path=$1
    shift
    curl -sS --max-time 20 --unix-socket "$store/sock" "http://x/v1/$path" "$@"
}

# make STREAM [CONFIG]
make_stream() {
    s2 "streams/$1" -X PUT -H 'content-type: application/json' -d "${2:-{\}}" >/dev/null
}

# put STREAM RECORDS
put() {
    s2 "streams/$1/records" -H 'content-type: application/json' -d "{\"records\":$2}"
}

# get STREAM QUERY [CURL-OPTION...]
get() {
    s2 "streams/$1/records?$2" "${@:3}"
}

# status_of ...: as get, but the status alone.
status_of() {
    get "$@" -o /dev/null -w '%{http_code}'
}

# Sequence numbers of the records on standard input.
seqs() {
    grep -o '"seq_num":[0-9]*,"timestamp":[0-9]*' | cut -d : -f 2 | cut -d , -f 1 | paste -s -d ' '
}

five() {
    make_stream s
    put s '[{"body":"0","timestamp":10},{"body":"1","timestamp":20},{"body":"2","timestamp":20},{"body":"3","timestamp":30},{"body":"4","timestamp":40}]' >/dev/null
}

@test "a start by number, by offset, by time" {
    start
    five
    [ "$(get s seq_num=3 | seqs)" = '3 4' ]
    [ "$(get s tail_offset=2 | seqs)" = '3 4' ]
    [ "$(get s tail_offset=99 | seqs)" = '0 1 2 3 4' ]
    [ "$(get s timestamp=15 | seqs)" = '1 2 3 4' ]
    [ "$(get s timestamp=20 | seqs)" = '1 2 3 4' ]
    [ "$(get s timestamp=40 | seqs)" = '4' ]
    [ "$(get s 'seq_num=0&until=30' | seqs)" = '0 1 2' ]
    [ "$(get s 'seq_num=0' | head -c 60)" = '{"records":[{"seq_num":0,"timestamp":10,"body":"0"},{"seq_num' ] ||
        get s seq_num=0
}

@test "limits take whole records" {
    start
    five
    [ "$(get s 'seq_num=0&count=2' | seqs)" = '0 1' ]
    [ "$(get s 'seq_num=0&bytes=18' | seqs)" = '0 1' ]
    [ "$(get s 'seq_num=0&bytes=17' | seqs)" = '0' ]
    [ "$(get s 'seq_num=0&bytes=8')" = '{"records":[]}' ]
    [ "$(get s 'seq_num=0&count=0')" = '{"records":[]}' ]
    [ "$(get s 'seq_num=99&bytes=0')" = '{"records":[]}' ]
}

@test "what is not there yet is 416 with the tail" {
    start
    five
    local tail='{"tail":{"seq_num":5,"timestamp":40}}'
    [ "$(s2 streams/s/records/tail)" = "$tail" ]
    for query in seq_num=5 seq_num=6 seq_num=18446744073709551615 timestamp=41 tail_offset=0 'seq_num=9&clamp=true' '' 'seq_num=6&wait=1'; do
        [ "$(get s "$query")" = "$tail" ] || { echo "$query"; get s "$query"; return 1; }
        [ "$(status_of s "$query")" = 416 ]
    done
    [ "$(status_of s 'seq_num=5&count=1' -H 'accept: text/event-stream')" = 416 ]
    [ "$(status_of s 'seq_num=6' -H 'content-type: s2s/proto')" = 416 ]
}

@test "questions that are refused" {
    start
    five
    [ "$(status_of s 'seq_num=0&timestamp=0')" = 422 ]
    [ "$(status_of s 'timestamp=20&until=20')" = 422 ]
    [ "$(status_of s 'seq_num=abc')" = 400 ]
    [ "$(status_of s 'seq_num=-1')" = 400 ]
    [ "$(status_of s 'seq_num=18446744073709551616')" = 400 ]
    [ "$(status_of s 'clamp=maybe')" = 400 ]
    [ "$(status_of s 'seq_num=0' -H 's2-format: hex')" = 400 ]
    [ "$(status_of s 'seq_num=0' -H 'accept: text/event-stream' -H 'last-event-id: 1,2')" = 400 ]
    [ "$(status_of none 'seq_num=0')" = 404 ]
    get s 'seq_num=abc' | grep -q '"code":"bad_query"'
    get s 'seq_num=0&tail_offset=1' | grep -q '"code":"invalid"'
}

@test "base64, protobuf and compressed answers" {
    start
    make_stream s
    s2 streams/s/records -H 'content-type: application/json' -H 's2-format: base64' -d '{"records":[{"headers":[["/w==","AA=="]],"body":"AP8="}]}' >/dev/null
    get s seq_num=0 -H 's2-format: base64' | grep -q '"headers":\[\["/w==","AA=="\]\],"body":"AP8="'
    get s seq_num=0 -H 'accept: application/protobuf' | od -An -tx1 | tr -d ' \n' | grep -q '1a060a01ff12010022''0200ff'
    put s "[{\"body\":\"$(printf 'z%.0s' {1..5000})\"}]" >/dev/null
    get s seq_num=1 -H 'accept-encoding: gzip' | gzip -d | grep -q zzzz
}

@test "events: batches with ids, an end, and going on from an id" {
    start
    five
    get s 'seq_num=0&count=3' -H 'accept: text/event-stream' >events
    grep -qx 'event: batch' events
    grep -qx 'id: 2,3,27' events
    [ "$(tail -n 2 events | head -n 1)" = 'data: [DONE]' ]
    get s 'seq_num=0&count=5' -H 'accept: text/event-stream' -H 'last-event-id: 2,3,27' >events
    grep -qx 'id: 4,5,45' events
    [ "$(seqs <events)" = '3 4' ]
    get s 'seq_num=0&count=3' -H 'accept: text/event-stream' -H 'last-event-id: 2,3,27' >events
    [ "$(cat events)" = 'data: [DONE]' ]
    get s 'seq_num=0&bytes=30' -H 'accept: text/event-stream' -H 'last-event-id: 2,3,27' >events
    lacks 'event: batch' events
}

@test "events at the tail: a ping, then what is appended" {
    start
    five
    curl -sSN --max-time 20 --unix-socket "$store/sock" "http://x/v1/streams/s/records" -H 'accept: text/event-stream' >events &
    local reader=$!
    until_ok grep -q '"tail":{"seq_num":5,"timestamp":40}' events
    grep -qx 'event: ping' events
    put s '[{"body":"new"}]' >/dev/null
    until_ok grep -q '"body":"new"}\],"tail":{"seq_num":6' events
    grep -qx 'id: 5,1,11' events
    s2 streams/s -X DELETE
    until_ok grep -qx 'event: error' events
    grep -q '"code":"unavailable"' events
    wait "$reader"
    lacks DONE events
}

followed() {
    s2 ../status | grep -q '"followers":1'
}

@test "a unary read waits for the first batch, or in vain" {
    start
    five
    [ "$(get s 'wait=1')" = '{"records":[]}' ]
    get s 'seq_num=5&wait=15' >answer &
    local reader=$!
    until_ok followed
    put s '[{"body":"w"}]' >/dev/null
    wait "$reader"
    grep -q '"body":"w"}\],"tail":{"seq_num":' answer
    [ "$(get s 'seq_num=0&wait=15' | seqs)" = '0 1 2 3 4 5' ] # what is there is given at once
}

@test "reading makes a stream where the basin does so, but not for a bad question" {
    start "$store" --expose 127.0.0.1:0
    s2 basins -H 'content-type: application/json' -d '{"basin":"auto-basin","config":{"create_stream_on_read":true}}' >/dev/null
    [ "$(status_of bad 'seq_num=0&timestamp=0' -H 's2-basin: auto-basin')" = 422 ]
    [ "$(s2 streams/bad -H 's2-basin: auto-basin' -o /dev/null -w '%{http_code}')" = 404 ]
    [ "$(status_of good 'seq_num=0' -H 's2-basin: auto-basin')" = 416 ]
    [ "$(s2 streams/good -H 's2-basin: auto-basin' -o /dev/null -w '%{http_code}')" = 200 ]
    [ "$(s2 streams/other/records/tail -H 's2-basin: auto-basin')" = '{"tail":{"seq_num":0,"timestamp":0}}' ]
}

@test "records are read with the key they were written with" {
    start
    local key other basin='s2-basin: sealed-basin'
    key="s2-encryption-key: $(head -c 32 /dev/zero | base64)"
    other="s2-encryption-key: $(head -c 32 /dev/zero | tr '\0' 'x' | base64)"
    s2 basins -H 'content-type: application/json' -d '{"basin":"sealed-basin","config":{"stream_cipher":"aes-256-gcm"}}' >/dev/null
    s2 streams -H "$basin" -H 'content-type: application/json' -d '{"stream":"s"}' >/dev/null
    s2 streams/s/records -H "$basin" -H "$key" -H 'content-type: application/json' -d '{"records":[{"headers":[["a","b"]],"body":"secret"}]}' >/dev/null
    get s seq_num=0 -H "$basin" -H "$key" | grep -q '"headers":\[\["a","b"\]\],"body":"secret"'
    [ "$(get s 'seq_num=0&bytes=15' -H "$basin" -H "$key")" = '{"records":[]}' ] # metered as it is plain: 18
    [ "$(status_of s seq_num=0 -H "$basin")" = 400 ]
    get s seq_num=0 -H "$basin" -H "$other" | grep -q '"code":"decryption_failed"'
    [ "$(status_of s seq_num=0 -H "$basin" -H "$other" -H 'accept: text/event-stream')" = 400 ]
    [ "$(s2 streams/s/records/tail -H "$basin" | cut -c 1-20)" = '{"tail":{"seq_num":1' ]
}

@test "usage, and histograms beside our own figures" {
    start
    five
    get s seq_num=0 >/dev/null
    local now start end
    now=$(date +%s) start=$((now - 60)) end=$((now + 30))
    s2 ../metrics >metrics
    grep -q '^s2_append_ack_latency_seconds_bucket{le="+Inf"} 1$' metrics
    grep -q '^s2_append_batch_records_bucket{le="1"} 0$' metrics
    grep -q '^s2_append_batch_records_bucket{le="10"} 1$' metrics
    grep -q '^s2_append_batch_records_sum 5$' metrics
    grep -q '^s2_append_batch_bytes_sum 45$' metrics
    grep -q '^s2_append_permit_latency_seconds_count' metrics
    grep -q '^weir_frames ' metrics
    s2 "metrics/weir-root?set=append-throughput&start=$start&end=$end" | grep -q '"unit":"bytes","interval":"minute","values":\[\[[0-9]*,45.0\]\]'
    s2 "metrics/weir-root?set=read-ops&start=$start&end=$end&interval=day" | grep -q '"name":"unary","unit":"operations","interval":"day","values":\[\[[0-9]*,1.0\]\]'
    s2 streams/s/records/tail >/dev/null
    s2 "metrics/weir-root?set=basin-ops&start=$start&end=$end" | grep -q '"name":"check-tail"'
    s2 basins >/dev/null
    s2 "metrics?set=account-ops&start=$start&end=$end" | grep -q '"name":"list-basins","unit":"operations","interval":"hour","values":\[\[[0-9]*,1.0\]\]'
    s2 "metrics/weir-root?set=nope&start=$start&end=$end" | grep -q 'but storage, append-ops,.*basin-ops"'
    s2 "metrics/weir-root/s?start=$start&end=$end" | grep -q 'set is missing: one of storage"'
    s2 "metrics?set=active-basins&start=$start&end=$end" | grep -q '{"values":\[{"label":{"name":"active-basins","values":\["weir-root"\]}}\]}'
    s2 "metrics/weir-root/s?set=storage&start=$start&end=$end" | grep -q '"gauge":{"name":"storage","unit":"bytes","values":\[\[[0-9]*,[1-9][0-9]*.0\]\]'
    for query in "set=append-ops" "set=append-ops&start=$end&end=$start" "set=append-ops&start=0&end=$end" "set=append-ops&start=$now&end=$((now + 9000))"; do
        [ "$(s2 "metrics/weir-root?$query" -o /dev/null -w '%{http_code}')" = 422 ]
    done
    for query in "start=$start&end=$end" "set=nothing&start=$start&end=$end" "set=append-ops&start=x&end=$end" "set=append-ops&start=$start&end=$end&interval=week"; do
        [ "$(s2 "metrics/weir-root?$query" -o /dev/null -w '%{http_code}')" = 400 ]
    done
    [ "$(s2 "metrics/none-such-basin?set=append-ops&start=$start&end=$end" -o /dev/null -w '%{http_code}')" = 404 ]
}

@test "a token that is revoked ends the events it was used for, at the next batch" {
    start "$store" --expose 127.0.0.1:0
    until_ok grep -q listening= s.log
    local port token
    port=$(sed -n 's/.*listening=.*:\([0-9]*\)$/\1/p' s.log)
    five
    token=$(s2 access-tokens -H 'content-type: application/json' -d '{"id":"reader","scope":{"basins":{"prefix":""},"streams":{"prefix":""},"ops":["read"]}}' |
        sed 's/.*"access_token":"\([^"]*\)".*/\1/')
    curl -sSN --max-time 20 "http://127.0.0.1:$port/v1/streams/s/records?seq_num=4" -H 'accept: text/event-stream' \
        -H 's2-basin: weir-root' -H "authorization: Bearer $token" >events &
    local reader=$!
    until_ok grep -qx 'event: ping' events
    put s '[{"body":"seen"}]' >/dev/null
    until_ok grep -q seen events
    s2 access-tokens/reader -X DELETE
    put s '[{"body":"hidden"}]' >/dev/null
    until_ok grep -qx 'event: error' events
    wait "$reader"
    grep -q '"code":"authn"' events
    lacks hidden events
    [ "$(curl -sS "http://127.0.0.1:$port/v1/streams/s/records?seq_num=4" -H 's2-basin: weir-root' -H "authorization: Bearer $token" -o /dev/null -w '%{http_code}')" = 401 ]
}
