#include "daemon/run/spawn_wire.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

enum { FLAG_CONFINE = 1 };
enum { FLAG_SIGNALLED = 1, FLAG_LOST = 2, FLAG_STARVED = 4 };

/* --- encoding ------------------------------------------------------------------------------------
 */

static int add_u8(struct buf *out, unsigned value)
{
    uint8_t byte = (uint8_t)value;
    return buf_add(out, &byte, 1);
}

static int add_u32(struct buf *out, uint32_t value)
{
    uint8_t bytes[4];
    put_be32(bytes, value);
    return buf_add(out, bytes, sizeof(bytes));
}

static int add_u64(struct buf *out, uint64_t value)
{
    uint8_t bytes[8];
    put_be64(bytes, value);
    return buf_add(out, bytes, sizeof(bytes));
}

static int add_text(struct buf *out, const char *text, struct err *err)
{
    size_t len = strlen(text);
    if (len > WIRE_TEXT_MAX) {
        size_t name = strcspn(text, "=");
        return err_set(err, ERR_TOO_LARGE,
                       "%.*s: %zu bytes; a program takes %d in one argument or variable",
                       name < 40 ? (int)name : 40, text, len, WIRE_TEXT_MAX);
    }
    if (add_u32(out, (uint32_t)len) < 0 || buf_add(out, text, len + 1) < 0)
        return err_set(err, -ENOMEM, "no memory to start a program");
    return 0;
}

static int add_texts(struct buf *out, char *const *texts, struct err *err)
{
    uint32_t count = 0;
    while (texts[count])
        count++;
    int rc = add_u32(out, count);
    for (uint32_t i = 0; i < count && rc == 0; i++)
        rc = add_text(out, texts[i], err);
    return rc;
}

static int add_spawn(struct buf *out, const struct wire *m, struct err *err)
{
    int rc = add_u8(out, m->confine ? FLAG_CONFINE : 0);
    rc = rc < 0 ? rc : add_u64(out, m->limits.memory);
    rc = rc < 0 ? rc : add_u64(out, m->limits.cpu_s);
    rc = rc < 0 ? rc : add_u64(out, m->limits.processes);
    rc = rc < 0 ? rc : add_u64(out, m->descriptors);
    rc = rc < 0 ? rc : add_text(out, m->program, err);
    rc = rc < 0 ? rc : add_text(out, m->directory, err);
    rc = rc < 0 ? rc : add_texts(out, m->argv, err);
    return rc < 0 ? rc : add_texts(out, m->envp, err);
}

static int add_ended(struct buf *out, const struct child_end *end)
{
    unsigned flags = (end->signalled ? FLAG_SIGNALLED : 0) | (end->lost ? FLAG_LOST : 0) |
                     (end->starved ? FLAG_STARVED : 0);
    int rc = add_u8(out, flags);
    return rc < 0 ? rc : add_u32(out, (uint32_t)end->code);
}

static int add_body(struct buf *out, const struct wire *m, struct err *err)
{
    int rc;
    switch (m->kind) {
    case WIRE_SPAWN:
        return add_spawn(out, m, err);
    case WIRE_SIGNAL:
    case WIRE_STOP:
        return add_u32(out, m->number);
    case WIRE_STARTED:
        rc = add_u32(out, m->number);
        return rc < 0 ? rc : add_text(out, m->text, err);
    case WIRE_FAILED:
        rc = add_u32(out, (uint32_t)-m->code);
        return rc < 0 ? rc : add_text(out, m->text, err);
    case WIRE_ENDED:
        return add_ended(out, &m->end);
    }
    return err_set(err, ERR_INVALID, "no such message");
}

int wire_encode(struct buf *out, const struct wire *message, struct err *err)
{
    size_t begin = out->len;
    int rc = add_u32(out, 0);
    rc = rc < 0 ? rc : add_u8(out, message->kind);
    rc = rc < 0 ? rc : add_u64(out, message->id);
    rc = rc < 0 ? rc : add_body(out, message, err);
    if (rc == -ENOMEM)
        err_set(err, rc, "no memory to start a program");
    if (rc == 0 && out->len - begin > WIRE_MAX)
        rc = err_set(err, ERR_TOO_LARGE,
                     "arguments and environment are %zu bytes; a program takes %d",
                     out->len - begin, WIRE_MAX);
    if (rc < 0)
        out->len = begin;
    else
        put_be32(out->ptr + begin, (uint32_t)(out->len - begin - 4));
    return rc;
}

/* --- decoding
 * --------------------------------------------------------------------------------------- */

/* What is left of a message. `bad` stays once it is set, and everything read then is zero. */
struct rest {
    const uint8_t *ptr;
    size_t len;
    bool bad;
};

static const uint8_t *take(struct rest *rest, size_t len)
{
    const uint8_t *ptr = rest->ptr;
    if (rest->bad || rest->len < len) {
        rest->bad = true;
        return NULL;
    }
    rest->ptr += len;
    rest->len -= len;
    return ptr;
}

static uint8_t take_u8(struct rest *rest)
{
    const uint8_t *p = take(rest, 1);
    return p ? *p : 0;
}

static uint32_t take_u32(struct rest *rest)
{
    const uint8_t *p = take(rest, 4);
    return p ? get_be32(p) : 0;
}

static uint64_t take_u64(struct rest *rest)
{
    const uint8_t *p = take(rest, 8);
    return p ? get_be64(p) : 0;
}

static const char *take_text(struct rest *rest)
{
    size_t len = take_u32(rest);
    const uint8_t *p = len <= WIRE_TEXT_MAX ? take(rest, len + 1) : NULL;
    if (!p || memchr(p, 0, len + 1) != p + len) {
        rest->bad = true;
        return "";
    }
    return (const char *)p;
}

/* A text takes five bytes at least, so the count is bounded by what came. */
static int take_texts(struct rest *rest, char *const **out)
{
    size_t count = take_u32(rest);
    if (rest->bad || count > rest->len / 5) {
        rest->bad = true;
        return ERR_INVALID;
    }
    const char **texts = calloc(count + 1, sizeof(*texts));
    if (!texts)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++)
        texts[i] = take_text(rest);
    *out = (char *const *)texts;
    return 0;
}

static int take_spawn(struct rest *rest, struct wire *out)
{
    uint8_t flags = take_u8(rest);
    out->confine = flags & FLAG_CONFINE;
    out->limits.memory = take_u64(rest);
    out->limits.cpu_s = take_u64(rest);
    out->limits.processes = take_u64(rest);
    out->descriptors = take_u64(rest);
    out->program = take_text(rest);
    out->directory = take_text(rest);
    int rc = take_texts(rest, &out->argv);
    rc = rc < 0 ? rc : take_texts(rest, &out->envp);
    if (rc == 0 && (flags > FLAG_CONFINE || !out->argv[0]))
        rest->bad = true;
    return rc;
}

static void take_ended(struct rest *rest, struct wire *out)
{
    uint8_t flags = take_u8(rest);
    uint32_t code = take_u32(rest);
    out->end.signalled = flags & FLAG_SIGNALLED;
    out->end.lost = flags & FLAG_LOST;
    out->end.starved = flags & FLAG_STARVED;
    out->end.code = (int)code;
    if (flags > (FLAG_SIGNALLED | FLAG_LOST | FLAG_STARVED) || code > 255)
        rest->bad = true;
}

static void take_failed(struct rest *rest, struct wire *out)
{
    uint32_t code = take_u32(rest);
    out->text = take_text(rest);
    if (code == 0 || code > 4096)
        rest->bad = true;
    else
        out->code = -(int)code;
}

static int take_body(struct rest *rest, struct wire *out)
{
    switch (out->kind) {
    case WIRE_SPAWN:
        return take_spawn(rest, out);
    case WIRE_SIGNAL:
    case WIRE_STOP:
        out->number = take_u32(rest);
        return 0;
    case WIRE_STARTED:
        out->number = take_u32(rest);
        out->text = take_text(rest);
        return 0;
    case WIRE_FAILED:
        take_failed(rest, out);
        return 0;
    case WIRE_ENDED:
        take_ended(rest, out);
        return 0;
    }
    return ERR_INVALID;
}

long wire_size(const uint8_t *bytes, size_t len)
{
    if (len < 4)
        return 0;
    uint32_t size = get_be32(bytes);
    if (size < WIRE_HEAD - 4 || size > WIRE_MAX - 4)
        return ERR_INVALID;
    return len - 4 < size ? 0 : (long)size + 4;
}

int wire_decode(struct wire *out, const uint8_t *bytes, size_t size)
{
    if (wire_size(bytes, size) != (long)size || size == 0)
        return ERR_INVALID;
    struct rest rest = {.ptr = bytes + 4, .len = size - 4};
    struct wire message = {0};
    message.kind = (enum wire_kind)take_u8(&rest);
    message.id = take_u64(&rest);
    int rc = take_body(&rest, &message);
    if (rc == 0 && (rest.bad || rest.len > 0))
        rc = ERR_INVALID;
    if (rc < 0) {
        wire_finish(&message);
        return rc;
    }
    *out = message;
    return 0;
}

void wire_finish(struct wire *message)
{
    free((void *)message->argv);
    free((void *)message->envp);
    message->argv = NULL;
    message->envp = NULL;
}
