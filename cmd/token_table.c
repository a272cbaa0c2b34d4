/* Access tokens as a table for people. */
#include "cmd/token.h"

#include <string.h>

#include "base/json.h"

#define BASINS "BASINS"
#define OPERATIONS "OPERATIONS"

/* A set of names as people write it: NAME, PREFIX* or -. */
static int put_set(struct buf *out, struct json_value set)
{
    struct json_iter it;
    struct json_value value;
    struct span key;
    int rc = 0;
    if (set.type != JSON_OBJECT || json_iter_init(&it, set.raw) != 0)
        return buf_add_str(out, "-");
    while (rc == 0 && json_iter_next(&it, &key, &value)) {
        if (value.type == JSON_STRING)
            rc = json_string_decode(value.raw, out, NULL);
        if (rc == 0 && json_string_is(key, "prefix"))
            rc = buf_add_str(out, "*");
    }
    return rc;
}

/* The groups that are on, as "stream-read". */
static int put_groups(struct buf *out, struct json_value groups)
{
    struct json_iter it, one;
    struct json_value group, flag;
    struct span name, way;
    int rc = 0;
    if (groups.type != JSON_OBJECT || json_iter_init(&it, groups.raw) != 0)
        return 0;
    while (rc == 0 && json_iter_next(&it, &name, &group)) {
        if (group.type != JSON_OBJECT || json_iter_init(&one, group.raw) != 0)
            continue;
        while (rc == 0 && json_iter_next(&one, &way, &flag))
            if (span_is(flag.raw, "true"))
                rc = buf_addf(out, "%s%.*s-%.*s", out->len ? "," : "", (int)name.len - 2, (const char *)name.ptr + 1,
                              (int)way.len - 2, (const char *)way.ptr + 1);
    }
    return rc;
}

static int put_ops(struct buf *out, struct json_value ops)
{
    struct json_iter it;
    struct json_value op;
    int rc = 0;
    if (ops.type != JSON_ARRAY || json_iter_init(&it, ops.raw) != 0)
        return 0;
    while (rc == 0 && json_iter_next(&it, NULL, &op))
        if (op.type == JSON_STRING)
            rc = buf_addf(out, "%s%.*s", out->len ? "," : "", (int)op.raw.len - 2, (const char *)op.raw.ptr + 1);
    return rc;
}

/* A cell of what the token may do. */
static int put_scope(struct buf *out, const char *title, struct json_value scope)
{
    struct json_iter it;
    struct json_value value;
    struct span key;
    int rc = scope.type == JSON_OBJECT ? json_iter_init(&it, scope.raw) : ERR_INVALID;
    while (rc == 0 && json_iter_next(&it, &key, &value)) {
        if (strcmp(title, OPERATIONS) == 0) {
            if (json_string_is(key, "op_groups"))
                rc = put_groups(out, value);
            else if (json_string_is(key, "ops"))
                rc = put_ops(out, value);
        } else if (json_string_is(key, strcmp(title, BASINS) == 0 ? "basins" : "streams")) {
            rc = put_set(out, value);
        }
    }
    return rc;
}

static int put_cell(struct buf *out, const struct listing_column *column, struct json_value value)
{
    if (strcmp(column->key, "scope") == 0)
        return put_scope(out, column->title, value);
    return value.type == JSON_STRING ? json_string_decode(value.raw, out, NULL) : buf_add_str(out, "never");
}

static const struct listing_column columns[] = {
    {"id", "ID", 20}, {"expires_at", "EXPIRES", 29}, {"scope", BASINS, 16}, {"scope", "STREAMS", 20}, {"scope", OPERATIONS, 0}};

const struct listing token_listing = {
    .target = "/tokens", .what = "tokens", .columns = columns, .count = sizeof(columns) / sizeof(columns[0]), .cell = put_cell};
