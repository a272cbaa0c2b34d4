/*
 * Batches as they are sent, shared by those who follow the same stream from the same place in the same form.
 *
 * Many followers of one stream are woken by one append and want the same bytes: the first makes them, the others find them here.
 * While the pool makes a piece for one, the others wait for it. Thread rule: the loop thread; a piece that is not shared yet may
 * be filled by the pool.
 */
#ifndef DAEMON_S2_READ_PIECE_H
#define DAEMON_S2_READ_PIECE_H

#include <weir/id.h>

#include "daemon/s2/read_batch.h"

struct site;

struct read_piece {
    unsigned refs;
    struct read_batch batch;
    bool told_tail; /**< the batch carries the tail */
    bool cut;       /**< more was there to read */
    struct frame_id end; /**< where the next piece begins */
};

/** An empty one, with one reference. NULL without memory. */
struct read_piece *read_piece_create(enum read_form form, enum coding coding);
/** Takes NULL. */
void read_piece_drop(struct read_piece *piece);

/** What a piece is a piece of. */
struct read_key {
    const struct site *site;
    uint32_t topic_no;
    uint64_t born_ms; /**< of the topic: another store may come to lie where one was */
    struct frame_id from;
    enum read_form form;
    enum coding coding;
};

/** One who waits for a piece that another makes. Zeroed; owned by the reader; left before its memory goes. */
struct read_turn {
    struct read_turn *prev, *next;
    void (*ready)(struct read_turn *turn);
};

/** A piece with a reference of its own, or NULL. */
struct read_piece *read_pieces_find(const struct read_key *key);
/** Shares a piece for a second or so. Nothing happens without room. */
void read_pieces_share(const struct read_key *key, struct read_piece *piece);
/** Says that a piece is being made: true, then read_pieces_made must follow. False: it is already, or there is no room. */
bool read_pieces_make(const struct read_key *key);
/** Joins those who wait for the piece that is being made. False: it is not. */
bool read_pieces_wait(const struct read_key *key, struct read_turn *turn);
/** It is made and shared, or will not be: those who waited are told. */
void read_pieces_made(const struct read_key *key);
/** Takes one that does not wait. */
void read_turn_leave(struct read_turn *turn);
/** Whether it waits. */
bool read_turn_waits(const struct read_turn *turn);
/** Forgets everything. For the daemon's end and tests. */
void read_pieces_clear(void);

#endif
