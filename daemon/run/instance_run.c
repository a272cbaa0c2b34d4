/*
 * Runs of an instance's program: what it is started with.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/clean.h"
#include "daemon/run/program_env.h"
#include "daemon/run/program_file.h"
#include "daemon/run/registry.h"

static void on_error_line(void *arg, struct span line)
{
    instance_log_line(arg, line);
}

static int set_own(struct program_env *env, const struct instance *i)
{
    char id[ID_TEXT_LEN + 1];
    id_format(id, i->def.id);
    int rc = program_env_setf(env, "WEIR_KIND=%s", words_kind(i->def.kind));
    if (rc == 0)
        rc = program_env_setf(env, "WEIR_NAME=%s", i->def.name);
    if (rc == 0)
        rc = program_env_setf(env, "WEIR_ID=%s", id);
    if (rc == 0 && i->listener)
        rc = program_env_setf(env, "WEIR_ADDR=%s", i->directory);
    return rc;
}

static int make_env(struct program_env *env, const struct instance *i, const char *const *extra)
{
    int rc = program_env_common(env, &i->def);
    if (rc == 0)
        rc = set_own(env, i);
    for (; rc == 0 && extra && *extra; extra++)
        rc = program_env_set(env, *extra);
    return rc;
}

/* `sh PROGRAM` or the program's name, then the arguments. The array is to be freed, not its texts. */
static char **make_argv(const struct instance *i, char *const *arguments)
{
    size_t count = 0, at = 0;
    while (arguments && arguments[count])
        count++;
    char **argv = calloc(count + 3, sizeof(*argv));
    if (argv && i->state->candidate->shell)
        argv[at++] = (char *)(uintptr_t) "sh";
    if (argv)
        argv[at++] = (char *)(uintptr_t)i->program;
    for (size_t n = 0; argv && n < count; n++)
        argv[at++] = arguments[n];
    return argv;
}

int instance_run(struct instance *i, struct process **out, struct process_options *options, const char *const *extra,
                 struct err *err)
{
    struct program_env env = {0};
    CLEAN_FREE char **argv = make_argv(i, options->argv);
    int rc = argv ? make_env(&env, i, extra) : -ENOMEM;
    if (rc < 0) {
        program_env_finish(&env);
        return err_set(err, rc, "no memory for the program's environment");
    }
    bool by_shell = i->state->candidate->shell;
    options->runner = i->site->daemon->runner;
    options->loop = i->site->daemon->loop;
    options->program = by_shell ? PROGRAM_SHELL : i->program;
    options->argv = argv;
    options->envp = env.texts;
    options->name = i->program;
    options->directory = i->directory;
    options->limits = i->def.limits;
    options->confine = i->def.confine;
    if (!options->error_line) {
        options->error_line = on_error_line;
        options->error_arg = i;
    }
    rc = process_start(out, options, err);
    program_env_finish(&env);
    return rc;
}
