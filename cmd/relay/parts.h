/*
 * A relay as the command line asks for it.
 */
#ifndef CMD_RELAY_PARTS_H
#define CMD_RELAY_PARTS_H

#include "bridge/relay/end.h"
#include "cmd/call.h"

struct relay_parts {
    struct ss_url input, output;
    struct relay_options options;
    const char *(*renames)[2]; /**< what options.rename is; the first of each pair is its own */
};

/* Both return 0, or an exit status after a message on stderr; parts_finish in any case. Zeroed memory is empty. */

/** --input and --output: parsed, known, not the same, with the keys that are needed. To be called behind parts_options. */
int parts_places(struct relay_parts *p, const struct call *call);
/** All others. */
int parts_options(struct relay_parts *p, const struct call *call);
void parts_finish(struct relay_parts *p);

#endif
