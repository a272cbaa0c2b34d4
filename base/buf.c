#include "base/buf.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define FIRST_CAP 64

int buf_reserve(struct buf *buf, size_t extra)
{
    if (extra <= buf->cap - buf->len)
        return 0;
    if (extra > SIZE_MAX / 2 - buf->len)
        return -ENOMEM;
    size_t need = buf->len + extra;
    size_t cap = buf->cap < FIRST_CAP ? FIRST_CAP : buf->cap;
    while (cap < need)
        cap *= 2;
    uint8_t *ptr = realloc(buf->ptr, cap);
    if (!ptr)
        return -ENOMEM;
    buf->ptr = ptr;
    buf->cap = cap;
    return 0;
}

void buf_trim(struct buf *buf)
{
    if (buf->len == 0 || buf->cap - buf->len < buf->cap / 8)
        return;
    uint8_t *ptr = realloc(buf->ptr, buf->len);
    if (!ptr)
        return;
    buf->ptr = ptr;
    buf->cap = buf->len;
}

int buf_add(struct buf *buf, const void *bytes, size_t len)
{
    if (len == 0)
        return 0;
    int rc = buf_reserve(buf, len);
    if (rc < 0)
        return rc;
    memcpy(buf->ptr + buf->len, bytes, len);
    buf->len += len;
    return 0;
}

int buf_add_span(struct buf *buf, struct span s)
{
    return buf_add(buf, s.ptr, s.len);
}

int buf_add_str(struct buf *buf, const char *text)
{
    return buf_add(buf, text, strlen(text));
}

int buf_addf(struct buf *buf, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int len = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (len < 0)
        return -ENOMEM;
    size_t room = (size_t)len + 1; /* vsnprintf writes a NUL as well */
    int rc = buf_reserve(buf, room);
    if (rc < 0)
        return rc;
    va_start(args, fmt);
    vsnprintf((char *)buf->ptr + buf->len, room, fmt, args);
    va_end(args);
    buf->len += (size_t)len;
    return 0;
}

void buf_consume(struct buf *buf, size_t n)
{
    if (n == 0)
        return;
    buf->len -= n;
    memmove(buf->ptr, buf->ptr + n, buf->len);
}

size_t buf_copy(const struct buf *buf, size_t *at, void *into, size_t room)
{
    size_t len = buf->len - *at;
    if (len > room)
        len = room;
    if (len > 0)
        memcpy(into, buf->ptr + *at, len);
    *at += len;
    return len;
}

const char *buf_cstr(struct buf *buf)
{
    if (buf_reserve(buf, 1) < 0)
        return NULL;
    buf->ptr[buf->len] = '\0';
    return (const char *)buf->ptr;
}

void buf_finish(struct buf *buf)
{
    free(buf->ptr);
    *buf = BUF_INIT;
}
