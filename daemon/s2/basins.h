/*
 * Basins: the stores of this daemon as the S2 API names them, and their configs.
 *
 * The root store is one, under the name --basin says; the others are those of the root's xs.store.* frames. What the API knows of a basin
 * beyond its store lies in the root store's mark `basin/NAME`, changed in one record with the frame that makes or ends the store; the root's own
 * in `basin/`, so that it keeps its config under another name.
 *
 *   absent --create: record durable--> creating --store active--> active --delete: record durable--> deleting --removed--> absent
 *
 * Changes of one name are made one after the other. Thread rule: the loop thread.
 */
#ifndef DAEMON_S2_BASINS_H
#define DAEMON_S2_BASINS_H

#include "base/s2/names.h"
#include "daemon/s2/s2.h"

/** Reads the marks (may block: before the first connection). After stores_start. */
int basins_create(struct basins **out, struct site *root, const char *root_name, struct err *err);
/** Takes NULL. */
void basins_destroy(struct basins *basins);
/** NULL: there is none. Stores that were made by frames are found, too, and basins that are being deleted. */
struct basin *basins_find(struct basins *basins, struct span name);
/** The basin that this store is; NULL: its name is none of a basin's. */
struct basin *basins_of(struct basins *basins, const struct site *site);
/** See struct basin_use. The basin is use->basin then. */
void basin_use(struct basin *basin, struct basin_use *use);
void basin_release(struct basin_use *use);
/** It stays valid memory, though it may be deleted, until basin_drop. */
void basin_hold(struct basin *basin);
void basin_drop(struct basin *basin);

/** What the API tells of a basin. */
struct basin_info {
    struct span name; /**< as long as the basin */
    uint64_t created_ms;
    uint64_t deleted_ms; /**< 0 = it is not being deleted */
};
struct basin_info basin_info(const struct basin *basin);

/** Each basin whose name starts with `prefix` and comes after `after`, in byte order. each: false ends. */
void basins_each(struct basins *basins, struct span prefix, struct span after,
                 bool (*each)(void *arg, const struct basin *basin), void *arg);

/* --- changes ---------------------------------------------------------------------------------------------- */

enum basin_deed {
    BASIN_CREATE,      /**< ERR_CONFLICT when it is there, unless it was made with the same token and config: noop */
    BASIN_ENSURE,      /**< makes it, or replaces its config */
    BASIN_RECONFIGURE, /**< changes its config by `change` */
    BASIN_DELETE,
};

enum provision { PROVISION_CREATED, PROVISION_UPDATED, PROVISION_NOOP };
/** As the header s2-provision-result says it. */
const char *provision_name(enum provision provision);

/** What is kept of a basin beside its store: in its mark. */
struct basin_note {
    struct s2_basin_config config;
    char token[S2_TOKEN_MAX + 1]; /**< it was created with */
    size_t token_len;
    uint8_t digest[16]; /**< of the config asked for then */
    uint64_t created_ms, deleted_ms;
};

/** A change. The owner's memory, until `done`. Zeroed but for what is said. */
struct basin_op {
    enum basin_deed deed;
    char name[S2_BASIN_MAX + 1];   /**< checked */
    struct s2_basin_config config; /**< CREATE, ENSURE: what was asked for */
    struct span change;            /**< RECONFIGURE: JSON */
    char token[S2_TOKEN_MAX + 1];  /**< CREATE; "" = none */
    size_t token_len;
    bool exec; /**< DELETE: also a store that a frame put elsewhere than below the root */
    void (*done)(struct basin_op *op); /**< once, maybe before basin_op_run returns */

    enum s2_code code; /**< out, where result < 0 */
    int result;
    struct err err;
    enum provision provision;
    struct basin *basin; /**< out, where result is 0: valid for the call of `done` */

    struct basins *basins; /**< from here on basins_op.c's own */
    struct basin_op *next;
    struct submission submission;
    struct store_frame frame;
    struct store_mark mark;
    struct buf names, text;
    struct basin_note wanted;
    bool opening; /**< its record is durable, its store is being opened */
};
/** Runs it: what it makes is durable, and a new store open, before `done`. */
void basin_op_run(struct basins *basins, struct basin_op *op);

#endif
