#include "daemon/run/call_env.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "daemon/run/definition_value.h"

static int no_memory(struct err *err)
{
    return err_set(err, -ENOMEM, "no memory to start a program");
}

void call_env_finish(struct call_env *env)
{
    for (size_t i = 0; i < CALL_ENV_COUNT; i++)
        free(env->variables[i]);
    value_env_free(env->argv);
    *env = (struct call_env){0};
}

static int add(struct call_env *env, const char *name, struct span value, struct err *err)
{
    size_t i = 0;
    if (value.len > CALL_ENV_MAX)
        return 0;
    while (env->variables[i])
        i++;
    if (asprintf(&env->variables[i], "%s=%.*s", name, SPAN_ARG(value)) >= 0)
        return 0;
    env->variables[i] = NULL;
    return no_memory(err);
}

/* The member "args" of meta. */
static bool find_args(struct span meta, struct json_value *out)
{
    struct json_iter it;
    struct span key;
    if (json_type_of(meta) != JSON_OBJECT || json_iter_init(&it, meta) < 0)
        return false;
    while (json_iter_next(&it, &key, out)) {
        if (json_string_is(key, "args"))
            return true;
    }
    return false;
}

/* How many strings a list has; 0 when something else is in it. */
static size_t count_strings(struct span list)
{
    struct json_iter it;
    struct json_value value;
    size_t count = 0;
    json_iter_init(&it, list);
    while (json_iter_next(&it, NULL, &value)) {
        if (value.type != JSON_STRING)
            return 0;
        count++;
    }
    return count;
}

static int make_argv(struct call_env *env, const struct json_value *args, struct err *err)
{
    struct json_iter it;
    struct json_value value;
    size_t count = args && args->type == JSON_ARRAY ? count_strings(args->raw) : 0;
    env->argv = calloc(count + 1, sizeof(*env->argv));
    if (!env->argv)
        return no_memory(err);
    if (count == 0)
        return 0;
    json_iter_init(&it, args->raw);
    for (size_t i = 0; json_iter_next(&it, NULL, &value); i++) {
        int rc = value_text(&env->argv[i], value, err);
        if (rc < 0) {
            err_prefix(err, "\"args\"");
            return rc;
        }
    }
    return 0;
}

static int add_frame(struct call_env *env, const char *file, struct span json,
                     const struct frame *frame, struct err *err)
{
    char id[ID_TEXT_LEN + 1];
    struct span meta = frame->meta.len > 0 ? frame->meta : span_str("null");
    id_format(id, frame->id);
    int rc = add(env, "WEIR_FRAME", json, err);
    if (rc == 0)
        rc = add(env, "WEIR_FRAME_FILE", span_str(file), err);
    if (rc == 0)
        rc = add(env, "WEIR_FRAME_ID", span_str(id), err);
    if (rc == 0)
        rc = add(env, "WEIR_TOPIC", frame->topic, err);
    return rc < 0 ? rc : add(env, "WEIR_META", meta, err);
}

int call_env_make(struct call_env *out, const char *file, struct span json,
                  const struct frame *frame, struct err *err)
{
    struct call_env env = {0};
    struct json_value args;
    bool has_args = find_args(frame->meta, &args);
    int rc = add_frame(&env, file, json, frame, err);
    if (rc == 0 && has_args)
        rc = add(&env, "WEIR_ARGS", args.raw, err);
    if (rc == 0)
        rc = make_argv(&env, has_args ? &args : NULL, err);
    if (rc < 0) {
        call_env_finish(&env);
        return rc;
    }
    *out = env;
    return 0;
}
