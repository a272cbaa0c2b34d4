#include "client/s2/request.h"

#include <errno.h>

#include "base/text.h"
#include "client/s2/backoff.h"

#define BODY_MAX (8 * 1024 * 1024)

int s2c_stream_path(struct buf *out, const char *stream, const char *tail)
{
    int rc = buf_add_str(out, "/streams/");
    if (rc == 0)
        rc = uri_encode(out, span_str(stream), "");
    return rc == 0 ? buf_add_str(out, tail) : rc;
}

void s2c_common_fields(struct s2c_head *head, const struct weir_s2 *s2, const char *basin,
                       struct buf *bearer)
{
    if (s2->set.token && buf_addf(bearer, "Bearer %s", s2->set.token) == 0)
        s2c_head_add(head, "authorization", buf_cstr(bearer));
    s2c_head_add(head, "s2-basin", basin);
    s2c_head_add(head, "user-agent", "weir-s2/" WEIR_VERSION);
}

/* The connection kept from before, or a new one. */
static int ready(struct weir_s2 *s2, const char *basin, uint64_t deadline, struct weir_s2_err *err)
{
    struct s2c_kept *kept = &s2->kept;
    struct s2c_place place;
    int rc = s2c_handle_place(s2, basin, &place, err);
    if (rc != 0)
        return rc;
    if (kept->conn && s2c_place_same(&kept->place, &place) && s2c_conn_usable(kept->conn)) {
        s2c_place_finish(&place);
        return 0;
    }
    s2c_conn_close(kept->conn);
    s2c_place_finish(&kept->place);
    *kept = (struct s2c_kept){.place = place};
    return s2c_conn_open(&kept->conn, &place, &s2->set, deadline, err);
}

static void lose(struct weir_s2 *s2)
{
    s2c_conn_close(s2->kept.conn);
    s2->kept.conn = NULL;
}

/* Bodies worth it are sent compressed. */
static int put_body(struct s2c_flow *flow, const struct s2c_request *r, enum coding coding,
                    struct s2c_head *head)
{
    if (coding != CODING_NONE && r->body.len >= 1024) {
        int rc = coding_pack(&flow->up, coding, r->body);
        if (rc == 0)
            s2c_head_add(head, "content-encoding", coding_name(coding));
        return rc;
    }
    return buf_add_span(&flow->up, r->body);
}

static int begin(struct weir_s2 *s2, const struct s2c_request *r, struct s2c_flow *flow,
                 struct weir_s2_err *err)
{
    CLEAN_BUF path = BUF_INIT;
    CLEAN_BUF bearer = BUF_INIT;
    struct s2c_head head = {.method = r->method};
    bool careful_coding = r->content_type && strcmp(r->content_type, "application/protobuf") == 0;
    s2c_common_fields(&head, s2, r->basin, &bearer);
    s2c_head_add(&head, "content-type", r->content_type);
    s2c_head_add(&head, "accept", r->accept);
    s2c_head_add(&head, "accept-encoding", "zstd, gzip");
    s2c_head_add(&head, "s2-request-token", r->request_token);
    if (r->of_records) {
        s2c_head_add(&head, "s2-encryption-key", s2->set.encryption_key);
        s2c_head_add(&head, "s2-stream-config", s2->set.stream_config);
    }
    if (buf_add_str(&path, s2->kept.place.path) != 0 || buf_add_span(&path, r->path) != 0)
        return s2c_no_memory(err);
    if (r->has_body && put_body(flow, r, careful_coding ? s2->set.coding : CODING_NONE, &head) != 0)
        return s2c_no_memory(err);
    head.path = buf_span(&path);
    flow->up_end = true;
    return s2c_flow_begin(s2->kept.conn, flow, &head, r->has_body, err);
}

/* The answer's body, unpacked. */
static int take_body(struct s2c_flow *flow, struct s2c_answer *out, struct weir_s2_err *err)
{
    struct err why = ERR_INIT;
    enum coding coding;
    buf_reset(&out->body);
    if (!coding_parse(&coding, span_str(flow->encoding)))
        return s2c_fail(err, WEIR_S2_TRANSPORT, ERR_REMOTE, "the answer's encoding %s is not known",
                        flow->encoding);
    if (coding == CODING_NONE)
        return buf_add_span(&out->body, s2c_flow_rest(flow)) == 0 ? 0 : s2c_no_memory(err);
    if (coding_unpack(&out->body, coding, s2c_flow_rest(flow), BODY_MAX, &why) != 0)
        return s2c_fail(err, WEIR_S2_TRANSPORT, ERR_REMOTE, "the answer: %s", why.text);
    return 0;
}

static int await(struct weir_s2 *s2, struct s2c_flow *flow, struct s2c_answer *out,
                 uint64_t deadline, struct weir_s2_err *err)
{
    int rc = s2c_await_end(s2->kept.conn, flow, BODY_MAX, deadline, err);
    if (rc == 0)
        rc = take_body(flow, out, err);
    if (rc != 0)
        return rc;
    out->status = flow->status;
    memcpy(out->provision, flow->provision, sizeof(out->provision));
    if (flow->status >= 200 && flow->status < 300)
        return 0;
    return s2c_fail_answer(err, flow->status, buf_span(&out->body), flow->retry_after_ms);
}

static int attempt(struct weir_s2 *s2, const struct s2c_request *r, struct s2c_answer *out,
                   struct weir_s2_err *err)
{
    struct s2c_flow flow = {0};
    uint64_t now = time_mono_us();
    int rc = ready(s2, r->basin, now + s2->set.connect_ms * 1000u, err);
    if (rc != 0)
        return rc;
    rc = begin(s2, r, &flow, err);
    if (rc == 0)
        rc = await(s2, &flow, out, now + (s2->set.request_ms + r->more_ms) * 1000u, err);
    if (rc != 0 && err->status == 0) {
        if (flow.sent == 0 && r->has_body && err->what != WEIR_S2_LOCAL)
            err->no_effect = true;
        s2c_flow_drop(NULL, &flow);
        lose(s2);
    } else {
        s2c_flow_drop(s2->kept.conn, &flow);
    }
    s2c_flow_finish(&flow);
    return rc;
}

int s2c_request(struct weir_s2 *s2, const struct s2c_request *request, struct s2c_answer *out,
                struct weir_s2_err *err)
{
    struct weir_s2_err own = WEIR_S2_ERR_INIT;
    struct s2c_backoff backoff = {0};
    uint64_t wait_us;
    err = err ? err : &own;
    for (;;) {
        int rc = attempt(s2, request, out, err);
        if (rc == 0)
            return 0;
        bool again = err->retryable && (err->no_effect || !request->careful);
        out->in_doubt = out->in_doubt || (!err->no_effect && err->what != WEIR_S2_LOCAL);
        if (!again || !s2c_backoff_next(&backoff, &s2->set, err->retry_after_ms, &wait_us))
            return rc;
        s2c_backoff_sleep(wait_us);
    }
}

void s2c_answer_finish(struct s2c_answer *answer)
{
    buf_finish(&answer->body);
}
