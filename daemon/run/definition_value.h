/*
 * Values of a definition's meta: each is read strictly, or refused with a text that quotes it.
 *
 * A text begins with the value ("5 is not a number of milliseconds of at least 10"), so that the key can be put before it. Pure; any thread.
 */
#ifndef DAEMON_RUN_DEFINITION_VALUE_H
#define DAEMON_RUN_DEFINITION_VALUE_H

#include "base/json.h"
#include "base/topic.h"
#include "daemon/run/definition.h"

#define VALUE_NUMBER_MAX (UINT64_C(1) << 53)

/** printf arguments of "%.*s": the beginning of raw bytes, at most 60. */
#define SHOWN(raw) (int)((raw).len < 60 ? (raw).len : 60), (const char *)(raw).ptr

/** true or false. */
int value_bool(bool *out, struct json_value value, struct err *err);
/** Digits alone, from min to max; `what` are counted ("milliseconds"). */
int value_number(uint64_t *out, struct json_value value, const char *what, uint64_t min,
                 uint64_t max, struct err *err);
/** A number of bytes, at least 1, or a text such as "64M" (K, M, G, T: powers of 1 024). */
int value_size(uint64_t *out, struct json_value value, struct err *err);
/** One of `words`, NULL-terminated: its index. */
int value_word(unsigned *out, struct json_value value, const char *const *words, struct err *err);
/** A string without NUL; the caller frees it. What was in *out is freed. -ENOMEM. */
int value_text(char **out, struct json_value value, struct err *err);
/** A list of strings or a text with commas: topics, PREFIX.* or *. What was in *out is freed. -ENOMEM. */
int value_patterns(struct pattern_list *out, struct json_value value, struct err *err);
/**
 * An object of strings, as NAME=VALUE, NULL-terminated; value_env_free frees it. Names: not empty, without '=', not WEIR_...
 * -ENOMEM.
 */
int value_env(char ***out, struct json_value value, struct err *err);
/** Takes NULL. */
void value_env_free(char **env);

/** What does not fit together in a definition whose values are good: its name, the topic of what it prints, its output. */
int definition_check(const struct definition *def, struct err *err);

#endif
