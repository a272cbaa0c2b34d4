/*
 * What a token is for: operations, and the basins, streams and tokens they may be used on. No I/O.
 *
 * Facts are those of the S2 v1 API; `exec` is ours. Thread rule: any.
 */
#ifndef DAEMON_AUTH_SCOPE_H
#define DAEMON_AUTH_SCOPE_H

#include <weir/err.h>
#include <weir/span.h>

#include "base/topic.h"

/** Operations; the numbers are S2's. */
enum auth_op {
    AUTH_LIST_BASINS = 1,
    AUTH_CREATE_BASIN = 2,
    AUTH_DELETE_BASIN = 3,
    AUTH_RECONFIGURE_BASIN = 4,
    AUTH_GET_BASIN_CONFIG = 5,
    AUTH_ISSUE_TOKEN = 6,
    AUTH_REVOKE_TOKEN = 7,
    AUTH_LIST_TOKENS = 8,
    AUTH_LIST_STREAMS = 9,
    AUTH_CREATE_STREAM = 10,
    AUTH_DELETE_STREAM = 11,
    AUTH_GET_STREAM_CONFIG = 12,
    AUTH_RECONFIGURE_STREAM = 13,
    AUTH_CHECK_TAIL = 14,
    AUTH_APPEND = 15,
    AUTH_READ = 16,
    AUTH_TRIM = 17,
    AUTH_FENCE = 18,
    AUTH_ACCOUNT_METRICS = 19,
    AUTH_BASIN_METRICS = 20,
    AUTH_STREAM_METRICS = 21,
    AUTH_LIST_LOCATIONS = 22,
    AUTH_GET_LOCATION = 23,
    AUTH_SET_LOCATION = 24,
    AUTH_EXEC = 25, /**< ours: defining programs, /eval */
    AUTH_OPS = 26,
    AUTH_NONE = 0,  /**< needs no right: health, version */
};

/** Groups of operations, one bit each in auth_scope.groups. */
enum auth_group {
    AUTH_ACCOUNT_READ,
    AUTH_ACCOUNT_WRITE,
    AUTH_BASIN_READ,
    AUTH_BASIN_WRITE,
    AUTH_STREAM_READ,
    AUTH_STREAM_WRITE,
    AUTH_GROUPS
};

/** A set of names. */
enum auth_how { AUTH_NO_NAME, AUTH_EXACT, AUTH_PREFIX };
struct auth_set {
    enum auth_how how;
    struct span text; /**< AUTH_PREFIX of "" is all; AUTH_EXACT of "" none */
};

enum { AUTH_BASINS, AUTH_STREAMS, AUTH_TOKENS, AUTH_SETS };

struct auth_scope {
    struct auth_set sets[AUTH_SETS];
    uint32_t ops;    /**< those named one by one: bit 1 << op */
    uint32_t groups; /**< bit 1 << group */
};

#define AUTH_OP_BIT(op) (UINT32_C(1) << (op))

/** Its name on the wire: "list-basins"; "exec". NULL for AUTH_NONE. */
const char *auth_op_name(enum auth_op op);
/** The operation of that name (raw JSON string with quotes), or AUTH_NONE. */
enum auth_op auth_op_of(struct span raw);
/** Operations of a set of groups. */
uint32_t auth_group_ops(uint32_t groups);
/** All operations of a scope. */
uint32_t auth_scope_ops(const struct auth_scope *scope);
/** Everything; with or without exec. */
struct auth_scope auth_scope_all(bool exec);

bool auth_set_has(const struct auth_set *set, struct span name);
/** Whether `inner` has no name that `outer` has not. */
bool auth_set_within(const struct auth_set *inner, const struct auth_set *outer);
/** Whether it has every name. */
bool auth_set_is_all(const struct auth_set *set);
/** Whether `inner` allows nothing that `outer` does not. The text names what it is, else. */
bool auth_scope_within(const struct auth_scope *inner, const struct auth_scope *outer, struct err *err);

/** The topics of `list` that the set has: *out is a list of its own. -ENOMEM. */
int auth_set_patterns(const struct auth_set *set, const struct pattern_list *list, struct pattern_list *out);
/** Whether the set has every topic that the list has. */
bool auth_set_has_patterns(const struct auth_set *set, const struct pattern_list *list);

#endif
