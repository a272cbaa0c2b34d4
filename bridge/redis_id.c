/* Ids of entries and names of streams. */
#include "base/text.h"
#include "bridge/redis.h"

#define COUNT_MAX 65535 /* the N part that still has a sequence */

size_t redis_id_format(char out[static REDIS_ID_TEXT], struct redis_id id)
{
    size_t len = text_format_u64(out, id.ms);
    out[len++] = '-';
    len += text_format_u64(out + len, id.n);
    out[len] = '\0';
    return len;
}

int redis_id_parse(struct span text, struct redis_id *out)
{
    const uint8_t *dash = text.len > 0 ? memchr(text.ptr, '-', text.len) : NULL;
    size_t first = dash ? (size_t)(dash - text.ptr) : text.len;
    struct redis_id id = {0};
    int rc = text_u64(span_of(text.ptr, first), &id.ms);
    if (rc == 0 && dash)
        rc = text_u64(span_of(dash + 1, text.len - first - 1), &id.n);
    if (rc == 0)
        *out = id;
    return rc;
}

int redis_id_to_seq(struct redis_id id, uint64_t *seq, struct err *err)
{
    char text[REDIS_ID_TEXT];
    if (id.ms > REDIS_TIME_MAX || id.n > COUNT_MAX) {
        redis_id_format(text, id);
        return err_set(err, ERR_RANGE, "entry %s has no sequence: its %s", text,
                       id.n > COUNT_MAX ? "second part is above 65535" : "time needs more than 48 bits");
    }
    *seq = id.ms << 16 | id.n;
    return 0;
}

struct redis_id redis_id_of_seq(uint64_t seq)
{
    return (struct redis_id){.ms = seq >> 16, .n = seq & COUNT_MAX};
}

/* --- names ------------------------------------------------------------------------------------------ */

int redis_name(struct buf *out, struct span key, bool sharded, uint64_t shard)
{
    int rc = buf_reserve(out, key.len + 1 + U64_TEXT_MAX);
    if (rc != 0)
        return rc;
    (void)buf_add_span(out, key);
    if (sharded) {
        buf_put(out, ':');
        out->len += text_format_u64((char *)out->ptr + out->len, shard);
    }
    return 0;
}

bool redis_name_split(struct span name, struct span key, uint64_t *shard)
{
    if (name.len < key.len + 2 || memcmp(name.ptr, key.ptr, key.len) != 0 || name.ptr[key.len] != ':')
        return false;
    return text_u64(span_of(name.ptr + key.len + 1, name.len - key.len - 1), shard) == 0;
}

int redis_pattern(struct buf *out, struct span key)
{
    int rc = buf_reserve(out, 2 * key.len + 2);
    if (rc != 0)
        return rc;
    for (size_t i = 0; i < key.len; i++) {
        if (strchr("*?[]\\", key.ptr[i]) && key.ptr[i] != '\0')
            buf_put(out, '\\');
        buf_put(out, key.ptr[i]);
    }
    buf_put(out, ':');
    buf_put(out, '*');
    return 0;
}
