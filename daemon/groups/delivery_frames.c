#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/groups/delivery_impl.h"

#define TOPIC_BUCKETS 1024

/* Frames of one topic that are not done, oldest first. */
struct delivery_topic {
    uint64_t key;
    struct delivery_frame *oldest, *youngest;
    struct delivery_topic *chain;
};

/* --- lists ------------------------------------------------------------------------------------ */

static void list_add(struct delivery_list *list, struct delivery_frame *f, struct delivery_frame *behind)
{
    struct delivery_frame *next = behind ? behind->next : list->first;
    f->prev = behind;
    f->next = next;
    *(behind ? &behind->next : &list->first) = f;
    *(next ? &next->prev : &list->last) = f;
    list->count++;
}

static void list_remove(struct delivery_list *list, struct delivery_frame *f)
{
    *(f->prev ? &f->prev->next : &list->first) = f->next;
    *(f->next ? &f->next->prev : &list->last) = f->prev;
    f->prev = f->next = NULL;
    list->count--;
}

/* Open frames stand in the order they were handed out in, others by id. */
void delivery_set_state(struct delivery *delivery, struct delivery_frame *f, enum delivery_state state)
{
    if (f->state != DELIVERY_DONE)
        list_remove(&delivery->lists[f->state], f);
    f->state = state;
    if (state == DELIVERY_DONE)
        return;
    struct delivery_frame *behind = delivery->lists[state].last;
    while (state != DELIVERY_OPEN && behind && id_cmp(behind->id, f->id) > 0)
        behind = behind->prev;
    list_add(&delivery->lists[state], f, behind);
}

/* --- the frames above low --------------------------------------------------------------------- */

/* Where the id stands, or would. */
static size_t place_of(const struct delivery *delivery, struct frame_id id)
{
    size_t a = delivery->first, b = delivery->end;
    if (a < b && id_cmp(delivery->frames[b - 1]->id, id) < 0)
        return b;
    while (a < b) {
        size_t middle = a + (b - a) / 2;
        if (id_cmp(delivery->frames[middle]->id, id) < 0)
            a = middle + 1;
        else
            b = middle;
    }
    return a;
}

struct delivery_frame *delivery_find(const struct delivery *delivery, struct frame_id id)
{
    size_t at = place_of(delivery, id);
    return at < delivery->end && id_cmp(delivery->frames[at]->id, id) == 0 ? delivery->frames[at] : NULL;
}

static int make_room(struct delivery *delivery)
{
    size_t count = delivery->end - delivery->first;
    if (delivery->end < delivery->cap)
        return 0;
    if (delivery->first > delivery->cap / 2) {
        memmove(delivery->frames, delivery->frames + delivery->first, count * sizeof(struct delivery_frame *));
        delivery->first = 0;
        delivery->end = count;
        return 0;
    }
    size_t cap = delivery->cap ? delivery->cap * 2 : 64;
    struct delivery_frame **frames = realloc(delivery->frames, cap * sizeof(struct delivery_frame *));
    if (!frames)
        return -ENOMEM;
    delivery->frames = frames;
    delivery->cap = cap;
    return 0;
}

/* A new frame, done for the moment and in no list. */
struct delivery_frame *delivery_add_frame(struct delivery *delivery, struct frame_id id, uint64_t topic)
{
    struct delivery_frame *f = make_room(delivery) == 0 ? calloc(1, sizeof(*f)) : NULL;
    if (!f)
        return NULL;
    size_t at = place_of(delivery, id);
    memmove(delivery->frames + at + 1, delivery->frames + at,
            (delivery->end - at) * sizeof(struct delivery_frame *));
    delivery->frames[at] = f;
    delivery->end++;
    f->id = id;
    f->topic = topic;
    f->state = DELIVERY_DONE;
    return f;
}

void delivery_drop_frame(struct delivery *delivery, struct delivery_frame *f)
{
    size_t at = place_of(delivery, f->id);
    delivery->end--;
    memmove(delivery->frames + at, delivery->frames + at + 1,
            (delivery->end - at) * sizeof(struct delivery_frame *));
    free(f);
}

void delivery_advance(struct delivery *delivery)
{
    struct delivery_frame *f;
    while (delivery->first < delivery->end && (f = delivery->frames[delivery->first])->state == DELIVERY_DONE &&
           id_cmp(f->id, delivery->read) <= 0) {
        free(f);
        delivery->first++;
    }
    struct frame_id low = delivery->read;
    if (delivery->first < delivery->end && id_cmp(delivery->frames[delivery->first]->id, low) <= 0)
        low = id_pred(delivery->frames[delivery->first]->id);
    if (id_cmp(low, delivery->low) > 0)
        delivery->low = low;
}

/* --- one frame of a topic at a time ----------------------------------------------------------- */

static struct delivery_topic **topic_of(const struct delivery *delivery, uint64_t key)
{
    struct delivery_topic **at = &delivery->topics[key % TOPIC_BUCKETS];
    while (*at && (*at)->key != key)
        at = &(*at)->chain;
    return at;
}

int delivery_topic_add(struct delivery *delivery, struct delivery_frame *f)
{
    if (!delivery->topics)
        return 0;
    struct delivery_topic **at = topic_of(delivery, f->topic), *topic = *at;
    if (!topic && !(topic = *at = calloc(1, sizeof(*topic))))
        return -ENOMEM;
    topic->key = f->topic;
    *(topic->oldest ? &topic->youngest->younger : &topic->oldest) = f;
    topic->youngest = f;
    return 0;
}

/* Takes a frame that is done out; the next of its topic may go. */
void delivery_topic_remove(struct delivery *delivery, struct delivery_frame *f)
{
    if (!delivery->topics)
        return;
    struct delivery_topic **at = topic_of(delivery, f->topic), *topic = *at;
    struct delivery_frame *older = NULL, *g = topic->oldest;
    for (; g != f; g = g->younger)
        older = g;
    *(older ? &older->younger : &topic->oldest) = f->younger;
    if (topic->youngest == f)
        topic->youngest = older;
    f->younger = NULL;
    if (!topic->oldest) {
        *at = topic->chain;
        free(topic);
    } else if (topic->oldest->state == DELIVERY_HELD) {
        delivery_set_state(delivery, topic->oldest, DELIVERY_DUE);
    }
}

bool delivery_topic_busy(const struct delivery *delivery, uint64_t key)
{
    return delivery->topics && *topic_of(delivery, key);
}

bool delivery_topic_turn(const struct delivery *delivery, const struct delivery_frame *f)
{
    return !delivery->topics || (*topic_of(delivery, f->topic))->oldest == f;
}

static void empty_topics(struct delivery_topic **topics)
{
    for (size_t i = 0; topics && i < TOPIC_BUCKETS; i++)
        while (topics[i]) {
            struct delivery_topic *topic = topics[i];
            topics[i] = topic->chain;
            free(topic);
        }
}

/* Frames that are due behind another of their topic wait for it. */
static int order_topics(struct delivery *delivery)
{
    int rc = 0;
    for (size_t i = delivery->first; rc == 0 && i < delivery->end; i++) {
        struct delivery_frame *f = delivery->frames[i];
        f->younger = NULL;
        if (f->state == DELIVERY_DONE)
            continue;
        bool busy = delivery_topic_busy(delivery, f->topic);
        rc = delivery_topic_add(delivery, f);
        if (rc == 0 && busy && f->state == DELIVERY_DUE)
            delivery_set_state(delivery, f, DELIVERY_HELD);
    }
    return rc;
}

static void free_order(struct delivery *delivery)
{
    struct delivery_frame *f;
    empty_topics(delivery->topics);
    free(delivery->topics);
    delivery->topics = NULL;
    while ((f = delivery->lists[DELIVERY_HELD].first))
        delivery_set_state(delivery, f, DELIVERY_DUE);
}

int delivery_order(struct delivery *delivery, bool by_topic)
{
    if (!by_topic)
        free_order(delivery);
    if (!by_topic || delivery->topics)
        return 0;
    delivery->topics = calloc(TOPIC_BUCKETS, sizeof(struct delivery_topic *));
    if (delivery->topics && order_topics(delivery) == 0)
        return 0;
    free_order(delivery);
    return -ENOMEM;
}

void delivery_free_frames(struct delivery *delivery)
{
    for (size_t i = delivery->first; i < delivery->end; i++)
        free(delivery->frames[i]);
    delivery->first = delivery->end = 0;
    memset(delivery->lists, 0, sizeof(delivery->lists));
    empty_topics(delivery->topics);
}
