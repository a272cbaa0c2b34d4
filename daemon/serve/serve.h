/*
 * HTTP through frames: public listeners whose requests become frames `http.request` of a site, and are answered by frames
 * `http.response` that somebody, mostly a program, appends.
 *
 *   request -> http.request {method, path, headers ...}, content = body -> whoever follows that topic
 *   http.response {request_id, status, headers, more} -> answer; the first claims the request for its origin
 *   client gone, or answered with an error by us -> http.disconnect {request_id}, ephemeral
 *
 * While nobody would answer, a request gets 503; on a loopback address its owner gets the live page (see page.h).
 *
 * Thread rule: the loop thread.
 */
#ifndef DAEMON_SERVE_SERVE_H
#define DAEMON_SERVE_SERVE_H

#include "daemon/site.h"

struct serve;

#define SERVE_TIMEOUT_S 30                   /**< until the first frame of an answer: else 504 */
#define SERVE_BODY_MAX (8u * 1024 * 1024)    /**< of a request: else 413 */
#define SERVE_REQUEST_MAX 1024               /**< open at once: else 503 */

struct serve_options {
    const char *const *addresses; /**< HOST:PORT, :PORT (loopback) or a socket path, NULL-terminated; used only by serve_create */
    bool durable;                 /**< requests are stored for good; else they are ephemeral */
    unsigned timeout_s;           /**< 0 = SERVE_TIMEOUT_S */
    uint64_t body_max;            /**< bytes; 0 = SERVE_BODY_MAX */
    size_t request_max;           /**< 0 = SERVE_REQUEST_MAX */
};

/** Listens, after site_start and http_create. Writes where each live page is to standard error. Errors as listen_expose; -ENOMEM. */
int serve_create(struct serve **out, struct site *site, const struct serve_options *options,
                 struct err *err);
/** No new requests. Those that wait for an answer get 503, answers that are under way are cut. Takes NULL. */
void serve_end(struct serve *serve);
/** After serve_end, when its connections are gone (http_cut, http_destroy); frames under way may still be. The loop must run once more.
 * Takes NULL. */
void serve_destroy(struct serve *serve);
/** Requests that are open. Takes NULL. */
size_t serve_open(const struct serve *serve);

#endif
