#include "base/s2/fields.h"

int s2_json_valid(struct span text, struct err *err)
{
    struct err fault = ERR_INIT;
    int rc = json_validate(text, S2_JSON_DEPTH, NULL, &fault);
    return rc == ERR_INVALID ? err_set(err, ERR_FORMAT, "%s", fault.text) : rc;
}

int s2_fields(struct s2_field *out, const char *const *names, size_t count, struct span raw,
              const char *what, struct err *err)
{
    struct json_iter it;
    struct span key;
    struct json_value value;
    for (size_t i = 0; i < count; i++)
        out[i] = (struct s2_field){.value = {.raw = {NULL, 0}}};
    if (json_iter_init(&it, raw) < 0 || it.array)
        return err_set(err, ERR_FORMAT, "%s is an object", what);
    while (json_iter_next(&it, &key, &value)) {
        for (size_t i = 0; i < count; i++) {
            if (json_string_is(key, names[i]))
                out[i].value = value;
        }
    }
    return 0;
}

int s2_field_u64(uint64_t *out, const struct s2_field *field, const char *what, struct err *err)
{
    if (field->value.type != JSON_NUMBER || json_u64(field->value.raw, out) < 0)
        return err_set(err, ERR_FORMAT, "%s is an integer from 0 to 2^64-1", what);
    return 0;
}

int s2_field_bool(bool *out, const struct s2_field *field, const char *what, struct err *err)
{
    if (field->value.type != JSON_BOOL)
        return err_set(err, ERR_FORMAT, "%s is true or false", what);
    *out = span_is(field->value.raw, "true");
    return 0;
}

int s2_field_text(struct buf *out, const struct s2_field *field, const char *what, struct err *err)
{
    if (field->value.type != JSON_STRING)
        return err_set(err, ERR_FORMAT, "%s is a string", what);
    struct err fault = ERR_INIT;
    int rc = json_string_decode(field->value.raw, out, &fault);
    return rc < 0 ? err_set(err, rc == ERR_INVALID ? ERR_FORMAT : rc, "%s: %s", what, fault.text)
                  : 0;
}
