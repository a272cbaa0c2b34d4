/*
 * Topics of the xs dialect, patterns over them, ttls.
 */
#ifndef BASE_TOPIC_H
#define BASE_TOPIC_H

#include <weir/frame.h>

#include "base/buf.h"

/**
 * The xs rule: 1-255 bytes of a-z A-Z 0-9 _ - . ; first a letter or _ ; last not '.' ; no "..".
 * ERR_INVALID names the fault.
 */
int topic_check(struct span topic, struct err *err);

/** One element of a pattern list: an exact topic, or `prefix.*` kept as "prefix." with prefix = true. */
struct pattern {
    struct span text;
    bool prefix;
};

/** A parsed list. all: one element was `*`, or there was no list. Owns its memory. */
struct pattern_list {
    bool all;
    size_t count;
    struct pattern *items;
    char *text; /**< the copy that the spans point into */
};

#define PATTERN_ALL ((struct pattern_list){.all = true})

/**
 * Parses "a,b.*,*": blanks around elements are trimmed, empty ones ignored, one `*` means everything.
 * ERR_INVALID for a list without elements and for an element that is no topic or pattern. -ENOMEM.
 */
int pattern_parse(struct pattern_list *out, struct span text, struct err *err);

/** Whether a topic matches. */
bool pattern_match(const struct pattern_list *list, struct span topic);

/** A deep copy; -ENOMEM. */
int pattern_dup(struct pattern_list *out, const struct pattern_list *list);

/** Frees; the list is empty (matches nothing) afterwards. */
void pattern_finish(struct pattern_list *list);

/**
 * forever, ephemeral, time:MS, last:N (N 1..2^32-1). old_words: also head:N, the old name of last:N
 * (for imports and the seed's POST /TOPIC). ERR_INVALID names the valid forms.
 */
int ttl_parse(struct ttl *out, struct span text, bool old_words, struct err *err);

#define TTL_TEXT_MAX 32
/** "forever", "time:5000" ...; TTL_NULL gives "null". Returns the length; NUL-terminated. */
size_t ttl_format(char out[static TTL_TEXT_MAX], struct ttl ttl);

#endif
