#include "bridge/relay/s2_place.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clean.h"
#include "client/autostart.h"

#define PATIENT_ATTEMPTS 30 /* with waits of half a second in the mean */

static const char *env(const char *name)
{
    const char *text = getenv(name);
    return text && text[0] ? text : NULL;
}

int relay_s2_fail(struct err *err, const struct weir_s2_err *why, const char *stream)
{
    int rc = why->err.code < 0 ? why->err.code : ERR_REMOTE;
    return err_set(err, rc, "stream %s: %s", stream, why->err.text[0] ? why->err.text : err_code_text(rc));
}

/* What stands before the node's last '/' is the endpoint, "" when there is none. */
static int split(const char *node, char **endpoint, char **basin, struct err *err)
{
    const char *slash = strrchr(node, '/');
    const char *name = slash ? slash + 1 : node;
    size_t before = slash ? (size_t)(slash - node) : 0;
    bool path = node[0] == '/';
    if (!name[0] || strcmp(node, ".") == 0)
        return err_set(err, ERR_INVALID, "s2: a basin is needed: s2://BASIN/STREAM or s2://HOST:PORT/BASIN/STREAM");
    *basin = strdup(name);
    *endpoint = malloc(before + 8);
    if (!*basin || !*endpoint)
        return err_set(err, -ENOMEM, "out of memory");
    size_t len = before > 0 && !path ? 7 : 0;
    memcpy(*endpoint, "http://", len);
    memcpy(*endpoint + len, node, before);
    (*endpoint)[len + before] = '\0';
    return 0;
}

static int open_at(struct weir_s2 **out, const char *endpoint, unsigned attempts, const struct relay_options *o, struct err *err)
{
    struct weir_s2_options options = WEIR_S2_OPTIONS_INIT;
    struct weir_s2_err why = WEIR_S2_ERR_INIT;
    struct weir_addr own = {0};
    if (weir_s2_options_env(&options, &why) != 0)
        return err_set(err, why.err.code, "%s", why.err.text);
    if (endpoint[0])
        options.account = options.basin = endpoint;
    if (attempts > 0)
        options.attempts = attempts;
    options.ca_file = o->ca_file;
    options.insecure = options.insecure || o->insecure;
    if (!options.account && !options.basin)
        options.account = env("WEIR_ADDR");
    if (!options.account && !options.basin) {
        int rc = autostart_default(&own, err);
        if (rc != 0)
            return rc;
        options.account = own.path;
    }
    int rc = weir_s2_open(out, &options, &why);
    weir_addr_finish(&own);
    return rc == 0 ? 0 : err_set(err, why.err.code, "%s", why.err.text);
}

int relay_s2_open(struct relay_s2 *out, const struct ss_url *url, const struct relay_options *o, struct err *err)
{
    CLEAN_FREE char *endpoint = NULL;
    CLEAN_FREE char *basin = NULL;
    struct weir_s2 *s2 = NULL, *quick = NULL;
    if (url->node_count != 1)
        return err_set(err, ERR_INVALID, "s2: one endpoint, not %zu", url->node_count);
    int rc = split(url->nodes[0], &endpoint, &basin, err);
    if (rc == 0)
        rc = open_at(&s2, endpoint, PATIENT_ATTEMPTS, o, err);
    if (rc == 0)
        rc = open_at(&quick, endpoint, 0, o, err);
    if (rc != 0) {
        weir_s2_close(s2);
        return rc;
    }
    *out = (struct relay_s2){.s2 = s2, .quick = quick, .basin = basin};
    basin = NULL;
    return 0;
}

void relay_s2_close(struct relay_s2 *place)
{
    weir_s2_close(place->s2);
    weir_s2_close(place->quick);
    free(place->basin);
    *place = (struct relay_s2){0};
}
