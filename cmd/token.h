/*
 * What `weir token' asks for, and how tokens are shown.
 */
#ifndef CMD_TOKEN_H
#define CMD_TOKEN_H

#include "base/buf.h"
#include "cmd/listing.h"

enum { TOKEN_BASIN = 1, TOKEN_STREAM, TOKEN_TOKEN, TOKEN_OP, TOKEN_READ, TOKEN_WRITE, TOKEN_EXEC, TOKEN_EXPIRES, TOKEN_AUTO_PREFIX };

/** Appends the JSON that asks for the token `id` as the options say. 0, or an exit status after a message. */
int token_ask(struct buf *out, const struct call *call, const char *id);
/** How tokens are listed. */
extern const struct listing token_listing;

#endif
