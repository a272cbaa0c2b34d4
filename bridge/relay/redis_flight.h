/*
 * Commands of the Redis sink that are under way, in the order in which their replies come.
 */
#ifndef BRIDGE_RELAY_REDIS_FLIGHT_H
#define BRIDGE_RELAY_REDIS_FLIGHT_H

#include "bridge/relay/redis_outlet.h"

enum redis_flight_kind {
    FLIGHT_ADD,   /**< XADD * */
    FLIGHT_TIMED, /**< XADD MS-*: becomes XADD * when a later entry stands there */
    FLIGHT_EXACT, /**< XADD MS-N: becomes a look when this or a later entry stands there */
    FLIGHT_LOOK,  /**< XRANGE MS-N MS-N: are the payloads these? */
    FLIGHT_TRIM,
};

struct redis_flight {
    enum redis_flight_kind kind;
    struct redis_outlet *to;
    struct redis_id id;               /**< of EXACT and LOOK; of TIMED its time */
    const struct ss_message *message; /**< of all but ADD and TRIM: the batch's, `count` in a row make the entry */
    size_t count;
};

/** A ring; zeroed memory is an empty one. */
struct redis_flights {
    struct redis_flight *ring;
    size_t first, count, cap;
};
/** -ENOMEM. */
int redis_flight_put(struct redis_flights *f, struct redis_flight flight);
/** The oldest, which is taken away. There must be one. */
struct redis_flight redis_flight_take(struct redis_flights *f);
void redis_flights_finish(struct redis_flights *f);

#endif
