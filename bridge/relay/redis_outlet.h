/*
 * What the Redis sink knows of the keys and streams it writes.
 */
#ifndef BRIDGE_RELAY_REDIS_OUTLET_H
#define BRIDGE_RELAY_REDIS_OUTLET_H

#include "bridge/redis.h"

/** A stream of the server, or a key whose shards are streams. */
struct redis_outlet {
    char *name;
    size_t len;
    /* as a key */
    bool looked;   /**< what follows is known */
    bool refused;  /**< it cannot be one */
    bool sharded;  /**< messages of shard 0 go to KEY:0, too */
    uint64_t turn; /**< round robin */
    /* as a stream */
    bool begun;       /**< `high_ms` is known */
    uint64_t high_ms; /**< time of its newest entry, as far as it is known here */
    uint64_t added;   /**< since it was trimmed */
};

/** Zeroed memory is an empty one. */
struct redis_outlets {
    struct redis_outlet **list; /**< sorted by name */
    size_t count, cap;
    struct redis_outlet *last; /**< that was asked for */
};
/** The one of that name, made when it is not known; it stays where it is. NULL without memory. */
struct redis_outlet *redis_outlet(struct redis_outlets *all, struct span name);
void redis_outlets_finish(struct redis_outlets *all);

#endif
