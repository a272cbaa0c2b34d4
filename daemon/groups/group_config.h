/*
 * What a group is set to: which topics, in which order, how patiently. From queries, from JSON
 * (request bodies and the store), to JSON. Without I/O.
 */
#ifndef DAEMON_GROUP_CONFIG_H
#define DAEMON_GROUP_CONFIG_H

#include "base/topic.h"
#include "daemon/groups/delivery.h"

#define GROUP_NAME_MAX 250   /**< bytes: with ".dead" behind it is a topic still */
#define GROUP_MEMBER_MAX 128 /**< bytes */
#define GROUP_WINDOW 100     /**< frames that a member has open, unless it says otherwise */
#define GROUP_WINDOW_MAX 1000
#define GROUP_GRACE_MS 2000 /**< an acknowledgement may still come by another connection */
#define GROUP_ATTEMPTS 5
#define GROUP_TIMEOUT_MS 60000
#define GROUP_TIMEOUT_MIN_MS 10
#define GROUP_TIMEOUT_MAX_MS (UINT64_C(7) * 24 * 3600 * 1000)

/** Which settings were given. */
enum { GROUP_TOPICS = 1, GROUP_ORDER = 2, GROUP_MAX = 4, GROUP_TIMEOUT = 8 };

struct group_config {
    unsigned given;
    struct pattern_list topics;
    struct buf text; /**< the patterns, sorted, "a,b.*" */
    struct delivery_rules rules;
};

/** Where a group begins. */
enum group_start { GROUP_START_NONE, GROUP_START_FIRST, GROUP_START_NEW, GROUP_START_BEHIND };
struct group_place {
    enum group_start start;
    struct frame_id id; /**< GROUP_START_BEHIND: what comes after it */
};

/** What a read of a group, or an acknowledgement, says in its query. */
struct group_ask {
    struct group_config config;
    struct buf group, member; /**< member empty: none was given */
    bool by_hand;             /**< ack=manual */
    uint64_t window;
    uint64_t grace_ms; /**< a broken connection's frames are handed over after that */
    bool has_upto;
    struct frame_id upto;
};

/** Everything by default; all topics. Nothing is given. -ENOMEM. */
int group_config_init(struct group_config *config);
void group_config_finish(struct group_config *config);
/** Sets the topics from a list of patterns. ERR_INVALID, ERR_TOO_LARGE, -ENOMEM. */
int group_config_topics(struct group_config *config, struct span patterns, struct err *err);
/**
 * Takes the members of an object {topics, order, max, timeout_ms, at}; at (place may be NULL:
 * refused) is first, new or an id, behind which it goes on. ERR_INVALID names the fault. -ENOMEM.
 */
int group_config_parse(struct group_config *config, struct span json, struct group_place *place,
                       struct err *err);
/** Appends the members of the object without its braces. -ENOMEM. */
int group_config_json(const struct group_config *config, struct buf *out);
/** Whether what `asked` gives is what `have` is set to. ERR_CONFLICT says what it is. */
int group_config_fits(const struct group_config *have, const struct group_config *asked,
                      struct err *err);
/** Sets what `asked` gives. -ENOMEM, and then nothing changed. */
int group_config_apply(struct group_config *have, const struct group_config *asked);

/** ERR_INVALID for what cannot be a group's name. */
int group_name_check(struct span name, struct err *err);
/** ERR_INVALID for what cannot be a member's. */
int group_member_check(struct span name, struct err *err);

/**
 * Takes the keys of a group out of a raw query; others are passed over. ERR_INVALID, -ENOMEM:
 * nothing needs to be finished.
 */
int group_ask_parse(struct group_ask *out, struct span raw, struct err *err);
void group_ask_finish(struct group_ask *ask);

#endif
