#include "daemon/tls_open.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/http/tls.h"
#include "daemon/site.h"

#define NAMES_MAX (2 * OPTIONS_EXPOSE_MAX + 24)

/* What the certificate is to be good for; each is allocated. */
struct names {
    char *list[NAMES_MAX + 1];
    size_t count;
};

static void free_names(struct names *names)
{
    while (names->count > 0)
        free(names->list[--names->count]);
}

static bool has_name(const struct names *names, const char *name)
{
    for (size_t i = 0; i < names->count; i++)
        if (strcmp(names->list[i], name) == 0)
            return true;
    return false;
}

static void add_name(struct names *names, const char *name)
{
    char *copy = name[0] && names->count < NAMES_MAX && !has_name(names, name) ? strdup(name) : NULL;
    if (copy)
        names->list[names->count++] = copy;
}

/* All addresses: no client calls us so, but maybe by the machine's name. */
static void add_host(struct names *names, const char *host)
{
    char machine[256] = "";
    if (strcmp(host, "0.0.0.0") != 0 && strcmp(host, "::") != 0)
        add_name(names, host);
    else if (gethostname(machine, sizeof(machine) - 1) == 0)
        add_name(names, machine);
}

/* The host of HOST:PORT, [HOST]:PORT or :PORT; a path has none. */
static void add_address(struct names *names, const char *address)
{
    char host[256];
    const char *colon = strrchr(address, ':');
    if (!colon || address[0] == '/' || address[0] == '.')
        return;
    size_t len = (size_t)(colon - address);
    if (len >= 2 && address[0] == '[' && colon[-1] == ']') {
        address++;
        len -= 2;
    }
    if (len == 0 || len >= sizeof(host))
        return;
    memcpy(host, address, len);
    host[len] = '\0';
    add_host(names, host);
}

static int open_self(struct daemon *d, struct err *err)
{
    struct names names = {.count = 0};
    if (d->options->host)
        add_name(&names, d->options->host);
    for (unsigned i = 0; i < d->options->expose_count; i++)
        add_address(&names, d->options->expose[i]);
    for (const char *const *address = d->addresses; *address; address++)
        add_address(&names, *address);
    int rc = tls_self(&d->tls, store_dirfd(d->root->store), (const char *const *)names.list, err);
    free_names(&names);
    return rc;
}

int tls_open(struct daemon *d, struct err *err)
{
    const struct options *o = d->options;
    if (!o->tls_cert && !o->tls_self)
        return 0;
    int rc = o->tls_self ? open_self(d, err) : tls_load(&d->tls, o->tls_cert, o->tls_key, err);
    if (rc < 0)
        return rc;
    d->root->entrances[HTTP_VIA_TCP].door.tls = d->tls;
    log_say(d->log, LOG_INFO, "tls", "certificate=%s sha256=%s", o->tls_self ? "tls/certificate.pem" : o->tls_cert, tls_fingerprint(d->tls));
    return 0;
}
