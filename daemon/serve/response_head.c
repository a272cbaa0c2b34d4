#include "daemon/serve/response_head.h"

#include <errno.h>
#include <stdlib.h>
#include <strings.h>
#include <xxhash.h>

#include "base/json.h"

#define FIELDS_MAX 1000
#define HEAD_MAX (16 * 1024) /* of names and values: what every connection has room for */

/* --- tags ------------------------------------------------------------------------------------------ */

static bool is_pointer(struct span key)
{
    static const char *const names[] = {"service_id", "handler_id", "action_id", "source_id",
                                        "actor_id"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (json_string_is(key, names[i]))
            return true;
    return false;
}

static bool is_true(const struct json_value *value)
{
    return value->type == JSON_BOOL && value->raw.ptr[0] == 't';
}

bool response_tag(struct response_tag *out, const struct frame *frame)
{
    struct json_iter it;
    struct span key;
    struct json_value value;
    bool found = false;
    *out = (struct response_tag){.claim = 0};
    if (frame->meta.len == 0 || json_type_of(frame->meta) != JSON_OBJECT ||
        json_iter_init(&it, frame->meta) < 0)
        return false;
    while (json_iter_next(&it, &key, &value)) {
        struct span raw = value.raw;
        if (json_string_is(key, "request_id"))
            found = value.type == JSON_STRING &&
                    id_parse(&out->request, span_of(raw.ptr + 1, raw.len - 2), NULL) == 0;
        else if (json_string_is(key, "more"))
            out->more = is_true(&value);
        else if (is_pointer(key) && frame->origin.len == 0)
            out->claim = XXH3_64bits_withSeed(raw.ptr, raw.len, out->claim + 1);
    }
    if (frame->origin.len > 0)
        out->claim = XXH3_64bits(frame->origin.ptr, frame->origin.len);
    return found;
}

/* --- heads ----------------------------------------------------------------------------------------- */

/* The answer while it is read: texts move as their buffer grows, so fields are offsets at first. */
struct reading {
    struct buf text;
    struct buf places; /* size_t pairs */
    size_t count;
    bool typed; /* a Content-Type was given */
    struct err *err;
};

static bool is_token(struct span name)
{
    static const char marks[] = "!#$%&'*+-.^_`|~";
    for (size_t i = 0; i < name.len; i++) {
        uint8_t c = name.ptr[i];
        bool alnum = (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z');
        if (!alnum && (c == 0 || !strchr(marks, c)))
            return false;
    }
    return name.len > 0;
}

/* Anything else would begin a line of its own, or worse. */
static bool is_value(struct span value)
{
    for (size_t i = 0; i < value.len; i++)
        if ((value.ptr[i] < 32 && value.ptr[i] != '\t') || value.ptr[i] == 127)
            return false;
    return true;
}

/* What belongs to the connection, or is computed. */
static bool is_ours(const char *name)
{
    static const char *const names[] = {"connection",         "keep-alive",          "proxy-connection",
                                        "proxy-authenticate", "proxy-authorization", "te",
                                        "trailer",            "transfer-encoding",   "upgrade",
                                        "content-length"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcasecmp(name, names[i]) == 0)
            return true;
    return false;
}

static const char *at(const struct reading *r, size_t place)
{
    return (const char *)r->text.ptr + place;
}

static int put_text(struct reading *r, struct span text, size_t *place)
{
    *place = r->text.len;
    int rc = buf_add_span(&r->text, text);
    return rc == 0 ? buf_add(&r->text, "", 1) : rc;
}

static int add_field(struct reading *r, size_t name, struct span value)
{
    size_t places[2] = {name, 0};
    if (!is_value(value))
        return err_set(r->err, ERR_INVALID, "the value of header %.64s has control characters",
                       at(r, name));
    if (++r->count > FIELDS_MAX)
        return err_set(r->err, ERR_INVALID, "more than %d headers", FIELDS_MAX);
    /* The library under the server takes neither tabs nor empty values; a blank means the same. */
    int rc = put_text(r, value.len > 0 ? value : span_str(" "), &places[1]);
    for (size_t i = places[1]; rc == 0 && i < r->text.len; i++)
        if (r->text.ptr[i] == '\t')
            r->text.ptr[i] = ' ';
    return rc == 0 ? buf_add(&r->places, places, sizeof(places)) : rc;
}

static int take_value(struct reading *r, size_t name, const struct json_value *value)
{
    CLEAN_BUF text = BUF_INIT;
    if (value->type != JSON_STRING)
        return err_set(r->err, ERR_INVALID, "header %.64s is neither a string nor a list of strings",
                       at(r, name));
    int rc = json_string_decode(value->raw, &text, r->err);
    return rc == 0 ? add_field(r, name, buf_span(&text)) : rc;
}

static int take_values(struct reading *r, size_t name, const struct json_value *value)
{
    struct json_iter it;
    struct json_value one;
    int rc = 0;
    if (value->type != JSON_ARRAY)
        return take_value(r, name, value);
    json_iter_init(&it, value->raw);
    while (rc == 0 && json_iter_next(&it, NULL, &one))
        rc = take_value(r, name, &one);
    return rc;
}

static int take_header(struct reading *r, struct span key, const struct json_value *value)
{
    CLEAN_BUF decoded = BUF_INIT;
    size_t name = 0;
    int rc = json_string_decode(key, &decoded, r->err);
    if (rc == 0 && !is_token(buf_span(&decoded)))
        return err_set(r->err, ERR_INVALID, "%.*s is no name of a header",
                       key.len > 64 ? 64 : (int)key.len, (const char *)key.ptr);
    if (rc == 0)
        rc = put_text(r, buf_span(&decoded), &name);
    if (rc < 0)
        return rc;
    bool ours = is_ours(at(r, name));
    r->typed |= strcasecmp(at(r, name), "content-type") == 0;
    size_t was = r->places.len;
    rc = take_values(r, name, value);
    if (ours)
        r->places.len = was;
    return rc;
}

static int take_headers(struct reading *r, const struct json_value *value)
{
    struct json_iter it;
    struct span key;
    struct json_value one;
    int rc = 0;
    if (value->type == JSON_NULL)
        return 0;
    if (value->type != JSON_OBJECT)
        return err_set(r->err, ERR_INVALID, "headers is no object");
    json_iter_init(&it, value->raw);
    while (rc == 0 && json_iter_next(&it, &key, &one))
        rc = take_header(r, key, &one);
    return rc;
}

/* An interim status would leave the client waiting for another. */
static int take_status(struct response_head *out, const struct json_value *value, struct err *err)
{
    uint64_t status;
    if (json_u64(value->raw, &status) < 0 || status < 200 || status > 599)
        return err_set(err, ERR_INVALID, "status %.*s is no number from 200 to 599",
                       value->raw.len > 32 ? 32 : (int)value->raw.len, (const char *)value->raw.ptr);
    out->status = (unsigned)status;
    return 0;
}

static int take_members(struct response_head *out, struct reading *r, struct span meta)
{
    struct json_iter it;
    struct span key;
    struct json_value value;
    int rc = json_iter_init(&it, meta);
    while (rc == 0 && json_iter_next(&it, &key, &value)) {
        if (json_string_is(key, "status"))
            rc = take_status(out, &value, r->err);
        else if (json_string_is(key, "headers"))
            rc = take_headers(r, &value);
    }
    return rc;
}

static int default_type(struct reading *r)
{
    size_t name = 0;
    int rc = put_text(r, span_str("Content-Type"), &name);
    return rc == 0 ? add_field(r, name, span_str("text/plain")) : rc;
}

/* Places become pointers, now that nothing moves any more. */
static int settle(struct response_head *out, struct reading *r)
{
    size_t count = r->places.len / (2 * sizeof(size_t));
    const size_t *places = (const size_t *)(const void *)r->places.ptr;
    out->fields = calloc(count + 1, sizeof(*out->fields));
    if (!out->fields)
        return -ENOMEM;
    out->text = (char *)r->text.ptr;
    r->text = BUF_INIT;
    for (size_t i = 0; i < count; i++)
        out->fields[i] = (struct http_field){out->text + places[2 * i], out->text + places[2 * i + 1]};
    return 0;
}

int response_head_parse(struct response_head *out, struct span meta, struct err *err)
{
    struct reading r = {.err = err};
    *out = (struct response_head){.status = 200};
    int rc = take_members(out, &r, meta);
    if (rc == 0 && !r.typed)
        rc = default_type(&r);
    if (rc == 0 && r.text.len > HEAD_MAX)
        rc = err_set(err, ERR_INVALID, "the headers are over %d KiB", HEAD_MAX / 1024);
    if (rc == 0)
        rc = settle(out, &r);
    buf_finish(&r.text);
    buf_finish(&r.places);
    return rc;
}

void response_head_finish(struct response_head *head)
{
    free(head->fields);
    free(head->text);
    *head = (struct response_head){.status = 0};
}
