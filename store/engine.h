/*
 * The log below tail and index: numbered records, durable in order.
 *
 * A record is one group of operations (store/record.h), opaque here. Numbers start at 1 and are dense.
 * The journal (store/journal.h) is the first implementation; a replicated log can be another. Above
 * this line nothing knows which it is.
 *
 * Thread rule: append by one thread at a time (the writer); release, prepare and stat by any other
 * thread beside it; read only before the first append.
 */
#ifndef STORE_ENGINE_H
#define STORE_ENGINE_H

#include <weir/err.h>
#include <weir/span.h>

struct engine;

/** Where the log stands. Bytes are bytes on disk. */
struct engine_stat {
    uint64_t first;    /**< lowest number still held (last + 1 when none) */
    uint64_t last;     /**< newest durable number, 0 = none ever */
    uint64_t segments; /**< files */
    uint64_t bytes;
};

struct engine_ops {
    /**
     * Appends one record and returns when it is durable. `number` gets its number, always the last
     * one plus 1. expect_last: the number the caller believes is the last (ERR_CONDITION else: another
     * writer was there). ERR_FULL: no room, nothing written, may be tried again. ERR_UNKNOWN: a write or
     * sync failed: the record may or may not survive and the log refuses everything from now on
     * (ERR_UNAVAILABLE) until it is opened anew (promise P7).
     */
    int (*append)(struct engine *engine, struct span record, uint64_t expect_last, uint64_t *number,
                  struct err *err);
    /**
     * Hands every record from number `from` on to `each`, in order; the span lives for the call. `each` returns 0 to
     * go on, else the read ends with that value. `from` below the first held: ERR_NOT_FOUND.
     */
    int (*read)(struct engine *engine, uint64_t from,
                int (*each)(void *arg, uint64_t number, struct span record), void *arg, struct err *err);
    /** Records up to `upto` are kept elsewhere now; their room may be used again. Never blocks appends for long. */
    void (*release)(struct engine *engine, uint64_t upto);
    /** Does ahead what appends will need (preallocation). For a background thread. Errors are only for the log. */
    int (*prepare)(struct engine *engine, struct err *err);
    void (*stat)(struct engine *engine, struct engine_stat *out);
    /** Frees. Everything appended is durable already. */
    void (*close)(struct engine *engine);
};

/** Every implementation begins with this. */
struct engine {
    const struct engine_ops *ops;
};

#endif
