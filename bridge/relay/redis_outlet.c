#include "bridge/relay/redis_outlet.h"

#include <stdlib.h>

static int compare(struct span name, const struct redis_outlet *o)
{
    size_t len = name.len < o->len ? name.len : o->len;
    int rc = memcmp(name.ptr, o->name, len);
    return rc != 0 ? rc : (name.len > o->len) - (name.len < o->len);
}

/* Where it stands or would stand. */
static size_t place_of(const struct redis_outlets *all, struct span name, bool *there)
{
    size_t low = 0, high = all->count;
    *there = false;
    while (low < high && !*there) {
        size_t mid = low + (high - low) / 2;
        int rc = compare(name, all->list[mid]);
        if (rc == 0) {
            *there = true;
            return mid;
        }
        if (rc > 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static struct redis_outlet *make(struct span name)
{
    struct redis_outlet *o = calloc(1, sizeof(*o));
    char *copy = o ? strndup((const char *)name.ptr, name.len) : NULL;
    if (!copy) {
        free(o);
        return NULL;
    }
    o->name = copy;
    o->len = name.len;
    return o;
}

static bool make_room(struct redis_outlets *all)
{
    if (all->count < all->cap)
        return true;
    size_t cap = all->cap ? 2 * all->cap : 16;
    struct redis_outlet **list = realloc(all->list, cap * sizeof(struct redis_outlet *));
    if (!list)
        return false;
    all->list = list;
    all->cap = cap;
    return true;
}

struct redis_outlet *redis_outlet(struct redis_outlets *all, struct span name)
{
    bool there;
    if (all->last && compare(name, all->last) == 0)
        return all->last;
    size_t at = place_of(all, name, &there);
    if (there)
        return all->last = all->list[at];
    struct redis_outlet *made = make_room(all) ? make(name) : NULL;
    if (!made)
        return NULL;
    memmove(all->list + at + 1, all->list + at, (all->count - at) * sizeof(struct redis_outlet *));
    all->list[at] = made;
    all->count++;
    return all->last = made;
}

void redis_outlets_finish(struct redis_outlets *all)
{
    for (size_t i = 0; i < all->count; i++) {
        free(all->list[i]->name);
        free(all->list[i]);
    }
    free(all->list);
    *all = (struct redis_outlets){.list = NULL};
}
