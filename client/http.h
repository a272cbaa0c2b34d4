/*
 * The connection behind `struct weir`, shared by the files that send and the ones that read.
 */
#ifndef CLIENT_HTTP_H
#define CLIENT_HTTP_H

#include <weir/client.h>

#include "base/buf.h"
#include "client/answer.h"

#define HTTP_IN_SIZE (64 * 1024)

struct weir {
    struct weir_addr addr;
    int fd;            /**< -1 when there is no connection */
    bool spoiled;      /**< no further request may follow on this connection */
    bool busy;         /**< an answer's body is not read to its end */
    struct err broken; /**< how reading the last answer failed; code 0 when it did not */
    struct answer answer;
    struct buf head;      /**< the request's head as it is sent */
    size_t in_at, in_end; /**< received and not taken yet: in[in_at..in_end) */
    uint8_t in[HTTP_IN_SIZE];
};

/** Receives into w->in, which must be empty. >0 bytes, 0 at the end of the connection, -errno;
 * -EAGAIN with MSG_DONTWAIT. */
long http_fill(struct weir *w, int flags);

/** Takes what w->in holds of the answer's head: 1 complete, 0 more is needed, negative as
 * answer_head. */
int http_take_head(struct weir *w, struct err *err);

/** Writes the request's head into w->head. ERR_INVALID when a member holds a line end or a control
 * byte, -ENOMEM. */
int upload_write_head(struct weir *w, const struct weir_request *req, struct err *err);

/**
 * Sends head and body. 0 when all of it was handed over, 1 when it was given up because an answer
 * came early or the other side hung up (w->spoiled is set; an answer may still be read). Errors:
 * what req->read returned, -ENOMEM, -errno, -EPROTO.
 */
int upload_send(struct weir *w, const struct weir_request *req, struct err *err);

#endif
