/*
 * Small text forms that several rooms read and write: base64, URIs, times, byte ranges, numbers.
 */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include <strings.h>

#include <weir/err.h>
#include <weir/span.h>

#include "base/buf.h"

/* --- words --------------------------------------------------------------------------------- */

/** Without blanks and tabs at both ends. */
static inline struct span text_trim(struct span s)
{
    while (s.len > 0 && (s.ptr[0] == ' ' || s.ptr[0] == '\t'))
        s = span_of(s.ptr + 1, s.len - 1);
    while (s.len > 0 && (s.ptr[s.len - 1] == ' ' || s.ptr[s.len - 1] == '\t'))
        s.len--;
    return s;
}

/** Whether it is this word, in capitals or not. */
static inline bool text_is_word(struct span s, const char *word)
{
    return s.len == strlen(word) && strncasecmp((const char *)s.ptr, word, s.len) == 0;
}

/* --- numbers ------------------------------------------------------------------------------- */

/** Decimal digits only, 0..2^64-1; ERR_INVALID for anything else, also the empty text. */
int text_u64(struct span text, uint64_t *out);

#define U64_TEXT_MAX 20 /**< digits of 2^64-1 */
/** Writes the decimal digits without a NUL; returns how many (1..20). */
size_t text_format_u64(char out[static U64_TEXT_MAX], uint64_t value);

/* --- base64: standard alphabet with padding (libsodium) -------------------------------------- */

int b64_encode(struct buf *out, struct span bytes);
/** Strict: padding needed, no blanks. ERR_INVALID, -ENOMEM. */
int b64_decode(struct buf *out, struct span text, struct err *err);
/** The same into `room` bytes of memory; sets how many. ERR_INVALID, also when they do not fit. */
int b64_decode_into(uint8_t *out, size_t room, struct span text, size_t *len);

/* --- content hashes: W3C Subresource Integrity ---------------------------------------------------- */

#define SRI_TEXT_LEN 51 /**< "sha256-" and 44 base64 digits */

/** Writes the 51 characters and a NUL. */
void sri_format(char out[static SRI_TEXT_LEN + 1], const uint8_t digest[static 32]);

/**
 * Parses "sha256-BASE64", also in a blank-separated list (the first sha256 entry counts). Other known
 * algorithms (sha1 sha384 sha512 xxh3): ERR_NOT_FOUND when well formed, since weir stores none.
 * Anything else ERR_INVALID.
 */
int sri_parse(uint8_t out[static 32], struct span text, struct err *err);

/* --- URIs -------------------------------------------------------------------------------------- */

/** Splits a request target, absolute-form or origin-form, into raw path and raw query (without '?'). */
void uri_split(struct span target, struct span *path, struct span *query);

/** Appends the percent-decoded bytes. plus: '+' is a blank. ERR_INVALID for a broken escape, %00 or a NUL. */
int uri_decode(struct buf *out, struct span text, bool plus, struct err *err);

/** Appends text with everything but unreserved characters (and those in `keep`) percent-encoded. */
int uri_encode(struct buf *out, struct span text, const char *keep);

/** Takes the next key[=value] of a raw query off `rest`. has_value tells `k=` from `k`. False at the end. */
bool uri_query_next(struct span *rest, struct span *key, struct span *value, bool *has_value);

/* --- times ----------------------------------------------------------------------------------- */

/** Wall clock, ms since the epoch. */
uint64_t time_now_ms(void);
/** Monotonic clock, microseconds. */
uint64_t time_mono_us(void);
/** Milliseconds until `deadline_us` of that clock, rounded up, for poll: 0 when it is over, at most an hour; -1 for UINT64_MAX, which is no deadline. */
int time_left_ms(uint64_t deadline_us);

/** RFC 3339 in UTC as +00:00, fraction of 3 digits only when not zero: "2026-01-02T03:04:05.678+00:00". */
#define TIME_TEXT_MAX 48
void time_format(char out[static TIME_TEXT_MAX], uint64_t ms);

/** A duration such as 90s, 10m, 2h, 1d, 1h30m, 500ms, 1w (unit needed) in ms. ERR_INVALID. */
int time_parse_duration(struct span text, uint64_t *out_ms, struct err *err);

/**
 * A moment: a duration (that long before now_ms), RFC 3339 (with offset or Z; without one: local time;
 * date alone = its midnight), "now", or @SECONDS. ERR_INVALID with examples of what is understood.
 */
int time_parse_moment(struct span text, uint64_t now_ms, uint64_t *out_ms, struct err *err);

/* --- HTTP byte ranges ------------------------------------------------------------------------------- */

/**
 * "bytes=a-b", "bytes=a-", "bytes=-n" over a body of `size` bytes: sets start and length. Several
 * ranges, other units or nonsense: ERR_INVALID (the header is to be ignored); outside: ERR_RANGE.
 */
int range_parse(struct span text, uint64_t size, uint64_t *start, uint64_t *len);

/* --- terminals ------------------------------------------------------------------------------------- */

/**
 * Appends text for a terminal: control bytes, C1 controls, direction overrides and invalid UTF-8 become
 * \xNN or \uNNNN; newline and tab stay. -ENOMEM, and then unchanged.
 */
int text_neutralise(struct buf *out, struct span text);

#endif
