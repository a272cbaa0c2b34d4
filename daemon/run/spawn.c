#include "daemon/run/spawn.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/run/link.h"

#define BUCKETS 256 /* some hundred programs are a normal state */

struct child {
    struct runner *runner;
    struct child *next; /* in its bucket */
    struct link *link;  /* its supervisor */
    uint64_t id;
    bool started;
    bool over; /* its last callback is under way */
    void (*on_started)(void *arg, pid_t pid, const char *notes);
    void (*on_failed)(void *arg, const struct err *err);
    void (*on_ended)(void *arg, const struct child_end *end);
    void *arg;
};

struct runner {
    uv_loop_t *loop;
    struct log *log;
    struct link *link;   /* NULL: the next program starts one */
    struct link **links; /* all that are not buried yet: one, or two for a moment */
    size_t link_count;
    uint64_t last_id;
    struct child *buckets[BUCKETS];
};

static uint64_t descriptor_limit; /* 0: the supervisor's choice */

void runner_set_descriptors(uint64_t soft)
{
    descriptor_limit = soft;
}

/* --- children by id
 * ------------------------------------------------------------------------------------- */

static struct child **place_of(struct runner *runner, uint64_t id)
{
    struct child **place = &runner->buckets[id % BUCKETS];
    while (*place && (*place)->id != id)
        place = &(*place)->next;
    return place;
}

static void take_out(struct child *child)
{
    struct child **place = place_of(child->runner, child->id);
    if (*place == child)
        *place = child->next;
}

/* --- last calls
 * -------------------------------------------------------------------------------------------- */

static void end_child(struct child *child, const struct child_end *end)
{
    take_out(child);
    child->over = true;
    child->on_ended(child->arg, end);
    free(child);
}

static void fail_child(struct child *child, int code, const char *text)
{
    struct err err = ERR_INIT;
    err_set(&err, code, "%s", text);
    take_out(child);
    child->over = true;
    child->on_failed(child->arg, &err);
    free(child);
}

/* --- what the supervisor says
 * ----------------------------------------------------------------------------- */

static void on_message(void *arg, const struct wire *message)
{
    struct runner *runner = arg;
    struct child *child = *place_of(runner, message->id);
    if (!child)
        return; /* forgotten */
    if (message->kind == WIRE_STARTED && !child->started) {
        child->started = true;
        child->on_started(child->arg, (pid_t)message->number, message->text);
    } else if (message->kind == WIRE_FAILED) {
        fail_child(child, message->code, message->text);
    } else if (message->kind == WIRE_ENDED) {
        end_child(child, &message->end);
    }
}

static struct child *any_of(struct runner *runner, const struct link *link)
{
    for (size_t i = 0; i < BUCKETS; i++)
        for (struct child *child = runner->buckets[i]; child; child = child->next)
            if (child->link == link)
                return child;
    return NULL;
}

static void on_buried(void *arg, struct link *link)
{
    struct runner *runner = arg;
    for (size_t i = 0; i < runner->link_count; i++)
        if (runner->links[i] == link) {
            runner->links[i] = runner->links[--runner->link_count];
            break;
        }
}

/* Callbacks may start and forget programs, so the table is looked through afresh each time. */
static void on_gone(void *arg, struct link *link)
{
    struct runner *runner = arg;
    const struct child_end lost = {.lost = true};
    struct child *child;
    unsigned count = 0;
    if (runner->link == link)
        runner->link = NULL;
    for (; (child = any_of(runner, link)) != NULL; count++)
        if (child->started)
            end_child(child, &lost);
        else
            fail_child(child, ERR_UNAVAILABLE, "the supervisor of programs died");
    if (runner->log)
        log_say(runner->log, LOG_WARN, "run", "supervisor=%d gone=yes lost=%u", (int)link_pid(link),
                count);
}

/* --- starting
 * --------------------------------------------------------------------------------------------- */

static int start_link(struct runner *runner, struct err *err)
{
    const struct link_events events = {
        .message = on_message, .gone = on_gone, .buried = on_buried, .arg = runner};
    struct link **links =
        realloc((void *)runner->links, (runner->link_count + 1) * sizeof(struct link *));
    if (!links)
        return err_set(err, -ENOMEM, "no memory to start a program");
    runner->links = links;
    int rc = link_create(&runner->link, runner->loop, &events, err);
    if (rc < 0)
        return rc;
    runner->links[runner->link_count++] = runner->link;
    if (runner->log)
        log_say(runner->log, LOG_INFO, "run", "supervisor=%d", (int)link_pid(runner->link));
    return 0;
}

/* One that just died, and was not seen to, is replaced once; what it had is told of by the loop. */
static int send_spawn(struct runner *runner, const struct wire *message, const int *fds,
                      struct err *err)
{
    int rc = runner->link ? link_send(runner->link, message, fds, err) : -EPIPE;
    if (rc != -EPIPE)
        return rc;
    runner->link = NULL;
    rc = start_link(runner, err);
    return rc < 0 ? rc : link_send(runner->link, message, fds, err);
}

static struct child *make_child(struct runner *runner, const struct spawn_options *options)
{
    struct child *child = calloc(1, sizeof(*child));
    if (child)
        *child = (struct child){.runner = runner,
                                .id = runner->last_id + 1,
                                .on_started = options->started,
                                .on_failed = options->failed,
                                .on_ended = options->ended,
                                .arg = options->arg};
    return child;
}

int runner_spawn(struct runner *runner, struct child **out, const struct spawn_options *options,
                 struct err *err)
{
    const int fds[WIRE_FDS] = {options->input, options->output, options->errors};
    struct child *child = make_child(runner, options);
    if (!child)
        return err_set(err, -ENOMEM, "no memory to start a program");
    struct wire message = {.kind = WIRE_SPAWN,
                           .id = child->id,
                           .program = options->program,
                           .directory = options->directory,
                           .argv = options->argv,
                           .envp = options->envp,
                           .limits = options->limits,
                           .descriptors = descriptor_limit,
                           .confine = options->confine};
    int rc = send_spawn(runner, &message, fds, err);
    if (rc < 0) {
        free(child);
        return rc == -EPIPE ? err_set(err, ERR_UNAVAILABLE, "the supervisor of programs died") : rc;
    }
    runner->last_id = child->id;
    child->link = runner->link;
    *place_of(runner, child->id) = child; /* it is new, so that is the end of its bucket */
    *out = child;
    return 0;
}

/* --- ending
 * -----------------------------------------------------------------------------------------------
 */

/* A supervisor that is gone has ended, or is about to. */
static void command(struct child *child, enum wire_kind kind, uint32_t number)
{
    struct wire message = {.kind = kind, .id = child->id, .number = number};
    if (!child->over)
        link_send(child->link, &message, NULL, NULL);
}

void child_signal(struct child *child, int number)
{
    if (number > 0)
        command(child, WIRE_SIGNAL, (uint32_t)number);
}

void child_stop(struct child *child, unsigned grace_ms)
{
    command(child, WIRE_STOP, grace_ms);
}

void child_forget(struct child *child)
{
    if (child->over)
        return; /* it goes when its last callback returns */
    command(child, WIRE_STOP, 0);
    take_out(child);
    free(child);
}

/* --- life
 * -------------------------------------------------------------------------------------------------
 */

int runner_create(struct runner **out, uv_loop_t *loop, struct log *log, struct err *err)
{
    struct runner *runner = calloc(1, sizeof(*runner));
    if (!runner)
        return err_set(err, -ENOMEM, "no memory for programs");
    runner->loop = loop;
    runner->log = log;
    *out = runner;
    return 0;
}

void runner_destroy(struct runner *runner)
{
    if (!runner)
        return;
    for (size_t i = 0; i < runner->link_count; i++)
        link_destroy(runner->links[i]);
    for (size_t i = 0; i < BUCKETS; i++)
        while (runner->buckets[i]) {
            struct child *next = runner->buckets[i]->next;
            free(runner->buckets[i]);
            runner->buckets[i] = next;
        }
    free((void *)runner->links);
    free(runner);
}
