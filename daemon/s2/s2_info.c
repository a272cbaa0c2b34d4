#include "daemon/s2/s2_info.h"

#include <stdio.h>

#include "base/json.h"
#include "base/text.h"

/* --- requests ---------------------------------------------------------------------------------------- */

bool s2_json_body(struct s2_request *s, bool needed, struct span *out)
{
    if (!s2_body(s, S2_BAD_JSON, out))
        return false;
    const bool absent = out->len == 0 && !needed;
    if (s->content == S2_TYPE_JSON || (absent && s->content == S2_TYPE_NONE))
        return true;
    s2_fail(s, S2_BAD_JSON, "the content-type of this body is to be application/json");
    return false;
}

bool s2_request_token(struct s2_request *s, char out[static S2_TOKEN_MAX + 1], size_t *len)
{
    const struct span token = http_header(s->x.req, "s2-request-token");
    if (token.len > S2_TOKEN_MAX) {
        s2_fail(s, S2_BAD_HEADER, "s2-request-token has over %d bytes", S2_TOKEN_MAX);
        return false;
    }
    *len = token.len;
    if (token.len > 0)
        memcpy(out, token.ptr, token.len);
    out[token.len] = '\0';
    return true;
}

static int page_text(struct s2_request *s, const char *name, char room[static S2_STREAM_MAX + 1],
                     struct span *out, int (*check)(struct span text, struct err *err))
{
    struct err err = ERR_INIT;
    int rc = s2_query_text(s, name, room, S2_STREAM_MAX + 1, out);
    if (rc < 0 || check(*out, &err) == 0)
        return rc;
    s2_fail(s, S2_BAD_QUERY, "%s: %s", name, err.text);
    return -1;
}

bool s2_page_read(struct s2_request *s, struct s2_page *page,
                  int (*check)(struct span text, struct err *err))
{
    page->limit = 0;
    if (page_text(s, "prefix", page->prefix_room, &page->prefix, check) < 0 ||
        page_text(s, "start_after", page->after_room, &page->after, check) < 0 ||
        s2_query_u64(s, "limit", &page->limit) < 0)
        return false;
    if (page->limit == 0 || page->limit > S2_PAGE_MAX)
        page->limit = S2_PAGE_MAX;
    return true;
}

/* --- answers ----------------------------------------------------------------------------------------- */

void s2_reply_json(struct s2_request *s, struct span json)
{
    s2_reply(s, 200, "application/json", json, NULL);
}

void s2_reply_provision(struct s2_request *s, enum provision provision, bool create,
                        struct span json)
{
    const struct http_field fields[] = {{"s2-provision-result", provision_name(provision)},
                                        {NULL, NULL}};
    const bool made = create || provision == PROVISION_CREATED;
    s2_reply(s, made ? 201 : 200, "application/json", json, fields);
}

int s2_put_time(struct buf *out, uint64_t ms)
{
    char text[TIME_TEXT_MAX];
    if (ms == 0)
        return buf_add_str(out, "null");
    time_format(text, ms);
    const size_t len = strlen(text);
    const bool zulu = len > 6 && strcmp(text + len - 6, "+00:00") == 0;
    return buf_addf(out, "\"%.*s%s\"", (int)(zulu ? len - 6 : len), text, zulu ? "Z" : "");
}

int s2_put_basin(struct buf *out, const struct basin_info *info)
{
    int rc = buf_addf(out, "{\"name\":\"%.*s\",\"location\":\"" S2_LOCATION "\",\"created_at\":",
                      SPAN_ARG(info->name));
    if (rc == 0)
        rc = s2_put_time(out, info->created_ms ? info->created_ms : 1);
    if (rc == 0)
        rc = buf_add_str(out, ",\"deleted_at\":");
    if (rc == 0)
        rc = s2_put_time(out, info->deleted_ms);
    if (rc == 0)
        rc = buf_addf(out, ",\"state\":\"%s\"}", info->deleted_ms ? "deleting" : "active");
    return rc;
}
