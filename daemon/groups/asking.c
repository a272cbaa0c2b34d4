#include "daemon/groups/asking.h"

#include "base/text.h"

#define BODY_MAX (1024 * 1024)

/* G of G or G/VERB; the verb's span stays raw. */
int asking_name(struct asking *a, struct span *verb, struct err *err)
{
    struct span path = a->x.operand;
    const uint8_t *slash = path.len > 0 ? memchr(path.ptr, '/', path.len) : NULL;
    *verb = (struct span){0};
    if (slash) {
        *verb = span_of(slash + 1, path.len - (size_t)(slash + 1 - path.ptr));
        path.len = (size_t)(slash - path.ptr);
    }
    int rc = uri_decode(&a->name, path, false, err);
    if (rc == 0 && a->x.operand.len > 0)
        rc = group_name_check(buf_span(&a->name), err);
    return rc;
}

static void ready(struct group_call *call, int result, const struct err *err)
{
    struct asking *a = asking_of(call);
    struct err why = err ? *err : ERR_INIT;
    if (result == 0 && exchange_open(&a->x))
        result = a->act(a, &why);
    if (result < 0)
        exchange_fail(&a->x, result, &why, NULL);
    exchange_drop(&a->x);
}

void asking_start(struct asking *a)
{
    a->call = (struct group_call){.after = ready};
    exchange_hold(&a->x);
    if (!groups_load(a->x.site->groups, &a->call))
        ready(&a->call, 0, NULL);
}

size_t asking_body(struct exchange *x, struct span bytes)
{
    struct asking *a = (struct asking *)x;
    struct err err = ERR_INIT;
    int rc = 0;
    if (a->body.len + bytes.len > BODY_MAX)
        rc = err_set(&err, ERR_TOO_LARGE, "the body is over %d bytes", BODY_MAX);
    if (rc == 0)
        rc = buf_add_span(&a->body, bytes);
    if (rc < 0)
        exchange_fail(x, rc, &err, NULL);
    return bytes.len;
}

void asking_end(struct exchange *x)
{
    asking_start((struct asking *)x);
}

void asking_finish(struct exchange *x)
{
    struct asking *a = (struct asking *)x;
    buf_finish(&a->name);
    buf_finish(&a->body);
    buf_finish(&a->out);
    group_ask_finish(&a->ask);
    store_cursor_close(a->cursor);
    if (a->host)
        group_host_drop(a->host);
    if (a->at)
        group_host_drop(a->at);
}

int asking_check(const struct exchange *x, const struct group_config *config, struct span name, bool write, struct err *err)
{
    CLEAN_BUF dead = BUF_INIT;
    if (!exchange_is_narrow(x) && !write)
        return 0;
    if (exchange_is_narrow(x) && !auth_set_has_patterns(&grant_scope(x->grant)->sets[AUTH_STREAMS], &config->topics))
        return err_set(err, ERR_FORBIDDEN, "your access token does not allow to read all topics of the group");
    if (!write || config->rules.max == 0)
        return 0;
    int rc = buf_addf(&dead, "%.*s.dead", SPAN_ARG(name));
    if (rc < 0)
        return rc;
    rc = exchange_check(x, AUTH_APPEND, buf_span(&dead), err);
    if (rc < 0)
        err_prefix(err, "a group that puts frames aside, since its max is not 0");
    return rc;
}

/* The group that is named, ready to be changed. */
int asking_find(struct asking *a, struct group_host **out, struct err *err)
{
    struct group_host *host = groups_find(a->x.site->groups, buf_span(&a->name));
    if (!host)
        return err_set(err, ERR_NOT_FOUND, "no such group");
    if (host->dropped || host->making)
        return err_set(err, ERR_UNAVAILABLE, "the group is just being %s; try again",
                       host->making ? "made" : "removed");
    *out = host;
    return asking_check(&a->x, &host->config, buf_span(&a->name), false, err);
}
