/*
 * What an instance says in the user's topics: frames its program printed, and errors.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/json.h"
#include "daemon/guarded.h"
#include "daemon/run/output.h"
#include "daemon/run/registry.h"

int instance_meta(struct instance *i, struct buf *out, const struct frame_id *cause, struct span own)
{
    return tell_meta(out, i->def.kind, i->def.words, i->def.id, cause, own);
}

/* --- errors ---------------------------------------------------------------------------------------------- */

static int error_frame(struct instance *i, struct emit_frame *out, struct buf *topic, struct buf *meta,
                       const struct failure *failure)
{
    CLEAN_BUF own = BUF_INIT;
    int rc = buf_addf(topic, "%s.error", i->def.name);
    if (rc == 0)
        rc = failure_put(&own, failure);
    if (rc == 0)
        rc = instance_meta(i, meta, failure->has_frame ? &failure->frame : NULL, buf_span(&own));
    *out = (struct emit_frame){
        .topic = buf_span(topic), .meta = buf_span(meta), .origin = span_str(i->origin.text)};
    return rc;
}

int instance_error_put(struct instance *i, const struct failure *failure, const struct store_mark *mark,
                       void (*done)(void *arg, const struct emit_result *result), void *arg)
{
    CLEAN_BUF topic = BUF_INIT;
    CLEAN_BUF meta = BUF_INIT;
    struct emit_frame frame;
    int rc = error_frame(i, &frame, &topic, &meta, failure);
    return rc == 0 ? instance_put(i, &frame, 1, mark, done, arg) : rc;
}

int instance_error_at(struct instance *i, const struct failure *failure, const struct store_mark *mark)
{
    return instance_error_put(i, failure, mark, NULL, NULL);
}

int instance_error(struct instance *i, const struct failure *failure)
{
    return instance_error_at(i, failure, NULL);
}

/* --- printed frames ----------------------------------------------------------------------------------------- */

/* One frame as it goes to the log. */
struct line {
    struct buf topic, meta;
};

static int check(const struct instance *i, struct span topic, const struct printed *printed, struct err *err)
{
    int rc = topic_check(topic, err);
    if (rc == 0)
        rc = guarded_check(i->def.exec ? AUTHORITY_EXEC : AUTHORITY_NONE, topic, NULL);
    if (rc == ERR_FORBIDDEN)
        return err_set(err, rc, "printed a frame on %.*s, which needs \"exec\":true in the definition", SPAN_ARG(topic));
    if (rc < 0)
        err_prefix(err, "printed a frame on the topic %.60s", (const char *)topic.ptr);
    if (rc == 0 && printed->meta.len > META_MAX)
        return err_set(err, ERR_TOO_LARGE, "printed a frame on %.*s with a meta of more than %d KiB", SPAN_ARG(topic),
                       META_MAX / 1024);
    return rc;
}

static int fill(struct instance *i, struct emit_frame *out, struct line *line, const struct printed *printed,
                const struct frame_id *cause)
{
    struct err err = ERR_INIT;
    if (printed->has_cause)
        cause = &printed->cause;
    int rc = printed->topic.len > 0 ? buf_add_span(&line->topic, printed->topic)
                                    : buf_addf(&line->topic, "%s%s", i->def.name, i->def.suffix);
    if (rc < 0 || !buf_cstr(&line->topic))
        return -ENOMEM;
    if (check(i, buf_span(&line->topic), printed, &err) < 0) {
        buf_reset(&line->topic);
        return error_frame(i, out, &line->topic, &line->meta,
                           &(struct failure){.error = span_str(err.text),
                                             .has_frame = cause != NULL,
                                             .frame = cause ? *cause : ID_MIN});
    }
    rc = instance_meta(i, &line->meta, cause, printed->meta);
    *out = (struct emit_frame){.topic = buf_span(&line->topic),
                               .meta = buf_span(&line->meta),
                               .ttl = printed->has_ttl ? printed->ttl : i->def.ttl,
                               .has_content = printed->has_content,
                               .content = printed->content,
                               .origin = span_str(i->origin.text)};
    return rc;
}

int instance_print(struct instance *i, const struct printed *frames, size_t count, const struct frame_id *cause,
                   const struct store_mark *mark, void (*done)(void *arg, const struct emit_result *result), void *arg)
{
    struct emit_frame *out = calloc(count ? count : 1, sizeof(*out));
    struct line *lines = calloc(count ? count : 1, sizeof(*lines));
    size_t filled = 0;
    int rc = out && lines ? 0 : -ENOMEM;
    for (size_t at = 0; rc == 0 && at < count; at++)
        if (frames[at].has_frame) {
            rc = fill(i, &out[filled], &lines[filled], &frames[at], cause);
            filled++;
        }
    if (rc == 0)
        rc = instance_put(i, out, filled, mark, done, arg);
    for (size_t at = 0; lines && at < filled; at++) {
        buf_finish(&lines[at].topic);
        buf_finish(&lines[at].meta);
    }
    free(lines);
    free(out);
    return rc;
}
