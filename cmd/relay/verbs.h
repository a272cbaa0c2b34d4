/*
 * The verbs of weir-relay.
 */
#ifndef CMD_RELAY_VERBS_H
#define CMD_RELAY_VERBS_H

#include "cmd/cmd.h"

extern const struct cmd verb_relay, verb_trim_stream;

#endif
