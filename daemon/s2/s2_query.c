/*
 * Query parameters of the S2 API.
 */
#include "base/text.h"
#include "daemon/s2/s2.h"

/* 1: found, 0: absent, -1: there twice, or not decodable. */
static int find(struct http_req *req, const char *name, struct buf *value, struct err *err)
{
    struct span rest = http_query(req), key, raw;
    bool has_value, found = false;
    CLEAN_BUF text = BUF_INIT;
    while (uri_query_next(&rest, &key, &raw, &has_value)) {
        buf_reset(&text);
        if (uri_decode(&text, key, true, err) < 0 || !span_is(buf_span(&text), name))
            continue;
        if (found)
            return err_set(err, ERR_INVALID, "it is there twice"), -1;
        if (uri_decode(value, raw, true, err) < 0)
            return -1;
        found = true;
    }
    return found;
}

int s2_query_text(struct s2_request *s, const char *name, char *room, size_t size, struct span *out)
{
    struct err err = ERR_INIT;
    CLEAN_BUF value = BUF_INIT;
    int rc = find(s->x.req, name, &value, &err);
    if (rc == 1 && value.len >= size)
        rc = (err_set(&err, ERR_INVALID, "it has over %zu bytes", size - 1), -1);
    if (rc < 0) {
        s2_fail(s, S2_BAD_QUERY, "%s: %s", name, err.text);
        return -1;
    }
    if (value.len > 0)
        memcpy(room, value.ptr, value.len);
    room[value.len] = '\0';
    *out = span_of(room, value.len);
    return rc;
}

int s2_query_u64(struct s2_request *s, const char *name, uint64_t *out)
{
    char room[64];
    struct span text;
    int rc = s2_query_text(s, name, room, sizeof(room), &text);
    if (rc != 1 || text_u64(text, out) == 0)
        return rc;
    s2_fail(s, S2_BAD_QUERY, "%s: `%s' is not a number from 0 to 2^64-1", name, room);
    return -1;
}

int s2_query_flag(struct s2_request *s, const char *name, bool *out)
{
    char room[64];
    struct span text;
    int rc = s2_query_text(s, name, room, sizeof(room), &text);
    if (rc != 1)
        return rc;
    if (span_is(text, "true") || span_is(text, "false")) {
        *out = span_is(text, "true");
        return 1;
    }
    s2_fail(s, S2_BAD_QUERY, "%s: `%s' is neither true nor false", name, room);
    return -1;
}
