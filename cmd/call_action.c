/* weir call: call an action, and be it for the shell. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <weir/frame.h>

#include "base/clean.h"
#include "base/json.h"
#include "base/text.h"
#include "base/topic.h"
#include "cmd/address.h"
#include "cmd/await.h"
#include "cmd/bulk.h"
#include "cmd/content.h"
#include "cmd/frame_parts.h"
#include "cmd/output.h"
#include "cmd/table.h"
#include "cmd/target.h"

/* What weir itself failed at. */
#define EXIT_CALL 125     /* no daemon, no answer in time */
#define EXIT_NO_RUN 126   /* the action could not do it: no program ended with a code */
#define EXIT_NO_ACTION 127

enum { CONTENT = 1, INPUT, TIMEOUT };

static const struct option_row options[] = {
    {.id = CONTENT, .name = "content", .arg = "TEXT", .help = "its standard input"},
    {.id = INPUT,
     .name = "input",
     .arg = "FILE",
     .help = "its standard input is that file; - is ours",
     .complete = COMPLETE_FILE},
    {.id = TIMEOUT, .name = "timeout", .arg = "TIME", .help = "wait no longer: 10s, 5m"},
    {.name = NULL},
};

#define THRESHOLD 1
#define ANSWERED 2

struct action_call {
    const struct call *call;
    struct weir *follow, *other;
    char id[ID_TEXT_LEN + 1]; /* of NAME.call, once it is appended */
    uint64_t deadline_us;     /* 0: none */
    struct buf meta;          /* of the answer */
    struct buf hash;
    bool failed;              /* it is NAME.error */
};

/* --- the answer --------------------------------------------------------------------------------------- */

static int own_failure(const struct call *call, const struct err *err)
{
    call_fail(call, err);
    return EXIT_CALL;
}

/* A response whose program prints meta has no content: its own members, without what points at action and call. */
static int print_meta(const struct action_call *c)
{
    static const char *const pointers[] = {"action_id", "frame_id", "origin"};
    struct json_iter it;
    struct span key;
    struct json_value value;
    CLEAN_BUF out = BUF_INIT;
    int rc = c->meta.len > 0 ? json_iter_init(&it, buf_span(&c->meta)) : -1;
    while (rc == 0 && json_iter_next(&it, &key, &value)) {
        bool pointer = false;
        for (size_t i = 0; i < sizeof(pointers) / sizeof(pointers[0]); i++)
            pointer |= json_string_is(key, pointers[i]);
        if (!pointer)
            rc = buf_addf(&out, "%s%.*s:%.*s", out.len ? "," : "{", SPAN_ARG(key), SPAN_ARG(value.raw));
    }
    if (out.len == 0)
        return 0;
    if (rc == 0)
        rc = buf_add_str(&out, "}");
    return rc == 0 ? output_line(c->call, buf_span(&out)) : call_failf(c->call, "out of memory");
}

static int print_response(struct action_call *c)
{
    struct err err = ERR_INIT;
    if (c->hash.len == 0)
        return print_meta(c) == 0 ? 0 : EXIT_CALL;
    int rc = content_open(c->other, buf_span(&c->hash), &err);
    if (rc == 0)
        rc = output_copy(c->other, NULL, NULL, &err);
    return rc < 0 ? own_failure(c->call, &err) : 0;
}

/* The program's own words first; ours only where its exit code does not say it all. */
static int tell_error(const struct action_call *c)
{
    struct span meta = buf_span(&c->meta);
    struct json_value value;
    CLEAN_BUF said = BUF_INIT;
    CLEAN_BUF safe = BUF_INIT;
    CLEAN_BUF error = BUF_INIT;
    uint64_t code;
    bool exited = meta_u64(meta, "exit_code", &code) && code > 0 && code <= 255;
    if (meta_text(meta, "stderr", &said) && text_neutralise(&safe, buf_span(&said)) == 0)
        fprintf(stderr, "%.*s\n", SPAN_ARG(buf_span(&safe)));
    if (exited)
        return (int)code;
    meta_text(meta, "error", &error);
    call_failf(c->call, "%.*s", SPAN_ARG(buf_span(&error)));
    if (meta_u64(meta, "signal", &code) && code < 127)
        return (int)(128 + code);
    return meta_member(meta, "action_id", &value) ? EXIT_NO_RUN : EXIT_NO_ACTION;
}

/* --- waiting ------------------------------------------------------------------------------------------ */

static int take_line(void *arg, struct span line)
{
    struct action_call *c = arg;
    struct frame_parts frame;
    if (!frame_parts_take(&frame, line))
        return 0;
    if (!c->id[0])
        return span_is(frame.topic, "xs.threshold") ? THRESHOLD : 0;
    if (!meta_is(frame.meta, "frame_id", c->id))
        return 0;
    size_t name = strlen(call_operand(c->call, 0));
    struct span word = span_of(frame.topic.ptr + name, frame.topic.len - name);
    c->failed = span_is(word, ".error");
    if (buf_add_span(&c->meta, frame.meta) != 0 || buf_add_span(&c->hash, frame.hash) != 0)
        return -ENOMEM;
    return ANSWERED;
}

/* `want`: what ends the wait. 0, or an exit status after a message. */
static int await(struct action_call *c, int want)
{
    struct err err = ERR_INIT;
    uint64_t left = 0;
    if (c->deadline_us > 0) {
        uint64_t now = time_mono_us();
        left = now < c->deadline_us ? (c->deadline_us - now) / 1000 + 1 : 1;
    }
    int rc = await_lines(c->follow, left, take_line, c, &err);
    if (rc == want)
        return 0;
    if (rc == -ETIMEDOUT)
        call_failf(c->call, "no answer within %s", call_value(c->call, TIMEOUT));
    else if (rc < 0)
        call_fail(c->call, &err);
    else
        call_failf(c->call, "the daemon stopped before it answered");
    return EXIT_CALL;
}

/* Follows the answers before the call is made: they may be ephemeral. */
static int follow(struct action_call *c)
{
    struct err err = ERR_INIT;
    struct weir_response res;
    CLEAN_BUF target = BUF_INIT;
    CLEAN_BUF topics = BUF_INIT;
    const char *name = call_operand(c->call, 0);
    int rc = buf_addf(&topics, "%s.response,%s.error", name, name);
    if (rc == 0)
        rc = buf_add_str(&target, "/?follow&last=0");
    if (rc == 0)
        rc = target_add(&target, "topic", buf_cstr(&topics));
    rc = rc == 0 ? call_get(c->follow, target_text(&target), &res, &err) : err_set(&err, -ENOMEM, "out of memory");
    return rc == 0 ? await(c, THRESHOLD) : own_failure(c->call, &err);
}

/* --- the call ----------------------------------------------------------------------------------------- */

static int put_args(const struct call *call, struct buf *meta)
{
    int rc = buf_add_str(meta, "{\"args\":[");
    for (size_t i = 1; rc == 0 && i < call->operand_count; i++) {
        rc = i > 1 ? buf_add_str(meta, ",") : 0;
        if (rc == 0)
            rc = json_put_string(meta, span_str(call->operands[i]));
    }
    return rc == 0 ? buf_add_str(meta, "]}") : rc;
}

static int send_call(struct action_call *c, struct bulk_source *source)
{
    struct err err = ERR_INIT;
    CLEAN_FREE char *json = NULL;
    CLEAN_BUF topic = BUF_INIT;
    CLEAN_BUF meta = BUF_INIT;
    struct frame_parts frame;
    if (buf_addf(&topic, "%s.call", call_operand(c->call, 0)) != 0 || put_args(c->call, &meta) != 0)
        err_set(&err, -ENOMEM, "out of memory");
    struct weir_append a = {.topic = buf_cstr(&topic), .meta = c->call->operand_count > 1 ? buf_cstr(&meta) : NULL,
                            .content = span_str(call_value(c->call, CONTENT))};
    if (source->fd >= 0) {
        a.read = bulk_read;
        a.read_arg = source;
    }
    if (err.code != 0 || weir_append(c->other, &a, &json, &err) != 0)
        return own_failure(c->call, &err);
    if (!frame_parts_take(&frame, span_str(json))) {
        err_set(&err, -EPROTO, "the daemon's answer is no frame");
        return own_failure(c->call, &err);
    }
    memcpy(c->id, frame.id.ptr, ID_TEXT_LEN);
    return 0;
}

/* -1: none is asked for. -2 after a message. */
static int open_content(const struct call *call)
{
    const char *name = call_value(call, INPUT);
    if (!name)
        return -1;
    int fd = strcmp(name, "-") == 0 ? fcntl(0, F_DUPFD_CLOEXEC, 3) : open(name, O_RDONLY | O_CLOEXEC);
    if (fd >= 0)
        return fd;
    call_failf(call, "open %s: %s", name, strerror(errno));
    return -2;
}

static int make_call(struct action_call *c)
{
    CLEAN_FD int fd = open_content(c->call);
    struct bulk_source source = {.fd = fd};
    int rc = fd == -2 ? EXIT_CALL : follow(c);
    if (rc == 0)
        rc = send_call(c, &source);
    if (rc == 0)
        rc = await(c, ANSWERED);
    if (rc != 0)
        return rc;
    return c->failed ? tell_error(c) : print_response(c);
}

static int check(struct call *call, struct action_call *c)
{
    struct err err = ERR_INIT;
    uint64_t ms;
    int rc = address_take(call, SIZE_MAX);
    if (rc == 0)
        rc = address_check_count(call, 1, SIZE_MAX);
    if (rc == 0 && topic_check(span_str(call_operand(call, 0)), &err) != 0)
        rc = call_usage(call, "`%s' is no name: %s", call_operand(call, 0), err.text);
    if (rc == 0 && call_has(call, CONTENT) && call_has(call, INPUT))
        rc = call_usage(call, "give --content or --input, not both");
    if (rc == 0)
        rc = await_option(call, TIMEOUT, 0, &ms);
    if (rc == 0 && ms > 0)
        c->deadline_us = time_mono_us() + ms * 1000;
    return rc;
}

static int exec(struct call *call)
{
    struct action_call c = {.call = call};
    int rc = check(call, &c);
    if (rc == 0 && (call_open(call, &c.follow) != 0 || call_open(call, &c.other) != 0))
        rc = EXIT_CALL;
    if (rc == 0)
        rc = make_call(&c);
    weir_close(c.follow);
    weir_close(c.other);
    buf_finish(&c.meta);
    buf_finish(&c.hash);
    return rc;
}

const struct cmd cmd_call = {
    .name = "call",
    .group = GROUP_RUN,
    .summary = "call an action, print its answer",
    .operands = "ACTION [ARG]...",
    .about = "Calls an action and prints what it answers. Its exit status and the last of its\n"
             "standard error are passed on: 128+N for signal N; 125 when there is no daemon or\n"
             "no answer, 126 when the action could not run it, 127 when there is no such action.\n"
             "ARGs that begin with - stand behind --.\n"
             "  echo hello | weir call upper --input -\n",
    .options = options,
    .takes = TAKES_ADDR,
    .complete = COMPLETE_PROGRAMS,
    .exec = exec,
};
