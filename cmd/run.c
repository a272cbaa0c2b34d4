#include "cmd/run.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clean.h"
#include "base/json.h"
#include "base/text.h"
#include "cmd/address.h"
#include "cmd/bulk.h"
#include "cmd/output.h"
#include "cmd/target.h"

#define REFUSAL_MAX ((size_t)64 * 1024)

enum { SCRIPT = 1, ARG, TIMEOUT, MEMORY, CPU, PROCESSES, CONFINE };

const struct option_row run_options[] = {
    {.id = SCRIPT,
     .letter = 'c',
     .name = "commands",
     .arg = "SCRIPT",
     .help = "the program itself, instead of FILE"},
    {.id = ARG, .name = "arg", .arg = "TEXT", .help = "an argument for it; may be repeated"},
    {.id = TIMEOUT, .name = "timeout", .arg = "TIME", .help = "end it after 10s, 5m ..."},
    {.id = MEMORY, .name = "memory", .arg = "N", .help = "bytes it may have, or with K, M or G"},
    {.id = CPU, .name = "cpu", .arg = "N", .help = "seconds of processor time it may have"},
    {.id = PROCESSES, .name = "processes", .arg = "N", .help = "processes it may have"},
    {.id = CONFINE,
     .name = "confine",
     .help = "no sockets; it writes only below its own directory"},
    {.name = NULL},
};

int run_operands(struct call *call, size_t count)
{
    size_t all = count + !call_has(call, SCRIPT);
    int rc = address_take_counted(call, all);
    return rc == 0 ? address_check_count(call, all, all) : rc;
}

/* --- the request -------------------------------------------------------------------------------- */

static int add_timeout(struct call *call, struct buf *target)
{
    struct err err = ERR_INIT;
    const char *text = call_value(call, TIMEOUT);
    char number[U64_TEXT_MAX + 1] = "";
    uint64_t ms;
    if (!text)
        return 0;
    if (time_parse_duration(span_str(text), &ms, &err) != 0)
        return call_usage(call, "--timeout: %s", err.text);
    text_format_u64(number, ms);
    return target_add(target, "timeout_ms", number) == 0 ? 0 : -1;
}

static int add_args(const struct call *call, struct buf *target)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < call->given_count; i++)
        if (call->given[i].option->id == ARG)
            rc = target_add(target, "arg", call->given[i].value);
    return rc;
}

/* 0 or an exit status. */
static int make_target(struct call *call, const char *path, struct buf *target)
{
    int rc = call_check_number(call, CPU);
    if (rc == 0)
        rc = call_check_number(call, PROCESSES);
    if (rc != 0)
        return rc;
    rc = buf_add_str(target, path);
    if (rc == 0)
        rc = add_timeout(call, target);
    if (rc == 0)
        rc = target_option(target, call, MEMORY, "memory");
    if (rc == 0)
        rc = target_option(target, call, CPU, "cpu_s");
    if (rc == 0)
        rc = target_option(target, call, PROCESSES, "processes");
    if (rc == 0)
        rc = target_option(target, call, CONFINE, "confine");
    if (rc == 0)
        rc = add_args(call, target);
    if (rc >= 0)
        return rc;
    call_failf(call, "out of memory");
    return EXIT_RUN;
}

/* A descriptor, or -1 after a message. */
static int open_program(const struct call *call, const char *name)
{
    int fd = strcmp(name, "-") == 0 ? dup(STDIN_FILENO) : open(name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        call_failf(call, "open %s: %s", name, err_code_text(-errno));
    return fd;
}

/* --- the answer --------------------------------------------------------------------------------- */

static int fail(const struct call *call, const struct err *err)
{
    call_fail(call, err);
    return EXIT_RUN;
}

/* What the program said, harmless for a terminal. */
static void tell(struct span text)
{
    CLEAN_BUF safe = BUF_INIT;
    if (text.len > 0 && text_neutralise(&safe, text) == 0)
        fprintf(stderr, "%.*s\n", SPAN_ARG(buf_span(&safe)));
}

/* A status of the program's as ours; -1: that is none. */
static int status_of(struct span number, unsigned base)
{
    uint64_t n;
    return text_u64(number, &n) == 0 && n <= 255 - base ? (int)(base + n) : -1;
}

static int take_trailers(const struct call *call, struct weir *w)
{
    const char *exited = weir_response_trailer(w, "Weir-Exit");
    const char *signalled = weir_response_trailer(w, "Weir-Signal");
    int status = signalled ? status_of(span_str(signalled), 128)
                           : status_of(span_str(exited), 0);
    tell(span_str(weir_response_trailer(w, "Weir-Error")));
    if (status >= 0)
        return status;
    call_failf(call, "the answer does not say how the program ended");
    return EXIT_RUN;
}

/* {"error":"program",...}: it failed without a word, or did not run. */
struct refusal {
    bool program, signalled, timed_out;
    int status; /* -1: it did not run */
    struct buf message, said;
};

static void take_text(struct buf *into, const struct json_value *value)
{
    buf_reset(into);
    if (value->type == JSON_STRING)
        json_string_decode(value->raw, into, NULL);
}

static void take_member(struct refusal *r, struct span key, const struct json_value *value)
{
    if (json_string_is(key, "error"))
        r->program = value->type == JSON_STRING && json_string_is(value->raw, "program");
    else if (json_string_is(key, "message"))
        take_text(&r->message, value);
    else if (json_string_is(key, "stderr"))
        take_text(&r->said, value);
    else if (json_string_is(key, "exit_code"))
        r->status = status_of(value->raw, 0);
    else if (json_string_is(key, "signal"))
        r->signalled = (r->status = status_of(value->raw, 128)) >= 0;
    else if (json_string_is(key, "timed_out"))
        r->timed_out = true;
}

static void take_refusal(struct refusal *r, struct span json)
{
    struct json_iter it;
    struct span key;
    struct json_value value;
    if (json_validate(json, META_DEPTH, NULL, NULL) != 0 || json_type_of(json) != JSON_OBJECT ||
        json_iter_init(&it, json) != 0)
        return;
    while (json_iter_next(&it, &key, &value))
        take_member(r, key, &value);
}

static int refused(const struct call *call, struct weir *w)
{
    struct err err = ERR_INIT;
    struct refusal r = {.status = -1};
    CLEAN_FREE char *body = NULL;
    size_t len = 0;
    int rc = weir_read_all(w, &body, &len, REFUSAL_MAX, &err);
    if (rc < 0)
        return fail(call, &err);
    take_refusal(&r, span_of(body, len));
    tell(buf_span(&r.said));
    const char *why = buf_cstr(&r.message);
    if (!r.program || r.status < 0 || r.signalled || r.timed_out)
        call_failf(call, "%s", why && why[0] ? why : "the program failed");
    buf_finish(&r.message);
    buf_finish(&r.said);
    return r.program && r.status >= 0 ? r.status : EXIT_RUN;
}

static int absent(const struct call *call)
{
    if (strcmp(call->cmd->name, "pipe") == 0)
        call_failf(call, "no frame %s", call_operand(call, 0));
    else
        call_failf(call, "this daemon runs no programs");
    return EXIT_RUN;
}

static int take_answer(const struct call *call, struct weir *w, const struct weir_response *res)
{
    struct err err = ERR_INIT;
    const char *notes = weir_response_header(w, "Weir-Notes");
    if (notes)
        call_note(call, "%s", notes);
    if (res->status == 422)
        return refused(call, w);
    if (res->status == 404)
        return absent(call);
    int rc = weir_check(w, res, &err);
    if (rc == 0)
        rc = output_copy(w, NULL, NULL, &err);
    if (rc < 0)
        return fail(call, &err);
    return rc == OUTPUT_GONE ? 0 : take_trailers(call, w);
}

/* --- both --------------------------------------------------------------------------------------- */

/* `fd`: the program's file, or -1 for -c's script. */
static int send_program(const struct call *call, struct weir *w, const char *target, int fd)
{
    struct err err = ERR_INIT;
    struct weir_response res;
    struct bulk_source source = {.fd = fd};
    struct weir_request req = {.method = "POST",
                               .target = target,
                               .body = span_str(call_value(call, SCRIPT)),
                               .has_body = true};
    if (fd >= 0) {
        req.read = bulk_read;
        req.read_arg = &source;
    }
    int rc = weir_request(w, &req, &res, &err);
    return rc < 0 ? fail(call, &err) : take_answer(call, w, &res);
}

int run_program(struct call *call, const char *path)
{
    struct weir *w = NULL;
    CLEAN_FD int fd = -1;
    CLEAN_BUF target = BUF_INIT;
    int rc = make_target(call, path, &target);
    if (rc != 0)
        return rc;
    if (!call_has(call, SCRIPT)) {
        fd = open_program(call, call_operand(call, call->operand_count - 1));
        if (fd < 0)
            return EXIT_RUN;
    }
    rc = call_open(call, &w) == 0 ? send_program(call, w, target_text(&target), fd) : EXIT_RUN;
    weir_close(w);
    return rc;
}
