/*
 * Records of one batch in the form a reader asked for, and the events of an event stream. No I/O.
 *
 * Thread rule: any; one thread at a time.
 */
#ifndef DAEMON_S2_READ_BATCH_H
#define DAEMON_S2_READ_BATCH_H

#include "base/s2/coding.h"
#include "base/s2/json.h"
#include "base/s2/record.h"

enum read_form {
    READ_JSON_RAW,
    READ_JSON_BASE64,
    READ_PROTO,
    READ_FRAME, /**< a session's: protobuf in a frame of its own */
};

/** A batch as it grows. Zeroed but for form and coding it is empty. */
struct read_batch {
    enum read_form form;
    enum coding coding; /**< of frames */
    struct buf bytes;   /**< whole after read_batch_end */
    size_t count;
    uint64_t metered;
    struct s2_position last; /**< of the records; count 0: not set */
};

#define READ_RECONNECT 0x10 /**< of a frame's flags: come again */

/** Adds a record of so many metered bytes. -ENOMEM, and unchanged. */
int read_batch_add(struct read_batch *batch, const struct s2_record *record, uint64_t metered);
/** Ends it; tail NULL: none is told. reconnect: frames advise the client to come again. -ENOMEM, ERR_TOO_LARGE. */
int read_batch_end(struct read_batch *batch, const struct s2_position *tail, bool reconnect);
void read_batch_finish(struct read_batch *batch);

/* Events: a batch is its head, the batch as JSON, and READ_EVENT_END. All -ENOMEM. */
#define READ_EVENT_END "\n\n"
#define READ_EVENT_DONE "data: [DONE]\n\n"
/** The id says what the client may send as last-event-id: seq_num, and records and metered bytes so far. */
int read_event_batch(struct buf *out, uint64_t last_seq, uint64_t count, uint64_t bytes);
int read_event_ping(struct buf *out, uint64_t now_ms, const struct s2_position *tail);
int read_event_error(struct buf *out, struct span json);

#endif
