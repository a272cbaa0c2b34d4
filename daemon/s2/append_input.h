/*
 * One input of an append session: a frame as it came, read into a batch.
 *
 * Thread rule: append_input_read on any thread, one at a time; the rest on the loop thread.
 */
#ifndef DAEMON_S2_APPEND_INPUT_H
#define DAEMON_S2_APPEND_INPUT_H

#include "base/s2/frame.h"
#include "daemon/s2/append_batch.h"

struct append_session;

struct append_input {
    struct append_batch batch;
    struct append_session *session; /**< from here on the session's */
    struct append_input *next;
    struct job job;
    uint64_t taken_us;
    bool done; /**< the store has answered */
    struct buf raw; /**< the frame's payload; the batch may point into it */
    enum coding coding;
    int result; /**< of reading it: 0; ERR_FORMAT: it cannot be read; ERR_INVALID: it breaks a rule; -ENOMEM, ... */
    struct err err;
};

/** Copies the payload. -ENOMEM. */
int append_input_create(struct append_input **out, struct append_session *session, const struct s2s_frame *frame);
/** Takes NULL. */
void append_input_destroy(struct append_input *input);
/** Whether reading it takes so long that others should not wait for it. */
bool append_input_is_large(const struct append_input *input);
/** Reads it and makes its frames; see result. */
void append_input_read(struct append_input *input, const struct append_stream *stream);

#endif
