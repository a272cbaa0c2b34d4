/* The two places of a relay: their URLs, and whether they fit together. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/clean.h"
#include "base/text.h"
#include "cmd/relay/parts.h"
#include "cmd/relay_options.h"

/* --- a URL --------------------------------------------------------------------------------------- */

static bool ends_in_ss(const char *text)
{
    size_t len = strlen(text);
    return len > 3 && strcmp(text + len - 3, ".ss") == 0;
}

/* "-" and the path of a .ss file stand for their URLs. */
static int expand(struct buf *out, const char *text)
{
    if (strcmp(text, "-") == 0)
        return buf_add_str(out, "stdio:///");
    if (strstr(text, "://") || !ends_in_ss(text))
        return buf_add_str(out, text);
    int rc = buf_add_str(out, "file://");
    if (rc == 0)
        rc = uri_encode(out, span_str(text), "/");
    return rc == 0 ? buf_add_str(out, "/") : rc;
}

static int check_protocol(const struct ss_url *url, const char *option, const struct call *call)
{
    const char *known = "stdio, file, redis, rediss, weir and s2";
    bool input = strcmp(option, "input") == 0;
    if (url->protocol == SS_OTHER)
        return call_failf(call, "--%s: unknown protocol `%s'; known are %s", option, url->scheme, known);
    if (url->protocol == SS_KAFKA)
        return call_failf(
            call,
            input
                ? "--input: Kafka is not spoken here; lines do it: kcat -C -b BROKER -t TOPIC | weir relay --input stdio:/// "
                  "--output URL"
                : "--output: Kafka is not spoken here; lines do it: weir relay --input URL --output stdio:///KEY | kcat -P -b "
                  "BROKER -t TOPIC");
    if (url->protocol == SS_IGGY)
        return call_failf(
            call,
            input ? "--input: Iggy is not spoken here; let its command line print messages: iggy message poll ... | weir relay "
                    "--input stdio:/// --output URL"
                  : "--output: Iggy is not spoken here; give lines to its command line: weir relay --input URL --output "
                    "stdio:///KEY | iggy message send ...");
    return 0;
}

static int take_url(struct ss_url *out, const char *option, enum relay_option id, const struct call *call)
{
    CLEAN_BUF text = BUF_INIT;
    struct err err = ERR_INIT;
    const char *given = call_value(call, id);
    if (!given)
        return call_usage(call, "--%s is needed", option);
    if (expand(&text, given) != 0 || !buf_cstr(&text))
        return call_failf(call, "out of memory");
    if (ss_url_parse(out, (const char *)text.ptr, &err) != 0)
        return call_usage(call, "--%s: %s", option, err.text);
    return check_protocol(out, option, call);
}

/* --- together ------------------------------------------------------------------------------------ */

static bool same_file(const struct ss_url *a, const struct ss_url *b)
{
    CLEAN_FREE char *left = NULL;
    CLEAN_FREE char *right = NULL;
    struct stat x, y;
    if (ss_url_path(a, &left, NULL) != 0 || ss_url_path(b, &right, NULL) != 0)
        return false;
    return strcmp(left, right) == 0 ||
           (stat(left, &x) == 0 && stat(right, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino);
}

/* Names of this machine are the same, and so is a port that is not said. */
static const char *plain_host(const char *host)
{
    return strcasecmp(host, "localhost") == 0 || strcmp(host, "::1") == 0 ? "127.0.0.1" : host;
}

static bool same_redis(const struct ss_url *a, const struct ss_url *b)
{
    struct ss_redis_node left = {0}, right = {0};
    bool same = ss_url_redis(a, 0, &left, NULL) == 0 && ss_url_redis(b, 0, &right, NULL) == 0 && left.db == right.db &&
                strcmp(left.port, right.port) == 0 && strcasecmp(plain_host(left.host), plain_host(right.host)) == 0;
    ss_redis_node_finish(&left);
    ss_redis_node_finish(&right);
    return same;
}

static bool is_redis(const struct ss_url *url)
{
    return url->protocol == SS_REDIS || url->protocol == SS_REDISS;
}

static bool same_nodes(const struct ss_url *a, const struct ss_url *b)
{
    if (is_redis(a) && is_redis(b) && a->node_count == 1 && b->node_count == 1)
        return same_redis(a, b);
    bool same = a->protocol == b->protocol && a->node_count == b->node_count;
    if (same && a->protocol == SS_FILE)
        return same_file(a, b);
    for (size_t i = 0; same && i < a->node_count; i++)
        same = strcmp(a->nodes[i], b->nodes[i]) == 0;
    return same;
}

static const char *key_behind(const struct relay_options *o, const char *key)
{
    if (o->key)
        return o->key;
    for (size_t i = 0; i < o->rename_count; i++) {
        if (strcmp(o->rename[i][0], key) == 0)
            return o->rename[i][1];
    }
    return key;
}

/* Whether what goes over would come in again. */
static bool is_loop(const struct relay_parts *p)
{
    const struct ss_url *in = &p->input;
    if (in->protocol == SS_STDIO || !same_nodes(in, &p->output))
        return false;
    bool found = in->key_count == 0;
    for (size_t i = 0; !found && i < in->key_count; i++) {
        for (size_t j = 0; !found && j < in->key_count; j++)
            found = strcmp(key_behind(&p->options, in->keys[i]), in->keys[j]) == 0;
    }
    return found;
}

static int check_renames(const struct relay_parts *p, const struct call *call)
{
    enum ss_protocol to = p->output.protocol;
    for (size_t i = 0; i < p->options.rename_count; i++) {
        struct err err = ERR_INIT;
        bool free_name = to == SS_WEIR || to == SS_S2;
        if (!free_name && ss_key_check(span_str(p->options.rename[i][1]), &err) != 0)
            return call_usage(call, "--rename: %s", err.text);
    }
    return 0;
}

static int take_keys(struct relay_parts *p, const struct call *call)
{
    struct relay_options *o = &p->options;
    size_t count = p->output.key_count;
    o->keys = p->input.key_count;
    o->key = count == 1 ? p->output.keys[0] : NULL;
    if (count == 1 && o->rename_count > 0)
        return call_usage(call, "--rename and a key in --output exclude each other");
    if (count == 1 || (count == 0 && o->preserve))
        return 0;
    if (count > 1)
        return call_usage(call, "--output must name one key, not %zu", count);
    return call_usage(call,
                      "--output must name one key, as in stdio:///KEY; with --preserve messages keep theirs and it needs none");
}

int parts_places(struct relay_parts *p, const struct call *call)
{
    int rc = take_url(&p->input, "input", RELAY_INPUT, call);
    if (rc == 0)
        rc = take_url(&p->output, "output", RELAY_OUTPUT, call);
    if (rc == 0)
        rc = take_keys(p, call);
    if (rc == 0)
        rc = check_renames(p, call);
    if (rc == 0 && is_loop(p))
        return call_failf(call, "input and output are the same: what goes over would come in again");
    return rc;
}
