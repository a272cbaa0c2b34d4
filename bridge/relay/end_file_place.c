#include "bridge/relay/end_file_place.h"

#include <inttypes.h>

#include "base/text.h"
#include "bridge/ss.h"

int file_place_format(const struct file_place *place, struct buf *out)
{
    int rc = buf_addf(out, "offset=%" PRIu64, place->offset);
    if (rc == 0 && place->has_created)
        rc = buf_addf(out, " created=%" PRIu64, place->created);
    if (rc == 0 && place->last > 0)
        rc = buf_addf(out, " last=%" PRIu64 " seq=%" PRIu64 " time=%" PRIu64, place->last, place->seq, place->time);
    if (rc == 0 && place->has_from_seq)
        rc = buf_addf(out, " from-seq=%" PRIu64, place->from_seq);
    if (rc == 0 && place->has_from_time)
        rc = buf_addf(out, " from-time=%" PRIu64, place->from_time);
    return rc;
}

static int take(struct file_place *to, struct span name, uint64_t value)
{
    const struct {
        const char *name;
        uint64_t *value;
        bool *has;
    } known[] = {
        {"offset", &to->offset, &to->has_offset},
        {"created", &to->created, &to->has_created},
        {"last", &to->last, NULL},
        {"seq", &to->seq, NULL},
        {"time", &to->time, NULL},
        {"from-seq", &to->from_seq, &to->has_from_seq},
        {"from-time", &to->from_time, &to->has_from_time},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (!span_is(name, known[i].name))
            continue;
        *known[i].value = value;
        if (known[i].has)
            *known[i].has = true;
        return 0;
    }
    return ERR_INVALID;
}

static int take_word(struct file_place *to, struct span word)
{
    const uint8_t *equal = word.len > 0 ? memchr(word.ptr, '=', word.len) : NULL;
    uint64_t value;
    if (!equal || text_u64(span_of(equal + 1, word.len - (size_t)(equal + 1 - word.ptr)), &value) != 0)
        return ERR_INVALID;
    return take(to, span_of(word.ptr, (size_t)(equal - word.ptr)), value);
}

int file_place_parse(struct file_place *out, struct span text)
{
    struct file_place place = {0};
    while (text.len > 0) {
        const uint8_t *blank = memchr(text.ptr, ' ', text.len);
        size_t len = blank ? (size_t)(blank - text.ptr) : text.len, gone = len + (blank ? 1 : 0);
        if (take_word(&place, span_of(text.ptr, len)) != 0)
            return ERR_INVALID;
        text = span_of(text.ptr + gone, text.len - gone);
    }
    if (!place.has_offset || place.offset < SS_HEADER_SIZE || place.last >= place.offset)
        return ERR_INVALID;
    *out = place;
    return 0;
}
