#!/usr/bin/env bats
# TLS on exposed addresses: certificates given and made, both versions of HTTP, who may come from beyond.

load setup

# secure [OPTION...]: a daemon with TLS on a free port; $url, $ca and $port.
secure() {
    start "$store" --expose 127.0.0.1:0 --tls-self "$@"
    find_port
    ca=$store/tls/certificate.pem
}

find_port() {
    until_ok grep -q listening=127.0.0.1 "$store.log"
    port=$(grep -o 'listening=127.0.0.1:[0-9]*' "$store.log" | head -n 1 | grep -o '[0-9]*$')
    url=https://127.0.0.1:$port
}

fetch() {
    curl -sS --max-time 20 --cacert "$ca" "$@"
}

# own NAME: a key and a certificate of the test's, NAME.key and NAME.pem.
own() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout "$1.key" -out "$1.pem" -days 2 \
        -subj /CN=test -addext 'subjectAltName=DNS:weir.test,IP:127.0.0.1' 2>/dev/null
}

@test "a certificate of our own making: both versions, by name and by address" {
    secure --host weir.test
    [ "$(fetch --http1.1 -w ' %{http_version}' "$url/version")" = "$(curl -sS --unix-socket "$store/sock" http://l/version) 1.1" ]
    [ "$(fetch --http2 -o /dev/null -w '%{http_version}' "$url/version")" = 2 ]
    [ "$(fetch -o /dev/null -w '%{http_version}' "https://localhost:$port/version")" = 2 ]
    fetch --resolve "weir.test:$port:127.0.0.1" "https://weir.test:$port/version"
    fetch -d hello "$url/append/note" | grep -q '"topic":"note"'
    [ "$(weir cat "$store" -T note --json | wc -l)" = 1 ]
    run curl -sS --max-time 20 "$url/version" # nobody has to trust it
    [ "$status" = 60 ]
    run curl -sS --max-time 20 "http://127.0.0.1:$port/version" # there is nothing without TLS
    [ "$status" -ne 0 ]
    curl -sS --unix-socket "$store/sock" http://l/version
}

@test "it is made once, for the owner alone, and its fingerprint is logged" {
    secure
    before=$(sha256sum "$ca" "$store/tls/key.pem")
    [ "$(stat -c %a "$store/tls" "$ca" "$store/tls/key.pem" | paste -s -d ' ')" = '700 600 600' ]
    print=$(openssl x509 -in "$ca" -noout -fingerprint -sha256 | cut -d = -f 2)
    grep -q "tls certificate=tls/certificate.pem sha256=$print" "$store.log"
    stop
    secure
    [ "$(sha256sum "$ca" "$store/tls/key.pem")" = "$before" ]
}

@test "a certificate of the user's" {
    own good
    start "$store" --expose 127.0.0.1:0 --tls-cert good.pem --tls-key good.key
    find_port
    ca=$dir/good.pem
    fetch "$url/version"
    fetch --resolve "weir.test:$port:127.0.0.1" "https://weir.test:$port/version" # Host is the certificate's
}

@test "large contents both ways, byte by byte" {
    secure
    head -c 20000000 /dev/urandom >large
    digest=sha256-$(openssl dgst -sha256 -binary large | base64)
    for version in 1.1 2; do
        fetch "--http$version" -X POST -T large "$url/append/large" | grep -qF "$digest"
        fetch "--http$version" "$url/cas/$digest" | cmp - large
    done
}

@test "a follow over TLS, to the daemon's end" {
    secure
    for version in 1.1 2; do
        fetch -N "--http$version" "$url/?follow" >"followed.$version" &
        follows+=("$!")
    done
    for version in 1.1 2; do until_ok grep -q xs.threshold "followed.$version"; done
    add note
    for version in 1.1 2; do until_ok grep -q '"topic":"note"' "followed.$version"; done
    stop
    for pid in "${follows[@]}"; do wait "$pid"; done
}

@test "pages: an origin of this address with https is ours" {
    secure
    [ "$(fetch -o /dev/null -w '%{http_code}' -H "Origin: $url" "$url/version")" = 200 ]
    [ "$(fetch -o /dev/null -w '%{http_code}' -H 'Origin: https://evil.example' "$url/version")" = 403 ]
}

@test "what is no certificate, or not its key, ends the start" {
    own one
    own two
    refused() { fails "$@"; }
    refused 1 'does not belong to the certificate' weird "$store" --expose 127.0.0.1:0 --tls-cert one.pem --tls-key two.key
    refused 1 'holds no private key' weird "$store" --expose 127.0.0.1:0 --tls-cert one.pem --tls-key one.pem
    refused 1 'holds no certificate' weird "$store" --expose 127.0.0.1:0 --tls-cert one.key --tls-key one.key
    refused 1 'read none.pem: No such file' weird "$store" --expose 127.0.0.1:0 --tls-cert none.pem --tls-key one.key
    refused 2 'belong together' weird "$store" --tls-cert one.pem
    refused 2 'belong together' weird "$store" --tls-key one.key
    refused 2 'no use for --tls-cert' weird "$store" --tls-cert one.pem --tls-key one.key --tls-self
    refused 2 '--plain is for a daemon without TLS' weird "$store" --plain --tls-self
}

@test "beyond loopback: with TLS or --plain, and for tokens alone" {
    fails 1 'give --tls-cert FILE and --tls-key FILE, or --tls-self, or --plain' weird "$store" --expose 0.0.0.0:0
    start "$store" --expose 0.0.0.0:0 --tls-self
    until_ok grep -q 'listening=0.0.0.0' "$store.log"
    port=$(grep -o 'listening=0.0.0.0:[0-9]*' "$store.log" | head -n 1 | grep -o '[0-9]*$')
    ca=$store/tls/certificate.pem
    [ "$(fetch -o /dev/null -w '%{http_code}' "https://127.0.0.1:$port/")" = 401 ]
    stop
    start "$store" --expose 0.0.0.0:0 --plain
    until_ok grep -q 'listening=0.0.0.0' "$store.log"
    port=$(grep -o 'listening=0.0.0.0:[0-9]*' "$store.log" | head -n 1 | grep -o '[0-9]*$')
    [ "$(curl -sS -o /dev/null -w '%{http_code}' --max-time 20 "http://127.0.0.1:$port/")" = 401 ]
}
