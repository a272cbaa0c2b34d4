/* Commands as the wire has them: an array of strings with their lengths. */
#include "base/text.h"
#include "bridge/redis.h"

#define FRAME (1 + U64_TEXT_MAX + 2 + 2) /* bytes around a word at most */

static void put_count(struct buf *out, char sign, size_t count)
{
    buf_put(out, (uint8_t)sign);
    out->len += text_format_u64((char *)out->ptr + out->len, count);
    buf_put(out, '\r');
    buf_put(out, '\n');
}

int redis_command(struct buf *out, const struct span *words, size_t count)
{
    size_t room = FRAME;
    for (size_t i = 0; i < count; i++)
        room += words[i].len + FRAME;
    int rc = buf_reserve(out, room);
    if (rc != 0)
        return rc;
    put_count(out, '*', count);
    for (size_t i = 0; i < count; i++) {
        put_count(out, '$', words[i].len);
        (void)buf_add_span(out, words[i]);
        buf_put(out, '\r');
        buf_put(out, '\n');
    }
    return 0;
}
