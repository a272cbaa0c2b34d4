/*
 * What `weir fence' and `weir trim' share: a command record appended to one topic, by the route that knows such records.
 */
#ifndef CMD_COMMAND_H
#define CMD_COMMAND_H

#include "cmd/call.h"

/** The options of both. */
extern const struct option_row command_options[];

/**
 * Takes the operands: TOPIC and one more, or that one alone with --stream. Sets `*value` to it. 0, or an exit status after a
 * message.
 */
int command_operands(struct call *call, const char **value);

/** Appends the record {"": command} with this body and prints where it stands. Returns an exit status. */
int command_send(const struct call *call, const char *command, struct span body);

#endif
