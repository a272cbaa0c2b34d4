/*
 * Notices of what happens to a file: it grows, it goes, it appears. By inotify; nothing is polled. Changes made on another
 * machine to a file of a network file system are not noticed.
 */
#ifndef BRIDGE_IO_SS_WATCH_H
#define BRIDGE_IO_SS_WATCH_H

#include <stdbool.h>

#include <weir/err.h>

/** One file being watched. One thread. */
struct ss_watch {
    int fd;        /**< readable when something happened; -1: not begun */
    int directory; /**< inotify's number of the directory; -1: not watched */
};

/** Begins without watching anything. -errno. */
int ss_watch_begin(struct ss_watch *w, struct err *err);
/** Takes one that was begun, or one with fd -1. */
void ss_watch_finish(struct ss_watch *w);
/** Watches the file that the path names now. -ENOENT and others of the system. */
int ss_watch_file(struct ss_watch *w, const char *path, struct err *err);
/** Watches the directory for names that appear in it, until ss_watch_drop. */
int ss_watch_directory(struct ss_watch *w, const char *directory, struct err *err);
void ss_watch_drop(struct ss_watch *w);
/** Takes what was told since the last call: whether there was anything; `moved` is set, never cleared, when it was more than growth. */
bool ss_watch_take(struct ss_watch *w, bool *moved);

#endif
