/*
 * A store that the root store names: listened for all the time, open only while somebody uses it or its programs run.
 *
 *   closed --first connection--> opening (pool) --> open --idle--> stopping (programs) --> quiet --> closing (pool) --> closed
 *
 * Connections that come while it is closed wait until it is open. Thread rule: the loop thread.
 */
#ifndef DAEMON_ATTACHED_H
#define DAEMON_ATTACHED_H

#include "daemon/pool.h"
#include "daemon/site.h"

enum attached_state { ATTACHED_CLOSED, ATTACHED_OPENING, ATTACHED_OPEN, ATTACHED_STOPPING, ATTACHED_CLOSING };

struct attached;

/** Somebody who needs the store open. The owner's memory, until `opened`. */
struct attached_use {
    /** It is open and stays so until attached_release; or err says why it is not, and there is nothing to release. */
    void (*opened)(struct attached_use *use, struct attached *attached, const struct err *err);
    struct attached_use *next;
};

struct attached {
    struct attached *next; /**< the owner's */
    struct daemon *daemon;
    char *name;
    struct frame_id created; /**< the frame that named it */
    struct site site;
    enum attached_state state;
    bool started;  /**< its programs were read */
    bool leaving;  /**< it is being detached: it is not opened again */
    bool purge;    /**< and then removed from the disk */
    uint64_t cut_ms; /**< stopping: loop time at which open answers are cut */
    bool kept;     /**< it stays open until this is taken back */
    size_t users;  /**< it stays open until they release it */
    struct attached_use *uses; /**< those who wait, the first first */
    struct listener *listener;
    int *queue;    /**< connections that wait */
    size_t queued, queue_cap;
    uint64_t used_ms; /**< loop time it was last seen in use */
    struct job job;
    int result;
    struct err err;
    void (*opened)(struct attached *attached, const struct err *err); /**< an open that was asked for ended; err NULL: well */
    void (*closed)(struct attached *attached);                        /**< it is closed (and purged) */
    void *arg;
};

/** A closed one. path: absolute. -ENOMEM. */
int attached_create(struct attached **out, struct daemon *daemon, struct span name, struct frame_id created, const char *path,
                    struct err *err);
/** Opens it, making what is missing, and listens; then `opened`. */
void attached_open(struct attached *attached);
/** Opens it if need be; then use->opened, maybe before this returns. One that leaves: ERR_NOT_FOUND. */
void attached_use(struct attached *attached, struct attached_use *use);
/** One use is over. */
void attached_release(struct attached *attached);
/** Ends its programs and connections and closes it; then `closed`. With `leaving` its socket goes as well. */
void attached_close(struct attached *attached);
/** Looks whether work is due: a closing one that became quiet, one idle for idle_ms that may be closed. Call now and then. True: it
 * is closing, look again soon. */
bool attached_tick(struct attached *attached, uint64_t now_ms, uint64_t idle_ms);
/** Closed and not listening any more. */
void attached_destroy(struct attached *attached);

#endif
