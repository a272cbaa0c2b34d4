/*
 * Frames as JSON lines: the fixed-schema writer, and the parser of frames that come in.
 */
#ifndef BASE_FRAME_JSON_H
#define BASE_FRAME_JSON_H

#include <weir/frame.h>

#include "base/buf.h"

#define FRAME_JSON_TIMESTAMP 1u /**< adds "timestamp", last key */
#define FRAME_JSON_SEQ 2u       /**< adds "seq" (number or null) after ttl */
#define FRAME_JSON_AUTHORITY 4u /**< adds "authority" ("none", "exec" or "daemon") behind that */

/**
 * Appends {"topic":..,"id":..,"hash":..,"meta":..,"ttl":..} without a newline, in that key order,
 * nulls written out. A frame's origin is shown as first key, "origin", of a meta that is an object or
 * null. Fast: one reservation, no printf. -ENOMEM, and then unchanged.
 */
int frame_json(struct buf *out, const struct frame *frame, unsigned flags);

/** A frame as a client sends it (import, batch append). Spans borrow from `scratch` or the text. */
struct frame_in {
    bool has_id;
    struct frame_id id;
    struct span topic;
    struct span meta;    /**< minified; len 0 = null or absent */
    bool has_ttl;        /**< a ttl key with a text was there */
    struct ttl ttl;      /**< TTL_NULL when absent or null */
    bool has_hash;
    uint8_t digest[DIGEST_SIZE];
    bool has_content;    /**< content or content_base64 was there (not null) */
    struct span content; /**< decoded bytes */
};

/**
 * Parses one object. Keys topic id hash meta ttl content content_base64; null = absent; unknown keys
 * are ignored with import and refused without, but for timestamp and seq, which reads print; a key twice, wrong types, content together with content_base64: ERR_INVALID; meta over
 * META_MAX minified: ERR_TOO_LARGE; -ENOMEM. Does not check the topic rule nor which keys are needed. `scratch` keeps what had to be decoded and must outlive `out`;
 * it is reserved before spans are taken, so spans into it stay valid. import: also the
 * old words of ttl_parse.
 */
int frame_in_parse(struct frame_in *out, struct span line, struct buf *scratch, bool import, struct err *err);

#endif
