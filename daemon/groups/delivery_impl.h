/*
 * What the files of a delivery have in common: its frames and their states, without what they mean.
 */
#ifndef DAEMON_GROUPS_DELIVERY_IMPL_H
#define DAEMON_GROUPS_DELIVERY_IMPL_H

#include "daemon/groups/delivery.h"

/** Moves a frame to another state's list; DELIVERY_DONE has none. */
void delivery_set_state(struct delivery *delivery, struct delivery_frame *f, enum delivery_state state);
/** A frame above low by its id; NULL. */
struct delivery_frame *delivery_find(const struct delivery *delivery, struct frame_id id);
/** A new one, DELIVERY_DONE for the moment; NULL without memory. */
struct delivery_frame *delivery_add_frame(struct delivery *delivery, struct frame_id id, uint64_t topic);
/** Takes a frame in no list out again. */
void delivery_drop_frame(struct delivery *delivery, struct delivery_frame *f);
/** Moves low as far as it can, and forgets the frames below. */
void delivery_advance(struct delivery *delivery);
/** Forgets every frame. */
void delivery_free_frames(struct delivery *delivery);

/** Whether a frame of the topic is not done, where there is an order. */
bool delivery_topic_busy(const struct delivery *delivery, uint64_t key);
/** Whether no older frame of its topic is left. */
bool delivery_topic_turn(const struct delivery *delivery, const struct delivery_frame *f);
/** A frame that is not done; -ENOMEM. */
int delivery_topic_add(struct delivery *delivery, struct delivery_frame *f);
/** It is done: the next of its topic may go. */
void delivery_topic_remove(struct delivery *delivery, struct delivery_frame *f);
/** Takes up or gives up the order of topics. -ENOMEM: it is given up. */
int delivery_order(struct delivery *delivery, bool by_topic);

/** An id to be recorded as done. */
void delivery_note_fresh(struct delivery *delivery, struct frame_id id);

#endif
