/*
 * The table of basins, and what happens to them from outside: stores that come and go.
 */
#include "daemon/s2/basins.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/text.h"
#include "daemon/s2/basins_impl.h"
#include "daemon/stores.h"

/* --- the table --------------------------------------------------------------------------------------- */

static struct span name_of(const struct basin *basin)
{
    return span_of(basin->name, basin->len);
}

static int compare(struct span a, struct span b)
{
    const size_t len = a.len < b.len ? a.len : b.len;
    int rc = len > 0 ? memcmp(a.ptr, b.ptr, len) : 0;
    return rc ? rc : (a.len > b.len) - (a.len < b.len);
}

/* Index of the first that is not below `name`. */
static size_t place_of(const struct basins *basins, struct span name)
{
    size_t low = 0, high = basins->count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (compare(name_of(basins->items[mid]), name) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static struct basin *look_up(const struct basins *basins, struct span name)
{
    size_t at = place_of(basins, name);
    bool found = at < basins->count && span_eq(name_of(basins->items[at]), name);
    return found ? basins->items[at] : NULL;
}

static int insert(struct basins *basins, size_t at, struct basin *basin)
{
    struct basin **items = basins->items;
    if (basins->count == basins->cap) {
        size_t cap = basins->cap ? basins->cap * 2 : 16;
        items = realloc(basins->items, cap * sizeof(struct basin *));
        if (items)
            basins->cap = cap;
    }
    if (!items)
        return -ENOMEM;
    memmove(items + at + 1, items + at, (basins->count - at) * sizeof(struct basin *));
    items[at] = basin;
    basins->items = items;
    basins->count++;
    return 0;
}

struct basin *basins_get(struct basins *basins, struct span name)
{
    struct basin *basin = look_up(basins, name);
    if (basin || name.len > S2_BASIN_MAX)
        return basin;
    basin = calloc(1, sizeof(*basin));
    if (!basin)
        return NULL;
    basin->basins = basins;
    basin->len = name.len;
    memcpy(basin->name, name.ptr, name.len);
    if (insert(basins, place_of(basins, name), basin) == 0)
        return basin;
    free(basin);
    return NULL;
}

void basins_tidy(struct basin *basin)
{
    struct basins *basins = basin->basins;
    if (basin->state != BASIN_ABSENT || basin->marked || basin->ops || basin->holds > 0)
        return;
    size_t at = place_of(basins, name_of(basin));
    basins->count--;
    memmove(basins->items + at, basins->items + at + 1,
            (basins->count - at) * sizeof(struct basin *));
    free(basin);
}

/* --- looking ----------------------------------------------------------------------------------------- */

bool basin_is_there(const struct basin *basin)
{
    return basin->state == BASIN_ACTIVE || basin->state == BASIN_DELETING;
}

struct basin *basins_find(struct basins *basins, struct span name)
{
    struct basin *basin = look_up(basins, name);
    return basin && basin_is_there(basin) ? basin : NULL;
}

struct basin *basins_of(struct basins *basins, const struct site *site)
{
    return site->name[0] ? basins_find(basins, span_str(site->name)) : basins->root_basin;
}

void basins_each(struct basins *basins, struct span prefix, struct span after,
                 bool (*each)(void *arg, const struct basin *basin), void *arg)
{
    size_t at = place_of(basins, compare(after, prefix) > 0 ? after : prefix);
    for (; at < basins->count; at++) {
        const struct basin *basin = basins->items[at];
        if (basin->len < prefix.len || compare(span_of(basin->name, prefix.len), prefix) != 0)
            return;
        if (span_eq(name_of(basin), after) || !basin_is_there(basin))
            continue;
        if (!each(arg, basin))
            return;
    }
}

const struct s2_basin_config *basin_config(const struct basin *basin)
{
    return &basin->note.config;
}

struct span basin_name(const struct basin *basin)
{
    return name_of(basin);
}

bool basin_deleting(const struct basin *basin)
{
    return basin->state != BASIN_ACTIVE;
}

struct basin_info basin_info(const struct basin *basin)
{
    return (struct basin_info){.name = name_of(basin),
                               .created_ms = basin->note.created_ms,
                               .deleted_ms = basin->note.deleted_ms};
}

void basin_hold(struct basin *basin)
{
    basin->holds++;
}

void basin_drop(struct basin *basin)
{
    basin->holds--;
    basins_tidy(basin);
}

/* --- its store, open --------------------------------------------------------------------------------- */

static void opened(struct attached_use *use, struct attached *attached, const struct err *err)
{
    struct basin_use *mine = (struct basin_use *)((char *)use - offsetof(struct basin_use, use));
    mine->attached = err ? NULL : attached;
    mine->opened(mine, err ? NULL : &attached->site, err);
}

void basin_use(struct basin *basin, struct basin_use *use)
{
    struct err err = ERR_INIT;
    use->basin = basin;
    use->attached = NULL;
    if (basin->is_root) {
        use->opened(use, basin->basins->root, NULL);
    } else if (!basin->attached) {
        err_set(&err, ERR_NOT_FOUND, "the store is gone");
        use->opened(use, NULL, &err);
    } else {
        use->use.opened = opened;
        attached_use(basin->attached, &use->use);
    }
}

void basin_release(struct basin_use *use)
{
    if (use->attached)
        attached_release(use->attached);
    use->attached = NULL;
}

/* --- stores that come and go ------------------------------------------------------------------------- */

/* NULL: its name is no basin's, or the root's. */
static struct basin *basin_of(struct basins *basins, struct span name)
{
    struct basin *basin = s2_basin_name(name, NULL) == 0 ? basins_get(basins, name) : NULL;
    return basin && !basin->is_root ? basin : NULL;
}

static void set_there(struct basin *basin, struct attached *attached)
{
    basin->attached = attached;
    basin->state = BASIN_ACTIVE;
    if (!basin->marked)
        basin->note.created_ms = id_time_ms(attached->created);
}

static void store_active(void *arg, struct attached *attached)
{
    struct basin *basin = basin_of(arg, span_str(attached->name));
    if (!basin)
        return;
    if (basin->state == BASIN_DELETING) /* made again by a frame while its old life goes */
        basin_forget(basin);
    set_there(basin, attached);
    basin_op_active(basin);
}

static void store_invalid(void *arg, struct span name, struct frame_id of, const char *why)
{
    struct basin *basin = basin_of(arg, name);
    (void)of;
    if (!basin || basin->state == BASIN_ACTIVE)
        return; /* another one stands there, and stays */
    basin_forget(basin);
    basin_op_invalid(basin, why);
}

static void store_leaving(void *arg, struct attached *attached, enum stores_end end,
                          struct frame_id cause)
{
    struct basin *basin = basin_of(arg, span_str(attached->name));
    if (!basin || basin->attached != attached)
        return;
    if (end != STORES_END_DELETE) {
        basin->state = BASIN_DETACHING;
        return;
    }
    basin->state = BASIN_DELETING;
    if (basin->note.deleted_ms == 0)
        basin->note.deleted_ms = id_time_ms(cause);
}

static void store_gone(void *arg, struct attached *attached, enum stores_end end)
{
    struct basin *basin = basin_of(arg, span_str(attached->name));
    if (!basin || basin->attached != attached)
        return;
    basin->attached = NULL;
    basin->state = BASIN_ABSENT;
    if (end == STORES_END_DELETE)
        basin_forget(basin);
    basin_ops_run(basin); /* it may be freed there */
}

/* --- the start --------------------------------------------------------------------------------------- */

struct start {
    struct basins *basins;
    struct err *err;
};

static int take_mark(void *arg, const struct store_mark_view *mark)
{
    struct start *start = arg;
    struct err err = ERR_INIT;
    const size_t skip = sizeof(BASIN_MARK_PREFIX) - 1;
    struct span name = span_of(mark->name.ptr + skip, mark->name.len - skip);
    struct basin *basin = name.len == 0 ? start->basins->root_basin : basin_of(start->basins, name);
    if (!basin)
        return 0; /* the root has that name now */
    basin->marked = true;
    int rc = basin_note_read(&basin->note, mark->config, &err);
    if (rc == ERR_DAMAGED) /* its store is there all the same */
        log_say(start->basins->root->daemon->log, LOG_ERROR, "basins", "basin=%s error=\"%s\"",
                basin->name, err.text);
    return rc == -ENOMEM ? rc : 0;
}

static bool take_store(void *arg, struct attached *attached)
{
    struct basin *basin = basin_of(arg, span_str(attached->name));
    if (basin)
        set_there(basin, attached);
    return true;
}

static void take_deleted(void *arg, struct attached *attached, struct frame_id cause)
{
    struct basin *basin = basin_of(arg, span_str(attached->name));
    if (!basin || basin->state == BASIN_ACTIVE)
        return;
    set_there(basin, attached);
    store_leaving(arg, attached, STORES_END_DELETE, cause);
}

/* Marks whose store is gone: a deletion that was told, and forgetting it not; or a frame took the store away, which then comes
 * back as a new one. */
static void forget_lost(struct basins *basins)
{
    for (size_t at = basins->count; at-- > 0;) {
        struct basin *basin = basins->items[at];
        if (basin->state != BASIN_ABSENT)
            continue;
        if (basin->note.deleted_ms > 0)
            basin_forget(basin);
        basin_ops_run(basin);
    }
}

static uint64_t made_ms(const struct site *site)
{
    struct stat st;
    if (fstatat(store_dirfd(site->store), "format", &st, 0) < 0)
        return time_now_ms();
    return (uint64_t)st.st_mtim.tv_sec * 1000 + (uint64_t)st.st_mtim.tv_nsec / 1000000;
}

static int read_all(struct basins *basins, const char *root_name, struct err *err)
{
    struct site *root = basins->root;
    struct start start = {basins, err};
    struct basin *own = basins_get(basins, span_str(root_name));
    if (!own)
        return err_set(err, -ENOMEM, "no memory for the basins");
    basins->root_basin = own;
    own->is_root = true;
    own->state = BASIN_ACTIVE;
    own->note.created_ms = made_ms(root);
    int rc = store_marks(root->store, span_str(BASIN_MARK_PREFIX), take_mark, &start, err);
    if (rc < 0)
        return rc;
    stores_each(root->daemon->stores, take_store, basins);
    stores_each_deleted(root->daemon->stores, take_deleted, basins);
    forget_lost(basins);
    return 0;
}

int basins_create(struct basins **out, struct site *root, const char *root_name, struct err *err)
{
    struct basins *basins = calloc(1, sizeof(*basins));
    if (!basins)
        return err_set(err, -ENOMEM, "no memory for the basins");
    basins->root = root;
    int rc = read_all(basins, root_name, err);
    if (rc < 0) {
        basins_destroy(basins);
        return rc;
    }
    stores_listen(root->daemon->stores, &(struct stores_listener){.active = store_active,
                                                                  .invalid = store_invalid,
                                                                  .leaving = store_leaving,
                                                                  .gone = store_gone,
                                                                  .arg = basins});
    *out = basins;
    return 0;
}

void basins_destroy(struct basins *basins)
{
    if (!basins)
        return;
    basins->ending = true;
    for (size_t i = 0; i < basins->count; i++)
        basin_ops_end(basins->items[i]);
    for (size_t i = 0; i < basins->count; i++)
        free(basins->items[i]);
    free(basins->items);
    free(basins);
}
