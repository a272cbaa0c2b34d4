/*
 * Inside HTTP/2: what its files share.
 *
 * nghttp2 is the protocol and does no I/O: h2_conn.c gives it what the socket brings and sends what it has. Its callbacks (h2_session.c) tell
 * the streams (h2_stream.c), and these the routes. Nothing is freed and nothing is sent from within a callback or a call of a route: they mark
 * the connection due, and h2_run does it.
 *
 * inv 1: a stream is in nghttp2 (as its stream's user data) exactly as long as it is in its connection's list.
 * inv 2: a body's bytes are consumed, in nghttp2's words, when the route took them or they were thrown away; what it did not take is `kept`.
 * inv 3: a route's gone comes once for each begin, from on_stream_close or from h2_run.
 */
#ifndef DAEMON_H2_IMPL_H
#define DAEMON_H2_IMPL_H

#include <nghttp2/nghttp2.h>

#include "daemon/h2/h2.h"

/** Streams of a connection at a time. */
#define H2_STREAMS_MAX 256
/** What a client may send ahead: of one stream, and of all together. The latter bounds what is kept of a connection. */
#define H2_STREAM_WINDOW (2 * 1024 * 1024)
#define H2_CONN_WINDOW (16 * 1024 * 1024)
/** Sent at a time, read at a time, and what an answer gives at a time. */
#define H2_SEND (256u * 1024)
#define H2_RECEIVE (256u * 1024)
#define H2_READ (64u * 1024)
/** Streams that end in a reset: so many at once, and so many a second. */
#define H2_RESETS_BURST 500
#define H2_RESETS_A_SECOND 100
/** A field's cost beside its bytes, as the protocol counts. */
#define H2_FIELD_COST 32
#define H2_LINGER_MS 1000

struct h2_stream;

/* --- heads (h2_head.c) --- */

struct h2_field {
    uint32_t name, name_len, value, value_len;
};

/** Fields in order, each text with a NUL behind it. Zeroed memory is an empty one. */
struct h2_head {
    struct buf text;
    struct h2_field *fields;
    size_t count, cap;
    size_t cost;
};

/** The name becomes lower case. -ENOMEM. */
int h2_head_add(struct h2_head *head, struct span name, struct span value);
struct span h2_head_name(const struct h2_head *head, size_t i);
struct span h2_head_value(const struct h2_head *head, size_t i);
/** The first of that name, any case; ptr NULL: none. */
struct span h2_head_find(const struct h2_head *head, const char *name);
/** As nghttp2 wants it, to be freed; the texts stay the head's. NULL without memory. */
nghttp2_nv *h2_head_nv(const struct h2_head *head);
void h2_head_finish(struct h2_head *head);

/* --- the server (h2_server.c) --- */

struct h2_timed {
    struct h2_stream *first, *last;
    uint64_t span_ms;
};

struct h2_server {
    uv_loop_t *loop;
    struct h2_conn *all;
    size_t count;     /**< open */
    size_t lingering; /**< ended, and waiting for the client's end */
    struct h2_conn *due_first, *due_last;
    struct h2_timed idle;    /**< streams whose body is awaited; the oldest first */
    struct h2_timed leaving; /**< answered before their body's end */
    uint8_t *in;
    struct buf out;   /**< gathered for one send; empty between */
    struct buf spare; /**< a buffer of H2_READ for whose answer goes on, or empty */
    uv_timer_t tick;
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *option;
    unsigned handles;
    bool destroyed;
    void (*closed)(void *arg);
    void *closed_arg;
};

/** The clock is needed. */
void h2_start_tick(struct h2_server *server);
/** A handle's memory can go; the last one of a destroyed server frees it. */
void h2_handle_closed(struct h2_server *server);

/* --- connections (h2_conn.c) --- */

struct h2_conn {
    struct h2_server *server;
    struct h2_conn *prev, *next;
    struct h2_conn *due_next;
    struct http_door *door; /**< NULL when it lingers */
    bool has_peer;
    struct http_peer peer;
    int fd;
    uv_poll_t poll;
    nghttp2_session *session; /**< NULL when it lingers */
    struct buf out;           /**< what the socket did not take yet */
    struct h2_stream *streams;
    bool due;
    bool stream_due; /**< at least one of the streams is */
    bool blocked;    /**< waits until the socket takes more */
    bool dead;       /**< to be ended without more ado */
    bool noticed;    /**< told that it will end */
    bool final;      /**< told which streams are the last */
    bool lingering;
    uint64_t stamp_ms; /**< of the notice, then of lingering */
    uint64_t resets;
    uint64_t resets_ms;
};

void h2_conn_due(struct h2_conn *conn);
/** Works off what is due and sends. The connection may be gone afterwards. */
void h2_conn_run(struct h2_conn *conn);
/** Both steps of ending well; the second follows by itself. */
void h2_conn_notice(struct h2_conn *conn);
void h2_conn_tick(struct h2_conn *conn, uint64_t now_ms);
/** Ends it at once. */
void h2_conn_end(struct h2_conn *conn, bool linger);

/* --- the protocol (h2_session.c) --- */

/** What is the same for all: callbacks and options. -ENOMEM. */
int h2_session_prepare(struct h2_server *server);
/** The session with its SETTINGS queued. -ENOMEM. */
int h2_session_start(struct h2_conn *conn);

/* --- streams (h2_stream.c) --- */

struct h2_stream {
    struct http_req base;
    struct h2_conn *conn;
    struct h2_stream *prev, *next;
    int32_t id;
    struct h2_head head;
    uint32_t method, target; /**< places in head.text; 0: none */
    bool too_large;          /**< the head */
    bool begun;              /**< the route has seen it, and will see gone */
    bool remote_ended;
    bool end_told;
    bool paused;      /**< the route did not take all */
    bool resume;      /**< http_resume_body came from within body, or is to be worked off */
    bool due;
    bool aborted;
    bool failed;      /**< whatever becomes of the answer, the route is not told that it is complete */
    bool answered;
    bool late;        /**< by ourselves, without the route: what it answers yet is dropped */
    bool whole;       /**< by http_reply */
    bool ended;       /**< read has said that this is the end */
    bool sent;        /**< all of the answer is */
    bool reading;     /**< within the route's read */
    bool waiting;     /**< read said HTTP_WAIT */
    bool woken;       /**< http_wake came from within read */
    struct buf kept;  /**< of the body, not taken by the route */
    size_t kept_at;
    uint64_t pending; /**< body bytes: since the last sign of progress, or thrown away */
    http_read_fn read;
    uint64_t size;
    uint64_t produced;
    struct buf out;   /**< of the answer, given and not sent */
    size_t out_at;
    size_t sending;   /**< of it in the frame that is being sent */
    struct h2_head trailers;
    struct h2_timed *timed;
    struct h2_stream *timed_prev, *timed_next;
    uint64_t stamp_ms;
};

static inline struct h2_stream *h2_stream_of(const struct http_req *base)
{
    return (struct h2_stream *)(uintptr_t)base; /* its first member */
}

/** A stream whose head begins to come; NULL without memory. */
struct h2_stream *h2_stream_open(struct h2_conn *conn, int32_t id);
/** A field of the head. -ENOMEM. */
int h2_stream_field(struct h2_stream *stream, struct span name, struct span value);
/** The head is complete: on to the route. */
void h2_stream_begin(struct h2_stream *stream, bool ended);
void h2_stream_body(struct h2_stream *stream, struct span bytes);
/** The client has ended its side. */
void h2_stream_ended(struct h2_stream *stream);
/** It is over: tells the route, and frees it. */
void h2_stream_over(struct h2_stream *stream);
/** Has h2_run look at it. */
void h2_stream_due(struct h2_stream *stream);
void h2_stream_run(struct h2_stream *stream);
/** Starts the clock of `list` anew; NULL: untimed. */
void h2_stream_time(struct h2_stream *stream, struct h2_timed *list);
void h2_stream_tick(struct h2_server *server, uint64_t now_ms);
/** The last frame of the answer is on its way. */
void h2_stream_sent(struct h2_stream *stream);

/* --- answers (h2_reply.c) --- */

extern const struct http_ops h2_ops;
/** nghttp2 asks for bytes of an answer, and then to put them behind the frame's head. */
ssize_t h2_reply_read(nghttp2_session *session, int32_t id, uint8_t *into, size_t room, uint32_t *flags, nghttp2_data_source *source,
                      void *user);
int h2_reply_send(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *head, size_t length, nghttp2_data_source *source, void *user);
void h2_reply_finish(struct h2_stream *stream);

#endif
