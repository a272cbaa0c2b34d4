/*
 * Reading marks. Only the index has them whole, so what is not there yet is moved first.
 */
#include "store/state.h"

struct mark_walk {
    int (*each)(void *arg, const struct store_mark_view *mark);
    void *arg;
    struct frame_id newest;
};

static int give_mark(void *arg, const struct index_mark *mark)
{
    struct mark_walk *walk = arg;
    struct store_mark_view view = {.name = mark->name,
                                   .config = mark->config,
                                   .low = mark->low,
                                   .acked = mark->acked,
                                   .acked_count = mark->acked_count,
                                   .newest = walk->newest};
    return walk->each(walk->arg, &view);
}

/* A snapshot of everything answered. */
static int begin(struct store *store, struct mark_walk *walk, struct index_snap **snap,
                 struct err *err)
{
    struct index_totals totals;
    int r = store_flush(store, err);
    if (r == 0)
        r = index_snap_begin(store->index, snap, err);
    if (r != 0)
        return r;
    r = index_totals(*snap, &totals, err);
    if (r != 0)
        index_snap_end(*snap);
    else
        walk->newest = totals.newest;
    return r;
}

int store_marks(struct store *store, struct span prefix,
                int (*each)(void *arg, const struct store_mark_view *mark), void *arg,
                struct err *err)
{
    struct mark_walk walk = {.each = each, .arg = arg};
    struct index_snap *snap;
    int r = begin(store, &walk, &snap, err);
    if (r != 0)
        return r;
    r = index_marks(snap, prefix, give_mark, &walk, err);
    index_snap_end(snap);
    return r;
}

int store_mark(struct store *store, struct span name,
               int (*take)(void *arg, const struct store_mark_view *mark), void *arg,
               struct err *err)
{
    struct mark_walk walk = {.each = take, .arg = arg};
    struct index_snap *snap;
    int r = begin(store, &walk, &snap, err);
    if (r != 0)
        return r;
    r = index_mark(snap, name, give_mark, &walk, err);
    index_snap_end(snap);
    return r;
}
