/* weir logs: what became of a program, and what it says on its standard error. */
#include <errno.h>
#include <string.h>

#include "base/clean.h"
#include "base/json.h"
#include "cmd/content.h"
#include "cmd/human.h"
#include "cmd/output.h"
#include "cmd/table.h"
#include "cmd/target.h"
#include "cmd/which.h"

#define LINE_MAX_BYTES ((size_t)1024 * 1024)

enum { FOLLOW = 1 };

static const struct option_row options[] = {
    {.id = FOLLOW, .letter = 'f', .name = "follow", .help = "stay, and print its standard error as it comes"},
    {.name = NULL},
};

struct logs {
    const struct call *call;
    const struct which *which;
    struct weir *contents; /* a connection beside the one that follows */
    size_t count;
};

/* --- which frames ------------------------------------------------------------------------------------- */

/* NAME.log and NAME.error, by a program of the kind that was asked for. */
static bool is_own(const struct logs *logs, const struct frame_parts *frame, const char *word)
{
    static const char *const pointers[] = {"service_id", "handler_id", "action_id"};
    struct json_value value;
    size_t len = strlen(logs->which->name);
    if (frame->topic.len <= len || memcmp(frame->topic.ptr, logs->which->name, len) != 0 ||
        !span_is(span_of(frame->topic.ptr + len, frame->topic.len - len), word))
        return false;
    int kind = logs->which->kind;
    return kind < 0 || meta_member(frame->meta, pointers[kind], &value);
}

/* What a lifecycle frame says, as the last words of its topic; NULL: it is none of this program. */
static const char *event_of(const struct logs *logs, const struct frame_parts *frame)
{
    static const char *const names[] = {"defined",   "to be stopped", "deleted", "active",  "invalid",
                                        "finished",  "failed",        "stopped", "deleted", "replaced",
                                        "stopped with the daemon",    "failed, to be run again"};
    struct life_words words;
    if (!life_read(&words, frame) || words.kind == LIFE_STORE || !span_is(words.name, logs->which->name) ||
        (logs->which->kind >= 0 && (int)words.kind != logs->which->kind))
        return NULL;
    return names[words.event];
}

/* --- lines -------------------------------------------------------------------------------------------- */

static int put_member(struct buf *out, struct span meta, const char *key, const char *before)
{
    CLEAN_BUF text = BUF_INIT;
    if (!meta_text(meta, key, &text) || text.len == 0)
        return 0;
    int rc = buf_add_str(out, before);
    return rc == 0 ? human_bytes(out, buf_span(&text)) : rc;
}

/* Each of its lines below the event, indented. */
static int put_stderr(struct buf *out, struct span meta)
{
    CLEAN_BUF text = BUF_INIT;
    int rc = 0;
    if (!meta_text(meta, "stderr", &text))
        return 0;
    for (struct span rest = buf_span(&text); rc == 0 && rest.len > 0;) {
        const uint8_t *end = memchr(rest.ptr, '\n', rest.len);
        size_t len = end ? (size_t)(end - rest.ptr) : rest.len;
        rc = buf_add_str(out, "\n    ");
        if (rc == 0)
            rc = human_bytes(out, span_of(rest.ptr, len));
        len += end != NULL;
        rest = span_of(rest.ptr + len, rest.len - len);
    }
    return rc;
}

/* TIME  WHAT: ERROR, and the last of its standard error below */
static int put_event(struct buf *out, const struct frame_parts *frame, const char *what)
{
    int rc = human_time(out, frame->id);
    if (rc == 0)
        rc = buf_addf(out, "  %s", what);
    if (rc == 0)
        rc = put_member(out, frame->meta, "error", ": ");
    if (rc == 0)
        rc = put_member(out, frame->meta, "frame_id", " at frame ");
    if (rc == 0)
        rc = put_member(out, frame->meta, "notes", " ");
    if (rc == 0)
        rc = put_stderr(out, frame->meta);
    return rc == 0 ? buf_add_str(out, "\n") : rc;
}

static int put_said(struct buf *out, const struct frame_parts *frame, struct span text)
{
    int rc = human_time(out, frame->id);
    if (rc == 0)
        rc = buf_add_str(out, "  | ");
    if (rc == 0)
        rc = human_bytes(out, text);
    return rc == 0 ? buf_add_str(out, "\n") : rc;
}

/* A frame of its standard error, with what it says as a last key. */
static int put_said_json(struct buf *out, struct span json, struct span text)
{
    int rc = buf_add(out, json.ptr, json.len - 1);
    if (rc == 0)
        rc = buf_add_str(out, ",\"content\":");
    if (rc == 0)
        rc = json_put_string(out, text);
    return rc == 0 ? buf_add_str(out, "}\n") : rc;
}

static int put_line(struct buf *out, struct span json)
{
    int rc = buf_add_span(out, json);
    return rc == 0 ? buf_add_str(out, "\n") : rc;
}

/* Nothing tells of a line that is gone already: the daemon counts those it leaves out itself. */
static int take_said(struct logs *logs, const struct frame_parts *frame, struct span json, struct buf *out)
{
    CLEAN_BUF text = BUF_INIT;
    if (frame->hash.len > 0 &&
        content_read(logs->contents, frame->hash, LINE_MAX_BYTES, &text, NULL) != 0) {
        buf_reset(&text);
        if (buf_add_str(&text, "(no longer there)") != 0)
            return -ENOMEM;
    }
    return call_for_people(logs->call) ? put_said(out, frame, buf_span(&text))
                                       : put_said_json(out, json, buf_span(&text));
}

static int take_line(void *arg, struct span line, struct buf *out)
{
    struct logs *logs = arg;
    struct frame_parts frame;
    if (!frame_parts_take(&frame, line))
        return 0;
    if (is_own(logs, &frame, ".log"))
        return take_said(logs, &frame, line, out);
    const char *what = is_own(logs, &frame, ".error") ? "error" : event_of(logs, &frame);
    if (!what)
        return 0;
    logs->count++;
    return call_for_people(logs->call) ? put_event(out, &frame, what) : put_line(out, line);
}

/* --- the verb ----------------------------------------------------------------------------------------- */

static int make_target(struct buf *target, const struct call *call, const struct which *which)
{
    CLEAN_BUF patterns = BUF_INIT;
    int rc = which_patterns(&patterns, which);
    if (rc == 0)
        rc = buf_addf(&patterns, ",%s.error,%s.log", which->name, which->name);
    const char *text = rc == 0 ? buf_cstr(&patterns) : NULL;
    rc = text ? buf_add_str(target, "/") : -1;
    if (rc == 0)
        rc = target_add(target, "topic", text);
    return rc == 0 ? target_option(target, call, FOLLOW, "follow") : rc;
}

static int print(const struct call *call, struct weir *w, struct logs *logs)
{
    struct err err = ERR_INIT;
    struct weir_response res;
    CLEAN_BUF target = BUF_INIT;
    struct output_lines lines = {.line = take_line, .arg = logs};
    if (make_target(&target, call, logs->which) != 0)
        return call_failf(call, "out of memory");
    int rc = call_get(w, target_text(&target), &res, &err);
    if (rc == 0)
        rc = output_copy(w, output_each_line, &lines, &err);
    output_lines_finish(&lines);
    if (rc < 0)
        return call_fail(call, &err);
    if (rc == 0 && call_has(call, FOLLOW))
        call_note(call, "the daemon stopped; the stream ended in order");
    else if (rc == 0 && logs->count == 0)
        return call_failf(call, "nothing is said of a program %s", call_operand(call, 0));
    return 0;
}

static int exec(struct call *call)
{
    struct weir *w = NULL;
    struct which which = {.kind = -1};
    struct logs logs = {.call = call, .which = &which};
    int rc = which_operands(call, 1, 1);
    if (rc == 0)
        rc = which_parse(call, &which, call_operand(call, 0));
    if (rc == 0)
        rc = call_open(call, &w);
    if (rc == 0)
        rc = call_open(call, &logs.contents);
    if (rc == 0)
        rc = print(call, w, &logs);
    weir_close(logs.contents);
    weir_close(w);
    return rc;
}

const struct cmd cmd_logs = {
    .name = "logs",
    .group = GROUP_RUN,
    .summary = "what became of a program, and its standard error",
    .operands = "NAME | KIND/NAME",
    .about = "Prints when a program was defined, active and ended, and its errors. With --follow\n"
             "it stays and prints the lines of its standard error too, as they come; older ones\n"
             "are kept only in the daemon's log.\n",
    .options = options,
    .takes = TAKES_ADDR | TAKES_JSON,
    .complete = COMPLETE_PROGRAMS,
    .exec = exec,
};
