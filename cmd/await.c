#include "cmd/await.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>

#include "base/clean.h"
#include "base/text.h"
#include "cmd/target.h"

#define PIECE ((size_t)16 * 1024)

/* 0, or -ETIMEDOUT at the deadline (0 = none). */
static int wait_for_data(struct weir *w, uint64_t deadline_us, struct err *err)
{
    struct pollfd fd = {.fd = weir_fd(w), .events = POLLIN};
    for (;;) {
        int wait = -1;
        if (deadline_us > 0) {
            uint64_t now = time_mono_us();
            uint64_t ms = now < deadline_us ? (deadline_us - now) / 1000 + 1 : 0;
            wait = ms < INT_MAX ? (int)ms : INT_MAX;
        }
        int n = poll(&fd, 1, wait);
        if (n > 0)
            return 0;
        if (n == 0)
            return err_set(err, -ETIMEDOUT, "no answer came in time");
        if (errno != EINTR && errno != EAGAIN)
            return err_sys(err, errno, "poll");
    }
}

/* Hands out the whole lines of `rest`. */
static int hand_out(struct buf *rest, int (*line)(void *arg, struct span line), void *arg)
{
    int rc = 0;
    const uint8_t *end;
    while (rc == 0 && rest->len > 0 && (end = memchr(rest->ptr, '\n', rest->len)) != NULL) {
        size_t len = (size_t)(end - rest->ptr);
        if (len > 0)
            rc = line(arg, span_of(rest->ptr, len));
        buf_consume(rest, len + 1);
    }
    return rc;
}

int await_lines(struct weir *w, uint64_t wait_ms, int (*line)(void *arg, struct span line), void *arg, struct err *err)
{
    uint64_t deadline = wait_ms > 0 ? time_mono_us() + wait_ms * 1000 : 0;
    CLEAN_BUF rest = BUF_INIT;
    int rc = 0;
    while (rc == 0) {
        rc = weir_ready(w) ? 0 : wait_for_data(w, deadline, err);
        if (rc == 0 && buf_reserve(&rest, PIECE) != 0)
            rc = err_set(err, -ENOMEM, "out of memory");
        if (rc != 0)
            break;
        long n = weir_read(w, rest.ptr + rest.len, PIECE, err);
        if (n <= 0)
            return (int)n;
        rest.len += (size_t)n;
        rc = hand_out(&rest, line, arg);
    }
    return rc;
}

int await_option(const struct call *call, int id, uint64_t otherwise, uint64_t *ms)
{
    struct err err = ERR_INIT;
    const char *text = call_value(call, id);
    *ms = otherwise;
    if (!text || time_parse_duration(span_str(text), ms, &err) == 0)
        return 0;
    return call_usage(call, "%s", err.text);
}

int await_behind(struct weir *w, struct span topics, const char *after, struct err *err)
{
    CLEAN_BUF target = BUF_INIT;
    CLEAN_BUF list = BUF_INIT;
    struct weir_response res;
    const char *text = buf_add_span(&list, topics) == 0 ? buf_cstr(&list) : NULL;
    if (!text || buf_add_str(&target, "/?follow") != 0 || target_add(&target, "after", after) != 0 ||
        target_add(&target, "topic", text) != 0)
        return err_set(err, -ENOMEM, "out of memory");
    return call_get(w, target_text(&target), &res, err);
}
