/* weir groups: the readers that share a durable cursor. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/clean.h"
#include "base/json.h"
#include "cmd/listing.h"
#include "cmd/table.h"
#include "cmd/target.h"

enum { LAG = 1 };

static const struct option_row options[] = {
    {.id = LAG, .name = "lag", .help = "count what is not done yet"},
    {.name = NULL},
};

/* --- the table -------------------------------------------------------------------------------- */

static const struct listing_column columns[] = {{"name", "GROUP", 20},  {"topics", "TOPICS", 24},
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

static int put_cell(struct buf *out, const struct listing_column *column, struct json_value value)
{
    (void)column;
    if (value.type == JSON_STRING)
        return json_string_decode(value.raw, out, NULL);
    if (value.type == JSON_ARRAY)
        return json_put_u64(out, count_connected(value.raw));
    return value.type == JSON_NULL ? buf_add_str(out, "-") : buf_add_span(out, value.raw);
}

static int list(const struct call *call, struct weir *w)
{
    bool lag = call_has(call, LAG);
    const struct listing l = {.target = lag ? "/groups?lag" : "/groups",
                              .what = "groups",
                              .columns = columns,
                              .count = COLUMNS - !lag,
                              .cell = put_cell};
    return listing_print(call, w, &l);
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
