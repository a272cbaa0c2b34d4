/*
 * The verbs by name, for the table.
 */
#ifndef CMD_TABLE_H
#define CMD_TABLE_H

#include "cmd/cmd.h"

extern const struct cmd cmd_serve, cmd_status, cmd_version;
extern const struct cmd cmd_append, cmd_remove, cmd_fence, cmd_trim;
extern const struct cmd cmd_cat, cmd_last, cmd_first, cmd_next, cmd_previous, cmd_get;
extern const struct cmd cmd_ack, cmd_nack, cmd_groups, cmd_cursors;
extern const struct cmd cmd_cas, cmd_cas_post;
extern const struct cmd cmd_eval, cmd_pipe;
extern const struct cmd cmd_service, cmd_handler, cmd_action, cmd_call, cmd_list, cmd_logs, cmd_stop;
extern const struct cmd cmd_store, cmd_token;
extern const struct cmd cmd_import, cmd_export, cmd_relay, cmd_trim_stream, cmd_s2;
extern const struct cmd cmd_decode, cmd_clock;
extern const struct cmd cmd_scru128, cmd_completion;

#endif
