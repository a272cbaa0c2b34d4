/*
 * A request's way in: what it is, which basin and stream it names, whether it may, and its store opened.
 */
#include <errno.h>
#include <strings.h>

#include "base/text.h"
#include "daemon/s2/basins.h"
#include "daemon/s2/s2.h"

/* --- media types ------------------------------------------------------------------------------------- */

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t';
}

/* The first media type of the list, without parameters. */
static struct span first_type(struct span text)
{
    size_t end = 0;
    while (end < text.len && text.ptr[end] != ',' && text.ptr[end] != ';')
        end++;
    while (end > 0 && is_blank(text.ptr[end - 1]))
        end--;
    size_t start = 0;
    while (start < end && is_blank(text.ptr[start]))
        start++;
    return span_of(text.ptr + start, end - start);
}

static bool is_json(struct span text)
{
    static const char head[] = "application/", tail[] = "+json";
    const size_t h = sizeof(head) - 1, t = sizeof(tail) - 1;
    if (text_is_word(text, "application/json"))
        return true;
    return text.len > h + t && strncasecmp((const char *)text.ptr, head, h) == 0 &&
           strncasecmp((const char *)text.ptr + text.len - t, tail, t) == 0;
}

enum s2_type s2_type_of(struct span header)
{
    if (!header.ptr)
        return S2_TYPE_NONE;
    const struct span type = first_type(header);
    if (type.len == 0 || text_is_word(type, "*/*"))
        return S2_TYPE_NONE;
    if (is_json(type))
        return S2_TYPE_JSON;
    if (text_is_word(type, "application/protobuf") || text_is_word(type, "application/x-protobuf"))
        return S2_TYPE_PROTO;
    if (text_is_word(type, "s2s/proto"))
        return S2_TYPE_SESSION;
    return text_is_word(type, "text/event-stream") ? S2_TYPE_EVENTS : S2_TYPE_OTHER;
}

/* --- names ------------------------------------------------------------------------------------------- */

/* The segment of the operand at `*at`, which then stands behind it. */
static struct span segment(struct span operand, size_t *at)
{
    const size_t start = *at;
    while (*at < operand.len && operand.ptr[*at] != '/')
        (*at)++;
    struct span found = span_of(operand.ptr + start, *at - start);
    *at += *at < operand.len;
    return found;
}

static void keep_basin(struct s2_request *s, struct span name)
{
    memcpy(s->basin_text, name.ptr, name.len);
    s->basin_name = span_of(s->basin_text, name.len);
}

static int basin_of_path(struct s2_request *s, size_t *at, struct err *err)
{
    CLEAN_BUF name = BUF_INIT;
    int rc = uri_decode(&name, segment(s->x.operand, at), false, err);
    if (rc == 0)
        rc = s2_basin_name(buf_span(&name), err);
    if (rc == 0)
        keep_basin(s, buf_span(&name));
    return rc;
}

static int stream_of_path(struct s2_request *s, size_t *at, struct err *err)
{
    CLEAN_BUF name = BUF_INIT;
    int rc = uri_decode(&name, segment(s->x.operand, at), false, err);
    if (rc == 0)
        rc = s2_stream_name(buf_span(&name), err);
    return rc == 0 ? s2_full_name(s, buf_span(&name), &s->stream, err) : rc;
}

int s2_full_name(const struct s2_request *s, struct span name, struct buf *out, struct err *err)
{
    const struct span prefix = grant_prefix(s->x.grant);
    int rc = buf_add_span(out, prefix);
    if (rc == 0)
        rc = buf_add_span(out, name);
    if (rc < 0)
        return err_set(err, rc, "no memory for the stream's name");
    return prefix.len > 0 ? s2_stream_name(buf_span(out), err) : 0;
}

/* Over a store's own socket the header may be missing: it is that store. */
static int basin_of_header(struct s2_request *s, struct err *err)
{
    const struct span header = http_header(s->x.req, "s2-basin");
    struct basin *own = NULL;
    if (!header.ptr && http_via(s->x.req) == HTTP_VIA_UNIX)
        own = basins_of(s->x.daemon->basins, s->x.site);
    if (!header.ptr && !own && http_via(s->x.req) == HTTP_VIA_UNIX && s->need & S2_OWN_STORE)
        return 0;
    if (!header.ptr && !own)
        return err_set(err, ERR_INVALID, "the header s2-basin is missing");
    const struct span name = own ? basin_name(own) : header;
    int rc = s2_basin_name(name, err);
    if (rc == 0)
        keep_basin(s, name);
    return rc;
}

static bool take_names(struct s2_request *s)
{
    struct err err = ERR_INIT;
    size_t at = 0;
    int rc = s->need & S2_NEED_PATH_BASIN ? basin_of_path(s, &at, &err) : 0;
    if (rc == 0 && s->need & (S2_NEED_STREAM | S2_NEED_PATH_STREAM))
        rc = stream_of_path(s, &at, &err);
    if (rc < 0) {
        s2_fail(s, rc == -ENOMEM ? S2_UNAVAILABLE : S2_BAD_PATH, "%s", err.text);
        return false;
    }
    if (s->need & S2_NEED_BASIN && basin_of_header(s, &err) < 0) {
        s2_fail(s, S2_BAD_HEADER, "s2-basin: %s", err.text);
        return false;
    }
    return true;
}

/* --- while it waits ---------------------------------------------------------------------------------- */

static struct s2_request *request_of(struct exchange *x)
{
    return (struct s2_request *)x;
}

static size_t waiting_body(struct exchange *x, struct span bytes)
{
    (void)bytes;
    request_of(x)->paused = true;
    return 0;
}

static void waiting_end(struct exchange *x)
{
    request_of(x)->ended_early = true;
}

static void waiting_gone(struct exchange *x)
{
    const struct route *own = request_of(x)->own;
    if (own->gone)
        own->gone(x);
}

static void waiting_finish(struct exchange *x)
{
    const struct route *own = request_of(x)->own;
    if (own->finish)
        own->finish(x);
}

/* Stands for a request's route while it waits: the body stays where it is. */
static const struct route waiting = {
    .body = waiting_body, .end = waiting_end, .gone = waiting_gone, .finish = waiting_finish};

static void hold(struct s2_request *s)
{
    s->own = s->x.route;
    s->x.route = &waiting;
    exchange_hold(&s->x);
}

/* What came meanwhile is given to the route. The last of the request's way in: it may be freed here. */
static void let_go(struct s2_request *s)
{
    if (s->x.req && s->paused)
        http_resume_body(s->x.req);
    if (s->x.req && s->ended_early && s->x.route->end && !s->x.answered)
        s->x.route->end(&s->x);
    exchange_drop(&s->x);
}

/* --- the store --------------------------------------------------------------------------------------- */

static void there(struct s2_request *s, struct site *site)
{
    s2_join(s, site);
    basin_release(&s->use); /* the exchange counts there now */
    if (s->x.req)
        s->entered(s);
}

static void not_there(struct s2_request *s, const struct err *err)
{
    if (basin_deleting(s->basin))
        s2_fail(s, S2_BASIN_DELETION_PENDING, "basin %s is being deleted", s->basin_text);
    else if (err->code == ERR_NOT_FOUND)
        s2_fail(s, S2_BASIN_NOT_FOUND, "there is no basin %s", s->basin_text);
    else
        s2_fail(s, S2_UNAVAILABLE, "basin %s: %s", s->basin_text, err->text);
}

static void opened(struct basin_use *use, struct site *site, const struct err *err)
{
    struct s2_request *s = (struct s2_request *)((char *)use - offsetof(struct s2_request, use));
    s->x.route = s->own;
    s->own = NULL;
    if (site)
        there(s, site);
    else
        not_there(s, err);
    let_go(s);
}

int s2_enter(struct s2_request *s, unsigned need, enum auth_op op,
             void (*entered)(struct s2_request *s))
{
    s->need = need;
    s->entered = entered;
    s->content = s2_type_of(http_header(s->x.req, "content-type"));
    s->accept = s2_type_of(http_header(s->x.req, "accept"));
    if (!take_names(s))
        return 0;
    if (!grant_allows(s->x.grant, op, s->basin_name, buf_span(&s->stream)))
        return s2_fail(s, S2_PERMISSION_DENIED, "the token does not allow this");
    if (need & S2_NEED_NAMES_ONLY || s->basin_name.len == 0) {
        entered(s);
        return 0;
    }
    s->basin = basins_find(s->x.daemon->basins, s->basin_name);
    if (!s->basin)
        return s2_fail(s, S2_BASIN_NOT_FOUND, "there is no basin %s", s->basin_text);
    basin_hold(s->basin);
    if (basin_deleting(s->basin))
        return s2_fail(s, S2_BASIN_DELETION_PENDING, "basin %s is being deleted", s->basin_text);
    hold(s);
    s->use = (struct basin_use){.opened = opened};
    basin_use(s->basin, &s->use);
    return 0;
}

void s2_finish(struct s2_request *s)
{
    s2_part(s);
    if (s->basin)
        basin_drop(s->basin);
    buf_finish(&s->stream);
    buf_finish(&s->body);
    buf_finish(&s->unpacked);
}
