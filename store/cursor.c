/*
 * Reads: history from the index up to the tail's floor, then the tail, then live. The floor is
 * where one ends and the other begins, and it is fixed by the pin, so there is no gap and no
 * repeat.
 */
#include "store/cursor.h"

#include <errno.h>
#include <stdlib.h>

#include "base/text.h"
#include "store/record.h"

#define SLICE_US 1000
#define LOOK_CLOCK 32 /* frames between two looks at the clock */

static struct frame_id max_id(struct frame_id a, struct frame_id b)
{
    return id_cmp(a, b) > 0 ? a : b;
}

static struct frame_id min_id(struct frame_id a, struct frame_id b)
{
    return id_cmp(a, b) < 0 ? a : b;
}

/* --- opening ------------------------------------------------------------------------------ */

static int copy_filter(struct store_cursor *cursor, const struct store_query *query)
{
    cursor->topics.all = true;
    if (query->stream.len) {
        cursor->stream = malloc(query->stream.len);
        if (!cursor->stream)
            return -ENOMEM;
        memcpy(cursor->stream, query->stream.ptr, query->stream.len);
        cursor->stream_len = query->stream.len;
        return 0;
    }
    return query->topics ? pattern_dup(&cursor->topics, query->topics) : 0;
}

static void set_bounds(struct store_cursor *cursor, const struct store_query *query,
                       const struct tail_pin *pin)
{
    cursor->low = query->from;
    cursor->until = id_is_zero(query->until) ? ID_MAX : query->until;
    cursor->high = min_id(cursor->until, pin->end);
    cursor->ephemerals = pin->ephemerals;
    cursor->left = query->has_limit ? query->limit : UINT64_MAX;
    cursor->reverse = query->reverse;
    cursor->follow = query->follow && !query->reverse;
    cursor->threshold = cursor->follow && !query->skip_history;
    cursor->next = cursor->reverse ? cursor->high : cursor->low;
    cursor->state = CURSOR_HISTORY;
    if (query->skip_history) {
        cursor->next = max_id(id_succ(pin->end), query->from);
        cursor->state = cursor->follow ? CURSOR_LIVE : CURSOR_DONE;
    } else if (query->has_last && !cursor->reverse) {
        cursor->last = query->last;
        cursor->next = cursor->high;
        cursor->state = CURSOR_LAST;
    } else if (query->has_last && query->last < cursor->left) {
        cursor->left = query->last;
    }
    if (cursor->left == 0)
        cursor->state = CURSOR_DONE;
}

int store_cursor_open(struct store_cursor **out, struct store *store,
                      const struct store_query *query, struct err *err)
{
    struct tail_pin pin;
    struct store_cursor *cursor = calloc(1, sizeof *cursor);
    if (!cursor || copy_filter(cursor, query) != 0) {
        store_cursor_close(cursor);
        return err_set(err, -ENOMEM, "no memory for the read");
    }
    cursor->store = store;
    cursor->want_lines = query->want_lines;
    cursor->stored_only = query->stored_only;
    tail_pin(&store->tail, &pin);
    set_bounds(cursor, query, &pin);
    tail_unpin(&store->tail, &pin);
    *out = cursor;
    return 0;
}

void store_cursor_close(struct store_cursor *cursor)
{
    if (!cursor)
        return;
    pattern_finish(&cursor->topics);
    free(cursor->stream);
    free(cursor);
}

struct frame_id store_cursor_position(const struct store_cursor *cursor)
{
    /* Looking back for the newest so many, nothing is behind the reader yet. */
    struct frame_id next = cursor->state == CURSOR_LAST ? cursor->low : cursor->next;
    return cursor->reverse || id_is_zero(next) ? next : id_pred(next);
}

uint64_t store_cursor_lost(struct store_cursor *cursor)
{
    uint64_t lost = cursor->lost;
    cursor->lost = 0;
    return lost;
}

/* --- one frame ---------------------------------------------------------------------------- */

bool cursor_wants(const struct store_cursor *cursor, struct span topic)
{
    if (cursor->stream)
        return span_eq(topic, span_of(cursor->stream, cursor->stream_len));
    return cursor->topics.all || pattern_match(&cursor->topics, topic);
}

static void step_over(struct slice *slice, struct frame_id id)
{
    struct store_cursor *cursor = slice->cursor;
    if (!slice->reverse)
        cursor->next = id_succ(id);
    else if (id_is_zero(id))
        cursor->exhausted = true;
    else
        cursor->next = id_pred(id);
}

static void look_at_clock(struct slice *slice)
{
    if (++slice->looked % LOOK_CLOCK == 0 && time_mono_us() - slice->started_us > SLICE_US)
        slice->full = true;
}

static int hand_out(struct slice *slice, const struct frame *frame, struct span line)
{
    struct store_cursor *cursor = slice->cursor;
    if (slice->silent) {
        cursor->found = frame->id;
        slice->full |= --cursor->last == 0;
        return 0;
    }
    struct store_item item = {frame, line};
    long produced = slice->sink(slice->arg, &item);
    if (produced < 0)
        return (int)produced;
    slice->produced += (size_t)produced;
    slice->full |= --cursor->left == 0 || slice->produced >= slice->budget;
    return 0;
}

/* A live follower gets each frame as it was appended, also one that its ttl has ended since. */
static bool visible(const struct slice *slice, const struct frame *frame)
{
    struct tail *tail = &slice->cursor->store->tail;
    if (slice->fresh)
        return !tail_removes(tail, &slice->pin, frame);
    bool over = frame->deadline_ms != 0 && frame->deadline_ms <= slice->now_ms;
    return !over && !tail_hides(tail, &slice->pin, frame);
}

void slice_pass(struct slice *slice, struct frame_id id)
{
    look_at_clock(slice);
    step_over(slice, id);
}

int slice_frame(struct slice *slice, const struct frame *frame, struct span line)
{
    struct store_cursor *cursor = slice->cursor;
    look_at_clock(slice);
    bool wanted = frame->has_seq || !cursor->stored_only;
    if (wanted && cursor_wants(cursor, frame->topic) && visible(slice, frame)) {
        int r = hand_out(slice, frame, line);
        if (r != 0)
            return r;
    }
    step_over(slice, frame->id);
    return 0;
}

/* --- the tail's part ---------------------------------------------------------------------- */

static int tail_entry(struct slice *slice, struct tail_group *group, size_t i)
{
    const struct tail_frame *entry = &group->frames[i];
    struct frame frame;
    struct span line = {0};
    if (entry->ephemeral && !slice->live) {
        step_over(slice, entry->id);
        return 0;
    }
    slice->cursor->ephemerals += entry->ephemeral;
    int r = record_get_frame(&frame, entry->record, &slice->damage);
    if (r != 0) {
        step_over(slice, entry->id);
        return 0;
    }
    if (slice->cursor->want_lines && !slice->silent &&
        (frame.has_seq || !slice->cursor->stored_only) && cursor_wants(slice->cursor, frame.topic)) {
        const struct tail_lines *lines = tail_group_lines(&slice->cursor->store->tail, group);
        if (lines)
            line = span_of(lines->bytes.ptr + lines->at[i], lines->at[i + 1] - lines->at[i]);
    }
    slice->fresh = slice->live;
    int given = slice_frame(slice, &frame, line);
    slice->fresh = false;
    return given;
}

static int tail_up(struct slice *slice)
{
    struct store_cursor *cursor = slice->cursor;
    struct tail *tail = &cursor->store->tail;
    for (uint64_t o = tail_seek(tail, &slice->pin, cursor->next); o <= slice->pin.last; o++) {
        struct tail_group *group = tail_at(tail, o);
        for (size_t i = tail_group_seek(group, cursor->next); i < group->count; i++) {
            if (id_cmp(group->frames[i].id, slice->bound) > 0)
                return 0;
            int r = tail_entry(slice, group, i);
            if (r != 0 || slice->full)
                return r;
        }
    }
    return 0;
}

static int tail_down(struct slice *slice)
{
    struct store_cursor *cursor = slice->cursor;
    struct tail *tail = &cursor->store->tail;
    uint64_t o = tail_seek(tail, &slice->pin, id_succ(cursor->next));
    for (o = o > slice->pin.last ? slice->pin.last : o; o >= slice->pin.first && o > 0; o--) {
        struct tail_group *group = tail_at(tail, o);
        for (size_t i = tail_group_seek(group, id_succ(cursor->next)); i-- > 0;) {
            if (id_cmp(group->frames[i].id, slice->bound) < 0)
                return 0;
            int r = tail_entry(slice, group, i);
            if (r != 0 || slice->full)
                return r;
        }
    }
    return 0;
}

/* --- a slice: index and tail joined at the floor ------------------------------------------ */

/* 1: complete up to the bound. 0: more is left. STORE_DISK is told through `disk`. */
static int slice_up(struct slice *slice, bool *disk, struct err *err)
{
    struct store_cursor *cursor = slice->cursor;
    struct frame_id floor = min_id(slice->pin.floor, slice->bound);
    int r = 0;
    if (id_cmp(cursor->next, floor) <= 0) {
        if (!slice->may_block) {
            *disk = true;
            return 0;
        }
        r = slice_index(slice, floor, err);
        if (r != 0 || slice->full)
            return r;
        cursor->next = id_succ(floor);
    }
    if (id_cmp(cursor->next, slice->bound) <= 0)
        r = tail_up(slice);
    if (r != 0 || slice->full)
        return r;
    cursor->next = max_id(cursor->next, id_succ(slice->bound));
    return 1;
}

static int slice_down(struct slice *slice, bool *disk, struct err *err)
{
    struct store_cursor *cursor = slice->cursor;
    int r = 0;
    if (cursor->exhausted || id_cmp(cursor->next, slice->bound) < 0)
        return 1;
    if (id_cmp(cursor->next, slice->pin.floor) > 0) {
        r = tail_down(slice);
        if (r != 0 || slice->full)
            return r;
        cursor->next = min_id(cursor->next, slice->pin.floor);
    }
    if (cursor->exhausted || id_cmp(cursor->next, slice->bound) < 0)
        return 1;
    if (!slice->may_block) {
        *disk = true;
        return 0;
    }
    r = slice_index(slice, slice->bound, err);
    return r != 0 || slice->full ? r : 1;
}

/* --- the states --------------------------------------------------------------------------- */

static void history_ended(struct store_cursor *cursor)
{
    if (cursor->left == 0 || !cursor->follow) {
        cursor->state = CURSOR_DONE;
        return;
    }
    cursor->state = CURSOR_EDGE;
    cursor->next = max_id(id_succ(cursor->high), cursor->low);
}

static int read_last(struct store_cursor *cursor, struct slice *slice, bool *disk, struct err *err)
{
    int r = 1;
    slice->reverse = slice->silent = true;
    slice->bound = cursor->low;
    if (cursor->last > 0 && id_cmp(cursor->low, cursor->high) <= 0)
        r = slice_down(slice, disk, err);
    if (r == 0 && cursor->last > 0)
        return 0; /* not found yet: time or disk */
    if (r < 0)
        return r;
    bool any = !id_is_zero(cursor->found);
    cursor->exhausted = false;
    cursor->state = CURSOR_HISTORY;
    cursor->next = any ? cursor->found : id_succ(cursor->high);
    return 0;
}

static int read_history(struct store_cursor *cursor, struct slice *slice, bool *disk,
                        struct err *err)
{
    int r = 1;
    slice->reverse = cursor->reverse;
    slice->bound = cursor->reverse ? cursor->low : cursor->high;
    if (id_cmp(cursor->low, cursor->high) <= 0)
        r = cursor->reverse ? slice_down(slice, disk, err) : slice_up(slice, disk, err);
    if (r > 0 || (r == 0 && cursor->left == 0))
        history_ended(cursor);
    return r < 0 ? r : 0;
}

/* Ephemeral frames that left the tail before this reader came to them. */
static void count_lost(struct store_cursor *cursor, const struct tail_pin *pin)
{
    if (pin->lost_ephemerals <= cursor->ephemerals)
        return;
    if (!cursor->stored_only)
        cursor->lost += pin->lost_ephemerals - cursor->ephemerals;
    cursor->ephemerals = pin->lost_ephemerals;
}

static int read_live(struct store_cursor *cursor, struct slice *slice, bool *disk,
                     enum store_step *step, struct err *err)
{
    slice->live = true;
    slice->bound = min_id(slice->pin.end, cursor->until);
    if (id_cmp(cursor->next, cursor->until) > 0) {
        cursor->state = CURSOR_DONE;
        return 0;
    }
    if (id_cmp(cursor->next, slice->bound) > 0) {
        *step = STORE_IDLE;
        return 0;
    }
    if (id_cmp(cursor->next, slice->pin.floor) <= 0 && slice->may_block)
        count_lost(cursor, &slice->pin);
    int r = slice_up(slice, disk, err);
    if (cursor->left == 0)
        cursor->state = CURSOR_DONE;
    else if (r > 0 && slice->produced == 0)
        *step = STORE_IDLE;
    return r < 0 ? r : 0;
}

static int read_state(struct store_cursor *cursor, struct slice *slice, enum store_step *step,
                      struct err *err)
{
    bool disk = false;
    int r = 0;
    switch (cursor->state) {
    case CURSOR_LAST:
        r = read_last(cursor, slice, &disk, err);
        break;
    case CURSOR_HISTORY:
        r = read_history(cursor, slice, &disk, err);
        break;
    case CURSOR_EDGE:
        cursor->state = CURSOR_LIVE;
        if (cursor->threshold)
            *step = STORE_THRESHOLD;
        break;
    case CURSOR_LIVE:
        r = read_live(cursor, slice, &disk, step, err);
        break;
    case CURSOR_DONE:
        break;
    }
    if (disk)
        *step = STORE_DISK;
    else if (cursor->state == CURSOR_DONE)
        *step = STORE_DONE;
    return r;
}

int store_cursor_read(struct store_cursor *cursor, size_t budget, bool may_block, store_sink sink,
                      void *arg, enum store_step *step, struct err *err)
{
    struct store *store = cursor->store;
    struct slice slice = {.cursor = cursor,
                          .may_block = may_block,
                          .budget = budget,
                          .started_us = time_mono_us(),
                          .now_ms = store_now(store),
                          .sink = sink,
                          .arg = arg};
    *step = STORE_MORE;
    tail_pin(&store->tail, &slice.pin);
    int r = read_state(cursor, &slice, step, err);
    tail_unpin(&store->tail, &slice.pin);
    if (r == 0 && slice.damage.code != 0) {
        if (err)
            *err = slice.damage;
        r = slice.damage.code;
    }
    return r;
}

struct frame_id store_synthetic_id(struct store *store, const struct store_cursor *cursor)
{
    struct frame_id position = store_cursor_position(cursor);
    struct tail_pin pin;
    struct frame_id id;
    /* Under gen_lock no group can begin or end: what is not visible yet has ids from inflight on.
     */
    pthread_mutex_lock(&store->gen_lock);
    tail_pin(&store->tail, &pin);
    tail_unpin(&store->tail, &pin);
    if (id_cmp(position, pin.end) < 0)
        id = id_succ(position);
    else if (id_is_zero(store->inflight))
        id = id_gen_next(&store->gen, store_now(store));
    else
        id = id_pred(store->inflight);
    pthread_mutex_unlock(&store->gen_lock);
    return id;
}
