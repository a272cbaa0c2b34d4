/*
 * The route table, and the way of a request into its route and out again.
 */
#include <errno.h>
#include <stdlib.h>

#include "daemon/exchange.h"
#include "daemon/s2/basins.h"

#define METHODS (HTTP_OPTIONS + 1)

/* A path ending in '/' (but the root) has one operand behind it, which may hold more of them for
 * `deep`. */
static const struct entry {
    const char *path;
    const struct route *methods[METHODS];
    const char *allow;
    bool deep;
} table[] = {
    {.path = "/", .methods = {[HTTP_GET] = &route_read}, .allow = "GET, HEAD"},
    {.path = "/append", .methods = {[HTTP_POST] = &route_batch}, .allow = "POST"},
    {.path = "/append/", .methods = {[HTTP_POST] = &route_append}, .allow = "POST"},
    {.path = "/last", .methods = {[HTTP_GET] = &route_last}, .allow = "GET, HEAD"},
    {.path = "/last/", .methods = {[HTTP_GET] = &route_last}, .allow = "GET, HEAD"},
    {.path = "/head/", .methods = {[HTTP_GET] = &route_last}, .allow = "GET, HEAD"},
    {.path = "/cas", .methods = {[HTTP_POST] = &route_cas_post}, .allow = "POST"},
    {.path = "/cas/", .methods = {[HTTP_GET] = &route_cas_get}, .allow = "GET, HEAD", .deep = true},
    {.path = "/import", .methods = {[HTTP_POST] = &route_import}, .allow = "POST"},
    {.path = "/eval", .methods = {[HTTP_POST] = &route_eval}, .allow = "POST"},
    {.path = "/pipe/", .methods = {[HTTP_POST] = &route_pipe}, .allow = "POST"},
    {.path = "/export", .methods = {[HTTP_GET] = &route_export}, .allow = "GET, HEAD"},
    {.path = "/groups", .methods = {[HTTP_GET] = &route_groups}, .allow = "GET, HEAD"},
    {.path = "/groups/",
     .methods = {[HTTP_GET] = &route_groups,
                 [HTTP_PUT] = &route_groups_put,
                 [HTTP_DELETE] = &route_groups_remove,
                 [HTTP_POST] = &route_groups_post},
     .allow = "GET, HEAD, PUT, DELETE, POST",
     .deep = true},
    {.path = "/cursors", .methods = {[HTTP_GET] = &route_cursors}, .allow = "GET, HEAD"},
    {.path = "/cursors/",
     .methods = {[HTTP_GET] = &route_cursors, [HTTP_PUT] = &route_cursors_put, [HTTP_DELETE] = &route_cursors_remove},
     .allow = "GET, HEAD, PUT, DELETE"},
    {.path = "/version", .methods = {[HTTP_GET] = &route_version}, .allow = "GET, HEAD"},
    {.path = "/tokens",
     .methods = {[HTTP_GET] = &route_tokens, [HTTP_POST] = &route_tokens_post},
     .allow = "GET, HEAD, POST"},
    {.path = "/tokens/", .methods = {[HTTP_DELETE] = &route_tokens_remove}, .allow = "DELETE"},
    {.path = "/status", .methods = {[HTTP_GET] = &route_status}, .allow = "GET, HEAD"},
    {.path = "/metrics", .methods = {[HTTP_GET] = &route_metrics}, .allow = "GET, HEAD"},
};

/* A lone segment that is none of the above: an id, or the seed's append. */
static const struct entry segment = {
    .path = "/",
    .methods = {
        [HTTP_GET] = &route_get, [HTTP_DELETE] = &route_remove, [HTTP_POST] = &route_seed_append}};

/* Names that the seed's append cannot have for topics, since they are or may become routes. */
static const char *const reserved[] = {
    "append",  "cas",     "import",  "last",   "head",   "eval",         "exec", "pipe",
    "version", "status",  "metrics", "export", "health", "ping",         "v1",   "dashboard",
    "stream",  "streams", "basins",  "groups", "cursors", "tokens", "access-tokens"};

static bool is_reserved(struct span name)
{
    for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++)
        if (span_is(name, reserved[i]))
            return true;
    return false;
}

static bool entry_takes(const struct entry *e, struct span path, struct span *operand)
{
    size_t len = strlen(e->path);
    if (len == 1 || e->path[len - 1] != '/') {
        *operand = (struct span){0};
        return span_is(path, e->path);
    }
    if (path.len < len || memcmp(path.ptr, e->path, len) != 0)
        return false;
    *operand = span_of(path.ptr + len, path.len - len);
    return operand->len > 0 && (e->deep || !memchr(operand->ptr, '/', operand->len));
}

static const struct entry *find_entry(struct span path, struct span *operand)
{
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        if (entry_takes(&table[i], path, operand))
            return &table[i];
    if (path.len < 2 || path.ptr[0] != '/' || memchr(path.ptr + 1, '/', path.len - 1))
        return NULL;
    *operand = span_of(path.ptr + 1, path.len - 1);
    return &segment;
}

static const struct route *find_route(struct http_req *req, struct span *operand)
{
    enum http_method method = http_method(req) == HTTP_HEAD ? HTTP_GET : http_method(req);
    const struct entry *e = find_entry(http_path(req), operand);
    bool known = e && method < METHODS && e->methods[method];
    if (!e || (e == &segment && (!known || is_reserved(*operand)))) {
        reply_not_found(req);
        return NULL;
    }
    if (!known) {
        reply_not_allowed(req, e->allow);
        return NULL;
    }
    return e->methods[method];
}

static bool turned_away(struct daemon *daemon, struct http_req *req)
{
    const char *why = NULL;
    struct err err = ERR_INIT;
    if (guard_check(req, &daemon->guard, &why) != 0) {
        err_set(&err, ERR_FORBIDDEN, "%s", why);
        reply_err(req, ERR_FORBIDDEN, &err, NULL);
        return true;
    }
    return guard_preflight(req, &daemon->guard);
}

/* --- tokens ------------------------------------------------------------------------------------------- */

/* The S2 API has its own form of errors. */
static void refuse(struct http_req *req, int code, const struct err *err)
{
    CLEAN_BUF body = BUF_INIT;
    if (code == ERR_AUTH)
        http_add_field(req, "WWW-Authenticate", "Bearer"); /* without memory the status alone has to do */
    if (!s2_path(http_path(req))) {
        reply_err(req, code, err, NULL);
        return;
    }
    s2_error_put(&body, code == ERR_AUTH ? S2_AUTHN : S2_PERMISSION_DENIED, err->text);
    http_reply(req, reply_status(code), "application/json", buf_span(&body), NULL);
}

/* Whether the token has the route's operation in the basin that this store is; what topics it has, the route asks. */
static int check_op(const struct site *site, const struct route *route, const struct grant *grant, struct err *err)
{
    const struct basin *basin = grant ? basins_of(site->daemon->basins, site) : NULL;
    struct span name = basin ? basin_name(basin) : (struct span){0};
    if (!grant || route->op == AUTH_NONE || route->op == AUTH_EXEC || grant_allows(grant, route->op, name, (struct span){0}))
        return 0;
    return err_set(err, ERR_FORBIDDEN, "your access token does not allow to %s here", auth_op_name(route->op));
}

static bool let_in(const struct site *site, struct http_req *req, const struct route *route, struct grant **grant)
{
    struct err err = ERR_INIT;
    int rc = route->open ? 0 : auth_enter(site->daemon->auth, req, grant, &err);
    if (rc == 0)
        rc = check_op(site, route, *grant, &err);
    if (rc == 0)
        return true;
    grant_drop(*grant);
    refuse(req, rc, &err);
    return false;
}

/* A change that was asked for in time is answered; what goes on, or only looks, ends. */
static void token_over(struct auth_watch *watch)
{
    struct exchange *x = (struct exchange *)((char *)watch - offsetof(struct exchange, watch));
    bool looks = x->req && (http_method(x->req) == HTTP_GET || http_method(x->req) == HTTP_HEAD);
    if (x->req && (x->answered || looks))
        http_abort(x->req);
}

/* --- the way of a request ------------------------------------------------------------------------------ */

static void begin(void *arg, struct http_req *req)
{
    struct entrance *entrance = arg;
    struct site *site = entrance->site;
    struct daemon *daemon = site->daemon;
    struct err err = ERR_INIT;
    struct span operand;
    site->requests++;
    if (turned_away(daemon, req))
        return;
    const struct route *route =
        s2_path(http_path(req)) ? s2_route(req, &operand) : find_route(req, &operand);
    struct grant *grant = NULL;
    if (!route || !let_in(site, req, route, &grant))
        return;
    struct exchange *x = calloc(1, route->size);
    if (!x) {
        grant_drop(grant);
        reply_err(req, -ENOMEM, NULL, NULL);
        return;
    }
    x->daemon = daemon;
    x->site = site;
    site->exchanges++;
    x->entrance = entrance;
    x->route = route;
    x->req = req;
    x->operand = operand;
    x->grant = grant;
    x->watch = (struct auth_watch){.grant = grant, .ended = token_over};
    x->holds = 1;
    auth_watch(daemon->auth, &x->watch);
    http_set_state(req, x);
    int rc = route->begin(x, &err);
    if (rc < 0)
        exchange_fail(x, rc, &err, NULL);
}

static size_t body(void *arg, struct http_req *req, struct span bytes)
{
    struct exchange *x = http_state(req);
    struct err err = ERR_INIT;
    (void)arg;
    if (x && !x->answered && x->grant && !grant_allows(x->grant, AUTH_NONE, (struct span){0}, (struct span){0})) {
        err_set(&err, ERR_AUTH, "the access token does not hold any more");
        x->answered = true;
        refuse(req, ERR_AUTH, &err);
    }
    return x && x->route->body && (!x->answered || x->duplex) ? x->route->body(x, bytes) : bytes.len;
}

static void end(void *arg, struct http_req *req)
{
    struct exchange *x = http_state(req);
    (void)arg;
    if (x && x->route->end && (!x->answered || x->duplex))
        x->route->end(x);
}

static void gone(void *arg, struct http_req *req, bool complete)
{
    struct exchange *x = http_state(req);
    (void)arg, (void)complete;
    if (!x)
        return;
    auth_unwatch(x->daemon->auth, &x->watch);
    x->req = NULL;
    x->entrance = NULL;
    if (x->route->gone)
        x->route->gone(x);
    exchange_drop(x);
}

const struct http_handler api_handler = {begin, body, end, gone};
