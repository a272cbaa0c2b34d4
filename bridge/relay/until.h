/*
 * The end of a relay by time: messages later than a moment do not go over.
 *
 * Times need not rise over several streams (a key and shard are one). So the end is reached when every stream seen has gone
 * beyond the moment, or when the moment is past and nothing has come for a second.
 */
#ifndef BRIDGE_RELAY_UNTIL_H
#define BRIDGE_RELAY_UNTIL_H

#include "bridge/relay/end.h"

struct relay_until {
    uint64_t until_ms;
    size_t keys; /**< that were named; 0: any number */
    struct relay_until_stream *list;
    size_t count, cap, beyond; /**< streams seen, and of them beyond the moment */
    uint64_t came_us;          /**< when a message came last, or when it began */
};

void relay_until_begin(struct relay_until *u, const struct relay_options *o);
void relay_until_finish(struct relay_until *u);
/** Notes a message; whether it is not too late. */
bool relay_until_allows(struct relay_until *u, const struct ss_message *m);
/** Whether one was too late. */
bool relay_until_seen(const struct relay_until *u);
/** Whether it is over, asked behind a batch; `nothing_more`: the source had nothing at once. */
bool relay_until_over(const struct relay_until *u, bool nothing_more);
/** How long to wait for the next message before asking again, ms. */
int relay_until_wait(const struct relay_until *u);

#endif
