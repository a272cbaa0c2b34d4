#include "daemon/stores.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "base/json.h"
#include "base/topic.h"
#include "daemon/attached.h"
#include "daemon/emit.h"
#include "daemon/pump.h"
#include "daemon/stores_log.h"

#define TICK_MS 1000
#define TICK_SOON_MS 10
#define ACTIVE_KEPT 20
#define OPENING_MAX 2 /* at a time: the pool serves readers, too */
#define OPEN_FILES 32 /* an open store has about a dozen descriptors, a third of all are for stores */
#define IDLE_CROWDED_MS 100

/* A store that is asked for or there. */
struct entry {
    struct attached *attached;
    bool confirmed;  /* `active` was told, now or in an earlier life */
    bool told;       /* what it was asked for last was answered */
    enum stores_end end;
    struct frame_id cause; /* the frame it leaves for */
    struct entry *next;
};

struct stores {
    struct site *root;
    struct emit *out;
    struct pump *watch;
    struct stores_scan scan;
    struct stores_listener listener;
    struct entry *entries;
    size_t opening; /* at the start: of those not opened yet */
    uv_timer_t timer;
    size_t open_most; /* with more of them open, idle ones are closed at once */
    bool stopping;
    void (*stopped)(void *arg);
    void *arg;
};

static void tick(uv_timer_t *timer);

/* --- answers ------------------------------------------------------------------------------------------ */

/* What is said of a store: the frame that named it, the one it happened for (zero = none), and its path or what is wrong. */
struct telling {
    struct span name;
    struct frame_id of, cause;
    const char *event, *key, *value;
    struct ttl ttl;
};

static int put_meta(struct buf *out, const struct telling *t)
{
    char id[ID_TEXT_LEN + 1];
    id_format(id, t->of);
    int rc = buf_addf(out, "{\"store_id\":\"%s\"", id);
    if (rc == 0 && !id_is_zero(t->cause)) {
        id_format(id, t->cause);
        rc = buf_addf(out, ",\"frame_id\":\"%s\"", id);
    }
    if (rc == 0)
        rc = buf_addf(out, ",\"%s\":", t->key);
    if (rc == 0)
        rc = json_put_string(out, span_str(t->value));
    return rc == 0 ? buf_add_str(out, "}") : rc;
}

static void put(struct stores *stores, const struct telling *t)
{
    CLEAN_BUF topic = BUF_INIT;
    CLEAN_BUF meta = BUF_INIT;
    int rc = buf_addf(&topic, "xs.store.%.*s.%s", SPAN_ARG(t->name), t->event);
    if (rc == 0)
        rc = put_meta(&meta, t);
    struct emit_frame frame = {
        .topic = buf_span(&topic), .meta = buf_span(&meta), .ttl = t->ttl};
    if (rc == 0)
        rc = emit_put(stores->out, &frame, 1, NULL, NULL, NULL);
    if (rc < 0)
        log_say(stores->root->daemon->log, LOG_ERROR, "stores", "not_told=%.*s.%s", SPAN_ARG(t->name),
                t->event);
}

static void tell(struct stores *stores, const struct entry *e, const char *event, const char *error)
{
    bool again = e->confirmed && !strcmp(event, "active"); /* said at every start */
    put(stores, &(struct telling){.name = span_str(e->attached->name),
                                  .of = e->attached->created,
                                  .cause = e->cause,
                                  .event = event,
                                  .key = error ? "error" : "path",
                                  .value = error ? error : e->attached->site.path,
                                  .ttl = {.kind = again ? TTL_LAST : TTL_FOREVER,
                                          .value = again ? ACTIVE_KEPT : 0}});
}

static void tick_in(struct stores *stores, uint64_t ms)
{
    uint64_t due = uv_timer_get_due_in(&stores->timer);
    if (!uv_is_active((uv_handle_t *)&stores->timer) || due > ms)
        uv_timer_start(&stores->timer, tick, ms, 0);
}

static bool is_crowded(const struct stores *stores)
{
    size_t open;
    stores_count(stores, &open);
    return open > stores->open_most;
}

/* --- entries ------------------------------------------------------------------------------------------ */

static struct entry *find(struct stores *stores, struct span name)
{
    for (struct entry *e = stores->entries; e; e = e->next)
        if (span_is(name, e->attached->name) && !e->attached->leaving)
            return e;
    return NULL;
}

static void drop(struct stores *stores, struct entry *e)
{
    struct entry **at = &stores->entries;
    while (*at != e)
        at = &(*at)->next;
    *at = e->next;
    attached_destroy(e->attached);
    free(e);
}

static struct stores *stores_of(const struct entry *e)
{
    return e->attached->daemon->stores;
}

static void open_next(struct stores *stores)
{
    for (struct entry *e = stores->entries; e && stores->opening < OPENING_MAX; e = e->next)
        if (!e->told && !e->attached->kept && !e->attached->leaving) {
            e->attached->kept = true; /* until it has been answered */
            stores->opening++;
            attached_open(e->attached);
        }
}

static void store_closed(struct attached *attached)
{
    struct entry *e = attached->arg;
    struct stores *stores = stores_of(e);
    if (!attached->leaving)
        return;
    static const char *const events[] = {NULL, "replaced", "fin.term", "fin.deleted"};
    if (events[e->end])
        tell(stores, e, events[e->end], NULL);
    if (stores->listener.gone)
        stores->listener.gone(stores->listener.arg, attached, e->end);
    drop(stores, e);
    open_next(stores);
}

static void leave(struct entry *e, enum stores_end end, struct frame_id cause)
{
    e->end = end;
    e->cause = cause;
    e->attached->leaving = true;
    e->attached->purge = end == STORES_END_DELETE;
    struct stores *stores = stores_of(e);
    tick_in(stores, TICK_SOON_MS);
    if (stores->listener.leaving)
        stores->listener.leaving(stores->listener.arg, e->attached, end, cause);
    attached_close(e->attached);
}

static void told_active(struct stores *stores, struct entry *e)
{
    tell(stores, e, "active", NULL);
    e->confirmed = true;
    if (stores->listener.active)
        stores->listener.active(stores->listener.arg, e->attached);
}

static void told_invalid(struct stores *stores, struct span name, struct frame_id of, const char *why)
{
    if (stores->listener.invalid)
        stores->listener.invalid(stores->listener.arg, name, of, why);
}

/* The one that stood there before gives way to the one that is open now. */
static void replace(struct stores *stores, const struct entry *e)
{
    for (struct entry *old = stores->entries; old; old = old->next)
        if (old != e && !old->attached->leaving && !strcmp(old->attached->name, e->attached->name)) {
            leave(old, STORES_END_REPLACED, e->attached->created);
            return;
        }
}

static void store_opened(struct attached *attached, const struct err *err)
{
    struct entry *e = attached->arg;
    struct stores *stores = stores_of(e);
    if (is_crowded(stores))
        tick_in(stores, TICK_SOON_MS);
    if (e->told) /* opened again, by a connection */
        return;
    e->told = true;
    stores->opening -= attached->kept; /* else a request opened it, before its turn */
    attached->kept = false;
    if (attached->leaving)
        return;
    if (!err) {
        told_active(stores, e);
        replace(stores, e);
    } else if (!e->confirmed) {
        tell(stores, e, "invalid", err->text);
        told_invalid(stores, span_str(attached->name), attached->created, err->text);
        leave(e, STORES_END_QUIET, ID_MIN);
    }
    open_next(stores);
}

static struct entry *add(struct stores *stores, const struct stores_ask *ask, bool confirmed)
{
    struct err err = ERR_INIT;
    struct entry *e = calloc(1, sizeof(*e));
    if (!e)
        return NULL;
    CLEAN_BUF path = BUF_INIT;
    int rc = stores_path(&path, stores->root->path, ask, &err);
    const char *text = rc == 0 ? buf_cstr(&path) : NULL;
    rc = text ? attached_create(&e->attached, stores->root->daemon, ask->name, ask->id, text, &err)
              : rc;
    if (rc < 0 || !text) {
        free(e);
        return NULL;
    }
    e->attached->opened = store_opened;
    e->attached->closed = store_closed;
    e->attached->arg = e;
    e->confirmed = confirmed;
    tick_in(stores, TICK_MS);
    struct entry **end = &stores->entries;
    while (*end)
        end = &(*end)->next;
    *end = e;
    return e;
}

/* --- what the log asks for ---------------------------------------------------------------------------- */

static void refuse(struct stores *stores, const struct stores_ask *ask, const char *why)
{
    put(stores, &(struct telling){.name = ask->name,
                                  .of = ask->id,
                                  .event = "invalid",
                                  .key = "error",
                                  .value = why,
                                  .ttl = {.kind = TTL_FOREVER}});
    told_invalid(stores, ask->name, ask->id, why);
}

/* A newer create while an older one of the name has not been answered: the older is dropped. */
static void create(struct stores *stores, const struct stores_ask *ask)
{
    struct entry *was = find(stores, ask->name);
    if (ask->fault[0]) {
        refuse(stores, ask, ask->fault);
        return;
    }
    CLEAN_BUF path = BUF_INIT;
    if (was && stores_path(&path, stores->root->path, ask, NULL) == 0 &&
        span_is(buf_span(&path), was->attached->site.path)) {
        was->attached->created = ask->id; /* the very same: nothing is closed for it */
        if (was->told)
            told_active(stores, was);
        return;
    }
    if (!add(stores, ask, false))
        refuse(stores, ask, "no memory for the store");
    open_next(stores);
}

static void take_ask(struct stores *stores, const struct stores_ask *ask)
{
    struct entry *e = find(stores, ask->name);
    switch (ask->event) {
    case STORES_CREATE:
        create(stores, ask);
        break;
    case STORES_TERM:
    case STORES_DELETE:
        for (; e; e = find(stores, ask->name))
            leave(e, ask->event == STORES_TERM ? STORES_END_TERM : STORES_END_DELETE, ask->id);
        break;
    default:
        break;
    }
}

static bool wanted(void *arg, const struct frame *frame)
{
    struct stores_ask ask;
    (void)arg;
    return frame->authority == AUTHORITY_EXEC && stores_ask_parse(&ask, frame);
}

static bool seen(void *arg, const struct frame *frame)
{
    struct stores *stores = arg;
    struct stores_ask ask;
    if (!stores->stopping && stores_ask_parse(&ask, frame))
        take_ask(stores, &ask);
    return true;
}

/* --- life --------------------------------------------------------------------------------------------- */

static void look(struct stores *stores)
{
    uint64_t now = uv_now(stores->root->daemon->loop);
    bool crowded = is_crowded(stores), soon = crowded;
    uint64_t idle_ms = (uint64_t)stores->root->daemon->options->store_idle_s * 1000;
    if (crowded && idle_ms > IDLE_CROWDED_MS)
        idle_ms = IDLE_CROWDED_MS;
    for (struct entry *e = stores->entries, *next; e; e = next) {
        next = e->next;
        soon |= attached_tick(e->attached, now, idle_ms);
    }
    soon |= stores->stopping;
    if (stores->stopping && !stores->entries && emit_pending(stores->out) == 0) {
        uv_timer_stop(&stores->timer);
        stores->stopped(stores->arg);
        return;
    }
    uint64_t wait = soon ? TICK_SOON_MS : TICK_MS;
    if (stores->entries || soon)
        uv_timer_start(&stores->timer, tick, wait, 0);
}

static void tick(uv_timer_t *timer)
{
    look(timer->data);
}

static void open_known(struct stores *stores)
{
    struct stores_ask ask;
    size_t at = 0;
    while (stores_scan_next(&stores->scan, &at, &ask)) {
        struct entry *e = ask.fault[0] ? NULL : add(stores, &ask, !ask.pending);
        if (e && ask.event == STORES_DELETE)
            leave(e, STORES_END_DELETE, ask.cause);
        else if (ask.fault[0] && ask.pending)
            refuse(stores, &ask, ask.fault);
    }
    open_next(stores);
}

static int watch(struct stores *stores, struct err *err)
{
    struct pattern_list topics = {0};
    int rc = pattern_parse(&topics, span_str("xs.store.*"), err);
    struct pump_options options = {.site = stores->root,
                                   .query = {.topics = &topics,
                                             .from = id_succ(stores->scan.end),
                                             .follow = true},
                                   .filter = wanted,
                                   .frame = seen,
                                   .arg = stores};
    if (rc == 0)
        rc = pump_create(&stores->watch, &options, err);
    pattern_finish(&topics);
    return rc;
}

/* What there is according to the log, and from then on what is asked for. */
static void begin(struct stores *stores)
{
    struct err err = ERR_INIT;
    stores_scan(&stores->scan, stores->root->store);
    err = stores->scan.err;
    if (err.code == 0)
        watch(stores, &err);
    if (err.code != 0)
        log_say(stores->root->daemon->log, LOG_ERROR, "stores", "error=\"%s\"", err.text);
    else
        open_known(stores);
    look(stores);
}

int stores_start(struct stores **out, struct site *root, struct err *err)
{
    struct stores *stores = calloc(1, sizeof(*stores));
    struct emit_options options = {.site = root, .authority = AUTHORITY_DAEMON};
    if (!stores)
        return err_set(err, -ENOMEM, "no memory to start");
    int rc = emit_create(&stores->out, &options, err);
    if (rc < 0) {
        free(stores);
        return rc;
    }
    stores->root = root;
    uv_timer_init(root->daemon->loop, &stores->timer);
    stores->timer.data = stores;
    struct rlimit files;
    stores->open_most = getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur != RLIM_INFINITY
                            ? (size_t)files.rlim_cur / OPEN_FILES + 1
                            : 1000;
    root->daemon->stores = *out = stores;
    begin(stores);
    return 0;
}

void stores_listen(struct stores *stores, const struct stores_listener *listener)
{
    stores->listener = *listener;
}

void stores_stop(struct stores *stores, void (*stopped)(void *arg), void *arg)
{
    stores->stopping = true;
    stores->stopped = stopped;
    stores->arg = arg;
    pump_destroy(stores->watch);
    stores->watch = NULL;
    for (struct entry *e = stores->entries, *next; e; e = next) {
        next = e->next;
        if (!e->attached->leaving)
            leave(e, STORES_END_QUIET, ID_MIN);
    }
    uv_timer_start(&stores->timer, tick, 0, 0);
}

static void timer_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void stores_destroy(struct stores *stores)
{
    if (!stores)
        return;
    emit_destroy(stores->out);
    stores_scan_finish(&stores->scan);
    uv_close((uv_handle_t *)&stores->timer, timer_closed);
}

/* Of several with one name the first: the others were asked for and are not open yet. */
void stores_each(struct stores *stores, bool (*each)(void *arg, struct attached *attached), void *arg)
{
    for (struct entry *e = stores->entries, *next; e; e = next) {
        next = e->next;
        if (find(stores, span_str(e->attached->name)) == e && !each(arg, e->attached))
            return;
    }
}

void stores_each_deleted(struct stores *stores,
                         void (*each)(void *arg, struct attached *attached, struct frame_id cause),
                         void *arg)
{
    for (struct entry *e = stores->entries; e; e = e->next)
        if (e->attached->leaving && e->end == STORES_END_DELETE)
            each(arg, e->attached, e->cause);
}

size_t stores_count(const struct stores *stores, size_t *open)
{
    size_t count = 0;
    *open = 0;
    for (const struct entry *e = stores ? stores->entries : NULL; e; e = e->next) {
        count++;
        *open += e->attached->state == ATTACHED_OPEN;
    }
    return count;
}
