/*
 * Why something failed, for people and for meta.
 */
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "daemon/run/instance.h"

static int put_key(struct buf *out, const char *key)
{
    return buf_addf(out, "%s\"%s\":", out->ptr[out->len - 1] == '{' ? "" : ",", key);
}

static int put_text(struct buf *out, const char *key, struct span text)
{
    if (text.len == 0)
        return 0;
    int rc = put_key(out, key);
    return rc == 0 ? json_put_string(out, text) : rc;
}

static int put_number(struct buf *out, const char *key, bool wanted, uint64_t number)
{
    if (!wanted)
        return 0;
    int rc = put_key(out, key);
    return rc == 0 ? json_put_u64(out, number) : rc;
}

static int put_frame(struct buf *out, const struct failure *failure)
{
    char id[ID_TEXT_LEN + 1];
    if (!failure->has_frame)
        return 0;
    id_format(id, failure->frame);
    return put_text(out, "frame_id", span_str(id));
}

int failure_put(struct buf *out, const struct failure *failure)
{
    size_t before = out->len;
    int rc = buf_add_str(out, "{");
    if (rc == 0)
        rc = put_frame(out, failure);
    if (rc == 0)
        rc = put_text(out, "error", failure->error);
    if (rc == 0)
        rc = put_number(out, "exit_code", failure->has_exit, (uint64_t)failure->code);
    if (rc == 0)
        rc = put_number(out, "signal", failure->has_signal, (uint64_t)failure->code);
    if (rc == 0)
        rc = put_text(out, "stderr", failure->last_stderr);
    if (rc == 0)
        rc = put_number(out, "attempt", failure->attempt > 0, failure->attempt);
    if (rc == 0)
        rc = put_number(out, "next_ms", failure->next_ms > 0, failure->next_ms);
    if (rc == 0)
        rc = buf_add_str(out, "}");
    if (rc < 0)
        out->len = before;
    return rc;
}

void failure_keep(struct failure *out, struct buf *bytes, const struct failure *failure)
{
    size_t error = failure->error.len;
    buf_reset(bytes);
    if (buf_add_span(bytes, failure->error) < 0 || buf_add_span(bytes, failure->last_stderr) < 0)
        buf_reset(bytes);
    if (bytes->len == 0)
        error = 0;
    *out = *failure;
    out->error = span_of(bytes->ptr, error);
    out->last_stderr = span_of(bytes->ptr + error, bytes->len - error);
}

bool failure_of(struct failure *out, char *text, size_t text_size, const struct process_end *end)
{
    const struct child_end *child = &end->child;
    bool signalled = !child->lost && child->signalled;
    const char *starved = child->starved ? ": its memory came to its limit" : "";
    if (end->timed_out)
        snprintf(text, text_size, "timed out");
    else if (child->lost)
        snprintf(text, text_size, "lost: what watches over programs ended");
    else if (signalled)
        snprintf(text, text_size, "ended by signal %d (%s)%s", child->code, strsignal(child->code), starved);
    else
        snprintf(text, text_size, "exited with %d%s", child->code, starved);
    *out = (struct failure){.error = span_str(text),
                            .has_exit = !child->lost && !signalled,
                            .has_signal = signalled,
                            .code = child->code,
                            .last_stderr = end->last_stderr};
    return end->timed_out || child->lost || signalled || child->code != 0;
}
