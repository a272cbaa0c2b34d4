/*
 * One run of a program with its pipes on the loop: bytes in, bytes out, the last lines of stderr, and its end.
 *
 * Pipes are bounded: who writes to it waits for `room`, and while `output` takes nothing the program waits. `ended` comes when the whole tree
 * is gone and everything it wrote was given to `output`.
 *
 * Thread rule: the loop thread.
 */
#ifndef DAEMON_RUN_PROCESS_H
#define DAEMON_RUN_PROCESS_H

#include <weir/span.h>

#include "daemon/run/spawn.h"

#define PROCESS_STDERR_LINES 20     /**< lines of stderr kept, */
#define PROCESS_STDERR_BYTES 4096   /**< and bytes of them at most */

struct process;

struct process_end {
    struct child_end child;
    bool timed_out;          /**< it was ended since its time was over */
    struct span last_stderr; /**< its last lines of stderr, valid UTF-8, without the last newline */
    size_t unread;           /**< of what process_write took: bytes at its end that it did not read */
};

struct process_options {
    struct runner *runner;
    uv_loop_t *loop;
    const char *program;   /**< absolute path */
    char *const *envp;     /**< NULL-terminated; copied */
    const char *name;      /**< argv[0] */
    char *const *argv;     /**< instead of `name`: the whole of it, NULL-terminated; NULL = the name alone */
    const char *directory; /**< absolute */
    struct spawn_limits limits;
    bool confine;
    uint64_t timeout_ms;   /**< its tree is ended after so long; 0 = never */
    bool input;            /**< it gets a stdin to be written to; else /dev/null */
    /** It runs; comes before any output. May be NULL. */
    void (*started)(void *arg, pid_t pid, const char *notes);
    /** Could not be started; the last call, process_destroy is still due. */
    void (*failed)(void *arg, const struct err *err);
    /** Bytes of stdout. Returns how many were taken; fewer than all: offered again after process_resume. NULL: it is thrown away. */
    size_t (*output)(void *arg, struct span bytes);
    /** A line of stderr, without newline, at most 4 KiB (longer ones come in parts). May be NULL. */
    void (*error_line)(void *arg, struct span line);
    void *error_arg;       /**< of error_line; NULL = arg */
    /** process_write takes something again. May be NULL. */
    void (*room)(void *arg);
    /** It closed its stdin: what is written from now on is lost. May be NULL. */
    void (*deaf)(void *arg);
    /** It ended; the last call, process_destroy is still due. */
    void (*ended)(void *arg, const struct process_end *end);
    void *arg;
};

/** Starts it. Callbacks come later, never before this returns; the process may be destroyed from within each. -errno, ERR_UNAVAILABLE. */
int process_start(struct process **out, const struct process_options *options, struct err *err);
/**
 * Writes to its stdin; returns how many bytes were taken. Fewer than all: `room` comes. It buffers up to 64 KiB behind the pipe, so that a
 * line is taken whole if there is any room: with room, up to 1 MiB in one call is taken whole.
 */
size_t process_write(struct process *process, struct span bytes);
/** End of input, once what was written is through. */
void process_end_input(struct process *process);
/** The output has room again: `output` is called soon, not from within. */
void process_resume(struct process *process);
/** SIGTERM to its tree, SIGKILL after `grace_ms`. `ended` still comes. */
void process_stop(struct process *process, unsigned grace_ms);
/** Kills the tree; no more calls. Takes NULL. */
void process_destroy(struct process *process);

#endif
