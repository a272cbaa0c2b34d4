/*
 * A request's body on its way to being content: in memory up to INLINE_MAX, a blob above.
 *
 * While a blob is written its bytes wait in two buffers, together at most about a MiB; what does
 * not fit is not taken, so the client waits. Loop thread; the disk is left to the pool.
 */
#ifndef DAEMON_UPLOAD_H
#define DAEMON_UPLOAD_H

#include <weir/cas.h>

#include "base/buf.h"
#include "daemon/pool.h"

#define UPLOAD_PART (512 * 1024)

struct upload {
    uv_loop_t *loop;
    struct cas *cas;
    /** The content is complete (result 0), or could not be kept. Once, after upload_end, unless
     * cancelled; with an error maybe before. */
    void (*ready)(struct upload *upload);
    /** More can be taken. */
    void (*room)(struct upload *upload);
    /** After upload_cancel: nothing uses the struct any more. */
    void (*released)(struct upload *upload);
    void *owner;

    struct buf bytes; /**< result: the content up to INLINE_MAX; else what waits to be written */
    bool blob;        /**< result: it is a blob, and its digest is pinned once */
    uint64_t size;    /**< result */
    uint8_t digest[DIGEST_SIZE]; /**< result */
    int result;
    struct err err;

    struct job job;
    struct buf writing;
    struct cas_put *put;
    bool busy, ended, cancelled, finished;
};

/** Takes bytes; returns how many. Fewer than all: `room` will be called. */
size_t upload_take(struct upload *upload, struct span bytes);
/** The body is complete. `ready` may be called before it returns. */
void upload_end(struct upload *upload);
/** Gives up. True: at once, nothing uses the struct any more (`released` is not called). */
bool upload_cancel(struct upload *upload);
/** Frees buffers; after ready or released. */
void upload_finish(struct upload *upload);

#endif
