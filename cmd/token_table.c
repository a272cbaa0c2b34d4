/* Access tokens as a table for people. */
#include "cmd/token.h"

#include <errno.h>

#include "base/json.h"
#include "base/text.h"

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

struct row {
    struct buf id, expires, basins, streams, ops;
};

static int take_scope(struct row *row, struct json_value scope)
{
    struct json_iter it;
    struct json_value value;
    struct span key;
    int rc = scope.type == JSON_OBJECT ? json_iter_init(&it, scope.raw) : ERR_INVALID;
    while (rc == 0 && json_iter_next(&it, &key, &value)) {
        if (json_string_is(key, "basins"))
            rc = put_set(&row->basins, value);
        else if (json_string_is(key, "streams"))
            rc = put_set(&row->streams, value);
        else if (json_string_is(key, "op_groups"))
            rc = put_groups(&row->ops, value);
        else if (json_string_is(key, "ops"))
            rc = put_ops(&row->ops, value);
    }
    return rc;
}

static int take_token(struct row *row, struct span line)
{
    struct json_iter it;
    struct json_value value;
    struct span key;
    int rc = json_validate(line, 8, NULL, NULL) == 0 ? json_iter_init(&it, line) : ERR_INVALID;
    while (rc == 0 && json_iter_next(&it, &key, &value)) {
        if (json_string_is(key, "id") && value.type == JSON_STRING)
            rc = json_string_decode(value.raw, &row->id, NULL);
        else if (json_string_is(key, "expires_at"))
            rc = value.type == JSON_STRING ? json_string_decode(value.raw, &row->expires, NULL) : buf_add_str(&row->expires, "never");
        else if (json_string_is(key, "scope"))
            rc = take_scope(row, value);
    }
    return rc;
}

static int put_cell(struct buf *out, int width, struct buf *text)
{
    CLEAN_BUF safe = BUF_INIT;
    const char *shown = text_neutralise(&safe, buf_span(text)) == 0 ? buf_cstr(&safe) : NULL;
    return shown ? buf_addf(out, "%-*s ", width, shown) : -ENOMEM;
}

static int put_row(struct buf *out, struct span line)
{
    struct row row = {0};
    int rc = take_token(&row, line);
    struct buf *cells[] = {&row.id, &row.expires, &row.basins, &row.streams, &row.ops};
    static const int widths[] = {20, 29, 16, 20, 0};
    for (int i = 0; rc == 0 && i < 5; i++)
        rc = put_cell(out, widths[i], cells[i]);
    for (int i = 0; i < 5; i++)
        buf_finish(cells[i]);
    return rc == 0 ? buf_add_str(out, "\n") : rc;
}

int token_table(struct buf *out, struct span lines)
{
    int rc = buf_addf(out, "%-20s %-29s %-16s %-20s %s\n", "ID", "EXPIRES", "BASINS", "STREAMS", "OPERATIONS");
    while (rc == 0 && lines.len > 0) {
        const uint8_t *end = memchr(lines.ptr, '\n', lines.len);
        size_t len = end ? (size_t)(end - lines.ptr) : lines.len;
        rc = put_row(out, span_of(lines.ptr, len));
        lines = span_of(lines.ptr + len + (end != NULL), lines.len - len - (end != NULL));
    }
    return rc;
}
