#include "cmd/output.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COPY_SIZE ((size_t)256 * 1024)

int output_write(struct span bytes, struct err *err)
{
    while (bytes.len > 0) {
        ssize_t n = write(STDOUT_FILENO, bytes.ptr, bytes.len);
        if (n >= 0) {
            bytes = span_of(bytes.ptr + n, bytes.len - (size_t)n);
        } else if (errno == EPIPE) {
            return OUTPUT_GONE;
        } else if (errno == EAGAIN) {
            struct pollfd full = {.fd = STDOUT_FILENO, .events = POLLOUT};
            poll(&full, 1, -1);
        } else if (errno != EINTR) {
            return err_sys(err, errno, "write to standard output");
        }
    }
    return 0;
}

int output_line(const struct call *call, struct span text)
{
    struct err err = ERR_INIT;
    CLEAN_BUF line = BUF_INIT;
    if (buf_add_span(&line, text) != 0 || buf_add_str(&line, "\n") != 0)
        return call_failf(call, "out of memory");
    return output_write(buf_span(&line), &err) < 0 ? call_fail(call, &err) : 0;
}

/* Waits until the answer goes on. OUTPUT_GONE when nobody reads stdout any more; files and
 * terminals never report that, so for them it only waits for the answer. */
static int wait_for_data(struct weir *w, struct err *err)
{
    struct pollfd fds[2] = {{.fd = weir_fd(w), .events = POLLIN}, {.fd = STDOUT_FILENO}};
    while (poll(fds, 2, -1) < 0) {
        if (errno != EINTR)
            return err_sys(err, errno, "poll");
    }
    return (fds[1].revents & (POLLERR | POLLHUP)) && !isatty(STDOUT_FILENO) ? OUTPUT_GONE : 0;
}

/* Reads what is here, at least something: many small chunks become one write. 0 at the end. */
static long gather(struct weir *w, uint8_t *into, size_t room, struct err *err)
{
    long n = weir_read(w, into, room, err);
    size_t got = n > 0 ? (size_t)n : 0;
    while (n > 0 && got < room && weir_fd(w) >= 0 && weir_ready(w)) {
        n = weir_read(w, into + got, room - got, NULL);
        got += n > 0 ? (size_t)n : 0;
    }
    return got > 0 ? (long)got : n;
}

static int plain(void *arg, struct span bytes, struct err *err)
{
    (void)arg;
    return output_write(bytes, err);
}

int output_copy(struct weir *w, int (*each)(void *arg, struct span bytes, struct err *err),
                void *arg, struct err *err)
{
    CLEAN_BUF chunk = BUF_INIT;
    if (buf_reserve(&chunk, COPY_SIZE) != 0)
        return err_set(err, -ENOMEM, "out of memory");
    for (;;) {
        int rc = weir_ready(w) ? 0 : wait_for_data(w, err);
        if (rc != 0)
            return rc;
        long n = gather(w, chunk.ptr, COPY_SIZE, err);
        if (n <= 0)
            return (int)n;
        rc = (each ? each : plain)(arg, span_of(chunk.ptr, (size_t)n), err);
        if (rc != 0)
            return rc;
    }
}

static int hand_out(struct output_lines *lines, struct err *err)
{
    int rc = lines->line(lines->arg, buf_span(&lines->rest), &lines->text);
    buf_reset(&lines->rest);
    return rc == 0 ? 0 : err_set(err, -ENOMEM, "out of memory");
}

static int flush(struct output_lines *lines, struct err *err)
{
    int rc = output_write(buf_span(&lines->text), err);
    buf_reset(&lines->text);
    return rc;
}

int output_each_line(void *arg, struct span bytes, struct err *err)
{
    struct output_lines *lines = arg;
    while (bytes.len > 0) {
        const uint8_t *end = memchr(bytes.ptr, '\n', bytes.len);
        size_t len = end ? (size_t)(end - bytes.ptr) : bytes.len;
        if (buf_add(&lines->rest, bytes.ptr, len) != 0)
            return err_set(err, -ENOMEM, "out of memory");
        if (!end)
            break;
        int rc = hand_out(lines, err);
        if (rc != 0)
            return rc;
        bytes = span_of(end + 1, bytes.len - len - 1);
    }
    return flush(lines, err);
}

int output_last_line(struct output_lines *lines, struct err *err)
{
    int rc = lines->rest.len > 0 ? hand_out(lines, err) : 0;
    return rc == 0 ? flush(lines, err) : rc;
}

void output_lines_finish(struct output_lines *lines)
{
    buf_finish(&lines->rest);
    buf_finish(&lines->text);
}
