/*
 * Records gathered for one append.
 */
#ifndef CLIENT_S2_BATCH_H
#define CLIENT_S2_BATCH_H

#include <weir/s2.h>

#include "base/buf.h"

struct s2c_batch {
    size_t count, max_count;
    uint64_t metered, max_metered;
    uint64_t begun_us; /**< when its first record came */
    struct buf bytes;  /**< copies of names, values and bodies */
    struct buf items;  /**< struct s2_record; their headers are set by s2c_batch_records */
    struct buf heads;  /**< struct s2_header of all records */
};

/** Limits of 0 or over the API's are the API's. */
void s2c_batch_init(struct s2c_batch *b, size_t max_count, uint64_t max_metered);
/** Whether the record could be appended at all. */
int s2c_batch_check(const struct s2_record *record, struct weir_s2_err *err);
/** Whether it fits beside the others. */
bool s2c_batch_fits(const struct s2c_batch *b, const struct s2_record *record);
/** Copies it. -ENOMEM. */
int s2c_batch_add(struct s2c_batch *b, const struct s2_record *record);
bool s2c_batch_full(const struct s2c_batch *b);
/** The records; they live until the next add or reset. */
const struct s2_record *s2c_batch_records(struct s2c_batch *b);
void s2c_batch_reset(struct s2c_batch *b);
void s2c_batch_finish(struct s2c_batch *b);

#endif
