#include "bridge/relay/until.h"

#include <errno.h>
#include <stdlib.h>

#include "base/text.h"

#define QUIET_MS 1000

struct relay_until_stream {
    char key[SS_KEY_MAX + 1];
    size_t key_len;
    uint64_t shard;
    bool beyond;
};

void relay_until_begin(struct relay_until *u, const struct relay_options *o)
{
    *u = (struct relay_until){.until_ms = o->until_ms, .keys = o->keys, .came_us = time_mono_us()};
}

void relay_until_finish(struct relay_until *u)
{
    free(u->list);
    u->list = NULL;
    u->count = u->cap = 0;
}

static bool is_it(const struct relay_until_stream *s, const struct ss_message *m)
{
    return s->shard == m->shard && span_eq(span_of(s->key, s->key_len), m->key);
}

/* NULL: without memory, or a name that is longer than any key; then only the quiet second ends it. */
static struct relay_until_stream *stream_of(struct relay_until *u, const struct ss_message *m)
{
    for (size_t i = 0; i < u->count; i++) {
        if (is_it(&u->list[i], m))
            return &u->list[i];
    }
    if (m->key.len > SS_KEY_MAX)
        return NULL;
    if (u->count == u->cap) {
        size_t cap = u->cap ? u->cap * 2 : 8;
        struct relay_until_stream *list = realloc(u->list, cap * sizeof(*list));
        if (!list)
            return NULL;
        u->list = list;
        u->cap = cap;
    }
    struct relay_until_stream *s = &u->list[u->count++];
    *s = (struct relay_until_stream){.key_len = m->key.len, .shard = m->shard};
    if (m->key.len > 0)
        memcpy(s->key, m->key.ptr, m->key.len);
    return s;
}

bool relay_until_allows(struct relay_until *u, const struct ss_message *m)
{
    struct relay_until_stream *s = stream_of(u, m);
    bool late = m->time_ms > u->until_ms;
    if (late && s && !s->beyond) {
        s->beyond = true;
        u->beyond++;
    }
    u->came_us = time_mono_us();
    return !late;
}

bool relay_until_seen(const struct relay_until *u)
{
    return u->beyond > 0;
}

static bool quiet(const struct relay_until *u)
{
    return time_mono_us() - u->came_us >= (uint64_t)QUIET_MS * 1000 && time_now_ms() >= u->until_ms + QUIET_MS;
}

bool relay_until_over(const struct relay_until *u, bool nothing_more)
{
    if (u->beyond > 0 && u->beyond == u->count && u->count >= u->keys)
        return true;
    return nothing_more && quiet(u);
}

int relay_until_wait(const struct relay_until *u)
{
    uint64_t now = time_now_ms(), silent = (time_mono_us() - u->came_us) / 1000;
    uint64_t wait = silent < QUIET_MS ? QUIET_MS - silent : 0;
    if (u->until_ms + QUIET_MS > now && u->until_ms + QUIET_MS - now > wait)
        wait = u->until_ms + QUIET_MS - now;
    return wait < 60000 ? (int)wait + 1 : 60000;
}
