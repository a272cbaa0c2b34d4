#include "daemon/run/words.h"

#include "base/json.h"
#include "base/topic.h"

/* --- the words ------------------------------------------------------------------------------- */

struct kind_words {
    const char *name;       /* of the kind, as the daemon says it */
    const char *topic_kind; /* xs.THIS.NAME */
    const char *pointer, *pointer_new;
};

static const struct kind_words kinds[PROGRAM_KINDS] = {
    [PROGRAM_SERVICE] = {"service", "service", "service_id", "source_id"},
    [PROGRAM_HANDLER] = {"handler", "actor", "handler_id", "actor_id"},
    [PROGRAM_ACTION] = {"action", "action", "action_id", NULL},
};

/* What follows NAME: its last segment, and the one before it, where there is one. */
struct word {
    const char *before;
    const char *last;
    enum program_kind kind; /* of seed words; newer words have it in front */
    enum program_event event;
};

static const struct word seed_words[] = {
    {NULL, "spawn", PROGRAM_SERVICE, EVENT_CREATE},
    {NULL, "terminate", PROGRAM_SERVICE, EVENT_TERM},
    {NULL, "start", PROGRAM_SERVICE, EVENT_ACTIVE},
    {NULL, "stop", PROGRAM_SERVICE, EVENT_FIN_OK},
    {"spawn", "error", PROGRAM_SERVICE, EVENT_INVALID},
    {NULL, "register", PROGRAM_HANDLER, EVENT_CREATE},
    {NULL, "unregister", PROGRAM_HANDLER, EVENT_TERM},
    {NULL, "registered", PROGRAM_HANDLER, EVENT_ACTIVE},
    {NULL, "unregistered", PROGRAM_HANDLER, EVENT_FIN_OK},
    {NULL, "define", PROGRAM_ACTION, EVENT_CREATE},
    {NULL, "undefine", PROGRAM_ACTION, EVENT_TERM},
    {NULL, "ready", PROGRAM_ACTION, EVENT_ACTIVE},
    {NULL, "undefined", PROGRAM_ACTION, EVENT_FIN_OK},
    {"define", "error", PROGRAM_ACTION, EVENT_INVALID},
};

/* Words with two segments stand before the same last word alone: `a.fin.term` is the end of `a`. */
static const struct word new_words[] = {
    {NULL, "create", 0, EVENT_CREATE},     {"fin", "term", 0, EVENT_FIN_TERM},
    {NULL, "term", 0, EVENT_TERM},         {NULL, "active", 0, EVENT_ACTIVE},
    {NULL, "invalid", 0, EVENT_INVALID},   {"fin", "ok", 0, EVENT_FIN_OK},
    {"fin", "error", 0, EVENT_FIN_ERROR},  {NULL, "replaced", 0, EVENT_REPLACED},
    {NULL, "stopped", 0, EVENT_STOPPED},   {NULL, "retry", 0, EVENT_RETRY},
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define LAST_WORD_MAX 12 /* "unregistered" */

/* --- reading --------------------------------------------------------------------------------- */

static bool starts(struct span text, struct span with)
{
    return text.len >= with.len && memcmp(text.ptr, with.ptr, with.len) == 0;
}

/* Takes ".WORD" off the end, where something stands before it. */
static bool take_last(struct span *text, const char *word)
{
    size_t len = strlen(word);
    if (text->len < len + 2)
        return false;
    const uint8_t *at = text->ptr + text->len - len;
    if (at[-1] != '.' || memcmp(at, word, len) != 0)
        return false;
    text->len -= len + 1;
    return true;
}

static const struct word *find(const struct word *words, size_t count, struct span *name)
{
    for (size_t i = 0; i < count; i++) {
        struct span rest = *name;
        if (take_last(&rest, words[i].last) &&
            (!words[i].before || take_last(&rest, words[i].before))) {
            *name = rest;
            return &words[i];
        }
    }
    return NULL;
}

/* Takes "xs.KIND." off the front. */
static bool take_kind(struct span *topic, enum program_kind *kind)
{
    struct span rest = {topic->ptr + 3, topic->len - 3};
    for (int i = 0; i < PROGRAM_KINDS; i++) {
        struct span word = span_str(kinds[i].topic_kind);
        if (starts(rest, word) && rest.len > word.len && rest.ptr[word.len] == '.') {
            *topic = (struct span){rest.ptr + word.len + 1, rest.len - word.len - 1};
            *kind = (enum program_kind)i;
            return true;
        }
    }
    return false;
}

/* Whether the last segment may be one of the words: a dot not far from the end. */
static bool may_be_word(struct span topic)
{
    size_t far = topic.len < LAST_WORD_MAX + 1 ? topic.len : LAST_WORD_MAX + 1;
    return far > 2 && memrchr(topic.ptr + topic.len - far, '.', far) != NULL;
}

bool words_parse(struct words *out, struct span topic)
{
    if (!may_be_word(topic))
        return false;
    struct span name = topic;
    enum program_kind kind = PROGRAM_SERVICE;
    /* What begins with `xs.` is the daemon's: xs.start is no answer of a program `xs`. */
    bool newer = starts(topic, span_str("xs."));
    if (newer && !take_kind(&name, &kind))
        return false;
    const struct word *word = newer ? find(new_words, COUNT(new_words), &name)
                                    : find(seed_words, COUNT(seed_words), &name);
    if (!word || name.len > PROGRAM_NAME_MAX || topic_check(name, NULL) < 0)
        return false;
    *out = (struct words){
        .kind = newer ? kind : word->kind,
        .words = newer ? WORDS_NEW : WORDS_SEED,
        .event = word->event,
        .name = name,
    };
    return true;
}

static const struct {
    const char *reason;
    enum program_event event;
} ends[] = {
    {"finished", EVENT_FIN_OK},   {"error", EVENT_FIN_ERROR},  {"term", EVENT_FIN_TERM},
    {"replaced", EVENT_REPLACED}, {"shutdown", EVENT_STOPPED}, {"invalid", EVENT_INVALID},
};

static enum program_event end_of(struct json_value reason)
{
    for (size_t i = 0; reason.type == JSON_STRING && i < COUNT(ends); i++) {
        if (json_string_is(reason.raw, ends[i].reason))
            return ends[i].event;
    }
    return EVENT_FIN_ERROR;
}

enum program_event words_end(struct span meta)
{
    struct json_iter it;
    struct span key;
    struct json_value value;
    if (json_type_of(meta) != JSON_OBJECT || json_iter_init(&it, meta) < 0)
        return EVENT_FIN_ERROR;
    while (json_iter_next(&it, &key, &value)) {
        if (json_string_is(key, "reason"))
            return end_of(value);
    }
    return EVENT_FIN_ERROR;
}

bool words_id(struct frame_id *out, struct span meta, const char *key, const char *other)
{
    struct json_iter it;
    struct span name;
    struct json_value value;
    if (json_type_of(meta) != JSON_OBJECT || json_iter_init(&it, meta) < 0)
        return false;
    while (json_iter_next(&it, &name, &value))
        if ((json_string_is(name, key) || (other && json_string_is(name, other))) &&
            value.type == JSON_STRING && value.raw.len == ID_TEXT_LEN + 2)
            return id_parse(out, span_of(value.raw.ptr + 1, ID_TEXT_LEN), NULL) == 0;
    return false;
}

/* --- saying ---------------------------------------------------------------------------------- */

static bool is_end(enum program_event event)
{
    return event == EVENT_FIN_OK || event == EVENT_FIN_ERROR || event == EVENT_FIN_TERM ||
           event == EVENT_REPLACED || event == EVENT_STOPPED;
}

static const struct word *seed_word(enum program_kind kind, enum program_event event)
{
    /* A handler has no word of its own for it: it ends as "invalid". */
    if (is_end(event) || (kind == PROGRAM_HANDLER && event == EVENT_INVALID))
        event = EVENT_FIN_OK;
    for (size_t i = 0; i < COUNT(seed_words); i++) {
        if (seed_words[i].kind == kind && seed_words[i].event == event)
            return &seed_words[i];
    }
    return NULL;
}

static const struct word *new_word(enum program_event event)
{
    for (size_t i = 0; i < COUNT(new_words); i++) {
        if (new_words[i].event == event)
            return &new_words[i];
    }
    return NULL;
}

int words_topic(struct buf *out, enum program_kind kind, struct span name, enum program_words words,
                enum program_event event)
{
    const struct word *word = words == WORDS_SEED ? seed_word(kind, event) : new_word(event);
    if (!word)
        return ERR_NOT_FOUND;
    bool newer = words == WORDS_NEW;
    return buf_addf(out, "%s%s%s%.*s%s%s.%s", newer ? "xs." : "",
                    newer ? kinds[kind].topic_kind : "", newer ? "." : "", SPAN_ARG(name),
                    word->before ? "." : "", word->before ? word->before : "", word->last);
}

const char *words_kind(enum program_kind kind)
{
    return kinds[kind].name;
}

const char *words_topic_kind(enum program_kind kind)
{
    return kinds[kind].topic_kind;
}

const char *words_pointer(enum program_kind kind)
{
    return kinds[kind].pointer;
}

const char *words_pointer_new(enum program_kind kind)
{
    return kinds[kind].pointer_new;
}
