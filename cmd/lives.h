/*
 * What became of programs and stores: their lifecycle frames added up, in the order of the log, by the rule the daemon starts them by
 * (weir-programs(7), "What is in force").
 */
#ifndef CMD_LIVES_H
#define CMD_LIVES_H

#include <weir/frame.h>

#include "cmd/call.h"
#include "cmd/lifecycle.h"

enum life_state {
    STATE_UNKNOWN, /**< a definition in the seed words that was not answered: it may be an ordinary frame */
    STATE_STARTING,
    STATE_ACTIVE,
    STATE_RETRYING, /**< it failed and will be run again */
    STATE_STOPPING,
    STATE_STOPPED, /**< with the daemon */
    STATE_FAILED,
    STATE_FINISHED,
    STATE_ENDED, /**< as asked */
};

struct life {
    enum life_kind kind;
    enum life_state state;
    bool confirmed, pending;            /**< the two slots: */
    char running[ID_TEXT_LEN + 1];      /**< the definition that was active last, */
    char asked[ID_TEXT_LEN + 1];        /**< and the newest */
    char since[ID_TEXT_LEN + 1];        /**< the frame that brought the state */
    struct buf name, error, path, known; /**< known: ids of its definitions, each 25 bytes */
};

/** Zeroed: none. */
struct lives {
    struct life *items;
    size_t count, room;
};

/** Adds a frame. -ENOMEM. */
int lives_take(struct lives *lives, struct span json);
/** Reads the frames of these topics (NULL: of all) and adds them. 0 or a negative code. */
int lives_read(struct lives *lives, struct weir *w, const char *patterns, struct err *err);
void lives_finish(struct lives *lives);

/** The life of that kind and name, or NULL. */
const struct life *lives_find(const struct lives *lives, enum life_kind kind, const char *name);
/** The definition it is about: the one that runs, else the newest. */
const char *life_definition(const struct life *life);
/** Whether there is something to stop. */
bool life_is_on(const struct life *life);
/** "active", "failed" ... */
const char *life_state_name(enum life_state state);

#endif
