#include "store/keys.h"

#include <errno.h>
#include <stdlib.h>
#include <xxhash.h>

static size_t bucket_of(uint32_t topic_no, struct span key)
{
    return XXH3_64bits_withSeed(key.ptr, key.len, topic_no) % KEYS_BUCKETS;
}

const struct key_entry *keys_find(const struct keys *keys, uint32_t topic_no, struct span key)
{
    if (!keys->buckets)
        return NULL;
    for (struct key_entry *e = keys->buckets[bucket_of(topic_no, key)]; e; e = e->chain)
        if (e->topic_no == topic_no && span_eq(span_of(e->text, e->len), key))
            return e;
    return NULL;
}

int keys_add(struct keys *keys, uint64_t number, uint32_t topic_no, struct span key,
             const uint8_t digest[static DIGEST_SIZE], struct frame_id first, uint32_t count)
{
    if (!keys->buckets && !(keys->buckets = calloc(KEYS_BUCKETS, sizeof(struct key_entry *))))
        return -ENOMEM;
    struct key_entry *e = malloc(sizeof *e + key.len);
    if (!e)
        return -ENOMEM;
    struct key_entry **bucket = &keys->buckets[bucket_of(topic_no, key)];
    *e = (struct key_entry){.chain = *bucket,
                            .number = number,
                            .first = first,
                            .count = count,
                            .topic_no = topic_no,
                            .len = key.len};
    memcpy(e->digest, digest, DIGEST_SIZE);
    memcpy(e->text, key.ptr, key.len);
    *bucket = e;
    if (keys->newest)
        keys->newest->newer = e;
    else
        keys->oldest = e;
    keys->newest = e;
    return 0;
}

static void unlink_entry(struct keys *keys, struct key_entry *e)
{
    struct key_entry **at = &keys->buckets[bucket_of(e->topic_no, span_of(e->text, e->len))];
    while (*at != e)
        at = &(*at)->chain;
    *at = e->chain;
    free(e);
}

void keys_forget(struct keys *keys, uint64_t number)
{
    while (keys->oldest && keys->oldest->number <= number) {
        struct key_entry *e = keys->oldest;
        keys->oldest = e->newer;
        if (!keys->oldest)
            keys->newest = NULL;
        unlink_entry(keys, e);
    }
}

void keys_undo(struct keys *keys, uint64_t number)
{
    struct key_entry *last = NULL;
    struct key_entry *e = keys->oldest;
    while (e && e->number < number) {
        last = e;
        e = e->newer;
    }
    while (e) {
        struct key_entry *next = e->newer;
        unlink_entry(keys, e);
        e = next;
    }
    keys->newest = last;
    if (last)
        last->newer = NULL;
    else
        keys->oldest = NULL;
}

void keys_finish(struct keys *keys)
{
    keys_undo(keys, 0);
    free(keys->buckets);
    keys->buckets = NULL;
}
