/*
 * The parts of basins to each other.
 */
#ifndef DAEMON_S2_BASINS_IMPL_H
#define DAEMON_S2_BASINS_IMPL_H

#include "daemon/attached.h"
#include "daemon/s2/basins.h"

enum basin_state {
    BASIN_ABSENT,    /**< changes wait for it, or somebody still holds it */
    BASIN_CREATING,  /**< asked for, by a record that is durable; its store is not open yet */
    BASIN_ACTIVE,
    BASIN_DETACHING, /**< its store is closed by a frame: absent, but its name is not free yet */
    BASIN_DELETING,
};

struct basin {
    struct basins *basins;
    char name[S2_BASIN_MAX + 1];
    size_t len;
    enum basin_state state;
    bool is_root;
    bool marked; /**< it has a mark */
    struct basin_note note;
    struct attached *attached;       /**< its store; NULL: the root, or none */
    size_t holds;
    struct basin_op *ops; /**< changes: the first is under way or next */
    bool busy;            /**< the first is under way */
    bool running;         /**< basin_ops_run is */
};

struct basins {
    struct site *root;
    struct basin **items; /**< by name */
    size_t count, cap;
    struct basin *root_basin;
    bool ending;
};

/** The one of that name, made as an absent one where there is none; NULL without memory. */
struct basin *basins_get(struct basins *basins, struct span name);
/** Frees it when it is absent and nobody needs it. */
void basins_tidy(struct basin *basin);
/** Whether requests find it. */
bool basin_is_there(const struct basin *basin);

/** Name of the mark: `room` has place for it. */
struct span basin_mark_name(const struct basin *basin, char room[static S2_BASIN_MAX + 8]);
#define BASIN_MARK_PREFIX "basin/"
int basin_note_put(struct buf *out, const struct basin_note *note);
/** ERR_DAMAGED. */
int basin_note_read(struct basin_note *out, struct span json, struct err *err);
void basin_config_digest(uint8_t out[static 16], const struct s2_basin_config *config);
/** Forgets all that is known of one that is gone, and its mark. */
void basin_forget(struct basin *basin);

/** The store's part of a change has come to its end: the first change goes on. By the listener. */
void basin_op_active(struct basin *basin);
void basin_op_invalid(struct basin *basin, const char *why);
/** Changes that waited go on, where they can; frees the basin when nobody needs it any more. */
void basin_ops_run(struct basin *basin);
/** They come to nothing: the daemon ends. */
void basin_ops_end(struct basin *basin);

#endif
