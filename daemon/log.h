/*
 * The daemon's log: one calm line a frame, and level lines `level module key=value ...`.
 *
 * Lines are gathered and written by a thread of the log's own, so a reader of standard error that
 * stopped reading never stops the daemon; what does not fit then is dropped and counted.
 */
#ifndef DAEMON_LOG_H
#define DAEMON_LOG_H

#include <weir/err.h>
#include <weir/frame.h>

struct log;

enum log_level { LOG_ERROR = 3, LOG_WARN = 4, LOG_INFO = 6 };

#define LOG_FILE_MAX (8 * 1024 * 1024) /**< then FILE becomes FILE.1 */

/** Logs to `file`, which becomes descriptor 2 as well, or to standard error when NULL. */
int log_create(struct log **out, const char *file, struct err *err);
/** Writes what is left (for at most a second) and ends. Takes NULL. */
void log_destroy(struct log *log);

/** One level line; any thread. `fmt` gives the key=value part. */
void log_say(struct log *log, enum log_level level, const char *module, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/** A frame's line: local HH:MM:SS.mmm, last 5 digits of the id, topic. */
void log_frame(struct log *log, const struct frame *frame);

#endif
