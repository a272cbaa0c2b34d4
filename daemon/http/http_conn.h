/*
 * Inside the HTTP server: what its files share. Nothing here is for the routes.
 *
 * A connection is in one of three states towards the clock: untimed (an answer is open, or the
 * route has paused the body), idle (a head or body is awaited), or lingering (answered before its
 * body was complete). Both timed lists have one fixed span each, so they are queues: the oldest
 * stands first.
 */
#ifndef DAEMON_HTTP_CONN_H
#define DAEMON_HTTP_CONN_H

#include <microhttpd.h>

#include "daemon/h2/h2.h"
#include "daemon/http/http_base.h"
#include "daemon/http/tls_relay.h"

/** Pool of one connection (see http_waiting.c). In a large one heads of 64 KiB fit with some 200
 * fields, and half of it is a chunk's room; it is touched only as far as it is used until the
 * second request. */
#define HTTP_POOL_SMALL (24u * 1024)
#define HTTP_POOL_LARGE (80u * 1024)
/** What is read and thrown away after an early answer, so that the client gets to reading it: many
 * send all before they look. */
#define HTTP_LINGER_BYTES (64u * 1024 * 1024)
#define HTTP_LINGER_MS 1000

struct http_conn;

struct timed_list {
    struct http_conn *first;
    struct http_conn *last;
    uint64_t span_ms;
};

/** Where a connection goes: to one of MHD's daemons, or to HTTP/2. */
enum http_side { SIDE_SMALL, SIDE_LARGE, SIDES, SIDE_H2 = SIDES };

struct http_server {
    uv_loop_t *loop;
    struct MHD_Daemon *mhd[SIDES];
    struct h2_server *h2;
    size_t max;
    size_t count;
    struct http_conn *all;
    struct timed_list idle;
    struct timed_list lingering;
    struct http_linger *lingers; /**< closed by the protocol, still draining */
    size_t linger_count;
    struct http_waiting *waiting_first; /**< accepted, nothing sent yet; oldest first */
    struct http_waiting *waiting_last;
    size_t waiting_count;
    uv_timer_t prefix_timer; /**< looks again at those that began as HTTP/2 begins */
    int watch_fd;         /**< epoll set of the suspended connections' hang-ups */
    struct http_door *adding; /**< of the connection MHD_add_connection takes in just now */
    const struct http_peer *adding_peer; /**< likewise; NULL: its socket says */
    struct tls_relays relays;
    bool dirty;           /**< MHD_run is due this turn; HTTP/2 knows by itself */
    bool draining;
    bool destroyed;
    void (*drained)(void *arg);
    void *drained_arg;
    unsigned open_handles;
    uv_poll_t mhd_poll[SIDES];
    uv_poll_t watch_poll;
    uv_prepare_t prepare;
    uv_check_t check;
    uv_idle_t spin;
    uv_timer_t tick;
    uv_timer_t cut_timer;
};

struct http_conn {
    struct http_server *server;
    struct MHD_Connection *mhd;
    struct mhd_req *req; /**< the request whose first line was read, or NULL */
    int fd;
    struct http_door *door;
    bool has_peer;
    struct http_peer peer;
    bool suspended;
    bool watched; /**< in the server's epoll set */
    bool cut;     /**< hung up or to be dropped: no more answers */
    bool linger;  /**< closing while the client may still send */
    bool served;  /**< had an earlier request */
    struct http_conn *prev;
    struct http_conn *next;
    struct timed_list *timed;
    struct http_conn *timed_prev;
    struct http_conn *timed_next;
    uint64_t stamp_ms;
};

enum req_phase {
    REQ_HEAD,   /**< the head is not complete */
    REQ_BODY,   /**< the body comes */
    REQ_DONE,   /**< the body is there, the answer is awaited */
    REQ_ANSWER, /**< the answer is with the protocol */
};

struct mhd_req {
    struct http_req base;
    struct http_conn *conn;
    enum req_phase phase;
    bool begun;       /**< the route has seen it, and will see gone */
    bool paused;      /**< the route did not take all: suspended until http_resume_body */
    bool resume;      /**< http_resume_body came from within body */
    bool reading;     /**< within the route's read */
    bool waiting;     /**< read said HTTP_WAIT: suspended until http_wake */
    bool woken;       /**< http_wake came from within read */
    bool failed;      /**< read cut the answer */
    bool direct;      /**< the answer went past MHD, straight to the socket */
    bool direct_ok;   /**< and wholly */
    bool wide;        /**< the pool's pages are touched and can be given back while waiting */
    uint64_t pending; /**< body bytes: since the last sign of progress, or thrown away */
    struct MHD_Response *response;
    unsigned status;
    struct buf early; /**< the answer as bytes, kept while the body is incomplete */
    http_read_fn read; /**< of an answer that comes by and by, or NULL */
    uint64_t size;
    uint64_t produced;
    char target[];
};

/* --- connections (http_conn.c) --- */

/** The connection was taken in or is over: MHD_NotifyConnectionCallback. */
void conn_notify(void *cls, struct MHD_Connection *mhd, void **context,
                 enum MHD_ConnectionNotificationCode code);
struct http_conn *conn_of(struct MHD_Connection *mhd);
/** Takes the connection out of MHD's work until conn_resume; from then on its hang-up is watched.
 */
void conn_suspend(struct http_conn *conn);
/** Does nothing when not suspended. The work happens in this turn's one MHD_run. */
void conn_resume(struct http_conn *conn);
/** Starts the clock of `list` anew; NULL: untimed. */
void conn_time(struct http_conn *conn, struct timed_list *list);
/** Ends it at once: the request's gone comes from MHD, soon. */
void conn_cut(struct http_conn *conn);
void conn_watch_ready(uv_poll_t *poll, int status, int events);
void conn_tick(uv_timer_t *timer);

static inline struct mhd_req *mhd_req_of(const struct http_req *base)
{
    return (struct mhd_req *)(uintptr_t)base; /* its first member */
}

/* --- heads (http_head.c) --- */

struct span mhd_header(const struct http_req *base, const char *name);
void mhd_each_header(const struct http_req *base, void (*each)(void *arg, struct span name, struct span value), void *arg);
bool mhd_peer(const struct http_req *base, struct http_peer *out);
/** What no route should have to think of: answers it. */
bool mhd_refused(struct mhd_req *req);

/* --- requests (http_req.c) --- */

void *req_target(void *cls, const char *target, struct MHD_Connection *mhd);
enum MHD_Result req_handle(void *cls, struct MHD_Connection *mhd, const char *url,
                           const char *method, const char *version, const char *data, size_t *size,
                           void **context);
void req_completed(void *cls, struct MHD_Connection *mhd, void **context,
                   enum MHD_RequestTerminationCode code);

/* --- answers (http_reply.c) --- */

extern const struct http_ops mhd_ops;
void mhd_reply(struct http_req *base, int status, const char *content_type, struct span body, const struct http_field *fields);
void mhd_reply_stream(struct http_req *base, int status, const char *content_type, uint64_t size, http_read_fn read,
                      const struct http_field *fields);
int mhd_add_trailer(struct http_req *base, const char *name, const char *value);
void mhd_wake(struct http_req *base);
/** Sends the early answer past MHD and ends our side of the stream; MHD goes on discarding the
 * body. */
void reply_direct(struct mhd_req *req);
/** The same for a connection whose request is not there yet. */
void reply_timeout(int fd);
/** Tells a client whose request ended before its end. */
void reply_ended(int fd);

/* --- draining after the end (http_linger.c) --- */

/** Called when MHD is about to close: where the client may still send, keeps the socket open to
 * drain it, since a close with unread bytes would reset the stream and the client could lose the
 * answer. */
void linger_begin(struct http_conn *conn);
void linger_tick(struct http_server *server, uint64_t now_ms);
void linger_end_all(struct http_server *server);
/* --- before the first byte (http_waiting.c) --- */

/** Owns `fd` from here on; peer: who it is, NULL: the socket says. Hands it to server_take when its first bytes are there. */
int waiting_begin(struct http_server *server, int fd, struct http_door *door, const struct http_peer *peer);
/** Closes those of one door. */
void waiting_cut(struct http_server *server, const struct http_door *door);
void waiting_tick(struct http_server *server, uint64_t now_ms);
void waiting_end_all(struct http_server *server);

/* --- the server (http.c) --- */

/** Gives the descriptor to the protocol it speaks, which closes it on failure. */
void server_take(struct http_server *server, enum http_side side, int fd, struct http_door *door, const struct http_peer *peer);
/** A handle's memory can go; the last one of a destroyed server frees it. */
void server_handle_closed(struct http_server *server);
/** Looks again at connections that wait for more of their first bytes. */
void waiting_look(uv_timer_t *timer);
/** The clock is needed. */
void server_start_tick(struct http_server *server);

#endif
