/* A consumer's reads: asked, answered, given out. */
#include <errno.h>
#include <hiredis/hiredis.h>

#include "base/text.h"
#include "bridge/io/redis_impl.h"

#define BLOCK_TEXT "10000"
#define BLOCK_US UINT64_C(10000000)
#define REPLY_US UINT64_C(5000000)
/* A reader that is behind asks for more at a time, as long as an answer stays near this size. */
#define BATCH_MAX 4096
#define ANSWER_BYTES (UINT64_C(4) * 1024 * 1024)

/* --- asking ------------------------------------------------------------------------------------------ */

static unsigned batch_least(const struct redis_consumer *c)
{
    return c->o.batch ? c->o.batch : c->o.mode == SS_BALANCED ? 10 : 100;
}

static bool in_history(const struct redis_consumer *c)
{
    for (size_t i = 0; i < c->count; i++) {
        if (c->list[i].history)
            return true;
    }
    return false;
}

static struct span id_of(struct redis_consumer *c, size_t i)
{
    struct redis_stream *s = &c->list[i];
    s->asked_history = s->history;
    if (redis_grouped(c) && !s->history)
        return span_str(">");
    return span_of(c->ids[i], redis_id_format(c->ids[i], s->got));
}

static size_t put_head(struct redis_consumer *c)
{
    size_t n = 0;
    struct span *w = c->words;
    if (!redis_grouped(c)) {
        w[n++] = span_str("XREAD");
        return n;
    }
    w[n++] = span_str("XREADGROUP");
    w[n++] = span_str("GROUP");
    w[n++] = span_str(c->group);
    w[n++] = span_str(c->member);
    return n;
}

static size_t put_words(struct redis_consumer *c, char count[static U64_TEXT_MAX])
{
    struct span *w = c->words;
    size_t n = put_head(c);
    w[n++] = span_str("COUNT");
    w[n++] = span_of(count, text_format_u64(count, c->batch));
    /* A pending list is answered at once. */
    if (!c->o.ends && !in_history(c)) {
        w[n++] = span_str("BLOCK");
        w[n++] = span_str(BLOCK_TEXT);
    }
    if (redis_grouped(c) && c->o.commit == SS_COMMIT_IMMEDIATE)
        w[n++] = span_str("NOACK");
    w[n++] = span_str("STREAMS");
    for (size_t i = 0; i < c->count; i++)
        w[n++] = span_str(c->list[i].name);
    for (size_t i = 0; i < c->count; i++)
        w[n++] = id_of(c, i);
    return n;
}

int redis_ask(struct redis_consumer *c, struct err *err)
{
    char count[U64_TEXT_MAX];
    if (c->batch == 0)
        c->batch = batch_least(c);
    size_t n = put_words(c, count);
    int rc = redis_conn_add(c->conn, c->words, n);
    if (rc == 0)
        rc = redis_conn_send(c->conn, err);
    else
        return err_sys(err, -rc, "%s", redis_conn_name(c->conn));
    if (rc != 0)
        return rc;
    c->asked = true;
    c->asked_batch = c->batch;
    c->asked_bytes = redis_conn_bytes(c->conn);
    c->answer_us = time_mono_us() + BLOCK_US + REPLY_US;
    return 0;
}

/* --- answers ----------------------------------------------------------------------------------------- */

static struct redis_stream *find(struct redis_consumer *c, struct span name, size_t *at)
{
    for (size_t k = 0; k < c->count; k++) {
        size_t i = (*at + k) % c->count; /* answers have the order of the command */
        if (span_is(name, c->list[i].name)) {
            *at = i;
            return &c->list[i];
        }
    }
    return NULL;
}

/* What an answer says of one stream. */
static int look_at(struct redis_consumer *c, struct redis_stream *s, const struct redisReply *list, struct err *err)
{
    s->dry = list->elements == 0;
    if (s->asked_history && list->elements == 0) {
        s->history = s->dry = false;
        free(s->seen);
        s->seen = NULL;
        s->seen_count = 0;
    }
    if (list->elements >= c->asked_batch)
        c->full = true;
    return !redis_grouped(c) || s->asked_history ? redis_entries_last(list, &s->got, err) : 0;
}

static int look_over(struct redis_consumer *c, const struct redisReply *reply, size_t *entries, struct err *err)
{
    size_t at = 0;
    c->full = false;
    for (size_t i = 0; i < c->count; i++)
        c->list[i].dry = true;
    for (size_t i = 0; i < (reply->type == REDIS_REPLY_ARRAY ? reply->elements : 0); i++) {
        struct span name;
        const struct redisReply *list;
        int rc = redis_stream_at(reply, i, &name, &list, err);
        if (rc != 0)
            return rc;
        struct redis_stream *s = find(c, name, &at);
        if (!s)
            return err_set(err, ERR_FORMAT, "the server answers with a stream that was not asked for");
        rc = look_at(c, s, list, err);
        if (rc != 0)
            return rc;
        *entries += list->elements;
    }
    return 0;
}

static void choose_batch(struct redis_consumer *c, size_t entries)
{
    unsigned least = batch_least(c), most = c->o.mode == SS_BALANCED || c->o.batch ? least : BATCH_MAX;
    uint64_t bytes = redis_conn_bytes(c->conn) - c->asked_bytes;
    uint64_t fits = bytes > 0 ? ANSWER_BYTES * (entries > 0 ? entries : 1) / bytes / c->count : most;
    uint64_t next = c->full ? (uint64_t)c->batch * 4 : least;
    next = next < most ? next : most;
    next = next < fits ? next : fits;
    c->batch = next > 0 ? (unsigned)next : 1;
}

int redis_take(struct redis_consumer *c, struct redisReply *reply, struct err *err)
{
    size_t entries = 0;
    int rc = redis_check(reply, err, redis_conn_name(c->conn));
    c->asked = false;
    if (rc == 0 && reply->type != REDIS_REPLY_ARRAY && reply->type != REDIS_REPLY_NIL)
        rc = err_set(err, ERR_FORMAT, "%s: the answer to a read is none", redis_conn_name(c->conn));
    if (rc == 0)
        rc = look_over(c, reply, &entries, err);
    if (rc == 0) {
        choose_batch(c, entries);
        c->down_us = 0;
    }
    if (rc != 0 || entries == 0) {
        freeReplyObject(reply);
        return rc;
    }
    c->held = (struct redis_held){.reply = reply};
    /* A reader without group knows what comes next before it gave this out. */
    return redis_grouped(c) ? 0 : redis_ask(c, err);
}

/* --- giving out -------------------------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
    return redis_id_cmp(*(const struct redis_id *)a, *(const struct redis_id *)b);
}

static bool was_seen(const struct redis_stream *s, struct redis_id id)
{
    return s->seen_count > 0 && bsearch(&id, s->seen, s->seen_count, sizeof(id), compare);
}

static int each(void *arg, const struct ss_message *m, struct redis_id id)
{
    struct redis_consumer *c = arg;
    if (was_seen(&c->list[c->held.stream], id))
        return 0;
    int rc = c->each(c->arg, m, id);
    c->enough |= rc > 0;
    return rc;
}

static int done(void *arg, struct redis_id id)
{
    struct redis_consumer *c = arg;
    struct redis_stream *s = &c->list[c->held.stream];
    bool counted = c->o.commit == SS_COMMIT_IMMEDIATE && !c->held.claimed && !s->asked_history;
    if (redis_id_cmp(id, s->at) > 0)
        s->at = id;
    return !redis_grouped(c) || counted || was_seen(s, id) ? 0 : redis_owe(s, id);
}

/* Goes to the next list of what is held: false at the end. */
static bool open_list(struct redis_consumer *c)
{
    struct redis_held *h = &c->held;
    struct span name;
    if (h->next >= (h->claimed ? 1 : h->reply->elements))
        return false;
    if (h->claimed)
        h->list = h->reply;
    else if (redis_stream_at(h->reply, h->next, &name, &h->list, NULL) != 0 || !find(c, name, &h->stream))
        return false;
    const struct redis_stream *s = &c->list[h->stream];
    h->next++;
    h->open = true;
    h->entries = (struct redis_entries){
        .field = span_str(c->field), .key = s->key, .shard = s->shard, .each = each, .done = done, .arg = c};
    return true;
}

void redis_drop_held(struct redis_consumer *c)
{
    if (c->held.reply)
        freeReplyObject(c->held.reply);
    c->held = (struct redis_held){.reply = NULL};
}

int redis_give(struct redis_consumer *c, struct err *err)
{
    c->enough = false;
    while (c->held.reply && !c->enough) {
        if (!c->held.open && !open_list(c)) {
            redis_drop_held(c);
            break;
        }
        uint64_t skipped = c->held.entries.skipped;
        int rc = redis_entries_read(&c->held.entries, c->held.list, err);
        c->skipped += c->held.entries.skipped - skipped;
        if (rc == ERR_RANGE)
            err_prefix(err, "stream %s", c->list[c->held.stream].name);
        if (rc < 0)
            return rc;
        c->held.open = rc > 0;
    }
    return 0;
}
