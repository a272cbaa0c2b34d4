/*
 * What `weir token' asks for, and how tokens are shown.
 */
#ifndef CMD_TOKEN_H
#define CMD_TOKEN_H

#include "base/buf.h"
#include "cmd/call.h"

enum { TOKEN_BASIN = 1, TOKEN_STREAM, TOKEN_TOKEN, TOKEN_OP, TOKEN_READ, TOKEN_WRITE, TOKEN_EXEC, TOKEN_EXPIRES, TOKEN_AUTO_PREFIX };

/** Appends the JSON that asks for the token `id` as the options say. 0, or an exit status after a message. */
int token_ask(struct buf *out, const struct call *call, const char *id);
/** Appends a table of tokens (a line of JSON each). 0, -ENOMEM; ERR_INVALID for what is none. */
int token_table(struct buf *out, struct span lines);

#endif
