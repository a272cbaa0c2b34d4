/*
 * The index's part of a slice: a scan of all frames with a filter, or a merge of the topics that
 * match when those hold under a sixteenth of the frames.
 */
#include <errno.h>
#include <stdlib.h>

#include "store/cursor.h"

#define MERGE_MAX 64
#define MERGE_PART 16

/* Scans merged by id; each holds its next frame. One scan of all frames is a merge of one. */
struct merge {
    struct slice *slice;
    struct index_snap *snap;
    struct index_scan *scans[MERGE_MAX];
    struct frame frames[MERGE_MAX];
    bool live[MERGE_MAX], hidden[MERGE_MAX];
    size_t count;
    uint64_t total; /* frames of the topics found so far */
    uint32_t topics[MERGE_MAX];
    bool too_many;
};

static int note_topic(void *arg, const struct index_topic *topic)
{
    struct merge *merge = arg;
    if (!cursor_wants(merge->slice->cursor, topic->name) || topic->live == 0)
        return 0;
    for (size_t i = 0; i < merge->count; i++)
        if (merge->topics[i] == topic->no)
            return 0;
    if (merge->count == MERGE_MAX) {
        merge->too_many = true;
        return 1;
    }
    merge->topics[merge->count++] = topic->no;
    merge->total += topic->live;
    return 0;
}

static int note_exact(struct merge *merge, struct span name, struct err *err)
{
    struct index_topic topic;
    int r = index_topic_by_name(merge->snap, name, &topic, err);
    if (r == 0)
        note_topic(merge, &topic);
    return r == ERR_NOT_FOUND ? 0 : r;
}

static int find_topics(struct merge *merge, struct err *err)
{
    const struct store_cursor *cursor = merge->slice->cursor;
    if (cursor->stream)
        return note_exact(merge, span_of(cursor->stream, cursor->stream_len), err);
    for (size_t i = 0; i < cursor->topics.count && !merge->too_many; i++) {
        const struct pattern *item = &cursor->topics.items[i];
        int r = item->prefix ? index_topics(merge->snap, item->text, (struct span){0}, note_topic, merge, err)
                             : note_exact(merge, item->text, err);
        if (r < 0)
            return r;
    }
    return 0;
}

/* Opens the scans: by topic when that is less work, else all frames. */
static int open_scans(struct merge *merge, struct err *err)
{
    struct slice *slice = merge->slice;
    const struct store_cursor *cursor = slice->cursor;
    struct index_totals totals;
    int r = 0;
    if (cursor->stream || !cursor->topics.all) {
        r = find_topics(merge, err);
        if (r == 0)
            r = index_totals(merge->snap, &totals, err);
        if (r != 0)
            return r;
        bool few =
            !merge->too_many && (merge->count <= 1 || merge->total < totals.frames / MERGE_PART);
        for (size_t i = 0; few && i < merge->count; i++) {
            r = index_topic_scan_begin(merge->snap, &merge->scans[i], merge->topics[i],
                                       cursor->next, slice->reverse, err);
            if (r != 0)
                return r;
        }
        if (few)
            return 0;
    }
    merge->count = 1;
    return index_scan_begin(merge->snap, &merge->scans[0], cursor->next, slice->reverse, err);
}

/* Loads scan i's next frame. A damaged one is noted and passed over. */
static int advance(struct merge *merge, size_t i, struct err *err)
{
    struct err damage = ERR_INIT;
    int r;
    while ((r = index_scan_step(merge->scans[i], &merge->frames[i], &merge->hidden[i], &damage)) ==
           ERR_DAMAGED)
        merge->slice->damage = damage;
    merge->live[i] = r == 0;
    if (r == 0 || r == ERR_END)
        return 0;
    if (err)
        *err = damage;
    return r;
}

static bool before(const struct merge *merge, size_t a, size_t b)
{
    int order = id_cmp(merge->frames[a].id, merge->frames[b].id);
    return merge->slice->reverse ? order > 0 : order < 0;
}

/* The scan whose frame is next, or count when all are at their end. */
static size_t pick(const struct merge *merge)
{
    size_t best = merge->count;
    for (size_t i = 0; i < merge->count; i++)
        if (merge->live[i] && (best == merge->count || before(merge, i, best)))
            best = i;
    return best;
}

static int run(struct merge *merge, struct frame_id bound, struct err *err)
{
    struct slice *slice = merge->slice;
    int r = 0;
    for (size_t i = 0; i < merge->count && r == 0; i++)
        r = advance(merge, i, err);
    while (r == 0 && !slice->full) {
        size_t i = pick(merge);
        if (i == merge->count)
            return 0;
        int order = id_cmp(merge->frames[i].id, bound);
        if (slice->reverse ? order < 0 : order > 0)
            return 0;
        if (merge->hidden[i])
            slice_pass(slice, merge->frames[i].id);
        else
            r = slice_frame(slice, &merge->frames[i], (struct span){0});
        if (r == 0 && !slice->full) /* else a damaged frame behind it would be told of now and by
                                       the next slice */
            r = advance(merge, i, err);
    }
    return r;
}

int slice_index(struct slice *slice, struct frame_id bound, struct err *err)
{
    struct merge *merge = calloc(1, sizeof *merge);
    if (!merge)
        return err_set(err, -ENOMEM, "no memory for the read");
    merge->slice = slice;
    int r = index_snap_begin(slice->cursor->store->index, &merge->snap, err);
    if (r == 0)
        r = open_scans(merge, err);
    if (r == 0)
        r = run(merge, bound, err);
    for (size_t i = 0; i < MERGE_MAX; i++)
        index_scan_end(merge->scans[i]);
    index_snap_end(merge->snap);
    free(merge);
    return r;
}
