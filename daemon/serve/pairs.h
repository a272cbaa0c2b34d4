/*
 * Names and values of a request's head, written as one JSON object: headers and the query.
 *
 * Bytes that are no UTF-8 are read as Latin-1, as HTTP has it. Pure; any thread.
 */
#ifndef DAEMON_SERVE_PAIRS_H
#define DAEMON_SERVE_PAIRS_H

#include "base/buf.h"

struct pairs {
    struct buf text;
    struct buf rows;
    size_t count;
};

enum pairs_form {
    PAIRS_LISTS, /**< a name that is there more than once gets a list of its values, in order */
    PAIRS_LAST,  /**< its last value counts */
};

/** Copies both. -ENOMEM. */
int pairs_add(struct pairs *pairs, struct span name, struct span value);
/** Appends the object; names in the order of their first time. Time is n log n, whatever was sent. -ENOMEM. */
int pairs_put(const struct pairs *pairs, enum pairs_form form, struct buf *out);
/** Takes a zeroed one. */
void pairs_finish(struct pairs *pairs);

/** Appends a JSON string of bytes that are UTF-8, or else Latin-1. -ENOMEM. */
int pairs_put_text(struct buf *out, struct span text);

#endif
