/*
 * Names of the S2 API and what they may be. Each: 0, or ERR_INVALID with a text that says the rule.
 *
 * Thread rule: any.
 */
#ifndef BASE_S2_NAMES_H
#define BASE_S2_NAMES_H

#include <weir/err.h>
#include <weir/span.h>

#define S2_BASIN_MAX 48
#define S2_STREAM_MAX 512
#define S2_TOKEN_ID_MAX 96

int s2_basin_name(struct span name, struct err *err);   /**< 8-48 of a-z 0-9 -, no - at the ends */
int s2_basin_prefix(struct span text, struct err *err); /**< of prefix and start_after: 0-48, no - in front */
int s2_stream_name(struct span name, struct err *err);  /**< 1-512 bytes of UTF-8, no NUL, not . or .. */
int s2_stream_prefix(struct span text, struct err *err);
int s2_token_id(struct span id, struct err *err);       /**< 1-96 bytes, as stream names */
int s2_location_name(struct span name, struct err *err);

#endif
