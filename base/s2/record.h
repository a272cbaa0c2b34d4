/*
 * Records as the S2 wire knows them, without I/O: what clients append and what readers get.
 *
 * Facts are those of the S2 v1 API (s2.dev). Codes: ERR_FORMAT is input that cannot be read at all (400 bad_json, bad_proto),
 * ERR_INVALID what breaks a rule of the API (422 invalid). Thread rule: any; everything belongs to the caller.
 */
#ifndef BASE_S2_RECORD_H
#define BASE_S2_RECORD_H

#include <weir/err.h>
#include <weir/s2_record.h>

#include "base/buf.h"

#define S2_RECORDS_MAX 1000              /**< of one append, of one batch that is read */
#define S2_METERED_MAX (1024 * 1024)     /**< metered bytes of one append, of one batch that is read */
#define S2_BODY_MAX (2 * 1024 * 1024)    /**< bytes of a unary request's body, as sent and as unpacked */
#define S2_TOKEN_MAX 36                  /**< bytes of a fencing or request token */

/** Metered size in bytes: 8 + 2 per header + names, values and body. */
uint64_t s2_metered(const struct s2_record *record);

enum s2_command { S2_DATA, S2_FENCE, S2_TRIM };
/** Whether the record is a command, that is, its one header has an empty name. ERR_INVALID for what is neither that nor plain:
 * an empty name beside others, an unknown command, a body that does not fit it. */
int s2_record_command(const struct s2_record *record, enum s2_command *out, struct err *err);

/** What one append asks for. Zeroed memory is an empty one; s2_input_finish frees. */
struct s2_input {
    struct s2_record *records;
    size_t count;
    bool has_match;
    uint64_t match_seq_num;
    bool has_token;
    struct span token;         /**< "" is a token */
    struct s2_header *headers; /**< of all records */
    uint8_t *bytes;            /**< decoded texts, where they could not stay in the message */
};
void s2_input_finish(struct s2_input *input);
#define CLEAN_S2_INPUT __attribute__((cleanup(s2_input_finish))) struct s2_input

/** Number and sizes of records, the token's length, every record's shape. ERR_INVALID. */
int s2_input_check(const struct s2_input *input, struct err *err);

/** What one read brings. Zeroed memory is an empty one. */
struct s2_batch {
    struct s2_record *records;
    size_t count;
    bool has_tail;
    struct s2_position tail;
    struct s2_header *headers;
};
void s2_batch_finish(struct s2_batch *batch);

#endif
