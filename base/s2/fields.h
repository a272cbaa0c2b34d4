/*
 * Known members of a JSON object: how the API's JSON is read.
 *
 * Unknown members are passed over, of a name that comes twice the last counts. Thread rule: any.
 */
#ifndef BASE_S2_FIELDS_H
#define BASE_S2_FIELDS_H

#include "base/json.h"

/** Deepest nesting that is read. */
#define S2_JSON_DEPTH 128

/** One value; raw.ptr NULL: absent. Borrows from the text. */
struct s2_field {
    struct json_value value;
};

static inline bool s2_field_there(const struct s2_field *field)
{
    return field->value.raw.ptr != NULL;
}

/** There, and not null. */
static inline bool s2_field_set(const struct s2_field *field)
{
    return s2_field_there(field) && field->value.type != JSON_NULL;
}

/** Validates a text. ERR_FORMAT. */
int s2_json_valid(struct span text, struct err *err);

/** Finds the members `names` of a validated value. `what` is for the text of the error. ERR_FORMAT:
 * no object. */
int s2_fields(struct s2_field *out, const char *const *names, size_t count, struct span raw,
              const char *what, struct err *err);

/** ERR_FORMAT when it is no number, or none from 0 to 2^64-1. */
int s2_field_u64(uint64_t *out, const struct s2_field *field, const char *what, struct err *err);
int s2_field_bool(bool *out, const struct s2_field *field, const char *what, struct err *err);
/** Appends the decoded text. ERR_FORMAT when it is no string or holds half a surrogate pair;
 * -ENOMEM. */
int s2_field_text(struct buf *out, const struct s2_field *field, const char *what, struct err *err);

#endif
