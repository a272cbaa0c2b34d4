/*
 * What a route lists, printed: NDJSON as it is, or a table for people.
 */
#ifndef CMD_LISTING_H
#define CMD_LISTING_H

#include "base/json.h"
#include "cmd/call.h"

/** A column of a table: a member of each line's object. */
struct listing_column {
    const char *key, *title;
    int width; /**< 0: the last one, as wide as it is */
};

struct listing {
    const char *target; /**< path and query of the GET */
    const char *what;   /**< "groups", for messages */
    const struct listing_column *columns;
    size_t count;
    /** Appends a cell's text, of any bytes, of a member (JSON_NULL when it is not there). NULL:
     * strings as they are, null as "-", all else as JSON. 0, ERR_INVALID, -ENOMEM. */
    int (*cell)(struct buf *out, const struct listing_column *column, struct json_value value);
};

/** Sends the request, prints the answer. Returns an exit status. */
int listing_print(const struct call *call, struct weir *w, const struct listing *l);

#endif
