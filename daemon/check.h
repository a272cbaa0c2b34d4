/*
 * weird --verify and --repair: work on a store that nobody serves.
 */
#ifndef DAEMON_CHECK_H
#define DAEMON_CHECK_H

#include <weir/err.h>

/**
 * Reads every frame and every content and checks them; prints one line for each fault and a closing
 * one. ERR_DAMAGED when there was any; else as store_open.
 */
int check_verify(const char *path, struct err *err);

/** Sets aside what is damaged in the journal and prints what was kept. Errors as store_open. */
int check_repair(const char *path, struct err *err);

#endif
