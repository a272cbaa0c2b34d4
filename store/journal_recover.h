/*
 * Finding the end of a journal: which segments hold what, where replay ends, and whether that is a
 * torn end or damage. Reads only.
 */
#ifndef STORE_JOURNAL_RECOVER_H
#define STORE_JOURNAL_RECOVER_H

#include "store/journal.h"
#include "store/segment.h"

/** A growing list of segments. Zeroed memory is an empty one. */
struct segment_list {
    struct segment *items;
    size_t count;
    size_t room;
};

int segment_list_add(struct segment_list *list, const struct segment *segment);
void segment_list_remove(struct segment_list *list, size_t index);
void segment_list_finish(struct segment_list *list);

/** What a directory holds. */
struct recovery {
    struct segment_list live;   /**< with needed records, in order; the last one may be continued */
    struct segment_list later;  /**< behind the damage; empty without damage */
    struct segment_list spare;  /**< nothing in them is needed; whole headers */
    struct segment_list broken; /**< no whole header, nothing needed in them */
    uint64_t last;              /**< number of the last good record, or `released` */
    uint64_t chain;             /**< its checksum; 0 when it is not known */
    uint64_t last_at;           /**< its offset in the last live segment; 0 = that one is empty */
    uint64_t generation;        /**< the highest seen */
    uint64_t serial;            /**< the highest seen */
    struct journal_report report;
};

/** Scans the journal's directory. ERR_FORMAT, -errno, -ENOMEM; *out is finished by the caller
 * always. */
int recovery_scan(struct recovery *out, int dirfd, const struct journal_options *options,
                  struct err *err);
void recovery_finish(struct recovery *recovery);

/** Deletes files whose making was cut short. Failing to is no harm. */
void recovery_sweep(int dirfd);

#endif
