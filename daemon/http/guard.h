/*
 * Which browsers may speak to a TCP listener, in every dialect. Pages of other origins reach loopback ports from the
 * user's own browser, so a foreign Origin, a cross-site fetch or a Host that is not ours is refused
 * unless allowed. Ours are localhost, the listeners' addresses (any numeric one where we listen on all), --host and the names that our
 * certificate has.
 */
#ifndef DAEMON_GUARD_H
#define DAEMON_GUARD_H

#include "daemon/http/http.h"

struct guard {
    const char *const *addresses; /**< the TCP listeners' addresses (listen_address),
                                     NULL-terminated; may be NULL */
    const char *const *names;     /**< of the certificate that TLS shows, NULL-terminated; may be NULL */
    const char *host;             /**< --host NAME, or NULL */
    const char *cors;             /**< --cors ORIGIN or *, or NULL */
};

/**
 * 0, or ERR_FORBIDDEN (403) and `why` points to a static text. Requests over the Unix socket always
 * pass. Where cors allows the request's origin, the CORS headers are added to whatever answer it
 * gets.
 */
int guard_check(struct http_req *req, const struct guard *g, const char **why);

/** After guard_check passed: answers a CORS preflight (OPTIONS with Access-Control-Request-Method)
 * with 200 and returns true; false when the request is none, or cors is off. What headers it asks for are allowed. */
bool guard_preflight(struct http_req *req, const struct guard *g);

#endif
