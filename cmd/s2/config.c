#include "cmd/s2/config.h"

#include "base/json.h"
#include "base/text.h"

#define STREAM_ROWS                                                                                \
    {.id = CONFIG_CLASS, .name = "storage-class", .arg = "NAME", .help = "standard or express"},   \
        {.id = CONFIG_RETENTION,                                                                   \
         .name = "retention-policy",                                                               \
         .arg = "AGE",                                                                             \
         .help = "7d, 12h ..., or infinite"},                                                      \
        {.id = CONFIG_MODE,                                                                        \
         .name = "timestamping-mode",                                                              \
         .arg = "MODE",                                                                            \
         .help = "client-prefer, client-require, arrival"},                                        \
        {.id = CONFIG_UNCAPPED,                                                                    \
         .name = "timestamping-uncapped",                                                          \
         .arg = "BOOL",                                                                            \
         .help = "timestamps may lie in the future"},                                              \
        {.id = CONFIG_MIN_AGE,                                                                     \
         .name = "delete-on-empty-min-age",                                                        \
         .arg = "AGE",                                                                             \
         .help = "empty streams of this age go"},                                                  \
    {                                                                                              \
        .id = CONFIG_JSON, .name = "config", .arg = "JSON",                                        \
        .help = "the config as the API takes it"                                                   \
    }

const struct option_row stream_config_options[] = {STREAM_ROWS, {.name = NULL}};
const struct option_row basin_config_options[] = {
    STREAM_ROWS,
    {.id = CONFIG_ON_APPEND,
     .name = "create-stream-on-append",
     .help = "an append makes its stream"},
    {.id = CONFIG_ON_READ, .name = "create-stream-on-read", .help = "a read makes its stream"},
    {.id = CONFIG_CIPHER,
     .name = "stream-cipher",
     .arg = "NAME",
     .help = "aes-256-gcm or aegis-256, of new streams"},
    {.name = NULL},
};

static int member(struct buf *out, const char *name)
{
    bool first = out->len > 0 && out->ptr[out->len - 1] == '{';
    return buf_addf(out, "%s\"%s\":", first ? "" : ",", name);
}

static int text_member(const struct args *args, struct buf *out, int id, const char *name)
{
    const char *text = args_value(args, id);
    if (!text)
        return 0;
    int rc = member(out, name);
    return rc == 0 ? json_put_string(out, span_str(text)) : rc;
}

/* 0 also for what was not given; *bad: a message was written. */
static int put_retention(const struct args *args, struct buf *out, int *bad)
{
    const char *text = args_value(args, CONFIG_RETENTION);
    uint64_t ms = 0;
    if (!text)
        return 0;
    int rc = member(out, "retention_policy");
    if (rc == 0 && strcmp(text, "infinite") == 0)
        return buf_add_str(out, "{\"infinite\":{}}");
    *bad = args_duration(args, CONFIG_RETENTION, &ms, NULL);
    return rc == 0 ? buf_addf(out, "{\"age\":%llu}", (unsigned long long)(ms / 1000)) : rc;
}

static int put_timestamping(const struct args *args, struct buf *out, int *bad)
{
    const char *uncapped = args_value(args, CONFIG_UNCAPPED);
    if (!uncapped && !args_has(args, CONFIG_MODE))
        return 0;
    int rc = member(out, "timestamping");
    if (rc == 0)
        rc = buf_add_str(out, "{");
    if (rc == 0)
        rc = text_member(args, out, CONFIG_MODE, "mode");
    if (rc == 0 && uncapped) {
        if (strcmp(uncapped, "true") != 0 && strcmp(uncapped, "false") != 0)
            *bad = args_usage(args, "--timestamping-uncapped is true or false, not `%s'", uncapped);
        rc = member(out, "uncapped");
        if (rc == 0)
            rc = buf_add_str(out, uncapped);
    }
    return rc == 0 ? buf_add_str(out, "}") : rc;
}

static int put_min_age(const struct args *args, struct buf *out, int *bad)
{
    uint64_t ms = 0;
    bool has;
    *bad = args_duration(args, CONFIG_MIN_AGE, &ms, &has);
    if (!has)
        return 0;
    int rc = member(out, "delete_on_empty");
    return rc == 0 ? buf_addf(out, "{\"min_age_secs\":%llu}", (unsigned long long)(ms / 1000)) : rc;
}

int stream_config_put(const struct args *args, struct buf *out)
{
    int bad = 0;
    const char *json = args_value(args, CONFIG_JSON);
    if (json)
        return buf_add_str(out, json) == 0 ? 0 : args_failf(args, "out of memory");
    int rc = buf_add_str(out, "{");
    if (rc == 0)
        rc = text_member(args, out, CONFIG_CLASS, "storage_class");
    if (rc == 0)
        rc = put_retention(args, out, &bad);
    if (rc == 0 && bad == 0)
        rc = put_timestamping(args, out, &bad);
    if (rc == 0 && bad == 0)
        rc = put_min_age(args, out, &bad);
    if (rc == 0 && bad == 0)
        rc = buf_add_str(out, "}");
    return rc != 0 ? args_failf(args, "out of memory") : bad;
}

int basin_config_put(const struct args *args, struct buf *out)
{
    CLEAN_BUF stream = BUF_INIT;
    const char *json = args_value(args, CONFIG_JSON);
    if (json)
        return buf_add_str(out, json) == 0 ? 0 : args_failf(args, "out of memory");
    int bad = stream_config_put(args, &stream);
    if (bad != 0)
        return bad;
    int rc = buf_add_str(out, "{");
    if (rc == 0 && stream.len > 2) {
        rc = member(out, "default_stream_config");
        if (rc == 0)
            rc = buf_add_span(out, buf_span(&stream));
    }
    if (rc == 0 && args_has(args, CONFIG_ON_APPEND) &&
        (rc = member(out, "create_stream_on_append")) == 0)
        rc = buf_add_str(out, "true");
    if (rc == 0 && args_has(args, CONFIG_ON_READ) &&
        (rc = member(out, "create_stream_on_read")) == 0)
        rc = buf_add_str(out, "true");
    if (rc == 0)
        rc = text_member(args, out, CONFIG_CIPHER, "stream_cipher");
    if (rc == 0)
        rc = buf_add_str(out, "}");
    return rc == 0 ? 0 : args_failf(args, "out of memory");
}
