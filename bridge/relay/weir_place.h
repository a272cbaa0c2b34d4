/*
 * A place in a weir store, as a cursor keeps it: text.
 *
 *   start | seq=N | time=MS   nothing was read yet
 *   id=ID                     behind this frame
 *   id=ID time=MS             where only messages later than MS were asked for
 */
#ifndef BRIDGE_RELAY_WEIR_PLACE_H
#define BRIDGE_RELAY_WEIR_PLACE_H

#include <weir/err.h>
#include <weir/id.h>

#include "base/buf.h"

enum weir_place_by { WEIR_PLACE_START, WEIR_PLACE_SEQ, WEIR_PLACE_TIME, WEIR_PLACE_ID };

struct weir_place {
    enum weir_place_by by;
    struct frame_id id;
    uint64_t seq;
    bool has_time; /**< messages later than this alone */
    uint64_t time_ms;
};

/** Appends the text. -ENOMEM. */
int weir_place_format(const struct weir_place *place, struct buf *out);
/** ERR_INVALID: it is no such text; `out` is as it was. */
int weir_place_parse(struct weir_place *out, struct span text);
/** Appends its part of a read's query. -ENOMEM. */
int weir_place_query(const struct weir_place *place, struct buf *target);

#endif
