/*
 * A file of basins and streams: what it asks for, with configs as the API takes them.
 */
#ifndef CMD_S2_SPEC_H
#define CMD_S2_SPEC_H

#include <weir/err.h>

#include "base/buf.h"

struct spec_item {
    char *basin, *stream; /**< stream NULL: the basin itself */
    struct buf config;    /**< JSON */
};

/** Zeroed memory is an empty one. */
struct spec {
    struct spec_item *items; /**< a basin before its streams */
    size_t count, cap;
};

/** ERR_INVALID with what is wrong where; -ENOMEM. Fills what it can; spec_finish in any case. */
int spec_read(struct spec *out, struct span text, struct err *err);
void spec_finish(struct spec *spec);
/** "7days", "1h 30m", "90s" in seconds. ERR_INVALID. */
int spec_age(struct span text, uint64_t *seconds);

#endif
