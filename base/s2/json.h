/*
 * The same as JSON, as unary requests and server-sent events carry it.
 *
 * Numbers are exact to 2^64-1. In `raw` texts are UTF-8 as they stand (bytes that are no UTF-8 are written as U+FFFD), in `base64`
 * names, values and bodies are base64. Thread rule: any.
 */
#ifndef BASE_S2_JSON_H
#define BASE_S2_JSON_H

#include "base/s2/record.h"

enum s2_format { S2_RAW, S2_BASE64 };

/** Header s2-format: absent (ptr NULL), raw, json, base64, json-binsafe. False for anything else. */
bool s2_format_parse(enum s2_format *out, struct span text);

/** AppendInput. ERR_FORMAT (also a token over its length); ERR_INVALID for bad base64; -ENOMEM. */
int s2_json_read_input(struct s2_input *out, struct span text, enum s2_format format, struct err *err);
/** {"start":..,"end":..,"tail":..} */
int s2_json_put_ack(struct buf *out, const struct s2_ack *ack);
/** {"seq_num":..,"timestamp":..} */
int s2_json_put_position(struct buf *out, const struct s2_position *position);
/** {"tail":{..}} */
int s2_json_put_tail(struct buf *out, const struct s2_position *tail);
/** One element of a ReadBatch's records: empty headers and body are left out. */
int s2_json_put_record(struct buf *out, const struct s2_record *record, enum s2_format format);

#endif
