/*
 * Programs and stores as a table for people, or a line of JSON each.
 */
#ifndef CMD_LIST_H
#define CMD_LIST_H

#include "cmd/lives.h"

/** Which of them. */
struct list_choice {
    int kind;         /**< enum life_kind; -1: all */
    const char *name; /**< or NULL */
    bool ended;       /**< also those that were ended as asked */
};

/** Prints them. `count` (may be NULL) gets how many. Returns an exit status. */
int list_print(const struct call *call, const struct lives *lives, const struct list_choice *choice, size_t *count);

#endif
