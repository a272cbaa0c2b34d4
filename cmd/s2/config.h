/*
 * Options that make up configs of streams and basins, as JSON.
 */
#ifndef CMD_S2_CONFIG_H
#define CMD_S2_CONFIG_H

#include "cmd/s2/verb.h"

/** Ids of the options in stream_config_options and basin_config_options. */
enum {
    CONFIG_CLASS = 100,
    CONFIG_RETENTION,
    CONFIG_MODE,
    CONFIG_UNCAPPED,
    CONFIG_MIN_AGE,
    CONFIG_JSON,
    CONFIG_ON_APPEND,
    CONFIG_ON_READ,
    CONFIG_CIPHER
};
extern const struct option_row stream_config_options[];
extern const struct option_row basin_config_options[];

/** Appends a stream's config, or the change of one, as an object; "{}" without options. 0, or an
 * exit status after a message. */
int stream_config_put(const struct args *args, struct buf *out);
int basin_config_put(const struct args *args, struct buf *out);

#endif
