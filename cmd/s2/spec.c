#include "cmd/s2/spec.h"

#include <errno.h>
#include <stdlib.h>
#include <strings.h>

#include "base/json.h"
#include "base/text.h"

/* --- ages
 * ------------------------------------------------------------------------------------------ */

static const struct unit {
    const char *names; /* blank-separated */
    uint64_t seconds;
} units[] = {
    {" s sec secs second seconds ", 1}, {" m min mins minute minutes ", 60},
    {" h hr hrs hour hours ", 3600},    {" d day days ", 86400},
    {" w wk week weeks ", 604800},      {" month months ", 2630016},
    {" y yr year years ", 31557600},
};

static uint64_t unit_of(struct span name)
{
    char padded[16];
    if (name.len == 0 || name.len > sizeof(padded) - 3)
        return 0;
    padded[0] = ' ';
    memcpy(padded + 1, name.ptr, name.len);
    memcpy(padded + 1 + name.len, " ", 2);
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (strstr(units[i].names, padded))
            return units[i].seconds;
    }
    return 0;
}

static struct span skip(struct span text, bool digits, bool letters)
{
    size_t n = 0;
    while (n < text.len && ((digits && text.ptr[n] >= '0' && text.ptr[n] <= '9') ||
                            (letters && text.ptr[n] >= 'a' && text.ptr[n] <= 'z') ||
                            (!digits && !letters && text.ptr[n] == ' ')))
        n++;
    return span_of(text.ptr, n);
}

static struct span behind(struct span text, struct span taken)
{
    return span_of(text.ptr + taken.len, text.len - taken.len);
}

int spec_age(struct span text, uint64_t *seconds)
{
    uint64_t sum = 0, n;
    do {
        struct span digits = skip(text, true, false);
        text = behind(text, digits);
        text = behind(text, skip(text, false, false));
        struct span name = skip(text, false, true);
        uint64_t unit = unit_of(name);
        if (unit == 0 || text_u64(digits, &n) != 0 || n > (UINT64_MAX - sum) / unit)
            return ERR_INVALID;
        sum += n * unit;
        text = behind(text, name);
        text = behind(text, skip(text, false, false));
    } while (text.len > 0);
    *seconds = sum;
    return 0;
}

/* --- configs
 * ----------------------------------------------------------------------------------------- */

/* What a member of a config is. */
enum kind { AS_IT_IS, AGE, MIN_AGE, STREAM };

static const struct known {
    const char *name;
    enum kind kind;
    bool basin; /* of basins alone */
} known[] = {
    {"storage_class", AS_IT_IS, false},
    {"timestamping", AS_IT_IS, false},
    {"retention_policy", AGE, false},
    {"delete_on_empty", MIN_AGE, false},
    {"default_stream_config", STREAM, true},
    {"stream_cipher", AS_IT_IS, true},
    {"create_stream_on_append", AS_IT_IS, true},
    {"create_stream_on_read", AS_IT_IS, true},
};

static int put_config(struct buf *out, struct span raw, bool basin, struct err *err);

static int text_age(struct span raw, uint64_t *seconds, bool *infinite, struct err *err)
{
    CLEAN_BUF text = BUF_INIT;
    if (json_type_of(raw) != JSON_STRING || json_string_decode(raw, &text, NULL) != 0)
        return err_set(err, ERR_INVALID, "an age is a text such as \"7days\", not %.*s",
                       SPAN_ARG(raw));
    *infinite = text.len == 8 && strncasecmp((const char *)text.ptr, "infinite", 8) == 0;
    if (!*infinite && (spec_age(buf_span(&text), seconds) != 0 || *seconds == 0))
        return err_set(err, ERR_INVALID, "%.*s is no age above 0", SPAN_ARG(raw));
    return 0;
}

static int put_age(struct buf *out, struct span raw, struct err *err)
{
    uint64_t seconds = 0;
    bool infinite = false;
    int rc = text_age(raw, &seconds, &infinite, err);
    if (rc != 0)
        return rc;
    return infinite ? buf_add_str(out, "{\"infinite\":{}}")
                    : buf_addf(out, "{\"age\":%llu}", (unsigned long long)seconds);
}

static int put_min_age(struct buf *out, struct span raw, struct err *err)
{
    struct json_iter it;
    struct json_value value;
    struct span key;
    uint64_t seconds = 0;
    bool infinite = false;
    if (json_iter_init(&it, raw) != 0 || it.array)
        return err_set(err, ERR_INVALID, "delete_on_empty is an object");
    while (json_iter_next(&it, &key, &value)) {
        if (!json_string_is(key, "min_age"))
            return err_set(err, ERR_INVALID, "delete_on_empty has no %.*s", SPAN_ARG(key));
        int rc = text_age(value.raw, &seconds, &infinite, err);
        if (rc != 0)
            return rc;
    }
    return buf_addf(out, "{\"min_age_secs\":%llu}", (unsigned long long)seconds);
}

static const struct known *find_known(struct span key, bool basin)
{
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (known[i].basin == basin && json_string_is(key, known[i].name))
            return &known[i];
    }
    return NULL;
}

static int put_value(struct buf *out, const struct known *k, struct span raw, struct err *err)
{
    if (json_type_of(raw) == JSON_NULL || k->kind == AS_IT_IS)
        return buf_add_span(out, raw);
    return k->kind == AGE       ? put_age(out, raw, err)
           : k->kind == MIN_AGE ? put_min_age(out, raw, err)
                                : put_config(out, raw, false, err);
}

static int put_config(struct buf *out, struct span raw, bool basin, struct err *err)
{
    struct json_iter it;
    struct json_value value;
    struct span key;
    bool first = true;
    if (json_iter_init(&it, raw) != 0 || it.array)
        return err_set(err, ERR_INVALID, "a config is an object");
    int rc = buf_add_str(out, "{");
    while (rc == 0 && json_iter_next(&it, &key, &value)) {
        const struct known *k = find_known(key, basin);
        if (!k)
            return err_set(err, ERR_INVALID, "a config of a %s has no %.*s",
                           basin ? "basin" : "stream", SPAN_ARG(key));
        rc = buf_addf(out, "%s\"%s\":", first ? "" : ",", k->name);
        if (rc == 0)
            rc = put_value(out, k, value.raw, err);
        first = false;
    }
    return rc == 0 ? buf_add_str(out, "}") : rc;
}

/* --- the file
 * ------------------------------------------------------------------------------------------ */

static struct spec_item *add(struct spec *spec)
{
    if (spec->count == spec->cap) {
        size_t cap = spec->cap ? spec->cap * 2 : 16;
        struct spec_item *items = realloc(spec->items, cap * sizeof(*items));
        if (!items)
            return NULL;
        spec->items = items;
        spec->cap = cap;
    }
    spec->items[spec->count] = (struct spec_item){0};
    return &spec->items[spec->count++];
}

static char *text_of(struct span raw)
{
    CLEAN_BUF text = BUF_INIT;
    if (json_type_of(raw) != JSON_STRING || json_string_decode(raw, &text, NULL) != 0 ||
        !buf_cstr(&text) || strlen((char *)text.ptr) != text.len)
        return NULL;
    return strdup((char *)text.ptr);
}

static bool is_double(const struct spec *spec, const struct spec_item *item)
{
    for (const struct spec_item *i = spec->items; i < item; i++) {
        bool same = i->basin && item->basin && strcmp(i->basin, item->basin) == 0;
        if (same && (i->stream == item->stream ||
                     (i->stream && item->stream && strcmp(i->stream, item->stream) == 0)))
            return true;
    }
    return false;
}

/* One basin or, with its name given, one stream. *streams: the raw list of a basin, or empty. */
static int read_item(struct spec *spec, struct span raw, const char *basin, struct span *streams,
                     struct err *err)
{
    struct json_iter it;
    struct json_value value;
    struct span key;
    struct spec_item *item = add(spec);
    if (!item)
        return err_set(err, -ENOMEM, "no memory");
    if (json_iter_init(&it, raw) != 0 || it.array)
        return err_set(err, ERR_INVALID, "a basin or stream is an object");
    item->basin = basin ? strdup(basin) : NULL;
    char **name = basin ? &item->stream : &item->basin;
    int rc = 0;
    while (rc == 0 && json_iter_next(&it, &key, &value)) {
        if (json_string_is(key, "name") && !*name)
            *name = text_of(value.raw);
        else if (json_string_is(key, "config") && value.type != JSON_NULL)
            rc = put_config(&item->config, value.raw, !basin, err);
        else if (json_string_is(key, "streams") && !basin)
            *streams = value.raw;
        else if (!json_string_is(key, "config"))
            rc = err_set(err, ERR_INVALID, "a %s has no %.*s", basin ? "stream" : "basin",
                         SPAN_ARG(key));
    }
    if (rc == 0 && (!item->basin || !*name))
        rc = err_set(err, ERR_INVALID, "a name is missing");
    if (rc == 0 && item->config.len == 0)
        rc = buf_add_str(&item->config, "{}");
    if (rc == 0 && is_double(spec, item))
        rc = err_set(err, ERR_INVALID, "\"%s\" stands there twice", *name);
    return rc;
}

static int read_streams(struct spec *spec, struct span raw, const char *basin, struct err *err)
{
    struct json_iter it;
    struct json_value value;
    struct span none;
    if (json_type_of(raw) == JSON_NULL)
        return 0;
    if (json_iter_init(&it, raw) != 0 || !it.array)
        return err_set(err, ERR_INVALID, "streams is a list");
    int rc = 0;
    while (rc == 0 && json_iter_next(&it, NULL, &value))
        rc = read_item(spec, value.raw, basin, &none, err);
    return rc;
}

static int read_basins(struct spec *spec, struct span raw, struct err *err)
{
    struct json_iter it;
    struct json_value value;
    if (json_iter_init(&it, raw) != 0 || !it.array)
        return err_set(err, ERR_INVALID, "basins is a list");
    int rc = 0;
    while (rc == 0 && json_iter_next(&it, NULL, &value)) {
        struct span streams = {NULL, 0};
        size_t at = spec->count;
        rc = read_item(spec, value.raw, NULL, &streams, err);
        if (rc == 0 && streams.len > 0) {
            char *basin = strdup(spec->items[at].basin);
            rc = basin ? read_streams(spec, streams, basin, err)
                       : err_set(err, -ENOMEM, "no memory");
            free(basin);
        }
    }
    return rc;
}

int spec_read(struct spec *out, struct span text, struct err *err)
{
    struct json_iter it;
    struct json_value value;
    struct span key;
    int rc = json_validate(text, 64, NULL, err);
    if (rc == 0 && (json_iter_init(&it, text) != 0 || it.array))
        rc = err_set(err, ERR_INVALID, "the file is a JSON object");
    while (rc == 0 && json_iter_next(&it, &key, &value)) {
        if (json_string_is(key, "basins") && value.type != JSON_NULL)
            rc = read_basins(out, value.raw, err);
    }
    return rc;
}

void spec_finish(struct spec *spec)
{
    for (size_t i = 0; i < spec->count; i++) {
        free(spec->items[i].basin);
        free(spec->items[i].stream);
        buf_finish(&spec->items[i].config);
    }
    free(spec->items);
    *spec = (struct spec){0};
}
