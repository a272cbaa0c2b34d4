#include "bridge/url.h"

#include <errno.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/text.h"
#include "bridge/message.h"

static const struct {
    const char *name;
    enum ss_protocol protocol;
} protocols[] = {
    {"stdio", SS_STDIO}, {"file", SS_FILE}, {"redis", SS_REDIS}, {"rediss", SS_REDISS},
    {"kafka", SS_KAFKA}, {"iggy", SS_IGGY}, {"weir", SS_WEIR},   {"s2", SS_S2},
};

static char *copy(struct span text)
{
    char *out = malloc(text.len + 1);
    if (!out)
        return NULL;
    if (text.len > 0)
        memcpy(out, text.ptr, text.len);
    out[text.len] = '\0';
    return out;
}

/* Where the byte stands last; text.len when it does not. */
static size_t find_last(struct span text, char byte)
{
    const uint8_t *at = text.len > 0 ? memrchr(text.ptr, byte, text.len) : NULL;
    return at ? (size_t)(at - text.ptr) : text.len;
}

/* --- the URL ---------------------------------------------------------------------------------- */

static bool is_scheme(struct span s)
{
    bool good = s.len > 0;
    for (size_t i = 0; good && i < s.len; i++) {
        uint8_t c = s.ptr[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        good = letter || (i > 0 && ((c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.'));
    }
    return good;
}

static int take_scheme(struct ss_url *url, struct span text, struct err *err)
{
    if (!is_scheme(text))
        return err_set(err, ERR_INVALID, "protocol required: a stream URL is PROTOCOL://NODES/KEYS, such as stdio:///KEY");
    url->scheme = copy(text);
    if (!url->scheme)
        return err_set(err, -ENOMEM, "out of memory");
    for (char *p = url->scheme; *p; p++)
        if (*p >= 'A' && *p <= 'Z')
            *p = (char)(*p | 0x20);
    url->protocol = SS_OTHER;
    for (size_t i = 0; i < sizeof(protocols) / sizeof(protocols[0]); i++) {
        if (strcmp(protocols[i].name, url->scheme) == 0)
            url->protocol = protocols[i].protocol;
    }
    return 0;
}

/* Cuts at commas and drops empty pieces. */
static int take_list(struct span text, char ***list, size_t *count)
{
    size_t most = 1;
    for (size_t i = 0; i < text.len; i++)
        most += text.ptr[i] == ',';
    *list = calloc(most, sizeof(**list));
    if (!*list)
        return -ENOMEM;
    while (text.len > 0) {
        const uint8_t *comma = memchr(text.ptr, ',', text.len);
        size_t len = comma ? (size_t)(comma - text.ptr) : text.len;
        if (len > 0 && !((*list)[*count] = copy(span_of(text.ptr, len))))
            return -ENOMEM;
        *count += len > 0;
        text = comma ? span_of(comma + 1, text.len - len - 1) : span_of(NULL, 0);
    }
    return 0;
}

static int take_nodes(struct ss_url *url, struct span text)
{
    int rc = take_list(text, &url->nodes, &url->node_count);
    if (rc != 0 || url->node_count > 0)
        return rc;
    url->nodes[0] = copy(span_str("."));
    url->node_count = url->nodes[0] != NULL;
    return url->nodes[0] ? 0 : -ENOMEM;
}

static int check_keys(const struct ss_url *url, struct err *err)
{
    bool any = url->protocol == SS_WEIR || url->protocol == SS_S2;
    for (size_t i = 0; i < url->key_count && !any; i++) {
        int rc = ss_key_check(span_str(url->keys[i]), err);
        if (rc != 0)
            return rc;
    }
    return 0;
}

static int parse(struct ss_url *url, struct span text, struct err *err)
{
    const uint8_t *mark = memmem(text.ptr, text.len, "://", 3);
    struct span rest = mark ? span_of(mark + 3, text.len - (size_t)(mark - text.ptr) - 3) : text;
    size_t slash = find_last(rest, '/');
    if (slash == rest.len)
        return err_set(err, ERR_INVALID, "a stream URL must have an ending slash: PROTOCOL://NODES/ or PROTOCOL://NODES/KEYS");
    int rc = take_scheme(url, mark ? span_of(text.ptr, (size_t)(mark - text.ptr)) : span_of(NULL, 0), err);
    if (rc != 0)
        return rc;
    rc = take_nodes(url, span_of(rest.ptr, slash));
    if (rc == 0)
        rc = take_list(span_of(rest.ptr + slash + 1, rest.len - slash - 1), &url->keys, &url->key_count);
    return rc != 0 ? err_set(err, rc, "out of memory") : check_keys(url, err);
}

int ss_url_parse(struct ss_url *out, const char *text, struct err *err)
{
    struct ss_url url = {.scheme = NULL};
    int rc = parse(&url, span_str(text), err);
    if (rc == 0)
        *out = url;
    else
        ss_url_finish(&url);
    return rc;
}

static void free_list(char **list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(list[i]);
    free(list);
}

void ss_url_finish(struct ss_url *url)
{
    free(url->scheme);
    free_list(url->nodes, url->node_count);
    free_list(url->keys, url->key_count);
    *url = (struct ss_url){.scheme = NULL};
}

/* --- files ------------------------------------------------------------------------------------ */

int ss_url_path(const struct ss_url *url, char **out, struct err *err)
{
    CLEAN_BUF path = BUF_INIT;
    struct span node = span_str(url->nodes[0]);
    while (node.len > 1 && node.ptr[node.len - 1] == '/')
        node.len--;
    if (span_is(node, ".") || span_is(node, "/"))
        return err_set(err, ERR_INVALID, "the URL names no file: file://PATH/KEYS, such as file:///data/log.ss/KEY");
    int rc = uri_decode(&path, node, false, NULL);
    if (rc == ERR_INVALID)
        return err_set(err, rc, "the path has a broken escape: a %% in a path is %%25, and a NUL cannot stand in it");
    char *text = rc == 0 ? copy(buf_span(&path)) : NULL;
    if (!text)
        return err_set(err, -ENOMEM, "out of memory");
    *out = text;
    return 0;
}

/* --- Redis ------------------------------------------------------------------------------------ */

/* A piece of text and what it is, for messages that do not quote it: it may hold a password. */
static int decode(char **out, struct span text, const char *what, struct err *err)
{
    CLEAN_BUF bytes = BUF_INIT;
    int rc = uri_decode(&bytes, text, false, NULL);
    if (rc == ERR_INVALID)
        return err_set(err, rc, "the %s in the URL has a broken escape: a %% is %%25, and a NUL cannot stand in it", what);
    *out = rc == 0 ? copy(buf_span(&bytes)) : NULL;
    return *out ? 0 : err_set(err, -ENOMEM, "out of memory");
}

/* "USER", "USER:PASSWORD" or ":PASSWORD". */
static int take_user(struct ss_redis_node *node, struct span text, struct err *err)
{
    const uint8_t *colon = text.len > 0 ? memchr(text.ptr, ':', text.len) : NULL;
    size_t len = colon ? (size_t)(colon - text.ptr) : text.len;
    int rc = len > 0 ? decode(&node->user, span_of(text.ptr, len), "user", err) : 0;
    if (rc == 0 && colon)
        rc = decode(&node->password, span_of(colon + 1, text.len - len - 1), "password", err);
    return rc;
}

static int take_db(struct ss_redis_node *node, struct span text, struct err *err)
{
    uint64_t db = 0;
    if (text.len > 0 && (text_u64(text, &db) != 0 || db > INT32_MAX))
        return err_set(err, ERR_INVALID, "the database behind the host is no number: redis://HOST:PORT/DB/KEY");
    node->db = (unsigned)db;
    return 0;
}

static int take_port(struct ss_redis_node *node, struct span text, struct err *err)
{
    uint64_t port;
    char digits[U64_TEXT_MAX];
    if (text_u64(text, &port) != 0 || port == 0 || port > UINT16_MAX)
        return err_set(err, ERR_INVALID, "the port of the host is no number from 1 to 65535");
    size_t len = text_format_u64(digits, port);
    memcpy(node->port, digits, len);
    node->port[len] = '\0';
    return 0;
}

/* "HOST", "[V6]", with or without ":PORT". */
static int take_host(struct ss_redis_node *node, struct span text, struct err *err)
{
    struct span host = text;
    struct span behind = {NULL, 0};
    if (text.len > 0 && text.ptr[0] == '[') {
        size_t close = find_last(text, ']');
        if (close == text.len)
            return err_set(err, ERR_INVALID, "an IPv6 address stands between [ and ]");
        host = span_of(text.ptr + 1, close - 1);
        behind = span_of(text.ptr + close + 1, text.len - close - 1);
    } else {
        host.len = find_last(text, ':');
        behind = span_of(text.ptr + host.len, text.len - host.len);
    }
    if (host.len == 0 || span_is(host, "."))
        return err_set(err, ERR_INVALID, "the URL names no host, such as redis://localhost/KEY");
    if (text.ptr[0] != '[' && memchr(host.ptr, ':', host.len))
        return err_set(err, ERR_INVALID, "an IPv6 address stands between [ and ]");
    if (behind.len > 0 && behind.ptr[0] != ':')
        return err_set(err, ERR_INVALID, "behind the host stands neither :PORT nor /DB");
    node->host = copy(host);
    if (!node->host)
        return err_set(err, -ENOMEM, "out of memory");
    memcpy(node->port, "6379", 5);
    return behind.len > 1 ? take_port(node, span_of(behind.ptr + 1, behind.len - 1), err) : 0;
}

static int parse_redis(struct ss_redis_node *node, struct span text, struct err *err)
{
    size_t at = find_last(text, '@');
    int rc = 0;
    if (at < text.len) {
        rc = take_user(node, span_of(text.ptr, at), err);
        text = span_of(text.ptr + at + 1, text.len - at - 1);
    }
    const uint8_t *slash = text.len > 0 ? memchr(text.ptr, '/', text.len) : NULL;
    size_t len = slash ? (size_t)(slash - text.ptr) : text.len;
    if (rc == 0)
        rc = take_host(node, span_of(text.ptr, len), err);
    return rc == 0 && slash ? take_db(node, span_of(slash + 1, text.len - len - 1), err) : rc;
}

int ss_url_redis(const struct ss_url *url, size_t i, struct ss_redis_node *out, struct err *err)
{
    struct ss_redis_node node = {.tls = url->protocol == SS_REDISS};
    int rc = parse_redis(&node, span_str(url->nodes[i]), err);
    if (rc == 0)
        *out = node;
    else
        ss_redis_node_finish(&node);
    return rc;
}

void ss_redis_node_finish(struct ss_redis_node *node)
{
    free(node->user);
    free(node->password);
    free(node->host);
    *node = (struct ss_redis_node){.user = NULL};
}

/* --- keys ---------------------------------------------------------------------------------------- */

int ss_keys_copy(char ***out, const struct ss_url *url)
{
    char **keys = calloc(url->key_count + 1, sizeof(*keys));
    if (!keys)
        return -ENOMEM;
    for (size_t i = 0; i < url->key_count; i++) {
        keys[i] = strdup(url->keys[i]);
        if (!keys[i]) {
            ss_keys_free(keys, i);
            return -ENOMEM;
        }
    }
    *out = keys;
    return 0;
}

bool ss_keys_have(char *const *keys, size_t count, struct span key)
{
    for (size_t i = 0; i < count; i++)
        if (span_is(key, keys[i]))
            return true;
    return false;
}

void ss_keys_free(char **keys, size_t count)
{
    for (size_t i = 0; keys && i < count; i++)
        free(keys[i]);
    free(keys);
}
