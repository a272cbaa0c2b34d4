#include "bridge/relay/redis_flight.h"

#include <errno.h>
#include <stdlib.h>

static int grow(struct redis_flights *f)
{
    size_t cap = f->cap ? 2 * f->cap : 256;
    struct redis_flight *ring = malloc(cap * sizeof(*ring));
    if (!ring)
        return -ENOMEM;
    for (size_t i = 0; i < f->count; i++)
        ring[i] = f->ring[(f->first + i) % f->cap];
    free(f->ring);
    *f = (struct redis_flights){.ring = ring, .count = f->count, .cap = cap};
    return 0;
}

int redis_flight_put(struct redis_flights *f, struct redis_flight flight)
{
    if (f->count == f->cap && grow(f) != 0)
        return -ENOMEM;
    f->ring[(f->first + f->count++) % f->cap] = flight;
    return 0;
}

struct redis_flight redis_flight_take(struct redis_flights *f)
{
    struct redis_flight flight = f->ring[f->first];
    f->first = (f->first + 1) % f->cap;
    f->count--;
    return flight;
}

void redis_flights_finish(struct redis_flights *f)
{
    free(f->ring);
    *f = (struct redis_flights){.ring = NULL};
}
