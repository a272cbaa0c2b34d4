/* All verbs of weir-s2, in the order of the help text. */
#include "cmd/s2/verb.h"

extern const struct verb verb_ls, verb_list_basins, verb_create_basin, verb_get_basin_config,
    verb_reconfigure_basin, verb_delete_basin;
extern const struct verb verb_list_streams, verb_create_stream, verb_get_stream_config,
    verb_reconfigure_stream, verb_delete_stream;
extern const struct verb verb_append, verb_read, verb_tail, verb_check_tail, verb_trim, verb_fence;
extern const struct verb verb_apply, verb_bench;
extern const struct verb verb_issue_token, verb_list_tokens, verb_revoke_token, verb_list_locations;
extern const struct verb verb_account_metrics, verb_basin_metrics, verb_stream_metrics;

const struct verb *const verb_table[] = {
    &verb_ls,
    &verb_list_basins,
    &verb_create_basin,
    &verb_get_basin_config,
    &verb_reconfigure_basin,
    &verb_delete_basin,
    &verb_list_streams,
    &verb_create_stream,
    &verb_get_stream_config,
    &verb_reconfigure_stream,
    &verb_delete_stream,
    &verb_append,
    &verb_read,
    &verb_tail,
    &verb_check_tail,
    &verb_trim,
    &verb_fence,
    &verb_apply,
    &verb_bench,
    &verb_issue_token,
    &verb_list_tokens,
    &verb_revoke_token,
    &verb_list_locations,
    &verb_account_metrics,
    &verb_basin_metrics,
    &verb_stream_metrics,
    NULL,
};
