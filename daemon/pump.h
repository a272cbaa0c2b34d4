/*
 * Frames of a site, in order, handed to one taker on the loop: from memory at once, from disk by way of the pool.
 *
 * A pump holds a place in the log, never a queue: what the taker does not take stays where it is. So a slow taker holds back only
 * itself, and loses nothing stored.
 *
 * Thread rule: everything on the loop thread, but `filter`.
 */
#ifndef DAEMON_PUMP_H
#define DAEMON_PUMP_H

#include "daemon/site.h"

struct pump;

struct pump_options {
    struct site *site;
    struct store_query query; /**< topics, bounds, follow; copied. want_lines is ignored */
    bool contents;            /**< frames come with their content where it lies in the record (up to INLINE_MAX) */
    /**
     * Whether a frame is wanted at all; NULL = all. Called on any thread, one at a time, before anything is copied: it may look
     * only at the frame and at what does not change while the pump lives.
     */
    bool (*filter)(void *arg, const struct frame *frame);
    /**
     * A frame; its spans live for the call. False: not taken now; it is offered again after pump_resume. The pump may be destroyed from within.
     */
    bool (*frame)(void *arg, const struct frame *frame);
    /** History is complete, what follows is live; once, with follow. May be NULL. */
    void (*threshold)(void *arg);
    /** So many ephemeral frames (of any topic) left memory before they were looked at. May be NULL. */
    void (*lost)(void *arg, uint64_t count);
    /** The read is complete (without follow, or at its limit), or the site ends (err NULL), or it failed. The last call. May be NULL. */
    void (*ended)(void *arg, const struct err *err);
    void *arg;
};

/** Opens it: fixes the end of history; frames come from a later turn of the loop on. Errors as store_cursor_open. */
int pump_create(struct pump **out, const struct pump_options *options, struct err *err);
/** The taker has room again. */
void pump_resume(struct pump *pump);
/** Everything up to this id was taken, or not wanted. */
struct frame_id pump_position(const struct pump *pump);
/** An id for a line that is no frame (a pulse): not below what was taken, below everything that was not. */
struct frame_id pump_synthetic_id(const struct pump *pump);
/** No more calls. Takes NULL. */
void pump_destroy(struct pump *pump);

#endif
