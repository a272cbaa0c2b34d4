/*
 * What the files of access tokens have in common: the tables and what ends requests.
 *
 * Thread rule: the loop thread.
 */
#ifndef DAEMON_AUTH_IMPL_H
#define DAEMON_AUTH_IMPL_H

#include "daemon/auth/grant.h"

#define AUTH_MARK "token/"
#define AUTH_GONE_MARK "token-gone/"
#define AUTH_SLOTS 4096 /**< a power of two */

struct auth {
    struct site *site;
    struct grant *anybody; /**< those without a token; over when the state is closed */
    struct grant **by_id;  /**< pending and live, by id; each is held by its slot below or by its change */
    size_t count, cap;
    struct grant *slots[AUTH_SLOTS]; /**< live and gone, by hash: held */
    size_t gone;
    struct auth_watch watches; /**< head of a ring */
    uv_timer_t timer;          /**< the next expiry of what is watched */
};

/** Takes in the tokens of the root store. May block. -ENOMEM; as store_marks. */
int auth_load(struct auth *auth, struct err *err);

/** By id: place, token (NULL: none), in (-ENOMEM), out. */
size_t auth_place(const struct auth *auth, struct span id, bool *there);
struct grant *auth_find(const struct auth *auth, struct span id);
int auth_add(struct auth *auth, struct grant *grant);
void auth_take_out(struct auth *auth, struct grant *grant);
/** By hash. */
struct grant *auth_by_hash(struct auth *auth, const uint8_t hash[static AUTH_HASH_SIZE]);
void auth_hash_in(struct auth *auth, struct grant *grant);
void auth_hash_out(struct auth *auth, struct grant *grant);
void auth_hash(uint8_t out[static AUTH_HASH_SIZE], struct span secret);

/** A secret that went is known as that. -ENOMEM. */
int auth_remember(struct auth *auth, const uint8_t hash[static AUTH_HASH_SIZE], uint64_t went_ms);
/** The one to be forgotten before one more is remembered; NULL: there is room. */
struct grant *auth_oldest_gone(struct auth *auth);
void auth_forget(struct auth *auth, struct grant *gone);
/** A live token goes: it allows nothing any more, and what is open under it ends. */
void auth_bury(struct auth *auth, struct grant *grant, uint64_t now_ms);

/** Ends what is watched and does not hold any more. */
void auth_end_watches(struct auth *auth);

#endif
