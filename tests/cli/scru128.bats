#!/usr/bin/env bats
# Ids, without a daemon.

load setup

@test "new ids: 25 digits, all different, rising" {
    for _ in 1 2 3 4 5; do weir scru128; sleep 0.002; done >ids
    run ! grep -qv '^[0-9a-z]\{25\}$' ids
    sort -u ids | cmp - ids
}

@test "unpack prints the fields" {
    run -0 weir scru128 unpack 03amo4vrpq0xs2alqicv0426b
    [ "${lines[1]}" = '  "ts_ms": 1700000000000,' ]
    [ "${lines[2]}" = '  "counter_hi": 1,' ]
    [ "${lines[3]}" = '  "counter_lo": 2,' ]
    [ "${lines[4]}" = '  "node": "00000003"' ]
}

@test "unpack and pack are each other's reverse" {
    for id in 0000000000000000000000000 f5lxx1zz5pnorynqglhzmsp33 03d4q1qhbiv09ovtuhokw5yxv \
        03gmmrhqljv8bnulus79wipck 03gmmrhqzjzlbz75e1r8fyvmt 03gmmrhsh0x17va0knqvbhly6; do
        [ "$(weir scru128 unpack $id | weir scru128 pack)" = "$id" ]
    done
}

@test "upper case and standard input are understood" {
    [ "$(weir scru128 unpack 03D4Q1QHBIV09OVTUHOKW5YXV | weir scru128 pack)" = 03d4q1qhbiv09ovtuhokw5yxv ]
    [ "$(echo '  03d4q1qhbiv09ovtuhokw5yxv ' | weir scru128 unpack - | weir scru128 pack)" = 03d4q1qhbiv09ovtuhokw5yxv ]
}

@test "malformed ids" {
    for id in '' 03amo4vrpq0xs2alqicv0426 03amo4vrpq0xs2alqicv0426b0 03amo4vrpq0xs2alqicv0426_ \
        zzzzzzzzzzzzzzzzzzzzzzzzz f5lxx1zz5pnorynqglhzmsp34; do
        fails 1 "weir scru128:" weir scru128 unpack "$id"
    done
}

@test "pack names what is wrong" {
    pack() { fails 1 "$2" bash -c 'printf %s "$1" | weir scru128 pack' - "$1"; }
    pack '' 'weir scru128:'
    pack '[]' 'an object is needed'
    pack '{"ts_ms":1,"counter_hi":1,"counter_lo":1}' 'node is missing'
    pack '{"ts_ms":281474976710656,"counter_hi":1,"counter_lo":1,"node":"00000001"}' 'ts_ms must be'
    pack '{"ts_ms":1,"counter_hi":16777216,"counter_lo":1,"node":"00000001"}' 'counter_hi must be'
    pack '{"ts_ms":1,"counter_hi":1,"counter_lo":-1,"node":"00000001"}' 'counter_lo must be'
    pack '{"ts_ms":1,"counter_hi":1,"counter_lo":1,"node":"0000000g"}' 'node must be'
    pack '{"ts_ms":1.5,"counter_hi":1,"counter_lo":1,"node":"00000001"}' 'ts_ms must be'
}

@test "unknown words are usage faults" {
    fails 2 "unknown operand" weir scru128 frob
    fails 2 "unpack needs one ID" weir scru128 unpack
}
