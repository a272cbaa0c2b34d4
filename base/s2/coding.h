/*
 * Compression of bodies and frames: zstd and gzip, whole texts at a time, with a bound on what comes out.
 *
 * Thread rule: any; the working memory is kept per thread.
 */
#ifndef BASE_S2_CODING_H
#define BASE_S2_CODING_H

#include <weir/err.h>

#include "base/buf.h"

enum coding { CODING_NONE = 0, CODING_ZSTD = 1, CODING_GZIP = 2 };

/** A Content-Encoding: absent or empty, identity, zstd, gzip (x-gzip). False for anything else. */
bool coding_parse(enum coding *out, struct span text);
/** Its name for a header: "zstd", "gzip", NULL for none. */
const char *coding_name(enum coding coding);
/** What an Accept-Encoding allows: zstd before gzip; entries with q=0 do not count. */
enum coding coding_choose(struct span accept);
/** Appends. -ENOMEM. */
int coding_pack(struct buf *out, enum coding coding, struct span bytes);
/** Appends at most `max` bytes. ERR_TOO_LARGE; ERR_FORMAT for damaged or cut input, or bytes behind its end; -ENOMEM. */
int coding_unpack(struct buf *out, enum coding coding, struct span bytes, size_t max, struct err *err);

#endif
