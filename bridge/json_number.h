/*
 * A JSON number as the peer's library prints it again. No I/O.
 */
#ifndef BRIDGE_JSON_NUMBER_H
#define BRIDGE_JSON_NUMBER_H

#include "base/buf.h"

/**
 * Reads the number at `*at`, which then is behind it, and appends it: integers of 64 bits as they are, others as doubles. `out` has room
 * for what lies up to `end`, and has again for what is left of it. ERR_INVALID: no number, or out of range; -ENOMEM.
 */
int json_number_again(const uint8_t **at, const uint8_t *end, struct buf *out);

#endif
