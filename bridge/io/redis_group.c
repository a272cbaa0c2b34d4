/* Groups: made, and their acknowledgements. */
#include <errno.h>
#include <hiredis/hiredis.h>
#include <stdlib.h>

#include "base/text.h"
#include "bridge/io/redis_impl.h"

#define DELAY_MS 5000
#define ROLLING_US UINT64_C(1000000)
#define ACKS_MAX 500 /* ids of one command */

/* --- making ------------------------------------------------------------------------------------------ */

static int make_one(struct redis_consumer *c, const char *stream, struct span from, struct err *err)
{
    struct err why = ERR_INIT;
    struct span words[] = {span_str("XGROUP"), span_str("CREATE"),  span_str(stream),
                           span_str(c->group), from, span_str("MKSTREAM")};
    int rc = redis_conn_do(c->conn, words, c->o.make_stream ? 6 : 5, NULL, &why);
    if (rc == 0 || rc == ERR_CONFLICT)
        return 0;
    if (rc == ERR_REMOTE && strstr(why.text, "requires the key to exist"))
        return err_set(err, ERR_NOT_FOUND, "there is no stream %s for the group %s", stream, c->group);
    return err_set(err, rc, "group %s of stream %s: %s", c->group, stream, why.text);
}

int redis_group_make(struct redis_consumer *c, struct err *err)
{
    char id[REDIS_ID_TEXT];
    struct span from = span_str(c->o.from_start ? "0" : "$");
    if (c->o.has_after)
        from = span_of(id, redis_id_format(id, c->o.after));
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < c->count; i++) {
        rc = make_one(c, c->list[i].name, from, err);
        c->list[i].history = true;
    }
    return rc;
}

/* --- owing ------------------------------------------------------------------------------------------- */

int redis_owe(struct redis_stream *s, struct redis_id id)
{
    if (s->owed_count == s->owed_cap) {
        size_t cap = s->owed_cap ? 2 * s->owed_cap : 128;
        struct redis_owed *owed = realloc(s->owed, cap * sizeof(*owed));
        if (!owed)
            return -ENOMEM;
        s->owed = owed;
        s->owed_cap = cap;
    }
    s->owed[s->owed_count++] = (struct redis_owed){id, time_mono_us()};
    return 0;
}

int redis_consumer_ack(struct redis_consumer *c, struct err *err)
{
    for (size_t i = 0; i < c->count; i++)
        c->list[i].acked = c->list[i].owed_count;
    int rc = redis_consumer_commit(c, false, err);
    /* A server that went away is the next read's business; the acks are still owed. */
    return redis_away(rc) ? 0 : rc;
}

static uint64_t delay_us(const struct redis_consumer *c)
{
    return (uint64_t)(c->o.delay_ms ? c->o.delay_ms : DELAY_MS) * 1000;
}

/* How many entries, from the front, may be acknowledged. */
static size_t allowed(const struct redis_consumer *c, const struct redis_stream *s)
{
    bool by_itself = c->o.commit == SS_COMMIT_IMMEDIATE || (c->o.commit == SS_COMMIT_DELAYED && !c->o.careful);
    return by_itself ? s->owed_count : s->acked;
}

/* How many of them at this moment. */
static size_t due_now(const struct redis_consumer *c, const struct redis_stream *s, uint64_t now)
{
    size_t n = allowed(c, s), due = 0;
    if (c->o.commit == SS_COMMIT_DISABLED)
        return 0;
    if (c->o.commit == SS_COMMIT_ROLLING)
        return now - c->commit_us >= ROLLING_US ? n : 0;
    if (c->o.commit == SS_COMMIT_IMMEDIATE)
        return n;
    while (due < n && s->owed[due].at_us + delay_us(c) <= now)
        due++;
    return due;
}

uint64_t redis_acks_due(const struct redis_consumer *c)
{
    uint64_t due = UINT64_MAX;
    for (size_t i = 0; i < c->count; i++) {
        const struct redis_stream *s = &c->list[i];
        if (allowed(c, s) == 0 || c->o.commit == SS_COMMIT_DISABLED)
            continue;
        uint64_t at = c->o.commit == SS_COMMIT_ROLLING ? c->commit_us + ROLLING_US
                      : c->o.commit == SS_COMMIT_IMMEDIATE ? 0 : s->owed[0].at_us + delay_us(c);
        due = at < due ? at : due;
    }
    return due;
}

/* --- sending ----------------------------------------------------------------------------------------- */

static int add_acks(struct redis_consumer *c, const struct redis_stream *s, size_t from, size_t count)
{
    char ids[ACKS_MAX][REDIS_ID_TEXT];
    struct span words[3 + ACKS_MAX] = {span_str("XACK"), span_str(s->name), span_str(c->group)};
    for (size_t i = 0; i < count; i++)
        words[3 + i] = span_of(ids[i], redis_id_format(ids[i], s->owed[from + i].id));
    return redis_conn_add(c->side, words, 3 + count);
}

static int await_acks(struct redis_consumer *c, size_t commands, struct err *err)
{
    int rc = redis_conn_send(c->side, err);
    for (size_t i = 0; rc == 0 && i < commands; i++) {
        struct redisReply *reply;
        rc = redis_conn_reply(c->side, -1, &reply, err);
        if (rc == 0) {
            rc = redis_check(reply, err, "acknowledgement");
            freeReplyObject(reply);
        }
    }
    return rc;
}

static int send_acks(struct redis_consumer *c, struct redis_stream *s, size_t count, struct err *err)
{
    size_t commands = 0;
    int rc = redis_side_conn(c, err) ? 0 : err->code;
    for (size_t from = 0; rc == 0 && from < count; commands++) {
        size_t n = count - from < ACKS_MAX ? count - from : ACKS_MAX;
        rc = add_acks(c, s, from, n);
        from += n;
    }
    if (rc == 0)
        rc = await_acks(c, commands, err);
    if (rc != 0) {
        /* Replies may be due that nobody would wait for. */
        redis_conn_close(c->side);
        c->side = NULL;
        return rc;
    }
    s->owed_count -= count;
    s->acked -= s->acked < count ? s->acked : count;
    memmove(s->owed, s->owed + count, s->owed_count * sizeof(*s->owed));
    return 0;
}

int redis_consumer_commit(struct redis_consumer *c, bool all, struct err *err)
{
    struct err why = ERR_INIT;
    uint64_t now = time_mono_us();
    bool sent = false;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < c->count; i++) {
        struct redis_stream *s = &c->list[i];
        size_t count = all ? allowed(c, s) : due_now(c, s, now);
        if (count == 0)
            continue;
        sent = true;
        rc = send_acks(c, s, count, &why);
    }
    if (sent)
        c->commit_us = now;
    return rc == 0 ? 0 : err_set(err, rc, "%s", why.text);
}

/* --- after the connection was lost ------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
    return redis_id_cmp(*(const struct redis_id *)a, *(const struct redis_id *)b);
}

static int remember_seen(struct redis_stream *s)
{
    struct redis_id *seen = malloc((s->owed_count ? s->owed_count : 1) * sizeof(*seen));
    if (!seen)
        return -ENOMEM;
    for (size_t i = 0; i < s->owed_count; i++)
        seen[i] = s->owed[i].id;
    qsort(seen, s->owed_count, sizeof(*seen), compare);
    free(s->seen);
    s->seen = seen;
    s->seen_count = s->owed_count;
    return 0;
}

int redis_history_again(struct redis_consumer *c)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < c->count; i++) {
        struct redis_stream *s = &c->list[i];
        rc = remember_seen(s);
        s->history = true;
        s->got = (struct redis_id){0};
    }
    return rc;
}
