/* Entries of streams as messages. */
#include <hiredis/hiredis.h>

#include "bridge/redis.h"

static int odd(struct err *err, const char *what)
{
    return err_set(err, ERR_FORMAT, "the server's answer is no list of entries: %s", what);
}

int redis_stream_at(const struct redisReply *reply, size_t i, struct span *name, const struct redisReply **list, struct err *err)
{
    if (reply->type != REDIS_REPLY_ARRAY || i >= reply->elements)
        return odd(err, "no array");
    const struct redisReply *pair = reply->element[i];
    if (!pair || pair->type != REDIS_REPLY_ARRAY || pair->elements != 2 || redis_text(pair->element[0]).len == 0 || !pair->element[1] ||
        pair->element[1]->type != REDIS_REPLY_ARRAY)
        return odd(err, "a stream is a name and an array");
    *name = redis_text(pair->element[0]);
    *list = pair->element[1];
    return 0;
}

/* An entry's id and its fields: NULL for one that was deleted. 1: nothing stands here at all. */
static int entry_at(const struct redisReply *list, size_t i, struct redis_id *id, const struct redisReply **fields, struct err *err)
{
    const struct redisReply *entry = list->element[i];
    if (!entry)
        return odd(err, "an entry is missing");
    if (entry->type == REDIS_REPLY_NIL)
        return 1;
    if (entry->type != REDIS_REPLY_ARRAY || entry->elements != 2 || !entry->element[0] || !entry->element[1])
        return odd(err, "an entry is an id and its fields");
    if (redis_id_parse(redis_text(entry->element[0]), id) != 0)
        return odd(err, "an id is MS-N");
    *fields = entry->element[1]->type == REDIS_REPLY_NIL ? NULL : entry->element[1];
    if (*fields && ((*fields)->type != REDIS_REPLY_ARRAY || (*fields)->elements % 2 != 0))
        return odd(err, "fields come in pairs");
    return 0;
}

int redis_entries_last(const struct redisReply *list, struct redis_id *out, struct err *err)
{
    const struct redisReply *fields;
    if (list->type != REDIS_REPLY_ARRAY)
        return odd(err, "no array");
    for (size_t i = list->elements; i-- > 0;) {
        int rc = entry_at(list, i, out, &fields, err);
        if (rc <= 0)
            return rc;
    }
    return 0;
}

static bool is_string(const struct redisReply *reply)
{
    return reply && (reply->type == REDIS_REPLY_STRING || reply->type == REDIS_REPLY_STATUS);
}

/* The messages of one entry. Positive: `each` wants no more. */
static int give(struct redis_entries *e, struct redis_id id, const struct redisReply *fields, struct err *err)
{
    struct ss_message m = {.key = e->key, .shard = e->shard, .time_ms = id.ms};
    bool stop = false, any = false;
    for (size_t i = 0; i < fields->elements; i += 2) {
        if (!is_string(fields->element[i]) || !is_string(fields->element[i + 1]))
            return odd(err, "fields and values are strings");
        if (!span_eq(redis_text(fields->element[i]), e->field))
            continue;
        int rc = any ? 0 : redis_id_to_seq(id, &m.seq, err);
        m.payload = redis_text(fields->element[i + 1]);
        if (rc == 0)
            rc = e->each(e->arg, &m, id);
        if (rc < 0)
            return rc;
        stop |= rc > 0;
        any = true;
    }
    e->skipped += !any;
    return stop;
}

int redis_entries_read(struct redis_entries *e, const struct redisReply *list, struct err *err)
{
    if (list->type != REDIS_REPLY_ARRAY)
        return odd(err, "no array");
    while (e->next < list->elements) {
        struct redis_id id = {0};
        const struct redisReply *fields = NULL;
        int rc = entry_at(list, e->next, &id, &fields, err);
        bool there = rc == 0;
        if (there && fields)
            rc = give(e, id, fields, err);
        if (rc < 0)
            return rc;
        bool stop = there && rc > 0;
        rc = there && e->done ? e->done(e->arg, id) : 0;
        if (rc < 0)
            return rc;
        e->entries++;
        e->next++;
        if (stop)
            return e->next < list->elements;
    }
    return 0;
}
