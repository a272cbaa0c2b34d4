#include "base/s2/config.h"

#include <errno.h>

#include "base/s2/fields.h"

#define DEFAULT_CLASS "express"
#define DEFAULT_RETENTION_S (7 * 24 * 3600)
#define SECONDS_MAX (UINT64_MAX / 1000) /* more counts as this: it must be said in ms as well */

#define COUNT(names) (sizeof(names) / sizeof((names)[0]))

static const char *const modes[] = {[STAMP_PREFER] = "client-prefer",
                                    [STAMP_REQUIRE] = "client-require",
                                    [STAMP_ARRIVAL] = "arrival"};

/* --- a stream's config from JSON: each part is there and set, or null, or absent -------------- */

static int read_class(struct s2_stream_config *config, const struct s2_field *field,
                      struct err *err)
{
    if (!s2_field_there(field))
        return 0;
    config->has_class = false;
    if (!s2_field_set(field))
        return 0;
    CLEAN_BUF text = BUF_INIT;
    int rc = s2_field_text(&text, field, "storage_class", err);
    if (rc < 0)
        return rc;
    if (text.len > S2_CLASS_MAX || (text.len > 0 && memchr(text.ptr, '\0', text.len)))
        return err_set(err, ERR_INVALID, "a storage_class has at most %d bytes and no NUL",
                       S2_CLASS_MAX);
    if (text.len > 0)
        memcpy(config->storage_class, text.ptr, text.len);
    config->storage_class[text.len] = '\0';
    config->has_class = true;
    return 0;
}

static int read_age(struct s2_stream_config *config, const struct s2_field *field, struct err *err)
{
    uint64_t age;
    int rc = s2_field_u64(&age, field, "retention_policy.age", err);
    if (rc < 0)
        return rc;
    if (age == 0)
        return err_set(err, ERR_INVALID, "retention_policy.age is at least 1 second");
    config->retention_s = age;
    config->has_retention = true;
    return 0;
}

static int read_retention(struct s2_stream_config *config, const struct s2_field *field,
                          struct err *err)
{
    static const char *const names[] = {"age", "infinite"};
    struct s2_field part[COUNT(names)];
    if (!s2_field_there(field))
        return 0;
    config->has_retention = false;
    if (!s2_field_set(field))
        return 0;
    int rc = s2_fields(part, names, COUNT(names), field->value.raw, "retention_policy", err);
    if (rc < 0)
        return rc;
    if (s2_field_there(&part[0]) == s2_field_there(&part[1]))
        return err_set(err, ERR_FORMAT,
                       "retention_policy is {\"age\":SECONDS} or {\"infinite\":{}}");
    if (s2_field_there(&part[0]))
        return read_age(config, &part[0], err);
    if (part[1].value.type != JSON_OBJECT)
        return err_set(err, ERR_FORMAT, "retention_policy.infinite is {}");
    config->retention_s = 0;
    config->has_retention = true;
    return 0;
}

static int read_mode(struct s2_stream_config *config, const struct s2_field *field, struct err *err)
{
    if (!s2_field_there(field))
        return 0;
    config->has_mode = false;
    for (size_t i = 0; i < COUNT(modes) && s2_field_set(field); i++) {
        if (field->value.type == JSON_STRING && json_string_is(field->value.raw, modes[i])) {
            config->mode = (enum stamp_mode)i;
            config->has_mode = true;
        }
    }
    if (s2_field_set(field) && !config->has_mode)
        return err_set(err, ERR_FORMAT,
                       "timestamping.mode is client-prefer, client-require or arrival");
    return 0;
}

static int read_uncapped(struct s2_stream_config *config, const struct s2_field *field,
                         struct err *err)
{
    if (!s2_field_there(field))
        return 0;
    config->has_uncapped = s2_field_set(field);
    return config->has_uncapped
               ? s2_field_bool(&config->uncapped, field, "timestamping.uncapped", err)
               : 0;
}

static int read_timestamping(struct s2_stream_config *config, const struct s2_field *field,
                             struct err *err)
{
    static const char *const names[] = {"mode", "uncapped"};
    struct s2_field part[COUNT(names)];
    if (s2_field_there(field) && !s2_field_set(field))
        config->has_mode = config->has_uncapped = false;
    if (!s2_field_set(field))
        return 0;
    int rc = s2_fields(part, names, COUNT(names), field->value.raw, "timestamping", err);
    if (rc == 0)
        rc = read_mode(config, &part[0], err);
    return rc < 0 ? rc : read_uncapped(config, &part[1], err);
}

static int read_min_age(struct s2_stream_config *config, const struct s2_field *field, bool zero,
                        struct err *err)
{
    if (!s2_field_there(field))
        return 0;
    config->has_min_age = false;
    if (!s2_field_set(field))
        return 0;
    uint64_t age;
    int rc = s2_field_u64(&age, field, "delete_on_empty.min_age_secs", err);
    if (rc < 0)
        return rc;
    config->min_age_s = age;
    config->has_min_age = zero || age > 0;
    return 0;
}

static int read_delete_on_empty(struct s2_stream_config *config, const struct s2_field *field,
                                bool zero, struct err *err)
{
    static const char *const names[] = {"min_age_secs"};
    struct s2_field part[COUNT(names)];
    if (s2_field_there(field) && !s2_field_set(field))
        config->has_min_age = false;
    if (!s2_field_set(field))
        return 0;
    int rc = s2_fields(part, names, COUNT(names), field->value.raw, "delete_on_empty", err);
    return rc < 0 ? rc : read_min_age(config, &part[0], zero, err);
}

/* zero: a min_age_secs of 0 is a value. Else it is as not set. */
static int read_stream(struct s2_stream_config *config, struct span raw, bool zero, struct err *err)
{
    static const char *const names[] = {"storage_class", "retention_policy", "timestamping",
                                        "delete_on_empty"};
    struct s2_field part[COUNT(names)];
    int rc = s2_fields(part, names, COUNT(names), raw, "a stream config", err);
    if (rc == 0)
        rc = read_class(config, &part[0], err);
    if (rc == 0)
        rc = read_retention(config, &part[1], err);
    if (rc == 0)
        rc = read_timestamping(config, &part[2], err);
    return rc < 0 ? rc : read_delete_on_empty(config, &part[3], zero, err);
}

int s2_stream_config_read(struct s2_stream_config *config, struct span json, enum s2_config_how how,
                          struct err *err)
{
    struct s2_stream_config read = how == S2_CONFIG_CHANGE ? *config : (struct s2_stream_config){0};
    int rc = s2_json_valid(json, err);
    if (rc == 0)
        rc = read_stream(&read, json, false, err);
    if (rc == 0)
        *config = read;
    return rc;
}

/* --- a basin's config from JSON --------------------------------------------------------------- */

const char *s2_cipher_name(enum s2_cipher cipher)
{
    static const char *const names[] = {
        [S2_PLAIN] = NULL, [S2_AES_256_GCM] = "aes-256-gcm", [S2_AEGIS_256] = "aegis-256"};
    return names[cipher];
}

static int read_cipher(enum s2_cipher *out, const struct s2_field *field, struct err *err)
{
    if (!s2_field_there(field))
        return 0;
    *out = S2_PLAIN;
    if (!s2_field_set(field))
        return 0;
    for (enum s2_cipher cipher = S2_AES_256_GCM; cipher <= S2_AEGIS_256; cipher++) {
        if (field->value.type == JSON_STRING &&
            json_string_is(field->value.raw, s2_cipher_name(cipher))) {
            *out = cipher;
            return 0;
        }
    }
    return err_set(err, ERR_FORMAT, "stream_cipher is aes-256-gcm, aegis-256 or null");
}

/* A flag has no "not set", so a change does not take null. */
static int read_flag(bool *out, const struct s2_field *field, enum s2_config_how how,
                     const char *what, struct err *err)
{
    if (!s2_field_there(field) || (how == S2_CONFIG_WHOLE && !s2_field_set(field)))
        return 0;
    return s2_field_bool(out, field, what, err);
}

static int read_defaults(struct s2_stream_config *out, const struct s2_field *field,
                         struct err *err)
{
    if (s2_field_there(field) && !s2_field_set(field))
        *out = (struct s2_stream_config){0};
    return s2_field_set(field) ? read_stream(out, field->value.raw, true, err) : 0;
}

int s2_basin_config_read(struct s2_basin_config *config, struct span json, enum s2_config_how how,
                         struct err *err)
{
    static const char *const names[] = {"default_stream_config", "stream_cipher",
                                        "create_stream_on_append", "create_stream_on_read"};
    struct s2_field part[COUNT(names)];
    struct s2_basin_config read = how == S2_CONFIG_CHANGE ? *config : (struct s2_basin_config){0};
    int rc = s2_json_valid(json, err);
    if (rc == 0)
        rc = s2_fields(part, names, COUNT(names), json, "a basin config", err);
    if (rc == 0)
        rc = read_defaults(&read.defaults, &part[0], err);
    if (rc == 0)
        rc = read_cipher(&read.cipher, &part[1], err);
    if (rc == 0)
        rc = read_flag(&read.create_on_append, &part[2], how, names[2], err);
    if (rc == 0)
        rc = read_flag(&read.create_on_read, &part[3], how, names[3], err);
    if (rc == 0)
        *config = read;
    return rc;
}

/* --- defaults --------------------------------------------------------------------------------- */

struct s2_stream_config s2_stream_config_merge(const struct s2_stream_config *over,
                                               const struct s2_stream_config *under)
{
    struct s2_stream_config merged = *over;
    if (!over->has_class) {
        merged.has_class = under->has_class;
        memcpy(merged.storage_class, under->storage_class, sizeof(merged.storage_class));
    }
    if (!over->has_retention) {
        merged.has_retention = under->has_retention;
        merged.retention_s = under->retention_s;
    }
    if (!over->has_mode) {
        merged.has_mode = under->has_mode;
        merged.mode = under->mode;
    }
    if (!over->has_uncapped) {
        merged.has_uncapped = under->has_uncapped;
        merged.uncapped = under->uncapped;
    }
    if (!over->has_min_age) {
        merged.has_min_age = under->has_min_age;
        merged.min_age_s = under->min_age_s;
    }
    return merged;
}

struct s2_stream_config s2_stream_config_resolve(const struct s2_stream_config *config,
                                                 const struct s2_stream_config *defaults)
{
    static const struct s2_stream_config base = {
        .has_class = true,
        .has_retention = true,
        .has_mode = true,
        .has_uncapped = true,
        .has_min_age = true,
        .storage_class = DEFAULT_CLASS,
        .retention_s = DEFAULT_RETENTION_S,
        .mode = STAMP_PREFER,
    };
    struct s2_stream_config resolved = s2_stream_config_merge(config, defaults);
    resolved = s2_stream_config_merge(&resolved, &base);
    if (resolved.retention_s > SECONDS_MAX)
        resolved.retention_s = SECONDS_MAX;
    if (resolved.min_age_s > SECONDS_MAX)
        resolved.min_age_s = SECONDS_MAX;
    return resolved;
}

bool s2_stream_config_equal(const struct s2_stream_config *a, const struct s2_stream_config *b)
{
    return a->has_class == b->has_class && a->has_retention == b->has_retention &&
           a->has_mode == b->has_mode && a->has_uncapped == b->has_uncapped &&
           a->has_min_age == b->has_min_age &&
           (!a->has_class || strcmp(a->storage_class, b->storage_class) == 0) &&
           (!a->has_retention || a->retention_s == b->retention_s) &&
           (!a->has_mode || a->mode == b->mode) &&
           (!a->has_uncapped || a->uncapped == b->uncapped) &&
           (!a->has_min_age || a->min_age_s == b->min_age_s);
}

/* --- JSON out --------------------------------------------------------------------------------- */

/* Begins a member of an object that begins at `start`. */
static int put_key(struct buf *out, size_t start, const char *key)
{
    return buf_addf(out, "%s\"%s\":", out->len == start ? "{" : ",", key);
}

static int put_retention(struct buf *out, uint64_t seconds)
{
    return seconds == 0 ? buf_add_str(out, "{\"infinite\":{}}")
                        : buf_addf(out, "{\"age\":%llu}", (unsigned long long)seconds);
}

static int put_timestamping(struct buf *out, const struct s2_stream_config *config)
{
    size_t start = out->len;
    int rc = 0;
    if (config->has_mode && (rc = put_key(out, start, "mode")) == 0)
        rc = buf_addf(out, "\"%s\"", modes[config->mode]);
    if (rc == 0 && config->has_uncapped && (rc = put_key(out, start, "uncapped")) == 0)
        rc = buf_add_str(out, config->uncapped ? "true" : "false");
    return rc < 0 ? rc : buf_add_str(out, "}");
}

static int put_stream(struct buf *out, const struct s2_stream_config *config)
{
    size_t start = out->len;
    int rc = 0;
    if (config->has_class && (rc = put_key(out, start, "storage_class")) == 0)
        rc = json_put_string(out, span_str(config->storage_class));
    if (rc == 0 && config->has_retention && (rc = put_key(out, start, "retention_policy")) == 0)
        rc = put_retention(out, config->retention_s);
    if (rc == 0 && (config->has_mode || config->has_uncapped) &&
        (rc = put_key(out, start, "timestamping")) == 0)
        rc = put_timestamping(out, config);
    if (rc == 0 && config->has_min_age && (rc = put_key(out, start, "delete_on_empty")) == 0)
        rc = buf_addf(out, "{\"min_age_secs\":%llu}", (unsigned long long)config->min_age_s);
    if (rc == 0)
        rc = buf_add_str(out, out->len == start ? "{}" : "}");
    return rc;
}

int s2_stream_config_put(struct buf *out, const struct s2_stream_config *config)
{
    size_t before = out->len;
    int rc = put_stream(out, config);
    if (rc < 0)
        out->len = before;
    return rc;
}

static bool is_unset(const struct s2_stream_config *config)
{
    return !config->has_class && !config->has_retention && !config->has_mode &&
           !config->has_uncapped && !config->has_min_age;
}

int s2_basin_config_put(struct buf *out, const struct s2_basin_config *config)
{
    size_t before = out->len;
    const char *cipher = s2_cipher_name(config->cipher);
    const char *quote = cipher ? "\"" : "";
    int rc = buf_add_str(out, "{\"default_stream_config\":");
    if (rc == 0)
        rc = is_unset(&config->defaults) ? buf_add_str(out, "null")
                                         : put_stream(out, &config->defaults);
    if (rc == 0)
        rc = buf_addf(out,
                      ",\"stream_cipher\":%s%s%s,\"create_stream_on_append\":%s,\"create_stream_on_"
                      "read\":%s}",
                      quote, cipher ? cipher : "null", quote,
                      config->create_on_append ? "true" : "false",
                      config->create_on_read ? "true" : "false");
    if (rc < 0)
        out->len = before;
    return rc;
}
