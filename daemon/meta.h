/*
 * The request header xs-meta.
 */
#ifndef DAEMON_META_H
#define DAEMON_META_H

#include <weir/err.h>
#include <weir/span.h>

#include "base/buf.h"

/**
 * Appends the meta of a header value without white space: base64 of JSON, or JSON itself; JSON null
 * gives nothing. ERR_INVALID says which it is not; ERR_TOO_LARGE; -ENOMEM.
 */
int meta_parse(struct buf *out, struct span header, struct err *err);

#endif
