/*
 * The program of a request while it runs: stdin from a content, stdout into the answer.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/text.h"
#include "daemon/run/eval.h"
#include "daemon/run/program_file.h"
#include "daemon/run/scratch.h"

static const char *word(const struct eval *e)
{
    return e->piped ? "pipe" : "eval";
}

/* --- its end ------------------------------------------------------------------------------------ */

/* Nothing of it is left but what the client has yet to get. */
static void let_go(struct eval *e)
{
    process_destroy(e->process);
    e->process = NULL;
    scratch_discard(e->x.daemon->loop, e->directory);
    e->directory = NULL;
}

/* The run cannot be brought to a proper end. */
static void break_off(struct eval *e, int code, const struct err *err)
{
    log_say(e->x.daemon->log, LOG_ERROR, word(e), "pid=%d error=\"%s\"", (int)e->pid, err->text);
    let_go(e);
    e->over = e->broken = true;
    exchange_fail(&e->x, code, err, NULL);
    exchange_wake(&e->x);
}

static void lost(struct eval *e)
{
    struct err err = ERR_INIT;
    err_set(&err, ERR_UNAVAILABLE, "the program was lost: its supervisor died");
    break_off(e, ERR_UNAVAILABLE, &err);
}

/* The last line of what it said, as a value of a field. */
static void keep_last_error(struct eval *e, struct span text)
{
    CLEAN_BUF clean = BUF_INIT;
    const uint8_t *before = text.len > 0 ? memrchr(text.ptr, '\n', text.len) : NULL;
    if (before)
        text = span_of(before + 1, text.len - (size_t)(before + 1 - text.ptr));
    if (text_neutralise(&clean, text) < 0)
        return;
    size_t len = clean.len < sizeof(e->last_error) ? clean.len : sizeof(e->last_error) - 1;
    while (len > 0 && len < clean.len && (clean.ptr[len] & 0xc0) == 0x80)
        len--;
    for (size_t i = 0; i < len; i++)
        e->last_error[i] = (char)(clean.ptr[i] == '\t' ? ' ' : clean.ptr[i]);
    e->last_error[len] = '\0';
}

static void on_ended(void *arg, const struct process_end *end)
{
    struct eval *e = arg;
    CLEAN_BUF text = BUF_INIT;
    if (end->child.lost) {
        lost(e);
        return;
    }
    e->end = *end;
    if (end->timed_out && !end->child.signalled && end->child.code == 0)
        e->end.child = (struct child_end){.signalled = true, .code = SIGTERM}; /* it heeded it */
    bool failed = eval_failure(e, &e->end, &text);
    struct span said = end->last_stderr;
    if (end->timed_out || (end->child.signalled && said.len == 0))
        said = buf_span(&text);
    keep_last_error(e, said);
    e->over = true;
    if (failed && !e->streaming)
        eval_refuse(e, buf_cstr(&text), &e->end);
    else
        eval_answer(e);
    e->end.last_stderr = (struct span){0};
    let_go(e);
}

static void on_failed(void *arg, const struct err *err)
{
    struct eval *e = arg;
    char message[ERR_TEXT_SIZE + 40];
    snprintf(message, sizeof(message), "the program could not be started: %s", err->text);
    e->over = true;
    eval_refuse(e, message, NULL);
    let_go(e);
}

/* --- stdout and stderr ---------------------------------------------------------------------------- */

static size_t on_output(void *arg, struct span bytes)
{
    struct eval *e = arg;
    size_t held = e->out.len - e->out_at;
    size_t room = held < EVAL_OUT_MAX ? EVAL_OUT_MAX - held : 0;
    size_t len = bytes.len < room ? bytes.len : room;
    if (e->out_at > 0)
        buf_consume(&e->out, e->out_at);
    e->out_at = 0;
    if (buf_add(&e->out, bytes.ptr, len) < 0)
        len = 0; /* offered again once the client has read what it has */
    if (len == 0 && held == 0) {
        struct err err = ERR_INIT;
        err_set(&err, -ENOMEM, "no memory for the program's output");
        break_off(e, -ENOMEM, &err);
        return 0;
    }
    eval_answer(e);
    return len;
}

static void on_error_line(void *arg, struct span line)
{
    struct eval *e = arg;
    log_say(e->x.daemon->log, LOG_INFO, word(e), "pid=%d stderr=\"%.*s\"", (int)e->pid,
            SPAN_ARG(line));
}

static void on_started(void *arg, pid_t pid, const char *notes)
{
    struct eval *e = arg;
    e->pid = pid;
    if (!notes[0])
        return;
    e->notes = strdup(notes); /* without memory the log alone tells */
    log_say(e->x.daemon->log, LOG_WARN, word(e), "pid=%d notes=\"%s\"", (int)pid, notes);
}

/* --- stdin ---------------------------------------------------------------------------------------- */

static void feed(struct eval *e);

static void read_work(struct job *job)
{
    struct eval *e = (struct eval *)((char *)job - offsetof(struct eval, job));
    e->result = content_next(&e->content, CONTENT_PART, &e->err);
}

static void read_after(struct job *job)
{
    struct eval *e = (struct eval *)((char *)job - offsetof(struct eval, job));
    e->busy = false;
    e->fed = 0;
    if (!e->process)
        ; /* it ended meanwhile */
    else if (e->result < 0)
        break_off(e, e->result == ERR_NOT_FOUND ? ERR_DAMAGED : e->result, &e->err);
    else
        feed(e);
    exchange_drop(&e->x);
}

static void read_on(struct eval *e)
{
    e->busy = true;
    exchange_hold(&e->x);
    e->job = (struct job){.work = read_work, .after = read_after};
    exchange_job(&e->x, &e->job);
}

static void feed(struct eval *e)
{
    const struct buf *part = &e->content.part;
    if (e->busy || e->deaf)
        return;
    if (e->fed < part->len)
        e->fed += process_write(e->process, span_of(part->ptr + e->fed, part->len - e->fed));
    if (e->fed < part->len)
        return; /* room comes */
    if (e->content.open)
        read_on(e);
    else
        process_end_input(e->process);
}

static void on_room(void *arg)
{
    feed(arg);
}

static void on_deaf(void *arg)
{
    ((struct eval *)arg)->deaf = true;
}

/* --- its start -------------------------------------------------------------------------------------- */

/* Shell or none, the program, and what the client gave; the texts are borrowed. */
static char **make_argv(const struct eval *e)
{
    const struct buf *args = &e->x.query.args;
    size_t count = 0, n = 0;
    for (size_t i = 0; i < args->len; i++)
        count += args->ptr[i] == '\0';
    char **argv = calloc(count + 3, sizeof(*argv));
    if (!argv)
        return NULL;
    if (e->form == FORM_OTHER)
        argv[n++] = (char *)(uintptr_t)PROGRAM_SHELL;
    argv[n++] = e->file;
    for (size_t at = 0; at < args->len; at += strlen(argv[n++]) + 1)
        argv[n] = (char *)args->ptr + at;
    return argv;
}

int eval_start(struct eval *e, struct err *err)
{
    const struct query *q = &e->x.query;
    char **argv = make_argv(e);
    if (!argv)
        return -ENOMEM;
    struct process_options options = {
        .runner = e->x.daemon->runner,
        .loop = e->x.daemon->loop,
        .program = e->form == FORM_OTHER ? PROGRAM_SHELL : e->file,
        .argv = argv,
        .envp = e->env.texts,
        .directory = e->directory,
        .limits = {.memory = q->memory, .cpu_s = q->cpu_s, .processes = q->processes},
        .confine = q->confine,
        .timeout_ms = q->timeout_ms,
        .input = e->has_content,
        .started = on_started,
        .failed = on_failed,
        .output = on_output,
        .error_line = on_error_line,
        .room = on_room,
        .deaf = on_deaf,
        .ended = on_ended,
        .arg = e};
    int rc = process_start(&e->process, &options, err);
    free(argv);
    if (rc == 0 && e->has_content)
        feed(e);
    return rc;
}

void eval_stop(struct eval *e)
{
    let_go(e);
    e->over = true;
}

void eval_finish(struct eval *e)
{
    scratch_discard(e->x.daemon->loop, e->directory);
    e->directory = NULL;
    free(e->file);
    free(e->notes);
    program_env_finish(&e->env);
    content_finish(&e->content);
    buf_finish(&e->program);
    buf_finish(&e->out);
}
