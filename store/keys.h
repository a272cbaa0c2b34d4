/*
 * Idempotency keys that the index may not have yet. The writer thread's own.
 */
#ifndef STORE_KEYS_H
#define STORE_KEYS_H

#include <weir/frame.h>

struct key_entry {
    struct key_entry *chain;
    struct key_entry *newer; /**< in record order */
    uint64_t number;         /**< record it is in */
    uint8_t digest[DIGEST_SIZE];
    struct frame_id first;
    uint32_t count;
    uint32_t topic_no;
    size_t len;
    uint8_t text[];
};

#define KEYS_BUCKETS 1024

struct keys {
    struct key_entry **buckets; /**< made with the first key */
    struct key_entry *oldest, *newest;
};

void keys_finish(struct keys *keys);
/** NULL when not there. */
const struct key_entry *keys_find(const struct keys *keys, uint32_t topic_no, struct span key);
/** -ENOMEM. Record numbers never fall. */
int keys_add(struct keys *keys, uint64_t number, uint32_t topic_no, struct span key,
             const uint8_t digest[static DIGEST_SIZE], struct frame_id first, uint32_t count);
/** Forgets keys of records up to `number`: the index has them. */
void keys_forget(struct keys *keys, uint64_t number);
/** Forgets keys of records from `number` on: the record was not written. */
void keys_undo(struct keys *keys, uint64_t number);

#endif
