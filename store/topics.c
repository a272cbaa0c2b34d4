/*
 * Lists of topics. Only the index has them in order, so what is not there yet is moved first.
 */
#include "store/state.h"

/* A snapshot of everything answered. */
static int begin(struct store *store, struct index_snap **snap, struct err *err)
{
    int r = store_flush(store, err);
    return r == 0 ? index_snap_begin(store->index, snap, err) : r;
}

struct topic_walk {
    int (*each)(void *arg, struct span name, uint64_t live, uint64_t next_seq);
    void *arg;
};

static int give_topic(void *arg, const struct index_topic *topic)
{
    struct topic_walk *walk = arg;
    return walk->each(walk->arg, topic->name, topic->live, topic->next_seq);
}

int store_topics(struct store *store,
                 int (*each)(void *arg, struct span name, uint64_t live, uint64_t next_seq),
                 void *arg, struct err *err)
{
    struct topic_walk walk = {each, arg};
    struct index_snap *snap;
    int r = begin(store, &snap, err);
    if (r != 0)
        return r;
    r = index_topics(snap, (struct span){0}, (struct span){0}, give_topic, &walk, err);
    index_snap_end(snap);
    return r;
}

struct topic_page {
    int (*each)(void *arg, const struct store_topic *topic);
    void *arg;
};

static int give_view(void *arg, const struct index_topic *row)
{
    struct topic_page *page = arg;
    struct store_topic view = {.name = row->name,
                               .no = row->no,
                               .created_ms = row->created_ms,
                               .rules = row->rules,
                               .note = row->note,
                               .revision = row->revision,
                               .next_seq = row->next_seq,
                               .last_stamp = row->last_stamp,
                               .trim = row->trim,
                               .first_seq = row->live_seq > 0 ? row->first_seq : row->next_seq,
                               .live = row->live,
                               .bytes = row->bytes,
                               .last_id = row->last_id,
                               .token = row->token};
    return page->each(page->arg, &view);
}

int store_topic_list(struct store *store, struct span prefix, struct span after,
                     int (*each)(void *arg, const struct store_topic *topic), void *arg,
                     struct err *err)
{
    struct topic_page page = {each, arg};
    struct index_snap *snap;
    int r = begin(store, &snap, err);
    if (r != 0)
        return r;
    r = index_topics(snap, prefix, after, give_view, &page, err);
    index_snap_end(snap);
    return r;
}
