/*
 * A site: one store being served. Its contents, its followers, its socket, its programs.
 *
 * The daemon has one root site and any number of others, which it opens when they are first needed. What is of the whole process
 * (loop, HTTP server, log, threads of the stores) is in struct daemon.
 *
 * Thread rule: the loop thread, but what its own header says otherwise.
 */
#ifndef DAEMON_SITE_H
#define DAEMON_SITE_H

#include <stdatomic.h>

#include <weir/cas.h>
#include <weir/store.h>

#include "daemon/daemon.h"
#include "daemon/held.h"

struct feed;
struct groups;
struct programs;
struct s2_request;
struct s2_watch;
struct serve;
struct site;
struct sweep;

/** Who a program is to the log: what it appends through its own address carries this. */
struct origin {
    char text[288];  /**< KIND/NAME */
    unsigned hops;   /**< of what it was given last, plus one; an append with more than HOPS_MAX is refused */
};

#define HOPS_MAX 32

/** A way into a site's routes. */
struct entrance {
    struct http_door door; /**< its arg is this */
    struct site *site;
    enum authority authority;    /**< of what comes in here */
    const struct origin *origin; /**< of the program whose address this is; NULL = none */
};

struct site {
    struct daemon *daemon;
    char *path;       /**< absolute */
    const char *name; /**< "" = the root */
    struct store *store;
    struct cas *cas;
    atomic_bool contents_open; /**< cas and held are there, for the store's threads to use */
    struct held_pins held;     /**< contents whose frames are not in the index yet */
    struct submit_source source;
    struct feed *feed;
    struct sweep *sweep;
    struct groups *groups;     /**< readers that share a durable cursor */
    struct programs *programs; /**< NULL before they start and after they ended */
    struct serve *serve;       /**< HTTP through frames; NULL where it is not asked for */
    struct entrance entrances[2]; /**< by enum http_via */
    struct listener *socket;
    uint64_t requests;
    size_t exchanges; /**< requests, and work for them, that are not over */
    struct s2_watch *s2_watches;     /**< reads that end with their topic */
    struct s2_request *s2_requests;  /**< requests of the S2 API at work in it */
};

/**
 * Opens store and contents, creating what is missing. May block; any thread. On failure nothing is left open and `site` is as
 * site_init left it. Errors as store_open.
 */
int site_open(struct site *site, struct err *err);
/** Sets up a closed site; path is copied and made absolute. -ENOMEM, -errno. */
int site_init(struct site *site, struct daemon *daemon, const char *name, const char *path, struct err *err);
/** Loop thread, after site_open: followers, groups, sweep. The site's frames can be read and appended to from now on. */
int site_start(struct site *site, struct err *err);
/** Stops what site_start started; operations under way must have ended (see submit_settled). The loop must run once more. */
void site_stop(struct site *site);
/** Closes store and contents. May block; any thread. After site_stop, or after site_open alone. */
void site_close(struct site *site);
/** After site_close, or of a site that was never open. */
void site_finish(struct site *site);

/** Listens on the site's own socket. As listen_unix_at. */
int site_listen(struct site *site, struct err *err);

/** Takes a connection in. */
void site_accept(struct site *site, int fd, enum http_via via);

/** Appends a frame without content by the daemon's own authority and waits: only before the first connection and after the last. */
int site_mark(struct site *site, const char *topic, struct span meta, struct err *err);

#endif
