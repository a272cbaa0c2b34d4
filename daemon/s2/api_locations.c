/*
 * /v1/locations: there is one.
 */
#include "base/json.h"
#include "base/s2/fields.h"
#include "daemon/s2/s2_info.h"

#define INFO                                                                                       \
    "{\"name\":\"" S2_LOCATION "\",\"is_private\":true,\"storage_classes\":[\"express\","          \
    "\"standard\"],\"default_storage_class\":\"express\"}"

static void finish(struct exchange *x)
{
    s2_finish((struct s2_request *)x);
}

static void list(struct s2_request *s)
{
    s2_reply_json(s, span_str("[" INFO "]"));
    s2_count_op(s, AUTH_LIST_LOCATIONS);
}

static int list_begin(struct exchange *x, struct err *err)
{
    (void)err;
    return s2_enter((struct s2_request *)x, 0, AUTH_LIST_LOCATIONS, list);
}

const struct route s2_route_locations = {
    .size = sizeof(struct s2_request), .begin = list_begin, .finish = finish};

static void get(struct s2_request *s)
{
    s2_reply_json(s, span_str(INFO));
    s2_count_op(s, AUTH_GET_LOCATION);
}

static int get_begin(struct exchange *x, struct err *err)
{
    (void)err;
    return s2_enter((struct s2_request *)x, 0, AUTH_GET_LOCATION, get);
}

const struct route s2_route_location_get = {
    .size = sizeof(struct s2_request), .begin = get_begin, .finish = finish};

/* --- PUT: the body is a JSON string ------------------------------------------------------------------ */

static int read_name(struct buf *out, struct span json, struct err *err)
{
    int rc = s2_json_valid(json, err);
    if (rc < 0)
        return rc;
    struct s2_field field = {.value = {.type = json_type_of(json), .raw = json}};
    while (field.value.raw.len > 0 && strchr(" \t\r\n", field.value.raw.ptr[0]))
        field.value.raw = span_of(field.value.raw.ptr + 1, field.value.raw.len - 1);
    while (field.value.raw.len > 0 && strchr(" \t\r\n", field.value.raw.ptr[field.value.raw.len - 1]))
        field.value.raw.len--;
    rc = s2_field_text(out, &field, "the location", err);
    if (rc == 0 && s2_location_name(buf_span(out), err) < 0)
        rc = err->code = ERR_FORMAT;
    return rc;
}

static void put_end(struct exchange *x)
{
    struct s2_request *s = (struct s2_request *)x;
    struct err err = ERR_INIT;
    CLEAN_BUF name = BUF_INIT;
    struct span json;
    if (!s2_json_body(s, true, &json))
        return;
    if (read_name(&name, json, &err) < 0)
        s2_fail_err(s, err.code, &err);
    else if (!span_is(buf_span(&name), S2_LOCATION))
        s2_fail(s, S2_INVALID, "the one location here is " S2_LOCATION);
    else
        s2_reply_json(s, span_str(INFO));
    s2_count_op(s, AUTH_SET_LOCATION);
}

static void nothing_more(struct s2_request *s)
{
    (void)s; /* the body is to come */
}

static int put_begin(struct exchange *x, struct err *err)
{
    (void)err;
    return s2_enter((struct s2_request *)x, 0, AUTH_SET_LOCATION, nothing_more);
}

const struct route s2_route_location_put = {.size = sizeof(struct s2_request),
                                            .begin = put_begin,
                                            .body = s2_body_take,
                                            .end = put_end,
                                            .finish = finish};
