/*
 * One S2S session on one connection: messages in both directions until it ends or breaks. What to
 * do then is for those above.
 */
#ifndef CLIENT_S2_SESSION_H
#define CLIENT_S2_SESSION_H

#include "client/s2/conn.h"

/** Zeroed memory is one that is not open. */
struct s2c_session {
    struct s2c_conn *conn;
    struct s2c_flow flow;
    struct buf room; /**< an unpacked message */
    size_t used;     /**< bytes of the flow that the last message stood in */
    uint64_t opened_us;
    bool reconnect; /**< the server advised to come back */
};

/** Connects and begins the request: POST with a body that stays open, or GET. `path`: encoded,
 * behind "/v1". */
int s2c_session_open(struct s2c_session *s, const struct weir_s2 *s2, const char *basin,
                     const char *method, struct span path, struct weir_s2_err *err);
/** Ends the connection; the session may be opened again. */
void s2c_session_drop(struct s2c_session *s);
/** The same, and frees. */
void s2c_session_finish(struct s2c_session *s);
/** Queues a message. */
int s2c_session_send(struct s2c_session *s, struct span message, enum coding coding);
/**
 * The next message that is here; it lives until the next call or turn. 1; 0: none yet; ERR_END: the
 * session ended in order; another negative code: what the server said, or a broken session.
 */
int s2c_session_next(struct s2c_session *s, struct span *message, struct weir_s2_err *err);
/** As s2c_conn_turn, but what came before a break is taken first: 0 or 1. Broken shows in the next
 * s2c_session_next. */
int s2c_session_turn(struct s2c_session *s, uint64_t deadline);

#endif
