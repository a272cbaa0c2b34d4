/*
 * Appends of the daemon and of programs: put in order, committed in order, with a bound on what is under way.
 *
 * Contents up to INLINE_MAX travel in their frame; larger ones become blobs first, and what was put behind them waits. A full disk is
 * waited out: the append is tried again each second, and meanwhile `emit_full` holds the producer back.
 *
 * Thread rule: the loop thread.
 */
#ifndef DAEMON_EMIT_H
#define DAEMON_EMIT_H

#include "daemon/site.h"

#define EMIT_BUDGET (1024 * 1024) /**< bytes under way above which emit_full says so */

struct emit;

struct emit_frame {
    struct span topic;
    struct span meta;   /**< minified JSON; len 0 = null */
    struct ttl ttl;
    bool has_content;   /**< empty content counts as none, as everywhere */
    struct span content;
    struct span origin; /**< KIND/NAME of the program it is of; len 0 = none */
};

/** What became of a put. */
struct emit_result {
    int code;                    /**< 0 or why it was refused */
    const struct err *err;
    const struct frame_id *ids;  /**< of the frames, in order */
    size_t count;
};

struct emit_options {
    struct site *site;
    enum authority authority;
    bool urgent; /**< as of struct store_op */
    void (*room)(void *arg); /**< emit_full has become false again; may be NULL */
    void *arg;
};

int emit_create(struct emit **out, const struct emit_options *options, struct err *err);

/**
 * Appends frames, all or nothing, and changes `mark` (may be NULL) in the same record. Everything is copied. `done` (may be NULL) is called
 * once, later, never before this returns; not after emit_destroy. 0 or -ENOMEM: nothing was put.
 */
int emit_put(struct emit *emit, const struct emit_frame *frames, size_t count, const struct store_mark *mark,
             void (*done)(void *arg, const struct emit_result *result), void *arg);
/** So much is under way that the producer should wait for `room`. */
bool emit_full(const struct emit *emit);
/**
 * Someone who reads what is appended is behind: emit_full says so until each hold is taken back, and then `room` comes as always. What is put
 * meanwhile is appended. From outside of `room` and `done`.
 */
void emit_hold(struct emit *emit, bool hold);
/** Holds do not count from now on: the producer is to end. As emit_hold. */
void emit_let_go(struct emit *emit);
/** Puts whose outcome is not known. */
size_t emit_pending(const struct emit *emit);
/** What was put is still appended; no more callbacks. Takes NULL. */
void emit_destroy(struct emit *emit);

#endif
