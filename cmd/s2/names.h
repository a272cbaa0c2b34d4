/*
 * Listings: pages of the API, one after the other.
 */
#ifndef CMD_S2_NAMES_H
#define CMD_S2_NAMES_H

#include "cmd/s2/verb.h"

/** --prefix, --start-after, --limit, --no-auto-paginate. */
extern const struct option_row names_options[];

/** What is listed. */
struct names {
    const char *collection; /**< "basins", and the member of the answer that holds the items unless
                               `items` says it */
    const char *items;
    const char *basin;  /**< of streams */
    const char *prefix; /**< NULL: of the options */
    const char *member; /**< the name within an item */
};

/** Prints each item as a line of JSON. The endpoint is open. An exit status. */
int names_list(struct args *args, const struct names *names);
/** Of operand 0, s2://BASIN[/PREFIX]; opens the endpoint. */
int names_list_streams(struct args *args);

#endif
