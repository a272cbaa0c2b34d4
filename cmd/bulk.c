#include "cmd/bulk.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clean.h"
#include "base/json.h"
#include "cmd/frames.h"
#include "cmd/human.h"
#include "cmd/output.h"

#define ANSWER_MAX ((size_t)64 * 1024)

long bulk_read(void *arg, void *into, size_t room)
{
    struct bulk_source *s = arg;
    ssize_t n = (ssize_t)(s->ahead.len < room ? s->ahead.len : room);
    if (n > 0) {
        memcpy(into, s->ahead.ptr, (size_t)n);
        s->ahead = span_of(s->ahead.ptr + n, s->ahead.len - (size_t)n);
    } else {
        while ((n = read(s->fd, into, room)) < 0 && errno == EINTR)
            ;
    }
    if (n > 0 && s->progress) {
        s->progress->bytes += (uint64_t)n;
        progress_tick(s->progress);
    }
    return n < 0 ? -errno : n;
}

/* What the answer to a stream says; numbers not there stay 0. */
struct summary {
    uint64_t frames, existing, line, committed;
    bool has_line, has_committed;
    struct buf message, first, last;
};

static void take_text(struct buf *into, const struct json_value *value)
{
    buf_reset(into);
    if (value->type == JSON_STRING)
        json_string_decode(value->raw, into, NULL);
}

static bool summary_take(struct summary *s, struct span json)
{
    struct json_iter it;
    struct span key;
    struct json_value value;
    if (json_validate(json, META_DEPTH, NULL, NULL) != 0 || json_type_of(json) != JSON_OBJECT ||
        json_iter_init(&it, json) != 0)
        return false;
    while (json_iter_next(&it, &key, &value)) {
        if (json_string_is(key, "frames"))
            json_u64(value.raw, &s->frames);
        else if (json_string_is(key, "existing"))
            json_u64(value.raw, &s->existing);
        else if (json_string_is(key, "committed"))
            s->has_committed = json_u64(value.raw, &s->committed) == 0;
        else if (json_string_is(key, "line"))
            s->has_line = json_u64(value.raw, &s->line) == 0;
        else if (json_string_is(key, "message"))
            take_text(&s->message, &value);
        else if (json_string_is(key, "first"))
            take_text(&s->first, &value);
        else if (json_string_is(key, "last"))
            take_text(&s->last, &value);
    }
    return true;
}

static void summary_finish(struct summary *s)
{
    buf_finish(&s->message);
    buf_finish(&s->first);
    buf_finish(&s->last);
}

static int print_summary(const struct call *call, const struct summary *s, struct span json,
                         const char *done)
{
    struct err err = ERR_INIT;
    CLEAN_BUF text = BUF_INIT;
    if (!call_for_people(call))
        return output_line(call, json);
    int rc = buf_addf(&text, "%s ", done);
    if (rc == 0)
        rc = human_count(&text, s->frames);
    if (rc == 0)
        rc = buf_addf(&text, " frame%s", s->frames == 1 ? "" : "s");
    if (rc == 0 && s->existing > 0)
        rc = buf_addf(&text, ", %" PRIu64 " of them there already", s->existing);
    if (rc == 0 && s->first.len > 0)
        rc = buf_addf(&text, ": %.*s to %.*s", SPAN_ARG(buf_span(&s->first)),
                      SPAN_ARG(buf_span(&s->last)));
    if (rc == 0)
        rc = buf_add_str(&text, "\n");
    if (rc != 0)
        return call_failf(call, "out of memory");
    return output_write(buf_span(&text), &err) < 0 ? call_fail(call, &err) : 0;
}

static int print_refusal(const struct call *call, const struct summary *s)
{
    struct span message = s->message.len > 0 ? buf_span(&s->message) : span_str("refused");
    if (!s->has_line && !s->has_committed)
        return call_failf(call, "%.*s", SPAN_ARG(message));
    if (!s->has_line)
        return call_failf(call, "%.*s; %" PRIu64 " frame%s before it %s stored", SPAN_ARG(message),
                          s->committed, s->committed == 1 ? "" : "s",
                          s->committed == 1 ? "was" : "were");
    return call_failf(call, "line %" PRIu64 ": %.*s; %" PRIu64 " frame%s before it %s stored",
                      s->line, SPAN_ARG(message), s->committed, s->committed == 1 ? "" : "s",
                      s->committed == 1 ? "was" : "were");
}

/* Takes the body of an answer, without the newline at its end. */
static int take_body(const struct call *call, struct weir *w, char **body, size_t *len)
{
    struct err err = ERR_INIT;
    if (weir_read_all(w, body, len, ANSWER_MAX, &err) != 0)
        return call_fail(call, &err);
    while (*len > 0 && (*body)[*len - 1] == '\n')
        --*len;
    return 0;
}

static int send_request(const struct call *call, struct weir *w, const struct weir_request *req,
                        struct weir_response *res, struct progress *progress)
{
    struct err err = ERR_INIT;
    int rc = weir_request(w, req, res, &err);
    progress_end(progress);
    return rc == 0 ? 0 : call_fail(call, &err);
}

/* Prints what the body says: a summary or a refusal. */
static int conclude(const struct call *call, struct weir *w, const struct weir_response *res,
                    const char *done)
{
    struct summary s = {.frames = 0};
    CLEAN_FREE char *body = NULL;
    size_t len = 0;
    int rc = take_body(call, w, &body, &len);
    if (rc != 0)
        return rc;
    bool known = summary_take(&s, span_of(body, len));
    if (res->status / 100 != 2)
        rc = print_refusal(call, &s);
    else
        rc = known ? print_summary(call, &s, span_of(body, len), done)
                   : call_failf(call, "the daemon's answer is not understood");
    summary_finish(&s);
    return rc;
}

int bulk_send(const struct call *call, struct weir *w, const struct weir_request *req,
              struct progress *progress, const char *done)
{
    struct weir_response res;
    int rc = send_request(call, w, req, &res, progress);
    return rc == 0 ? conclude(call, w, &res, done) : rc;
}

int bulk_send_atomic(const struct call *call, struct weir *w, const struct weir_request *req,
                     struct progress *progress)
{
    struct weir_response res;
    int rc = send_request(call, w, req, &res, progress);
    if (rc != 0)
        return rc;
    return res.status / 100 == 2 ? frames_body(call, w) : conclude(call, w, &res, "");
}
