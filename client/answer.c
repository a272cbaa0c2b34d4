/*
 * The HTTP/1.1 answer parser. See answer.h.
 */
#include "client/answer.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "base/text.h"

void answer_reset(struct answer *a, bool head_only)
{
    struct buf line = a->line;
    struct buf fields = a->fields;
    struct buf trailers = a->trailers;

    buf_reset(&line);
    buf_reset(&fields);
    buf_reset(&trailers);
    *a = (struct answer){
        .head_only = head_only, .line = line, .fields = fields, .trailers = trailers};
}

void answer_finish(struct answer *a)
{
    buf_finish(&a->line);
    buf_finish(&a->fields);
    buf_finish(&a->trailers);
}

/*
 * Moves bytes up to a line end into a->line. 1 when the line is complete (then without its end), 0
 * when `in` is used up.
 */
static int take_line(struct answer *a, struct span in, size_t *used, struct err *err)
{
    struct span rest = span_of(in.ptr + *used, in.len - *used);
    const uint8_t *end = rest.len > 0 ? memchr(rest.ptr, '\n', rest.len) : NULL;
    size_t len = end ? (size_t)(end - rest.ptr) : rest.len;

    a->line_bytes += len;
    if (a->line_bytes > ANSWER_HEAD_MAX)
        return err_set(err, -EPROTO, "the answer's head is over %d bytes", ANSWER_HEAD_MAX);
    if (len > 0 && memchr(rest.ptr, 0, len))
        return err_set(err, -EPROTO, "the answer's head holds a NUL byte");
    if (buf_add(&a->line, rest.ptr, len) < 0)
        return err_set(err, -ENOMEM, "no memory for the answer's head");
    *used += end ? len + 1 : len;
    if (!end)
        return 0;
    if (a->line.len > 0 && a->line.ptr[a->line.len - 1] == '\r')
        a->line.len--;
    return 1;
}

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static int parse_status(struct answer *a, struct err *err)
{
    const uint8_t *p = a->line.ptr;
    bool fits = a->line.len >= 12 && memcmp(p, "HTTP/1.", 7) == 0 && is_digit(p[7]) &&
                p[8] == ' ' && p[9] >= '1' && p[9] <= '9' && is_digit(p[10]) && is_digit(p[11]) &&
                (a->line.len == 12 || p[12] == ' ');

    if (!fits)
        return err_set(err, -EPROTO,
                       "the answer is no HTTP/1.1; is another server listening there?");
    a->status = (p[9] - '0') * 100 + (p[10] - '0') * 10 + (p[11] - '0');
    a->keep = p[7] != '0';
    a->part = ANSWER_FIELDS;
    return 0;
}

/* Whether a comma-separated list holds the word. */
static bool list_has(struct span list, const char *word)
{
    while (list.len > 0) {
        const uint8_t *comma = memchr(list.ptr, ',', list.len);
        size_t len = comma ? (size_t)(comma - list.ptr) : list.len;
        if (text_is_word(text_trim(span_of(list.ptr, len)), word))
            return true;
        len += comma != NULL;
        list = span_of(list.ptr + len, list.len - len);
    }
    return false;
}

static int take_length(struct answer *a, struct span value, struct err *err)
{
    uint64_t length;

    if (text_u64(value, &length) < 0 || (a->has_length && length != a->length))
        return err_set(err, -EPROTO, "the answer's Content-Length makes no sense");
    a->has_length = true;
    a->length = length;
    return 0;
}

/* The headers that say how the body is framed and whether the connection stays. */
static int use_field(struct answer *a, struct span name, struct span value, struct err *err)
{
    if (text_is_word(name, "content-length"))
        return take_length(a, value, err);
    if (text_is_word(name, "transfer-encoding")) {
        if (!text_is_word(value, "chunked") || a->chunked)
            return err_set(err, -EPROTO, "the answer has a transfer coding that is not understood");
        a->chunked = true;
    } else if (text_is_word(name, "connection")) {
        if (list_has(value, "close"))
            a->keep = false;
        else if (list_has(value, "keep-alive"))
            a->keep = true;
    }
    return 0;
}

static int keep_field(struct buf *fields, struct span name, struct span value, struct err *err)
{
    if (buf_reserve(fields, name.len + value.len + 2) < 0)
        return err_set(err, -ENOMEM, "no memory for the answer's head");
    for (size_t i = 0; i < name.len; i++) {
        uint8_t c = name.ptr[i];
        buf_put(fields, c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c);
    }
    buf_put(fields, 0);
    buf_add_span(fields, value);
    buf_put(fields, 0);
    return 0;
}

static int split_field(const struct answer *a, struct span *name, struct span *value,
                       struct err *err)
{
    const uint8_t *colon = memchr(a->line.ptr, ':', a->line.len);
    size_t len = colon ? (size_t)(colon - a->line.ptr) : 0;

    *name = span_of(a->line.ptr, len);
    if (len == 0 || memchr(name->ptr, ' ', len) || memchr(name->ptr, '\t', len))
        return err_set(err, -EPROTO, "the answer holds a line that is no header");
    *value = text_trim(span_of(colon + 1, a->line.len - len - 1));
    return 0;
}

static int parse_field(struct answer *a, struct err *err)
{
    struct span name, value;
    int rc = split_field(a, &name, &value, err);

    if (rc == 0)
        rc = use_field(a, name, value, err);
    return rc == 0 ? keep_field(&a->fields, name, value, err) : rc;
}

/* A trailer field changes nothing of how the answer is framed, whatever its name. */
static int parse_trailer(struct answer *a, struct err *err)
{
    struct span name, value;
    int rc = split_field(a, &name, &value, err);

    return rc == 0 ? keep_field(&a->trailers, name, value, err) : rc;
}

static void begin_body(struct answer *a)
{
    bool none = a->head_only || a->status == 204 || a->status == 304;

    a->line_bytes = 0;
    if (none) {
        a->part = ANSWER_ENDED;
    } else if (a->chunked) {
        /* Both framings at once is how requests are smuggled past proxies: trust nothing after it.
         */
        if (a->has_length)
            a->keep = false;
        a->has_length = false;
        a->part = ANSWER_CHUNK_SIZE;
    } else if (a->has_length) {
        a->left = a->length;
        a->part = a->left > 0 ? ANSWER_SIZED : ANSWER_ENDED;
    } else {
        a->keep = false;
        a->part = ANSWER_TO_END;
    }
}

/* The empty line after the headers: 1 when a body follows, 0 when this was an interim answer. */
static int end_head(struct answer *a, struct err *err)
{
    if (a->status == 101)
        return err_set(err, -EPROTO, "the server changed to another protocol unasked");
    if (a->status >= 200) {
        begin_body(a);
        return 1;
    }
    buf_reset(&a->fields);
    a->has_length = a->chunked = false;
    a->part = ANSWER_STATUS;
    return 0;
}

int answer_head(struct answer *a, struct span in, size_t *used, struct err *err)
{
    int rc;

    *used = 0;
    if (in.len > 0)
        a->begun = true;
    while (a->part <= ANSWER_FIELDS) {
        rc = take_line(a, in, used, err);
        if (rc <= 0)
            return rc;
        if (a->part == ANSWER_STATUS)
            rc = parse_status(a, err);
        else if (a->line.len > 0)
            rc = parse_field(a, err);
        else
            rc = end_head(a, err);
        buf_reset(&a->line);
        if (rc < 0)
            return rc;
    }
    return 1;
}

static int hex_digit(uint8_t c)
{
    if (is_digit(c))
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int parse_chunk_size(struct answer *a, struct err *err)
{
    uint64_t size = 0;
    size_t i = 0;

    for (; i < a->line.len && hex_digit(a->line.ptr[i]) >= 0; i++) {
        if (size >> 60)
            return err_set(err, -EPROTO, "the answer holds a chunk over 2^64 bytes");
        size = size << 4 | (uint64_t)hex_digit(a->line.ptr[i]);
    }
    uint8_t after = i < a->line.len ? a->line.ptr[i] : ';';
    if (i == 0 || (after != ';' && after != ' ' && after != '\t'))
        return err_set(err, -EPROTO, "the answer holds a broken chunk size");
    a->line_bytes = 0;
    a->left = size;
    a->part = size > 0 ? ANSWER_CHUNK_DATA : ANSWER_TRAILER;
    return 0;
}

/* Takes one line between the chunks. 1 when there was one, 0 when more bytes are needed. */
static int take_framing(struct answer *a, struct span in, size_t *used, struct err *err)
{
    int rc = take_line(a, in, used, err);

    if (rc <= 0)
        return rc;
    rc = 0;
    if (a->part == ANSWER_CHUNK_SIZE) {
        rc = parse_chunk_size(a, err);
    } else if (a->part == ANSWER_CHUNK_END) {
        if (a->line.len > 0)
            rc = err_set(err, -EPROTO, "a chunk of the answer is longer than its size says");
        a->line_bytes = 0;
        a->part = ANSWER_CHUNK_SIZE;
    } else if (a->line.len > 0) {
        rc = parse_trailer(a, err);
    } else {
        a->part = ANSWER_ENDED;
    }
    buf_reset(&a->line);
    return rc < 0 ? rc : 1;
}

/* Copies what the present part of the body allows. */
static size_t take_data(struct answer *a, struct span in, size_t *used, uint8_t *into, size_t room)
{
    size_t n = in.len - *used < room ? in.len - *used : room;

    if (a->part != ANSWER_TO_END && n > a->left)
        n = (size_t)a->left;
    if (n > 0)
        memcpy(into, in.ptr + *used, n);
    *used += n;
    if (a->part == ANSWER_TO_END)
        return n;
    a->left -= n;
    if (a->left == 0)
        a->part = a->part == ANSWER_SIZED ? ANSWER_ENDED : ANSWER_CHUNK_END;
    return n;
}

long answer_body(struct answer *a, struct span in, size_t *used, void *into, size_t room,
                 struct err *err)
{
    size_t got = 0;

    *used = 0;
    while (a->part != ANSWER_ENDED && *used < in.len) {
        bool data =
            a->part == ANSWER_SIZED || a->part == ANSWER_TO_END || a->part == ANSWER_CHUNK_DATA;
        if (data && got == room)
            break;
        if (data) {
            got += take_data(a, in, used, (uint8_t *)into + got, room - got);
            continue;
        }
        int rc = take_framing(a, in, used, err);
        if (rc < 0)
            return rc;
    }
    return (long)got;
}

int answer_eof(struct answer *a, struct err *err)
{
    if (a->part == ANSWER_TO_END)
        a->part = ANSWER_ENDED;
    if (a->part == ANSWER_ENDED)
        return 0;
    if (!a->begun)
        return err_set(err, ERR_CUT, "the connection ended before an answer came");
    return err_set(err, ERR_CUT, "the connection ended in the middle of the answer");
}

static const char *find_field(const struct buf *fields, const char *name)
{
    const char *p = (const char *)fields->ptr;
    const char *end = p ? p + fields->len : p;

    while (p < end) {
        const char *value = p + strlen(p) + 1;
        if (strcasecmp(p, name) == 0)
            return value;
        p = value + strlen(value) + 1;
    }
    return NULL;
}

const char *answer_field(const struct answer *a, const char *name)
{
    return find_field(&a->fields, name);
}

const char *answer_trailer(const struct answer *a, const char *name)
{
    return a->part == ANSWER_ENDED ? find_field(&a->trailers, name) : NULL;
}
