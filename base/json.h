/*
 * JSON at the edges: a strict validator that keeps bytes, a scanner that hands out raw values, a writer.
 *
 * User JSON is never parsed into numbers and printed again: its bytes are kept. What is accepted is
 * RFC 8259 exactly: one value, valid UTF-8 (no surrogates encoded as UTF-8), no raw control characters
 * in strings, \u escapes complete, no leading zeros. Lone surrogate escapes (\ud800) are accepted, as
 * RFC 8259 allows them and their bytes are kept.
 */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include <weir/err.h>
#include <weir/span.h>

#include "base/buf.h"

#define JSON_DEPTH_MAX 1024 /**< the validator recurses: a larger depth asked for counts as this */

/**
 * Validates one JSON value with blanks around it; depth = deepest nesting allowed (META_DEPTH).
 * With `out` not NULL appends it there without the white space outside strings, every other byte kept.
 * ERR_INVALID names what and at which byte; -ENOMEM. On failure out's length is unchanged.
 */
int json_validate(struct span text, int depth, struct buf *out, struct err *err);

enum json_type { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

/** One value found by the scanner: its type and its bytes as they stand (strings with their quotes). */
struct json_value {
    enum json_type type;
    struct span raw;
};

/** Walks the members of an object or the elements of an array that json_validate accepted. */
struct json_iter {
    struct span rest;
    bool array;
    bool first;
};

/** Starts over the raw bytes of a validated object or array. ERR_INVALID if it is neither. */
int json_iter_init(struct json_iter *it, struct span raw);

/**
 * Next member: `key` gets the raw key with its quotes (empty for arrays; may be NULL). True until the
 * end. Spans borrow from the text.
 */
bool json_iter_next(struct json_iter *it, struct span *key, struct json_value *value);

/** Type of a validated value (first byte after blanks). */
enum json_type json_type_of(struct span raw);

/** True when the raw string (with quotes) decodes to exactly `text`. */
bool json_string_is(struct span raw, const char *text);

/** Appends a raw string's (with quotes) decoded UTF-8 bytes. ERR_INVALID on a lone surrogate escape; -ENOMEM. */
int json_string_decode(struct span raw, struct buf *out, struct err *err);

/** An integer 0..2^64-1 without sign, fraction or exponent, exactly. ERR_INVALID else. */
int json_u64(struct span raw, uint64_t *out);

/** Appends "text" with quotes and the escapes JSON demands; UTF-8 stays raw; bytes that are no UTF-8 become U+FFFD. */
int json_put_string(struct buf *out, struct span text);

/** Appends a decimal. */
int json_put_u64(struct buf *out, uint64_t value);

#endif
