/*
 * A blob on its way to a client: read part by part on the pool, one ahead, checked as always. The client's speed is the reader's.
 *
 * Thread rule: the loop thread.
 */
#ifndef DAEMON_SERVE_BLOB_H
#define DAEMON_SERVE_BLOB_H

#include <weir/cas.h>

#include "base/buf.h"
#include "daemon/pool.h"

#define BLOB_PART (256 * 1024)

/** Zeroed, then loop to owner set. */
struct blob {
    uv_loop_t *loop;
    struct cas *cas;
    void (*wake)(struct blob *blob);     /**< blob_read has something again */
    void (*released)(struct blob *blob); /**< after blob_stop: nothing uses the struct any more */
    void *owner;

    uint8_t digest[DIGEST_SIZE];
    struct job job;
    struct cas_reader *reader;
    struct buf sending, next; /**< the part that is sent, the part behind it */
    size_t at;                /**< of sending */
    uint64_t read;            /**< of the blob */
    int result;
    struct err err;
    bool open, busy, ready, complete, stopped;
};

/** Begins; keeps the blob from being removed. -ENOMEM. */
int blob_start(struct blob *blob, const uint8_t digest[static DIGEST_SIZE]);
/** As the read of http_reply_stream; 0 at the end, and then it is stopped. HTTP_ABORT: `err` says why. */
long blob_read(struct blob *blob, uint8_t *into, size_t room);
/** Gives up; also when it was not started, or stopped already. True: at once, `released` is not called. */
bool blob_stop(struct blob *blob);

#endif
