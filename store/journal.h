/*
 * The journal: the log as preallocated, zero-filled, recycled segment files. See store/journal.c
 * for the byte tables.
 */
#ifndef STORE_JOURNAL_H
#define STORE_JOURNAL_H

#include "store/engine.h"

struct journal_options {
    uint8_t uuid[16]; /**< the store's; every segment and record carries or covers it */
    uint64_t
        segment_start;    /**< bytes of the first segment; 0 = 64 KiB. Doubles up to segment_max */
    uint64_t segment_max; /**< 0 = 16 MiB; a larger record gets a segment of its own size */
    uint64_t
        released; /**< records up to this number are kept elsewhere (the index): never needed */
};

/**
 * What recovery found. Replay ends at the first record that does not fit. A torn end (nothing
 * fitting behind it) is ordinary after a crash. If a fitting later record follows, that is damage.
 */
struct journal_report {
    bool damaged;
    uint64_t first_bad; /**< number of the first record that does not fit */
    uint64_t next_good; /**< number of a later one that exists: the proof. Equal to first_bad when
                           that one is whole but stands where it cannot be read in order */
    char segment[64];   /**< file name; empty when the segment itself is missing */
    uint64_t offset;    /**< in it */
};

/**
 * Opens (creates, 0700) the directory `name` below dirfd and finds the end of the log. With damage
 * the log opens read-only: append answers ERR_UNAVAILABLE naming range and remedy, read gives what
 * is good before the damage. ERR_FORMAT for segments of a newer version or another store's uuid.
 * What is found is made durable before this returns; where that fails the log opens all the same
 * and append answers ERR_UNAVAILABLE. `report` may be NULL. -errno, -ENOMEM.
 */
int journal_open(struct engine **out, int dirfd, const char *name,
                 const struct journal_options *options, struct journal_report *report,
                 struct err *err);

/**
 * Repair of a damaged journal that no daemon has open: copies the segment with the damage and moves
 * those behind it into `name`/damaged/, and keeps what is good before. `report` says what was
 * found: kept is what lies below first_bad. A sound journal stays as it is. -errno, ERR_FORMAT.
 */
int journal_repair(int dirfd, const char *name, const struct journal_options *options,
                   struct journal_report *report, struct err *err);

#endif
