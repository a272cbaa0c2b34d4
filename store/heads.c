#include "store/heads.h"

#include <errno.h>
#include <stdlib.h>
#include <xxhash.h>

int heads_init(struct heads *heads, uint32_t topic_last)
{
    *heads = (struct heads){.mask = 63, .trim_above = HEADS_MAX, .topic_last = topic_last};
    heads->buckets = calloc(heads->mask + 1, sizeof(struct head *));
    return heads->buckets ? 0 : -ENOMEM;
}

static void head_destroy(struct head *head)
{
    free(head->recent);
    free(head->note);
    free(head);
}

void heads_clear(struct heads *heads)
{
    for (size_t i = 0; i <= heads->mask; i++) {
        while (heads->buckets[i]) {
            struct head *head = heads->buckets[i];
            heads->buckets[i] = head->chain;
            head_destroy(head);
        }
    }
    heads->count = 0;
}

void heads_finish(struct heads *heads)
{
    if (heads->buckets)
        heads_clear(heads);
    free(heads->buckets);
    heads->buckets = NULL;
}

static struct head **bucket_of(const struct heads *heads, struct span name)
{
    return &heads->buckets[XXH3_64bits(name.ptr, name.len) & heads->mask];
}

void heads_trim(struct heads *heads, uint64_t indexed)
{
    if (heads->count <= heads->trim_above)
        return;
    for (size_t i = 0; i <= heads->mask; i++) {
        for (struct head **at = &heads->buckets[i]; *at;) {
            struct head *head = *at;
            if (head->changed > indexed) {
                at = &head->chain;
                continue;
            }
            *at = head->chain;
            head_destroy(head);
            heads->count--;
        }
    }
    /* What stays has changes that are not indexed; looking again at every step would be a walk for
     * nothing. */
    heads->trim_above = heads->count * 2 > HEADS_MAX ? heads->count * 2 : HEADS_MAX;
}

struct head *heads_find(const struct heads *heads, struct span name)
{
    for (struct head *head = *bucket_of(heads, name); head; head = head->chain)
        if (span_eq(span_of(head->name, head->name_len), name))
            return head;
    return NULL;
}

static int grow(struct heads *heads)
{
    size_t size = (heads->mask + 1) * 2;
    struct head **buckets = calloc(size, sizeof(struct head *));
    if (!buckets)
        return -ENOMEM;
    struct heads bigger = {.buckets = buckets, .mask = size - 1}; /* only to find its buckets */
    for (size_t i = 0; i <= heads->mask; i++) {
        while (heads->buckets[i]) {
            struct head *head = heads->buckets[i];
            heads->buckets[i] = head->chain;
            struct head **bucket = bucket_of(&bigger, span_of(head->name, head->name_len));
            head->chain = *bucket;
            *bucket = head;
        }
    }
    free(heads->buckets);
    heads->buckets = buckets;
    heads->mask = size - 1;
    return 0;
}

struct head *heads_add(struct heads *heads, struct span name)
{
    if (heads->count > heads->mask && grow(heads) != 0)
        return NULL;
    struct head *head = calloc(1, sizeof *head + name.len);
    if (!head)
        return NULL;
    memcpy(head->name, name.ptr, name.len);
    head->name_len = name.len;
    struct head **bucket = bucket_of(heads, name);
    head->chain = *bucket;
    *bucket = head;
    heads->count++;
    return head;
}

void heads_remove(struct heads *heads, struct head *head)
{
    struct head **at = bucket_of(heads, span_of(head->name, head->name_len));
    while (*at != head)
        at = &(*at)->chain;
    *at = head->chain;
    head_destroy(head);
    heads->count--;
}

int head_set_note(struct head *head, struct span note)
{
    uint8_t *copy = NULL;
    if (note.len > 0 && !(copy = malloc(note.len)))
        return -ENOMEM;
    if (note.len > 0)
        memcpy(copy, note.ptr, note.len);
    free(head->note);
    head->note = copy;
    head->note_len = (uint16_t)note.len;
    return 0;
}

void head_set_token(struct head *head, struct span token)
{
    head->token_len = (uint8_t)token.len;
    if (token.len > 0)
        memcpy(head->token, token.ptr, token.len);
}

void head_forget(struct head *head, uint64_t number)
{
    struct head *chain = head->chain;
    size_t name_len = head->name_len;
    free(head->recent);
    free(head->note);
    *head = (struct head){.chain = chain, .changed = number, .name_len = name_len};
}

int head_push_recent(struct head *head, struct frame_id id, uint64_t seq, uint64_t number)
{
    bool full = head->recent_at + head->recent_count == head->recent_cap;
    if (full && head->recent_at > head->recent_cap / 2) {
        memmove(head->recent, head->recent + head->recent_at,
                head->recent_count * sizeof *head->recent);
        head->recent_at = 0;
    } else if (full) {
        size_t cap = head->recent_cap ? head->recent_cap * 2 : 8;
        struct head_recent *recent = realloc(head->recent, cap * sizeof *recent);
        if (!recent)
            return -ENOMEM;
        head->recent = recent;
        head->recent_cap = cap;
    }
    head->recent[head->recent_at + head->recent_count++] = (struct head_recent){id, seq, number};
    return 0;
}

static void drop_front(struct head *head, size_t n)
{
    head->recent_at += n;
    head->recent_count -= n;
    if (head->recent_count == 0)
        head->recent_at = 0;
}

void head_drop_recent(struct head *head, uint64_t indexed)
{
    size_t n = 0;
    while (n < head->recent_count && head->recent[head->recent_at + n].number <= indexed)
        n++;
    drop_front(head, n);
}

void head_cut_recent(struct head *head, uint64_t seq)
{
    size_t n = 0;
    while (n < head->recent_count && head->recent[head->recent_at + n].seq < seq)
        n++;
    drop_front(head, n);
}

void head_remove_recent(struct head *head, uint64_t seq)
{
    struct head_recent *recent = head->recent + head->recent_at;
    size_t low = 0, high = head->recent_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (recent[middle].seq < seq)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == head->recent_count || recent[low].seq != seq)
        return;
    memmove(&recent[low], &recent[low + 1], (head->recent_count - low - 1) * sizeof *recent);
    head->recent_count--;
}
