#include "store/tail.h"

#include <errno.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/frame_json.h"
#include "store/record.h"
#include "store/shadow.h"

#define TRIM_GROUPS 256 /* evicted at a time, so that the lock is held for moments */
#define FRAME_BITS 24 /* a packed content reference: group ordinal above, frame below */

int tail_init(struct tail *tail, size_t budget, uint64_t number, struct frame_id floor)
{
    *tail = (struct tail){.first = 1,
                          .budget = budget,
                          .number = number,
                          .indexed = number,
                          .floor = floor,
                          .end = floor,
                          .mask = 63,
                          .content_mask = 255};
    tail->pins.prev = tail->pins.next = &tail->pins;
    tail->holds = (struct store_hold){ID_MAX, &tail->holds, &tail->holds};
    tail->ring = calloc(tail->mask + 1, sizeof(struct tail_group *));
    tail->content = calloc(tail->content_mask + 1, sizeof *tail->content);
    tail->shadow = shadow_create();
    if (!tail->ring || !tail->content || !tail->shadow) {
        tail_finish(tail);
        return -ENOMEM;
    }
    pthread_mutex_init(&tail->lock, NULL);
    pthread_cond_init(&tail->unpinned, NULL);
    return 0;
}

void tail_finish(struct tail *tail)
{
    for (uint64_t o = tail->first; tail->ring && o <= tail->last; o++)
        tail_group_destroy(tail->ring[o & tail->mask]);
    free(tail->ring);
    free(tail->content);
    shadow_destroy(tail->shadow);
    *tail = (struct tail){0};
}

struct tail_group *tail_group_create(size_t frames)
{
    struct tail_group *group = calloc(1, sizeof *group);
    if (!group)
        return NULL;
    group->frames = malloc((frames ? frames : 1) * sizeof *group->frames);
    if (!group->frames) {
        free(group);
        return NULL;
    }
    return group;
}

static void lines_destroy(struct tail_lines *lines)
{
    if (!lines)
        return;
    buf_finish(&lines->bytes);
    free(lines->at);
    free(lines);
}

void tail_group_destroy(struct tail_group *group)
{
    if (!group)
        return;
    lines_destroy(atomic_load(&group->lines));
    buf_finish(&group->ops);
    buf_finish(&group->ephemeral);
    free(group->frames);
    free(group);
}

static size_t group_bytes(const struct tail_group *group)
{
    return sizeof *group + group->ops.cap + group->ephemeral.cap +
           group->count * sizeof(struct tail_frame);
}

/* --- contents of the tail by hash --------------------------------------------------------- */

static uint64_t *content_bucket(struct tail *tail, struct span record)
{
    return &tail->content[get_be64(record.ptr + 64) & tail->content_mask];
}

static bool record_has_hash(struct span record)
{
    return record.ptr[1] & RECORD_HASH;
}

static void content_link(struct tail *tail, struct tail_group *group)
{
    for (size_t i = 0; i < group->count; i++) {
        struct tail_frame *frame = &group->frames[i];
        if (!record_has_hash(frame->record))
            continue;
        uint64_t *bucket = content_bucket(tail, frame->record);
        frame->content_next = *bucket;
        *bucket = group->ordinal << FRAME_BITS | i;
    }
}

/* Chains run from newer to older frames; one that was evicted ends its chain. Rebuilt when it
 * grows. */
static int content_grow(struct tail *tail, size_t frames)
{
    size_t size = tail->content_mask + 1;
    if (tail->frames + frames <= size * 2)
        return 0;
    while (size < tail->frames + frames)
        size *= 2;
    uint64_t *content = calloc(size, sizeof *content);
    if (!content)
        return -ENOMEM;
    free(tail->content);
    tail->content = content;
    tail->content_mask = size - 1;
    for (uint64_t o = tail->first; o <= tail->last; o++)
        content_link(tail, tail->ring[o & tail->mask]);
    return 0;
}

/*
 * The newest frame below the reference `before` that names the content. Each search begins at the
 * bucket: chains are made anew when the table grows, and references only fall along a chain.
 */
static bool content_before(struct tail *tail, const struct tail_pin *pin,
                           const uint8_t digest[static DIGEST_SIZE], uint64_t *before,
                           struct frame *out)
{
    bool found = false;
    pthread_mutex_lock(&tail->lock);
    uint64_t ref = tail->content[get_be64(digest) & tail->content_mask];
    while (!found && ref != 0 && ref >> FRAME_BITS >= pin->first) {
        const struct tail_group *group = tail->ring[(ref >> FRAME_BITS) & tail->mask];
        const struct tail_frame *entry = &group->frames[ref & ((1u << FRAME_BITS) - 1)];
        found = ref < *before && group->ordinal <= pin->last &&
                memcmp(entry->record.ptr + 64, digest, DIGEST_SIZE) == 0 &&
                record_get_frame(out, entry->record, NULL) == 0;
        if (found)
            *before = ref;
        ref = entry->content_next;
    }
    pthread_mutex_unlock(&tail->lock);
    return found;
}

int tail_content(struct tail *tail, const struct tail_pin *pin,
                 const uint8_t digest[static DIGEST_SIZE],
                 int (*each)(void *arg, const struct frame *frame), void *arg)
{
    struct frame frame;
    uint64_t before = UINT64_MAX;
    int r = 0;
    while (r == 0 && content_before(tail, pin, digest, &before, &frame))
        r = each(arg, &frame);
    return r;
}

/* --- the writer's and the index thread's side --------------------------------------------- */

static int ring_grow(struct tail *tail)
{
    uint64_t held = tail->last + 1 - tail->first;
    if (held + 1 <= tail->mask + 1)
        return 0;
    uint64_t size = (tail->mask + 1) * 2;
    struct tail_group **ring = malloc(size * sizeof(struct tail_group *));
    if (!ring)
        return -ENOMEM;
    for (uint64_t o = tail->first; o <= tail->last; o++)
        ring[o & (size - 1)] = tail->ring[o & tail->mask];
    free(tail->ring);
    tail->ring = ring;
    tail->mask = size - 1;
    return 0;
}

int tail_reserve(struct tail *tail, size_t frames, size_t hides)
{
    pthread_mutex_lock(&tail->lock);
    int r = ring_grow(tail);
    if (r == 0)
        r = content_grow(tail, frames);
    if (r == 0)
        r = shadow_reserve(tail->shadow, hides);
    pthread_mutex_unlock(&tail->lock);
    return r;
}

static bool may_evict(const struct tail *tail, const struct tail_group *group)
{
    const struct tail_pin *oldest = tail->pins.next;
    if (group->number > tail->indexed)
        return false;
    return oldest == &tail->pins || oldest->first > group->ordinal;
}

static void evict_oldest(struct tail *tail)
{
    struct tail_group *group = tail->ring[tail->first & tail->mask];
    tail->first++;
    tail->bytes -= group_bytes(group) + group->lines_bytes;
    tail->frames -= group->count;
    tail->floor = group->last_id;
    tail->lost_ephemerals += group->ephemerals;
    if (tail->first > tail->last || tail->ring[tail->first & tail->mask]->number > group->number)
        shadow_forget(tail->shadow, group->number);
    tail_group_destroy(group);
}

static bool is_held(const struct tail *tail, const struct tail_group *group)
{
    return group->ephemerals > 0 && tail->holds.next != &tail->holds &&
           id_cmp(group->last_ephemeral, tail->holds.from) >= 0 && tail->bytes < TAIL_HOLD_MAX;
}

/* Whether the oldest group is to go. */
static bool is_over(const struct tail *tail)
{
    if (tail->first > tail->last || tail->bytes <= tail->unindexed + tail->budget)
        return false;
    const struct tail_group *oldest = tail->ring[tail->first & tail->mask];
    return may_evict(tail, oldest) && !is_held(tail, oldest);
}

static void trim(struct tail *tail)
{
    for (int i = 0; i < TRIM_GROUPS && is_over(tail); i++)
        evict_oldest(tail);
}

void tail_keep(struct tail *tail, size_t budget)
{
    pthread_mutex_lock(&tail->lock);
    tail->budget = budget;
    pthread_mutex_unlock(&tail->lock);
    tail_trim(tail);
}

void tail_trim(struct tail *tail)
{
    bool more;
    do {
        pthread_mutex_lock(&tail->lock);
        trim(tail);
        more = is_over(tail);
        pthread_mutex_unlock(&tail->lock);
    } while (more);
}

static void note_ephemerals(struct tail *tail, struct tail_group *group)
{
    tail->ephemerals += group->ephemerals;
    for (size_t i = group->count; group->ephemerals > 0 && i-- > 0;)
        if (group->frames[i].ephemeral) {
            group->last_ephemeral = group->frames[i].id;
            return;
        }
}

int tail_publish(struct tail *tail, struct tail_group *group, const struct tail_hide *hides,
                 size_t hide_count)
{
    int r = tail_reserve(tail, group->count, hide_count);
    if (r != 0)
        return r;
    pthread_mutex_lock(&tail->lock);
    if (group->stored)
        tail->number = group->number;
    else
        group->number = tail->number;
    group->ordinal = ++tail->last;
    if (group->count && id_cmp(group->frames[group->count - 1].id, group->last_id) > 0)
        group->last_id = group->frames[group->count - 1].id;
    if (id_cmp(group->last_id, tail->end) < 0)
        group->last_id = tail->end;
    tail->ring[group->ordinal & tail->mask] = group;
    tail->end = group->last_id;
    tail->bytes += group_bytes(group);
    if (group->number > tail->indexed)
        tail->unindexed += group_bytes(group);
    tail->frames += group->count;
    note_ephemerals(tail, group);
    content_link(tail, group);
    for (size_t i = 0; i < hide_count; i++)
        shadow_add(tail->shadow, group->number, &hides[i]);
    trim(tail);
    pthread_mutex_unlock(&tail->lock);
    return 0;
}

/* Ordinal of the first group from `first` to `last` of a record above `number`. */
static uint64_t first_after(const struct tail *tail, uint64_t first, uint64_t last, uint64_t number)
{
    uint64_t low = first, high = last + 1;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (tail->ring[middle & tail->mask]->number <= number)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void tail_indexed(struct tail *tail, uint64_t number)
{
    pthread_mutex_lock(&tail->lock);
    for (uint64_t o = first_after(tail, tail->first, tail->last, tail->indexed); o <= tail->last;
         o++) {
        struct tail_group *group = tail->ring[o & tail->mask];
        if (group->number > number)
            break;
        tail->unindexed -= group_bytes(group);
    }
    tail->indexed = number;
    pthread_mutex_unlock(&tail->lock);
    tail_trim(tail);
}

void tail_evict(struct tail *tail, uint64_t number)
{
    pthread_mutex_lock(&tail->lock);
    while (tail->first <= tail->last) {
        struct tail_group *group = tail->ring[tail->first & tail->mask];
        if (group->number > number)
            break;
        if (may_evict(tail, group))
            evict_oldest(tail);
        else
            pthread_cond_wait(&tail->unpinned, &tail->lock);
    }
    pthread_mutex_unlock(&tail->lock);
}

/* --- holds -------------------------------------------------------------------------------- */

static void find_lowest(struct tail *tail)
{
    tail->holds.from = ID_MAX;
    for (const struct store_hold *h = tail->holds.next; h != &tail->holds; h = h->next)
        if (id_cmp(h->from, tail->holds.from) < 0)
            tail->holds.from = h->from;
}

static void unlink_hold(struct store_hold *hold)
{
    if (!hold->next)
        return;
    hold->prev->next = hold->next;
    hold->next->prev = hold->prev;
    hold->prev = hold->next = NULL;
}

bool tail_hold(struct tail *tail, struct store_hold *hold, struct frame_id from)
{
    pthread_mutex_lock(&tail->lock);
    unlink_hold(hold);
    *hold = (struct store_hold){from, tail->holds.prev, &tail->holds};
    hold->prev->next = hold;
    tail->holds.prev = hold;
    find_lowest(tail);
    bool over = is_over(tail);
    pthread_mutex_unlock(&tail->lock);
    return over;
}

bool tail_unhold(struct tail *tail, struct store_hold *hold)
{
    pthread_mutex_lock(&tail->lock);
    unlink_hold(hold);
    find_lowest(tail);
    bool over = is_over(tail);
    pthread_mutex_unlock(&tail->lock);
    return over;
}

/* --- readers ------------------------------------------------------------------------------ */

void tail_pin(struct tail *tail, struct tail_pin *pin)
{
    pthread_mutex_lock(&tail->lock);
    *pin = (struct tail_pin){.first = tail->first,
                             .last = tail->last,
                             .number = tail->number,
                             .floor = tail->floor,
                             .end = tail->end,
                             .ephemerals = tail->ephemerals,
                             .lost_ephemerals = tail->lost_ephemerals,
                             .prev = tail->pins.prev,
                             .next = &tail->pins};
    pin->prev->next = pin;
    tail->pins.prev = pin;
    pthread_mutex_unlock(&tail->lock);
}

void tail_unpin(struct tail *tail, struct tail_pin *pin)
{
    pthread_mutex_lock(&tail->lock);
    pin->prev->next = pin->next;
    pin->next->prev = pin->prev;
    trim(tail);
    pthread_cond_broadcast(&tail->unpinned);
    pthread_mutex_unlock(&tail->lock);
}

size_t tail_unindexed(struct tail *tail)
{
    pthread_mutex_lock(&tail->lock);
    size_t bytes = tail->unindexed;
    pthread_mutex_unlock(&tail->lock);
    return bytes;
}

struct tail_group *tail_at(struct tail *tail, uint64_t ordinal)
{
    pthread_mutex_lock(&tail->lock);
    struct tail_group *group = tail->ring[ordinal & tail->mask];
    pthread_mutex_unlock(&tail->lock);
    return group;
}

uint64_t tail_after(struct tail *tail, const struct tail_pin *pin, uint64_t number)
{
    pthread_mutex_lock(&tail->lock);
    uint64_t ordinal = first_after(tail, pin->first, pin->last, number);
    pthread_mutex_unlock(&tail->lock);
    return ordinal;
}

uint64_t tail_seek(struct tail *tail, const struct tail_pin *pin, struct frame_id id)
{
    pthread_mutex_lock(&tail->lock);
    uint64_t low = pin->first, high = pin->last + 1;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (id_cmp(tail->ring[middle & tail->mask]->last_id, id) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    pthread_mutex_unlock(&tail->lock);
    return low;
}

size_t tail_group_seek(const struct tail_group *group, struct frame_id id)
{
    size_t low = 0, high = group->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (id_cmp(group->frames[middle].id, id) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool tail_find(struct tail *tail, const struct tail_pin *pin, struct frame_id id,
               struct span *record, bool *ephemeral)
{
    uint64_t ordinal = tail_seek(tail, pin, id);
    if (ordinal > pin->last)
        return false;
    struct tail_group *group = tail_at(tail, ordinal);
    size_t i = tail_group_seek(group, id);
    if (i == group->count || id_cmp(group->frames[i].id, id) != 0)
        return false;
    *record = group->frames[i].record;
    *ephemeral = group->frames[i].ephemeral;
    return true;
}

static struct tail_lines *render(const struct tail_group *group)
{
    struct tail_lines *lines = calloc(1, sizeof *lines);
    if (!lines || !(lines->at = malloc((group->count + 1) * sizeof *lines->at)))
        goto fail;
    lines->at[0] = 0;
    for (size_t i = 0; i < group->count; i++) {
        struct frame frame;
        if (record_get_frame(&frame, group->frames[i].record, NULL) != 0 ||
            frame_json(&lines->bytes, &frame, 0) != 0 || buf_add(&lines->bytes, "\n", 1) != 0)
            goto fail;
        lines->at[i + 1] = (uint32_t)lines->bytes.len;
    }
    return lines;
fail:
    lines_destroy(lines);
    return NULL;
}

const struct tail_lines *tail_group_lines(struct tail *tail, struct tail_group *group)
{
    struct tail_lines *lines = atomic_load(&group->lines);
    if (lines)
        return lines;
    lines = render(group);
    if (!lines)
        return NULL;
    pthread_mutex_lock(&tail->lock);
    struct tail_lines *first = atomic_load(&group->lines);
    if (!first) {
        group->lines_bytes = sizeof *lines + lines->bytes.cap + (group->count + 1) * sizeof *lines->at;
        tail->bytes += group->lines_bytes;
        atomic_store(&group->lines, lines);
    }
    pthread_mutex_unlock(&tail->lock);
    if (first)
        lines_destroy(lines);
    return first ? first : lines;
}

static bool shadowed(struct tail *tail, const struct tail_pin *pin, const struct frame *frame,
                     bool (*hides)(const struct shadow *, uint64_t, const struct frame *))
{
    if (shadow_count(tail->shadow) == 0)
        return false;
    pthread_mutex_lock(&tail->lock);
    bool hidden = hides(tail->shadow, pin->number, frame);
    pthread_mutex_unlock(&tail->lock);
    return hidden;
}

bool tail_hides(struct tail *tail, const struct tail_pin *pin, const struct frame *frame)
{
    return shadowed(tail, pin, frame, shadow_hides);
}

bool tail_removes(struct tail *tail, const struct tail_pin *pin, const struct frame *frame)
{
    return shadowed(tail, pin, frame, shadow_removes);
}
