/*
 * The two vocabularies of programs: which topic says what of which program.
 *
 *                seed words                                   newer words
 *   service      N.spawn N.terminate | N.start N.stop         xs.service.N.create .term | .active .invalid .fin.ok
 *                N.spawn.error                                .fin.error .fin.term .replaced .stopped .retry
 *   handler      N.register N.unregister | N.registered       xs.actor.N. ...
 *                N.unregistered
 *   action       N.define N.undefine | N.ready N.undefined    xs.action.N. ...
 *                N.define.error
 *
 * Both name the same program: one instance a kind and name. Answers come in the words of the frame that asked.
 * In seed words the end says its kind in meta: "reason" = finished, error, term, replaced, shutdown (and invalid, for a handler).
 */
#ifndef DAEMON_RUN_WORDS_H
#define DAEMON_RUN_WORDS_H

#include <weir/frame.h>

#include "base/buf.h"

enum program_kind { PROGRAM_SERVICE, PROGRAM_HANDLER, PROGRAM_ACTION };
#define PROGRAM_KINDS 3
enum program_words { WORDS_SEED, WORDS_NEW };

enum program_event {
    EVENT_CREATE, /**< by users: */
    EVENT_TERM,
    EVENT_ACTIVE, /**< by the daemon: */
    EVENT_INVALID,
    EVENT_FIN_OK,
    EVENT_FIN_ERROR,
    EVENT_FIN_TERM,
    EVENT_REPLACED,
    EVENT_STOPPED, /**< the daemon stopped */
    EVENT_RETRY,   /**< newer words only: it failed and will be run again */
};

#define PROGRAM_NAME_MAX 200 /**< bytes; the topics made of it stay within 255 */

/** What a topic says. */
struct words {
    enum program_kind kind;
    enum program_words words;
    enum program_event event; /**< of a seed-word end: EVENT_FIN_OK, and meta's reason decides (words_end) */
    struct span name;         /**< points into the topic */
};

/** Reads a topic. False: it says nothing of programs. Pure; any thread; cheap for ordinary topics. */
bool words_parse(struct words *out, struct span topic);
/** The event of a seed-word end by its meta's "reason" (finished, error, term, replaced, shutdown, invalid); others are FIN_ERROR. */
enum program_event words_end(struct span meta);
/** Appends the topic that says this. -ENOMEM. A seed-word RETRY has none: returns ERR_NOT_FOUND, nothing is appended. */
int words_topic(struct buf *out, enum program_kind kind, struct span name, enum program_words words, enum program_event event);
/** "service", "handler", "action": for WEIR_KIND, origins, messages. */
const char *words_kind(enum program_kind kind);
/** "actor" for a handler in newer words; the `KIND` of xs.KIND.NAME. */
const char *words_topic_kind(enum program_kind kind);
/** Meta key that points at the definition: service_id, handler_id, action_id. */
const char *words_pointer(enum program_kind kind);
/** The peer's further key in newer words: source_id, actor_id; NULL for actions (the same key). */
const char *words_pointer_new(enum program_kind kind);

/** The id in a frame's meta under the first of the keys (`other` may be NULL) that has one. False: there is none. */
bool words_id(struct frame_id *out, struct span meta, const char *key, const char *other);

#endif
