/*
 * Topics that only some may append to: those that define, end and tell of programs and stores.
 *
 * Thread rule: any.
 */
#ifndef DAEMON_GUARDED_H
#define DAEMON_GUARDED_H

#include <weir/err.h>
#include <weir/frame.h>

/** May one with this authority append to the topic? ERR_FORBIDDEN. */
int guarded_check(enum authority authority, struct span topic, struct err *err);

#endif
