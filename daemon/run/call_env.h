/*
 * What a program that is run for one call of an action has of it: arguments and environment (see action.h).
 *
 * Pure; any thread.
 */
#ifndef DAEMON_RUN_CALL_ENV_H
#define DAEMON_RUN_CALL_ENV_H

#include <weir/frame.h>

#define CALL_ENV_MAX (64 * 1024) /**< bytes of a variable; the system's own bound is 128 KiB */
#define CALL_ENV_COUNT 6

/** Zeroed: nothing. */
struct call_env {
    char *variables[CALL_ENV_COUNT + 1]; /**< NAME=VALUE, NULL-terminated */
    char **argv;                         /**< arguments behind the name, NULL-terminated */
};

/** Makes both; `json` is the frame. ERR_INVALID: an argument has a NUL; -ENOMEM. On failure nothing needs to be finished. */
int call_env_make(struct call_env *out, const char *file, struct span json, const struct frame *frame,
                  struct err *err);
void call_env_finish(struct call_env *env);

#endif
