/*
 * The shadow: removals and cuts that the index may not have yet, by record number. Kept by the
 * tail, under its lock.
 */
#ifndef STORE_SHADOW_H
#define STORE_SHADOW_H

#include "store/tail.h"

struct shadow;

struct shadow *shadow_create(void);
void shadow_destroy(struct shadow *shadow);

/** Room for `more` entries. -ENOMEM. */
int shadow_reserve(struct shadow *shadow, size_t more);
/** Notes what record `number` hides; numbers never fall. Room was reserved. */
void shadow_add(struct shadow *shadow, uint64_t number, const struct tail_hide *hide);
/** Forgets everything of records up to `number`. */
void shadow_forget(struct shadow *shadow, uint64_t number);
/** Whether an entry of a record <= number hides the frame. */
bool shadow_hides(const struct shadow *shadow, uint64_t number, const struct frame *frame);
/** As above, removals and strict cuts alone. */
bool shadow_removes(const struct shadow *shadow, uint64_t number, const struct frame *frame);
/** Entries held; may be read without the lock. */
size_t shadow_count(const struct shadow *shadow);

#endif
