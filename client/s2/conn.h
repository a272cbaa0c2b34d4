/*
 * One HTTP/2 connection with one request on it at a time.
 */
#ifndef CLIENT_S2_CONN_H
#define CLIENT_S2_CONN_H

#include "base/buf.h"
#include "client/s2/handle.h"

/** What comes in while nobody takes it out is bounded by what one turn reads and by the window. */
#define S2C_WINDOW (8 * 1024 * 1024)

/** A request and its answer. Zeroed before its first use; s2c_flow_finish frees. */
struct s2c_flow {
    int32_t id; /**< 0: not begun */
    /* the answer */
    bool head, ended; /**< its head came; its body ended properly */
    bool cut;         /**< the stream was closed before that */
    unsigned reason;  /**< HTTP/2 error code of that */
    int status;
    char content_type[64], encoding[24], provision[16];
    uint64_t retry_after_ms;
    struct buf in;
    size_t in_at; /**< taken out of `in` */
    /* the request's body */
    struct buf up;
    size_t up_at;
    bool up_end;   /**< nothing follows */
    bool deferred; /**< the sender waits for more */
    uint64_t sent; /**< bytes of the body handed to the connection */
};

/** A header; the value is copied. */
struct s2c_field {
    const char *name;
    struct span value;
};

#define S2C_FIELDS 12

/** Fields of a request's head, in order. */
struct s2c_head {
    const char *method;
    struct span path; /**< with query */
    struct s2c_field fields[S2C_FIELDS];
    size_t count;
};
/** Ignored when the value is NULL. */
void s2c_head_add(struct s2c_head *head, const char *name, const char *value);

/** Dials and sends the preface. */
int s2c_conn_open(struct s2c_conn **out, const struct s2c_place *place,
                  const struct s2c_settings *set, uint64_t deadline, struct weir_s2_err *err);
/** Says goodbye as far as it goes without waiting. Takes NULL. */
void s2c_conn_close(struct s2c_conn *conn);
/** Whether a new request can begin: alive, no goodbye from the server, ids left. */
bool s2c_conn_usable(struct s2c_conn *conn);

/**
 * Begins a request on `flow`, which stays where it is until it is dropped. `body`: it has one:
 * flow->up, ended by up_end, to be filled further with s2c_flow_add. Nothing is sent before a turn.
 */
int s2c_flow_begin(struct s2c_conn *conn, struct s2c_flow *flow, const struct s2c_head *head,
                   bool body, struct weir_s2_err *err);
int s2c_flow_add(struct s2c_conn *conn, struct s2c_flow *flow, struct span bytes);
/** Resets the stream if it is open and forgets the flow; `conn` may be NULL. */
void s2c_flow_drop(struct s2c_conn *conn, struct s2c_flow *flow);
/** What came and was not taken. */
struct span s2c_flow_rest(const struct s2c_flow *flow);
void s2c_flow_take(struct s2c_flow *flow, size_t len);
/** Bytes of the body that are not on the wire yet. */
size_t s2c_flow_waiting(const struct s2c_flow *flow);
void s2c_flow_finish(struct s2c_flow *flow);

/**
 * Writes what there is to write, reads what came; waits for something to come until the deadline.
 * 1: something came or went; 0: the deadline passed. Negative: the connection is broken
 * (WEIR_S2_TRANSPORT); what came before stands in the flow.
 */
int s2c_conn_turn(struct s2c_conn *conn, uint64_t deadline, struct weir_s2_err *err);
int s2c_conn_fd(const struct s2c_conn *conn);
/** Whether something could not be written yet. */
bool s2c_conn_wants_write(const struct s2c_conn *conn);
/** Waits for the answer's end: 0, or WEIR_S2_TIMEOUT, WEIR_S2_TRANSPORT; ERR_TOO_LARGE above `max` bytes of body. */
int s2c_await_end(struct s2c_conn *conn, struct s2c_flow *flow, size_t max, uint64_t deadline,
                  struct weir_s2_err *err);

#endif
