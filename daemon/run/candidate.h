/*
 * A definition on its way to be run: read, parsed, its program written to its directory and checked, as far as it can be before it runs. It
 * stays with the instance that is made of it, and can be run again after that.
 *
 * Thread rule: candidate_prepare may block, on any thread, and has the candidate to itself meanwhile; the rest on the loop thread.
 */
#ifndef DAEMON_RUN_CANDIDATE_H
#define DAEMON_RUN_CANDIDATE_H

#include "daemon/pool.h"
#include "daemon/run/definition.h"
#include "daemon/run/kept_frame.h"
#include "daemon/site.h"

struct program;

enum candidate_state {
    CANDIDATE_WAITING,   /**< not looked at yet */
    CANDIDATE_PREPARING, /**< the pool has it */
    CANDIDATE_READY,     /**< it can be run */
};

/** The frame that ended a candidate before it ran. */
struct candidate_end {
    struct frame_id id;
    enum program_words words;
};

struct candidate {
    struct job job;
    struct candidate *next; /**< the owner's */
    struct program *program;
    struct site *site;
    struct frame_id id;
    struct kept_frame *frame; /**< the defining frame; NULL: it is read from the store by its id */
    enum candidate_state state;
    enum program_words words; /**< of the defining frame */
    bool defines;             /**< it is a definition, as far as is known (in seed words the content decides) */
    bool supposed;            /**< the same as it was when the pool got it, for the loop thread meanwhile */
    bool was_active;          /**< it was told to be active before */
    bool dropped;             /**< `end` came while the pool had it, or before */
    struct candidate_end end;

    int result;     /**< of prepare: 0, or why it cannot be run */
    bool our_fault; /**< with a result: it is no fault of the definition (disk, memory) */
    struct err err;
    bool parsed;
    struct definition def;
    char *directory, *file; /**< absolute: STORE/run/ID, and the program in it */
    int dirfd;              /**< of the directory; -1 = none was made */
    bool shell;             /**< the program is to be run by PROGRAM_SHELL */
};

/** Of a frame that was handed out, or (NULL) of an id. The words are those of the frame's topic. NULL without memory. */
struct candidate *candidate_create(struct site *site, struct frame_id id, const struct frame *frame);
/** Prepares it: sets defines, result and what follows. Its state is for the loop thread to set, which looks at it meanwhile. */
void candidate_prepare(struct candidate *candidate);
/** Prepares it on the pool; `after` is called with its job, and makes it ready. */
void candidate_submit(struct candidate *candidate, void (*after)(struct job *job));
static inline struct candidate *candidate_of(struct job *job)
{
    return (struct candidate *)((char *)job - offsetof(struct candidate, job));
}
/** Frees; its directory stays on disk. Takes NULL. */
void candidate_destroy(struct candidate *candidate);

/** Whether a defining frame in seed words has a content that makes it one. May block where the content is a blob. */
bool candidate_defines(struct site *site, enum program_words words, const struct frame *frame);

#endif
