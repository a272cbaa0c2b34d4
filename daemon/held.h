/*
 * Pins of contents until the frames that name them are in the index.
 *
 * Order that keeps contents: a digest is pinned before anybody looks whether its blob is there; the
 * pin is kept until the record that names it is indexed; the index thread removes freed blobs right
 * after the commit that freed them. So a blob that a frame on its way names is always pinned when
 * it could be removed.
 */
#ifndef DAEMON_HELD_H
#define DAEMON_HELD_H

#include <pthread.h>
#include <weir/cas.h>
#include <weir/store.h>

#include "base/buf.h"

struct held_pins {
    struct cas *cas;
    pthread_mutex_t lock;
    struct buf held; /**< entries: record number 8, digest 32; in order of record numbers, nearly */
};

void held_init(struct held_pins *pins, struct cas *cas);
void held_finish(struct held_pins *pins);
/** Gives the pin to the list, which gives it back once record `number` is indexed. -ENOMEM: it
 * stays for ever. */
int held_keep(struct held_pins *pins, uint64_t number, const uint8_t digest[static DIGEST_SIZE]);
/**
 * Removes a blob that no frame names (looked up under the list's lock, so that no pin is given back
 * between the look and the removal). 0 also when it is named or pinned; else as cas_remove. May
 * block; not on the loop.
 */
int held_remove_unnamed(struct held_pins *pins, struct store *store,
                        const uint8_t digest[static DIGEST_SIZE], struct err *err);
/** The same; `counts` as for store_names. */
int held_remove_uncounted(struct held_pins *pins, struct store *store,
                          const uint8_t digest[static DIGEST_SIZE],
                          bool (*counts)(void *arg, const struct frame *frame), void *arg,
                          struct err *err);
/** Index thread: records up to `number` are in the index. */
void held_indexed(struct held_pins *pins, uint64_t number);

#endif
