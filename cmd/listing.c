#include "cmd/listing.h"

#include <errno.h>

#include "base/clean.h"
#include "base/text.h"
#include "cmd/output.h"

#define ANSWER_MAX ((size_t)256 << 20)
#define DEPTH 64 /* of a line */

static int plain_cell(struct buf *out, const struct listing_column *column, struct json_value value)
{
    (void)column;
    if (value.type == JSON_STRING)
        return json_string_decode(value.raw, out, NULL);
    return value.type == JSON_NULL ? buf_add_str(out, "-") : buf_add_span(out, value.raw);
}

static int put_text(struct buf *out, const struct listing_column *column, struct span text)
{
    CLEAN_BUF clean = BUF_INIT;
    const char *shown = text_neutralise(&clean, text) == 0 ? buf_cstr(&clean) : NULL;
    return shown ? buf_addf(out, column->width > 0 ? "%-*s " : "%*s", column->width, shown) : -ENOMEM;
}

static struct json_value member(struct span line, const char *name)
{
    struct json_iter it;
    struct span key;
    struct json_value value, found = {.type = JSON_NULL};
    if (json_iter_init(&it, line) == 0)
        while (json_iter_next(&it, &key, &value))
            if (json_string_is(key, name))
                found = value;
    return found;
}

static int put_row(struct buf *out, const struct listing *l, struct span line)
{
    CLEAN_BUF text = BUF_INIT;
    int rc = json_validate(line, DEPTH, NULL, NULL) == 0 && json_type_of(line) == JSON_OBJECT ? 0 : ERR_INVALID;
    for (size_t i = 0; rc == 0 && i < l->count; i++) {
        buf_reset(&text);
        rc = (l->cell ? l->cell : plain_cell)(&text, &l->columns[i], member(line, l->columns[i].key));
        if (rc == 0)
            rc = put_text(out, &l->columns[i], buf_span(&text));
    }
    return rc == 0 ? buf_add_str(out, "\n") : rc;
}

static int put_table(struct buf *out, const struct listing *l, struct span lines)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < l->count; i++)
        rc = put_text(out, &l->columns[i], span_str(l->columns[i].title));
    if (rc == 0)
        rc = buf_add_str(out, "\n");
    while (rc == 0 && lines.len > 0) {
        const uint8_t *end = memchr(lines.ptr, '\n', lines.len);
        size_t len = end ? (size_t)(end - lines.ptr) : lines.len;
        rc = put_row(out, l, span_of(lines.ptr, len));
        lines = span_of(lines.ptr + len + (end != NULL), lines.len - len - (end != NULL));
    }
    return rc;
}

int listing_print(const struct call *call, struct weir *w, const struct listing *l)
{
    struct err err = ERR_INIT;
    struct weir_response res;
    CLEAN_FREE char *json = NULL;
    CLEAN_BUF table = BUF_INIT;
    size_t len = 0;
    int rc = call_get(w, l->target, &res, &err);
    if (rc == 0)
        rc = weir_read_all(w, &json, &len, ANSWER_MAX, &err);
    if (rc != 0)
        return call_fail(call, &err);
    struct span out = span_of(json, len);
    if (call_for_people(call)) {
        if (put_table(&table, l, out) != 0)
            return call_failf(call, "the daemon's answer is no list of %s", l->what);
        out = buf_span(&table);
    }
    return output_write(out, &err) < 0 ? call_fail(call, &err) : 0;
}
