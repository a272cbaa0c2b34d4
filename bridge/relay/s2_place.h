/*
 * The endpoint and basin that an s2 URL means.
 *
 *   s2://BASIN/STREAM             the endpoint is what the environment says, as for weir s2; else the default store
 *   s2://HOST[:PORT]/BASIN/STREAM that one, without TLS
 *   s2:///DIRECTORY/BASIN/STREAM  a store of weir
 */
#ifndef BRIDGE_RELAY_S2_PLACE_H
#define BRIDGE_RELAY_S2_PLACE_H

#include <weir/s2.h>

#include "bridge/relay/end.h"

struct relay_s2 {
    struct weir_s2 *s2;    /**< an endpoint that goes away is tried again for some 15 s */
    struct weir_s2 *quick; /**< for what is looked at before the first message: one that is not there is told soon */
    char *basin;
};

/** May start the default store's daemon. Connects to nothing else yet. ERR_INVALID, -ENOMEM. */
int relay_s2_open(struct relay_s2 *out, const struct ss_url *url, const struct relay_options *o, struct err *err);
/** Takes a zeroed one. */
void relay_s2_close(struct relay_s2 *place);
/** An error of the library as ours; returns its code. */
int relay_s2_fail(struct err *err, const struct weir_s2_err *why, const char *stream);

#endif
