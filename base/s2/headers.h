/*
 * Headers of a record as the meta of a frame, and back. Nothing is lost either way.
 *
 *   headers -> meta   none: null (no bytes). Distinct, non-empty UTF-8 names with UTF-8 values: an object of strings, in order.
 *                     Anything else: {"s2.headers":[[NAME64,VALUE64],...]} in base64
 *   meta -> headers   null: none. An object of strings with non-empty names: one header each. That last form: as it says.
 *                     Any other JSON: one header "xs-meta" with the JSON text
 *
 * Thread rule: any.
 */
#ifndef BASE_S2_HEADERS_H
#define BASE_S2_HEADERS_H

#include "base/s2/record.h"

/** Appends the meta (nothing for no headers). -ENOMEM. */
int s2_headers_to_meta(struct buf *out, const struct s2_header *headers, size_t count);

/** Headers as read; spans point into the meta or into `bytes`. Zeroed memory is empty and may be used again and again. */
struct s2_headers {
    struct s2_header *items;
    size_t count, cap;
    struct buf bytes;
};
/** Reads a stored meta (valid JSON without blanks, or empty). `command`: the frame is a command record; of others an empty name is
 * no header, so they come as xs-meta. -ENOMEM. */
int s2_headers_from_meta(struct s2_headers *out, struct span meta, bool command);
void s2_headers_finish(struct s2_headers *headers);

#endif
