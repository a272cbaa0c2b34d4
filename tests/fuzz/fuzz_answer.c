/*
 * Feeds bytes as an HTTP answer, whole and byte by byte: both must give the same.
 * The first input byte chooses HEAD or not, and the room for body bytes.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "client/answer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct sink {
    int rc;
    uint64_t sum;
    size_t len;
    enum answer_part part;
};

static void take(struct sink *s, struct answer *a, struct span in, size_t room)
{
    uint8_t into[256];
    size_t used, at = 0;
    int rc = answer_head(a, in, &at, NULL);
    long n = 1;

    if (rc < 0)
        s->rc = rc;
    while (rc == 1 && n > 0) {
        n = answer_body(a, span_of(in.ptr + at, in.len - at), &used, into, room, NULL);
        if (n < 0) {
            s->rc = (int)n;
            return;
        }
        at += used;
        s->len += (size_t)n;
        for (long i = 0; i < n; i++)
            s->sum = s->sum * 31 + into[i];
    }
    if (s->rc == 0 && at < in.len && a->part != ANSWER_ENDED)
        abort();
}

static struct sink run(struct span in, bool head_only, size_t step, size_t room)
{
    struct answer a = {0};
    struct sink s = {0};

    answer_reset(&a, head_only);
    for (size_t pos = 0; s.rc == 0 && pos < in.len; pos += step)
        take(&s, &a, span_of(in.ptr + pos, in.len - pos < step ? in.len - pos : step), room);
    if (s.rc == 0) {
        (void)answer_field(&a, "content-type");
        s.rc = answer_eof(&a, NULL);
        const char *end = answer_trailer(&a, "weir-exit");
        for (; end && *end; end++)
            s.sum = s.sum * 31 + (uint8_t)*end;
    }
    s.part = a.part;
    answer_finish(&a);
    return s;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct span in = span_of(data + 1, size - 1);
    bool head_only = data[0] & 0x80;
    size_t room = (size_t)(data[0] & 0x7f) + 1;
    struct sink whole = run(in, head_only, in.len ? in.len : 1, room);
    struct sink split = run(in, head_only, 1, room);

    if (whole.rc != split.rc ||
        (whole.rc == 0 && (whole.len != split.len || whole.sum != split.sum)))
        abort();
    return 0;
}
