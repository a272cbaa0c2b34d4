#include "daemon/feed.h"

#include <errno.h>
#include <stdlib.h>
#include <xxhash.h>

#define SLICE_BYTES (256 * 1024)
#define SLICES_A_TURN 8 /* of frames looked at, about a millisecond each */
#define WAKES_A_TURN 64
#define BUCKETS_FIRST 64

/* One exact topic, or a prefix with its dot, that a follower waits for. */
struct wait_key {
    struct wait_key *chain; /* of the bucket */
    struct wait_key *more;  /* of the follower */
    struct follower *follower;
    uint64_t hash;
    bool prefix;
    size_t len;
    uint8_t text[];
};

struct feed {
    struct site *site;
    struct store_cursor *watch; /* sees every frame once */
    struct wait_key **buckets;
    size_t bucket_count, key_count;
    struct follower all; /* list head: every follower */
    struct follower *queue, **queue_end;
    size_t count;
    size_t all_count; /* followers of everything */
    bool behind;      /* the watch has more to look at */
    bool ending;
    uv_idle_t idle; /* runs while the queue holds somebody */
};

/* --- the table of keys
 * ---------------------------------------------------------------------------- */

static uint64_t hash_of(struct span text, bool prefix)
{
    return XXH3_64bits_withSeed(text.ptr, text.len, prefix);
}

static struct wait_key **bucket_of(struct feed *feed, uint64_t hash)
{
    return &feed->buckets[hash & (feed->bucket_count - 1)];
}

/* Failing to grow only makes chains longer. */
static void grow(struct feed *feed)
{
    size_t was = feed->bucket_count;
    struct wait_key **old = feed->buckets;
    struct wait_key **buckets =
        feed->key_count >= was ? calloc(was * 2, sizeof(struct wait_key *)) : NULL;
    if (!buckets)
        return;
    feed->buckets = buckets;
    feed->bucket_count = was * 2;
    for (size_t i = 0; i < was; i++) {
        struct wait_key *key = old[i];
        while (key) {
            struct wait_key *next = key->chain;
            struct wait_key **bucket = bucket_of(feed, key->hash);
            key->chain = *bucket;
            *bucket = key;
            key = next;
        }
    }
    free(old);
}

static int add_key(struct feed *feed, struct follower *follower, struct span text, bool prefix)
{
    struct wait_key *key = malloc(sizeof(*key) + text.len);
    if (!key)
        return -ENOMEM;
    grow(feed);
    uint64_t hash = hash_of(text, prefix);
    struct wait_key **bucket = bucket_of(feed, hash);
    *key = (struct wait_key){.chain = *bucket,
                             .more = follower->keys,
                             .follower = follower,
                             .hash = hash,
                             .prefix = prefix,
                             .len = text.len};
    memcpy(key->text, text.ptr, text.len);
    *bucket = key;
    follower->keys = key;
    feed->key_count++;
    return 0;
}

static void remove_key(struct feed *feed, struct wait_key *key)
{
    struct wait_key **at = bucket_of(feed, key->hash);
    while (*at != key)
        at = &(*at)->chain;
    *at = key->chain;
    feed->key_count--;
    free(key);
}

/* --- waking
 * --------------------------------------------------------------------------------------- */

static void drain(uv_idle_t *idle);

void feed_later(struct feed *feed, struct follower *follower)
{
    if (follower->queued)
        return;
    follower->queued = true;
    follower->queue_next = NULL;
    *feed->queue_end = follower;
    feed->queue_end = &follower->queue_next;
    uv_idle_start(&feed->idle, drain);
}

static void touch(struct feed *feed, struct follower *follower)
{
    if (follower->waiting)
        feed_later(feed, follower);
}

static void touch_key(struct feed *feed, struct span text, bool prefix)
{
    uint64_t hash = hash_of(text, prefix);
    for (struct wait_key *key = *bucket_of(feed, hash); key; key = key->chain)
        if (key->hash == hash && key->prefix == prefix &&
            span_eq(span_of(key->text, key->len), text))
            touch(feed, key->follower);
}

static void touch_topic(struct feed *feed, struct span topic)
{
    if (feed->key_count == 0)
        return;
    touch_key(feed, topic, false);
    for (size_t i = 0; i < topic.len; i++)
        if (topic.ptr[i] == '.')
            touch_key(feed, span_of(topic.ptr, i + 1), true);
}

static void touch_all(struct feed *feed, bool keyed)
{
    for (struct follower *f = feed->all.next; f != &feed->all; f = f->next)
        if (keyed || !f->keys)
            touch(feed, f);
}

static long see(void *arg, const struct store_item *item)
{
    struct feed *feed = arg;
    log_frame(feed->site->daemon->log, item->frame);
    touch_topic(feed, item->frame->topic);
    return item->line.len > 0 ? (long)item->line.len : 1;
}

/* --- the watch
 * ------------------------------------------------------------------------------------ */

static int open_watch(struct feed *feed, struct err *err)
{
    struct store_query query = {.follow = true, .skip_history = true};
    struct store_cursor *cursor;
    int rc = store_cursor_open(&cursor, feed->site->store, &query, err);
    if (rc < 0)
        return rc;
    store_cursor_close(feed->watch);
    feed->watch = cursor;
    return 0;
}

/* What passed unseen may have been for anybody. */
static void start_over(struct feed *feed)
{
    struct err err = ERR_INIT;
    log_say(feed->site->daemon->log, LOG_WARN, "feed", "skipped=frames reason=\"the loop fell behind\"");
    if (open_watch(feed, &err) < 0)
        log_say(feed->site->daemon->log, LOG_ERROR, "feed", "error=\"%s\"", err.text);
    touch_all(feed, true);
}

static void look(struct feed *feed)
{
    enum store_step step = STORE_MORE;
    struct err err = ERR_INIT;
    for (int i = 0; i < SLICES_A_TURN && step == STORE_MORE; i++) {
        int rc = store_cursor_read(feed->watch, SLICE_BYTES, false, see, feed, &step, &err);
        if (rc < 0 && rc != ERR_DAMAGED)
            step = STORE_DISK;
    }
    feed->behind = step == STORE_MORE;
    if (step == STORE_DISK)
        start_over(feed);
    if (feed->all_count > 0)
        touch_all(feed, false);
    if (feed->behind)
        uv_idle_start(&feed->idle, drain);
}

void feed_published(struct feed *feed)
{
    look(feed);
}

static void wake_some(struct feed *feed)
{
    for (int i = 0; i < WAKES_A_TURN && feed->queue; i++) {
        struct follower *follower = feed->queue;
        feed->queue = follower->queue_next;
        if (!feed->queue)
            feed->queue_end = &feed->queue;
        follower->queued = false;
        follower->waiting = false;
        follower->wake(follower);
    }
}

static void drain(uv_idle_t *idle)
{
    struct feed *feed = idle->data;
    if (feed->behind)
        look(feed);
    wake_some(feed);
    if (!feed->queue && !feed->behind)
        uv_idle_stop(idle);
}

/* --- followers
 * -------------------------------------------------------------------------------------- */

int feed_add(struct feed *feed, struct follower *follower, const struct pattern_list *topics,
             struct span stream)
{
    int rc = stream.len > 0 ? add_key(feed, follower, stream, false) : 0;
    for (size_t i = 0; rc == 0 && stream.len == 0 && !topics->all && i < topics->count; i++)
        rc = add_key(feed, follower, topics->items[i].text, topics->items[i].prefix);
    follower->prev = feed->all.prev;
    follower->next = &feed->all;
    follower->prev->next = follower;
    feed->all.prev = follower;
    feed->count += !follower->own;
    feed->all_count += !follower->keys;
    if (rc < 0)
        feed_remove(feed, follower);
    return rc;
}

static void leave_queue(struct feed *feed, struct follower *follower)
{
    struct follower **at = &feed->queue;
    while (*at && *at != follower)
        at = &(*at)->queue_next;
    if (!*at)
        return;
    *at = follower->queue_next;
    if (!*at)
        feed->queue_end = at;
    follower->queued = false;
}

void feed_remove(struct feed *feed, struct follower *follower)
{
    if (follower->queued)
        leave_queue(feed, follower);
    if (!follower->next)
        return;
    feed->count -= !follower->own;
    feed->all_count -= !follower->keys;
    while (follower->keys) {
        struct wait_key *key = follower->keys;
        follower->keys = key->more;
        remove_key(feed, key);
    }
    follower->prev->next = follower->next;
    follower->next->prev = follower->prev;
    follower->prev = follower->next = NULL;
}

void feed_end(struct feed *feed)
{
    feed->ending = true;
    look(feed);
    touch_all(feed, true);
}

bool feed_ending(const struct feed *feed)
{
    return feed->ending;
}

size_t feed_count(const struct feed *feed)
{
    return feed->count;
}

static bool is_key(const struct feed *feed, struct span text, bool prefix)
{
    uint64_t hash = hash_of(text, prefix);
    const struct wait_key *key = feed->buckets[hash & (feed->bucket_count - 1)];
    while (key && !(key->hash == hash && key->prefix == prefix &&
                    span_eq(span_of(key->text, key->len), text)))
        key = key->chain;
    return key != NULL;
}

bool feed_awaited(const struct feed *feed, struct span topic)
{
    bool found = feed->key_count > 0 && is_key(feed, topic, false);
    for (size_t i = 0; !found && feed->key_count > 0 && i < topic.len; i++)
        found = topic.ptr[i] == '.' && is_key(feed, span_of(topic.ptr, i + 1), true);
    return found;
}

/* --- life
 * ------------------------------------------------------------------------------------------- */

int feed_create(struct feed **out, struct site *site, struct err *err)
{
    struct feed *feed = calloc(1, sizeof(*feed));
    if (feed)
        feed->buckets = calloc(BUCKETS_FIRST, sizeof(struct wait_key *));
    if (!feed || !feed->buckets) {
        free(feed);
        return err_set(err, -ENOMEM, "no memory for the followers' table");
    }
    feed->site = site;
    feed->bucket_count = BUCKETS_FIRST;
    feed->all.prev = feed->all.next = &feed->all;
    feed->queue_end = &feed->queue;
    int rc = open_watch(feed, err);
    if (rc < 0) {
        free(feed->buckets);
        free(feed);
        return rc;
    }
    uv_idle_init(site->daemon->loop, &feed->idle);
    feed->idle.data = feed;
    *out = feed;
    return 0;
}

static void closed(uv_handle_t *handle)
{
    free(handle->data);
}

void feed_destroy(struct feed *feed)
{
    if (!feed)
        return;
    store_cursor_close(feed->watch);
    free(feed->buckets);
    uv_close((uv_handle_t *)&feed->idle, closed);
}
