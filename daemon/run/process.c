#include "daemon/run/process.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clean.h"
#include "daemon/run/input_pipe.h"
#include "daemon/run/tail_lines.h"

#define BLOCK (64 * 1024)       /* of stdout, read at once */
#define BLOCKS_A_TURN 4         /* then others have theirs */
#define ERROR_BLOCK (16 * 1024) /* of stderr, one a turn: it may be many lines */
#define TIMEOUT_GRACE_MS 2000

static_assert(PROCESS_STDERR_LINES == TAIL_KEEP_LINES && PROCESS_STDERR_BYTES == TAIL_KEEP_BYTES,
              "the tail keeps what is promised");

struct process {
    struct process_options o; /* its texts were only for the start */
    struct child *child;      /* NULL once it ended or failed */
    struct input_pipe input;
    struct pipe_end output, errors;
    uv_timer_t timer;
    uv_idle_t again;       /* the output was resumed */
    unsigned open_handles; /* the last one frees us */
    bool destroyed;

    struct buf rest; /* output not taken */
    bool paused;

    struct tail_lines tail;
    bool over; /* the tree is gone: what is in the pipes is all there will be */
    struct process_end end;
};

/* --- handles -------------------------------------------------------------------------------------- */

static void on_closed(uv_handle_t *handle)
{
    struct process *p = handle->data;
    if (--p->open_handles > 0)
        return;
    input_pipe_finish(&p->input);
    buf_finish(&p->rest);
    free(p);
}

static void close_handle(uv_handle_t *handle)
{
    if (!uv_is_closing(handle))
        uv_close(handle, on_closed);
}

/* Owns `fd` whatever comes. */
static int end_open(struct process *p, struct pipe_end *end, int fd)
{
    int rc = pipe_end_open(end, p->o.loop, fd, p, on_closed);
    p->open_handles += rc == 0;
    return rc;
}

/* --- the end ---------------------------------------------------------------------------------------- */

static void close_all(struct process *p)
{
    pipe_end_close(&p->input.end);
    pipe_end_close(&p->output);
    pipe_end_close(&p->errors);
    uv_timer_stop(&p->timer);
    uv_idle_stop(&p->again);
}

/* Everything it wrote was given on. */
static void finish(struct process *p)
{
    tail_lines_end(&p->tail);
    if (p->destroyed)
        return;
    close_all(p);
    p->end.last_stderr = tail_lines_kept(&p->tail);
    p->o.ended(p->o.arg, &p->end);
}

/* --- stdout and stderr -------------------------------------------------------------------------------- */

/* True: all was taken. */
static bool offer(struct process *p, struct span bytes)
{
    size_t taken = p->o.output ? p->o.output(p->o.arg, bytes) : bytes.len;
    assert(taken <= bytes.len);
    if (p->destroyed || taken == bytes.len)
        return !p->destroyed;
    p->paused = true;
    pipe_end_watch(&p->output, 0, NULL);
    if (bytes.ptr == p->rest.ptr)
        buf_consume(&p->rest, taken);
    else /* room was made before the read */
        buf_add(&p->rest, bytes.ptr + taken, bytes.len - taken);
    return false;
}

enum got { GOT_SOME, GOT_NOTHING, GOT_END };

static enum got read_block(struct pipe_end *end, uint8_t *into, size_t room, size_t *len)
{
    ssize_t n;
    do
        n = read(end->fd, into, room);
    while (n < 0 && errno == EINTR);
    *len = n > 0 ? (size_t)n : 0;
    if (n > 0)
        return GOT_SOME;
    return n < 0 && errno == EAGAIN ? GOT_NOTHING : GOT_END;
}

/* Reads output until nothing is there, the taker has enough, or others are to have their turn. Without memory to keep
 * what may be refused it is tried again later. */
static enum got read_output(struct process *p)
{
    static uint8_t block[BLOCK]; /* the loop thread's */
    enum got got = GOT_SOME;
    size_t len;
    for (int i = 0; got == GOT_SOME && (i < BLOCKS_A_TURN || p->over); i++) {
        if (buf_reserve(&p->rest, BLOCK) < 0)
            return GOT_SOME;
        got = read_block(&p->output, block, sizeof(block), &len);
        if (got == GOT_SOME && !offer(p, span_of(block, len)))
            return GOT_SOME;
    }
    return got;
}

static enum got read_errors(struct process *p)
{
    uint8_t block[ERROR_BLOCK];
    enum got got;
    size_t len;
    do {
        got = read_block(&p->errors, block, sizeof(block), &len);
        tail_lines_take(&p->tail, span_of(block, len));
    } while (got == GOT_SOME && p->over && !p->destroyed);
    return got;
}

static void watch_output(struct process *p);

/* After the tree's end. A pipe that is empty then stays so, even where somebody outside holds it open. */
static void drain(struct process *p)
{
    if (p->errors.fd >= 0) {
        read_errors(p);
        pipe_end_close(&p->errors);
    }
    if (p->destroyed || p->paused)
        return;
    if (p->output.fd >= 0 && read_output(p) == GOT_SOME) {
        if (!p->destroyed && !p->paused) /* no memory: tried again */
            watch_output(p);
        return;
    }
    if (!p->destroyed)
        finish(p);
}

static void on_errors(uv_poll_t *poll, int status, int events)
{
    struct process *p = poll->data;
    (void)status, (void)events;
    if (read_errors(p) == GOT_END && !p->destroyed)
        pipe_end_close(&p->errors);
}

static void on_output(uv_poll_t *poll, int status, int events)
{
    struct process *p = poll->data;
    (void)status, (void)events;
    if (p->over) {
        drain(p);
        return;
    }
    enum got got = read_output(p);
    if (p->destroyed)
        return;
    if (got == GOT_END)
        pipe_end_close(&p->output);
}

static void watch_output(struct process *p)
{
    pipe_end_watch(&p->output, UV_READABLE, on_output);
}

static void on_again(uv_idle_t *idle)
{
    struct process *p = idle->data;
    uv_idle_stop(idle);
    p->paused = false;
    if (p->rest.len > 0) {
        struct span rest = buf_span(&p->rest);
        if (!offer(p, rest))
            return;
        buf_reset(&p->rest);
    }
    if (p->over)
        drain(p);
    else
        watch_output(p);
}

void process_resume(struct process *process)
{
    if (process->paused && !process->destroyed)
        uv_idle_start(&process->again, on_again);
}

static void on_line(void *arg, struct span line)
{
    struct process *p = arg;
    if (p->o.error_line && !p->destroyed)
        p->o.error_line(p->o.error_arg ? p->o.error_arg : p->o.arg, line);
}

/* --- stdin ------------------------------------------------------------------------------------------------ */

static void on_room(void *arg)
{
    struct process *p = arg;
    if (p->o.room)
        p->o.room(p->o.arg);
}

static void on_deaf(void *arg)
{
    struct process *p = arg;
    if (p->o.deaf)
        p->o.deaf(p->o.arg);
}

size_t process_write(struct process *process, struct span bytes)
{
    return input_pipe_write(&process->input, bytes);
}

void process_end_input(struct process *process)
{
    input_pipe_end(&process->input);
}

/* --- what the runner tells ---------------------------------------------------------------------------------- */

static void on_started(void *arg, pid_t pid, const char *notes)
{
    struct process *p = arg;
    if (p->o.started)
        p->o.started(p->o.arg, pid, notes);
    if (p->destroyed)
        return;
    watch_output(p); /* not before: what it writes is told after its start */
    pipe_end_watch(&p->errors, UV_READABLE, on_errors);
}

static void on_failed(void *arg, const struct err *err)
{
    struct process *p = arg;
    p->child = NULL;
    close_all(p);
    p->o.failed(p->o.arg, err);
}

static void on_ended(void *arg, const struct child_end *end)
{
    struct process *p = arg;
    p->child = NULL;
    p->over = true;
    p->end.child = *end;
    uv_timer_stop(&p->timer);
    input_pipe_close(&p->input);
    p->end.unread = p->input.unread;
    drain(p);
}

static void on_timeout(uv_timer_t *timer)
{
    struct process *p = timer->data;
    p->end.timed_out = true;
    if (p->child)
        child_stop(p->child, TIMEOUT_GRACE_MS);
}

/* --- the start ------------------------------------------------------------------------------------------------ */

/* The child's ends, closed when it has them. */
struct ends {
    int input, output, errors;
};

static void ends_close(struct ends *ends)
{
    clean_fd(&ends->input);
    clean_fd(&ends->output);
    clean_fd(&ends->errors);
}

/* A pipe whose end `ours` (0 reads, 1 writes) is the process', the other the child's. */
static int open_pipe(struct process *p, struct pipe_end *end, int ours, int *theirs)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) < 0)
        return -errno;
    *theirs = fds[1 - ours];
    return end_open(p, end, fds[ours]);
}

static int open_ends(struct process *p, struct ends *ends)
{
    int rc = 0;
    if (p->o.input)
        rc = open_pipe(p, &p->input.end, 1, &ends->input);
    else if ((ends->input = open("/dev/null", O_RDONLY | O_CLOEXEC)) < 0)
        rc = -errno;
    if (rc == 0)
        rc = open_pipe(p, &p->output, 0, &ends->output);
    if (rc == 0)
        rc = open_pipe(p, &p->errors, 0, &ends->errors);
    return rc;
}

static int spawn(struct process *p, const struct ends *ends, struct err *err)
{
    char *const name[] = {(char *)(uintptr_t)p->o.name, NULL};
    const struct spawn_options options = {.program = p->o.program,
                                          .argv = p->o.argv ? p->o.argv : name,
                                          .envp = p->o.envp,
                                          .directory = p->o.directory,
                                          .input = ends->input,
                                          .output = ends->output,
                                          .errors = ends->errors,
                                          .limits = p->o.limits,
                                          .confine = p->o.confine,
                                          .started = on_started,
                                          .failed = on_failed,
                                          .ended = on_ended,
                                          .arg = p};
    return runner_spawn(p->o.runner, &p->child, &options, err);
}

static struct process *create(const struct process_options *options)
{
    struct process *p = calloc(1, sizeof(*p));
    if (!p)
        return NULL;
    p->o = *options;
    p->input = (struct input_pipe){
        .end = PIPE_END_NONE, .room = on_room, .deaf = on_deaf, .arg = p};
    p->output = p->errors = PIPE_END_NONE;
    p->tail.line = on_line;
    p->tail.arg = p;
    uv_timer_init(p->o.loop, &p->timer);
    uv_idle_init(p->o.loop, &p->again);
    p->timer.data = p->again.data = p;
    p->open_handles = 2;
    return p;
}

int process_start(struct process **out, const struct process_options *options, struct err *err)
{
    struct process *p = create(options);
    struct ends ends = {-1, -1, -1};
    if (!p)
        return err_set(err, -ENOMEM, "no memory to start a program");
    int rc = open_ends(p, &ends);
    if (rc < 0)
        err_sys(err, -rc, "start a program: pipes");
    else
        rc = spawn(p, &ends, err);
    ends_close(&ends);
    if (rc < 0) {
        process_destroy(p);
        return rc;
    }
    input_pipe_watch(&p->input);
    if (p->o.timeout_ms > 0)
        uv_timer_start(&p->timer, on_timeout, p->o.timeout_ms, 0);
    *out = p;
    return 0;
}

void process_stop(struct process *process, unsigned grace_ms)
{
    if (process->child)
        child_stop(process->child, grace_ms);
}

void process_destroy(struct process *process)
{
    struct process *p = process;
    if (!p || p->destroyed)
        return;
    p->destroyed = true;
    if (p->child)
        child_forget(p->child);
    p->child = NULL;
    close_all(p);
    close_handle((uv_handle_t *)&p->timer);
    close_handle((uv_handle_t *)&p->again);
}
