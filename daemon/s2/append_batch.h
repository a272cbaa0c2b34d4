/*
 * One append on its way: what a client asked for, as the frames of one store operation, and the positions it got.
 *
 *   input read -> append_batch_check -> append_batch_frames -> append_batch_op -> submit_op -> append_batch_ack
 *
 * Thread rule: reading, checking and frames on any thread, one at a time; the rest on the loop thread.
 */
#ifndef DAEMON_S2_APPEND_BATCH_H
#define DAEMON_S2_APPEND_BATCH_H

#include "daemon/s2/s2.h"

/** The stream appended to. The owner's, and its spans too, as long as batches refer to it. */
struct append_stream {
    struct span name, origin;
    enum authority authority;
    uint32_t no;         /**< its number, and */
    uint64_t created_ms; /**< its birth, when it was looked at; another life of the name is not appended to. 0: whichever is
                              there, if its records are plain */
    bool sealed;
    uint8_t key[S2_KEY_SIZE];
};

/** Zeroed memory is an empty one. */
struct append_batch {
    struct submission submission;
    const struct append_stream *stream; /**< after append_batch_frames */
    struct buf message;                 /**< what the input's spans point into, where nothing else holds it */
    struct s2_input input;
    struct store_frame *frames;
    struct buf metas, contents; /**< of the frames, where they are not the input's */
    uint64_t metered;
    size_t held;                        /**< bytes of memory for it, about; never less than metered */
    bool fences, trims;         /**< holds such commands */
    bool needs_key;             /**< out: refused, since the stream's records are encrypted */
};

/** Limits and shapes of the input; sets metered, held, fences, trims. ERR_INVALID. */
int append_batch_check(struct append_batch *batch, struct err *err);
/** The input's records as frames; may be called again for the same stream with a key. -ENOMEM; ERR_UNAVAILABLE: not sealed. */
int append_batch_frames(struct append_batch *batch, const struct append_stream *stream, struct err *err);
/** Sets up the operation; `make` and `chain` may be NULL. What else there is of the submission is the caller's. */
void append_batch_op(struct append_batch *batch, const struct topic_make *make, struct store_chain *chain);
/** After the operation went well. */
struct s2_ack append_batch_ack(const struct append_batch *batch);
void append_batch_finish(struct append_batch *batch);

/** Whether this request may append what the batch holds: rights, guarded topics. ERR_FORBIDDEN. While x.req is there. */
int append_allowed(struct s2_request *s, const struct append_batch *batch, struct err *err);

#endif
