/* The daemon's answer to a definition. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/clean.h"
#include "base/text.h"
#include "cmd/await.h"
#include "cmd/frames.h"
#include "cmd/output.h"
#include "cmd/program.h"

#define WAIT_MS 30000

struct answer {
    const struct call *call;
    enum life_kind kind;
    const char *name;
    const char *id;
    int status;
};

#define ANSWERED 1

/* What the program said, harmless for a terminal. */
static void tell_stderr(struct span meta)
{
    CLEAN_BUF text = BUF_INIT;
    CLEAN_BUF safe = BUF_INIT;
    if (meta_text(meta, "stderr", &text) && text_neutralise(&safe, buf_span(&text)) == 0)
        fprintf(stderr, "%.*s\n", SPAN_ARG(buf_span(&safe)));
}

static int tell_active(const struct answer *a, struct span json, struct span meta)
{
    struct err err = ERR_INIT;
    CLEAN_BUF notes = BUF_INIT;
    CLEAN_BUF line = BUF_INIT;
    if (meta_text(meta, "notes", &notes))
        call_note(a->call, "%.*s", SPAN_ARG(buf_span(&notes)));
    if (!call_for_people(a->call))
        return output_line(a->call, json);
    if (buf_addf(&line, "%s %s is active\n", life_kind_name(a->kind), a->name) != 0)
        return call_failf(a->call, "out of memory");
    return output_write(buf_span(&line), &err) < 0 ? call_fail(a->call, &err) : 0;
}

static int tell_failed(const struct answer *a, const char *how, struct span meta)
{
    CLEAN_BUF error = BUF_INIT;
    meta_text(meta, "error", &error);
    call_failf(a->call, "%s %s %s: %.*s", life_kind_name(a->kind), a->name, how,
               SPAN_ARG(buf_span(&error)));
    tell_stderr(meta);
    return EXIT_FAILURE;
}

static int take_line(void *arg, struct span line)
{
    struct answer *a = arg;
    struct frame_parts frame;
    struct life_words words;
    if (!frame_parts_take(&frame, line) || !life_read(&words, &frame) || words.kind != a->kind ||
        !span_is(words.of, a->id))
        return 0;
    if (words.event == LIFE_ACTIVE)
        a->status = tell_active(a, line, frame.meta);
    else if (words.event == LIFE_INVALID)
        a->status = tell_failed(a, "is invalid", frame.meta);
    else if (words.event == LIFE_FIN_ERROR)
        a->status = tell_failed(a, "failed", frame.meta);
    else
        a->status = call_failf(a->call, "%s %s was ended before it was active", life_kind_name(a->kind), a->name);
    return ANSWERED;
}

int program_await(const struct call *call, struct weir *w, enum life_kind kind, const char *name, const char *id)
{
    struct err err = ERR_INIT;
    struct answer a = {.call = call, .kind = kind, .name = name, .id = id};
    CLEAN_BUF topics = BUF_INIT;
    uint64_t wait_ms;
    int rc = await_option(call, P_WAIT, WAIT_MS, &wait_ms);
    if (rc != 0)
        return rc;
    rc = life_topic(&topics, kind, name, "*") == 0 ? await_behind(w, buf_span(&topics), id, &err)
                                                   : err_set(&err, -ENOMEM, "out of memory");
    if (rc == 0)
        rc = await_lines(w, wait_ms, take_line, &a, &err);
    if (rc == ANSWERED)
        return a.status;
    if (rc == -ETIMEDOUT)
        return call_failf(call, "no answer within %" PRIu64 " ms; the definition %s stands, `weir list' shows what became of it",
                          wait_ms, id);
    if (rc == 0)
        return call_failf(call, "the daemon stopped before it answered; the definition %s stands", id);
    return call_fail(call, &err);
}
