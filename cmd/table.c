/* All verbs. */
#include "cmd/table.h"

const struct cmd *const cmd_table[] = {
    &cmd_serve,    &cmd_status, &cmd_version, &cmd_token, &cmd_append,   &cmd_remove,  &cmd_fence,
    &cmd_trim,     &cmd_cat,
    &cmd_last,     &cmd_first,  &cmd_next,    &cmd_previous, &cmd_get,     &cmd_ack,
    &cmd_nack,     &cmd_groups, &cmd_cursors, &cmd_cas,     &cmd_cas_post, &cmd_eval,    &cmd_pipe,
    &cmd_service,  &cmd_handler, &cmd_action, &cmd_call,    &cmd_list,    &cmd_logs,
    &cmd_stop,     &cmd_store,
    &cmd_import,   &cmd_export, &cmd_relay, &cmd_trim_stream, &cmd_s2, &cmd_decode, &cmd_clock, &cmd_scru128, &cmd_completion, NULL,
};
