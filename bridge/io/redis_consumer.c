#include <errno.h>
#include <hiredis/hiredis.h>
#include <stdlib.h>

#include "base/clean.h"
#include "base/text.h"
#include "bridge/io/redis_host.h"
#include "bridge/io/redis_impl.h"
#include "bridge/io/redis_shards.h"

#define WORDS_FIXED 16 /* words of a read beside names and ids */

static int no_memory(struct err *err)
{
    return err_sys(err, ENOMEM, "Redis consumer");
}

/* --- opening ----------------------------------------------------------------------------------------- */

static char *copy(const char *text)
{
    return text ? strdup(text) : NULL;
}

static int copy_node(struct redis_consumer *c, const struct ss_redis_node *node)
{
    c->node = *node;
    c->node.user = copy(node->user);
    c->node.password = copy(node->password);
    c->node.host = copy(node->host);
    return (node->user && !c->node.user) || (node->password && !c->node.password) || !c->node.host ? -ENOMEM : 0;
}

static int copy_keys(struct redis_consumer *c, char *const *keys, size_t count)
{
    c->keys = calloc(count, sizeof(*c->keys));
    for (size_t i = 0; c->keys && i < count; i++) {
        c->keys[i] = strdup(keys[i]);
        if (!c->keys[i])
            return -ENOMEM;
        c->key_count++;
    }
    return c->keys ? 0 : -ENOMEM;
}

/* A name that was given, or the one that is made up. */
static char *name_of(const char *given, int (*make)(struct buf *))
{
    CLEAN_BUF name = BUF_INIT;
    if (given)
        return strdup(given);
    const char *text = make(&name) == 0 ? buf_cstr(&name) : NULL;
    return text ? strdup(text) : NULL;
}

static int resumable_group(struct buf *out)
{
    return redis_group_name(out, SS_RESUMABLE);
}

static int balanced_group(struct buf *out)
{
    return redis_group_name(out, SS_BALANCED);
}

static int choose_names(struct redis_consumer *c)
{
    c->field = strdup(c->o.field ? c->o.field : REDIS_FIELD);
    if (!redis_grouped(c))
        return c->field ? 0 : -ENOMEM;
    bool resumable = c->o.mode == SS_RESUMABLE;
    c->group = name_of(c->o.group, resumable ? resumable_group : balanced_group);
    c->member = name_of(resumable && !c->o.member ? c->group : c->o.member, redis_member_name);
    return c->field && c->group && c->member ? 0 : -ENOMEM;
}

static int take_over(struct redis_consumer *c, const struct ss_redis_node *node, const struct redis_options *connect, char *const *keys,
                     size_t key_count)
{
    if (connect)
        c->connect = *connect;
    c->ca_file = copy(c->connect.ca_file);
    if (c->connect.ca_file && !c->ca_file)
        return -ENOMEM;
    c->connect.ca_file = c->ca_file;
    int rc = copy_node(c, node);
    if (rc == 0)
        rc = copy_keys(c, keys, key_count);
    return rc == 0 ? choose_names(c) : rc;
}

static int add_streams(struct redis_consumer *c, struct redis_shards *shards, const char *key)
{
    struct redis_stream *list = realloc(c->list, (c->count + shards->count) * sizeof(*list));
    if (!list)
        return -ENOMEM;
    c->list = list;
    for (size_t i = 0; i < shards->count; i++) {
        list[c->count++] = (struct redis_stream){.name = shards->list[i].name, .key = span_str(key), .shard = shards->list[i].shard};
        shards->list[i].name = NULL;
    }
    return 0;
}

static int find_streams(struct redis_consumer *c, struct err *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < c->key_count; i++) {
        struct redis_shards shards = {.list = NULL};
        rc = redis_shards_find(&shards, c->conn, span_str(c->keys[i]), err);
        if (rc == 0 && add_streams(c, &shards, c->keys[i]) != 0)
            rc = no_memory(err);
        redis_shards_finish(&shards);
    }
    if (rc != 0)
        return rc;
    c->words = calloc(WORDS_FIXED + 2 * c->count, sizeof(*c->words));
    c->ids = calloc(c->count, sizeof(*c->ids));
    return c->words && c->ids ? 0 : no_memory(err);
}

/* Where each stream ends is looked up before anything is read, so that nothing falls between. */
static int find_places(struct redis_consumer *c, struct err *err)
{
    int rc = 0;
    bool from_end = !redis_grouped(c) && !c->o.from_start && !c->o.has_after;
    for (size_t i = 0; rc == 0 && i < c->count; i++) {
        struct redis_stream *s = &c->list[i];
        if (from_end || c->o.ends)
            rc = redis_last_entry(c->conn, s->name, &s->mark, err);
        if (!redis_grouped(c))
            s->at = s->got = from_end ? s->mark : c->o.has_after ? c->o.after : (struct redis_id){0};
    }
    return rc == 0 && redis_grouped(c) ? redis_group_make(c, err) : rc;
}

static int open_all(struct redis_consumer *c, struct err *err)
{
    int rc = redis_link(c, err);
    if (rc == 0)
        rc = find_streams(c, err);
    return rc == 0 ? find_places(c, err) : rc;
}

static void discard(struct redis_consumer *c);

int redis_consumer_open(struct redis_consumer **out, const struct ss_redis_node *node, const struct redis_options *connect,
                        char *const *keys, size_t key_count, const struct redis_consumer_options *options, struct err *err)
{
    if (key_count == 0)
        return err_set(err, ERR_INVALID, "no stream key");
    struct redis_consumer *c = calloc(1, sizeof(*c));
    if (!c)
        return no_memory(err);
    c->o = *options;
    c->commit_us = time_mono_us();
    redis_claim_later(c);
    int rc = take_over(c, node, connect, keys, key_count) == 0 ? open_all(c, err) : no_memory(err);
    if (rc != 0) {
        discard(c);
        return rc;
    }
    *out = c;
    return 0;
}

/* --- closing ----------------------------------------------------------------------------------------- */

static void discard(struct redis_consumer *c)
{
    redis_conn_close(c->conn);
    redis_conn_close(c->side);
    redis_drop_held(c);
    for (size_t i = 0; i < c->count; i++) {
        free(c->list[i].name);
        free(c->list[i].owed);
        free(c->list[i].seen);
    }
    for (size_t i = 0; i < c->key_count; i++)
        free(c->keys[i]);
    char *texts[] = {c->group, c->member, c->field, c->ca_file};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        free(texts[i]);
    free(c->list);
    free(c->keys);
    free(c->words);
    free(c->ids);
    ss_redis_node_finish(&c->node);
    free(c);
}

int redis_consumer_close(struct redis_consumer *c, struct err *err)
{
    if (!c)
        return 0;
    int rc = redis_grouped(c) ? redis_consumer_commit(c, true, err) : 0;
    discard(c);
    return rc;
}

/* --- places ------------------------------------------------------------------------------------------ */

uint64_t redis_consumer_skipped(const struct redis_consumer *c)
{
    return c->skipped;
}

bool redis_consumer_at_end(const struct redis_consumer *c)
{
    for (size_t i = 0; i < c->count; i++) {
        const struct redis_stream *s = &c->list[i];
        if (s->history || (!s->dry && redis_id_cmp(s->at, s->mark) < 0))
            return false;
    }
    return !c->held.reply;
}

int redis_consumer_place(const struct redis_consumer *c, struct buf *out)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < c->count; i++) {
        char id[REDIS_ID_TEXT];
        redis_id_format(id, c->list[i].at);
        rc = buf_addf(out, "%s%s=%s", i > 0 ? "," : "", c->list[i].name, id);
    }
    return rc;
}

/* What was asked or came from another place is dropped. */
static void set_place(struct redis_consumer *c, size_t i, struct redis_id id)
{
    c->list[i].at = c->list[i].got = id;
    redis_drop_held(c);
    if (c->asked) {
        redis_conn_close(c->conn);
        c->conn = NULL;
        c->asked = false;
    }
}

/* "NAME=MS-N" of the front of a place. */
static bool next_part(struct span *place, struct span *name, struct redis_id *id)
{
    const uint8_t *comma = memchr(place->ptr, ',', place->len);
    struct span part = span_of(place->ptr, comma ? (size_t)(comma - place->ptr) : place->len);
    const uint8_t *sign = part.len > 0 ? memchr(part.ptr, '=', part.len) : NULL;
    if (!sign)
        return false;
    *name = span_of(part.ptr, (size_t)(sign - part.ptr));
    *place = comma ? span_of(comma + 1, place->len - part.len - 1) : span_of(NULL, 0);
    return redis_id_parse(span_of(sign + 1, part.len - name->len - 1), id) == 0;
}

static int find_in(const struct redis_consumer *c, struct span place, size_t stream, struct redis_id *id, struct err *err)
{
    *id = (struct redis_id){0};
    while (place.len > 0) {
        struct span name;
        struct redis_id here;
        if (!next_part(&place, &name, &here))
            return err_set(err, ERR_INVALID, "no place of Redis streams, which is KEY=MS-N,...");
        if (span_is(name, c->list[stream].name)) {
            *id = here;
            return 1;
        }
    }
    return 0;
}

int redis_consumer_go(struct redis_consumer *c, struct span place, struct err *err)
{
    bool any = false;
    if (redis_grouped(c))
        return err_set(err, ERR_INVALID, "a group remembers its place by itself");
    for (size_t i = 0; i < c->count; i++) {
        struct redis_id id;
        int rc = find_in(c, place, i, &id, err);
        if (rc < 0)
            return rc;
        any |= rc > 0;
        set_place(c, i, id);
    }
    return any ? 0 : err_set(err, ERR_INVALID, "the place is one of other streams");
}

int redis_consumer_seek(struct redis_consumer *c, bool by_time, uint64_t value, struct err *err)
{
    struct redis_id id = by_time ? (struct redis_id){value, UINT16_MAX} : redis_id_of_seq(value);
    if (redis_grouped(c))
        return err_set(err, ERR_INVALID, "a group remembers its place by itself");
    for (size_t i = 0; i < c->count; i++)
        set_place(c, i, id);
    return 0;
}
