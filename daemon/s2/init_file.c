#include "daemon/s2/init_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

#include "base/clean.h"
#include "base/s2/fields.h"

#define FILE_MAX (16 * 1024 * 1024)

/* A file being read: where the reader is, for what is told of faults. */
struct reading {
    struct init_file *file;
    void (*fault)(void *arg, const char *line);
    void *arg;
    struct buf where; /* "basins[2].config", NUL-terminated when it is told */
    size_t faults;
    bool memory; /* there was none */
};

/* --- faults ------------------------------------------------------------------------------------------ */

__attribute__((format(printf, 2, 3))) static void fault(struct reading *r, const char *fmt, ...)
{
    char text[ERR_TEXT_SIZE], line[ERR_TEXT_SIZE + 512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    const char *where = buf_cstr(&r->where);
    snprintf(line, sizeof(line), "%.480s%s%s", where ? where : "", r->where.len > 0 ? ": " : "", text);
    r->faults++;
    r->fault(r->arg, line);
}

/* Goes one deeper; what comes back is given to step_out. */
static size_t step_in(struct reading *r, const char *name)
{
    const size_t before = r->where.len;
    if (buf_addf(&r->where, "%s%s", before > 0 && name[0] != '[' ? "." : "", name) < 0)
        r->memory = true;
    return before;
}

static size_t step_in_at(struct reading *r, size_t index)
{
    char text[32];
    snprintf(text, sizeof(text), "[%zu]", index);
    return step_in(r, text);
}

static void step_out(struct reading *r, size_t before)
{
    r->where.len = before;
}

/* --- members ----------------------------------------------------------------------------------------- */

static bool is_known(struct span key, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (json_string_is(key, names[i]))
            return true;
    return false;
}

/* The members of an object, those not known being faults. False: it is no object. */
static bool members(struct reading *r, struct s2_field *part, const char *const *names, size_t count,
                    struct span raw)
{
    struct json_iter it;
    struct json_value value;
    struct span key;
    struct err err = ERR_INIT;
    if (json_type_of(raw) != JSON_OBJECT || s2_fields(part, names, count, raw, "this", &err) < 0) {
        fault(r, "this is to be an object");
        return false;
    }
    json_iter_init(&it, raw);
    while (json_iter_next(&it, &key, &value))
        if (!is_known(key, names, count))
            fault(r, "%.*s is not known here", SPAN_ARG(key));
    return true;
}

static bool take_text(struct reading *r, const struct s2_field *field, const char *name, struct buf *out)
{
    struct err err = ERR_INIT;
    if (!s2_field_set(field)) {
        fault(r, "%s is missing", name);
        return false;
    }
    if (s2_field_text(out, field, name, &err) == 0)
        return true;
    fault(r, "%s", err.text);
    return false;
}

/* --- configs: put into the API's words, and read by the API's rules ---------------------------------- */

static void put_raw(struct reading *r, struct buf *out, const char *name, const struct s2_field *field)
{
    const char *comma = out->len > 1 ? "," : "";
    if (s2_field_there(field) && (buf_addf(out, "%s\"%s\":", comma, name) < 0 || buf_add_span(out, field->value.raw) < 0))
        r->memory = true;
}

static bool take_duration(struct reading *r, const struct s2_field *field, const char *name, uint64_t *seconds)
{
    CLEAN_BUF text = BUF_INIT;
    uint64_t ms;
    if (!take_text(r, field, name, &text))
        return false;
    if (init_duration(buf_span(&text), &ms) < 0) {
        fault(r, "%s: \"%.*s\" is no duration such as 7days or 1h 30m", name, SPAN_ARG(buf_span(&text)));
        return false;
    }
    *seconds = ms / 1000;
    return true;
}

static bool is_infinite(const struct s2_field *field)
{
    CLEAN_BUF text = BUF_INIT;
    return field->value.type == JSON_STRING && s2_field_text(&text, field, "", NULL) == 0 && text.len == 8 &&
           strncasecmp((const char *)text.ptr, "infinite", 8) == 0;
}

static void put_retention(struct reading *r, struct buf *out, const struct s2_field *field)
{
    const char *comma = out->len > 1 ? "," : "";
    uint64_t seconds;
    int rc = 0;
    if (!s2_field_set(field))
        return;
    if (is_infinite(field))
        rc = buf_addf(out, "%s\"retention_policy\":{\"infinite\":{}}", comma);
    else if (take_duration(r, field, "retention_policy", &seconds)) {
        if (seconds == 0)
            fault(r, "retention_policy is to be at least one second");
        else
            rc = buf_addf(out, "%s\"retention_policy\":{\"age\":%" PRIu64 "}", comma, seconds);
    }
    r->memory |= rc < 0;
}

static void put_empty(struct reading *r, struct buf *out, const struct s2_field *field)
{
    static const char *const names[] = {"min_age"};
    const char *comma = out->len > 1 ? "," : "";
    struct s2_field part[1];
    uint64_t seconds;
    if (!s2_field_set(field))
        return;
    const size_t before = step_in(r, "delete_on_empty");
    if (members(r, part, names, 1, field->value.raw) && take_duration(r, &part[0], "min_age", &seconds) &&
        buf_addf(out, "%s\"delete_on_empty\":{\"min_age_secs\":%" PRIu64 "}", comma, seconds) < 0)
        r->memory = true;
    step_out(r, before);
}

static void check_timestamping(struct reading *r, const struct s2_field *field)
{
    static const char *const names[] = {"mode", "uncapped"};
    struct s2_field part[2];
    if (!s2_field_set(field))
        return;
    const size_t before = step_in(r, "timestamping");
    members(r, part, names, 2, field->value.raw);
    step_out(r, before);
}

/* Appends a stream's config as the API has it. */
static void put_stream_config(struct reading *r, struct buf *out, struct span raw)
{
    static const char *const names[] = {"storage_class", "retention_policy", "timestamping", "delete_on_empty"};
    struct s2_field part[4];
    CLEAN_BUF text = BUF_INIT;
    int rc = buf_add_str(&text, "{");
    if (!members(r, part, names, 4, raw))
        return;
    check_timestamping(r, &part[2]);
    put_raw(r, &text, names[0], &part[0]);
    put_raw(r, &text, names[2], &part[2]);
    put_retention(r, &text, &part[1]);
    put_empty(r, &text, &part[3]);
    if (rc == 0)
        rc = buf_add_str(&text, "}");
    if (rc == 0)
        rc = buf_add_span(out, buf_span(&text));
    r->memory |= rc < 0;
}

static void take_stream_config(struct reading *r, const struct s2_field *field, struct s2_stream_config *out)
{
    CLEAN_BUF json = BUF_INIT;
    struct err err = ERR_INIT;
    if (!s2_field_set(field))
        return;
    const size_t before = step_in(r, "config"), faults = r->faults;
    put_stream_config(r, &json, field->value.raw);
    if (r->faults == faults && !r->memory && s2_stream_config_read(out, buf_span(&json), S2_CONFIG_WHOLE, &err) < 0)
        fault(r, "%s", err.text);
    step_out(r, before);
}

static void put_defaults(struct reading *r, struct buf *out, const struct s2_field *field)
{
    if (!s2_field_set(field))
        return;
    const size_t before = step_in(r, "default_stream_config");
    if (buf_addf(out, "%s\"default_stream_config\":", out->len > 1 ? "," : "") < 0)
        r->memory = true;
    put_stream_config(r, out, field->value.raw);
    step_out(r, before);
}

static void take_basin_config(struct reading *r, const struct s2_field *field, struct s2_basin_config *out)
{
    static const char *const names[] = {"default_stream_config", "stream_cipher", "create_stream_on_append",
                                        "create_stream_on_read"};
    struct s2_field part[4];
    CLEAN_BUF json = BUF_INIT;
    struct err err = ERR_INIT;
    if (!s2_field_set(field))
        return;
    const size_t before = step_in(r, "config"), faults = r->faults;
    if (members(r, part, names, 4, field->value.raw)) {
        r->memory |= buf_add_str(&json, "{") < 0;
        for (size_t i = 1; i < 4; i++)
            put_raw(r, &json, names[i], &part[i]);
        put_defaults(r, &json, &part[0]);
        r->memory |= buf_add_str(&json, "}") < 0;
    }
    if (r->faults == faults && !r->memory && s2_basin_config_read(out, buf_span(&json), S2_CONFIG_WHOLE, &err) < 0)
        fault(r, "%s", err.text);
    step_out(r, before);
}

/* --- basins and streams ------------------------------------------------------------------------------ */

static size_t count_of(struct span array)
{
    struct json_iter it;
    struct json_value value;
    size_t count = 0;
    json_iter_init(&it, array);
    while (json_iter_next(&it, NULL, &value))
        count++;
    return count;
}

/* Opens the array; *items gets room for its elements. False: there is none, or nothing in it. */
static bool open_array(struct reading *r, const struct s2_field *field, const char *name, size_t size, void **items,
                       struct json_iter *it)
{
    if (!s2_field_set(field))
        return false;
    if (field->value.type != JSON_ARRAY) {
        fault(r, "%s is to be an array", name);
        return false;
    }
    const size_t count = count_of(field->value.raw);
    if (count == 0)
        return false;
    json_iter_init(it, field->value.raw);
    *items = calloc(count, size);
    r->memory |= !*items;
    return *items != NULL;
}

static void check_stream_name(struct reading *r, const struct init_basin *basin, struct span name)
{
    struct err err = ERR_INIT;
    if (s2_stream_name(name, &err) < 0)
        fault(r, "name: %s", err.text);
    for (size_t i = 0; i + 1 < basin->count; i++)
        if (span_eq(buf_span(&basin->streams[i].name), name)) {
            fault(r, "there is a stream \"%.*s\" in this basin already", SPAN_ARG(name));
            return;
        }
}

static void take_stream(struct reading *r, struct init_basin *basin, struct span raw)
{
    static const char *const names[] = {"name", "config"};
    struct s2_field part[2];
    struct init_stream *stream = &basin->streams[basin->count++];
    if (!members(r, part, names, 2, raw))
        return;
    if (take_text(r, &part[0], "name", &stream->name))
        check_stream_name(r, basin, buf_span(&stream->name));
    take_stream_config(r, &part[1], &stream->config);
}

static void take_streams(struct reading *r, struct init_basin *basin, const struct s2_field *field)
{
    struct json_iter it;
    struct json_value value;
    void *items;
    if (!open_array(r, field, "streams", sizeof(*basin->streams), &items, &it))
        return;
    basin->streams = items;
    while (json_iter_next(&it, NULL, &value)) {
        const size_t before = step_in(r, "streams"), at = step_in_at(r, basin->count);
        (void)at;
        take_stream(r, basin, value.raw);
        step_out(r, before);
    }
}

static void take_basin_name(struct reading *r, struct init_basin *basin, struct span name)
{
    struct err err = ERR_INIT;
    if (s2_basin_name(name, &err) < 0) {
        fault(r, "name: %s", err.text);
        return;
    }
    memcpy(basin->name, name.ptr, name.len);
    for (size_t i = 0; i + 1 < r->file->count; i++)
        if (!strcmp(r->file->basins[i].name, basin->name)) {
            fault(r, "there is a basin \"%s\" already", basin->name);
            return;
        }
}

static void take_basin(struct reading *r, struct span raw)
{
    static const char *const names[] = {"name", "config", "streams"};
    struct s2_field part[3];
    CLEAN_BUF name = BUF_INIT;
    struct init_basin *basin = &r->file->basins[r->file->count++];
    if (!members(r, part, names, 3, raw))
        return;
    if (take_text(r, &part[0], "name", &name))
        take_basin_name(r, basin, buf_span(&name));
    take_basin_config(r, &part[1], &basin->config);
    take_streams(r, basin, &part[2]);
}

static void take_basins(struct reading *r, struct span text)
{
    static const char *const names[] = {"basins"};
    struct s2_field part[1];
    struct json_iter it;
    struct json_value value;
    struct err err = ERR_INIT;
    void *items;
    if (s2_json_valid(text, &err) < 0 || s2_fields(part, names, 1, text, "the file", &err) < 0) {
        fault(r, "%s", err.text);
        return;
    }
    if (!open_array(r, &part[0], "basins", sizeof(*r->file->basins), &items, &it))
        return;
    r->file->basins = items;
    while (json_iter_next(&it, NULL, &value)) {
        const size_t before = step_in(r, "basins"), at = step_in_at(r, r->file->count);
        (void)at;
        take_basin(r, value.raw);
        step_out(r, before);
    }
}

/* --- the file ---------------------------------------------------------------------------------------- */

int init_file_parse(struct init_file *out, struct span text, void (*tell)(void *arg, const char *line), void *arg)
{
    *out = (struct init_file){0};
    struct reading r = {.file = out, .fault = tell, .arg = arg};
    take_basins(&r, text);
    buf_finish(&r.where);
    if (!r.memory && r.faults == 0)
        return 0;
    init_file_finish(out);
    return r.memory ? -ENOMEM : ERR_INVALID;
}

void init_file_finish(struct init_file *file)
{
    for (size_t i = 0; i < file->count; i++) {
        for (size_t k = 0; k < file->basins[i].count; k++)
            buf_finish(&file->basins[i].streams[k].name);
        free(file->basins[i].streams);
    }
    free(file->basins);
    *file = (struct init_file){0};
}

static int read_all(struct buf *out, const char *path, struct err *err)
{
    CLEAN_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_sys(err, errno, "open %s", path);
    ssize_t n = 1;
    while (n > 0 && out->len <= FILE_MAX) {
        if (buf_reserve(out, 64 * 1024) < 0)
            return err_set(err, -ENOMEM, "no memory for %s", path);
        n = read(fd, out->ptr + out->len, 64 * 1024);
        if (n < 0)
            return err_sys(err, errno, "read %s", path);
        out->len += (size_t)n;
    }
    return out->len > FILE_MAX ? err_set(err, ERR_TOO_LARGE, "%s has over %d bytes", path, FILE_MAX) : 0;
}

struct source {
    const char *path;
};

static void tell_stderr(void *arg, const char *line)
{
    const struct source *source = arg;
    fprintf(stderr, "weird: %s: %s\n", source->path, line);
}

int init_file_read(struct init_file *out, const char *path, struct err *err)
{
    CLEAN_BUF text = BUF_INIT;
    struct source source = {path};
    int rc = read_all(&text, path, err);
    if (rc < 0)
        return rc;
    rc = init_file_parse(out, buf_span(&text), tell_stderr, &source);
    return rc < 0 ? err_set(err, rc, "%s cannot be used as it is; nothing was changed", path) : 0;
}
