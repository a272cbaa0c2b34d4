#include "client/s2/session.h"

#include <errno.h>

#include "base/s2/frame.h"
#include "base/text.h"
#include "client/s2/request.h"

#define ERROR_MAX (64 * 1024)

static int begin(struct s2c_session *s, const struct weir_s2 *s2, const char *basin,
                 const struct s2c_place *place, const char *method, struct span path,
                 struct weir_s2_err *err)
{
    CLEAN_BUF whole = BUF_INIT;
    CLEAN_BUF bearer = BUF_INIT;
    struct s2c_head head = {.method = method};
    bool up = strcmp(method, "POST") == 0;
    s2c_common_fields(&head, s2, basin, &bearer);
    s2c_head_add(&head, "content-type", "s2s/proto");
    s2c_head_add(&head, "accept-encoding", coding_name(s2->set.coding));
    s2c_head_add(&head, "s2-encryption-key", s2->set.encryption_key);
    s2c_head_add(&head, "s2-stream-config", s2->set.stream_config);
    if (buf_add_str(&whole, place->path) != 0 || buf_add_span(&whole, path) != 0)
        return s2c_no_memory(err);
    head.path = buf_span(&whole);
    return s2c_flow_begin(s->conn, &s->flow, &head, up, err);
}

int s2c_session_open(struct s2c_session *s, const struct weir_s2 *s2, const char *basin,
                     const char *method, struct span path, struct weir_s2_err *err)
{
    struct s2c_place place;
    uint64_t now = time_mono_us();
    int rc = s2c_handle_place(s2, basin, &place, err);
    if (rc != 0)
        return rc;
    s->reconnect = false;
    s->opened_us = now;
    rc = s2c_conn_open(&s->conn, &place, &s2->set, now + s2->set.connect_ms * 1000u, err);
    if (rc == 0)
        rc = begin(s, s2, basin, &place, method, path, err);
    s2c_place_finish(&place);
    if (rc != 0)
        s2c_session_drop(s);
    return rc;
}

void s2c_session_drop(struct s2c_session *s)
{
    s2c_flow_drop(s->conn, &s->flow);
    s2c_conn_close(s->conn);
    s->conn = NULL;
    s->used = 0;
}

void s2c_session_finish(struct s2c_session *s)
{
    s2c_session_drop(s);
    s2c_flow_finish(&s->flow);
    buf_finish(&s->room);
}

int s2c_session_send(struct s2c_session *s, struct span message, enum coding coding)
{
    CLEAN_BUF frame = BUF_INIT;
    int rc = s2s_put(&frame, message, coding, false);
    return rc == 0 ? s2c_flow_add(s->conn, &s->flow, buf_span(&frame)) : rc;
}

/* An answer that is no session: its body is an error, once it is whole. */
static int refused(struct s2c_session *s, struct weir_s2_err *err)
{
    CLEAN_BUF plain = BUF_INIT;
    struct span body = s2c_flow_rest(&s->flow);
    enum coding coding;
    if (!s->flow.ended && !s->flow.cut && body.len < ERROR_MAX)
        return 0;
    if (coding_parse(&coding, span_str(s->flow.encoding)) && coding != CODING_NONE &&
        coding_unpack(&plain, coding, body, ERROR_MAX, NULL) == 0)
        body = buf_span(&plain);
    return s2c_fail_answer(err, s->flow.status, body, s->flow.retry_after_ms);
}

/* No whole frame is here. */
static int nothing(struct s2c_session *s, struct weir_s2_err *err)
{
    if (s->flow.ended && s2c_flow_rest(&s->flow).len == 0)
        return ERR_END;
    if (s->flow.ended || s->flow.cut)
        return s2c_fail(err, WEIR_S2_TRANSPORT, ERR_CUT, "the session was cut");
    return 0;
}

static int take(struct s2c_session *s, const struct s2s_frame *frame, size_t used,
                struct span *message, struct weir_s2_err *err)
{
    struct err why = ERR_INIT;
    if (frame->terminal)
        return s2c_fail_answer(err, (int)frame->status, frame->payload, 0);
    if (s2s_message(message, frame, &s->room, &why) != 0)
        return s2c_fail(err, WEIR_S2_TRANSPORT, ERR_REMOTE, "a frame of the session: %s", why.text);
    s->used = used;
    s->reconnect = s->reconnect || frame->reconnect;
    return 1;
}

int s2c_session_next(struct s2c_session *s, struct span *message, struct weir_s2_err *err)
{
    struct err why = ERR_INIT;
    struct s2s_frame frame;
    s2c_flow_take(&s->flow, s->used);
    s->used = 0;
    if (!s->flow.head)
        return s->flow.cut ? s2c_fail(err, WEIR_S2_TRANSPORT, ERR_CUT,
                                      "the session was cut before its answer")
                           : 0;
    if (s->flow.status < 200 || s->flow.status > 299)
        return refused(s, err);
    struct span rest = s2c_flow_rest(&s->flow);
    size_t before = rest.len;
    int rc = s2s_next(&frame, &rest, &why);
    if (rc == ERR_END)
        return nothing(s, err);
    if (rc != 0)
        return s2c_fail(err, WEIR_S2_TRANSPORT, ERR_REMOTE, "a frame of the session: %s", why.text);
    return take(s, &frame, before - rest.len, message, err);
}

int s2c_session_turn(struct s2c_session *s, uint64_t deadline)
{
    int rc = s2c_conn_turn(s->conn, deadline, NULL);
    if (rc >= 0)
        return rc;
    s->flow.cut = !s->flow.ended;
    return 1;
}
