/*
 * The streams that one stream key means: its shards, when there are any.
 */
#ifndef BRIDGE_IO_REDIS_SHARDS_H
#define BRIDGE_IO_REDIS_SHARDS_H

#include "bridge/io/redis_conn.h"

struct redis_shard {
    char *name; /**< KEY:SHARD, or KEY alone */
    uint64_t shard;
};
struct redis_shards {
    struct redis_shard *list; /**< in the order of their numbers; never empty */
    size_t count, cap;
    bool sharded; /**< else it is the key itself */
};

/** Looks for streams KEY:NUMBER; without any it is KEY, which need not exist. Blocking. */
int redis_shards_find(struct redis_shards *out, struct redis_conn *c, struct span key, struct err *err);
/** Takes a zeroed one. */
void redis_shards_finish(struct redis_shards *shards);

/** Id of the last entry; 0-0 when there is none. */
int redis_last_entry(struct redis_conn *c, const char *name, struct redis_id *out, struct err *err);

#endif
