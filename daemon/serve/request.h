/*
 * The meta of an `http.request` frame, from a request's head:
 *
 *   {"proto":"HTTP/1.1","method":"GET","authority":"HOST","remote_ip":"..","remote_port":N,
 *    "headers":{"name":"value" | ["value",..]},"uri":"/p?q=1","path":"/p","query":{"q":"1"}}
 *
 * authority is of the target or of the Host header, and left out where there is neither; remote_* over Unix sockets. Names of
 * headers are in lower case. uri and path are as sent, query is decoded (what does not decode to text stays as sent).
 */
#ifndef DAEMON_SERVE_REQUEST_H
#define DAEMON_SERVE_REQUEST_H

#include "base/buf.h"
#include "daemon/http/http.h"

/** Appends it. ERR_TOO_LARGE above META_MAX; -ENOMEM. */
int request_meta(struct buf *out, const struct http_req *req, struct err *err);

/** The object of a raw query (without `?`). -ENOMEM. Pure. */
int request_query(struct buf *out, struct span raw);
/** The authority of a target in absolute form; empty for other forms. Pure. */
struct span request_authority(struct span target);

#endif
