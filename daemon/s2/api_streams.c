/*
 * /v1/streams/NAME and POST /v1/streams: create, ensure, look, reconfigure, delete. The list is in api_streams_list.c.
 */
#include <errno.h>

#include "base/json.h"
#include "base/s2/fields.h"
#include "daemon/s2/s2_info.h"
#include "daemon/s2/streams.h"

struct stream_request {
    struct s2_request s;
    struct stream_op op;
    struct buf name; /* as it was asked for, without the token's prefix */
};

static struct stream_request *request_of(struct exchange *x)
{
    return (struct stream_request *)x;
}

static void finish(struct exchange *x)
{
    buf_finish(&request_of(x)->name);
    s2_finish((struct s2_request *)x);
}

static void nothing_more(struct s2_request *s)
{
    (void)s; /* the body is to come */
}

/* --- answers ----------------------------------------------------------------------------------------- */

static void answer_config(struct s2_request *s, const struct s2_stream_config *config)
{
    CLEAN_BUF json = BUF_INIT;
    if (s2_stream_config_put(&json, config) < 0)
        s2_fail(s, S2_UNAVAILABLE, "no memory for the answer");
    else
        s2_reply_json(s, buf_span(&json));
}

/* Without the token's prefix. */
static struct span short_name(const struct s2_request *s, struct span name)
{
    const size_t skip = grant_prefix(s->x.grant).len;
    return span_of(name.ptr + skip, name.len - skip);
}

static void answer_info(struct s2_request *s, const struct stream_op *op)
{
    CLEAN_BUF json = BUF_INIT;
    const struct stream_info info = {.name = short_name(s, op->name),
                                     .created_ms = op->created_ms,
                                     .cipher = op->note.cipher};
    if (stream_info_put(&json, &info) < 0)
        s2_fail(s, S2_UNAVAILABLE, "no memory for the answer");
    else
        s2_reply_provision(s, op->provision, op->deed == STREAM_CREATE, buf_span(&json));
}

static enum auth_op right_of(enum stream_deed deed)
{
    static const enum auth_op ops[] = {[STREAM_CREATE] = AUTH_CREATE_STREAM,
                                       [STREAM_ENSURE] = AUTH_CREATE_STREAM,
                                       [STREAM_RECONFIGURE] = AUTH_RECONFIGURE_STREAM,
                                       [STREAM_DELETE] = AUTH_DELETE_STREAM};
    return ops[deed];
}

static void changed(struct stream_op *op)
{
    struct stream_request *r =
        (struct stream_request *)((char *)op - offsetof(struct stream_request, op));
    struct s2_request *s = &r->s;
    if (op->result < 0)
        s2_fail(s, op->code, "%s", op->err.text);
    else if (op->deed == STREAM_DELETE)
        s2_reply(s, 202, NULL, (struct span){0}, NULL);
    else if (op->deed == STREAM_RECONFIGURE)
        answer_config(s, &op->actual);
    else
        answer_info(s, op);
    if (op->result == 0)
        s2_count_op(s, right_of(op->deed));
    exchange_drop(&s->x);
}

static void run(struct stream_request *r, enum stream_deed deed)
{
    struct s2_request *s = &r->s;
    r->op.deed = deed;
    r->op.site = s->x.site;
    r->op.authority = exchange_authority(&s->x);
    r->op.name = buf_span(&s->stream);
    r->op.basin = basin_config(s->basin);
    r->op.done = changed;
    exchange_hold(&s->x);
    stream_op_run(&r->op);
}

/* --- POST /v1/streams -------------------------------------------------------------------------------- */

static int take_name(struct stream_request *r, const struct s2_field *field, struct err *err)
{
    if (!s2_field_there(field))
        return err_set(err, ERR_FORMAT, "\"stream\" is missing");
    int rc = s2_field_text(&r->name, field, "stream", err);
    if (rc == 0)
        rc = s2_stream_name(buf_span(&r->name), err);
    if (rc == 0)
        rc = s2_full_name(&r->s, buf_span(&r->name), &r->s.stream, err);
    return rc == ERR_INVALID ? (err->code = ERR_FORMAT) : rc;
}

static int parse_create(struct stream_request *r, struct span json, struct err *err)
{
    static const char *const names[] = {"stream", "config"};
    struct s2_field part[2];
    int rc = s2_json_valid(json, err);
    if (rc == 0)
        rc = s2_fields(part, names, 2, json, "the request", err);
    if (rc == 0)
        rc = take_name(r, &part[0], err);
    if (rc == 0 && s2_field_set(&part[1]))
        rc = s2_stream_config_read(&r->op.config, part[1].value.raw, S2_CONFIG_WHOLE, err);
    return rc;
}

static void create_end(struct exchange *x)
{
    struct stream_request *r = request_of(x);
    struct s2_request *s = &r->s;
    struct err err = ERR_INIT;
    struct span json;
    size_t len;
    if (!s2_request_token(s, r->op.token, &len) || !s2_json_body(s, true, &json))
        return;
    if (parse_create(r, json, &err) < 0)
        s2_fail_err(s, err.code, &err);
    else if (!grant_allows(x->grant, AUTH_CREATE_STREAM, s->basin_name, buf_span(&s->stream)))
        s2_fail(s, S2_PERMISSION_DENIED, "the token does not allow this");
    else
        run(r, STREAM_CREATE);
}

static int create_begin(struct exchange *x, struct err *err)
{
    (void)err;
    return s2_enter((struct s2_request *)x, S2_NEED_BASIN, AUTH_CREATE_STREAM, nothing_more);
}

const struct route s2_route_streams_post = {.size = sizeof(struct stream_request),
                                            .begin = create_begin,
                                            .body = s2_body_take,
                                            .end = create_end,
                                            .finish = finish};

/* --- PUT, PATCH, DELETE /v1/streams/NAME ------------------------------------------------------------- */

static int enter_named(struct exchange *x, enum auth_op op, void (*entered)(struct s2_request *s))
{
    return s2_enter((struct s2_request *)x, S2_NEED_BASIN | S2_NEED_STREAM, op, entered);
}

/* The config alone, or nothing, or null. */
static int parse_ensure(struct stream_request *r, struct span json, struct err *err)
{
    if (json.len == 0)
        return 0;
    int rc = s2_json_valid(json, err);
    if (rc < 0 || json_type_of(json) == JSON_NULL)
        return rc;
    return s2_stream_config_read(&r->op.config, json, S2_CONFIG_WHOLE, err);
}

static void put_end(struct exchange *x)
{
    struct stream_request *r = request_of(x);
    struct err err = ERR_INIT;
    struct span json;
    if (!s2_json_body(&r->s, false, &json))
        return;
    if (parse_ensure(r, json, &err) < 0)
        s2_fail_err(&r->s, err.code, &err);
    else
        run(r, STREAM_ENSURE);
}

static int put_begin(struct exchange *x, struct err *err)
{
    (void)err;
    return enter_named(x, AUTH_CREATE_STREAM, nothing_more);
}

const struct route s2_route_stream_put = {.size = sizeof(struct stream_request),
                                          .begin = put_begin,
                                          .body = s2_body_take,
                                          .end = put_end,
                                          .finish = finish};

static void patch_end(struct exchange *x)
{
    struct stream_request *r = request_of(x);
    struct err err = ERR_INIT;
    if (!s2_json_body(&r->s, true, &r->op.change))
        return;
    if (s2_json_valid(r->op.change, &err) < 0)
        s2_fail_err(&r->s, err.code, &err);
    else
        run(r, STREAM_RECONFIGURE);
}

static int patch_begin(struct exchange *x, struct err *err)
{
    (void)err;
    return enter_named(x, AUTH_RECONFIGURE_STREAM, nothing_more);
}

const struct route s2_route_stream_patch = {.size = sizeof(struct stream_request),
                                            .begin = patch_begin,
                                            .body = s2_body_take,
                                            .end = patch_end,
                                            .finish = finish};

static void delete_entered(struct s2_request *s)
{
    run((struct stream_request *)s, STREAM_DELETE);
}

static int delete_begin(struct exchange *x, struct err *err)
{
    (void)err;
    return enter_named(x, AUTH_DELETE_STREAM, delete_entered);
}

const struct route s2_route_stream_delete = {
    .size = sizeof(struct stream_request), .begin = delete_begin, .finish = finish};

/* --- GET /v1/streams/NAME ---------------------------------------------------------------------------- */

static void looked(struct s2_request *s, const struct store_topic *topic)
{
    struct s2_stream_note note;
    struct err err = ERR_INIT;
    if (s2_stream_note_read(&note, topic->note, &err) < 0) {
        s2_fail_err(s, err.code, &err);
        return;
    }
    const struct s2_stream_config config = s2_config_of(&topic->rules, &note);
    answer_config(s, &config);
    s2_count_op(s, AUTH_GET_STREAM_CONFIG);
}

static void look_entered(struct s2_request *s)
{
    s2_look(s, S2_AUTO_NOT, looked);
}

static int look_begin(struct exchange *x, struct err *err)
{
    (void)err;
    return enter_named(x, AUTH_GET_STREAM_CONFIG, look_entered);
}

static void look_finish(struct exchange *x)
{
    s2_finish((struct s2_request *)x);
}

const struct route s2_route_stream_get = {
    .size = sizeof(struct s2_request), .begin = look_begin, .finish = look_finish};
