#include "bridge/io/redis_shards.h"

#include <errno.h>
#include <hiredis/hiredis.h>
#include <stdlib.h>

#include "base/clean.h"

static int no_memory(struct err *err)
{
    return err_sys(err, ENOMEM, "shards");
}

static int add(struct redis_shards *s, struct span name, uint64_t shard)
{
    if (s->count == s->cap) {
        size_t cap = s->cap ? 2 * s->cap : 8;
        struct redis_shard *list = realloc(s->list, cap * sizeof(*list));
        if (!list)
            return -ENOMEM;
        s->list = list;
        s->cap = cap;
    }
    char *copy = strndup((const char *)name.ptr, name.len);
    if (!copy)
        return -ENOMEM;
    s->list[s->count++] = (struct redis_shard){.name = copy, .shard = shard};
    return 0;
}

/* One answer of SCAN: the next cursor and names. */
static int take_page(struct redis_shards *s, const struct redisReply *reply, struct span key, struct buf *cursor, struct err *err)
{
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 || reply->element[1]->type != REDIS_REPLY_ARRAY)
        return err_set(err, ERR_FORMAT, "the server's answer to SCAN is none");
    const struct redisReply *names = reply->element[1];
    for (size_t i = 0; i < names->elements; i++) {
        struct span name = redis_text(names->element[i]);
        uint64_t shard;
        if (redis_name_split(name, key, &shard) && add(s, name, shard) != 0)
            return no_memory(err);
    }
    buf_reset(cursor);
    return buf_add_span(cursor, redis_text(reply->element[0])) == 0 ? 0 : no_memory(err);
}

static int scan(struct redis_shards *s, struct redis_conn *c, struct span key, struct err *err)
{
    CLEAN_BUF pattern = BUF_INIT;
    CLEAN_BUF cursor = BUF_INIT;
    int rc = redis_pattern(&pattern, key) == 0 && buf_add_str(&cursor, "0") == 0 ? 0 : no_memory(err);
    do {
        struct redisReply *reply = NULL;
        struct span words[] = {span_str("SCAN"),  buf_span(&cursor), span_str("MATCH"), buf_span(&pattern),
                               span_str("COUNT"), span_str("1000"),  span_str("TYPE"),  span_str("stream")};
        if (rc == 0)
            rc = redis_conn_do(c, words, sizeof(words) / sizeof(words[0]), &reply, err);
        if (rc == 0)
            rc = take_page(s, reply, key, &cursor, err);
        if (reply)
            freeReplyObject(reply);
    } while (rc == 0 && !span_is(buf_span(&cursor), "0"));
    return rc;
}

static int compare(const void *a, const void *b)
{
    const struct redis_shard *x = a, *y = b;
    return x->shard != y->shard ? (x->shard > y->shard) - (x->shard < y->shard) : strcmp(x->name, y->name);
}

/* A scan may name a key twice. */
static void sort(struct redis_shards *s)
{
    size_t kept = 0;
    qsort(s->list, s->count, sizeof(*s->list), compare);
    for (size_t i = 0; i < s->count; i++) {
        if (kept > 0 && strcmp(s->list[kept - 1].name, s->list[i].name) == 0)
            free(s->list[i].name);
        else
            s->list[kept++] = s->list[i];
    }
    s->count = kept;
}

int redis_shards_find(struct redis_shards *out, struct redis_conn *c, struct span key, struct err *err)
{
    struct redis_shards found = {0};
    int rc = scan(&found, c, key, err);
    found.sharded = found.count > 0;
    if (rc == 0 && !found.sharded && add(&found, key, 0) != 0)
        rc = no_memory(err);
    if (rc == 0) {
        sort(&found);
        *out = found;
    } else
        redis_shards_finish(&found);
    return rc;
}

void redis_shards_finish(struct redis_shards *shards)
{
    for (size_t i = 0; i < shards->count; i++)
        free(shards->list[i].name);
    free(shards->list);
    *shards = (struct redis_shards){0};
}

int redis_last_entry(struct redis_conn *c, const char *name, struct redis_id *out, struct err *err)
{
    struct redisReply *reply = NULL;
    struct span words[] = {span_str("XREVRANGE"), span_str(name), span_str("+"), span_str("-"), span_str("COUNT"), span_str("1")};
    int rc = redis_conn_do(c, words, sizeof(words) / sizeof(words[0]), &reply, err);
    *out = (struct redis_id){0};
    if (rc == 0)
        rc = redis_entries_last(reply, out, err);
    if (rc != 0)
        err_prefix(err, "stream %s", name);
    if (reply)
        freeReplyObject(reply);
    return rc;
}
