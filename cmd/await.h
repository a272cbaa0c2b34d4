/*
 * Waiting for frames that answer something: a read that follows, line by line, up to a moment.
 */
#ifndef CMD_AWAIT_H
#define CMD_AWAIT_H

#include "cmd/call.h"

/**
 * Calls `line` for each line of the answer whose head was taken, until it returns something else than 0, which is the result. 0: the
 * answer ended (the daemon stops). -ETIMEDOUT: `wait_ms` went by (0 = no limit). Other negative codes with their text.
 */
int await_lines(struct weir *w, uint64_t wait_ms, int (*line)(void *arg, struct span line), void *arg, struct err *err);

/** The time that option `id` gives, or `otherwise`, in ms. 0, or an exit status after a message. */
int await_option(const struct call *call, int id, uint64_t otherwise, uint64_t *ms);

/** "GET /?follow&topic=...": frames of these topics behind the frame `after`. Head taken. 0 or a negative code. */
int await_behind(struct weir *w, struct span topics, const char *after, struct err *err);

#endif
