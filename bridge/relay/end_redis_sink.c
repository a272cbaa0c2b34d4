/* Redis streams as a sink: which message goes to which stream, under which id. */
#include <errno.h>
#include <hiredis/hiredis.h>
#include <stdlib.h>

#include "base/clean.h"
#include "base/text.h"
#include "bridge/io/redis_shards.h"
#include "bridge/relay/end.h"
#include "bridge/relay/redis_writer.h"

#define REPLY_MS 30000    /* a server that syncs or forks is slow to answer */
#define PATIENCE_MS 30000 /* with nothing under way, one that went away is tried again for so long */

struct sink {
    struct relay_sink base;
    struct redis_writer writer;
    struct ss_redis_node node;
    struct redis_options connect;
    const struct relay_options *o;
    bool said_odd, said_shards;
};

static struct sink *own(struct relay_sink *s)
{
    return (struct sink *)(void *)s;
}

static int no_memory(struct err *err)
{
    return err_sys(err, ENOMEM, "Redis");
}

/* --- keys -------------------------------------------------------------------------------------------- */

/* Readers of a key that has shards see those alone, so messages of shard 0 must go there, too. */
static int look_for_shards(struct sink *s, struct redis_outlet *key, struct err *err)
{
    struct redis_shards shards = {.list = NULL};
    int rc = redis_writer_drain(&s->writer, err);
    if (rc == 0)
        rc = redis_shards_find(&shards, s->writer.conn, span_of(key->name, key->len), err);
    key->sharded = shards.sharded;
    redis_shards_finish(&shards);
    return rc;
}

static int look_at_key(struct sink *s, struct redis_outlet *key, struct err *err)
{
    struct err why = ERR_INIT;
    key->looked = true;
    key->refused = ss_key_check(span_of(key->name, key->len), &why) != 0;
    if (key->refused)
        relay_say("messages under this key are left out: %s", why.text);
    key->sharded = s->o->shards > 0;
    return key->refused || key->sharded || !s->o->preserve ? 0 : look_for_shards(s, key, err);
}

static int find_key(struct sink *s, const struct ss_message *m, struct redis_outlet **out, struct err *err)
{
    *out = m->key.len > 0 ? redis_outlet(&s->writer.outlets, m->key) : redis_outlet(&s->writer.outlets, span_str(SS_KEY_BROADCAST));
    if (!*out)
        return no_memory(err);
    return (*out)->looked ? 0 : look_at_key(s, *out, err);
}

/* A batch that holds a shard of a key makes it sharded before the first message is put. */
static int find_sharded(struct sink *s, const struct relay_batch *batch, struct err *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < batch->count; i++) {
        struct redis_outlet *key;
        if (batch->list[i].shard == 0)
            continue;
        rc = find_key(s, &batch->list[i], &key, err);
        if (rc == 0 && !key->sharded && key->begun && !s->said_shards) {
            relay_say("shards of %s come up after messages without: those stand in %s, where readers of shards do not look; "
                      "--shards avoids it",
                      key->name, key->name);
            s->said_shards = true;
        }
        if (rc == 0)
            key->sharded = true;
    }
    return rc;
}

/* --- streams ----------------------------------------------------------------------------------------- */

static int find_stream(struct sink *s, struct redis_outlet *key, const struct ss_message *m, struct redis_outlet **out, struct err *err)
{
    CLEAN_BUF name = BUF_INIT;
    uint64_t shard = s->o->preserve ? m->shard : s->o->shards > 0 ? key->turn++ % s->o->shards : 0;
    *out = key;
    if (!key->sharded)
        return 0;
    if (redis_name(&name, span_of(key->name, key->len), true, shard) != 0)
        return no_memory(err);
    *out = redis_outlet(&s->writer.outlets, buf_span(&name));
    return *out ? 0 : no_memory(err);
}

/* The value of a name in a reply of names and values. */
static struct span value_of(const struct redisReply *reply, const char *name)
{
    for (size_t i = 0; reply->type == REDIS_REPLY_ARRAY && i + 1 < reply->elements; i += 2) {
        if (span_is(redis_text(reply->element[i]), name))
            return redis_text(reply->element[i + 1]);
    }
    return (struct span){0};
}

/* The time of the newest entry decides which times may still be given. */
static int begin_stream(struct sink *s, struct redis_outlet *to, struct err *err)
{
    struct err why = ERR_INIT;
    struct redisReply *reply = NULL;
    struct redis_id id = {0};
    struct span words[] = {span_str("XINFO"), span_str("STREAM"), span_of(to->name, to->len)};
    int rc = redis_writer_drain(&s->writer, err);
    if (rc != 0)
        return rc;
    rc = redis_conn_do(s->writer.conn, words, 3, &reply, &why);
    if (rc == 0)
        (void)redis_id_parse(value_of(reply, "last-generated-id"), &id);
    if (reply)
        freeReplyObject(reply);
    if (rc == ERR_REMOTE && strstr(why.text, "no such key"))
        rc = 0;
    to->begun = rc == 0;
    to->high_ms = id.ms;
    return rc == 0 ? 0 : err_set(err, rc, "stream %s: %s", to->name, why.text);
}

/* --- ids --------------------------------------------------------------------------------------------- */

static enum redis_flight_kind choose_id(struct sink *s, struct redis_outlet *to, const struct ss_message *m, struct redis_id *id)
{
    *id = (struct redis_id){.ms = m->time_ms};
    if (!s->o->preserve || m->time_ms > REDIS_TIME_MAX)
        return FLIGHT_ADD;
    if (!m->no_seq && m->seq > 0 && m->seq >> 16 == m->time_ms) {
        *id = redis_id_of_seq(m->seq);
        return FLIGHT_EXACT;
    }
    if (!s->said_odd && !m->no_seq) {
        relay_say("a sequence that is not its time * 65536 + N cannot be an entry's; such messages keep their time alone");
        s->said_odd = true;
    }
    if (m->time_ms >= to->high_ms && m->time_ms > 0)
        return FLIGHT_TIMED;
    redis_say_back(&s->writer, to);
    return FLIGHT_ADD;
}

/* How many messages in a row are one entry: an entry may hold several, of one sequence. */
static size_t count_entry(const struct relay_batch *batch, size_t i, enum redis_flight_kind kind)
{
    const struct ss_message *first = &batch->list[i];
    size_t n = 1;
    while (kind == FLIGHT_EXACT && i + n < batch->count && first[n].seq == first->seq && first[n].time_ms == first->time_ms &&
           first[n].shard == first->shard && !first[n].no_seq && span_eq(first[n].key, first->key))
        n++;
    return n;
}

/* --- putting ----------------------------------------------------------------------------------------- */

/* Puts the entry that begins with message i; *count is how many it took. */
static int put_entry(struct sink *s, const struct relay_batch *batch, size_t i, size_t *count, struct err *err)
{
    const struct ss_message *m = &batch->list[i];
    struct redis_outlet *key, *to;
    struct redis_id id;
    *count = 1;
    int rc = find_key(s, m, &key, err);
    if (rc == 0 && key->refused) {
        s->base.refused++;
        return 0;
    }
    if (rc == 0)
        rc = find_stream(s, key, m, &to, err);
    if (rc == 0 && s->o->preserve && !to->begun)
        rc = begin_stream(s, to, err);
    if (rc != 0)
        return rc;
    enum redis_flight_kind kind = choose_id(s, to, m, &id);
    *count = count_entry(batch, i, kind);
    if (kind != FLIGHT_ADD && id.ms > to->high_ms)
        to->high_ms = id.ms;
    return redis_writer_add(&s->writer, kind, to, id, m, *count, err);
}

/* A server that restarts is waited for. */
static int connect_patiently(struct sink *s, struct redis_conn **out, struct err *err)
{
    uint64_t until_us = time_mono_us() + (uint64_t)PATIENCE_MS * 1000;
    for (int pause_ms = 50;; pause_ms = pause_ms < 1000 ? 2 * pause_ms : 2000) {
        int rc = redis_conn_open(out, &s->node, &s->connect, err);
        bool away = rc == -ECONNREFUSED || rc == -ETIMEDOUT || rc == ERR_CUT || rc == ERR_UNAVAILABLE;
        if (!away || time_mono_us() >= until_us)
            return rc;
        if (pause_ms == 50)
            relay_say("%s; trying again for %d s", err->text, PATIENCE_MS / 1000);
        if (relay_poll(-1, 0, pause_ms) < 0)
            return rc;
    }
}

/* A server may end a connection that was idle for long. */
static int connect_again(struct sink *s, struct err *err)
{
    struct redis_writer *w = &s->writer;
    if (w->flights.count > 0 || redis_conn_waiting(w->conn) > 0 || !redis_conn_gone(w->conn))
        return 0;
    struct redis_conn *fresh = NULL;
    int rc = connect_patiently(s, &fresh, err);
    if (rc != 0)
        return rc;
    redis_conn_close(w->conn);
    w->conn = fresh;
    return 0;
}

static int put(struct relay_sink *base, const struct relay_batch *batch, struct err *err)
{
    struct sink *s = own(base);
    size_t count = 0;
    int rc = connect_again(s, err);
    if (rc == 0 && s->o->preserve && s->o->shards == 0)
        rc = find_sharded(s, batch, err);
    for (size_t i = 0; rc == 0 && i < batch->count; i += count)
        rc = put_entry(s, batch, i, &count, err);
    /* Entries whose id may prove taken are looked at while the batch stands. */
    if (rc == 0 && s->o->preserve)
        rc = redis_writer_drain(&s->writer, err);
    return rc == 0 && redis_conn_waiting(s->writer.conn) > 0 ? redis_conn_send(s->writer.conn, err) : rc;
}

static int flush(struct relay_sink *base, const char *cursor, struct span position, struct err *err)
{
    (void)cursor;
    (void)position;
    return redis_writer_drain(&own(base)->writer, err);
}

static int end(struct relay_sink *base, struct err *err)
{
    struct redis_writer *w = &own(base)->writer;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < w->outlets.count; i++) {
        if (w->outlets.list[i]->added > 0)
            rc = redis_writer_trim(w, w->outlets.list[i], err);
    }
    if (rc == 0)
        rc = redis_writer_drain(w, err);
    if (rc == 0 && w->there > 0)
        relay_say("%llu entries stood there already", (unsigned long long)w->there);
    return rc;
}

static void close_sink(struct relay_sink *base)
{
    struct sink *s = own(base);
    redis_writer_finish(&s->writer);
    ss_redis_node_finish(&s->node);
    free(s);
}

static const struct relay_sink_ops ops = {.put = put, .flush = flush, .end = end, .close = close_sink};

/* --- opening ----------------------------------------------------------------------------------------- */

static int check(const struct ss_url *url, const struct relay_options *o, struct err *err)
{
    if (url->node_count > 1)
        return err_set(err, ERR_INVALID, "%s: a Redis Cluster is not followed; name one server", url->scheme);
    return o->max_len == 0 || o->max_len <= INT64_MAX ? 0 : err_set(err, ERR_INVALID, "a stream is not that long");
}

int relay_redis_sink(struct relay_sink **out, const struct ss_url *url, const struct relay_options *o, struct err *err)
{
    struct sink *s = calloc(1, sizeof(*s));
    if (!s)
        return no_memory(err);
    s->base.ops = &ops;
    s->o = o;
    s->connect = (struct redis_options){.ca_file = o->ca_file, .insecure = o->insecure, .reply_ms = REPLY_MS};
    s->writer.field = span_str(o->field ? o->field : REDIS_FIELD);
    s->writer.max_len = o->max_len;
    int rc = check(url, o, err);
    if (rc == 0)
        rc = ss_url_redis(url, 0, &s->node, err);
    if (rc == 0)
        rc = redis_conn_open(&s->writer.conn, &s->node, &s->connect, err);
    if (rc != 0) {
        close_sink(&s->base);
        return rc;
    }
    *out = &s->base;
    return 0;
}
