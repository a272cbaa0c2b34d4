#include "cmd/s2/names.h"

#include "base/json.h"
#include "base/text.h"

enum { PREFIX = 1, START_AFTER, LIMIT, ONE_PAGE };

#define PAGE 1000

const struct option_row names_options[] = {
    {.id = PREFIX, .letter = 'p', .name = "prefix", .arg = "TEXT", .help = "names that begin so"},
    {.id = START_AFTER,
     .letter = 's',
     .name = "start-after",
     .arg = "NAME",
     .help = "names behind this one"},
    {.id = LIMIT, .letter = 'n', .name = "limit", .arg = "N", .help = "so many at most"},
    {.id = ONE_PAGE, .name = "no-auto-paginate", .help = "one page of the API alone"},
    {.name = NULL},
};

/* A listing under way. */
struct walk {
    struct args *args;
    const struct names *names;
    uint64_t left;
    bool has_more;
    struct buf after; /* the last name */
    struct buf out;
};

static int put_pair(struct buf *query, const char *name, struct span value)
{
    int rc = buf_addf(query, "%s%s=", query->len > 0 ? "&" : "", name);
    return rc == 0 ? uri_encode(query, value, "") : rc;
}

static int put_query(struct walk *w, struct buf *query)
{
    const char *prefix = w->names->prefix ? w->names->prefix : args_value(w->args, PREFIX);
    int rc = buf_addf(query, "limit=%llu", (unsigned long long)(w->left < PAGE ? w->left : PAGE));
    if (rc == 0 && prefix && prefix[0])
        rc = put_pair(query, "prefix", span_str(prefix));
    if (rc == 0 && w->after.len > 0)
        rc = put_pair(query, "start_after", buf_span(&w->after));
    return rc == 0 && buf_cstr(query) ? 0 : -1;
}

static void take_name(struct walk *w, struct span item)
{
    struct json_iter it;
    struct json_value value;
    struct span key;
    if (json_iter_init(&it, item) != 0)
        return;
    while (json_iter_next(&it, &key, &value)) {
        if (json_string_is(key, w->names->member)) {
            buf_reset(&w->after);
            (void)json_string_decode(value.raw, &w->after, NULL);
        }
    }
}

static void take_items(struct walk *w, struct span raw)
{
    struct json_iter it;
    struct json_value value;
    if (json_iter_init(&it, raw) != 0)
        return;
    while (w->left > 0 && json_iter_next(&it, NULL, &value)) {
        take_name(w, value.raw);
        (void)buf_add_span(&w->out, value.raw);
        (void)buf_add(&w->out, "\n", 1);
        w->left--;
    }
}

static int take_page(struct walk *w, struct span body)
{
    struct json_iter it;
    struct json_value value;
    struct span key;
    const char *items = w->names->items ? w->names->items : w->names->collection;
    w->has_more = false;
    if (json_validate(body, 64, NULL, NULL) != 0 || json_iter_init(&it, body) != 0)
        return args_failf(w->args, "the answer is no JSON object");
    while (json_iter_next(&it, &key, &value)) {
        if (json_string_is(key, items))
            take_items(w, value.raw);
        else if (json_string_is(key, "has_more"))
            w->has_more = value.raw.len == 4;
    }
    int rc = args_print(w->args, buf_span(&w->out));
    buf_reset(&w->out);
    return rc;
}

static int page(struct walk *w)
{
    struct weir_s2_err err = WEIR_S2_ERR_INIT;
    struct weir_s2_answer answer = {0};
    CLEAN_BUF query = BUF_INIT;
    if (put_query(w, &query) != 0)
        return args_failf(w->args, "out of memory");
    struct weir_s2_request r = {.method = "GET",
                                .collection = w->names->collection,
                                .basin = w->names->basin,
                                .query = (const char *)query.ptr};
    if (weir_s2_call(w->args->s2, &r, &answer, &err) != 0)
        return args_fail(w->args, &err);
    int rc = take_page(w, span_of(answer.body, answer.len));
    weir_s2_answer_finish(&answer);
    return rc;
}

int names_list(struct args *args, const struct names *names)
{
    struct walk w = {.args = args, .names = names, .left = UINT64_MAX};
    const char *after = args_value(args, START_AFTER);
    int rc = args_u64(args, LIMIT, &w.left, NULL);
    if (rc == 0 && after && buf_add_str(&w.after, after) != 0)
        rc = args_failf(args, "out of memory");
    do {
        size_t before = w.after.len;
        if (rc != 0 || w.left == 0)
            break;
        rc = page(&w);
        w.has_more = w.has_more && (w.after.len > 0 || before > 0);
    } while (w.has_more && !args_has(args, ONE_PAGE));
    buf_finish(&w.after);
    buf_finish(&w.out);
    return rc;
}

int names_list_streams(struct args *args)
{
    CLEAN_BUF room = BUF_INIT;
    const char *basin, *prefix;
    int rc = args_basin(args, args_operand(args, 0), &room, &basin, &prefix);
    if (rc == 0)
        rc = args_open(args, NULL);
    if (rc != 0)
        return rc;
    return names_list(args, &(struct names){.collection = "streams",
                                            .basin = basin,
                                            .prefix = prefix[0] ? prefix : NULL,
                                            .member = "name"});
}
