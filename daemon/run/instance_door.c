/*
 * The address of a program: a socket in its own directory. What is appended there has exec authority, as over the store's own socket, and
 * carries the program as its origin.
 */
#include "daemon/exchange.h"
#include "daemon/run/registry.h"

static void accepted(void *arg, int fd, enum http_via via)
{
    struct instance *i = arg;
    struct err err = ERR_INIT;
    (void)via;
    if (http_add(i->site->daemon->http, fd, &i->entrance.door, &err) < 0)
        log_say(i->site->daemon->log, LOG_WARN, "http", "error=\"%s\"", err.text);
}

static bool full(void *arg)
{
    const struct instance *i = arg;
    return http_full(i->site->daemon->http);
}

int instance_open_door(struct instance *i, struct err *err)
{
    const struct listen_options options = {
        .loop = i->site->daemon->loop, .accepted = accepted, .full = full, .arg = i};
    i->entrance = (struct entrance){.door = {.via = HTTP_VIA_UNIX, .handler = &api_handler, .arg = &i->entrance},
                                    .site = i->site,
                                    .authority = AUTHORITY_EXEC,
                                    .origin = &i->origin};
    return listen_unix_at(&i->listener, &options, i->state->candidate->dirfd, "sock", err);
}

void instance_close_door(struct instance *i)
{
    listen_destroy(i->listener);
    i->listener = NULL;
    if (i->entrance.door.connections > 0 && i->site->daemon->http)
        http_cut(i->site->daemon->http, &i->entrance.door);
}
