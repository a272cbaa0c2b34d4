#include "daemon/run/definition.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clean.h"
#include "daemon/run/definition_value.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* --- what a key holds ------------------------------------------------------------------------ */

enum value_form {
    VALUE_BOOL,   /* bool */
    VALUE_MS,     /* uint64_t, from min */
    VALUE_NUMBER, /* uint64_t, from min, counted in `unit` */
    VALUE_COUNT,  /* unsigned, from min to max, counted in `unit` */
    VALUE_SIZE,   /* uint64_t */
    VALUE_WORD,   /* an enum: the index in words */
    VALUE_OBJECT, /* keys of its own, each to be known */
    VALUE_OTHER,  /* take */
};

struct key {
    const char *name;
    size_t at; /* in struct definition */
    enum value_form form;
    unsigned kinds; /* bits 1 << enum program_kind; 0 = all */
    uint64_t min, max;
    const char *unit;
    const char *const *words;
    const struct key *keys;
    size_t count;
    int (*take)(struct definition *def, struct json_value value, struct err *err);
};

#define HOLDS(value_form, member) .form = (value_form), .at = offsetof(struct definition, member)
#define BOOL(member) HOLDS(VALUE_BOOL, member)
#define MS(member) HOLDS(VALUE_MS, member)
#define NUMBER(member) HOLDS(VALUE_NUMBER, member)
#define COUNTED(member) HOLDS(VALUE_COUNT, member)
#define SIZE(member) HOLDS(VALUE_SIZE, member)
#define WORD(member) HOLDS(VALUE_WORD, member)
#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})
#define KEYS(list) .form = VALUE_OBJECT, .keys = (list), .count = COUNT(list)
#define OTHER(fn) .form = VALUE_OTHER, .take = (fn)
#define OF_SERVICE .kinds = 1u << PROGRAM_SERVICE
#define OF_HANDLER .kinds = 1u << PROGRAM_HANDLER
#define OF_ACTION .kinds = 1u << PROGRAM_ACTION

static int take_members(struct definition *def, struct span object, const struct key *keys,
                        size_t count, bool strict, struct err *err);

static int take_count(unsigned *out, const struct key *key, struct json_value value,
                      struct err *err)
{
    uint64_t number;
    int rc = value_number(&number, value, key->unit, key->min, key->max, err);
    if (rc == 0)
        *out = (unsigned)number;
    return rc;
}

static int take_value(struct definition *def, const struct key *key, struct json_value value,
                      struct err *err)
{
    void *at = (char *)def + key->at;
    switch (key->form) {
    case VALUE_BOOL:
        return value_bool(at, value, err);
    case VALUE_MS:
        return value_number(at, value, "milliseconds", key->min, VALUE_NUMBER_MAX, err);
    case VALUE_NUMBER:
        return value_number(at, value, key->unit, key->min, VALUE_NUMBER_MAX, err);
    case VALUE_COUNT:
        return take_count(at, key, value, err);
    case VALUE_SIZE:
        return value_size(at, value, err);
    case VALUE_WORD:
        return value_word(at, value, key->words, err);
    case VALUE_OBJECT:
        if (value.type != JSON_OBJECT)
            return err_set(err, ERR_INVALID, "%.*s is not an object", SHOWN(value.raw));
        return take_members(def, value.raw, key->keys, key->count, true, err);
    case VALUE_OTHER:
        return key->take(def, value, err);
    }
    return 0;
}

static const struct key *find_key(const struct key *keys, size_t count, struct span raw,
                                  enum program_kind kind)
{
    for (size_t i = 0; i < count; i++) {
        bool of_kind = keys[i].kinds == 0 || (keys[i].kinds & 1u << kind);
        if (of_kind && json_string_is(raw, keys[i].name))
            return &keys[i];
    }
    return NULL;
}

/* Reads the members of an object; strict: every key must be known. */
static int take_members(struct definition *def, struct span object, const struct key *keys,
                        size_t count, bool strict, struct err *err)
{
    unsigned seen = 0;
    struct json_iter it;
    struct span name;
    struct json_value value;
    json_iter_init(&it, object);
    while (json_iter_next(&it, &name, &value)) {
        const struct key *key = find_key(keys, count, name, def->kind);
        if (!key && strict)
            return err_set(err, ERR_INVALID, "the key %.*s is not known", SHOWN(name));
        if (!key)
            continue;
        unsigned bit = 1u << (key - keys);
        if (seen & bit)
            return err_set(err, ERR_INVALID, "\"%s\" is there twice", key->name);
        seen |= bit;
        int rc = value.type == JSON_NULL ? 0 : take_value(def, key, value, err);
        if (rc < 0) {
            err_prefix(err, "\"%s\"", key->name);
            return rc;
        }
    }
    return 0;
}

/* --- keys with forms of their own ------------------------------------------------------------ */

static int take_suffix(struct definition *def, struct json_value value, struct err *err)
{
    return value_text(&def->suffix, value, err);
}

static int take_ttl(struct definition *def, struct json_value value, struct err *err)
{
    CLEAN_FREE char *text = NULL;
    int rc = value_text(&text, value, err);
    return rc < 0 ? rc : ttl_parse(&def->ttl, span_str(text), def->words == WORDS_SEED, err);
}

static int take_env(struct definition *def, struct json_value value, struct err *err)
{
    return value_env(&def->env, value, err);
}

static int take_topics(struct definition *def, struct json_value value, struct err *err)
{
    return value_patterns(&def->topics, value, err);
}

static const struct key restart_keys[] = {
    {"policy", WORD(restart), .words = WORDS("always", "on-failure", "never")},
    {"backoff_ms", MS(backoff_ms), .min = 1},
    {"max_backoff_ms", MS(max_backoff_ms), .min = 1},
    {"max", NUMBER(max_restarts), .unit = "failures"},
};

static int take_restart(struct definition *def, struct json_value value, struct err *err)
{
    def->has_restart = true;
    def->max_restarts = UINT64_MAX;
    if (value.type == JSON_OBJECT)
        return take_members(def, value.raw, restart_keys, COUNT(restart_keys), true, err);
    return take_value(def, &restart_keys[0], value, err);
}

static const struct key retry_keys[] = {
    {"times", COUNTED(retry_times), .unit = "times", .min = 1, .max = 1000000},
    {"backoff_ms", MS(retry_backoff_ms)},
};

static int take_retry(struct definition *def, struct json_value value, struct err *err)
{
    static const struct key keys = {"retry", KEYS(retry_keys)};
    def->on_error = ERROR_RETRY;
    return take_value(def, &keys, value, err);
}

static int take_on_error(struct definition *def, struct json_value value, struct err *err)
{
    static const struct key object[] = {{"retry", OTHER(take_retry)}};
    static const char *const rules[] = {"skip", "retry", "stop", NULL};
    static const struct key word = {"", WORD(on_error), .words = rules};
    if (value.type == JSON_OBJECT)
        return take_members(def, value.raw, object, COUNT(object), true, err);
    return take_value(def, &word, value, err);
}

/* --- where a handler starts ------------------------------------------------------------------ */

/* A key that says where; words in the order of enum handler_start. An id is always understood. */
struct start_words {
    const char *words[4];
    const char *forms;
};

static int take_start_text(struct definition *def, struct json_value value,
                           const struct start_words *start, struct err *err)
{
    for (unsigned i = 0; value.type == JSON_STRING && i < COUNT(start->words); i++) {
        if (start->words[i] && json_string_is(value.raw, start->words[i])) {
            def->start = (enum handler_start)i;
            return 0;
        }
    }
    CLEAN_FREE char *text = NULL;
    if (value_text(&text, value, NULL) < 0 || id_parse(&def->after, span_str(text), NULL) < 0)
        return err_set(err, ERR_INVALID, "%.*s is not %s", SHOWN(value.raw), start->forms);
    def->start = START_AFTER;
    return 0;
}

static int take_after(struct definition *def, struct json_value value, struct err *err)
{
    static const struct start_words none = {.forms = "the id of a frame"};
    return take_start_text(def, value, &none, err);
}

static int refuse_start(struct definition *def, struct json_value value, struct err *err)
{
    (void)def;
    (void)value;
    return err_set(err, ERR_INVALID,
                   "a start behind the newest frame of a topic is not supported; give that frame's "
                   "id, or \"resume\"");
}

static const struct start_words start_words = {
    .words = {[START_NEW] = "new", [START_FIRST] = "first", [START_RESUME] = "resume"},
    .forms = "new, first, resume, the id of a frame or {\"after\":ID}",
};

static int take_start(struct definition *def, struct json_value value, struct err *err)
{
    static const struct key keys[] = {
        {"after", OTHER(take_after)},
        {"head", OTHER(refuse_start)},
        {"cursor", OTHER(refuse_start)},
    };
    if (value.type != JSON_OBJECT)
        return take_start_text(def, value, &start_words, err);
    int rc = take_members(def, value.raw, keys, COUNT(keys), true, err);
    if (rc == 0 && def->start != START_AFTER)
        return err_set(err, ERR_INVALID, "%.*s is not %s", SHOWN(value.raw), start_words.forms);
    return rc;
}

static int take_run_from(struct definition *def, struct json_value value, struct err *err)
{
    static const struct start_words seed = {
        .words = {[START_NEW] = "tail", [START_FIRST] = "start"},
        .forms = "start, tail or the id of a frame",
    };
    return take_start_text(def, value, &seed, err);
}

/* --- all keys -------------------------------------------------------------------------------- */

static const struct key return_keys[] = {
    {"suffix", OTHER(take_suffix)},
    {"ttl", OTHER(take_ttl)},
    {"target", WORD(target), .words = WORDS("cas", "meta")},
};

static const struct key limit_keys[] = {
    {"memory", SIZE(limits.memory)},
    {"cpu_s", NUMBER(limits.cpu_s), .unit = "seconds", .min = 1},
    {"processes", NUMBER(limits.processes), .unit = "processes", .min = 1},
};

static const struct key meta_keys[] = {
    {"return_options", KEYS(return_keys)},
    {"output", WORD(output), .words = WORDS("auto", "raw", "frames")},
    {"binary", BOOL(binary)},
    {"exec", BOOL(exec)},
    {"confine", BOOL(confine)},
    {"limits", KEYS(limit_keys)},
    {"timeout_ms", MS(timeout_ms)},
    {"env", OTHER(take_env)},
    {"duplex", BOOL(duplex), OF_SERVICE},
    {"restart", OTHER(take_restart), OF_SERVICE},
    {"mode", WORD(mode), OF_HANDLER, .words = WORDS("stream", "each")},
    {"content", BOOL(content), OF_HANDLER},
    {"start", OTHER(take_start), OF_HANDLER},
    {"run-from", OTHER(take_run_from), OF_HANDLER},
    {"topics", OTHER(take_topics), OF_HANDLER},
    {"pulse", MS(pulse_ms), OF_HANDLER, .min = 10},
    {"on_error", OTHER(take_on_error), OF_HANDLER},
    {"concurrency", COUNTED(concurrency), OF_ACTION, .unit = "calls", .min = 1, .max = 1000},
};

/* --- the whole ------------------------------------------------------------------------------- */

static const char *const default_suffixes[PROGRAM_KINDS] = {
    [PROGRAM_SERVICE] = ".recv",
    [PROGRAM_HANDLER] = ".out",
    [PROGRAM_ACTION] = ".response",
};

static struct definition defaults(const struct words *words, struct frame_id id)
{
    struct definition def = {
        .id = id,
        .kind = words->kind,
        .words = words->words,
        .suffix = strdup(default_suffixes[words->kind]),
        .ttl = {.kind = TTL_FOREVER},
        .timeout_ms = words->kind == PROGRAM_ACTION ? 60000 : 0,
        .backoff_ms = 1000,
        .max_backoff_ms = 60000,
        .topics = PATTERN_ALL,
        .retry_times = 3,
        .retry_backoff_ms = 1000,
        .concurrency = 16,
    };
    memcpy(def.name, words->name.ptr, words->name.len);
    return def;
}

static bool has_key(struct span meta, const char *name)
{
    struct json_iter it;
    struct span key;
    struct json_value value;
    if (json_iter_init(&it, meta) < 0)
        return false;
    while (json_iter_next(&it, &key, &value)) {
        if (json_string_is(key, name) && value.type != JSON_NULL)
            return true;
    }
    return false;
}

static int take_meta(struct definition *def, struct span meta, struct err *err)
{
    if (json_type_of(meta) != JSON_OBJECT)
        return 0;
    if (def->kind == PROGRAM_HANDLER && has_key(meta, "start") && has_key(meta, "run-from"))
        return err_set(err, ERR_INVALID, "give \"start\" or \"run-from\", not both");
    int rc = take_members(def, meta, meta_keys, COUNT(meta_keys), false, err);
    if (rc == 0 && def->max_backoff_ms < def->backoff_ms)
        def->max_backoff_ms = def->backoff_ms;
    return rc;
}

int definition_parse(struct definition *out, const struct words *words, const struct frame *frame,
                     struct err *err)
{
    struct definition def = defaults(words, frame->id);
    int rc = def.suffix ? 0 : err_set(err, -ENOMEM, "no memory");
    if (rc == 0)
        rc = take_meta(&def, frame->meta, err);
    if (rc == 0)
        rc = definition_check(&def, err);
    if (rc < 0) {
        definition_finish(&def);
        return rc;
    }
    *out = def;
    return 0;
}

void definition_finish(struct definition *definition)
{
    free(definition->suffix);
    value_env_free(definition->env);
    pattern_finish(&definition->topics);
    definition->suffix = NULL;
    definition->env = NULL;
}

enum program_form definition_form(struct span first_bytes)
{
    if (first_bytes.len == 0)
        return FORM_NONE;
    if (first_bytes.len >= 2 && memcmp(first_bytes.ptr, "#!", 2) == 0)
        return FORM_SCRIPT;
    if (first_bytes.len >= 4 && memcmp(first_bytes.ptr, "\177ELF", 4) == 0)
        return FORM_ELF;
    return FORM_OTHER;
}
