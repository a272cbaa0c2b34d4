#include "daemon/stores_log.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdlib.h>

#include "base/text.h"
#include "base/topic.h"
#include "daemon/run/slots.h"

#define STORES_NAME_MAX 100

static const char prefix[] = "xs.store.";

/* --- one frame ---------------------------------------------------------------------------------------- */

static const struct {
    const char *suffix;
    enum stores_event event;
} suffixes[] = {
    {".create", STORES_CREATE},   {".term", STORES_TERM},       {".delete", STORES_DELETE},
    {".active", STORES_ACTIVE},   {".invalid", STORES_INVALID}, {".fin.term", STORES_FIN},
    {".fin.deleted", STORES_FIN},
};

static bool ends_with(struct span text, const char *suffix)
{
    size_t len = strlen(suffix);
    return text.len > len && memcmp(text.ptr + text.len - len, suffix, len) == 0;
}

static bool parse_topic(struct stores_ask *out, struct span topic)
{
    size_t skip = sizeof(prefix) - 1;
    if (topic.len <= skip || memcmp(topic.ptr, prefix, skip) != 0)
        return false;
    struct span rest = {topic.ptr + skip, topic.len - skip};
    /* The longest suffix first: NAME.fin.term is no term of NAME.fin. */
    for (size_t i = sizeof(suffixes) / sizeof(suffixes[0]); i-- > 0;)
        if (ends_with(rest, suffixes[i].suffix)) {
            out->event = suffixes[i].event;
            out->name = (struct span){rest.ptr, rest.len - strlen(suffixes[i].suffix)};
            return true;
        }
    return false;
}

static const char *member(const cJSON *meta, const char *key)
{
    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(meta, key));
}

/* The name becomes part of a path, and of topics with a suffix. Unlike a topic it may begin with a digit. */
static const char *name_fault(struct span name)
{
    char text[STORES_NAME_MAX + 1] = "x";
    const bool whole = name.len > 0 && name.len < sizeof(text);
    const bool digit = whole && name.ptr[0] >= '0' && name.ptr[0] <= '9';
    if (digit)
        memcpy(text + 1, name.ptr, name.len);
    if (topic_check(digit ? span_of(text, name.len + 1) : name, NULL) != 0)
        return "a store's name is a topic's: letters, digits, - _ and . between";
    return name.len > STORES_NAME_MAX ? "a store's name has at most 100 bytes" : NULL;
}

static void read_create(struct stores_ask *out, const cJSON *meta)
{
    const cJSON *path = cJSON_GetObjectItemCaseSensitive(meta, "path");
    const char *text = cJSON_GetStringValue(path), *fault = name_fault(out->name);
    if (!fault && path && (!text || text[0] != '/'))
        fault = "the store's path is not an absolute one";
    if (!fault && text && strlen(text) >= sizeof(out->path))
        fault = "the store's path is too long";
    if (fault)
        memcpy(out->fault, fault, strlen(fault) + 1);
    else if (text)
        memcpy(out->path, text, strlen(text) + 1);
}

static bool read_pointer(struct stores_ask *out, const cJSON *meta)
{
    const char *id = member(meta, "store_id");
    return id && id_parse(&out->id, span_str(id), NULL) == 0;
}

bool stores_ask_parse(struct stores_ask *out, const struct frame *frame)
{
    out->pending = false;
    out->path[0] = out->fault[0] = '\0';
    out->id = frame->id;
    out->cause = ID_MIN;
    if (!parse_topic(out, frame->topic))
        return false;
    bool answer = out->event == STORES_ACTIVE || out->event == STORES_INVALID;
    if (out->event != STORES_CREATE && !answer)
        return true;
    cJSON *meta = frame->meta.len > 0
                      ? cJSON_ParseWithLength((const char *)frame->meta.ptr, frame->meta.len)
                      : NULL;
    bool ok = true;
    if (answer)
        ok = read_pointer(out, meta);
    else
        read_create(out, meta);
    cJSON_Delete(meta);
    return ok;
}

int stores_path(struct buf *out, const char *root, const struct stores_ask *ask, struct err *err)
{
    char id[ID_TEXT_LEN + 1];
    id_format(id, ask->id);
    int rc = ask->path[0] ? buf_add_str(out, ask->path)
                          : buf_addf(out, "%s/basins/%.*s.%s", root, SPAN_ARG(ask->name), id);
    return rc < 0 ? err_set(err, rc, "no memory for the store's path") : 0;
}

/* --- history ------------------------------------------------------------------------------------------ */

/* A create that a slot may still point at. */
struct known_create {
    struct frame_id id;
    char path[STORES_PATH_MAX];
    char fault[ERR_TEXT_SIZE];
};

struct stores_known {
    char *name;
    struct slots slots;
    struct frame_id deleting, deleted; /* a delete without answer, and the create it ends */
    struct known_create *creates;
    size_t count;
};

static struct stores_known *known_of(struct stores_scan *scan, struct span name)
{
    for (size_t i = 0; i < scan->count; i++)
        if (span_is(name, scan->known[i].name))
            return &scan->known[i];
    if (scan->count == scan->cap) {
        size_t cap = scan->cap ? scan->cap * 2 : 16;
        struct stores_known *known = realloc(scan->known, cap * sizeof(*known));
        if (!known)
            return NULL;
        scan->known = known;
        scan->cap = cap;
    }
    char *copy = strndup((const char *)name.ptr, name.len);
    if (!copy)
        return NULL;
    scan->known[scan->count] = (struct stores_known){.name = copy};
    return &scan->known[scan->count++];
}

static bool is_needed(const struct stores_known *k, struct frame_id id)
{
    return id_cmp(id, k->slots.confirmed) == 0 || id_cmp(id, k->slots.pending) == 0 ||
           id_cmp(id, k->deleted) == 0;
}

static int add_create(struct stores_known *k, const struct stores_ask *ask)
{
    size_t kept = 0;
    for (size_t i = 0; i < k->count; i++)
        if (is_needed(k, k->creates[i].id))
            k->creates[kept++] = k->creates[i];
    k->count = kept;
    struct known_create *creates = realloc(k->creates, (kept + 1) * sizeof(*creates));
    if (!creates)
        return -ENOMEM;
    k->creates = creates;
    struct known_create *c = &creates[k->count++];
    c->id = ask->id;
    memcpy(c->path, ask->path, sizeof(c->path));
    memcpy(c->fault, ask->fault, sizeof(c->fault));
    return 0;
}

static bool may_say(const struct stores_ask *ask, enum authority authority)
{
    bool answer = ask->event >= STORES_ACTIVE;
    return authority == AUTHORITY_EXEC || (answer && authority == AUTHORITY_DAEMON);
}

static int apply(struct stores_known *k, const struct stores_ask *ask)
{
    static const enum program_event events[] = {
        [STORES_CREATE] = EVENT_CREATE, [STORES_TERM] = EVENT_TERM,       [STORES_DELETE] = EVENT_TERM,
        [STORES_ACTIVE] = EVENT_ACTIVE, [STORES_INVALID] = EVENT_INVALID, [STORES_FIN] = EVENT_FIN_TERM};
    if (ask->event == STORES_DELETE && !id_is_zero(k->slots.confirmed)) {
        k->deleting = ask->id;
        k->deleted = k->slots.confirmed;
    } else if (ask->event == STORES_FIN) {
        k->deleting = k->deleted = ID_MIN;
    }
    slots_apply(&k->slots, events[ask->event], ask->id);
    return ask->event == STORES_CREATE ? add_create(k, ask) : 0;
}

static long take(void *arg, const struct store_item *item)
{
    struct stores_scan *scan = arg;
    struct stores_ask ask;
    if (!stores_ask_parse(&ask, item->frame) || !may_say(&ask, item->frame->authority))
        return 1;
    struct stores_known *k = known_of(scan, ask.name);
    return k && apply(k, &ask) == 0 ? 1 : -ENOMEM;
}

static int read_all(struct stores_scan *scan, struct store_cursor *cursor)
{
    enum store_step step = STORE_MORE;
    int rc = 0;
    while (rc == 0 && step == STORE_MORE) {
        rc = store_cursor_read(cursor, 256 * 1024, true, take, scan, &step, &scan->err);
        if (rc == ERR_DAMAGED)
            rc = scan->err.code = 0; /* that frame says nothing any more */
    }
    scan->end = store_cursor_position(cursor);
    return rc;
}

void stores_scan(struct stores_scan *scan, struct store *store)
{
    struct pattern_list topics = {0};
    struct store_cursor *cursor = NULL;
    int rc = pattern_parse(&topics, span_str("xs.store.*"), &scan->err);
    struct store_query query = {.topics = &topics};
    if (rc == 0)
        rc = store_cursor_open(&cursor, store, &query, &scan->err);
    if (rc == 0)
        rc = read_all(scan, cursor);
    if (rc < 0 && scan->err.code == 0)
        err_set(&scan->err, rc, "the stores' frames could not be read");
    store_cursor_close(cursor);
    pattern_finish(&topics);
}

static bool give(const struct stores_known *k, struct frame_id id, struct stores_ask *out)
{
    for (size_t i = 0; !id_is_zero(id) && i < k->count; i++) {
        const struct known_create *c = &k->creates[i];
        if (id_cmp(c->id, id) != 0)
            continue;
        *out = (struct stores_ask){.event = STORES_CREATE, .name = span_str(k->name), .id = id};
        memcpy(out->path, c->path, sizeof(out->path));
        memcpy(out->fault, c->fault, sizeof(out->fault));
        return true;
    }
    return false;
}

/* Three looks a name: what is in force, what was asked for, what was to be deleted. */
bool stores_scan_next(struct stores_scan *scan, size_t *at, struct stores_ask *out)
{
    while (*at < scan->count * 3) {
        const struct stores_known *k = &scan->known[*at / 3];
        size_t look = (*at)++ % 3;
        if (look == 0 && give(k, k->slots.confirmed, out))
            return true;
        if (look == 1 && give(k, k->slots.pending, out)) {
            out->pending = true;
            return true;
        }
        if (look == 2 && !id_is_zero(k->deleting) && give(k, k->deleted, out)) {
            out->event = STORES_DELETE;
            out->cause = k->deleting;
            return true;
        }
    }
    return false;
}

void stores_scan_finish(struct stores_scan *scan)
{
    for (size_t i = 0; i < scan->count; i++) {
        free(scan->known[i].name);
        free(scan->known[i].creates);
    }
    free(scan->known);
    *scan = (struct stores_scan){0};
}
