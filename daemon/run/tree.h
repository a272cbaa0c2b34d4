/*
 * All processes below one: found in /proc, signalled without hitting a stranger that got a dead
 * one's number.
 *
 * A list is old the moment it is made: what forks meanwhile is missing. So ending a tree means to
 * stop what is found until nothing new is found, then to kill it, and to look again until
 * waitpid(2) says that no child is left.
 *
 * Thread rule: one thread; used by keepers, the supervisor and tests.
 */
#ifndef DAEMON_RUN_TREE_H
#define DAEMON_RUN_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct tree_node {
    pid_t pid;
    pid_t parent;
    bool stopped; /**< tree_kill's: SIGSTOP was sent */
};

/** Zeroed memory is an empty list. */
struct tree {
    struct tree_node *nodes;
    size_t len, cap;
};

/** Says of a child of the root whether it and what is below it is left out. */
typedef bool (*tree_spare)(void *arg, pid_t pid);

/**
 * Makes `tree` the list of all descendants of `root`, parents before their children, from
 * /proc/PID/task/TID/children, or where the kernel has no such file, from a look at every process.
 * `spare` may be NULL. -ENOMEM, -errno.
 */
int tree_list(struct tree *tree, pid_t root, tree_spare spare, void *arg);
/** The same by the look at every process, wherever. */
int tree_list_by_scan(struct tree *tree, pid_t root, tree_spare spare, void *arg);
void tree_finish(struct tree *tree);

/** Sends a signal to the descendants of the calling process. SIGTERM is followed by SIGCONT, so
 * that stopped ones take it. */
void tree_signal(int number, tree_spare spare, void *arg);
/** Stops all descendants until nothing new is found, and kills them. Those that hid meanwhile need
 * a further call. */
void tree_kill(tree_spare spare, void *arg);

#endif
