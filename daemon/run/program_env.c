#include "daemon/run/program_env.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clean.h"

#define USUAL_PATH "/usr/local/bin:/usr/bin:/bin"

static bool same_name(const char *one, const char *two)
{
    size_t len = strcspn(one, "=");
    return strncmp(one, two, len) == 0 && two[len] == '=';
}

static int add(struct program_env *env, char *text)
{
    char **texts = realloc(env->texts, (env->count + 2) * sizeof(*texts));
    if (!texts) {
        free(text);
        return -ENOMEM;
    }
    texts[env->count++] = text;
    texts[env->count] = NULL;
    env->texts = texts;
    return 0;
}

static int set(struct program_env *env, char *text)
{
    if (!text)
        return -ENOMEM;
    for (size_t i = 0; i < env->count; i++)
        if (same_name(text, env->texts[i])) {
            free(env->texts[i]);
            env->texts[i] = text;
            return 0;
        }
    return add(env, text);
}

int program_env_set(struct program_env *env, const char *text)
{
    return set(env, strdup(text));
}

int program_env_setf(struct program_env *env, const char *format, ...)
{
    char *text = NULL;
    va_list args;
    va_start(args, format);
    int rc = vasprintf(&text, format, args);
    va_end(args);
    return rc < 0 ? -ENOMEM : set(env, text);
}

void program_env_finish(struct program_env *env)
{
    for (size_t i = 0; i < env->count; i++)
        free(env->texts[i]);
    free(env->texts);
    *env = (struct program_env){0};
}

/* weir lies beside weird. */
static int set_path(struct program_env *env)
{
    char own[PATH_MAX];
    const char *path = getenv("PATH");
    ssize_t n = readlink("/proc/self/exe", own, sizeof(own) - 1);
    own[n > 0 ? n : 0] = '\0';
    char *slash = strrchr(own, '/');
    if (slash)
        *slash = '\0';
    return program_env_setf(env, "PATH=%s%s%s", own, slash ? ":" : "", path && *path ? path : USUAL_PATH);
}

static int pass_on(struct program_env *env, const char *name)
{
    const char *value = getenv(name);
    return value ? program_env_setf(env, "%s=%s", name, value) : 0;
}

int program_env_common(struct program_env *env, const struct definition *def)
{
    static const char *const names[] = {"HOME", "LANG", "TZ"};
    int rc = set_path(env);
    for (size_t i = 0; rc == 0 && i < sizeof(names) / sizeof(names[0]); i++)
        rc = pass_on(env, names[i]);
    for (char **text = def->env; rc == 0 && text && *text; text++)
        rc = program_env_set(env, *text);
    return rc;
}

char *program_path(const struct definition *def)
{
    struct program_env env = {0};
    char *path = NULL;
    int rc = program_env_common(&env, def);
    for (size_t i = 0; rc == 0 && i < env.count && !path; i++)
        if (same_name("PATH=", env.texts[i]))
            path = strdup(env.texts[i] + 5);
    program_env_finish(&env);
    return path;
}
