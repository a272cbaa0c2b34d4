/*
 * /v1/basins: list, create, ensure, look, reconfigure, delete.
 */
#include <errno.h>

#include "base/json.h"
#include "base/s2/fields.h"
#include "base/text.h"
#include "daemon/s2/s2_info.h"

struct basin_request {
    struct s2_request s;
    struct basin_op op;
};

static struct basin_request *request_of(struct exchange *x)
{
    return (struct basin_request *)x;
}

static void finish(struct exchange *x)
{
    s2_finish((struct s2_request *)x);
}

static void nothing_more(struct s2_request *s)
{
    (void)s; /* the body is to come */
}

/* --- answers to changes ------------------------------------------------------------------------------ */

static enum auth_op right_of(enum basin_deed deed)
{
    static const enum auth_op ops[] = {[BASIN_CREATE] = AUTH_CREATE_BASIN,
                                       [BASIN_ENSURE] = AUTH_CREATE_BASIN,
                                       [BASIN_RECONFIGURE] = AUTH_RECONFIGURE_BASIN,
                                       [BASIN_DELETE] = AUTH_DELETE_BASIN};
    return ops[deed];
}

static void answer_config(struct s2_request *s, const struct basin *basin)
{
    CLEAN_BUF json = BUF_INIT;
    if (s2_basin_config_put(&json, basin_config(basin)) < 0)
        s2_fail(s, S2_UNAVAILABLE, "no memory for the answer");
    else
        s2_reply_json(s, buf_span(&json));
}

static void answer_info(struct s2_request *s, const struct basin_op *op)
{
    CLEAN_BUF json = BUF_INIT;
    const struct basin_info info = basin_info(op->basin);
    if (s2_put_basin(&json, &info) < 0)
        s2_fail(s, S2_UNAVAILABLE, "no memory for the answer");
    else
        s2_reply_provision(s, op->provision, op->deed == BASIN_CREATE, buf_span(&json));
}

static void changed(struct basin_op *op)
{
    struct basin_request *r =
        (struct basin_request *)((char *)op - offsetof(struct basin_request, op));
    struct s2_request *s = &r->s;
    if (op->result < 0)
        s2_fail(s, op->code, "basin %s: %s", op->name, op->err.text);
    else if (op->deed == BASIN_DELETE)
        s2_reply(s, 202, NULL, (struct span){0}, NULL);
    else if (op->deed == BASIN_RECONFIGURE)
        answer_config(s, op->basin);
    else
        answer_info(s, op);
    if (op->result == 0)
        s2_count_op(s, right_of(op->deed));
    exchange_drop(&s->x);
}

static void run(struct basin_request *r, enum basin_deed deed)
{
    r->op.deed = deed;
    r->op.exec = exchange_authority(&r->s.x) == AUTHORITY_EXEC;
    r->op.done = changed;
    exchange_hold(&r->s.x);
    basin_op_run(r->s.x.daemon->basins, &r->op);
}

/* --- POST /v1/basins --------------------------------------------------------------------------------- */

static int take_name(struct basin_request *r, const struct s2_field *field, struct err *err)
{
    CLEAN_BUF name = BUF_INIT;
    if (!s2_field_there(field))
        return err_set(err, ERR_FORMAT, "\"basin\" is missing");
    int rc = s2_field_text(&name, field, "basin", err);
    if (rc == 0)
        rc = s2_basin_name(buf_span(&name), err);
    if (rc < 0)
        return rc == ERR_INVALID ? (err->code = ERR_FORMAT) : rc;
    memcpy(r->op.name, name.ptr, name.len);
    r->op.name[name.len] = '\0';
    return 0;
}

static int take_location(const struct s2_field *field, struct err *err)
{
    CLEAN_BUF name = BUF_INIT;
    if (!s2_field_set(field))
        return 0;
    int rc = s2_field_text(&name, field, "location", err);
    if (rc == 0)
        rc = s2_location_name(buf_span(&name), err);
    return rc == ERR_INVALID ? (err->code = ERR_FORMAT) : rc;
}

static int take_config(struct basin_request *r, const struct s2_field *field, struct err *err)
{
    return s2_field_set(field)
               ? s2_basin_config_read(&r->op.config, field->value.raw, S2_CONFIG_WHOLE, err)
               : 0;
}

static int parse_create(struct basin_request *r, struct span json, struct err *err)
{
    static const char *const names[] = {"basin", "config", "location"};
    struct s2_field part[3];
    int rc = s2_json_valid(json, err);
    if (rc == 0)
        rc = s2_fields(part, names, 3, json, "the request", err);
    if (rc == 0)
        rc = take_name(r, &part[0], err);
    if (rc == 0)
        rc = take_location(&part[2], err);
    return rc == 0 ? take_config(r, &part[1], err) : rc;
}

static void create_end(struct exchange *x)
{
    struct basin_request *r = request_of(x);
    struct s2_request *s = &r->s;
    struct err err = ERR_INIT;
    struct span json;
    if (!s2_request_token(s, r->op.token, &r->op.token_len) || !s2_json_body(s, true, &json))
        return;
    if (parse_create(r, json, &err) < 0)
        s2_fail_err(s, err.code, &err);
    else if (!grant_allows(x->grant, AUTH_CREATE_BASIN, span_str(r->op.name), (struct span){0}))
        s2_fail(s, S2_PERMISSION_DENIED, "the token does not allow this");
    else
        run(r, BASIN_CREATE);
}

static int create_begin(struct exchange *x, struct err *err)
{
    (void)err;
    return s2_enter((struct s2_request *)x, 0, AUTH_NONE, nothing_more);
}

const struct route s2_route_basins_post = {.size = sizeof(struct basin_request),
                                           .begin = create_begin,
                                           .body = s2_body_take,
                                           .end = create_end,
                                           .finish = finish};

/* --- PUT, PATCH, DELETE /v1/basins/NAME -------------------------------------------------------------- */

static int enter_named(struct exchange *x, enum auth_op op, void (*entered)(struct s2_request *s))
{
    return s2_enter((struct s2_request *)x, S2_NEED_PATH_BASIN | S2_NEED_NAMES_ONLY, op, entered);
}

static void name_op(struct s2_request *s)
{
    struct basin_request *r = (struct basin_request *)s;
    memcpy(r->op.name, s->basin_text, sizeof(r->op.name));
}

static int parse_ensure(struct basin_request *r, struct span json, struct err *err)
{
    static const char *const names[] = {"config", "location"};
    struct s2_field part[2];
    if (json.len == 0)
        return 0;
    int rc = s2_json_valid(json, err);
    if (rc == 0 && json_type_of(json) == JSON_NULL)
        return 0;
    if (rc == 0)
        rc = s2_fields(part, names, 2, json, "the request", err);
    if (rc == 0)
        rc = take_location(&part[1], err);
    return rc == 0 ? take_config(r, &part[0], err) : rc;
}

static void put_end(struct exchange *x)
{
    struct basin_request *r = request_of(x);
    struct err err = ERR_INIT;
    struct span json;
    if (!s2_json_body(&r->s, false, &json))
        return;
    if (parse_ensure(r, json, &err) < 0)
        s2_fail_err(&r->s, err.code, &err);
    else
        run(r, BASIN_ENSURE);
}

static int put_begin(struct exchange *x, struct err *err)
{
    (void)err;
    return enter_named(x, AUTH_CREATE_BASIN, name_op);
}

const struct route s2_route_basin_put = {.size = sizeof(struct basin_request),
                                         .begin = put_begin,
                                         .body = s2_body_take,
                                         .end = put_end,
                                         .finish = finish};

static void patch_end(struct exchange *x)
{
    struct basin_request *r = request_of(x);
    struct err err = ERR_INIT;
    if (!s2_json_body(&r->s, true, &r->op.change))
        return;
    if (s2_json_valid(r->op.change, &err) < 0)
        s2_fail_err(&r->s, err.code, &err);
    else
        run(r, BASIN_RECONFIGURE);
}

static int patch_begin(struct exchange *x, struct err *err)
{
    (void)err;
    return enter_named(x, AUTH_RECONFIGURE_BASIN, name_op);
}

const struct route s2_route_basin_patch = {.size = sizeof(struct basin_request),
                                           .begin = patch_begin,
                                           .body = s2_body_take,
                                           .end = patch_end,
                                           .finish = finish};

static void delete_named(struct s2_request *s)
{
    name_op(s);
    run((struct basin_request *)s, BASIN_DELETE);
}

static int delete_begin(struct exchange *x, struct err *err)
{
    (void)err;
    return enter_named(x, AUTH_DELETE_BASIN, delete_named);
}

const struct route s2_route_basin_delete = {
    .size = sizeof(struct basin_request), .begin = delete_begin, .finish = finish};

/* --- GET /v1/basins/NAME ----------------------------------------------------------------------------- */

static void look(struct s2_request *s)
{
    const struct basin *basin = basins_find(s->x.daemon->basins, s->basin_name);
    if (!basin) {
        s2_fail(s, S2_BASIN_NOT_FOUND, "there is no basin %s", s->basin_text);
        return;
    }
    answer_config(s, basin);
    s2_count_op(s, AUTH_GET_BASIN_CONFIG);
}

static int look_begin(struct exchange *x, struct err *err)
{
    (void)err;
    return enter_named(x, AUTH_GET_BASIN_CONFIG, look);
}

const struct route s2_route_basin_get = {
    .size = sizeof(struct s2_request), .begin = look_begin, .finish = finish};

/* --- GET /v1/basins ---------------------------------------------------------------------------------- */

struct listing {
    struct s2_request *s;
    struct buf json;
    uint64_t left;
    bool more;
    int result;
};

static bool list_one(void *arg, const struct basin *basin)
{
    struct listing *list = arg;
    const struct basin_info info = basin_info(basin);
    if (!grant_allows(list->s->x.grant, AUTH_LIST_BASINS, info.name, (struct span){0}))
        return true;
    list->more = list->left == 0;
    if (list->more)
        return false;
    list->left--;
    if (list->json.ptr[list->json.len - 1] == '}')
        list->result = buf_add_str(&list->json, ",");
    if (list->result == 0)
        list->result = s2_put_basin(&list->json, &info);
    return list->result == 0;
}

static void list(struct s2_request *s)
{
    struct s2_page page;
    if (!s2_page_read(s, &page, s2_basin_prefix))
        return;
    struct listing list = {.s = s, .left = page.limit};
    list.result = buf_add_str(&list.json, "{\"basins\":[");
    if (list.result == 0)
        basins_each(s->x.daemon->basins, page.prefix, page.after, list_one, &list);
    if (list.result == 0)
        list.result = buf_addf(&list.json, "],\"has_more\":%s}", list.more ? "true" : "false");
    if (list.result < 0)
        s2_fail(s, S2_UNAVAILABLE, "no memory for the list");
    else
        s2_reply_json(s, buf_span(&list.json));
    buf_finish(&list.json);
    s2_count_op(s, AUTH_LIST_BASINS);
}

static int list_begin(struct exchange *x, struct err *err)
{
    (void)err;
    return s2_enter((struct s2_request *)x, 0, AUTH_LIST_BASINS, list);
}

const struct route s2_route_basins_list = {
    .size = sizeof(struct s2_request), .begin = list_begin, .finish = finish};
