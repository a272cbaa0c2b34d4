/*
 * Ids in order, each once.
 */
#ifndef BASE_ID_SET_H
#define BASE_ID_SET_H

#include <weir/id.h>

/** Zeroed memory is an empty one. */
struct id_set {
    struct frame_id *ids; /**< ascending */
    size_t count, cap;
};

/** Where the id stands in `ids`, or would: before it are those below. */
size_t id_set_place(const struct id_set *set, struct frame_id id);
bool id_set_has(const struct id_set *set, struct frame_id id);
/** Cheap for an id above all others. 0 also when it was there; -ENOMEM, and then nothing changed. */
int id_set_add(struct id_set *set, struct frame_id id);
/** No error when it is not there. */
void id_set_remove(struct id_set *set, struct frame_id id);
/** Frees the memory; it is empty and usable again. */
void id_set_finish(struct id_set *set);

#endif
