/*
 * One line, one message: "[TIME | KEY | SEQUENCE | SHARD] PAYLOAD". Reading, its defaults, writing.
 */
#ifndef BRIDGE_LINE_H
#define BRIDGE_LINE_H

#include "bridge/message.h"

/**
 * Reads a line without its newline. Spans of `out` point into it. Missing parts: no_key (key "broadcast"), no_seq, no_time
 * are set and the values 0. ERR_INVALID for a bad line, with the reason: not UTF-8, or "[...]" with a "[" as first byte and
 * what stands between is none of the forms.
 */
int ss_line_parse(struct ss_message *out, struct span line, struct err *err);

/** The counters of one process: a sequence for each (key, shard). Zeroed memory is an empty one. */
struct ss_counters {
    struct ss_counter *slots;
    size_t used, cap;
    size_t last;   /**< the slot asked for last */
    uint64_t seed; /**< of the hashes */
};
/**
 * Gives a line its sequence: one that it names sets the counter to that value, a line without takes the counter and then adds one
 * (wraps at 2^64). `named`, may be NULL: whether a line of this key and shard ever named one, this one included. -ENOMEM.
 */
int ss_counters_give(struct ss_counters *c, struct ss_message *m, bool *named);
/** Writers: the next sequence of a key and shard, from 0, counted on. -ENOMEM. */
int ss_counters_next(struct ss_counters *c, struct span key, uint64_t shard, uint64_t *seq);
void ss_counters_finish(struct ss_counters *c);

/** What a writer does with a payload that a line cannot hold: a newline in it, or bytes that are no UTF-8. */
enum ss_line_odd {
    SS_ODD_REFUSE, /**< ERR_INVALID, nothing is written */
    SS_ODD_RAW,    /**< as it is, also when readers then see several lines */
    SS_ODD_JSON,   /**< as a JSON string; bytes that are no UTF-8 as an array of numbers */
};

/** Whether nothing but white space (as Unicode has it) stands there, or nothing at all. The text need not be UTF-8. */
bool ss_line_blank(struct span text);

/** How a message is printed. */
struct ss_line_form {
    bool exact;    /**< time with its fraction, and the shard; else whole seconds and no shard, as producers of the peer print it */
    enum ss_line_odd odd;
};
/**
 * Appends the line with its newline. ERR_INVALID (see SS_ODD_REFUSE; also for a key that is none and a time behind the year
 * 9999, whatever `odd` says), -ENOMEM; then nothing was added. Not exact and an empty payload: 0, and nothing is added, as with
 * the peer's producers (it uses no sequence, either). Exact: a payload of nothing but blanks, or none, has no blank before it, so
 * that readers get what was written. White space before other text in a payload is lost on readers; the line has no form for it.
 */
int ss_line_write(struct buf *out, const struct ss_message *m, struct ss_line_form form, struct err *err);

#endif
