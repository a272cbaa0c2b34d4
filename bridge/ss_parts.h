/*
 * What the pieces of the .ss codec share. Not for others.
 */
#ifndef BRIDGE_SS_PARTS_H
#define BRIDGE_SS_PARTS_H

#include "bridge/crc.h"
#include "bridge/ss.h"

#define SS_HEAD_FIXED 28 /**< of a frame: shard, sequence, time, length, behind the key */
#define SS_HEAD_MAX (1 + SS_KEY_MAX + SS_HEAD_FIXED)
#define SS_TAIL 3                                 /**< of a frame: checksum, 0D */
#define SS_ITEM_FIXED 27                          /**< of an item, beside the key */
#define SS_BEACON_HEAD 6                          /**< 0D remaining count */
#define SS_MARK 0x0d                              /**< ends a frame; begins and ends a beacon */
#define SS_MARK_SIZE (SS_FRAME_FIXED + sizeof(SS_KEY_INTERNAL) - 1 + 3) /**< of an end mark's frame */
#define SS_BEACON_SIZE_MAX (SS_BEACON_EMPTY + SS_BEACON_ITEMS * (SS_ITEM_FIXED + SS_KEY_MAX))

/** Bytes from `offset`, where a beacon is due or a frame goes on, to the next beacon. */
static inline uint64_t ss_gap(uint64_t offset, uint32_t interval)
{
    uint64_t behind = offset % interval;
    return behind == 0 ? 0 : interval - behind;
}

/**
 * As ss_beacon_read, which it is with `out`; without it nothing is kept. Checks also that the beacon leaves room for a frame's
 * bytes in its interval (0: not asked). SS_MORE sets `*size` to what is needed at least.
 */
int ss_beacon_walk(struct span bytes, uint32_t interval, struct ss_beacon *out, size_t *size, struct err *err);

/** Key and time of a frame or an item at `offset`: ERR_FORMAT. */
int ss_check_key(struct span key, uint64_t offset, struct err *err);
int ss_check_time(uint64_t ms, uint64_t offset, struct err *err);

/** Where a stream stands among the writer's, or would have to stand. */
bool ss_stream_place(const struct ss_pack *p, struct span key, uint64_t shard, size_t *place);
/** Counts a message in, whose payload has this checksum. */
void ss_stream_count(struct ss_stream *stream, const struct ss_message *m, const uint8_t sum[static 2]);
/** The same for one that was read. */
void ss_stream_count_read(struct ss_stream *stream, const struct ss_message *m);

/* --- reading a file forward (ss_forward.c) ---------------------------------------------------- */

/** A scan over a file's bytes through a window that slides. */
struct ss_forward {
    const struct ss_bytes *file;
    struct ss_scan scan;
    struct buf window;
    size_t at;      /**< in the window: where scan.offset is */
    size_t step;    /**< bytes to read next, doubling */
    uint64_t start; /**< of the message given last: its first byte */
};

/** From the frame at `offset` on. -ENOMEM. */
int ss_forward_begin(struct ss_forward *w, const struct ss_bytes *file, uint64_t offset);
void ss_forward_finish(struct ss_forward *w);
/** The next message. ERR_END: the end mark was given (scan.ended), or no whole frame is left; else as ss_scan_next. */
int ss_forward_next(struct ss_forward *w, struct ss_message *out, struct err *err);

/**
 * Reads the beacon at `offset` into `into`, and says how long it is. 0; SS_MORE when the file ends in or before it; ERR_FORMAT;
 * an error of read.
 */
int ss_beacon_load(const struct ss_bytes *f, uint64_t offset, struct buf *into, size_t *size, struct err *err);
/** The number of the last beacon that is whole in the file; 0: there is none. */
int ss_beacon_last(const struct ss_bytes *f, uint64_t *n, struct err *err);

#endif
