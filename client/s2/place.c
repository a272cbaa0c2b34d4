#include "client/s2/place.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "base/clean.h"
#include "base/text.h"

#define MARK "{basin}"

void s2c_place_finish(struct s2c_place *place)
{
    weir_addr_finish(&place->addr);
    free(place->path);
    *place = (struct s2c_place){0};
}

static int no_memory(struct err *err)
{
    return err_set(err, -ENOMEM, "no memory for an endpoint");
}

static int set_port(struct s2c_place *out, struct span text, struct err *err)
{
    uint64_t port;
    if (text_u64(text, &port) != 0 || port == 0 || port > 65535)
        return err_set(err, ERR_INVALID, "\"%s\": a port is a number from 1 to 65535",
                       out->addr.shown);
    snprintf(out->addr.port, sizeof(out->addr.port), "%u", (unsigned)port);
    return 0;
}

static bool host_is_sane(const char *host)
{
    for (const char *p = host; *p; p++) {
        if ((unsigned char)*p <= ' ' || (unsigned char)*p >= 0x7f || strchr("/@?#\\\"<>", *p))
            return false;
    }
    return host[0] != '\0';
}

/* HOST[:PORT], [V6][:PORT] */
static int parse_authority(struct s2c_place *out, struct span text, struct err *err)
{
    bool bracketed = text.len > 0 && text.ptr[0] == '[';
    const uint8_t *end = text.ptr + text.len;
    const uint8_t *stop = text.len > 0 ? memchr(text.ptr, bracketed ? ']' : ':', text.len) : NULL;
    if (bracketed && !stop)
        return err_set(err, ERR_INVALID, "\"%s\": a ] is missing", out->addr.shown);
    const uint8_t *host = text.ptr + bracketed;
    const uint8_t *colon = bracketed ? stop + 1 : stop;
    out->addr.host = strndup((const char *)host, (size_t)((stop ? stop : end) - host));
    if (!out->addr.host)
        return no_memory(err);
    if (!host_is_sane(out->addr.host))
        return err_set(err, ERR_INVALID, "\"%s\" names no host", out->addr.shown);
    snprintf(out->addr.port, sizeof(out->addr.port), "%s", out->tls ? "443" : "80");
    if (!colon || colon == end)
        return 0;
    if (*colon != ':')
        return err_set(err, ERR_INVALID, "\"%s\" is no URL", out->addr.shown);
    return set_port(out, span_of(colon + 1, (size_t)(end - colon - 1)), err);
}

static int parse_url(struct s2c_place *out, const char *text, struct err *err)
{
    const char *rest = text + (out->tls ? strlen("https://") : strlen("http://"));
    size_t len = strcspn(rest, "/");
    const char *path = rest + len;
    out->addr.kind = WEIR_TCP;
    out->addr.shown = strdup(text);
    if (!out->addr.shown)
        return no_memory(err);
    if (strpbrk(path, "?#"))
        return err_set(err, ERR_INVALID, "\"%s\": an endpoint has no query", text);
    int rc = parse_authority(out, span_of(rest, len), err);
    if (rc != 0)
        return rc;
    size_t path_len = strlen(path);
    while (path_len > 0 && path[path_len - 1] == '/')
        path_len--;
    out->path = path_len > 0 ? strndup(path, path_len) : strdup("/v1");
    out->templated = out->addr.host && strstr(out->addr.host, MARK);
    return out->path ? 0 : no_memory(err);
}

int s2c_place_parse(struct s2c_place *out, const char *text, struct err *err)
{
    struct s2c_place place = {0};
    int rc;
    place.tls = strncasecmp(text, "https://", 8) == 0;
    if (place.tls || strncasecmp(text, "http://", 7) == 0) {
        rc = parse_url(&place, text, err);
    } else {
        rc = weir_addr_parse(&place.addr, strncmp(text, "unix:", 5) == 0 ? text + 5 : text, err);
        place.path = strdup("/v1");
        if (rc == 0 && !place.path)
            rc = no_memory(err);
    }
    if (rc != 0) {
        s2c_place_finish(&place);
        return rc;
    }
    *out = place;
    return 0;
}

static char *filled(const char *host, const char *basin)
{
    const char *mark = strstr(host, MARK);
    char *out = NULL;
    if (!mark)
        return strdup(host);
    if (asprintf(&out, "%.*s%s%s", (int)(mark - host), host, basin, mark + strlen(MARK)) < 0)
        return NULL;
    return out;
}

int s2c_place_for(struct s2c_place *out, const struct s2c_place *place, const char *basin,
                  struct err *err)
{
    struct s2c_place own = {.tls = place->tls};
    if (place->templated && (!basin || !host_is_sane(basin)))
        return err_set(err, ERR_INVALID, "the endpoint %s needs the name of a basin",
                       place->addr.shown);
    own.addr.kind = place->addr.kind;
    memcpy(own.addr.port, place->addr.port, sizeof(own.addr.port));
    own.addr.shown = strdup(place->addr.shown);
    own.path = strdup(place->path);
    own.addr.host = place->addr.host ? filled(place->addr.host, basin) : NULL;
    own.addr.path = place->addr.path ? strdup(place->addr.path) : NULL;
    if (!own.addr.shown || !own.path || (place->addr.host && !own.addr.host) ||
        (place->addr.path && !own.addr.path)) {
        s2c_place_finish(&own);
        return no_memory(err);
    }
    *out = own;
    return 0;
}

static bool same(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

bool s2c_place_same(const struct s2c_place *a, const struct s2c_place *b)
{
    return a->addr.kind == b->addr.kind && a->tls == b->tls && same(a->addr.host, b->addr.host) &&
           same(a->addr.path, b->addr.path) && strcmp(a->addr.port, b->addr.port) == 0 &&
           same(a->path, b->path);
}
