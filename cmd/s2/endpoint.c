/* Which endpoint is meant. */
#include <stdlib.h>

#include "client/autostart.h"
#include "cmd/s2/verb.h"

static const char *env(const char *name)
{
    const char *text = getenv(name);
    return text && text[0] ? text : NULL;
}

static int take_options(const struct args *args, struct weir_s2_options *o)
{
    const char *coding = args_value(args, S2_OPT_COMPRESSION);
    const char *endpoint = args_value(args, S2_OPT_ENDPOINT);
    if (endpoint)
        o->account = o->basin = endpoint;
    if (args_has(args, S2_OPT_INSECURE))
        o->insecure = true;
    o->ca_file = args_value(args, S2_OPT_CA);
    uint64_t attempts = o->attempts;
    int rc = args_u64(args, S2_OPT_ATTEMPTS, &attempts, NULL);
    if (rc != 0)
        return rc;
    o->attempts = attempts < UINT32_MAX ? (unsigned)attempts : UINT32_MAX;
    if (!coding)
        return 0;
    if (strcmp(coding, "zstd") != 0 && strcmp(coding, "gzip") != 0)
        return args_usage(args, "--compression is zstd or gzip, not `%s'", coding);
    o->compression = coding[0] == 'z' ? WEIR_S2_ZSTD : WEIR_S2_GZIP;
    return 0;
}

int args_open(struct args *args, const char *stream_config)
{
    struct weir_s2_options o = WEIR_S2_OPTIONS_INIT;
    struct weir_s2_err err = WEIR_S2_ERR_INIT;
    struct err why = ERR_INIT;
    struct weir_addr own = {0};
    if (weir_s2_options_env(&o, &err) != 0)
        return args_fail(args, &err);
    int rc = take_options(args, &o);
    if (rc != 0)
        return rc;
    o.stream_config = stream_config;
    if (!o.account && !o.basin)
        o.account = env("WEIR_ADDR");
    if (!o.account && !o.basin) {
        if (autostart_default(&own, &why) != 0)
            return args_failf(args, "%s", why.text);
        o.account = own.path;
    }
    rc = weir_s2_open(&args->s2, &o, &err) == 0 ? 0 : args_fail(args, &err);
    weir_addr_finish(&own);
    return rc;
}
