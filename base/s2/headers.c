#include "base/s2/headers.h"

#include <errno.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/text.h"
#include "base/utf8.h"

#define WRAPPED "s2.headers" /* the key of what is no object of strings */
#define WHOLE_META "xs-meta" /* the name of the header that carries any other meta */
#define COMPARED_MAX 16      /* so many names are compared each with each; more are sorted */
#define ITEMS_FIRST 8

/* --- headers -> meta ----------------------------------------------------------------------------
 */

static bool all_text(const struct s2_header *headers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (headers[i].name.len == 0 || !utf8_valid(headers[i].name) || !utf8_valid(headers[i].value))
            return false;
    }
    return true;
}

static int by_name(const void *a, const void *b)
{
    struct span x = *(const struct span *)a;
    struct span y = *(const struct span *)b;
    int order = memcmp(x.ptr, y.ptr, x.len < y.len ? x.len : y.len);
    return order ? order : (x.len > y.len) - (x.len < y.len);
}

/* 1 when no two non-empty names are equal, 0 when some are, -ENOMEM. */
static int are_distinct_sorted(const struct s2_header *headers, size_t count)
{
    struct span *names = malloc(count * sizeof(*names));
    if (!names)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++)
        names[i] = headers[i].name;
    qsort(names, count, sizeof(*names), by_name);
    int distinct = 1;
    for (size_t i = 1; i < count && distinct; i++)
        distinct = !span_eq(names[i - 1], names[i]);
    free(names);
    return distinct;
}

static int are_distinct(const struct s2_header *headers, size_t count)
{
    if (count > COMPARED_MAX)
        return are_distinct_sorted(headers, count);
    for (size_t i = 1; i < count; i++) {
        for (size_t j = 0; j < i; j++) {
            if (span_eq(headers[i].name, headers[j].name))
                return 0;
        }
    }
    return 1;
}

static int put_object(struct buf *out, const struct s2_header *headers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int rc = buf_add(out, i ? "," : "{", 1);
        if (rc == 0)
            rc = json_put_string(out, headers[i].name);
        if (rc == 0)
            rc = buf_add(out, ":", 1);
        if (rc == 0)
            rc = json_put_string(out, headers[i].value);
        if (rc < 0)
            return rc;
    }
    return buf_add(out, "}", 1);
}

static int put_wrapped(struct buf *out, const struct s2_header *headers, size_t count)
{
    int rc = buf_add_str(out, "{\"" WRAPPED "\":[");
    for (size_t i = 0; i < count && rc == 0; i++) {
        rc = buf_add_str(out, i ? ",[\"" : "[\"");
        if (rc == 0)
            rc = b64_encode(out, headers[i].name);
        if (rc == 0)
            rc = buf_add_str(out, "\",\"");
        if (rc == 0)
            rc = b64_encode(out, headers[i].value);
        if (rc == 0)
            rc = buf_add_str(out, "\"]");
    }
    return rc < 0 ? rc : buf_add_str(out, "]}");
}

int s2_headers_to_meta(struct buf *out, const struct s2_header *headers, size_t count)
{
    if (count == 0)
        return 0;
    size_t before = out->len;
    int rc = all_text(headers, count) ? are_distinct(headers, count) : 0;
    if (rc >= 0)
        rc = rc ? put_object(out, headers, count) : put_wrapped(out, headers, count);
    if (rc < 0)
        out->len = before;
    return rc;
}

/* --- meta -> headers -------------------------------------------------------------------------- */

static int add(struct s2_headers *out, struct span name, struct span value)
{
    if (out->count == out->cap) {
        size_t cap = out->cap ? out->cap * 2 : ITEMS_FIRST;
        struct s2_header *items = realloc(out->items, cap * sizeof(*items));
        if (!items)
            return -ENOMEM;
        out->items = items;
        out->cap = cap;
    }
    out->items[out->count++] = (struct s2_header){name, value};
    return 0;
}

static struct span from(const struct buf *bytes, size_t start)
{
    return span_of(bytes->ptr + start, bytes->len - start);
}

/* The text of a raw string: where it stands, or decoded behind the others. `bytes` has room for all
 * there can be, so nothing that points into it moves. ERR_INVALID: half a surrogate pair. */
static int text_of(struct s2_headers *out, struct span raw, struct span *text)
{
    if (!memchr(raw.ptr, '\\', raw.len)) {
        *text = span_of(raw.ptr + 1, raw.len - 2);
        return 0;
    }
    size_t start = out->bytes.len;
    int rc = json_string_decode(raw, &out->bytes, NULL);
    if (rc < 0)
        return rc;
    *text = from(&out->bytes, start);
    return 0;
}

static int bytes_of(struct s2_headers *out, struct span raw, struct span *bytes)
{
    struct span text;
    int rc = text_of(out, raw, &text);
    if (rc < 0)
        return rc;
    size_t start = out->bytes.len;
    rc = b64_decode(&out->bytes, text, NULL);
    if (rc < 0)
        return rc;
    *bytes = from(&out->bytes, start);
    return 0;
}

static int add_pair(struct s2_headers *out, struct span raw, bool command)
{
    struct json_iter it;
    struct json_value part[3];
    size_t parts = 0;
    if (json_iter_init(&it, raw) < 0 || !it.array)
        return ERR_INVALID;
    while (parts < 3 && json_iter_next(&it, NULL, &part[parts]))
        parts++;
    if (parts != 2 || part[0].type != JSON_STRING || part[1].type != JSON_STRING)
        return ERR_INVALID;
    struct span name;
    struct span value;
    int rc = bytes_of(out, part[0].raw, &name);
    if (rc == 0)
        rc = bytes_of(out, part[1].raw, &value);
    if (rc < 0)
        return rc;
    return name.len > 0 || command ? add(out, name, value) : ERR_INVALID;
}

/* The list below s2.headers. */
static int read_wrapped(struct s2_headers *out, struct span list, bool command)
{
    struct json_iter it;
    struct json_value pair;
    if (json_iter_init(&it, list) < 0)
        return ERR_INVALID;
    while (json_iter_next(&it, NULL, &pair)) {
        int rc = add_pair(out, pair.raw, command);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int read_strings(struct s2_headers *out, struct json_iter *it)
{
    struct span key;
    struct json_value value;
    while (json_iter_next(it, &key, &value)) {
        struct span name;
        struct span text;
        int rc = value.type == JSON_STRING ? text_of(out, key, &name) : ERR_INVALID;
        if (rc == 0)
            rc = text_of(out, value.raw, &text);
        if (rc == 0)
            rc = name.len > 0 ? add(out, name, text) : ERR_INVALID;
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* ERR_INVALID: the meta is neither form. */
static int read_object(struct s2_headers *out, struct span meta, bool command)
{
    struct json_iter it;
    struct span key;
    struct json_value value;
    if (json_iter_init(&it, meta) < 0 || it.array)
        return ERR_INVALID;
    struct json_iter start = it;
    if (!json_iter_next(&it, &key, &value))
        return 0;
    if (value.type != JSON_ARRAY || !json_string_is(key, WRAPPED))
        return read_strings(out, &start);
    struct json_value more;
    if (json_iter_next(&it, NULL, &more))
        return ERR_INVALID;
    return read_wrapped(out, value.raw, command);
}

int s2_headers_from_meta(struct s2_headers *out, struct span meta, bool command)
{
    out->count = 0;
    buf_reset(&out->bytes);
    if (meta.len == 0 || span_is(meta, "null"))
        return 0;
    /* Escaped base64 is decoded twice, so no text takes more than twice its room. Metas of plain
     * texts take none. */
    int rc = ERR_INVALID;
    if (meta.ptr[0] == '{') {
        bool plain = !memchr(meta.ptr, '\\', meta.len) &&
                     !memmem(meta.ptr, meta.len, WRAPPED, strlen(WRAPPED));
        rc = plain ? 0 : buf_reserve(&out->bytes, 2 * meta.len);
        if (rc == 0)
            rc = read_object(out, meta, command);
    }
    if (rc != ERR_INVALID)
        return rc;
    out->count = 0;
    return add(out, span_str(WHOLE_META), meta);
}

void s2_headers_finish(struct s2_headers *headers)
{
    free(headers->items);
    buf_finish(&headers->bytes);
    *headers = (struct s2_headers){0};
}
