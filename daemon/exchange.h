/*
 * One request on its way through its route, and the routes themselves.
 *
 * An exchange is the head of its route's own struct. It lives as long as the request, and longer
 * while something that was started for it (a job, an operation) still holds it: then `req` is NULL,
 * and what comes is dropped. Everything here runs on the loop thread.
 */
#ifndef DAEMON_EXCHANGE_H
#define DAEMON_EXCHANGE_H

#include "daemon/auth/auth.h"
#include "daemon/site.h"
#include "daemon/pool.h"
#include "daemon/query.h"
#include "daemon/reply.h"

struct exchange;

/** What a route does. begin is needed; the others where they have something to do. */
struct route {
    size_t size; /**< of its struct, which begins with a struct exchange and is zeroed at first */
    enum auth_op op; /**< the right it needs in the site's basin, as far as the route alone says; a route of the S2 API asks by
                          s2_enter instead */
    bool open;       /**< it needs no token at all */
    /** The head is there. Replies, now or later, or waits for the body. An error is answered for
     * it. */
    int (*begin)(struct exchange *x, struct err *err);
    /** As http_handler.body. NULL: a body is read and thrown away. */
    size_t (*body)(struct exchange *x, struct span bytes);
    void (*end)(struct exchange *x);
    /** The request is over (req is NULL already): stops what can be stopped. */
    void (*gone)(struct exchange *x);
    /** Nobody holds it any more: frees what the struct owns, not the struct. */
    void (*finish)(struct exchange *x);
};

struct exchange {
    struct daemon *daemon;
    struct site *site;
    const struct entrance *entrance; /**< as long as req is there */
    const struct route *route;
    struct http_req *req; /**< NULL once the request is over */
    struct span operand;  /**< the path behind the route's, raw; as long as req is there */
    struct query query;
    char *origin; /**< text of the entrance's origin, or NULL */
    struct grant *grant; /**< what its token lets it do; NULL = what its entrance allows */
    struct auth_watch watch; /**< ends it with its token */
    unsigned holds;
    bool answered;
    bool duplex; /**< set by the route: its body goes on coming to it though its answer began (see http_is_duplex) */
};

void exchange_hold(struct exchange *x);
void exchange_drop(struct exchange *x);

/** Whether an answer is still wanted and not given. */
static inline bool exchange_open(const struct exchange *x)
{
    return x->req && !x->answered;
}

/** Parses the query with the keys a route takes into x->query, which the exchange frees. */
int exchange_query(struct exchange *x, uint64_t keys, struct err *err);
/** Decodes the operand. ERR_INVALID, -ENOMEM. */
int exchange_operand(struct exchange *x, struct buf *out, struct err *err);
/** What frames of this request may do: exec where its entrance or its token grants that. While x->req is there. */
enum authority exchange_authority(const struct exchange *x);

/* --- what its token has, for routes over frames; any thread, as long as the exchange is held ---------------- */

/** Whether the token has the operation on this topic (not empty). */
bool exchange_allows(const struct exchange *x, enum auth_op op, struct span topic);
/** The same as an error: ERR_FORBIDDEN. */
int exchange_check(const struct exchange *x, enum auth_op op, struct span topic, struct err *err);
/** Whether the token sees some topics only. */
bool exchange_is_narrow(const struct exchange *x);
/** Leaves of a query's topics those that the token has. `room` is made where it is needed and must stay until the cursor is open; finished by
 * the caller (pattern_finish) in any case. -ENOMEM. */
int exchange_narrow(const struct exchange *x, struct store_query *query, struct pattern_list *room);
/** Whether the token may see this content: a frame that it may read names it. ERR_NOT_FOUND. May block. */
int exchange_shows(const struct exchange *x, const uint8_t digest[static DIGEST_SIZE], struct err *err);

/** Answers; nothing happens when that is no longer wanted. */
void exchange_fail(struct exchange *x, int code, const struct err *err, const char *extra);
/** The same for an operation that the store refused: with the actual values of its conditions. */
void exchange_refuse(struct exchange *x, const struct store_op *op);
/** Sets authority, conditions and key of an operation from the request; call while x->req is there.
 * The key borrows from x. */
void exchange_conditions(struct exchange *x, struct store_op *op);
void exchange_reply(struct exchange *x, int status, const char *type, struct span body,
                    const struct http_field *fields);
/** An answer that comes by and by; false when it is no longer wanted. See http_reply_stream. */
bool exchange_stream(struct exchange *x, const char *type, uint64_t size,
                     long (*read)(void *arg, struct http_req *req, uint8_t *into, size_t room),
                     const struct http_field *fields);
void exchange_wake(struct exchange *x);
/** Submits a job on behalf of the exchange. */
void exchange_job(struct exchange *x, struct job *job);

/** The origin that frames appended by this request get, or an empty span; lives as long as the exchange. ERR_FORBIDDEN when
 * programs pass on in a circle (more than HOPS_MAX). */
int exchange_origin(struct exchange *x, struct span *out, struct err *err);

/** May a caller with this authority append to the topic? ERR_FORBIDDEN. */
int exchange_may_append(enum authority authority, struct span topic, struct err *err);
/** The same, and has the request's token the topic? Any thread; authority: that of exchange_authority. ERR_FORBIDDEN. */
int exchange_check_append(const struct exchange *x, enum authority authority, struct span topic, struct err *err);

/* The routes. */
extern const struct route route_read, route_last, route_get, route_remove; /* api_read.c */
extern const struct route route_append, route_seed_append;                 /* api_append.c */
extern const struct route route_batch;                                     /* api_batch.c */
extern const struct route route_import;                                    /* api_import.c */
extern const struct route route_cas_get, route_cas_post;                   /* api_cas.c */
extern const struct route route_cursors, route_cursors_put, route_cursors_remove; /* api_cursors.c */
extern const struct route route_eval, route_pipe;                          /* api_eval.c */
extern const struct route route_export;                                    /* api_export.c */
extern const struct route route_groups, route_groups_put, route_groups_remove,
    route_groups_post;                                                     /* api_groups*.c */
extern const struct route route_tokens, route_tokens_post, route_tokens_remove; /* auth/api_auth.c */
extern const struct route route_version, route_status, route_metrics;      /* api_status.c */

/** What the HTTP server calls; its arg is the struct entrance. */
extern const struct http_handler api_handler;

#endif
