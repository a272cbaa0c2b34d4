#include "base/id_set.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

size_t id_set_place(const struct id_set *set, struct frame_id id)
{
    size_t low = 0, high = set->count;
    if (high > 0 && id_cmp(set->ids[high - 1], id) < 0)
        return high;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (id_cmp(set->ids[middle], id) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool is_at(const struct id_set *set, size_t at, struct frame_id id)
{
    return at < set->count && id_cmp(set->ids[at], id) == 0;
}

bool id_set_has(const struct id_set *set, struct frame_id id)
{
    return is_at(set, id_set_place(set, id), id);
}

static int make_room(struct id_set *set)
{
    size_t cap = set->cap ? set->cap * 2 : 4;
    if (set->count < set->cap)
        return 0;
    struct frame_id *ids = realloc(set->ids, cap * sizeof(*ids));
    if (!ids)
        return -ENOMEM;
    set->ids = ids;
    set->cap = cap;
    return 0;
}

int id_set_add(struct id_set *set, struct frame_id id)
{
    size_t at = id_set_place(set, id);
    if (is_at(set, at, id))
        return 0;
    if (make_room(set) < 0)
        return -ENOMEM;
    memmove(set->ids + at + 1, set->ids + at, (set->count - at) * sizeof(id));
    set->ids[at] = id;
    set->count++;
    return 0;
}

void id_set_remove(struct id_set *set, struct frame_id id)
{
    size_t at = id_set_place(set, id);
    if (!is_at(set, at, id))
        return;
    set->count--;
    memmove(set->ids + at, set->ids + at + 1, (set->count - at) * sizeof(id));
}

void id_set_finish(struct id_set *set)
{
    free(set->ids);
    *set = (struct id_set){0};
}
