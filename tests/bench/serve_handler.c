/*
 * The handler of the serving benchmark, to be registered as a program in mode "stream": answers every http.request on
 * its standard input with 200 and a few bytes. As much as was read at once is answered by one write.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"

#define ID_LEN 25

/* The line's frame id; NULL when it is no request. */
static const char *id_of(const char *line, size_t len)
{
    static const char topic[] = "{\"topic\":\"http.request\"", key[] = "\"id\":\"";
    if (len < sizeof(topic) || memcmp(line, topic, sizeof(topic) - 1) != 0)
        return NULL;
    const char *at = memmem(line, len, key, sizeof(key) - 1);
    return at && (size_t)(line + len - at) > sizeof(key) + ID_LEN ? at + sizeof(key) - 1 : NULL;
}

static int answer(struct buf *out, const char *line, size_t len)
{
    const char *id = id_of(line, len);
    if (!id)
        return 0;
    return buf_addf(out,
                    "{\"topic\":\"http.response\",\"ttl\":\"ephemeral\",\"meta\":{\"request_id\":"
                    "\"%.*s\"},\"content\":\"hello\\n\"}\n",
                    ID_LEN, id);
}

static int answer_lines(struct buf *in, struct buf *out)
{
    size_t at = 0;
    char *end;
    int rc = 0;
    while (rc == 0 && (end = memchr(in->ptr + at, '\n', in->len - at))) {
        const char *line = (const char *)in->ptr + at;
        rc = answer(out, line, (size_t)(end - line));
        at = (size_t)((uint8_t *)end - in->ptr) + 1;
    }
    buf_consume(in, at);
    return rc;
}

static int write_all(struct buf *out)
{
    size_t at = 0;
    while (at < out->len) {
        ssize_t n = write(STDOUT_FILENO, out->ptr + at, out->len - at);
        if (n <= 0)
            return -1;
        at += (size_t)n;
    }
    buf_reset(out);
    return 0;
}

int main(void)
{
    struct buf in = BUF_INIT, out = BUF_INIT;
    ssize_t n;
    do {
        if (buf_reserve(&in, 65536) < 0)
            return 1;
        n = read(STDIN_FILENO, in.ptr + in.len, in.cap - in.len);
        if (n > 0)
            in.len += (size_t)n;
        if (n > 0 && (answer_lines(&in, &out) < 0 || write_all(&out) < 0))
            return 1;
    } while (n > 0);
    buf_finish(&in);
    buf_finish(&out);
    return n < 0;
}
