/*
 * Who may do what: access tokens, kept in the root store as hashes, and what a request's token lets it do.
 *
 * A token is S2's (scopes of basins, streams and tokens, operations, expiry, auto-prefix), plus the operation `exec`, which S2's wire
 * cannot grant. Open state: no root token was ever made, no listener beyond loopback, no --require-token: a request without a known
 * token may do everything but exec; a known one is held to its scope, also when it is expired or revoked. Closed state: a valid token, or 401.
 * What comes over a store's own socket needs no token and may do everything; one that comes with it is not looked at.
 *
 * Tokens are marks of the root store, so a change is durable when it is answered, and in force only then:
 *
 *   token/ID           the token of that id that is not revoked; the root token's id is `root`
 *   token-gone/HASH    a secret that was revoked or replaced (the newest AUTH_GONE_MAX are kept), so that nobody takes it for an unknown one
 *
 * Thread rule: the loop thread, but grant_allows: any, as long as the grant is held.
 */
#ifndef DAEMON_AUTH_H
#define DAEMON_AUTH_H

#include "daemon/auth/scope.h"
#include "daemon/site.h"

#define AUTH_TOKENS_MAX 100000 /**< tokens that are not revoked */
#define AUTH_GONE_MAX 10000    /**< revoked ones that are remembered */
#define AUTH_ROOT_ID "root"    /**< id of the root token */

/** A secret as its owner sends it: "weir_" and 32 random bytes as base64url. */
#define AUTH_SECRET_LEN 48

struct auth;
struct grant; /**< what one request may; counted */

/** Reads the tokens of the root store (may block: before the first connection). *out is to be destroyed also when it fails, if it is not NULL. */
int auth_create(struct auth **out, struct site *root, struct err *err);
/** Takes NULL. After the loop ran for the last time, and no grant is held any more. */
void auth_destroy(struct auth *auth);
/** From now on the state is closed, whether a root token was made or not: --require-token, a listener beyond loopback. */
void auth_close(struct auth *auth);
/**
 * Where TCP listeners are ("HOST:PORT", NULL-terminated): one beyond loopback closes the state. ERR_FORBIDDEN when there is one, but no root
 * token, and none can be made since the store is read-only. Without a root token the log says how one is made. May block shortly.
 */
int auth_listens(struct auth *auth, const char *const *addresses, struct err *err);
/** Whether requests over TCP need a token. */
bool auth_is_closed(const struct auth *auth);
/** Whether a root token is in force, without which a closed daemon lets nobody in. */
bool auth_has_root(const struct auth *auth);
/** Marks came into the root store by an import: tokens among them are read. */
void auth_refresh(struct auth *auth);

/** Who a request is. *out may become NULL: everything its entrance allows (the store's own socket). ERR_AUTH. */
int auth_enter(struct auth *auth, const struct http_req *req, struct grant **out, struct err *err);
/** One more holder. Takes NULL. Returns it. */
struct grant *grant_hold(struct grant *grant);
/** Gives a grant back. Takes NULL. */
void grant_drop(struct grant *grant);

/**
 * Whether the operation is allowed on the basin and stream (len 0 where there is none, which is not looked at). Also asks whether the token
 * still holds, so a long answer may ask again and again. NULL: true, but for AUTH_EXEC false.
 */
bool grant_allows(const struct grant *grant, enum auth_op op, struct span basin, struct span stream);
/** Whether the scope of tokens has this id (AUTH_ISSUE_TOKEN, AUTH_REVOKE_TOKEN, AUTH_LIST_TOKENS). */
bool grant_allows_token(const struct grant *grant, enum auth_op op, struct span id);
/** Put before each stream name of a request, and taken from each in answers; usually empty. Lives as long as the grant. */
struct span grant_prefix(const struct grant *grant);
/** What it allows, at whatever time; NULL for NULL: everything. Lives as long as the grant. */
const struct auth_scope *grant_scope(const struct grant *grant);
/** Whether it may see every stream of the basins it has. NULL: true. */
bool grant_sees_all(const struct grant *grant);

/**
 * A request that ends when its token does: by revocation, by time, or because the state was closed and it had none. Zeroed; the
 * owner's memory until auth_unwatch.
 */
struct auth_watch {
    struct auth_watch *prev, *next;
    struct grant *grant;               /**< of the owner */
    void (*ended)(struct auth_watch *watch); /**< may unwatch this one, no other */
};
/** Takes one whose grant is NULL: nothing ends it. */
void auth_watch(struct auth *auth, struct auth_watch *watch);
/** Takes one that is not watched. */
void auth_unwatch(struct auth *auth, struct auth_watch *watch);

/* --- tokens as their owners see them ----------------------------------------------------------------------- */

/** A token, asked for or there. Spans live for the call that hands it out. */
struct auth_token {
    struct span id;
    struct auth_scope scope;
    bool has_expiry;
    uint64_t expires_ms; /**< since the epoch */
    bool auto_prefix;    /**< the prefix of scope.sets[AUTH_STREAMS] is put before stream names */
    bool root;           /**< the root token */
};

/**
 * Tokens that are not revoked nor expired and whose id starts with `prefix` and comes after `after`, in byte order. each: false ends.
 */
void auth_each(const struct auth *auth, struct span prefix, struct span after, bool (*each)(void *arg, const struct auth_token *token),
               void *arg);

/** A change under way: the owner's memory until `done`, which comes once, never before the call that took it returned. */
struct auth_change {
    void (*done)(struct auth_change *change);
    int result; /**< 0, or why it was not made; the change is durable and in force when it is 0 */
    struct err err;
    char secret[AUTH_SECRET_LEN + 1]; /**< issue: what its owner sends; nowhere else */

    struct auth *auth; /**< from here on its own */
    struct submission submission;
    struct store_mark marks[4];
    struct buf names, record;
    struct grant *fresh, *old;
    uint8_t forgotten[32];
    bool forgets;
};

/**
 * Issues a token for one who has `issuer` (NULL: everything, exec too). Its expiry is the issuer's where it has none. 0: `done` comes. ERR_FORBIDDEN:
 * more than the issuer has; ERR_CONFLICT: one of that id lives; ERR_INVALID: auto-prefix without a prefix, an expiry that is over, the id
 * of the root token; ERR_FULL; -ENOMEM.
 */
int auth_issue(struct auth *auth, struct auth_change *change, const struct auth_token *token, struct grant *issuer, struct err *err);
/** Makes the root token, instead of the one before; from then on the state is closed. As auth_issue. */
int auth_issue_root(struct auth *auth, struct auth_change *change, struct err *err);
/** Revokes one. ERR_NOT_FOUND; ERR_FORBIDDEN: not `issuer`'s to revoke, and the root token, which is replaced instead. */
int auth_revoke(struct auth *auth, struct auth_change *change, struct span id, struct grant *issuer, struct err *err);

#endif
