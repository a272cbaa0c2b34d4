/*
 * The address forms of the client: paths, ports, hosts, http URLs.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <weir/client.h>

#include "base/buf.h"
#include "base/clean.h"
#include "base/text.h"

void weir_addr_finish(struct weir_addr *addr)
{
    free(addr->path);
    free(addr->host);
    free(addr->basic_auth);
    free(addr->token);
    free(addr->shown);
    *addr = (struct weir_addr){0};
}

static int no_memory(struct err *err)
{
    return err_set(err, -ENOMEM, "no memory for an address");
}

/* ~ and ~/PATH; a shell has expanded it already unless it was quoted or came from the environment.
 */
static int expand_home(char **out, const char *text, struct err *err)
{
    const char *home = getenv("HOME");
    int len;

    if (text[1] != '\0' && text[1] != '/')
        return err_set(err, ERR_INVALID, "\"%s\": only ~/ is understood; write the whole path",
                       text);
    if (!home || home[0] != '/')
        return err_set(err, ERR_INVALID, "\"%s\": HOME is not set; write the whole path", text);
    len = asprintf(out, "%s%s", home, text + 1);
    return len < 0 ? no_memory(err) : 0;
}

static int add_sock(char **path, struct err *err)
{
    CLEAN_FREE char *dir = *path;
    size_t len = strlen(dir);

    while (len > 1 && dir[len - 1] == '/')
        len--;
    *path = NULL;
    if (asprintf(path, "%.*s%ssock", (int)len, dir, len == 1 && dir[0] == '/' ? "" : "/") < 0) {
        *path = NULL;
        return no_memory(err);
    }
    return 0;
}

static int parse_path(struct weir_addr *addr, const char *text, struct err *err)
{
    struct stat st;
    int rc = 0;

    addr->kind = WEIR_UNIX;
    if (text[0] == '~') {
        rc = expand_home(&addr->path, text, err);
    } else {
        addr->path = strdup(text);
        if (!addr->path)
            rc = no_memory(err);
    }
    if (rc < 0)
        return rc;
    if (stat(addr->path, &st) == 0 && S_ISDIR(st.st_mode))
        return add_sock(&addr->path, err);
    return 0;
}

static int parse_port(struct weir_addr *addr, struct span text, struct err *err)
{
    uint64_t port;

    if (text_u64(text, &port) < 0 || port == 0 || port > 65535)
        return err_set(err, ERR_INVALID, "\"%s\": a port is a number from 1 to 65535", addr->shown);
    snprintf(addr->port, sizeof(addr->port), "%u", (unsigned)port);
    return 0;
}

/* Letters that a name or a bracketed numeric address may hold; above all no blanks and line ends.
 */
static bool host_is_sane(struct span host, bool bracketed)
{
    const char *more = bracketed ? ":.%-_" : ".-_";

    for (size_t i = 0; i < host.len; i++) {
        if (host.ptr[i] >= 0x80 || host.ptr[i] == 0)
            return false;
        if (!isalnum(host.ptr[i]) && !strchr(more, host.ptr[i]))
            return false;
    }
    return host.len > 0;
}

/* Cuts HOST[:PORT] or [V6][:PORT]; `port` is empty with has_port false when there is none. */
static bool split_host(struct span text, struct span *host, struct span *port, bool *has_port)
{
    const uint8_t *end = text.ptr + text.len;
    bool bracketed = text.len > 0 && text.ptr[0] == '[';
    const uint8_t *stop = text.len > 0 ? memchr(text.ptr, bracketed ? ']' : ':', text.len) : NULL;

    if (bracketed && !stop)
        return false;
    *host = span_of(text.ptr + bracketed, (size_t)((stop ? stop : end) - text.ptr) - bracketed);
    if (bracketed)
        stop++;
    *has_port = stop && stop < end;
    *port = *has_port ? span_of(stop + 1, (size_t)(end - stop - 1)) : span_of(NULL, 0);
    if (*has_port && *stop != ':')
        return false;
    return host_is_sane(*host, bracketed);
}

static int parse_host(struct weir_addr *addr, struct span text, struct err *err)
{
    struct span host, port;
    bool has_port;

    addr->kind = WEIR_TCP;
    if (!split_host(text, &host, &port, &has_port))
        return err_set(
            err, ERR_INVALID,
            "\"%s\" is no address; known are ./PATH, /PATH, ~/PATH, :PORT, HOST, HOST:PORT, "
            "[V6]:PORT, http://HOST:PORT",
            addr->shown);
    addr->host = strndup((const char *)host.ptr, host.len);
    if (!addr->host)
        return no_memory(err);
    return parse_port(addr, has_port ? port : span_str("80"), err);
}

/* USER[:PASS] of a URL, percent-decoded; a missing password is an empty one. */
static int parse_user(struct weir_addr *addr, struct span text, struct err *err)
{
    CLEAN_BUF user = BUF_INIT;
    int rc = uri_decode(&user, text, false, err);

    if (rc == 0 && !memchr(text.len > 0 ? text.ptr : (const uint8_t *)"", ':', text.len))
        rc = buf_add_str(&user, ":");
    if (rc == 0 && !buf_cstr(&user))
        rc = -ENOMEM;
    if (rc == -ENOMEM)
        return no_memory(err);
    if (rc < 0)
        return rc;
    addr->basic_auth = strdup((const char *)user.ptr);
    return addr->basic_auth ? 0 : no_memory(err);
}

/* A password has no place in messages and logs. */
static int hide_password(struct weir_addr *addr, struct span user, struct span after,
                         struct err *err)
{
    const uint8_t *colon = memchr(user.ptr, ':', user.len);
    char *shown = NULL;

    if (!colon)
        return 0;
    if (asprintf(&shown, "http://%.*s:***@%.*s", (int)(colon - user.ptr), (const char *)user.ptr,
                 SPAN_ARG(after)) < 0)
        return no_memory(err);
    free(addr->shown);
    addr->shown = shown;
    return 0;
}

/* What follows http:// */
static int parse_url(struct weir_addr *addr, const char *text, struct err *err)
{
    struct span rest = span_str(text);
    const uint8_t *at = rest.len > 0 ? memrchr(rest.ptr, '@', rest.len) : NULL;
    int rc;

    if (at) {
        struct span user = span_of(rest.ptr, (size_t)(at - rest.ptr));
        rest = span_of(at + 1, rest.len - user.len - 1);
        rc = user.len > 0 ? hide_password(addr, user, rest, err) : 0;
        if (rc == 0)
            rc = parse_user(addr, user, err);
        if (rc < 0)
            return rc;
    }
    if (rest.len > 0 && rest.ptr[rest.len - 1] == '/')
        rest.len--;
    if (rest.len > 0 && memchr(rest.ptr, '/', rest.len))
        return err_set(err, ERR_INVALID,
                       "\"%s\": the address of a store has no path after the host", addr->shown);
    return parse_host(addr, rest, err);
}

static int parse_port_only(struct weir_addr *addr, const char *text, struct err *err)
{
    addr->kind = WEIR_TCP;
    addr->host = strdup("127.0.0.1");
    return addr->host ? parse_port(addr, span_str(text), err) : no_memory(err);
}

static int parse_form(struct weir_addr *addr, const char *text, struct err *err)
{
    if (text[0] == '/' || text[0] == '.' || text[0] == '~')
        return parse_path(addr, text, err);
    if (text[0] == ':')
        return parse_port_only(addr, text + 1, err);
    if (strncasecmp(text, "http://", 7) == 0)
        return parse_url(addr, text + 7, err);
    if (strncasecmp(text, "https://", 8) == 0)
        return err_set(err, ERR_INVALID,
                       "https:// is understood by `weir s2' alone; use the store's own socket, or http:// through a TLS tunnel");
    if (strstr(text, "://"))
        return err_set(err, ERR_INVALID, "\"%s\": only http:// addresses are understood", text);
    if (strchr(text, '/'))
        return err_set(err, ERR_INVALID, "\"%s\": a path as address starts with / or ./", text);
    return parse_host(addr, span_str(text), err);
}

/* A store's own socket needs no token, and a URL's user is who it says. */
static int take_token(struct weir_addr *addr, struct err *err)
{
    const char *token = getenv("WEIR_TOKEN");

    if (addr->kind != WEIR_TCP || addr->basic_auth || !token || !token[0])
        return 0;
    for (const char *p = token; *p; p++) {
        if (*p <= ' ' || *p > '~')
            return err_set(err, ERR_INVALID, "WEIR_TOKEN holds blanks or control bytes; an access token has none");
    }
    addr->token = strdup(token);
    return addr->token ? 0 : no_memory(err);
}

int weir_addr_parse(struct weir_addr *out, const char *text, struct err *err)
{
    struct weir_addr addr = {.shown = strdup(text)};
    int rc;

    if (!addr.shown)
        return no_memory(err);
    rc = text[0] ? parse_form(&addr, text, err) : err_set(err, ERR_INVALID, "the address is empty");
    if (rc == 0)
        rc = take_token(&addr, err);
    if (rc < 0) {
        weir_addr_finish(&addr);
        return rc;
    }
    *out = addr;
    return 0;
}
