/*
 * What `weir decode` prints: the peer's two forms byte for byte, and two of ours. No I/O.
 */
#ifndef BRIDGE_SHOW_H
#define BRIDGE_SHOW_H

#include "base/text.h"
#include "bridge/ss.h"

enum ss_show {
    SS_SHOW_LOG,    /**< "# HEADER", "[time | key | sequence | shard] payload", "# [beacon]" */
    SS_SHOW_NDJSON, /**< objects of header and payload, comment lines for file header and beacons */
    SS_SHOW_PLAIN,  /**< the same without comment lines: real NDJSON */
    SS_SHOW_EXACT,  /**< plain, with "payload" as text when it is UTF-8, else "payload_base64": no byte is lost, no number changed */
};

int ss_show_header(struct buf *out, enum ss_show form, const struct ss_header *h);
int ss_show_beacon(struct buf *out, enum ss_show form, const struct ss_beacon *b);
int ss_show_message(struct buf *out, enum ss_show form, const struct ss_message *m, bool header_only);

/**
 * Appends a JSON text as the peer's library prints a value of it: keys sorted by bytes, of equal ones the last, numbers beyond 64 bits and
 * with fraction or exponent as doubles (shortest form). ERR_INVALID when it is no JSON to that library (then nothing is added): lone
 * surrogates, out of range, deeper than 127 levels. -ENOMEM.
 */
int ss_json_again(struct buf *out, struct span text);

/** The bytes as an array of numbers. -ENOMEM; then nothing was added. */
int ss_show_bytes(struct buf *out, struct span bytes);

/** Decimal digits, quickly for the small numbers that most are. U64_TEXT_MAX bytes of room. Returns what is behind them. */
static inline uint8_t *ss_put_number(uint8_t *p, uint64_t value)
{
    if (value > 9)
        return p + text_format_u64((char *)p, value);
    *p = (uint8_t)('0' + value);
    return p + 1;
}

#endif
