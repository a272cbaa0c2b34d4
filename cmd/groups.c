/* weir groups: the readers that share a durable cursor. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/clean.h"
#include "base/json.h"
#include "base/text.h"
#include "cmd/human.h"
#include "cmd/output.h"
#include "cmd/table.h"
#include "cmd/target.h"

#define ANSWER_MAX ((size_t)64 << 20)

enum { LAG = 1 };

static const struct option_row options[] = {
    {.id = LAG, .name = "lag", .help = "count what is not done yet"},
    {.name = NULL},
};

/* --- the table -------------------------------------------------------------------------------- */

struct column {
    const char *key, *title;
    int width;
};

static const struct column columns[] = {{"name", "GROUP", 20},  {"topics", "TOPICS", 24},
                                        {"order", "ORDER", 5},  {"members", "MEMBERS", 7},
                                        {"open", "OPEN", 6},    {"waiting", "WAITING", 7},
                                        {"acked", "ACKED", 6},  {"lag", "LAG", 8}};

#define COLUMNS (sizeof(columns) / sizeof(columns[0]))

static uint64_t count_connected(struct span members)
{
    struct json_iter it, member;
    struct json_value value, field;
    struct span key;
    uint64_t count = 0;
    if (json_iter_init(&it, members) != 0)
        return 0;
    while (json_iter_next(&it, NULL, &value))
        if (json_iter_init(&member, value.raw) == 0)
            while (json_iter_next(&member, &key, &field))
                count += json_string_is(key, "connected") && span_is(field.raw, "true");
    return count;
}

static int put_cell(struct buf *out, int width, struct json_value value)
{
    CLEAN_BUF raw = BUF_INIT;
    CLEAN_BUF text = BUF_INIT;
    int rc = 0;
    if (value.type == JSON_STRING)
        rc = json_string_decode(value.raw, &raw, NULL);
    else if (value.type == JSON_ARRAY)
        rc = json_put_u64(&raw, count_connected(value.raw));
    else
        rc = value.type == JSON_NULL ? buf_add_str(&raw, "-") : buf_add_span(&raw, value.raw);
    if (rc == 0)
        rc = text_neutralise(&text, buf_span(&raw));
    const char *shown = rc == 0 ? buf_cstr(&text) : NULL;
    return shown ? buf_addf(out, "%-*s ", width, shown) : -ENOMEM;
}

static int put_row(struct buf *out, struct span line, bool lag)
{
    int rc = json_validate(line, 8, NULL, NULL) == 0 ? 0 : ERR_INVALID;
    for (size_t i = 0; rc == 0 && i < COLUMNS - !lag; i++) {
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

static int put_table(struct buf *out, struct span lines, bool lag)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < COLUMNS - !lag; i++)
        rc = buf_addf(out, "%-*s ", columns[i].width, columns[i].title);
    if (rc == 0)
        rc = buf_add_str(out, "\n");
    while (rc == 0 && lines.len > 0) {
        const uint8_t *end = memchr(lines.ptr, '\n', lines.len);
        size_t len = end ? (size_t)(end - lines.ptr) : lines.len;
        rc = put_row(out, span_of(lines.ptr, len), lag);
        lines = span_of(lines.ptr + len + (end != NULL), lines.len - len - (end != NULL));
    }
    return rc;
}

static int list(const struct call *call, struct weir *w)
{
    struct err err = ERR_INIT;
    struct weir_response res;
    CLEAN_FREE char *json = NULL;
    CLEAN_BUF table = BUF_INIT;
    size_t len = 0;
    bool lag = call_has(call, LAG);
    int rc = call_get(w, lag ? "/groups?lag" : "/groups", &res, &err);
    if (rc == 0)
        rc = weir_read_all(w, &json, &len, ANSWER_MAX, &err);
    if (rc != 0)
        return call_fail(call, &err);
    struct span out = span_of(json, len);
    if (call_for_people(call)) {
        if (put_table(&table, out, lag) != 0)
            return call_failf(call, "the daemon's answer is no list of groups");
        out = buf_span(&table);
    }
    return output_write(out, &err) < 0 ? call_fail(call, &err) : 0;
}

/* --- changing --------------------------------------------------------------------------------- */

static int request(const struct call *call, struct weir *w, const char *method, const char *name,
                   struct span body)
{
    struct err err = ERR_INIT;
    struct weir_response res;
    CLEAN_BUF target = BUF_INIT;
    if (buf_add_str(&target, "/groups/") != 0 || target_segment(&target, name) != 0)
        return call_failf(call, "out of memory");
    const struct weir_request req = {.method = method,
                                     .target = target_text(&target),
                                     .body = body,
                                     .has_body = body.len > 0,
                                     .replay_safe = true};
    int rc = weir_request(w, &req, &res, &err);
    if (rc == 0 && res.status == 404)
        rc = err_set(&err, ERR_NOT_FOUND, "no group %s", name);
    if (rc == 0)
        rc = weir_check(w, &res, &err);
    return rc == 0 ? 0 : call_fail(call, &err);
}

/* Whether it is there: a reset makes no group by mistake. */
static int look_for(const struct call *call, struct weir *w, const char *name)
{
    return request(call, w, "GET", name, (struct span){0});
}

static int reset(const struct call *call, struct weir *w)
{
    CLEAN_BUF body = BUF_INIT;
    int rc = look_for(call, w, call_operand(call, 1));
    if (rc != 0)
        return rc;
    if (buf_add_str(&body, "{\"at\":") != 0 ||
        json_put_string(&body, span_str(call_operand(call, 2))) != 0 ||
        buf_add_str(&body, "}") != 0)
        return call_failf(call, "out of memory");
    return request(call, w, "PUT", call_operand(call, 1), buf_span(&body));
}

static int check_place(const struct call *call)
{
    const char *at = call_operand(call, 2);
    return strcmp(at, "first") == 0 || strcmp(at, "new") == 0
               ? 0
               : call_check_id(call, "reset to neither first nor new", at);
}

/* How many operands the word takes, itself included; 0 when it is none. */
static size_t needs(const struct call *call, size_t i)
{
    const char *word = call_operand(call, i);
    if (!word || call_has(call, LAG))
        return 0;
    return strcmp(word, "remove") == 0 ? 2 : strcmp(word, "reset") == 0 ? 3 : 0;
}

static int exec(struct call *call)
{
    struct weir *w = NULL;
    size_t first = needs(call, 0), second = needs(call, 1);
    size_t count = first > 0 && call->operand_count <= first ? first : second;
    int rc = call_operands(call, count, count);
    if (rc == 0 && count == 3)
        rc = check_place(call);
    if (rc == 0)
        rc = call_open(call, &w);
    if (rc != 0)
        return rc;
    if (count == 0)
        rc = list(call, w);
    else
        rc = count == 3 ? reset(call, w)
                        : request(call, w, "DELETE", call_operand(call, 1), (struct span){0});
    weir_close(w);
    return rc;
}

static const char *const words[] = {"remove", "reset", NULL};

const struct cmd cmd_groups = {
    .name = "groups",
    .group = GROUP_READ,
    .summary = "list, remove or reset groups of readers",
    .operands = "[remove GROUP | reset GROUP first|new|ID]",
    .about =
        "Lists the groups that `cat --group' made: how far they are, who is a member, what is\n"
        "open. `remove' forgets one; `reset' sets its place: to the beginning, to what comes\n"
        "from now on, or behind ID.\n",
    .options = options,
    .takes = TAKES_ADDR | TAKES_JSON,
    .complete = COMPLETE_WORDS,
    .words = words,
    .exec = exec,
};
