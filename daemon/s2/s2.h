/*
 * The S2 v1 API over the log: what its routes share. Basins are stores, streams are topics, records are frames.
 *
 *   request -> s2_route (table) -> route.begin -> s2_enter: names, rights, the basin's store opened -> the route's work -> s2_reply
 *
 * Routes see requests through daemon/http/http.h alone, so HTTP/1.1 and HTTP/2 reach the same code. Facts are those of the S2 v1 API.
 * Thread rule: the loop thread.
 */
#ifndef DAEMON_S2_H
#define DAEMON_S2_H

#include "base/s2/coding.h"
#include "base/s2/config.h"
#include "base/s2/headers.h"
#include "base/s2/json.h"
#include "base/s2/names.h"
#include "base/s2/record.h"
#include "daemon/attached.h"
#include "daemon/auth/auth.h"
#include "daemon/exchange.h"

struct basin;
struct basins;

/** Codes of error answers: name and status are in s2_error.c. */
enum s2_code {
    S2_BAD_HEADER, S2_BAD_JSON, S2_BAD_PATH, S2_BAD_PROTO, S2_BAD_QUERY, S2_BAD_FRAME, S2_DECRYPTION_FAILED, /* 400 */
    S2_AUTHN,                                                                                                /* 401 */
    S2_PERMISSION_DENIED,                                                                                    /* 403 */
    S2_BASIN_NOT_FOUND, S2_STREAM_NOT_FOUND, S2_TOKEN_NOT_FOUND,                                             /* 404 */
    S2_ALREADY_EXISTS, S2_BASIN_DELETION_PENDING, S2_CONFLICT,                                               /* 409 */
    S2_INVALID,                                                                                              /* 422 */
    S2_STORAGE, S2_OTHER,                                                                                    /* 500 */
    S2_NOT_IMPLEMENTED,                                                                                      /* 501 */
    S2_UNAVAILABLE,                                                                                          /* 503 */
    S2_CODES
};

/** What a body is, or what an answer is to be. */
enum s2_type { S2_TYPE_NONE, S2_TYPE_JSON, S2_TYPE_PROTO, S2_TYPE_SESSION, S2_TYPE_EVENTS, S2_TYPE_OTHER };

/**
 * Somebody who needs a basin's store: calls `opened` with it, open, or with NULL and why (ERR_NOT_FOUND: it is gone); maybe at once. The site then
 * stays open until basin_release. The owner's memory.
 */
struct basin_use {
    void (*opened)(struct basin_use *use, struct site *site, const struct err *err);
    struct basin *basin;        /**< from here on basins.c's own */
    struct attached *attached;
    struct attached_use use;
};

/** Head of every S2 route's struct. */
struct s2_request {
    struct exchange x;
    enum s2_type content, accept; /**< first media type of content-type and accept; NONE where absent or * / * */
    struct basin *basin;          /**< after s2_enter, where the route has one */
    struct span basin_name;       /**< points into basin_text */
    struct buf stream;            /**< full name of the stream, with the token's prefix; empty where the route has none */
    void (*entered)(struct s2_request *s);
    char basin_text[S2_BASIN_MAX + 1];
    struct basin_use use;         /**< from here on s2_enter's own */
    const struct route *own;      /**< its route while it waits for the store */
    unsigned need;
    bool paused, ended_early;     /**< its body was held back, its body's end came meanwhile */
    bool joined;                  /**< counted and listed in x.site */
    bool cut;                     /**< its connection was cut */
    struct s2_request *prev_there, *next_there;
    struct s2_look *looking;      /**< s2_look's own */
    struct buf body;              /**< of s2_body_take */
    struct buf unpacked;
    bool body_refused;
};

/* --- into a request (s2_enter.c) ------------------------------------------------------------------------ */

enum s2_need {
    S2_NEED_BASIN = 1,  /**< header s2-basin; over a store's own socket absent means that store */
    S2_NEED_STREAM = 2, /**< x.operand begins with the stream's name, up to the next '/' */
    S2_NEED_PATH_BASIN = 4,  /**< x.operand begins with the basin's name, up to the next '/' */
    S2_NEED_PATH_STREAM = 8, /**< and behind that the stream's */
    S2_OWN_STORE = 32,       /**< where S2_NEED_BASIN takes the store of the socket, one that cannot be a basin will do: s->basin is NULL */
    S2_NEED_NAMES_ONLY = 16, /**< the basin is not looked for: it may not be there, or is not to be opened */
};

/**
 * Checks the names a route needs and the right to `op`, finds the basin, opens its store when it is closed and sets x.site to it; then
 * `entered`, maybe before it returns. What is not so is answered, and `entered` does not come; so is a basin that is being deleted (409). Neither body nor end comes before `entered`. Always returns 0, so that route.begin can end with it.
 */
int s2_enter(struct s2_request *s, unsigned need, enum auth_op op, void (*entered)(struct s2_request *s));
/** The media type a content-type or accept header names first. */
enum s2_type s2_type_of(struct span header);
/** Appends a stream's name as the store knows it: with the token's prefix. ERR_INVALID when it becomes too long; -ENOMEM. */
int s2_full_name(const struct s2_request *s, struct span name, struct buf *out, struct err *err);
/** For route.finish of every S2 route: frees what this struct owns. */
void s2_finish(struct s2_request *s);

/** Query parameter by name, decoded into `room` (NUL-terminated). 1: there; 0: absent; an answer was given: -1 (bad_query: twice, undecodable, longer). */
int s2_query_text(struct s2_request *s, const char *name, char *room, size_t size, struct span *out);
/** The same as a number; `true`/`false` texts as flag. */
int s2_query_u64(struct s2_request *s, const char *name, uint64_t *out);
int s2_query_flag(struct s2_request *s, const char *name, bool *out);

/* --- bodies (s2_body.c) ----------------------------------------------------------------------------------- */

/** route.body of unary routes: gathers up to S2_BODY_MAX. */
size_t s2_body_take(struct exchange *x, struct span bytes);
/** route.end's first call: the body, unpacked by its content-encoding. False: an error was answered (too long, bad coding: `code`). */
bool s2_body(struct s2_request *s, enum s2_code code, struct span *out);
/** The same in two steps: the coding, while x.req is there, and the unpacking, by any thread. ERR_FORMAT; ERR_TOO_LARGE; -ENOMEM. */
bool s2_body_coding(struct s2_request *s, enum s2_code code, enum coding *out);
int s2_body_unpack(struct s2_request *s, enum coding coding, struct span *out, struct err *err);

/* --- the stream (s2_look.c) --------------------------------------------------------------------------------- */

enum s2_auto { S2_AUTO_NOT, S2_AUTO_APPEND, S2_AUTO_READ };
/**
 * How the stream is made if it is not there: *out NULL where the basin does not do so. Reads s2-stream-config (as long as x.req is there); a bad
 * one is answered (bad_header) and -1 comes back. `room` belongs to the caller and is what *out points into.
 */
struct s2_making {
    struct topic_make make;
    struct buf note;
};
int s2_making(struct s2_request *s, enum s2_auto how, struct s2_making *room, const struct topic_make **out);
void s2_making_finish(struct s2_making *room);

/**
 * Looks at the stream (TOPIC_LOOK, in order with all appends), making it where the basin does so; then `looked` with a view that lives for
 * the call. 404 and the like are answered instead. The request is held meanwhile.
 */
void s2_look(struct s2_request *s, enum s2_auto how, void (*looked)(struct s2_request *s, const struct store_topic *topic));

/* --- answers (s2_reply.c, s2_error.c) ------------------------------------------------------------------------- */

int s2_status(enum s2_code code);
/** Answers {"code","message"}; nothing happens when no answer is wanted any more. Always returns 0. */
int s2_fail(struct s2_request *s, enum s2_code code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/** The same for an error of ours, its code by s2_code_of. */
int s2_fail_err(struct s2_request *s, int code, const struct err *err);
/** Appends that JSON alone, for session ends and events. */
int s2_error_put(struct buf *out, enum s2_code code, const char *message);
/** Answers for a store operation that was refused: 412 with its body, 404, 409, 422, storage ... Always returns 0. */
int s2_refused(struct s2_request *s, const struct store_op *op);
/** The same as status and JSON, for session ends. */
int s2_refusal_put(struct buf *out, unsigned *status, const struct store_op *op);
/** The code for an error of ours. */
enum s2_code s2_code_of(int code);
/** 416 with the tail. */
int s2_out_of_range(struct s2_request *s, const struct s2_position *tail);
/** A whole answer, compressed where it is worth it and accept-encoding allows. type: "application/json", ... or NULL with no body. fields as http_reply. */
void s2_reply(struct s2_request *s, int status, const char *type, struct span body, const struct http_field *fields);
/** Begins an SSE or session answer with the fields that stop proxies from keeping or changing it. */
bool s2_stream(struct s2_request *s, const char *type, long (*read)(void *arg, struct http_req *req, uint8_t *into, size_t room));

/* --- basins (basins.h has the rest) ------------------------------------------------------------------------------ */

const struct s2_basin_config *basin_config(const struct basin *basin);
struct span basin_name(const struct basin *basin);
bool basin_deleting(const struct basin *basin);

/* --- followers of a stream that ends (s2_ends.c) -------------------------------------------------------------------- */

/** A long read of a stream, so that its deletion ends it. Zeroed; kept by the owner; a read leaves before its memory goes. */
struct s2_watch {
    struct s2_watch *prev, *next;
    uint32_t no;      /**< of the topic */
    struct site *site;
    void (*deleted)(struct s2_watch *watch);
};
void s2_watch(struct s2_watch *watch, struct site *site, uint32_t no, void (*deleted)(struct s2_watch *watch));
void s2_unwatch(struct s2_watch *watch);
/** Tells the watches of a topic that was dropped. */
void s2_dropped(struct site *site, uint32_t no);
/** Tells all watches of a site that is to be closed. */
void s2_site_ends(struct site *site);
/** Cuts what is still at work in it: requests that came in by other entrances. */
void s2_site_cut(struct site *site);
/** The request works in this site from now on; its exchange is counted there. By s2_enter. */
void s2_join(struct s2_request *s, struct site *site);
/** By s2_finish. */
void s2_part(struct s2_request *s);

/* --- what is counted (s2_stats.c): for /metrics and the usage metrics ------------------------------------------------------ */

/** An append that was acknowledged: records, metered bytes, seconds from the request (or its frame) to the answer. */
void s2_count_append(struct s2_request *s, size_t records, uint64_t bytes, double seconds);
/** Seconds an append waited before it was admitted. */
void s2_count_permit(double seconds);
/** Records handed to a reader. */
void s2_count_read(struct s2_request *s, size_t records, uint64_t bytes);
/** Any other operation on the basin or account. */
void s2_count_op(struct s2_request *s, enum auth_op op);

/* --- encryption (s2_cipher.c) ------------------------------------------------------------------------------------------- */

#define S2_KEY_SIZE 32
/** Header s2-encryption-key for a stream with this cipher: 1 key read, 0 plain stream, -1 answered (bad_header). While x.req is there. */
int s2_key(struct s2_request *s, enum s2_cipher cipher, uint8_t key[static S2_KEY_SIZE]);
/** Appends a record's headers and body as one encrypted content, bound to the stream's name. -ENOMEM, ERR_UNAVAILABLE. */
int s2_seal(struct buf *out, const uint8_t key[static S2_KEY_SIZE], const struct store_topic *topic, const struct s2_record *record, struct err *err);
/** The reverse; spans point into `room`. ERR_FORBIDDEN: another key (decryption_failed); ERR_DAMAGED; -ENOMEM. */
int s2_unseal(struct s2_record *out, struct s2_headers *headers, struct buf *room, const uint8_t key[static S2_KEY_SIZE],
              const struct store_topic *topic, struct span content, struct err *err);
/** Meta of a frame whose content is sealed. */
#define S2_SEALED_META "{\"s2.sealed\":\"aes-256-gcm\"}"

/* --- the way in (s2_routes.c) ----------------------------------------------------------------------------------------------- */

/** Whether the path is one of this API: /v1/..., /health, /ping. */
bool s2_path(struct span path);
/** The route of a request, its operand set; NULL: 404 or 405 was answered. */
const struct route *s2_route(struct http_req *req, struct span *operand);

/* Routes. */
extern const struct route s2_route_append;                            /* append.c: unary; a session goes to append_session.c */
extern const struct route s2_route_records;                           /* read.c: unary, SSE, sessions */
extern const struct route s2_route_tail;                              /* tail.c */
extern const struct route s2_route_basins_list, s2_route_basins_post; /* api_basins.c */
extern const struct route s2_route_basin_get, s2_route_basin_put, s2_route_basin_patch, s2_route_basin_delete;
extern const struct route s2_route_streams_list, s2_route_streams_post; /* api_streams.c */
extern const struct route s2_route_stream_get, s2_route_stream_put, s2_route_stream_patch, s2_route_stream_delete;
extern const struct route s2_route_tokens_list, s2_route_tokens_post, s2_route_token_delete; /* api_tokens.c */
extern const struct route s2_route_locations, s2_route_location_get, s2_route_location_put;  /* api_locations.c */
extern const struct route s2_route_metrics;                                                  /* api_usage.c */
extern const struct route s2_route_health;

#endif
