#include "cmd/lifecycle.h"

#include <string.h>

static const struct kind {
    const char *name, *topic_kind, *pointer;
} kinds[LIFE_KINDS] = {
    [LIFE_SERVICE] = {"service", "service", "service_id"},
    [LIFE_HANDLER] = {"handler", "actor", "handler_id"},
    [LIFE_ACTION] = {"action", "action", "action_id"},
    [LIFE_STORE] = {"store", "store", "store_id"},
};

/* Longer endings stand before the shorter ones they end with. */
static const struct word {
    const char *ending;
    enum life_event event;
    enum life_kind kind; /* of seed words */
} new_words[] =
    {
        {".create", LIFE_CREATE, 0},         {".fin.term", LIFE_FIN_TERM, 0},
        {".term", LIFE_TERM, 0},             {".delete", LIFE_DELETE, 0},
        {".active", LIFE_ACTIVE, 0},         {".invalid", LIFE_INVALID, 0},
        {".fin.ok", LIFE_FIN_OK, 0},         {".fin.error", LIFE_FIN_ERROR, 0},
        {".fin.deleted", LIFE_FIN_DELETED, 0}, {".replaced", LIFE_REPLACED, 0},
        {".stopped", LIFE_STOPPED, 0},       {".retry", LIFE_RETRY, 0},
},
  seed_words[] = {
      {".spawn", LIFE_CREATE, LIFE_SERVICE},
      {".terminate", LIFE_TERM, LIFE_SERVICE},
      {".start", LIFE_ACTIVE, LIFE_SERVICE},
      {".stop", LIFE_FIN_OK, LIFE_SERVICE},
      {".spawn.error", LIFE_INVALID, LIFE_SERVICE},
      {".register", LIFE_CREATE, LIFE_HANDLER},
      {".unregister", LIFE_TERM, LIFE_HANDLER},
      {".registered", LIFE_ACTIVE, LIFE_HANDLER},
      {".unregistered", LIFE_FIN_OK, LIFE_HANDLER},
      {".define", LIFE_CREATE, LIFE_ACTION},
      {".undefine", LIFE_TERM, LIFE_ACTION},
      {".ready", LIFE_ACTIVE, LIFE_ACTION},
      {".undefined", LIFE_FIN_OK, LIFE_ACTION},
      {".define.error", LIFE_INVALID, LIFE_ACTION},
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Takes `ending` off, where something stands before it. */
static bool take_ending(struct span *text, const char *ending)
{
    size_t len = strlen(ending);
    if (text->len <= len || memcmp(text->ptr + text->len - len, ending, len) != 0)
        return false;
    text->len -= len;
    return true;
}

static const struct word *find(const struct word *words, size_t count, struct span *name)
{
    for (size_t i = 0; i < count; i++) {
        if (take_ending(name, words[i].ending))
            return &words[i];
    }
    return NULL;
}

/* Takes "xs.KIND." off the front. */
static bool take_kind(struct span *topic, enum life_kind *kind)
{
    for (int i = 0; i < LIFE_KINDS; i++) {
        size_t len = strlen(kinds[i].topic_kind);
        if (topic->len > len + 4 && memcmp(topic->ptr + 3, kinds[i].topic_kind, len) == 0 &&
            topic->ptr[3 + len] == '.') {
            *topic = span_of(topic->ptr + len + 4, topic->len - len - 4);
            *kind = (enum life_kind)i;
            return true;
        }
    }
    return false;
}

/* In the seed words one topic tells all ends, and meta which. */
static enum life_event seed_end(struct span meta)
{
    static const struct {
        const char *reason;
        enum life_event event;
    } reasons[] = {{"finished", LIFE_FIN_OK},
                   {"term", LIFE_FIN_TERM},
                   {"replaced", LIFE_REPLACED},
                   {"shutdown", LIFE_STOPPED},
                   {"invalid", LIFE_INVALID}};
    for (size_t i = 0; i < COUNT(reasons); i++) {
        if (meta_is(meta, "reason", reasons[i].reason))
            return reasons[i].event;
    }
    return LIFE_FIN_ERROR;
}

static struct span pointer(enum life_kind kind, struct span meta)
{
    struct json_value value;
    if (!meta_member(meta, kinds[kind].pointer, &value) || value.type != JSON_STRING ||
        value.raw.len != ID_TEXT_LEN + 2)
        return span_of(NULL, 0);
    return span_of(value.raw.ptr + 1, ID_TEXT_LEN);
}

bool life_read(struct life_words *out, const struct frame_parts *frame)
{
    struct span name = frame->topic;
    enum life_kind kind = LIFE_SERVICE;
    const struct word *word;
    bool newer = name.len > 3 && memcmp(name.ptr, "xs.", 3) == 0;
    if (newer && !take_kind(&name, &kind))
        return false;
    word = newer ? find(new_words, COUNT(new_words), &name)
                 : find(seed_words, COUNT(seed_words), &name);
    if (!word)
        return false;
    *out = (struct life_words){.kind = newer ? kind : word->kind,
                               .event = word->event,
                               .seed = !newer,
                               .name = name};
    if (!newer && word->event == LIFE_FIN_OK)
        out->event = seed_end(frame->meta);
    if (out->event > LIFE_DELETE)
        out->of = pointer(out->kind, frame->meta);
    return true;
}

const char *life_kind_name(enum life_kind kind)
{
    return kinds[kind].name;
}

int life_kind_of(struct span name)
{
    for (int i = 0; i < LIFE_KINDS; i++) {
        if (span_is(name, kinds[i].name) || span_is(name, kinds[i].topic_kind))
            return i;
    }
    return -1;
}

int life_topic(struct buf *out, enum life_kind kind, const char *name, const char *word)
{
    return buf_addf(out, "xs.%s.%s.%s", kinds[kind].topic_kind, name, word);
}

int life_patterns(struct buf *out, enum life_kind kind, const char *name)
{
    int rc = out->len > 0 ? buf_add_str(out, ",") : 0;
    if (rc == 0)
        rc = life_topic(out, kind, name, "*");
    for (size_t i = 0; rc == 0 && kind != LIFE_STORE && i < COUNT(seed_words); i++) {
        if (seed_words[i].kind == kind)
            rc = buf_addf(out, ",%s%s", name, seed_words[i].ending);
    }
    return rc;
}
