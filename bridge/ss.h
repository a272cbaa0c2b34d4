/*
 * The .ss file, version 1: its parts as bytes. No I/O. Integers are big-endian.
 *
 *   file    = header (128 bytes) *frame, and at every offset that is a positive multiple of B a beacon
 *   frame   = key shard sequence time length payload checksum 0D
 *   beacon  = 0D remaining count *item 0D
 *
 * A beacon may cut a frame anywhere, also within a number. Its bytes count as file bytes.
 */
#ifndef BRIDGE_SS_H
#define BRIDGE_SS_H

#include "bridge/message.h"

#define SS_HEADER_SIZE 128
#define SS_NAME_MAX 111
#define SS_INTERVAL_MIN 128
#define SS_INTERVAL_DEFAULT (1024 * 1024)
#define SS_BEACON_EMPTY 7 /**< bytes of a beacon without items */
#define SS_BEACON_ITEMS 255
#define SS_FRAME_FIXED 32 /**< bytes of a frame beside key and payload */

/** The file's header. */
struct ss_header {
    char name[SS_NAME_MAX + 1]; /**< base name when it was made */
    size_t name_len;
    uint64_t created_ms;
    uint32_t interval; /**< B, at least 128 */
};

/** Sets the name, cut at a character's boundary to what fits; bytes that are no UTF-8 become '_'. Returns its length. */
size_t ss_header_name(struct ss_header *h, struct span name);
/** Writes the 128 bytes. */
void ss_header_write(uint8_t out[static SS_HEADER_SIZE], const struct ss_header *h);
/**
 * Reads them. ERR_FORMAT with what is wrong: "not enough bytes", "byte mark mismatch", "version mismatch", an interval below 128.
 * `bytes` may hold more or less than 128.
 */
int ss_header_read(struct ss_header *out, struct span bytes, struct err *err);

/** What a beacon says of a stream. */
struct ss_item {
    uint8_t key_len;
    char key[SS_KEY_MAX];
    uint64_t shard, seq, time_ms; /**< highest so far */
    uint16_t running;             /**< checksum over the checksums of its payloads */
};

struct ss_beacon {
    uint32_t remaining; /**< bytes of the cut frame behind this beacon, without further beacons; 0: none is cut */
    size_t count;
    struct ss_item items[SS_BEACON_ITEMS];
    size_t size; /**< its own bytes */
};
/** Reads one at the front of `bytes`. 0; SS_MORE when it goes on behind them; ERR_FORMAT. */
int ss_beacon_read(struct ss_beacon *out, struct span bytes, struct err *err);
/** Its size alone, found without keeping items. 0, SS_MORE, ERR_FORMAT. */
int ss_beacon_size(struct span bytes, size_t *size, struct err *err);
/** How many items a beacon of this interval may have. */
unsigned ss_beacon_max(uint32_t interval);

/** The frame that ends a file. */
bool ss_is_end(const struct ss_message *m);

/* --- reading forward -------------------------------------------------------------------------- */

#define SS_MORE 1 /**< more bytes are needed; no error */

/** Where a reader stands. Set by ss_scan_begin; one thread. */
struct ss_scan {
    uint32_t interval;
    uint64_t offset;       /**< of the next frame, or of a beacon before it */
    struct buf whole;      /**< a frame that beacons cut, put together */
    bool has_beacon;       /**< beacons were crossed since the last message, and in it: */
    struct ss_beacon *beacon; /**< the last of them (one block, the scan's) */
    uint64_t beacon_at;
    bool want_beacons;     /**< keep items; else they are only skipped */
    bool ended;            /**< the end mark came */
};

/** Stands at a frame boundary: `offset` is SS_HEADER_SIZE, or one that ss_align gave. -ENOMEM. */
int ss_scan_begin(struct ss_scan *s, uint32_t interval, uint64_t offset, bool want_beacons);
void ss_scan_finish(struct ss_scan *s);
/**
 * The next message of `window`, bytes of the file from s->offset on. 0: *out is whole, `*used` bytes are done with and s->offset
 * is behind them (a beacon that follows directly is not taken yet). Spans point into window or s->whole, until the next call.
 * SS_MORE: the frame goes on behind the window; nothing is taken; `*need`, may be NULL, gets bytes from s->offset on that
 * are needed at least (where many beacons follow it grows with what they hold: double the window when it is read anew). ERR_END after the end mark, which is given as a message first. ERR_DAMAGED: the payload's checksum does
 * not fit ("received N, computed N"; *used is set, the next call goes on behind it, *out is what stands there); ERR_FORMAT: a bad key, time or beacon.
 */
int ss_scan_next(struct ss_scan *s, struct span window, struct ss_message *out, size_t *used, size_t *need, struct err *err);

/* --- writing ---------------------------------------------------------------------------------- */

/** What a writer knows of a stream. */
struct ss_stream {
    char key[SS_KEY_MAX];
    uint8_t key_len;
    uint64_t shard, seq, time_ms;
    uint16_t running;
};
/** A writer's state. Set by ss_pack_begin; one thread. `offset` is a multiple of the interval only before ss_pack_resume. */
struct ss_pack {
    uint32_t interval;
    uint64_t offset;  /**< of the next byte */
    struct ss_stream **streams; /**< sorted by key bytes, then shard */
    size_t count, cap;
    uint64_t items;   /**< written into beacons, for their turns */
};
/** Stands at `offset` (SS_HEADER_SIZE for a new file, whose header with what belongs directly behind it ss_pack_header makes). */
void ss_pack_begin(struct ss_pack *p, uint32_t interval, uint64_t offset);
void ss_pack_finish(struct ss_pack *p);
/** Header, and with B = 128 the empty beacon behind it; p->offset is set. -ENOMEM. */
int ss_pack_header(struct ss_pack *p, const struct ss_header *h, struct buf *out);
/** At reopening: the empty beacon that stands at an offset which is a multiple of B; else nothing. -ENOMEM. */
int ss_pack_resume(struct ss_pack *p, struct buf *out);
/** The stream's state, made when it is not known. NULL without memory. At reopening the caller fills it. `made`, may be NULL. */
struct ss_stream *ss_pack_stream(struct ss_pack *p, struct span key, uint64_t shard, bool *made);
/**
 * Appends the frame, cut by beacons where they are due, and counts it in. The message's own sequence and time are used. ERR_INVALID
 * for a bad key or time, ERR_TOO_LARGE for a payload of 4 GiB; -ENOMEM. After an error p and out are as before.
 */
int ss_pack_message(struct ss_pack *p, const struct ss_message *m, struct buf *out, struct err *err);
/** The end mark. */
int ss_pack_end(struct ss_pack *p, uint64_t time_ms, struct buf *out, struct err *err);
/** Bytes that ss_pack_message would add at most; to refuse what does not fit a limit. */
uint64_t ss_pack_size(const struct ss_pack *p, const struct ss_message *m);

/* --- finding a place in a file ---------------------------------------------------------------- */

/** A file's bytes by offset. `read` gives fewer only at the end; negative: an error. */
struct ss_bytes {
    long (*read)(void *arg, uint64_t offset, void *into, size_t room);
    void *arg;
    uint64_t size;
    uint32_t interval;
};

/**
 * Where the first frame behind beacon `n` begins (n = 0: SS_HEADER_SIZE, behind an empty beacon that may stand there). n past
 * the end is the last beacon that is whole in the file; where the frame that it cuts is not whole, the last one before it whose is.
 * So *offset is never behind the file, but for one that has less than a header. ERR_FORMAT names the beacon's offset; an error of read.
 */
int ss_align(const struct ss_bytes *f, uint64_t n, uint64_t *offset, struct err *err);
/**
 * Where the last whole frame ends: aligned at the last beacon, stepped forward. `ended`: it was the end mark, and *offset is before it.
 * A beacon that follows the last frame directly is kept: *offset is behind it. Errors as ss_scan_next and ss_align.
 */
int ss_find_end(const struct ss_bytes *f, uint64_t *offset, bool *ended, struct err *err);

/** A place in a stream. */
struct ss_target {
    struct span key;
    bool any_shard;
    uint64_t shard;
    bool by_time;   /**< first message with a time > value; else with a sequence >= value */
    uint64_t value;
};
/**
 * The offset of the message meant (of that key and shard alone): its first byte. ERR_RANGE: "out of bound". Reads a number of beacons
 * logarithmic in the file's size, and forward from there; a stream that few beacons list is read for from further before. With any
 * shard a beacon tells that the message comes later only when it lists all streams of its writer.
 */
int ss_seek(const struct ss_bytes *f, const struct ss_target *target, uint64_t *offset, struct err *err);
/**
 * The last message of a stream, for a writer that continues it: fills seq, time and running checksum. Searches beacons
 * backwards from `end`, which ss_find_end gave, then reads forward; a stream that no beacon lists costs a scan of the file.
 * Sequence and time are the highest ones. ERR_NOT_FOUND: there is none, and *io is as it was.
 */
int ss_find_last(const struct ss_bytes *f, uint64_t end, struct ss_stream *io, struct err *err);
/**
 * All streams at once, into `into` (fresh, and no writer's: a table for ss_pack_stream to ask): reads the file up to `end` one
 * time. Instead of ss_find_last where many streams are asked for. As that, but the running checksum is the one of a writer that
 * never stopped.
 */
int ss_find_all(const struct ss_bytes *f, uint64_t end, struct ss_pack *into, struct err *err);
/**
 * For a writer that goes on at `end`, right behind ss_pack_begin (one that knows streams stays as it is): it gets the streams of those before it, so that its beacons list them
 * and it can go on with them. In bounded work: from the last beacons (mostly one) and what follows them. A stream that these do not list
 * (there are many, or the writer before listed its own alone) stays unknown: ss_find_last. Below an interval of 571 no beacon lists any.
 * After an error it knows none, as before. Errors as ss_find_end, but that damaged payloads are none.
 */
int ss_pack_take_over(struct ss_pack *p, const struct ss_bytes *f, uint64_t end, struct err *err);

#endif
