/*
 * The daemon as its parts see it: one store, its contents, the loop, the ways in.
 *
 * Thread rule: everything here belongs to the loop thread, but what its own header says otherwise.
 */
#ifndef DAEMON_DAEMON_H
#define DAEMON_DAEMON_H

#include <stdatomic.h>

#include <uv.h>
#include <weir/cas.h>
#include <weir/store.h>

#include "daemon/guard.h"
#include "daemon/held.h"
#include "daemon/http.h"
#include "daemon/listen.h"
#include "daemon/log.h"
#include "daemon/options.h"
#include "daemon/submit.h"

struct feed;
struct sweep;

struct daemon {
    const struct options *options;
    struct log *log;
    uv_loop_t *loop;
    struct store_workers *workers;
    struct store *store;
    struct cas *cas;
    atomic_bool contents_open; /**< cas and held are there, for the store's threads to use */
    struct held_pins held;     /**< contents whose frames are not in the index yet */
    struct submit submit;
    struct http_server *http;
    struct guard guard;
    struct listener *listeners[OPTIONS_EXPOSE_MAX + 16];
    size_t listener_count;
    const char *addresses[OPTIONS_EXPOSE_MAX + 16]; /**< of the TCP listeners, NULL-terminated */
    const char *exposed[OPTIONS_EXPOSE_MAX + 16];   /**< of all but the store's socket */
    size_t exposed_count;
    struct feed *feed;
    struct sweep *sweep;
    uint64_t started_us; /**< monotonic */
    uint64_t requests;
};

#endif
