/*
 * What the files of a share have in common: its frames and their states, without what they mean.
 */
#ifndef DAEMON_SHARE_IMPL_H
#define DAEMON_SHARE_IMPL_H

#include "daemon/share.h"

/** Moves a frame to another state's list; SHARE_DONE has none. */
void share_set_state(struct share *share, struct share_frame *f, enum share_state state);
/** A frame above low by its id; NULL. */
struct share_frame *share_find(const struct share *share, struct frame_id id);
/** A new one, SHARE_DONE for the moment; NULL without memory. */
struct share_frame *share_add_frame(struct share *share, struct frame_id id, uint64_t topic);
/** Takes a frame in no list out again. */
void share_drop_frame(struct share *share, struct share_frame *f);
/** Moves low as far as it can, and forgets the frames below. */
void share_advance(struct share *share);
/** Forgets every frame. */
void share_free_frames(struct share *share);

/** Whether a frame of the topic is not done, where there is an order. */
bool share_topic_busy(const struct share *share, uint64_t key);
/** Whether no older frame of its topic is left. */
bool share_topic_turn(const struct share *share, const struct share_frame *f);
/** A frame that is not done; -ENOMEM. */
int share_topic_add(struct share *share, struct share_frame *f);
/** It is done: the next of its topic may go. */
void share_topic_remove(struct share *share, struct share_frame *f);
/** Takes up or gives up the order of topics. -ENOMEM: it is given up. */
int share_order(struct share *share, bool by_topic);

/** An id to be recorded as done. */
void share_note_fresh(struct share *share, struct frame_id id);

#endif
