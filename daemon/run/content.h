/*
 * A frame's content, read part by part where it does not lie in the frame: from the store, or from the content directory.
 *
 * Thread rule: one thread at a time; content_next blocks on the disk.
 */
#ifndef DAEMON_RUN_CONTENT_H
#define DAEMON_RUN_CONTENT_H

#include <weir/cas.h>
#include <weir/store.h>

#include "base/buf.h"

#define CONTENT_PART (256 * 1024)

/** Zeroed memory is one without content. */
struct content {
    struct store *store;
    struct cas *cas;
    uint8_t digest[DIGEST_SIZE];
    struct cas_reader *reader;
    uint64_t at;     /**< next byte of the reader */
    struct buf part; /**< what the last read gave */
    bool open;       /**< there may be more */
    bool found;
};

/** To be read from its beginning. Nothing is opened yet. */
void content_begin(struct content *content, struct store *store, struct cas *cas, const struct frame *frame);
/** A content that is there already: it is the first and only part. -ENOMEM. */
int content_set(struct content *content, struct span bytes);
/** Reads the next part, of at most `max` bytes (a content in the store comes whole); empty at the end. Errors as cas_reader_read, ERR_NOT_FOUND. */
int content_next(struct content *content, size_t max, struct err *err);
/** Closes; the memory of `part` is kept. */
void content_close(struct content *content);
void content_finish(struct content *content);

#endif
