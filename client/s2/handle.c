#include "client/s2/handle.h"

#include <errno.h>
#include <stdlib.h>
#include <strings.h>

#include "client/s2/conn.h"

static bool is_yes(const char *text)
{
    return text && text[0] && strcmp(text, "0") != 0 && strcasecmp(text, "false") != 0;
}

/* A text of the environment; an empty one is as none. */
static void take_env(const char **out, const char *name)
{
    const char *text = getenv(name);
    if (text && text[0])
        *out = text;
}

int weir_s2_options_env(struct weir_s2_options *options, struct weir_s2_err *err)
{
    const char *coding = getenv("S2_COMPRESSION");
    take_env(&options->account, "S2_ACCOUNT_ENDPOINT");
    take_env(&options->basin, "S2_BASIN_ENDPOINT");
    take_env(&options->token, "S2_ACCESS_TOKEN");
    take_env(&options->encryption_key, "S2_ENCRYPTION_KEY");
    if (is_yes(getenv("S2_SSL_NO_VERIFY")))
        options->insecure = true;
    if (!coding || !coding[0] || strcmp(coding, "none") == 0)
        return 0;
    if (strcmp(coding, "zstd") != 0 && strcmp(coding, "gzip") != 0)
        return s2c_fail(err, WEIR_S2_LOCAL, ERR_INVALID,
                        "S2_COMPRESSION is gzip or zstd, not \"%s\"", coding);
    options->compression = coding[0] == 'z' ? WEIR_S2_ZSTD : WEIR_S2_GZIP;
    return 0;
}

static bool keep(char **out, const char *text)
{
    *out = text ? strdup(text) : NULL;
    return !text || *out;
}

/* It goes into a header as it is. */
static bool is_header_text(const char *text)
{
    for (const char *p = text; p && *p; p++) {
        if ((unsigned char)*p < ' ' || (unsigned char)*p == 0x7f)
            return false;
    }
    return true;
}

static int take_settings(struct s2c_settings *set, const struct weir_s2_options *o,
                         struct weir_s2_err *err)
{
    *set = (struct s2c_settings){
        .insecure = o->insecure,
        .coding = o->compression == WEIR_S2_ZSTD   ? CODING_ZSTD
                  : o->compression == WEIR_S2_GZIP ? CODING_GZIP
                                                   : CODING_NONE,
        .connect_ms = o->connect_ms,
        .request_ms = o->request_ms,
        .ack_ms = o->ack_ms,
        .silence_ms = o->silence_ms,
        .attempts = o->attempts > 0 ? o->attempts : 1,
        .backoff_ms = o->backoff_ms,
        .backoff_max_ms = o->backoff_max_ms,
        .retry = o->retry,
    };
    if (!is_header_text(o->token) || !is_header_text(o->encryption_key) ||
        !is_header_text(o->stream_config))
        return s2c_fail(err, WEIR_S2_LOCAL, ERR_INVALID,
                        "a token, key or config holds control bytes");
    if (!keep(&set->token, o->token) || !keep(&set->encryption_key, o->encryption_key) ||
        !keep(&set->stream_config, o->stream_config) || !keep(&set->ca_file, o->ca_file))
        return s2c_no_memory(err);
    return 0;
}

static int take_place(struct s2c_place *out, const char *text, struct weir_s2_err *err)
{
    struct err why = ERR_INIT;
    return s2c_place_parse(out, text, &why) == 0 ? 0 : s2c_fail_local(err, &why);
}

int weir_s2_open(struct weir_s2 **out, const struct weir_s2_options *options,
                 struct weir_s2_err *err)
{
    const char *account = options->account ? options->account : options->basin;
    const char *basin = options->basin ? options->basin : options->account;
    if (!account)
        return s2c_fail(err, WEIR_S2_LOCAL, ERR_INVALID, "no endpoint is given");
    struct weir_s2 *s2 = calloc(1, sizeof(*s2));
    if (!s2)
        return s2c_no_memory(err);
    int rc = take_settings(&s2->set, options, err);
    if (rc == 0)
        rc = take_place(&s2->account, account, err);
    if (rc == 0)
        rc = take_place(&s2->basin, basin, err);
    if (rc != 0) {
        weir_s2_close(s2);
        return rc;
    }
    *out = s2;
    return 0;
}

void weir_s2_close(struct weir_s2 *s2)
{
    if (!s2)
        return;
    s2c_conn_close(s2->kept.conn);
    s2c_place_finish(&s2->kept.place);
    s2c_place_finish(&s2->account);
    s2c_place_finish(&s2->basin);
    free(s2->set.token);
    free(s2->set.encryption_key);
    free(s2->set.stream_config);
    free(s2->set.ca_file);
    free(s2);
}

int s2c_handle_place(const struct weir_s2 *s2, const char *basin, struct s2c_place *out,
                     struct weir_s2_err *err)
{
    struct err why = ERR_INIT;
    int rc = s2c_place_for(out, basin ? &s2->basin : &s2->account, basin, &why);
    return rc == 0 ? 0 : s2c_fail_local(err, &why);
}
