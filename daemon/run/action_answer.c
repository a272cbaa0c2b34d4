/*
 * The one frame that answers a call: NAME.response with what was printed, or NAME.error.
 *
 *   nothing printed            a frame without content
 *   one frame line             that frame (output auto and frames)
 *   target "meta"              a JSON object, over any number of lines, is the frame's meta
 *   anything else              the frame's content, byte for byte; with output "frames" an error
 */
#include <errno.h>
#include <stdlib.h>

#include "base/json.h"
#include "daemon/run/action.h"

/* --- what became of it ------------------------------------------------------------------------ */

static void forget(struct answer *answer)
{
    struct answer **at = &answer->action->answers;
    while (*at != answer)
        at = &(*at)->next;
    *at = answer->next;
    free(answer);
}

void action_forget_answers(struct action *action)
{
    while (action->answers)
        forget(action->answers);
}

static struct answer *new_answer(struct action *action, struct frame_id call, bool is_error)
{
    struct answer *answer = malloc(sizeof(*answer));
    if (!answer)
        return NULL;
    *answer = (struct answer){action->answers, action, call, is_error};
    action->answers = answer;
    return answer;
}

static void not_answered(const struct action *action, struct frame_id call, const char *text)
{
    char id[ID_TEXT_LEN + 1];
    id_format(id, call);
    log_say(action->base.site->daemon->log, LOG_ERROR, "action", "name=%s call=%s not_answered=\"%s\"",
            action->base.def.name, id, text);
}

/* A response that the log refuses is an error of the call. One whose error is refused is owed still: the next daemon answers it. */
static void answered(void *arg, const struct emit_result *result)
{
    struct answer *answer = arg;
    struct action *action = answer->action;
    struct frame_id call = answer->call;
    bool is_error = answer->is_error;
    const char *text = result->err ? result->err->text : "the answer was refused";
    forget(answer);
    if (result->code == 0)
        owed_done(&action->owed, call);
    else if (is_error)
        not_answered(action, call, text);
    else
        action_refuse(action, call, text);
}

static void tell(struct action *action, const struct failure *failure)
{
    struct answer *answer = new_answer(action, failure->frame, true);
    struct store_mark mark = action_owed_mark(action, &failure->frame);
    int rc = -ENOMEM;
    if (answer)
        rc = instance_error_put(&action->base, failure, mark.acked_count > 0 ? &mark : NULL, answered, answer);
    if (rc == 0)
        return;
    if (answer)
        forget(answer);
    not_answered(action, failure->frame, "no memory");
}

void action_refuse(struct action *action, struct frame_id call, const char *text)
{
    tell(action, &(struct failure){.error = span_str(text), .has_frame = true, .frame = call});
}

/* --- reading what was printed ----------------------------------------------------------------- */

/* The output as one line, its newline taken off; false when it is none, or too long. */
static bool is_line(struct span out, struct span *line)
{
    if (out.len > 0 && out.ptr[out.len - 1] == '\n')
        out.len--;
    *line = out;
    return out.len > 0 && out.len <= OUTPUT_LINE_MAX && !memchr(out.ptr, '\n', out.len);
}

static int read_meta(struct printed *frame, struct span out, struct buf *scratch, struct err *err)
{
    if (json_type_of(out) != JSON_OBJECT)
        return err_set(err, ERR_INVALID,
                       "with target \"meta\" the output must be a JSON object");
    int rc = json_validate(out, META_DEPTH, scratch, err);
    if (rc == 0 && scratch->len > META_MAX)
        rc = err_set(err, ERR_TOO_LARGE, "the meta has %zu bytes, at most %d are allowed",
                     scratch->len, META_MAX);
    frame->meta = buf_span(scratch);
    return rc;
}

/* 1: `frame` is what the line says. 0: it is no frame line. */
static int read_frame_line(struct printed *frame, const struct definition *def, struct span out,
                           struct buf *scratch, struct err *err)
{
    struct span line;
    if (def->binary || def->output == OUTPUT_RAW || !is_line(out, &line))
        return 0;
    int rc = output_frame_line(frame, line, scratch, err);
    if (rc == 1 && !frame->has_frame)
        return 0;
    /* It answers this call, whatever it says. */
    frame->has_cause = frame->has_ack = false;
    return rc;
}

static int read_output(struct printed *frame, const struct definition *def, struct span out,
                       struct buf *scratch, struct err *err)
{
    *frame = (struct printed){.has_frame = true};
    if (out.len == 0)
        return 0;
    int rc = read_frame_line(frame, def, out, scratch, err);
    if (rc != 0)
        return rc < 0 ? rc : 0;
    *frame = (struct printed){.has_frame = true};
    buf_reset(scratch);
    if (def->output == OUTPUT_FRAMES)
        return err_set(err, ERR_INVALID,
                       "with output \"frames\" the output must be one line that is a frame");
    if (def->target == TARGET_META)
        return read_meta(frame, out, scratch, err);
    frame->has_content = true;
    frame->content = out;
    return 0;
}

/* --- answering -------------------------------------------------------------------------------- */

static int respond(struct call *call, struct err *err)
{
    struct action *action = call->action;
    CLEAN_BUF scratch = BUF_INIT;
    struct printed frame;
    int rc = read_output(&frame, &action->base.def, buf_span(&call->out), &scratch, err);
    if (rc < 0)
        return rc;
    struct answer *answer = new_answer(action, call->frame->frame.id, false);
    if (!answer)
        return err_set(err, -ENOMEM, "no memory for the response");
    struct store_mark mark = action_owed_mark(action, &answer->call);
    rc = instance_print(&action->base, &frame, 1, &answer->call, mark.acked_count > 0 ? &mark : NULL,
                        answered, answer);
    if (rc < 0) {
        forget(answer);
        return err_set(err, rc, "no memory for the response");
    }
    return 0;
}

void action_answer(struct call *call)
{
    struct err err = ERR_INIT;
    if (!call->failed && respond(call, &err) < 0)
        call_fail(call, &(struct failure){.error = span_str(err.text)});
    if (!call->failed)
        return;
    call->failure.has_frame = true;
    call->failure.frame = call->frame->frame.id;
    tell(call->action, &call->failure);
}
