/*
 * HTTP for the routes, which see requests through this header alone: HTTP/1.1 by libmicrohttpd (the only files that include
 * microhttpd.h are daemon/http/http*.c) and HTTP/2 by nghttp2 (daemon/h2). A connection's first bytes say which it is.
 *
 * Thread rule: everything here runs on the loop thread. Routes that need the disk hand the work to
 * the pool and answer later, on the loop thread.
 */
#ifndef DAEMON_HTTP_H
#define DAEMON_HTTP_H

#include <uv.h>

#include <weir/err.h>
#include <weir/frame.h>
#include <weir/span.h>

struct http_server;
struct http_req;
struct tls;

enum http_method {
    HTTP_GET,
    HTTP_HEAD,
    HTTP_POST,
    HTTP_PUT,
    HTTP_DELETE,
    HTTP_PATCH,
    HTTP_OPTIONS,
    HTTP_OTHER
};

/** How the request came in. */
enum http_via { HTTP_VIA_UNIX, HTTP_VIA_TCP };

/** What the routes give the server. */
struct http_handler {
    /** The head is there. May reply at once, or set state with http_set_state. After http_reply the body is discarded, and neither
     * body nor end come; after http_reply_stream they go on to come. */
    void (*begin)(void *arg, struct http_req *req);
    /**
     * Body bytes. Returns how many were taken: all, or fewer (even 0): then the body is paused and
     * the rest is offered again after http_resume_body.
     */
    size_t (*body)(void *arg, struct http_req *req, struct span bytes);
    /** The body is complete, also one of no bytes. The route replies now or later, unless it has. */
    void (*end)(void *arg, struct http_req *req);
    /** The request is over: answered fully, or the client is gone (complete = false), or its body
     * was malformed or cut. Last call for this request; the route frees its state. Work still on
     * the pool must note that and drop its result. */
    void (*gone)(void *arg, struct http_req *req, bool complete);
};

/**
 * Where connections come in: whose routes they reach. The owner's memory, which must stay while `connections` is not 0;
 * filled by the owner but for the count.
 */
struct http_door {
    enum http_via via;
    const struct http_handler *handler;
    void *arg;          /**< of the handler */
    bool ending;        /**< set by http_end; the owner takes it back when it lets in again */
    size_t connections; /**< open ones that came in here */
    bool end_is_gone;   /**< a client that ends its sending side while its answer is awaited counts as gone: over TCP a
                           closed client shows as nothing else */
    const struct tls *tls; /**< what comes in here is to speak TLS; NULL = it must not */
};

struct http_options {
    unsigned idle_timeout_s; /**< a head or body that makes no progress: 408 or close; 0 = 30. Not
                                for open answers */
    size_t max_connections;  /**< 0 = from RLIMIT_NOFILE, leaving room for files */
};

int http_create(struct http_server **out, uv_loop_t *loop, const struct http_options *options,
                struct err *err);
/**
 * Takes over a connected, accepted, non-blocking descriptor. Takes ownership also on failure.
 * ERR_UNAVAILABLE when full or draining (see http_full). A head may have 64 KiB; on a connection of HTTP/1.1
 * that began with a small POST about 20 KiB (see http_waiting.c); over that the client gets 431.
 */
int http_add(struct http_server *server, int fd, struct http_door *door, struct err *err);
/** No new requests; `drained` is called when the last answer was sent or `timeout_ms` passed (rest
 * cut). */
void http_shutdown(struct http_server *server, unsigned timeout_ms, void (*drained)(void *arg),
                   void *arg);
/** After drained. Takes NULL. */
void http_destroy(struct http_server *server);
size_t http_connections(const struct http_server *server);
/** Sends what was answered or woken so far, before other work of this loop turn. Not from inside a route's callbacks. Takes NULL. */
void http_flush(struct http_server *server);
/** True while no further connection would be taken: the listeners then leave theirs in the backlog.
 */
bool http_full(const struct http_server *server);

/* --- the request --- */

enum http_method http_method(const struct http_req *req);
/** Raw path (not decoded, absolute-form already cut off) and raw query without '?'. Live as long as
 * the request. */
struct span http_path(const struct http_req *req);
struct span http_query(const struct http_req *req);
/** A header's value by name (any case), empty span with ptr NULL when absent. */
struct span http_header(const struct http_req *req, const char *name);
enum http_via http_via(const struct http_req *req);
/** The door it came in by. */
struct http_door *http_door(const struct http_req *req);
/** Lets the door's connections end: each closes after the answer under way, idle ones now. */
void http_end(struct http_server *server, struct http_door *door);
/** Cuts every connection that came in by this door; their requests' gone comes soon. */
void http_cut(struct http_server *server, const struct http_door *door);
/** The head as it was sent; all live as long as the request. */
const char *http_method_text(const struct http_req *req);
struct span http_target(const struct http_req *req);
/** Whether an answer of http_reply_stream goes out while the body still comes: HTTP/2. Else its `read` is first called after the body's end. */
bool http_is_duplex(const struct http_req *req);
/** HTTP/1.0. */
bool http_is_old(const struct http_req *req);
/** Each header, in order, also those that are there more than once. */
void http_each_header(const struct http_req *req,
                      void (*each)(void *arg, struct span name, struct span value), void *arg);

struct http_peer {
    char ip[48];
    unsigned port;
};
/** Who sent it; false over Unix sockets, and when it is gone already. */
bool http_peer(const struct http_req *req, struct http_peer *out);

/** Announced body length, UINT64_MAX when one comes whose length is not said, 0 when none. */
uint64_t http_body_length(const struct http_req *req);

void http_set_state(struct http_req *req, void *state);
void *http_state(const struct http_req *req);

/** The body goes on (see body). */
void http_resume_body(struct http_req *req);

/* --- the answer --- */

struct http_field {
    const char *name;
    const char *value;
};

/**
 * A header for whatever answer this request gets, the server's own errors included; before the
 * reply. Both texts are copied. -ENOMEM.
 */
int http_add_field(struct http_req *req, const char *name, const char *value);

/** A complete answer; body is copied; content_type NULL = none. Exactly one reply a request. fields
 * end with a NULL name; may be NULL. */
void http_reply(struct http_req *req, int status, const char *content_type, struct span body,
                const struct http_field *fields);

#define HTTP_WAIT (-1)  /**< nothing now: call again after http_wake */
#define HTTP_ABORT (-2) /**< cut the connection, or reset the stream: the client must not think this complete */

/**
 * An answer as it comes, also given before the body's end: `read` puts bytes into `into` and returns how many (> 0), 0 at the end,
 * HTTP_WAIT or HTTP_ABORT. size UINT64_MAX = chunked, else Content-Length. Not called any more
 * after gone().
 */
void http_reply_stream(struct http_req *req, int status, const char *content_type, uint64_t size,
                       long (*read)(void *arg, struct http_req *req, uint8_t *into, size_t room),
                       const struct http_field *fields);
/**
 * Whether the client has ended its sending side. Over TCP it may be gone, or wait for its answer all the same; false where one that is gone is
 * noticed anyhow.
 */
bool http_client_ended(const struct http_req *req);
/** Cuts the request off at once, whether it is answered or not: its connection, over HTTP/2 its stream alone; gone comes soon. */
void http_abort(struct http_req *req);
/**
 * A field behind the last byte of a chunked answer; from within `read`, before it says that this is the end. Both texts are
 * copied; the value is not empty and holds no control bytes. Name it in the head's field Trailer. A client of HTTP/1.0, HEAD and an answer of
 * known size get none. ERR_INVALID for such a value; -ENOMEM.
 */
int http_add_trailer(struct http_req *req, const char *name, const char *value);
/** read has something again. May be called at any time, also needlessly. */
void http_wake(struct http_req *req);

#endif
