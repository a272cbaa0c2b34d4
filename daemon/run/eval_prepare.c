/*
 * What a run needs from the disk: its directory with the program, the frame, the environment.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/frame_json.h"
#include "daemon/run/eval.h"
#include "daemon/run/scratch.h"

#define PROGRAM_FILE "program"
#define FRAME_FILE "frame.json"

static int set_frame_env(struct eval *e, const struct frame *frame, struct span json)
{
    char id[ID_TEXT_LEN + 1];
    struct span meta = frame->meta.len > 0 ? frame->meta : span_str("null");
    id_format(id, frame->id);
    int rc = program_env_setf(&e->env, "WEIR_FRAME_ID=%s", id);
    if (rc == 0)
        rc = program_env_setf(&e->env, "WEIR_TOPIC=%.*s", SPAN_ARG(frame->topic));
    if (rc == 0 && meta.len <= EVAL_ENV_MAX)
        rc = program_env_setf(&e->env, "WEIR_META=%.*s", SPAN_ARG(meta));
    if (rc == 0 && json.len <= EVAL_ENV_MAX)
        rc = program_env_setf(&e->env, "WEIR_FRAME=%.*s", SPAN_ARG(json));
    return rc == 0
               ? program_env_setf(&e->env, "WEIR_FRAME_FILE=%s/" FRAME_FILE, e->directory)
               : rc;
}

static int set_env(struct eval *e)
{
    static const struct definition none;
    int rc = program_env_common(&e->env, &none);
    if (rc == 0 && !e->x.query.confine)
        rc = program_env_setf(&e->env, "WEIR_ADDR=%s", e->x.site->path);
    return rc == 0 ? program_env_setf(&e->env, "WEIR_KIND=%s", e->piped ? "pipe" : "eval") : rc;
}

/* What the frame gives, taken while its bytes are there. */
struct found {
    struct eval *e;
    struct buf json;
};

static int take_content(struct eval *e, const struct frame *frame)
{
    e->has_content = frame->has_hash;
    if (frame->has_content)
        return content_set(&e->content, frame->content);
    content_begin(&e->content, e->x.site->store, e->x.site->cas, frame);
    return 0;
}

static long take_frame(void *arg, const struct store_item *item)
{
    struct found *found = arg;
    int rc = frame_json(&found->json, item->frame, 0);
    if (rc == 0)
        rc = set_frame_env(found->e, item->frame, buf_span(&found->json));
    return rc == 0 ? take_content(found->e, item->frame) : rc;
}

static int prepare_frame(struct eval *e, struct err *err)
{
    struct found found = {.e = e};
    int rc = store_get(e->x.site->store, e->id, take_frame, &found, err);
    if (rc == 0)
        rc = scratch_write(e->directory, FRAME_FILE, 0600, buf_span(&found.json), err);
    buf_finish(&found.json);
    if (rc == 0 && e->content.open)
        rc = content_next(&e->content, CONTENT_PART, err);
    return rc;
}

int eval_prepare(struct eval *e, struct err *err)
{
    int rc = scratch_make(&e->directory, e->x.site->path, err);
    if (rc == 0)
        rc = scratch_write(e->directory, PROGRAM_FILE, 0700, buf_span(&e->program), err);
    if (rc < 0)
        return rc;
    if (asprintf(&e->file, "%s/" PROGRAM_FILE, e->directory) < 0) {
        e->file = NULL;
        return -ENOMEM;
    }
    e->form = definition_form(buf_span(&e->program));
    buf_finish(&e->program);
    rc = set_env(e);
    return rc == 0 && e->piped ? prepare_frame(e, err) : rc;
}
