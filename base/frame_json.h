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
#define FRAME_JSON_STAMP 8u     /**< adds "stamp" behind the timestamp: the frame's S2 timestamp, a number of ms */
#define FRAME_JSON_CONTENT 16u  /**< adds the content behind everything else, see frame_json */

#define FRAME_JSON_CONTENT_MAX (1024 * 1024) /**< bytes of a content that is printed with its frame */

/**
 * Appends {"topic":..,"id":..,"hash":..,"meta":..,"ttl":..} without a newline, in that key order,
 * nulls written out. A frame's origin is shown as first key, "origin", of a meta that is an object or
 * null. Fast: one reservation, no printf. -ENOMEM, and then unchanged.
 *
 * With FRAME_JSON_CONTENT a frame that has content (has_content: it lies in the record, or the caller put it there) gets "content", a text, or
 * "content_base64" when that is no UTF-8. One above FRAME_JSON_CONTENT_MAX, or that is not at hand, gets "size" alone, null when that
 * is not known. A frame without content gets no such key.
 */
int frame_json(struct buf *out, const struct frame *frame, unsigned flags);

/** A frame as a client sends it (import, batch append). Spans borrow from `scratch` or the text. */
struct frame_in {
    bool has_id;
    struct frame_id id;
    struct span topic;
    bool stream;         /**< the topic came as "stream": any name that a stream may have */
    bool has_stamp;
    uint64_t stamp;      /**< ms since 1970: the client's timestamp */
    struct span meta;    /**< minified; len 0 = null or absent */
    bool has_ttl;        /**< a ttl key with a text was there */
    struct ttl ttl;      /**< TTL_NULL when absent or null */
    bool has_hash;
    uint8_t digest[DIGEST_SIZE];
    bool has_content;    /**< content or content_base64 was there (not null) */
    struct span content; /**< decoded bytes */
    bool is_cursor;      /**< it is none: a cursor of this name is to stand at this position. Everything above is unset */
    struct span cursor, position;
};

/**
 * Parses one object. Keys topic id hash meta ttl content content_base64; without import also stream (instead of topic) and stamp, or
 * else cursor and position, which make no frame. null = absent; unknown keys are ignored with import and refused without, but for
 * timestamp, seq and size, which reads print; a key twice, wrong types, content together with content_base64, topic with stream: ERR_INVALID; meta over
 * META_MAX minified: ERR_TOO_LARGE; -ENOMEM. Does not check the topic rule nor which keys are needed. `scratch` keeps what had to be decoded and must outlive `out`;
 * it is reserved before spans are taken, so spans into it stay valid. import: also the
 * old words of ttl_parse.
 */
int frame_in_parse(struct frame_in *out, struct span line, struct buf *scratch, bool import, struct err *err);

#endif
