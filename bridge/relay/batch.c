/* Messages on their way from a source to a sink. */
#include <errno.h>
#include <stdlib.h>

#include "bridge/relay/end.h"

#define COUNT_MAX 4096
#define ROOM_DEFAULT ((size_t)1024 * 1024)

static int grow_list(struct relay_batch *b)
{
    if (b->count < b->cap)
        return 0;
    size_t cap = b->cap ? b->cap * 2 : 256;
    struct ss_message *list = realloc(b->list, cap * sizeof(*list));
    if (!list)
        return -ENOMEM;
    b->list = list;
    b->cap = cap;
    return 0;
}

static void move(struct span *s, uintptr_t from, const uint8_t *to)
{
    if (s->len > 0)
        s->ptr = to + ((uintptr_t)s->ptr - from);
}

/* Bytes that moved take the spans of the list along. */
static int grow_bytes(struct relay_batch *b, size_t extra)
{
    uintptr_t from = (uintptr_t)b->bytes.ptr;
    int rc = buf_reserve(&b->bytes, extra);
    if (rc != 0 || (uintptr_t)b->bytes.ptr == from)
        return rc;
    for (size_t i = 0; i < b->count; i++) {
        move(&b->list[i].key, from, b->bytes.ptr);
        move(&b->list[i].payload, from, b->bytes.ptr);
        move(&b->list[i].meta, from, b->bytes.ptr);
    }
    return 0;
}

static struct span take(struct relay_batch *b, struct span s)
{
    if (s.len == 0)
        return (struct span){0};
    uint8_t *to = b->bytes.ptr + b->bytes.len;
    memcpy(to, s.ptr, s.len);
    b->bytes.len += s.len;
    return span_of(to, s.len);
}

int relay_batch_add(struct relay_batch *b, const struct ss_message *m)
{
    int rc = grow_list(b);
    if (rc == 0)
        rc = grow_bytes(b, m->key.len + m->payload.len + m->meta.len);
    if (rc != 0)
        return rc;
    struct ss_message *to = &b->list[b->count];
    /* Messages of one key come in a row. */
    const struct span *before = b->count > 0 ? &b->list[b->count - 1].key : NULL;
    *to = *m;
    to->key = before && span_eq(*before, m->key) ? *before : take(b, m->key);
    to->payload = take(b, m->payload);
    to->meta = take(b, m->meta);
    b->count++;
    return 0;
}

bool relay_batch_full(const struct relay_batch *b)
{
    return b->count >= COUNT_MAX || (b->count_max > 0 && b->count >= b->count_max) ||
           b->bytes.len >= (b->room ? b->room : ROOM_DEFAULT);
}

void relay_batch_reset(struct relay_batch *b)
{
    b->count = 0;
    buf_reset(&b->bytes);
    /* One large message does not hold its memory for good. */
    if (b->bytes.cap > 8 * (b->room ? b->room : ROOM_DEFAULT))
        buf_finish(&b->bytes);
}

void relay_batch_finish(struct relay_batch *b)
{
    free(b->list);
    buf_finish(&b->bytes);
    *b = (struct relay_batch){.room = b->room};
}
