#include "daemon/run/input_pipe.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define PIPE_SIZE (256 * 1024)

static size_t waiting(const struct input_pipe *p)
{
    return p->waiting.len - p->at;
}

/* Pipes' pages are shared by all of a user's programs, so only a pipe that holds somebody up gets more of them. */
static bool widen(struct input_pipe *p, size_t left)
{
    if (p->widened || left < INPUT_BACKLOG)
        return false;
    p->widened = true;
    return fcntl(p->end.fd, F_SETPIPE_SZ, PIPE_SIZE) >= 0;
}

/* Writes what the pipe takes; 0 also when it is full, -EPIPE when nobody reads it any more. */
static long write_some(struct input_pipe *p, struct span bytes)
{
    size_t done = 0;
    while (done < bytes.len) {
        ssize_t n = write(p->end.fd, bytes.ptr + done, bytes.len - done);
        if (n > 0)
            done += (size_t)n;
        else if (n < 0 && errno == EAGAIN && !widen(p, bytes.len - done))
            break;
        else if (n < 0 && errno != EINTR && errno != EAGAIN)
            return -EPIPE;
    }
    return (long)done;
}

static bool flush(struct input_pipe *p)
{
    long n = waiting(p) > 0 ? write_some(p, span_of(p->waiting.ptr + p->at, waiting(p))) : 0;
    if (n < 0)
        return false;
    p->at += (size_t)n;
    if (waiting(p) == 0) {
        buf_reset(&p->waiting);
        p->at = 0;
    }
    return true;
}

void input_pipe_close(struct input_pipe *pipe)
{
    int inside = 0;
    if (pipe->end.fd < 0)
        return;
    if (ioctl(pipe->end.fd, FIONREAD, &inside) < 0)
        inside = 0;
    pipe->unread = (size_t)inside + waiting(pipe);
    pipe_end_close(&pipe->end);
}

static void go_deaf(struct input_pipe *p)
{
    input_pipe_close(p);
    input_pipe_finish(p);
    if (p->deaf)
        p->deaf(p->arg);
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
    struct input_pipe *p = (struct input_pipe *)poll;
    (void)events;
    if (status < 0 || !flush(p)) { /* a pipe without reader polls as an error */
        go_deaf(p);
        return;
    }
    if (p->ended && waiting(p) == 0)
        pipe_end_close(&p->end);
    if (p->end.fd >= 0 && p->refused && waiting(p) < INPUT_BACKLOG) {
        p->refused = false;
        if (p->room)
            p->room(p->arg);
    }
    input_pipe_watch(p);
}

/* With nothing to write, only its closing is waited for. */
void input_pipe_watch(struct input_pipe *pipe)
{
    bool busy = waiting(pipe) > 0 || pipe->refused;
    pipe_end_watch(&pipe->end, UV_DISCONNECT | (busy ? UV_WRITABLE : 0), on_ready);
}

/* Keeps what the pipe did not take. Returns how many bytes. */
static size_t put_behind(struct input_pipe *p, struct span bytes)
{
    if (p->at > 0)
        buf_consume(&p->waiting, p->at);
    p->at = 0;
    return buf_add_span(&p->waiting, bytes) == 0 ? bytes.len : 0;
}

static size_t take(struct input_pipe *p, struct span bytes)
{
    size_t taken = 0;
    long n = waiting(p) == 0 ? write_some(p, bytes) : 0;
    if (n > 0)
        taken = (size_t)n;
    if (taken < bytes.len) /* a closed pipe is told by its poll */
        taken += put_behind(p, span_of(bytes.ptr + taken, bytes.len - taken));
    return taken;
}

size_t input_pipe_write(struct input_pipe *pipe, struct span bytes)
{
    if (pipe->end.fd < 0 || pipe->ended)
        return bytes.len;
    size_t len = bytes.len < INPUT_TAKE ? bytes.len : INPUT_TAKE;
    size_t taken = waiting(pipe) < INPUT_BACKLOG ? take(pipe, span_of(bytes.ptr, len)) : 0;
    pipe->refused = pipe->refused || taken < bytes.len;
    input_pipe_watch(pipe);
    return taken;
}

void input_pipe_end(struct input_pipe *pipe)
{
    pipe->ended = true;
    if (waiting(pipe) == 0)
        pipe_end_close(&pipe->end);
}

void input_pipe_finish(struct input_pipe *pipe)
{
    buf_finish(&pipe->waiting);
    pipe->at = 0;
    pipe->refused = false;
}
