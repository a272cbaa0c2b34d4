/*
 * POST /v1/streams/STREAM/records: its two forms share a route.
 *
 * Thread rule: the loop thread.
 */
#ifndef DAEMON_S2_APPEND_H
#define DAEMON_S2_APPEND_H

#include "daemon/s2/append_batch.h"
#include "daemon/s2/append_gate.h"

#define APPEND_INLINE (64 * 1024) /**< bytes that are read on the loop; more by the pool */

struct append_session;

/** The route's struct. */
struct append {
    struct s2_request s;
    struct append_stream stream;
    struct append_session *session; /**< NULL for a unary append */
    /* Unary. */
    enum s2_format format;
    enum coding coding;
    struct job job; /**< reading a large body; while it runs batch, result and err are its own */
    int result;
    struct err err;
    struct append_batch batch;
    struct s2_making making;
    const struct topic_make *make;
    struct gate_wait wait;
    uint64_t ended_us, submitted_us;
};

/** Sets the stream up from the request, which is entered. ERR_FORBIDDEN, -ENOMEM. */
int append_stream_of(struct append *a, struct err *err);
/** Its life and its key, from a look at it. False: an error was answered. */
bool append_stream_looked(struct append *a, const struct store_topic *topic);

/** A session for an entered request: looks at the stream, answers, and takes frames from then on. */
void append_session_begin(struct append *a);
/** As of struct route. */
size_t append_session_body(struct append_session *session, struct span bytes);
void append_session_end(struct append_session *session);
void append_session_gone(struct append_session *session);
/** Takes NULL. */
void append_session_finish(struct append_session *session);

#endif
