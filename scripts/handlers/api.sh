#!/bin/sh
# A JSON API over one topic, served through frames.
#
#   weir serve ./store --http :8080
#   weir append ./store xs.actor.api.create --meta '{"topics":"http.request","mode":"each","env":{"API_TOPIC":"notes"}}' \
#       <scripts/handlers/api.sh
#
#   GET    /api/notes         the newest 100 frames, a JSON array; ?last=N for another number
#   POST   /api/notes         appends the body; 201 and the frame
#   GET    /api/notes/ID      the frame
#   GET    /api/notes/ID/content
#   DELETE /api/notes/ID      204
#
# Other paths are left to other handlers. In mode "each" this runs once for each request: its body is standard input, its frame is
# in WEIR_FRAME_ID and WEIR_META. WEIR_ADDR says where the store is, so `weir` needs no address.
set -eu
topic=${API_TOPIC:-notes}

# Quotes inside of a string have a backslash before them, and the query is the only object behind the path: so a client's own
# headers and parameters cannot be taken for these.
method=$(printf '%s' "$WEIR_META" | sed -n 's/^{"proto":"[^"]*","method":"\([A-Za-z]*\)".*/\1/p')
path=$(printf '%s' "$WEIR_META" | sed -n 's/.*","path":"\([^"]*\)","query":{.*/\1/p')
last=$(printf '%s' "$WEIR_META" | sed -n 's/.*","query":{.*"last":"\([0-9]\{1,4\}\)".*/\1/p')

# respond STATUS [TYPE]: the answer's content is standard input.
respond() {
    weir append http.response --ttl ephemeral >/dev/null \
        --meta "{\"request_id\":\"$WEIR_FRAME_ID\",\"status\":$1,\"headers\":{\"content-type\":\"${2:-application/json}\"}}"
}

refuse() {
    printf '{"error":"%s"}\n' "$2" | respond "$1"
}

list() {
    {
        printf '['
        weir cat --topic "$topic" --last "${last:-100}" | paste -s -d , -
        printf ']\n'
    } | respond 200
}

# frame ID: its JSON; fails unless it is of our topic: other frames are nobody's business here.
frame() {
    printf '%s' "$1" | grep -qx '[0-9a-z]\{25\}' || return 1
    found=$(weir get "$1" 2>/dev/null) || return 1
    case $found in
    "{\"topic\":\"$topic\","*) printf '%s\n' "$found" ;;
    *) return 1 ;;
    esac
}

content() {
    hash=$(printf '%s' "$1" | sed -n 's/.*"hash":"\(sha256-[^"]*\)".*/\1/p')
    if [ -n "$hash" ]; then weir cas "$hash"; fi | respond 200 application/octet-stream
}

one() {
    id=${path#"/api/$topic/"}
    rest=${id#"${id%%/*}"}
    id=${id%%/*}
    if ! found=$(frame "$id"); then
        refuse 404 'no such frame'
        return
    fi
    case $method$rest in
    GET | HEAD) printf '%s\n' "$found" | respond 200 ;;
    GET/content | HEAD/content) content "$found" ;;
    DELETE) weir remove "$id" && respond 204 </dev/null ;;
    *) refuse 405 'GET, GET .../content and DELETE work here' ;;
    esac
}

case $method:$path in
GET:/api/"$topic" | HEAD:/api/"$topic") list ;;
POST:/api/"$topic") weir append "$topic" | respond 201 ;;
*:/api/"$topic") refuse 405 'GET and POST work here' ;;
*:/api/"$topic"/*) one ;;
*:/api/*) refuse 404 'no such path' ;;
esac
