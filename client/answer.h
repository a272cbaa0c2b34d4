/*
 * An HTTP/1.1 answer, read without any I/O: bytes go in as they come, status, headers and body come
 * out.
 *
 * What is accepted: HTTP/1.0 and 1.1 status lines, lines ended by CRLF or LF, bodies by
 * Content-Length, chunked or up to the end of the connection. Interim answers (1xx except 101) are
 * passed over. What would leave the body's length in doubt (two different lengths, an unknown
 * transfer coding, folded headers) is refused with -EPROTO. The head is bounded by ANSWER_HEAD_MAX,
 * as are all trailers.
 *
 * Thread rule: one owner.
 */
#ifndef CLIENT_ANSWER_H
#define CLIENT_ANSWER_H

#include <stdbool.h>
#include <stdint.h>

#include <weir/err.h>
#include <weir/span.h>

#include "base/buf.h"

#define ANSWER_HEAD_MAX (64 * 1024) /**< bytes of all heads of one answer, and of its trailers */

/** Where in the answer the next byte belongs. */
enum answer_part {
    ANSWER_STATUS,
    ANSWER_FIELDS,
    ANSWER_SIZED,  /**< body with a length */
    ANSWER_TO_END, /**< body up to the end of the connection */
    ANSWER_CHUNK_SIZE,
    ANSWER_CHUNK_DATA,
    ANSWER_CHUNK_END, /**< the line end after a chunk's data */
    ANSWER_TRAILER,
    ANSWER_ENDED,
};

/** One answer. Read the members after answer_head said that the head is there; change none. */
struct answer {
    enum answer_part part;
    int status;
    bool head_only; /**< the request was HEAD: no body follows whatever the headers say */
    bool begun;     /**< at least one byte came */
    bool keep;      /**< the connection may carry another request after this answer */
    bool has_length;
    uint64_t length; /**< of the body, when has_length */
    bool chunked;
    uint64_t left;     /**< body bytes to come: of the whole, or of the chunk */
    size_t line_bytes; /**< of head or trailers so far */
    struct buf line;   /**< the unfinished line */
    struct buf fields; /**< "name\0value\0" of each header, names in lower case */
    struct buf trailers; /**< the same of each trailer field behind the last chunk */
};

/** Makes ready for the next answer; keeps memory. The first call takes zeroed memory. */
void answer_reset(struct answer *a, bool head_only);
void answer_finish(struct answer *a);

/**
 * Takes bytes of the head. Sets `used` to how many; 1 when the head is complete (the rest of `in`
 * is body), 0 when more is needed. Errors: -EPROTO with a text, -ENOMEM.
 */
int answer_head(struct answer *a, struct span in, size_t *used, struct err *err);

/**
 * Decodes body bytes from `in` to `into`, as many as fit; sets `used` to the bytes of `in` it took.
 * Framing is taken even when `room` is full, so that what is left of `in` begins with a body byte
 * and the end is noticed at once (part is ANSWER_ENDED). Returns how many bytes were written, or
 * -EPROTO, -ENOMEM.
 */
long answer_body(struct answer *a, struct span in, size_t *used, void *into, size_t room,
                 struct err *err);

/** The connection ended: 0 when that is a proper end of the body, else ERR_CUT. */
int answer_eof(struct answer *a, struct err *err);

/** Value of a header (any case), NULL when absent; the first when there are several. Borrowed. */
const char *answer_field(const struct answer *a, const char *name);
/** The same of a trailer field; NULL also before the answer is at its end. */
const char *answer_trailer(const struct answer *a, const char *name);

#endif
