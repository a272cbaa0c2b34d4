/*
 * A grant: a token in memory, or what one has who came without.
 *
 * All but `refs` and `over` stays as it was made. Thread rule: made, held and dropped on the loop thread; looked at from any.
 */
#ifndef DAEMON_AUTH_GRANT_H
#define DAEMON_AUTH_GRANT_H

#include <stdatomic.h>

#include "daemon/auth/auth.h"

#define AUTH_HASH_SIZE 32

enum grant_state {
    GRANT_OURS,    /**< nobody's token: those who come without one, in the open state */
    GRANT_PENDING, /**< its record is not durable yet */
    GRANT_LIVE,    /**< in force, or expired */
    GRANT_GONE,    /**< revoked or replaced; only its hash is known */
};

struct grant {
    unsigned refs;
    enum grant_state state;
    atomic_bool over;             /**< it allows nothing any more */
    uint8_t hash[AUTH_HASH_SIZE]; /**< of the secret */
    uint64_t made_ms;             /**< GONE: when it went */
    struct auth_token token;      /**< its texts lie in `texts` */
    uint32_t ops;                 /**< all of its scope */
    struct grant *next;           /**< of those with the same place in the table of hashes */
    uint8_t texts[];
};

/** A copy of the token, held once. NULL without memory. */
struct grant *grant_make(const struct auth_token *token, enum grant_state state);
/** Whether it holds at this moment. */
bool grant_holds(const struct grant *grant, uint64_t now_ms);

#endif
