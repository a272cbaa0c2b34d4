/*
 * The insides of a site's programs, shared by programs*.c, program.c and instance.c.
 *
 *   programs.c        start and end of all
 *   programs_live.c   live frames
 *   programs_scan.c   start-up: history -> slots -> what is to be started
 *   programs_tell.c   frames of the daemon: active, invalid, fin.* ...
 *   program.c         one name of one kind: candidates, the running instance, replacement
 *   program_call.c    calls of actions
 *   instance.c        one definition that runs
 *
 * Thread rule: the loop thread; while programs_scan.c is at work, its job has everything to itself.
 */
#ifndef DAEMON_RUN_REGISTRY_H
#define DAEMON_RUN_REGISTRY_H

#include "base/id_set.h"
#include "daemon/pump.h"
#include "daemon/run/candidate.h"
#include "daemon/run/instance.h"
#include "daemon/run/programs.h"
#include "daemon/run/slots.h"

#define PROGRAM_GRACE_MS 2000       /**< from SIGTERM to SIGKILL */
#define PROGRAM_BUCKETS 512
#define PROGRAM_CALLS_MAX 1000      /**< calls that wait for an action to begin, */
#define PROGRAM_CALLS_BYTES (4 * 1024 * 1024) /**< and their bytes */

/** What is known of one name of one kind. */
struct program {
    struct program *next; /**< of its bucket */
    struct programs *all;
    enum program_kind kind;
    struct slots slots;
    struct id_set known;     /**< definitions that the log holds */
    struct candidate *queue; /**< in the order they came; the first may be with the pool */
    struct candidate *ready; /**< runs as soon as nothing else does */
    struct candidate *spare; /**< the last good one: runs again if the next proves invalid */
    struct instance *instance;
    struct kept_frame *calls, **calls_end; /**< for an action that is about to begin */
    size_t call_count, call_bytes;
    bool booting; /**< counted in programs.booting */
    char name[];
};

struct programs {
    struct site *site;
    struct emit *emit; /**< what the daemon says */
    struct pump *pump;
    struct frame_id since; /**< where the pump began */
    struct program *buckets[PROGRAM_BUCKETS];
    size_t program_count, forget_at;
    size_t jobs;    /**< on the pool */
    size_t telling; /**< frames whose outcome is not known */
    size_t running; /**< instances that were not freed */
    struct instance *lingering; /**< ended, but somebody is still connected to their address */
    uv_timer_t timer;
    bool begun, stopping, stopped, destroyed;
    bool closed; /**< the timer is */
    uint64_t deadline_ms; /**< of the loop: when stopping does not wait for frames any longer */
    size_t booting;       /**< programs of start-up that neither run nor were told invalid yet */
    void (*ready)(void *arg);
    void *ready_arg;
    void (*on_stopped)(void *arg);
    void *stopped_arg;
};

/* --- programs.c ------------------------------------------------------------------------------------------- */

struct program *programs_find(struct programs *all, enum program_kind kind, struct span name);
/** Finds or makes one; NULL without memory. */
struct program *programs_get(struct programs *all, enum program_kind kind, struct span name);
/** One of start-up runs, or never will. */
void programs_booted(struct programs *all, struct program *program);
/** Looks whether all that stopping waits for is over. */
void programs_settle(struct programs *all);
/** Removes a definition's directory, on the pool. */
void programs_remove_dir(struct programs *all, struct frame_id id);
/** An instance ended while somebody is connected to its address: it is freed later. */
void programs_linger(struct programs *all, struct instance *instance);

/* --- programs_live.c ---------------------------------------------------------------------------------------- */

/** Follows the log from here on; nothing is taken before history is known (`begun`), so that nothing falls between. */
int programs_follow(struct programs *all, struct err *err);

/* --- programs_scan.c ---------------------------------------------------------------------------------------- */

/** Reads history up to `end` on the pool, starts what is in force, then calls `done`; with `err` not NULL nothing is known and nothing was started. */
int programs_scan(struct programs *all, struct frame_id end, void (*done)(struct programs *all, const struct err *err), struct err *err);
/**
 * Learns from a frame that says something of `program`, as history and live have it: authority, pointers, slots. `defines`: of a create, it is a
 * definition. Returns whether the frame counts.
 */
bool program_learn(struct program *program, const struct words *words, const struct frame *frame, bool defines);
/** Notes a definition that the log holds, and (`in_force`) that it is the newest. False without memory. */
bool program_know(struct program *program, struct frame_id id, bool in_force);

/* --- programs_tell.c -------------------------------------------------------------------------------------------- */

/** What the daemon says of a definition. */
struct telling {
    enum program_kind kind;
    struct span name;
    enum program_words words;
    enum program_event event;
    struct frame_id of;            /**< the definition */
    const struct frame_id *cause;  /**< "frame_id"; NULL = none */
    const struct frame_id *update; /**< "update_id"; NULL = none */
    struct span own;               /**< further members: a JSON object, or empty */
    struct ttl ttl;
};

void programs_tell(struct programs *all, const struct telling *telling);
/** Further members of invalid: {"error":TEXT}. */
void programs_tell_invalid(struct program *program, const struct candidate *candidate);
/** NAME.error for a call that nobody takes: there is no action, or too many calls wait for it. */
void programs_tell_uncalled(struct programs *all, struct span name, const struct frame *call, bool too_many);
/** Appends the pointer keys of a kind, frame_id and the members of `own` but for those keys, as an object. -ENOMEM. */
int tell_meta(struct buf *out, enum program_kind kind, enum program_words words, struct frame_id of,
              const struct frame_id *cause, struct span own);

/* --- program.c ------------------------------------------------------------------------------------------------------ */

struct program *program_create(struct programs *all, enum program_kind kind, struct span name);
void program_destroy(struct program *program);
/** Nothing runs, is about to or can be told an end. */
bool program_is_idle(const struct program *program);
/** Nothing runs or is about to. */
bool program_is_still(const struct program *program);

/** A frame that may define it. */
void program_define(struct program *program, const struct words *words, const struct frame *frame);
/** A frame that ends it. `in_force`: its slots before that frame. */
void program_term(struct program *program, const struct words *words, struct frame_id id, const struct slots *in_force);
/** A candidate that was prepared at start-up. Takes it over. */
void program_boot(struct program *program, struct candidate *candidate);
/** Does the next thing that can be done. */
void program_step(struct program *program);
/** All of it is to end. */
void program_shut(struct program *program);
/** From instance.c: it runs; it is over and everything of it was appended. */
void program_running(struct program *program);
void program_over(struct program *program);

/* --- program_call.c ----------------------------------------------------------------------------------------------------- */

/** A live frame NAME.call; program NULL: no action of that name was ever heard of. */
void program_call(struct programs *all, struct program *program, struct span name, const struct frame *frame);
/** The action runs: it gets the calls that waited for it. */
void program_give_calls(struct program *program);
/** There will be no action: the calls that waited are answered. */
void program_refuse_calls(struct program *program);

/* --- instance.c ----------------------------------------------------------------------------------------------------------- */

/** Why an instance is made to end. */
enum instance_why { WHY_NONE, WHY_REPLACED, WHY_TERM, WHY_SHUTDOWN };

struct instance_state {
    struct program *program;
    struct candidate *candidate; /**< owns the definition and the paths */
    enum instance_why why;
    struct candidate_end end; /**< WHY_TERM: the frame */
    bool starting;            /**< within kind_ops.start */
    bool started;             /**< that went well */
    bool halted;              /**< kind_ops.stop was called */
    bool active;              /**< it was told so */
    bool ended;
    enum instance_how how;
    struct buf failure; /**< JSON object, or empty */
    size_t puts;        /**< appends whose outcome is not known */
    struct emit *log;   /**< NAME.log frames */
    uint64_t log_second;
    unsigned log_lines;    /**< in that second */
    uint64_t log_left_out; /**< lines, since the last that was not */
};

/** Makes an instance of a prepared candidate, which it takes over on success. */
int instance_create(struct instance **out, struct program *program, struct candidate *candidate, struct err *err);
/** Starts it; program_over may be called before this returns, and is if it fails. */
void instance_begin(struct instance *instance);
/** Makes it end, for this reason; program_over may be called before this returns. */
void instance_halt(struct instance *instance, enum instance_why why);
/** Frees it after its end, at once or when its last connection is gone; hands its candidate back. */
struct candidate *instance_retire(struct instance *instance);
/** Appends by its `out`; its end is told only when this is done. `done` may be NULL. -ENOMEM. */
int instance_put(struct instance *instance, const struct emit_frame *frames, size_t count, const struct store_mark *mark,
                 void (*done)(void *arg, const struct emit_result *result), void *arg);
/** For those that linger. */
void instance_destroy(struct instance *instance);

/** The address of the program: a socket in its directory (instance_door.c). */
int instance_open_door(struct instance *instance, struct err *err);
/** Nobody comes in any more; who is in is cut. */
void instance_close_door(struct instance *instance);
/** A line of stderr (instance_log.c). */
void instance_log_line(struct instance *instance, struct span line);

#endif
