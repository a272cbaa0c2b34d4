#!/usr/bin/env bats
# weir export and import.

load setup

# A store with small, large, shared and absent contents.
fill() {
    start
    for k in 1 2 3 4 5; do
        weir append "$store" "t$((k % 2))" --content "content $((k % 3))" --meta "{\"k\":$k,\"u\":\"ü\"}" >/dev/null
    done
    add plain --ttl last:5 >/dev/null
    head -c 1500000 /dev/urandom >large
    weir append "$store" big <large >/dev/null
    weir cat "$store" >before
}

# The frames and contents of $1 are all in $2.
same_store() {
    weir cat "$1" | grep -vxFf <(weir cat "$2") && return 1
    local hash
    for hash in $(weir cat "$1" | grep -o 'sha256-[^"]*' | sort -u); do
        cmp <(weir cas "$1" "$hash") <(weir cas "$2" "$hash") || return 1
    done
}

@test "one file: a round trip restores every frame and content" {
    fill
    weir export "$store" all.weir
    [ "$(stat -c %a all.weir)" = 600 ]
    start "$dir/b"
    weir import "$dir/b" all.weir | grep -q '"frames":8'
    same_store "$store" "$dir/b"
    weir import "$dir/b" all.weir | grep -q '"existing":8'
}

@test "one file: by pipe" {
    fill
    start "$dir/b"
    weir export "$store" - | weir import "$dir/b" | grep -q '"frames":8'
    same_store "$store" "$dir/b"
}

@test "a directory: the form is the peer's, and a round trip restores all" {
    fill
    weir export "$store" --format xs dump
    cmp dump/frames.jsonl before
    [ "$(ls dump | paste -s -d ' ')" = "cas frames.jsonl" ]
    for file in dump/cas/*; do
        hash=$(basename "$file" | base64 -d)
        [ "sha256-$(openssl dgst -sha256 -binary "$file" | base64)" = "$hash" ]
    done
    [ "$(ls dump/cas | wc -l)" -eq 4 ]
    start "$dir/b"
    weir import "$dir/b" dump | grep -q '"frames":8'
    same_store "$store" "$dir/b"
    weir import "$dir/b" dump | grep -q '"existing":8'
}

@test "a directory: contents that no frame names are taken along" {
    start
    mkdir -p dump/cas
    : >dump/frames.jsonl
    hash=sha256-LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=
    printf hello >"dump/cas/$(printf %s $hash | base64 -w 0)"
    weir import "$store" dump
    [ "$(weir cas "$store" $hash)" = hello ]
}

@test "a directory with a forged content or a foreign name is refused" {
    fill
    weir export "$store" --format xs dump
    start "$dir/b"
    for file in dump/cas/*; do
        cp "$file" saved
        printf x >>"$file"
        fails 1 "weir import:" weir import "$dir/b" dump
        mv saved "$file"
    done
    printf x >dump/cas/name
    fails 1 "cas/name" weir import "$dir/b" dump
}

@test "a directory with a content missing: refused, or allowed" {
    fill
    weir export "$store" --format xs dump
    rm dump/cas/*
    start "$dir/b"
    fails 1 "weir import:" weir import "$dir/b" dump
    weir import "$dir/b" dump --allow-missing | grep -q '"frames":8'
    weir cat "$dir/b" | grep -xFf before | cmp - before
}

@test "export keeps off what exists, and leaves nothing behind when it fails" {
    fill
    echo mine >all.weir
    fails 1 "exists already" weir export "$store" all.weir
    [ "$(cat all.weir)" = mine ]
    mkdir dump
    fails 1 "exists already" weir export "$store" --format xs dump
    fails 1 "no/such" weir export "$store" no/such/file
    ls -A >names
    stop
    fails 1 "no daemon" weir export "$store" other.weir
    fails 1 "no daemon" weir export "$store" --format xs other
    ls -A | cmp - names
}

@test "export of a part" {
    fill
    weir export "$store" --format xs dump -T t0
    [ "$(topics_of <dump/frames.jsonl)" = "t0 t0" ]
    id=$(sed -n 7p before | id_of)
    weir export "$store" --format xs rest --after "$id"
    [ "$(topics_of <rest/frames.jsonl)" = big ]
    weir export "$store" part.weir -T big
    start "$dir/b"
    weir import "$dir/b" part.weir | grep -q '"frames":1'
    fails 2 "neither weir nor xs" weir export "$store" --format tar x
    fails 2 "usage: weir export" weir export "$store" x -T 'a*'
    fails 2 "usage: weir export" weir export
}

@test "import of a frame prints it, also when it is spread over lines" {
    start
    id=03bcpn2dnq529qrqkbqcz4jv4
    want="{\"topic\":\"test\",\"id\":\"$id\",\"hash\":null,\"meta\":null,\"ttl\":null}"
    [ "$(echo "{\"topic\":\"test\",\"id\":\"$id\"}" | weir import "$store")" = "$want" ]
    [ "$(printf '{\n"topic":"test",\n"id":"%s"}' $id | weir import "$store")" = "$want" ]
    [ "$(weir get "$store" $id)" = "$want" ]
}

@test "import of lines" {
    start
    printf '%s\n' '{"topic":"a","id":"03bcpn2dnq529qrqkbqcz4jv4"}' \
        '{"topic":"b","id":"03bcpn2dnq529qrqkbqcz4jv5","content_base64":"aGVsbG8="}' >lines
    weir import "$store" lines | grep -q '"frames":2'
    weir import "$store" <lines | grep -q '"existing":2'
    [ "$(weir cas "$store" sha256-LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=)" = hello ]
    echo '{"topic":"c","id":"123"}' >>lines
    fails 1 "line 3:" weir import "$store" lines
}

@test "import: nothing, nonsense, frames without content" {
    start
    fails 1 "nothing to import" weir import "$store"
    for text in '{}' '[]' x '{"topic":"t","id":"123"}' '{"topic":"t"'; do
        fails 1 "weir import:" bash -c 'printf %s "$1" | weir import "$2"' - "$text" "$store"
    done
    frame='{"topic":"t","id":"03bcpn2dnq529qrqkbqcz4jv4","hash":"sha256-LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ="}'
    fails 1 "weir import:" bash -c 'echo "$1" | weir import "$2"' - "$frame" "$store"
    echo "$frame" | weir import "$store" --allow-missing | grep -q '"topic":"t"'
    [ "$(weir cat "$store" | topics_of)" = t ]
}

@test "import of a cut or changed dump says so, and what was stored" {
    fill
    weir export "$store" whole
    head -c 1000 whole >"cut"
    { head -c 40 whole && printf '\377\377\377\377' && tail -c +45 whole; } >changed
    start "$dir/other"
    fails 1 "before it w" weir import "$dir/other" "cut"
    fails 1 "before it w" weir import "$dir/other" changed
    # What was stored is whole.
    for hash in $(weir cat "$dir/other" | grep -o 'sha256-[^"]*' | sort -u); do
        cmp <(weir cas "$store" "$hash") <(weir cas "$dir/other" "$hash")
    done
    weir import "$dir/other" whole
    same_store "$store" "$dir/other"
}

@test "a lone operand is what to import when it is a dump, else the store" {
    fill
    weir export "$store" --format xs ./dump
    weir export "$store" ./all.weir
    start "$dir/b"
    export WEIR_ADDR=$dir/b
    weir import ./dump | grep -q '"frames":8'
    weir import ./all.weir | grep -q '"existing":8'
    weir import --addr "$store" ./dump | grep -q '"existing":8'
    weir import "$store" <before | grep -q '"existing":8'
    weir export ./again.weir
    [ -s again.weir ]
}
