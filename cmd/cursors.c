/* weir cursors: positions of readers that live elsewhere. */
#include <errno.h>
#include <string.h>

#include "base/clean.h"
#include "base/json.h"
#include "base/text.h"
#include "cmd/output.h"
#include "cmd/table.h"

#define ANSWER_MAX ((size_t)64 << 20)

enum { FORGET = 1 };

static const struct option_row options[] = {
    {.id = FORGET, .name = "forget", .arg = "NAME", .help = "forget the cursor of that name"},
    {.name = NULL},
};

/* --- the table -------------------------------------------------------------------------------- */

static const struct {
    const char *key, *title;
    int width;
} columns[] = {{"name", "CURSOR", 24}, {"time", "SET", 30}, {"position", "POSITION", 0}};

#define COLUMNS (sizeof(columns) / sizeof(columns[0]))

static int put_cell(struct buf *out, int width, struct json_value value)
{
    CLEAN_BUF raw = BUF_INIT;
    CLEAN_BUF text = BUF_INIT;
    int rc = value.type == JSON_STRING ? json_string_decode(value.raw, &raw, NULL) : buf_add_str(&raw, "-");
    if (rc == 0)
        rc = text_neutralise(&text, buf_span(&raw));
    const char *shown = rc == 0 ? buf_cstr(&text) : NULL;
    return shown ? buf_addf(out, width > 0 ? "%-*s " : "%*s", width, shown) : -ENOMEM;
}

static int put_row(struct buf *out, struct span line)
{
    int rc = json_validate(line, 4, NULL, NULL) == 0 ? 0 : ERR_INVALID;
    for (size_t i = 0; rc == 0 && i < COLUMNS; i++) {
        struct json_iter it;
        struct span key;
        struct json_value value, found = {.type = JSON_NULL};
        json_iter_init(&it, line);
        while (json_iter_next(&it, &key, &value))
            if (json_string_is(key, columns[i].key))
                found = value;
        rc = put_cell(out, columns[i].width, found);
    }
    return rc == 0 ? buf_add_str(out, "\n") : rc;
}

static int put_table(struct buf *out, struct span lines)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < COLUMNS; i++)
        rc = buf_addf(out, "%-*s%s", columns[i].width, columns[i].title, columns[i].width > 0 ? " " : "\n");
    while (rc == 0 && lines.len > 0) {
        const uint8_t *end = memchr(lines.ptr, '\n', lines.len);
        size_t len = end ? (size_t)(end - lines.ptr) : lines.len;
        rc = put_row(out, span_of(lines.ptr, len));
        lines = span_of(lines.ptr + len + (end != NULL), lines.len - len - (end != NULL));
    }
    return rc;
}

/* --- the verb --------------------------------------------------------------------------------- */

static int list(const struct call *call, struct weir *w)
{
    struct err err = ERR_INIT;
    struct weir_response res;
    CLEAN_FREE char *json = NULL;
    CLEAN_BUF table = BUF_INIT;
    size_t len = 0;
    int rc = call_get(w, "/cursors", &res, &err);
    if (rc == 0)
        rc = weir_read_all(w, &json, &len, ANSWER_MAX, &err);
    if (rc != 0)
        return call_fail(call, &err);
    struct span out = span_of(json, len);
    if (call_for_people(call)) {
        if (put_table(&table, out) != 0)
            return call_failf(call, "the daemon's answer is no list of cursors");
        out = buf_span(&table);
    }
    return output_write(out, &err) < 0 ? call_fail(call, &err) : 0;
}

static int exec(struct call *call)
{
    struct err err = ERR_INIT;
    struct weir *w = NULL;
    const char *name = call_value(call, FORGET);
    int rc = call_operands(call, 0, 0);
    if (rc == 0 && name && !name[0])
        rc = call_usage(call, "--forget needs a name");
    if (rc == 0)
        rc = call_open(call, &w);
    if (rc == 0 && name)
        rc = weir_cursor_remove(w, name, &err) < 0 ? call_fail(call, &err) : 0;
    else if (rc == 0)
        rc = list(call, w);
    weir_close(w);
    return rc;
}

const struct cmd cmd_cursors = {
    .name = "cursors",
    .group = GROUP_READ,
    .summary = "list or forget cursors of relays",
    .operands = "",
    .about = "Lists the positions that are kept in the store by name: how far a `relay --cursor'\n"
             "came, or what another client put there. A position is its reader's own text.\n",
    .options = options,
    .takes = TAKES_ADDR | TAKES_JSON,
    .exec = exec,
};
