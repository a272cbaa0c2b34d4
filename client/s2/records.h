/*
 * What append and read sessions share with the unary calls.
 */
#ifndef CLIENT_S2_RECORDS_H
#define CLIENT_S2_RECORDS_H

#include "base/s2/record.h"
#include "client/s2/handle.h"

/** Checks an input's limits and encodes it as AppendInput behind what `out` holds. Sets its metered
 * size. ERR_INVALID, -ENOMEM. */
int s2c_encode_input(struct buf *out, const struct weir_s2_input *input, uint64_t *metered,
                     struct weir_s2_err *err);
/** Appends "?seq_num=..&..". -ENOMEM. */
int s2c_read_query(struct buf *out, const struct weir_s2_read *what);

/**
 * Whether the records of an AppendInput message whose append was answered by a mismatch stand in
 * the stream where it wanted them: 1 and the ack, 0, or a negative code when it cannot be read.
 */
int s2c_find_input(struct weir_s2 *s2, struct weir_s2_stream of, struct span message,
                   struct s2_ack *out, struct weir_s2_err *err);

#endif
