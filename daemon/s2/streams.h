/*
 * Changes of streams, that is, of topics as the S2 API sees them: rules and note of the topic's row.
 *
 * What depends on the row as it is goes by its revision: when another change came first, it is looked at anew. Thread rule: the loop thread.
 */
#ifndef DAEMON_S2_STREAMS_H
#define DAEMON_S2_STREAMS_H

#include "daemon/s2/basins.h"

enum stream_deed {
    STREAM_CREATE,      /**< ERR_CONFLICT when it is there, unless it was made with the same token and config: noop */
    STREAM_ENSURE,      /**< makes it, or replaces its config */
    STREAM_RECONFIGURE, /**< changes its config by `change` */
    STREAM_DELETE,      /**< its name is free at once */
};

/** A change. The owner's memory, until `done`. Zeroed but for what is said. */
struct stream_op {
    enum stream_deed deed;
    struct site *site;                /**< open */
    enum authority authority;
    struct span name;                 /**< in full, checked */
    const struct s2_basin_config *basin; /**< looked at for each try */
    struct s2_stream_config config;   /**< CREATE, ENSURE: what was asked for */
    struct span change;               /**< RECONFIGURE: JSON */
    char token[S2_TOKEN_MAX + 1];     /**< CREATE; "" = none */
    void (*done)(struct stream_op *op); /**< once, later */

    enum s2_code code; /**< out, where result < 0 */
    int result;
    struct err err;
    enum provision provision;
    uint64_t created_ms;            /**< out */
    struct s2_stream_note note;     /**< out */
    struct s2_stream_config actual; /**< out: every value set */

    struct submission submission; /**< from here on streams.c's own */
    struct store_topic_op topic;
    struct topic_make make;
    struct buf text;
    unsigned tries;
};
void stream_op_run(struct stream_op *op);

/** What the API tells of a stream. */
struct stream_info {
    struct span name;
    uint64_t created_ms;
    enum s2_cipher cipher;
};
/** Appends StreamInfo. */
int stream_info_put(struct buf *out, const struct stream_info *info);

#endif
