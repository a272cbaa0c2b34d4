#include <errno.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/json_run.h"
#include "base/text.h"
#include "base/utf8.h"
#include "bridge/json_number.h"
#include "bridge/show.h"

#define DEPTH_MAX 127
#define FEW 16 /* members without an allocation */

/* A member of an object that is being printed: its key's characters, and where key and value stand in the output. */
struct member {
    struct span key;   /* points into the text, or, where ptr is NULL: */
    size_t decoded_at; /* into `decoded` */
    size_t at, len;
};

/* One pass: what was read is printed at once; members are put in order when their object ends. */
struct again {
    const uint8_t *at, *end;
    struct buf *out;
    struct buf decoded;     /* keys that have escapes */
    struct member *members; /* of the objects that are open, the innermost behind the others */
    size_t count, cap;
    struct member few[FEW];
    int depth;
};

static int value(struct again *a);

static void skip_blanks(struct again *a)
{
    while (a->at < a->end && (*a->at == ' ' || *a->at == '\n' || *a->at == '\r' || *a->at == '\t'))
        a->at++;
}

static bool is_next(const struct again *a, uint8_t c)
{
    return a->at < a->end && *a->at == c;
}

static bool take(struct again *a, uint8_t c)
{
    if (!is_next(a, c))
        return false;
    a->at++;
    return true;
}

/* There is always room for as much as is still to be read: nothing but a double gets longer than it was. */
static inline void put(struct again *a, const void *bytes, size_t len)
{
    memcpy(a->out->ptr + a->out->len, bytes, len);
    a->out->len += len;
}

static inline void put_byte(struct again *a, uint8_t c)
{
    buf_put(a->out, c);
}

/* --- strings ---------------------------------------------------------------------------------- */

static bool hex4(struct again *a, uint32_t *out)
{
    uint32_t v = 0;
    if (a->end - a->at < 4)
        return false;
    for (int i = 0; i < 4; i++) {
        uint8_t c = *a->at++;
        uint8_t lower = c | 0x20;
        if (c >= '0' && c <= '9')
            v = v << 4 | (uint32_t)(c - '0');
        else if (lower >= 'a' && lower <= 'f')
            v = v << 4 | (uint32_t)(lower - 'a' + 10);
        else
            return false;
    }
    *out = v;
    return true;
}

/* Behind "\u". */
static int code_point(struct again *a, uint32_t *out)
{
    uint32_t low;
    if (!hex4(a, out) || (*out >= 0xdc00 && *out <= 0xdfff))
        return ERR_INVALID;
    if (*out < 0xd800 || *out > 0xdbff)
        return 0;
    if (!take(a, '\\') || !take(a, 'u') || !hex4(a, &low) || low < 0xdc00 || low > 0xdfff)
        return ERR_INVALID;
    *out = 0x10000 + ((*out - 0xd800) << 10) + (low - 0xdc00);
    return 0;
}

/* A character as it stands in a string that is printed. */
static int put_character(struct again *a, uint32_t code)
{
    uint8_t bytes[4];
    size_t before = a->out->len;
    int rc = json_put_string(a->out, span_of(bytes, utf8_put(bytes, code)));
    if (rc != 0)
        return rc;
    /* Without its quotes. */
    size_t len = a->out->len - before - 2;
    memmove(a->out->ptr + before, a->out->ptr + before + 1, len);
    a->out->len = before + len;
    return buf_reserve(a->out, (size_t)(a->end - a->at));
}

/* At a backslash. */
static int escape(struct again *a)
{
    uint32_t code;
    if (a->end - a->at < 2)
        return ERR_INVALID;
    uint8_t c = a->at[1];
    a->at += 2;
    switch (c) {
    case '/':
        put_byte(a, '/');
        return 0;
    case '"':
    case '\\':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't':
        put(a, a->at - 2, 2);
        return 0;
    case 'u': {
        int rc = code_point(a, &code);
        return rc == 0 ? put_character(a, code) : rc;
    }
    default:
        return ERR_INVALID;
    }
}

/* A whole string; `escaped`: whether there was an escape in it. */
static int string(struct again *a, bool *escaped)
{
    const uint8_t *run = a->at++;
    *escaped = false;
    for (;;) {
        a->at = json_run_end(a->at, a->end);
        if (a->at == a->end || *a->at < 0x20)
            return ERR_INVALID;
        if (*a->at == '"') {
            put(a, run, (size_t)(++a->at - run));
            return 0;
        }
        if (*a->at == '\\') {
            *escaped = true;
            put(a, run, (size_t)(a->at - run));
            int rc = escape(a);
            if (rc != 0)
                return rc;
            run = a->at;
        } else {
            size_t len = utf8_length(a->at, (size_t)(a->end - a->at));
            if (len == 0)
                return ERR_INVALID;
            a->at += len;
        }
    }
}

/* --- objects ---------------------------------------------------------------------------------- */

static struct span key_of(const struct again *a, const struct member *m)
{
    return m->key.ptr ? m->key : span_of(a->decoded.ptr + m->decoded_at, m->key.len);
}

static int compare_keys(struct span x, struct span y)
{
    size_t len = x.len < y.len ? x.len : y.len;
    int order = len > 0 ? memcmp(x.ptr, y.ptr, len) : 0;
    return order != 0 ? order : (x.len > y.len) - (x.len < y.len);
}

static int by_key(const void *x, const void *y, void *arg)
{
    const struct member *m = x, *n = y;
    int order = compare_keys(key_of(arg, m), key_of(arg, n));
    return order != 0 ? order : (m->at > n->at) - (m->at < n->at);
}

/* The members from `first` on, which stand in the output from `from` on: sorted, of equal keys the last. */
static int arrange(struct again *a, size_t first, size_t from)
{
    struct member *m = a->members + first;
    size_t count = a->count - first;
    CLEAN_BUF sorted = BUF_INIT;
    qsort_r(m, count, sizeof(*m), by_key, a);
    for (size_t i = 0; i < count; i++) {
        if (i + 1 < count && compare_keys(key_of(a, &m[i]), key_of(a, &m[i + 1])) == 0)
            continue;
        if ((sorted.len > 0 && buf_add(&sorted, ",", 1) != 0) || buf_add(&sorted, a->out->ptr + m[i].at, m[i].len) != 0)
            return -ENOMEM;
    }
    a->out->len = from;
    put(a, sorted.ptr, sorted.len);
    return 0;
}

/* A key as it stands in the text, with quotes. */
static int keep_key(struct again *a, struct member *m, struct span raw, bool escaped)
{
    m->key = span_of(raw.ptr + 1, raw.len - 2);
    if (!escaped)
        return 0;
    m->decoded_at = a->decoded.len;
    int rc = json_string_decode(raw, &a->decoded, NULL);
    m->key = span_of(NULL, a->decoded.len - m->decoded_at);
    return rc;
}

static int push(struct again *a, const struct member *m)
{
    if (a->count == a->cap) {
        bool first = a->members == a->few;
        struct member *more = realloc(first ? NULL : a->members, a->cap * 2 * sizeof(*more));
        if (!more)
            return -ENOMEM;
        if (first)
            memcpy(more, a->few, sizeof(a->few));
        a->members = more;
        a->cap *= 2;
    }
    a->members[a->count++] = *m;
    return 0;
}

static int member(struct again *a)
{
    struct member m = {.at = a->out->len};
    bool escaped;
    const uint8_t *begin = a->at;
    if (!is_next(a, '"'))
        return ERR_INVALID;
    int rc = string(a, &escaped);
    if (rc == 0)
        rc = keep_key(a, &m, span_of(begin, (size_t)(a->at - begin)), escaped);
    if (rc != 0)
        return rc;
    skip_blanks(a);
    if (!take(a, ':'))
        return ERR_INVALID;
    skip_blanks(a);
    put_byte(a, ':');
    rc = value(a);
    m.len = a->out->len - m.at;
    return rc == 0 ? push(a, &m) : rc;
}

static bool in_order(const struct again *a, size_t first)
{
    return a->count - first < 2 ||
           compare_keys(key_of(a, &a->members[a->count - 2]), key_of(a, &a->members[a->count - 1])) < 0;
}

static int object(struct again *a)
{
    size_t first = a->count, from = a->out->len, decoded = a->decoded.len;
    bool sorted = true;
    skip_blanks(a);
    if (take(a, '}'))
        return 0;
    for (;;) {
        int rc = member(a);
        if (rc != 0)
            return rc;
        sorted = sorted && in_order(a, first);
        skip_blanks(a);
        if (!is_next(a, ','))
            break;
        a->at++;
        put_byte(a, ',');
        skip_blanks(a);
    }
    int rc = sorted ? 0 : arrange(a, first, from);
    a->count = first;
    a->decoded.len = decoded;
    return rc != 0 ? rc : take(a, '}') ? 0 : ERR_INVALID;
}

/* --- values ----------------------------------------------------------------------------------- */

static int array(struct again *a)
{
    skip_blanks(a);
    if (take(a, ']'))
        return 0;
    for (;;) {
        int rc = value(a);
        if (rc != 0)
            return rc;
        skip_blanks(a);
        if (!is_next(a, ','))
            return take(a, ']') ? 0 : ERR_INVALID;
        a->at++;
        put_byte(a, ',');
        skip_blanks(a);
    }
}

/* At the bracket. */
static int container(struct again *a, uint8_t open, uint8_t close, int (*inside)(struct again *))
{
    if (a->depth == DEPTH_MAX)
        return ERR_INVALID;
    a->depth++;
    a->at++;
    put_byte(a, open);
    int rc = inside(a);
    a->depth--;
    if (rc == 0)
        put_byte(a, close);
    return rc;
}

static int literal(struct again *a, const char *word)
{
    size_t len = strlen(word);
    if ((size_t)(a->end - a->at) < len || memcmp(a->at, word, len) != 0)
        return ERR_INVALID;
    a->at += len;
    put(a, word, len);
    return 0;
}

static int value(struct again *a)
{
    bool escaped;
    if (a->at == a->end)
        return ERR_INVALID;
    switch (*a->at) {
    case '{':
        return container(a, '{', '}', object);
    case '[':
        return container(a, '[', ']', array);
    case '"':
        return string(a, &escaped);
    case 't':
        return literal(a, "true");
    case 'f':
        return literal(a, "false");
    case 'n':
        return literal(a, "null");
    default:
        return json_number_again(&a->at, a->end, a->out);
    }
}

/* Most texts are none, which their first byte tells. */
static bool may_be_json(struct span text)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        if (c != ' ' && c != '\n' && c != '\r' && c != '\t')
            return c == '{' || c == '[' || c == '"' || c == '-' || (c >= '0' && c <= '9') || c == 't' || c == 'f' || c == 'n';
    }
    return false;
}

int ss_json_again(struct buf *out, struct span text)
{
    size_t before = out->len;
    if (!may_be_json(text))
        return ERR_INVALID;
    if (buf_reserve(out, text.len) != 0)
        return -ENOMEM;
    struct again a;
    a.at = text.ptr;
    a.end = text.ptr + text.len;
    a.out = out;
    a.decoded = BUF_INIT;
    a.members = a.few;
    a.count = 0;
    a.cap = FEW;
    a.depth = 0;
    skip_blanks(&a);
    int rc = value(&a);
    skip_blanks(&a);
    if (rc == 0 && a.at < a.end)
        rc = ERR_INVALID;
    if (rc != 0)
        out->len = before;
    if (a.members != a.few)
        free(a.members);
    buf_finish(&a.decoded);
    return rc;
}
