/*
 * Topics that say something of programs and stores: which, of whom, and what.
 */
#ifndef CMD_LIFECYCLE_H
#define CMD_LIFECYCLE_H

#include <weir/frame.h>

#include "cmd/frame_parts.h"

enum life_kind { LIFE_SERVICE, LIFE_HANDLER, LIFE_ACTION, LIFE_STORE };
#define LIFE_PROGRAMS 3 /**< the first of them are programs */
#define LIFE_KINDS 4

enum life_event {
    LIFE_CREATE, /**< asked for: */
    LIFE_TERM,
    LIFE_DELETE,
    LIFE_ACTIVE, /**< answered: */
    LIFE_INVALID,
    LIFE_FIN_OK,
    LIFE_FIN_ERROR,
    LIFE_FIN_TERM,
    LIFE_FIN_DELETED,
    LIFE_REPLACED,
    LIFE_STOPPED,
    LIFE_RETRY,
};

/** What a frame says. */
struct life_words {
    enum life_kind kind;
    enum life_event event;
    bool seed;         /**< in the seed words: NAME.spawn, not xs.service.NAME.create */
    struct span name;  /**< of program or store; points into the topic */
    struct span of;    /**< id of the definition that an answer points at; empty: none */
};

/** Reads a frame. False: it says nothing of programs or stores. */
bool life_read(struct life_words *out, const struct frame_parts *frame);

/** service, handler, action, store. */
const char *life_kind_name(enum life_kind kind);
/** The kind called so, also `actor'; -1: none. */
int life_kind_of(struct span name);
/** Appends xs.KIND.NAME.WORD. */
int life_topic(struct buf *out, enum life_kind kind, const char *name, const char *word);
/** Appends patterns, separated by commas, of all topics that say something of a program or store, in both vocabularies. They match a little
 * more: what is called NAME.something. */
int life_patterns(struct buf *out, enum life_kind kind, const char *name);

#endif
