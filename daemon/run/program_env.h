/*
 * The environment of programs: little, and nothing that came to the daemon by chance.
 */
#ifndef DAEMON_RUN_PROGRAM_ENV_H
#define DAEMON_RUN_PROGRAM_ENV_H

#include "base/buf.h"
#include "daemon/run/definition.h"

/** NAME=VALUE texts; zeroed = none. */
struct program_env {
    char **texts; /**< NULL-terminated once something was set */
    size_t count;
};

/** Sets one; a later one of the same name replaces the earlier. `text` is copied. -ENOMEM. */
int program_env_set(struct program_env *env, const char *text);
int program_env_setf(struct program_env *env, const char *format, ...) __attribute__((format(printf, 2, 3)));
/** PATH (where weir lies comes first), and HOME, LANG and TZ of the daemon; then what the definition sets. -ENOMEM. */
int program_env_common(struct program_env *env, const struct definition *def);
void program_env_finish(struct program_env *env);

/** The PATH that a definition's programs have; to be freed. NULL without memory. */
char *program_path(const struct definition *def);

#endif
