#include "bridge/relay/weir_place.h"

#include <inttypes.h>

#include "base/text.h"

int weir_place_format(const struct weir_place *place, struct buf *out)
{
    char id[ID_TEXT_LEN + 1];
    switch (place->by) {
    case WEIR_PLACE_SEQ:
        return buf_addf(out, "seq=%" PRIu64, place->seq);
    case WEIR_PLACE_TIME:
        return buf_addf(out, "time=%" PRIu64, place->time_ms);
    case WEIR_PLACE_ID:
        id_format(id, place->id);
        return place->has_time ? buf_addf(out, "id=%s time=%" PRIu64, id, place->time_ms) : buf_addf(out, "id=%s", id);
    default:
        return buf_add_str(out, "start");
    }
}

/* What stands behind "NAME=". */
static bool value_of(struct span word, const char *name, struct span *value)
{
    size_t len = strlen(name);
    if (word.len <= len || memcmp(word.ptr, name, len) != 0 || word.ptr[len] != '=')
        return false;
    *value = span_of(word.ptr + len + 1, word.len - len - 1);
    return true;
}

static bool take_time(struct weir_place *place, struct span word)
{
    struct span value;
    place->has_time = value_of(word, "time", &value) && text_u64(value, &place->time_ms) == 0;
    return place->has_time;
}

static bool take_word(struct weir_place *place, struct span word)
{
    struct span value;
    if (value_of(word, "id", &value)) {
        place->by = WEIR_PLACE_ID;
        return id_parse(&place->id, value, NULL) == 0;
    }
    if (value_of(word, "seq", &value)) {
        place->by = WEIR_PLACE_SEQ;
        return text_u64(value, &place->seq) == 0;
    }
    if (span_is(word, "start"))
        return true;
    place->by = WEIR_PLACE_TIME;
    return take_time(place, word);
}

int weir_place_parse(struct weir_place *out, struct span text)
{
    struct weir_place place = {.by = WEIR_PLACE_START};
    const uint8_t *blank = text.len > 0 ? memchr(text.ptr, ' ', text.len) : NULL;
    size_t len = blank ? (size_t)(blank - text.ptr) : text.len;
    bool good = take_word(&place, span_of(text.ptr, len));
    if (good && blank)
        good = place.by == WEIR_PLACE_ID && take_time(&place, span_of(blank + 1, text.len - len - 1));
    if (good)
        *out = place;
    return good ? 0 : ERR_INVALID;
}

static int add_time(struct buf *target, uint64_t ms)
{
    char text[TIME_TEXT_MAX];
    time_format(text, ms < UINT64_C(1) << 47 ? ms + 1 : ms); /* strictly later, as of other sources */
    int rc = buf_add_str(target, "&since=");
    return rc == 0 ? uri_encode(target, span_str(text), "") : rc;
}

int weir_place_query(const struct weir_place *place, struct buf *target)
{
    char id[ID_TEXT_LEN + 1];
    switch (place->by) {
    case WEIR_PLACE_SEQ:
        return buf_addf(target, "&from-seq=%" PRIu64, place->seq);
    case WEIR_PLACE_TIME:
        return add_time(target, place->time_ms);
    case WEIR_PLACE_ID:
        id_format(id, place->id);
        return buf_addf(target, "&after=%s", id);
    default:
        return 0;
    }
}
