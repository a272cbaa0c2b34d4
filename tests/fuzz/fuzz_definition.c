/*
 * Any meta as a definition of each kind: refused with a text, or what it says is within its bounds.
 */
#include <stdlib.h>

#include "base/json.h"
#include "daemon/run/definition.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool holds)
{
    if (!holds)
        abort();
}

static void check_env(char *const *env)
{
    for (size_t i = 0; env && env[i]; i++) {
        const char *equals = strchr(env[i], '=');
        demand(equals && equals > env[i] && strncmp(env[i], "WEIR_", 5) != 0);
    }
}

static void check(const struct definition *def)
{
    CLEAN_BUF topic = BUF_INIT;
    demand(buf_add_str(&topic, def->name) == 0 && buf_add_str(&topic, def->suffix) == 0);
    demand(topic_check(buf_span(&topic), NULL) == 0);
    demand(def->target <= TARGET_META && def->output <= OUTPUT_FRAMES);
    demand(def->restart <= RESTART_NEVER && def->max_backoff_ms >= def->backoff_ms);
    demand(def->backoff_ms > 0 && def->mode <= MODE_EACH && def->start <= START_RESUME);
    demand(def->pulse_ms == 0 || def->pulse_ms >= 10);
    demand(def->on_error <= ERROR_STOP && def->retry_times > 0);
    demand(def->concurrency > 0 && def->concurrency <= 1000);
    demand(def->topics.all || def->topics.count > 0);
    check_env(def->env);
}

static void parse(const char *topic, struct span meta)
{
    struct words words;
    struct definition def;
    struct err err = ERR_INIT;
    struct frame frame = {.id = {1, 2}, .topic = span_str(topic), .meta = meta};
    demand(words_parse(&words, frame.topic));
    if (definition_parse(&def, &words, &frame, &err) < 0) {
        demand(err.text[0] != '\0');
        return;
    }
    check(&def);
    definition_finish(&def);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const topics[] = {
        "a.spawn",
        "a.b.register",
        "a.define",
        "xs.service.a.create",
        "xs.actor.a.create",
        "xs.action.a.create",
    };
    CLEAN_BUF meta = BUF_INIT;
    struct words words;
    (void)definition_form(span_of(data, size));
    (void)words_parse(&words, span_of(data, size));
    if (json_validate(span_of(data, size), META_DEPTH, &meta, NULL) < 0)
        return 0;
    (void)words_end(buf_span(&meta));
    for (size_t i = 0; i < sizeof(topics) / sizeof(topics[0]); i++)
        parse(topics[i], buf_span(&meta));
    return 0;
}
