/*
 * The daemon as its parts see it: the loop, the HTTP server, the ways in, the root site and the others.
 *
 * Thread rule: everything here belongs to the loop thread, but what its own header says otherwise.
 */
#ifndef DAEMON_DAEMON_H
#define DAEMON_DAEMON_H

#include <uv.h>

#include "daemon/http/guard.h"
#include "daemon/http/http.h"
#include "daemon/http/listen.h"
#include "daemon/log.h"
#include "daemon/options.h"
#include "daemon/s2/append_gate.h"
#include "daemon/submit.h"

struct auth;
struct basins;
struct empties;
struct runner;
struct site;
struct stores;

struct daemon {
    const struct options *options;
    struct log *log;
    uv_loop_t *loop;
    struct store_workers *workers;
    struct submit submit;
    struct http_server *http;
    struct runner *runner; /**< starts programs */
    struct site *root;
    struct stores *stores; /**< the other sites */
    struct auth *auth;     /**< access tokens */
    struct basins *basins; /**< stores as the S2 API names them */
    struct empties *empties; /**< streams that go when they are empty */
    struct append_gate append_gate; /**< of S2 appends under way */
    struct guard guard;
    struct tls *tls; /**< of the exposed addresses of TCP, or NULL */
    struct listener *listeners[OPTIONS_EXPOSE_MAX + 16]; /**< all but the sites' own sockets */
    size_t listener_count;
    const char *addresses[OPTIONS_EXPOSE_MAX + 16]; /**< of the TCP listeners, NULL-terminated */
    const char *exposed[OPTIONS_EXPOSE_MAX + 16];   /**< of all listeners */
    size_t exposed_count;
    uint64_t started_us; /**< monotonic */
    bool starting;       /**< no connection is taken in yet */
    bool ending;         /**< it is stopping: nothing new is begun */
};

#endif
