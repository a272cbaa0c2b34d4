/*
 * Records of a stream as the S2 API knows them: what clients append and what readers get.
 *
 * Spans borrow; who keeps what alive is said where they come from.
 */
#ifndef WEIR_S2_RECORD_H
#define WEIR_S2_RECORD_H

#include <weir/span.h>

/** Name and value are any bytes. The empty name marks a command record, in which it stands alone.
 */
struct s2_header {
    struct span name, value;
};

struct s2_record {
    bool has_timestamp; /**< append: the client gave one. Read: true */
    uint64_t timestamp; /**< ms since the epoch, unless the client means something else */
    uint64_t seq_num;   /**< read only */
    const struct s2_header *headers;
    size_t header_count;
    struct span body;
};

/** A place in a stream. The tail: the next seq_num, and the timestamp of the last record. */
struct s2_position {
    uint64_t seq_num, timestamp;
};

/** Of one append: its first record, the place behind its last, and the tail when it was answered.
 */
struct s2_ack {
    struct s2_position start, end, tail;
};

#endif
