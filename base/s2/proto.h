/*
 * The protobuf messages of the S2 wire (package s2.v1), read without copying: spans of what is read point into the message.
 *
 * Unknown fields are skipped, the last of a repeated scalar wins, packed and unknown wire types are handled as proto3 says.
 * Thread rule: any. Source: the s2.v1 schema and the protobuf encoding guide.
 */
#ifndef BASE_S2_PROTO_H
#define BASE_S2_PROTO_H

#include "base/s2/record.h"

/** AppendInput. *out is zeroed or finished. ERR_FORMAT, -ENOMEM. */
int s2_proto_read_input(struct s2_input *out, struct span message, struct err *err);
/** Appends an AppendInput. -ENOMEM; `out` is unchanged on failure, here and below. */
int s2_proto_put_input(struct buf *out, const struct s2_input *input);
/** AppendAck. */
int s2_proto_read_ack(struct s2_ack *out, struct span message, struct err *err);
int s2_proto_put_ack(struct buf *out, const struct s2_ack *ack);
/** ReadBatch: a batch is its records one after the other, then maybe the tail. */
int s2_proto_put_record(struct buf *out, const struct s2_record *record);
int s2_proto_put_tail(struct buf *out, const struct s2_position *tail);
int s2_proto_read_batch(struct s2_batch *out, struct span message, struct err *err);

#endif
