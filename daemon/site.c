/*
 * A site's opening and closing, in the order that keeps what its threads and the loop share alive.
 */
#include "daemon/site.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "daemon/exchange.h"
#include "daemon/feed.h"
#include "daemon/groups/groups.h"
#include "daemon/run/scratch.h"
#include "daemon/sweep.h"

#define RESERVE_ROOT (4 * 1024 * 1024)
#define RESERVE_ATTACHED (256 * 1024) /* there may be a thousand of them */

/* --- the store's threads tell ------------------------------------------------------------------ */

static void on_published(void *arg)
{
    struct site *site = arg;
    submit_published(&site->source);
}

static void on_indexed(void *arg, uint64_t number)
{
    struct site *site = arg;
    if (atomic_load(&site->contents_open))
        held_indexed(&site->held, number);
}

/* On the index thread itself, right after the commit: see held.h for why that is safe. */
static void on_freed(void *arg, const uint8_t digest[static DIGEST_SIZE])
{
    struct site *site = arg;
    struct err err = ERR_INIT;
    int rc = atomic_load(&site->contents_open) ? cas_remove(site->cas, digest, &err) : 0;
    if (rc < 0 && rc != -EBUSY)
        log_say(site->daemon->log, LOG_WARN, "cas", "error=\"%s\"", err.text);
}

/* --- opening and closing ------------------------------------------------------------------------ */

/* As far as it exists: a store that is made first gets the path it will have. */
static char *absolute(const char *path)
{
    char *whole = realpath(path, NULL), *here;
    if (whole || path[0] == '/' || !(here = getcwd(NULL, 0)))
        return whole ? whole : strdup(path);
    CLEAN_BUF text = BUF_INIT;
    int rc = buf_addf(&text, "%s/%s", here, path);
    free(here);
    return rc == 0 ? strndup((const char *)text.ptr, text.len) : NULL;
}

int site_init(struct site *site, struct daemon *daemon, const char *name, const char *path,
              struct err *err)
{
    *site = (struct site){.daemon = daemon, .name = name, .path = absolute(path)};
    site->source = (struct submit_source){.submit = &daemon->submit};
    for (int via = HTTP_VIA_UNIX; via <= HTTP_VIA_TCP; via++) {
        struct entrance *entrance = &site->entrances[via];
        entrance->site = site;
        entrance->authority = via == HTTP_VIA_UNIX ? AUTHORITY_EXEC : AUTHORITY_NONE;
        entrance->door =
            (struct http_door){.via = (enum http_via)via, .handler = &api_handler, .arg = entrance};
    }
    return site->path ? 0 : err_set(err, -ENOMEM, "no memory for the store's path");
}

void site_finish(struct site *site)
{
    free(site->path);
    site->path = NULL;
}

int site_open(struct site *site, struct err *err)
{
    const struct store_options options = {.workers = site->daemon->workers,
                                          .reserve = site->name[0] ? RESERVE_ATTACHED : RESERVE_ROOT,
                                          .published = on_published,
                                          .indexed = on_indexed,
                                          .freed = on_freed,
                                          .arg = site};
    /* The store's lock comes first. What it frees before the contents are open is left to the
     * sweep. */
    int rc = store_open(&site->store, site->path, &options, err);
    if (rc < 0)
        return rc;
    rc = cas_open(&site->cas, store_dirfd(site->store), "cas", err);
    if (rc < 0) {
        store_close(site->store);
        site->store = NULL;
        return rc;
    }
    held_init(&site->held, site->cas);
    atomic_store(&site->contents_open, true);
    struct err left = ERR_INIT;
    if (scratch_sweep(site->path, &left) < 0)
        log_say(site->daemon->log, LOG_WARN, "eval", "error=\"%s\"", left.text);
    return 0;
}

void site_close(struct site *site)
{
    if (!site->store)
        return;
    store_close(site->store);
    site->store = NULL;
    atomic_store(&site->contents_open, false);
    held_finish(&site->held);
    cas_close(site->cas);
    site->cas = NULL;
}

/* Answers before followers. */
static void published(void *arg)
{
    struct site *site = arg;
    http_flush(site->daemon->http);
    feed_published(site->feed);
}

int site_start(struct site *site, struct err *err)
{
    site->source.store = site->store;
    int rc = feed_create(&site->feed, site, err);
    if (rc == 0)
        rc = groups_create(&site->groups, site, err);
    if (rc == 0)
        rc = sweep_create(&site->sweep, site, err);
    if (rc < 0) {
        site_stop(site);
        return rc;
    }
    site->source.on_published = published;
    site->source.arg = site;
    return 0;
}

void site_stop(struct site *site)
{
    site->source.on_published = NULL;
    groups_destroy(site->groups);
    sweep_destroy(site->sweep);
    feed_destroy(site->feed);
    site->groups = NULL;
    site->sweep = NULL;
    site->feed = NULL;
}

/* --- ways in ------------------------------------------------------------------------------------ */

void site_accept(struct site *site, int fd, enum http_via via)
{
    struct err err = ERR_INIT;
    if (http_add(site->daemon->http, fd, &site->entrances[via].door, &err) < 0)
        log_say(site->daemon->log, LOG_WARN, "http", "error=\"%s\"", err.text);
}

static void accepted(void *arg, int fd, enum http_via via)
{
    site_accept(arg, fd, via);
}

static bool full(void *arg)
{
    const struct site *site = arg;
    return site->daemon->starting || http_full(site->daemon->http);
}

int site_listen(struct site *site, struct err *err)
{
    const struct listen_options options = {
        .loop = site->daemon->loop, .accepted = accepted, .full = full, .arg = site};
    return listen_unix_at(&site->socket, &options, store_dirfd(site->store), "sock", err);
}

int site_mark(struct site *site, const char *topic, struct span meta, struct err *err)
{
    struct store_frame frame = {
        .topic = span_str(topic), .meta = meta, .ttl = {.kind = TTL_NULL}};
    struct store_op op = {
        .kind = STORE_APPEND, .authority = AUTHORITY_DAEMON, .frames = &frame, .count = 1};
    int rc = store_run(site->store, &op);
    if (rc < 0 && err)
        *err = op.err;
    return rc;
}
