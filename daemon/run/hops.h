/*
 * How many programs a frame came through: what keeps programs that answer each other from doing so for ever.
 *
 * Thread rule: the loop thread.
 */
#ifndef DAEMON_RUN_HOPS_H
#define DAEMON_RUN_HOPS_H

#include "daemon/run/instance.h"

/**
 * Notes whose frame the program is given now. `calm` is the kind's timer, its data the instance: when it runs out the count starts over, since what a
 * program does so long after its last frame is not that frame's doing. False: the frame came round too often and is not to be handed over;
 * then `text` says so for an error frame, or is empty, where that was told one hop before: so those who get the error frame are silent.
 */
bool hops_take(struct instance *instance, uv_timer_t *calm, const struct frame *frame, char text[static ERR_TEXT_SIZE]);

#endif
