#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/share_impl.h"

#define TOPIC_BUCKETS 1024

/* Frames of one topic that are not done, oldest first. */
struct share_topic {
    uint64_t key;
    struct share_frame *oldest, *youngest;
    struct share_topic *chain;
};

/* --- lists ------------------------------------------------------------------------------------ */

static void list_add(struct share_list *list, struct share_frame *f, struct share_frame *behind)
{
    struct share_frame *next = behind ? behind->next : list->first;
    f->prev = behind;
    f->next = next;
    *(behind ? &behind->next : &list->first) = f;
    *(next ? &next->prev : &list->last) = f;
    list->count++;
}

static void list_remove(struct share_list *list, struct share_frame *f)
{
    *(f->prev ? &f->prev->next : &list->first) = f->next;
    *(f->next ? &f->next->prev : &list->last) = f->prev;
    f->prev = f->next = NULL;
    list->count--;
}

/* Open frames stand in the order they were handed out in, others by id. */
void share_set_state(struct share *share, struct share_frame *f, enum share_state state)
{
    if (f->state != SHARE_DONE)
        list_remove(&share->lists[f->state], f);
    f->state = state;
    if (state == SHARE_DONE)
        return;
    struct share_frame *behind = share->lists[state].last;
    while (state != SHARE_OPEN && behind && id_cmp(behind->id, f->id) > 0)
        behind = behind->prev;
    list_add(&share->lists[state], f, behind);
}

/* --- the frames above low --------------------------------------------------------------------- */

/* Where the id stands, or would. */
static size_t place_of(const struct share *share, struct frame_id id)
{
    size_t a = share->first, b = share->end;
    if (a < b && id_cmp(share->frames[b - 1]->id, id) < 0)
        return b;
    while (a < b) {
        size_t middle = a + (b - a) / 2;
        if (id_cmp(share->frames[middle]->id, id) < 0)
            a = middle + 1;
        else
            b = middle;
    }
    return a;
}

struct share_frame *share_find(const struct share *share, struct frame_id id)
{
    size_t at = place_of(share, id);
    return at < share->end && id_cmp(share->frames[at]->id, id) == 0 ? share->frames[at] : NULL;
}

static int make_room(struct share *share)
{
    size_t count = share->end - share->first;
    if (share->end < share->cap)
        return 0;
    if (share->first > share->cap / 2) {
        memmove(share->frames, share->frames + share->first, count * sizeof(struct share_frame *));
        share->first = 0;
        share->end = count;
        return 0;
    }
    size_t cap = share->cap ? share->cap * 2 : 64;
    struct share_frame **frames = realloc(share->frames, cap * sizeof(struct share_frame *));
    if (!frames)
        return -ENOMEM;
    share->frames = frames;
    share->cap = cap;
    return 0;
}

/* A new frame, done for the moment and in no list. */
struct share_frame *share_add_frame(struct share *share, struct frame_id id, uint64_t topic)
{
    struct share_frame *f = make_room(share) == 0 ? calloc(1, sizeof(*f)) : NULL;
    if (!f)
        return NULL;
    size_t at = place_of(share, id);
    memmove(share->frames + at + 1, share->frames + at,
            (share->end - at) * sizeof(struct share_frame *));
    share->frames[at] = f;
    share->end++;
    f->id = id;
    f->topic = topic;
    f->state = SHARE_DONE;
    return f;
}

void share_drop_frame(struct share *share, struct share_frame *f)
{
    size_t at = place_of(share, f->id);
    share->end--;
    memmove(share->frames + at, share->frames + at + 1,
            (share->end - at) * sizeof(struct share_frame *));
    free(f);
}

void share_advance(struct share *share)
{
    struct share_frame *f;
    while (share->first < share->end && (f = share->frames[share->first])->state == SHARE_DONE &&
           id_cmp(f->id, share->read) <= 0) {
        free(f);
        share->first++;
    }
    struct frame_id low = share->read;
    if (share->first < share->end && id_cmp(share->frames[share->first]->id, low) <= 0)
        low = id_pred(share->frames[share->first]->id);
    if (id_cmp(low, share->low) > 0)
        share->low = low;
}

/* --- one frame of a topic at a time ----------------------------------------------------------- */

static struct share_topic **topic_of(const struct share *share, uint64_t key)
{
    struct share_topic **at = &share->topics[key % TOPIC_BUCKETS];
    while (*at && (*at)->key != key)
        at = &(*at)->chain;
    return at;
}

int share_topic_add(struct share *share, struct share_frame *f)
{
    if (!share->topics)
        return 0;
    struct share_topic **at = topic_of(share, f->topic), *topic = *at;
    if (!topic && !(topic = *at = calloc(1, sizeof(*topic))))
        return -ENOMEM;
    topic->key = f->topic;
    *(topic->oldest ? &topic->youngest->younger : &topic->oldest) = f;
    topic->youngest = f;
    return 0;
}

/* Takes a frame that is done out; the next of its topic may go. */
void share_topic_remove(struct share *share, struct share_frame *f)
{
    if (!share->topics)
        return;
    struct share_topic **at = topic_of(share, f->topic), *topic = *at;
    struct share_frame *older = NULL, *g = topic->oldest;
    for (; g != f; g = g->younger)
        older = g;
    *(older ? &older->younger : &topic->oldest) = f->younger;
    if (topic->youngest == f)
        topic->youngest = older;
    f->younger = NULL;
    if (!topic->oldest) {
        *at = topic->chain;
        free(topic);
    } else if (topic->oldest->state == SHARE_HELD) {
        share_set_state(share, topic->oldest, SHARE_DUE);
    }
}

bool share_topic_busy(const struct share *share, uint64_t key)
{
    return share->topics && *topic_of(share, key);
}

bool share_topic_turn(const struct share *share, const struct share_frame *f)
{
    return !share->topics || (*topic_of(share, f->topic))->oldest == f;
}

static void empty_topics(struct share_topic **topics)
{
    for (size_t i = 0; topics && i < TOPIC_BUCKETS; i++)
        while (topics[i]) {
            struct share_topic *topic = topics[i];
            topics[i] = topic->chain;
            free(topic);
        }
}

/* Frames that are due behind another of their topic wait for it. */
static int order_topics(struct share *share)
{
    int rc = 0;
    for (size_t i = share->first; rc == 0 && i < share->end; i++) {
        struct share_frame *f = share->frames[i];
        f->younger = NULL;
        if (f->state == SHARE_DONE)
            continue;
        bool busy = share_topic_busy(share, f->topic);
        rc = share_topic_add(share, f);
        if (rc == 0 && busy && f->state == SHARE_DUE)
            share_set_state(share, f, SHARE_HELD);
    }
    return rc;
}

static void free_order(struct share *share)
{
    struct share_frame *f;
    empty_topics(share->topics);
    free(share->topics);
    share->topics = NULL;
    while ((f = share->lists[SHARE_HELD].first))
        share_set_state(share, f, SHARE_DUE);
}

int share_order(struct share *share, bool by_topic)
{
    if (!by_topic)
        free_order(share);
    if (!by_topic || share->topics)
        return 0;
    share->topics = calloc(TOPIC_BUCKETS, sizeof(struct share_topic *));
    if (share->topics && order_topics(share) == 0)
        return 0;
    free_order(share);
    return -ENOMEM;
}

void share_free_frames(struct share *share)
{
    for (size_t i = share->first; i < share->end; i++)
        free(share->frames[i]);
    share->first = share->end = 0;
    memset(share->lists, 0, sizeof(share->lists));
    empty_topics(share->topics);
}
