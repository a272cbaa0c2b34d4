#include "cmd/call.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/text.h"
#include "base/topic.h"
#include "cmd/address.h"
#include "cmd/options.h"

const char *call_value(const struct call *call, int id)
{
    for (size_t i = call->given_count; i > 0; i--) {
        if (call->given[i - 1].option->id == id)
            return call->given[i - 1].value;
    }
    return NULL;
}

bool call_has(const struct call *call, int id)
{
    for (size_t i = 0; i < call->given_count; i++) {
        if (call->given[i].option->id == id)
            return true;
    }
    return false;
}

const char *call_operand(const struct call *call, size_t i)
{
    return i < call->operand_count ? call->operands[i] : NULL;
}

__attribute__((format(printf, 2, 0))) static void say(const struct call *call, const char *fmt,
                                                      va_list args)
{
    char text[2048];
    vsnprintf(text, sizeof(text), fmt, args);
    /* Bytes from the command line or a server reach the terminal as one harmless line. */
    CLEAN_BUF safe = BUF_INIT;
    const char *shown = text_neutralise(&safe, span_str(text)) == 0 ? buf_cstr(&safe) : NULL;
    fprintf(stderr, "%s %s: %s\n", call->program, call->cmd->name, shown ? shown : "out of memory");
}

int call_fail(const struct call *call, const struct err *err)
{
    return call_failf(call, "%s", err->text[0] ? err->text : err_code_text(err->code));
}

int call_failf(const struct call *call, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    say(call, fmt, args);
    va_end(args);
    return EXIT_FAILURE;
}

int call_usage(const struct call *call, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    say(call, fmt, args);
    va_end(args);
    usage_line(stderr, call);
    fprintf(stderr, "`%s %s --help' says more.\n", call->program, call->cmd->name);
    return EXIT_USAGE;
}

void call_note(const struct call *call, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    say(call, fmt, args);
    va_end(args);
}

bool call_for_people(const struct call *call)
{
    return !call->as_xs && !call_has(call, OPT_JSON) && isatty(STDOUT_FILENO);
}

static const char *option_name(const struct call *call, int id)
{
    for (size_t i = 0; i < call->given_count; i++) {
        if (call->given[i].option->id == id)
            return call->given[i].option->name;
    }
    return "";
}

int call_check_number(const struct call *call, int id)
{
    uint64_t n;
    const char *text = call_value(call, id);
    if (!text || text_u64(span_str(text), &n) == 0)
        return 0;
    return call_usage(call, "--%s: `%s' is not a number from 0 to 18446744073709551615",
                      option_name(call, id), text);
}

int call_check_id(const struct call *call, const char *what, const char *text)
{
    struct err err = ERR_INIT;
    struct frame_id id;
    if (!text || id_parse(&id, span_str(text), &err) == 0)
        return 0;
    err_prefix(&err, "%s", what);
    return call_fail(call, &err);
}

int call_check_pattern(const struct call *call, const char *text)
{
    struct err err = ERR_INIT;
    struct pattern_list list;
    if (!text)
        return 0;
    if (pattern_parse(&list, span_str(text), &err) != 0)
        return call_usage(call, "%s", err.text);
    pattern_finish(&list);
    return 0;
}

int call_check_topic(const struct call *call, const char *text)
{
    struct err err = ERR_INIT;
    if (!text || topic_check(span_str(text), &err) == 0)
        return 0;
    return call_usage(call, "%s", err.text);
}

int call_operands(struct call *call, size_t min, size_t max)
{
    int rc = address_take(call, max);
    return rc == 0 ? address_check_count(call, min, max) : rc;
}

int call_open(const struct call *call, struct weir **out)
{
    struct err err = ERR_INIT;
    struct weir_addr addr;
    if (address_resolve(call, &addr, &err) != 0)
        return call_fail(call, &err);
    int rc = weir_open(out, &addr, &err);
    weir_addr_finish(&addr);
    return rc == 0 ? 0 : call_fail(call, &err);
}

int call_get(struct weir *w, const char *target, struct weir_response *res, struct err *err)
{
    struct weir_request req = {.method = "GET", .target = target, .replay_safe = true};
    int rc = weir_request(w, &req, res, err);
    if (rc != 0)
        return rc;
    if (res->status == 404)
        return err_set(err, ERR_NOT_FOUND, "not found");
    return weir_check(w, res, err);
}

int call_fetch(const struct call *call, const char *target, size_t max, char **json, size_t *len)
{
    struct err err = ERR_INIT;
    struct weir *w = NULL;
    struct weir_response res;
    int rc = call_open(call, &w);
    if (rc != 0)
        return rc;
    rc = call_get(w, target, &res, &err);
    if (rc == 0)
        rc = weir_read_all(w, json, len, max, &err);
    weir_close(w);
    if (rc != 0)
        return call_fail(call, &err);
    while (*len > 0 && (*json)[*len - 1] == '\n')
        --*len;
    return 0;
}
