/*
 * Cursors of readers that live elsewhere: positions kept in the store by name.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <weir/client.h>

#include "base/buf.h"
#include "base/clean.h"
#include "base/json.h"
#include "base/text.h"

#define ANSWER_MAX (1024 * 1024)

static int make_target(struct buf *out, const char *name, struct err *err)
{
    int rc = buf_add_str(out, "/cursors/");
    if (rc == 0)
        rc = uri_encode(out, span_str(name), "");
    return rc == 0 && buf_cstr(out) ? 0 : err_set(err, -ENOMEM, "no memory for a request");
}

static int ask(struct weir *w, const char *method, const char *name, struct span body, struct err *err)
{
    CLEAN_BUF target = BUF_INIT;
    struct weir_response res;
    int rc = make_target(&target, name, err);
    if (rc < 0)
        return rc;
    const struct weir_request req = {.method = method,
                                     .target = (const char *)target.ptr,
                                     .body = body,
                                     .has_body = body.len > 0,
                                     .replay_safe = true};
    rc = weir_request(w, &req, &res, err);
    if (rc == 0 && res.status == 404) {
        CLEAN_FREE char *text = NULL;
        weir_read_all(w, &text, NULL, ANSWER_MAX, NULL);
        return err_set(err, ERR_NOT_FOUND, "no cursor %s", name);
    }
    return rc == 0 ? weir_check(w, &res, err) : rc;
}

static int take_cursor(struct span json, struct buf *position, struct weir_cursor *out)
{
    struct json_iter it;
    struct json_value value;
    struct span key;
    int rc = json_validate(json, 4, NULL, NULL);
    bool found = false;
    if (rc == 0)
        rc = json_iter_init(&it, json);
    while (rc == 0 && json_iter_next(&it, &key, &value)) {
        bool is_time = json_string_is(key, "time") && value.raw.len - 2 < sizeof(out->time);
        if (value.type != JSON_STRING)
            continue;
        if (is_time)
            memcpy(out->time, value.raw.ptr + 1, value.raw.len - 2);
        else if (json_string_is(key, "position"))
            rc = json_string_decode(value.raw, position, NULL);
        found = found || json_string_is(key, "position");
    }
    return rc == 0 && !found ? ERR_INVALID : rc;
}

int weir_cursor_get(struct weir *w, const char *name, struct weir_cursor *out, struct err *err)
{
    CLEAN_FREE char *json = NULL;
    struct buf text = BUF_INIT;
    struct weir_cursor cursor = {0};
    size_t json_len;
    int rc = ask(w, "GET", name, (struct span){0}, err);
    if (rc == 0)
        rc = weir_read_all(w, &json, &json_len, ANSWER_MAX, err);
    if (rc < 0)
        return rc;
    rc = take_cursor(span_of(json, json_len), &text, &cursor);
    if (rc == 0 && !buf_cstr(&text))
        rc = -ENOMEM;
    if (rc < 0) {
        buf_finish(&text);
        return err_set(err, rc == -ENOMEM ? rc : -EPROTO, rc == -ENOMEM ? "no memory for a cursor" : "the server's answer is no cursor");
    }
    cursor.position = (char *)text.ptr;
    cursor.len = text.len;
    *out = cursor;
    return 0;
}

int weir_cursor_put(struct weir *w, const char *name, struct span position, struct err *err)
{
    CLEAN_BUF body = BUF_INIT;
    CLEAN_FREE char *json = NULL;
    int rc = buf_add_str(&body, "{\"position\":");
    if (rc == 0)
        rc = json_put_string(&body, position);
    if (rc == 0)
        rc = buf_add_str(&body, "}");
    if (rc < 0)
        return err_set(err, rc, "no memory for a request");
    rc = ask(w, "PUT", name, buf_span(&body), err);
    return rc == 0 ? weir_read_all(w, &json, NULL, ANSWER_MAX, err) : rc;
}

int weir_cursor_remove(struct weir *w, const char *name, struct err *err)
{
    return ask(w, "DELETE", name, (struct span){0}, err);
}
