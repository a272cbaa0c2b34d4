/*
 * All of an .ss file, past its damage: what verifying, mending and opening for writing share. Not for others.
 */
#ifndef BRIDGE_IO_SS_LOOK_H
#define BRIDGE_IO_SS_LOOK_H

#include "bridge/io/ss_file.h"

/* --- bytes by offset (ss_view.c) -------------------------------------------------------------- */

/** A piece of a file that slides forward. */
struct ss_view {
    struct ss_bytes file;
    struct ss_scan scan;
    struct buf bytes;
    uint64_t at; /**< offset of the first byte */
};
/** -ENOMEM. */
int ss_view_begin(struct ss_view *v, const struct ss_bytes *file);
void ss_view_finish(struct ss_view *v);
/**
 * At least `need` bytes from `offset` on, fewer at the file's end, mostly more. They live until the next call. -ENOMEM, an
 * error of read.
 */
int ss_view_get(struct ss_view *v, uint64_t offset, size_t need, struct span *out, struct err *err);
/**
 * The message at `offset`, behind a beacon that may stand there. As ss_scan_next; SS_MORE: it goes on behind the file's end.
 * `frame` gets the file's bytes that it takes, beacons and all, with 0 and ERR_DAMAGED.
 */
int ss_view_try(struct ss_view *v, uint64_t offset, struct ss_message *out, struct span *frame, struct err *err);
/** Where the next whole message begins, from `from` on and before `until`, tried byte by byte: `until` when none does. */
int ss_view_search(struct ss_view *v, uint64_t from, uint64_t until, uint64_t *found, struct err *err);
/**
 * Whether a beacon behind `offset` says of the frame that begins there how much of it is to come, so that its length is the one
 * that was written.
 */
int ss_view_borne_out(struct ss_view *v, uint64_t offset, bool *yes, struct err *err);
/**
 * Before `need` bytes are read for the message at `offset`: a length that is damaged must not cost memory. ERR_FORMAT when it is
 * a large one which beacons ought to know and do not.
 */
int ss_view_check_large(struct ss_view *v, uint64_t offset, size_t need, struct err *err);

/* --- the whole file (ss_look.c) --------------------------------------------------------------- */

/** Who gets the messages: 0 to go on, else what ss_look gives back. End marks come, too. Spans live during the call. */
struct ss_taker {
    int (*message)(void *arg, const struct ss_message *m, struct err *err);
    void *arg;
};

/** Reads the header; one of which the first two bytes alone are damaged as well, `*odd` is then true. ERR_FORMAT: no .ss file. */
int ss_look_header(int fd, const char *path, struct ss_header *out, bool *odd, struct err *err);
/** Looks at the first `size` bytes. `looker` and `taker` may be NULL. Faults are told, they are no errors. */
int ss_look(int fd, const char *path, uint64_t size, const struct ss_looker *looker, const struct ss_taker *taker,
            struct ss_report *out, struct err *err);

#endif
