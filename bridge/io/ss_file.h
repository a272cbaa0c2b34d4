/*
 * .ss files on the disk: one writer, any number of readers, which wait for growth by inotify.
 */
#ifndef BRIDGE_IO_SS_FILE_H
#define BRIDGE_IO_SS_FILE_H

#include "bridge/ss.h"

/* --- writing ---------------------------------------------------------------------------------- */

struct ss_writer;

struct ss_writer_options {
    bool must_exist;      /**< -ENOENT when it does not; else it is made */
    bool must_be_new;     /**< -EEXIST when it does */
    uint32_t interval;    /**< B of a new file; 0: 1 MiB. An existing file keeps its own */
    uint64_t size_limit;  /**< 0: 16 GiB. A frame that does not fit is refused whole */
};

/**
 * Opens for appending: locks (ERR_LOCKED: another process writes it), finds the end in time that does not depend on the file's size,
 * takes away an incomplete frame or the end mark behind it. An empty file gets a header. Never touches a file that is none
 * (ERR_FORMAT), or whose last stretch is damaged or goes on behind the end mark (ERR_DAMAGED; the text names `weir decode --repair`).
 */
int ss_writer_open(struct ss_writer **out, const char *path, const struct ss_writer_options *options, struct err *err);
/** Bytes that opening took away behind the last whole frame, and whether it was an end mark. */
uint64_t ss_writer_cut(const struct ss_writer *w, bool *was_end);
/**
 * Appends. With `number` the sequence is the stream's last + 1 (1 for a new one), given back in m->seq; else the message's own.
 * Buffered up to 1 MiB. ERR_FULL: "File Limit Exceeded"; ERR_INVALID, also for an end mark; ERR_TOO_LARGE; as ss_writer_flush. After an
 * error nothing of the message was taken.
 */
int ss_writer_put(struct ss_writer *w, struct ss_message *m, bool number, struct err *err);
/**
 * Hands everything to the file; with `sync` it is durable when this returns 0. -ENOSPC and its like: what was written ends with a
 * whole frame, the rest is kept, and a later call goes on when there is room. ERR_CONFLICT: another program, which does not lock, changed the
 * file, or it was removed. After that, and after any other failed write or sync, the writer is spoilt: ERR_UNAVAILABLE.
 */
int ss_writer_flush(struct ss_writer *w, bool sync, struct err *err);
/** Adds the end mark, makes all durable. Nothing may be put afterwards. After -ENOSPC it can be called again. */
int ss_writer_end(struct ss_writer *w, struct err *err);
/** Gives what is not flushed up. Takes NULL. */
void ss_writer_close(struct ss_writer *w);

/* --- reading ---------------------------------------------------------------------------------- */

struct ss_reader;

enum ss_from { SS_FROM_START, SS_FROM_END, SS_FROM_SEQ, SS_FROM_TIME, SS_FROM_OFFSET };

struct ss_reader_options {
    enum ss_from from;
    uint64_t value;       /**< sequence, ms, or byte offset of a frame */
    struct span key;      /**< of SEQ and TIME; any shard unless `shard` */
    bool has_shard;
    uint64_t shard;
    bool follow;          /**< at the end wait for growth */
    bool wait;            /**< with follow: also for a file that is not there yet, in a directory that is, or has no header yet */
    bool want_beacons;
};

/**
 * ERR_FORMAT as ss_header_read; ERR_RANGE: out of bound, also SEQ, TIME and OFFSET of a file that is waited for. END without follow is
 * ERR_INVALID. -errno; of a directory or a pipe ERR_INVALID.
 */
int ss_reader_open(struct ss_reader **out, const char *path, const struct ss_reader_options *options, struct err *err);
/** NULL while the file is waited for. */
const struct ss_header *ss_reader_header(const struct ss_reader *r);
/**
 * The next message; spans live until the next call. 0; ERR_END: the end mark came, which was given as a message first (or the file
 * was removed while it was followed: the text says so), or without follow what exists is over;
 * -EAGAIN: nothing yet (follow); ERR_DAMAGED, ERR_FORMAT as ss_scan_next; ERR_CUT: the file became shorter.
 */
int ss_reader_next(struct ss_reader *r, struct ss_message *out, struct err *err);
/** After -EAGAIN: a descriptor that is readable when there may be more (inotify); the next call of ss_reader_next clears it. -1 without follow. */
int ss_reader_fd(const struct ss_reader *r);
/** The beacon crossed last, with want_beacons, once: NULL when none was since the last call. Lives until the next ss_reader_next. */
const struct ss_beacon *ss_reader_beacon(struct ss_reader *r);
/** After ERR_END: the file was removed or replaced while it was followed. */
bool ss_reader_removed(const struct ss_reader *r);
/** Size of the file when it was last looked at. */
uint64_t ss_reader_size(const struct ss_reader *r);
/** Offset of the next frame: where SS_FROM_OFFSET goes on. */
uint64_t ss_reader_offset(const struct ss_reader *r);
/** After the end without follow: bytes of an incomplete frame that stand behind the last whole one. */
uint64_t ss_reader_rest(const struct ss_reader *r);
/** Goes to another place. ERR_RANGE: the reader is where it was. */
int ss_reader_seek(struct ss_reader *r, const struct ss_target *target, struct err *err);
void ss_reader_close(struct ss_reader *r);

/* --- looking after ---------------------------------------------------------------------------- */

struct ss_report {
    uint64_t messages;  /**< whole ones, without end marks */
    uint64_t beacons, streams;
    uint64_t size;      /**< of the file */
    uint64_t good;      /**< bytes up to the end of the last whole good frame before the first damage */
    bool ended;         /**< an end mark stands there */
    uint64_t behind;    /**< bytes behind the (first) end mark */
    uint64_t torn;      /**< bytes of an incomplete frame at the end */
    uint64_t lost;      /**< bytes of stretches in which no whole message stands */
    uint64_t faults;    /**< damage: also messages behind the end mark, where readers do not see them */
    uint64_t odd_items; /**< items of beacons whose sequence or running checksum does not fit what was read: no damage */
};

/** Who is told meanwhile. Each may be NULL. */
struct ss_looker {
    void (*fault)(void *arg, uint64_t offset, const char *text); /**< one fault */
    void (*tick)(void *arg, uint64_t bytes);                     /**< bytes looked at so far, now and then; of a repair of all its three passes */
    void *arg;
};

/**
 * Reads all of it and tells each fault; goes on at the next whole message, wherever it begins. Blocking; does not lock. ERR_FORMAT:
 * no .ss file.
 */
int ss_file_verify(const char *path, struct ss_report *out, const struct ss_looker *looker, struct err *err);
/**
 * Makes the file good: every whole message that can be read goes, in order, into a new file of the same header, which takes the place
 * of the old one; the old one is kept as PATH.damaged (".1" and so on when that is there), whose name the caller gets in `*kept` and frees.
 * `out` tells what was found. Nothing to mend: `*changed` false, `*kept` NULL. Locks (ERR_LOCKED); ERR_CONFLICT: a writer that does not
 * lock changed the file meanwhile, nothing was done. Synced when this returns.
 */
int ss_file_repair(const char *path, bool *changed, char **kept, struct ss_report *out, const struct ss_looker *looker, struct err *err);

#endif
