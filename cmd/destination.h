/*
 * Where an export goes: made under a temporary name beside its own, and given its name when it is
 * whole, so that a failed or killed export leaves nothing that looks like one.
 */
#ifndef CMD_DESTINATION_H
#define CMD_DESTINATION_H

#include <stdbool.h>

#include <weir/err.h>

struct destination {
    int parent; /**< the directory it is to be in */
    int fd;     /**< the file or directory being made */
    bool dir;
    char *name; /**< its own name in parent */
    char *temp; /**< its name until it is whole; NULL when there is nothing to remove */
};

/**
 * Makes the file (0600) or directory (0700). -EEXIST when `path` is there already. From here on
 * SIGINT and SIGTERM only make destination_interrupted true, so that what was made can be removed.
 */
int destination_begin(struct destination *p, const char *path, bool dir, struct err *err);
/** Syncs, and gives it its name; never replaces what came there meanwhile. */
int destination_commit(struct destination *p, struct err *err);
/** Removes what is not committed; frees. Takes a zeroed one whose descriptors are -1. */
void destination_finish(struct destination *p);
/** Whether SIGINT or SIGTERM came. */
bool destination_interrupted(void);

#endif
