/*
 * Which operand is ADDR, and which store is meant when there is none.
 *
 * As weir: --addr wins. Else the first operand is ADDR when there is one operand more than the verb
 * can use, or when it holds / or : or starts with . or ~ and is neither an id nor a content hash.
 * Else WEIR_ADDR, XS_ADDR, and last the user's default store, whose daemon is started on demand. As
 * xs: the first operand is ADDR, always.
 */
#ifndef CMD_ADDRESS_H
#define CMD_ADDRESS_H

#include "cmd/call.h"

/** Whether an operand has the looks of an address. */
bool address_looks(const char *text);

/** Moves ADDR from the operands (at most `max` of which are not ADDR) to call->addr. 0 or an exit
 * status. */
int address_take(struct call *call, size_t max);

/** The same where an operand may itself be a path: ADDR only by number (or as xs). */
int address_take_counted(struct call *call, size_t max);

/** Checks the number of operands left. 0, or EXIT_USAGE after a message. */
int address_check_count(const struct call *call, size_t min, size_t max);

/** The store meant by call->addr and the environment; starts the default store's daemon. */
int address_resolve(const struct call *call, struct weir_addr *out, struct err *err);

#endif
