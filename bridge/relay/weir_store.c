#include "bridge/relay/weir_store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clean.h"
#include "base/text.h"
#include "client/autostart.h"

#define GREETING_MAX ((size_t)64 * 1024)
#define PAUSE_FIRST_MS 20
#define PAUSE_DOUBLINGS 6

/* A path beside us may be written without "./": no host's name holds a '/'. */
static int parse(struct weir_addr *out, const char *text, struct err *err)
{
    CLEAN_BUF path = BUF_INIT;
    bool local = strchr(text, '/') && !strchr("/.~", text[0]) && !strstr(text, "://");
    if (!local)
        return weir_addr_parse(out, text, err);
    int rc = buf_addf(&path, "./%s", text);
    return rc == 0 && buf_cstr(&path) ? weir_addr_parse(out, (const char *)path.ptr, err) : err_set(err, -ENOMEM, "no memory");
}

/* As cmd/address.h finds it. */
static int find_default(struct relay_store *store, struct err *err)
{
    static const char *const names[] = {"WEIR_ADDR", "XS_ADDR"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const char *text = getenv(names[i]);
        if (text && text[0])
            return parse(&store->addr, text, err);
    }
    store->fallback = true;
    return autostart_default(&store->addr, err);
}

int relay_store_open(struct relay_store *store, const struct ss_url *url, struct err *err)
{
    *store = (struct relay_store){0};
    if (url->node_count != 1)
        return err_set(err, ERR_INVALID, "weir: one store, not %zu", url->node_count);
    int rc = strcmp(url->nodes[0], ".") == 0 ? find_default(store, err) : parse(&store->addr, url->nodes[0], err);
    return rc == 0 ? weir_open(&store->w, &store->addr, err) : rc;
}

static int greet_once(struct relay_store *store, struct err *err)
{
    CLEAN_FREE char *text = NULL;
    struct weir_response res;
    const struct weir_request req = {.method = "GET", .target = "/health", .replay_safe = true};
    int rc = weir_request(store->w, &req, &res, err);
    return rc == 0 ? weir_read_all(store->w, &text, NULL, GREETING_MAX, err) : rc;
}

void relay_store_close(struct relay_store *store)
{
    weir_close(store->w);
    weir_addr_finish(&store->addr);
    *store = (struct relay_store){0};
}

void relay_store_answered(struct relay_store *store)
{
    if (store->attempts > 0)
        relay_say("%s is back", store->addr.shown);
    store->met = true;
    store->away_us = 0;
    store->attempts = 0;
}

static bool passes(int code)
{
    static const int known[] = {-ECONNREFUSED, -ENOENT, -ECONNRESET, -EPIPE, -ETIMEDOUT, ERR_CUT, ERR_UNKNOWN, ERR_UNAVAILABLE};
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (known[i] == code)
            return true;
    return false;
}

int relay_store_again(struct relay_store *store, int code, struct err *err)
{
    uint64_t now = time_mono_us();
    if (store->away_us == 0)
        store->away_us = now;
    store->met = store->met || code == ERR_CUT || code == -ECONNRESET || code == -EPIPE; /* it took the request */
    if (!store->met || !passes(code) || now - store->away_us > (uint64_t)RELAY_WEIR_PATIENCE_MS * 1000)
        return code;
    if (relay_stopped())
        return -EINTR;
    if (store->attempts == 0)
        relay_say("%s: %s; trying again", store->addr.shown, err && err->code ? err->text : err_code_text(code));
    unsigned doublings = store->attempts < PAUSE_DOUBLINGS ? store->attempts : PAUSE_DOUBLINGS;
    store->attempts++;
    int rc = relay_poll(-1, 0, PAUSE_FIRST_MS << doublings);
    if (rc < 0)
        return rc;
    if (store->fallback && (code == -ECONNREFUSED || code == -ENOENT)) {
        struct weir_addr found = {0};
        if (autostart_default(&found, NULL) == 0)
            weir_addr_finish(&found); /* it is the same place */
    }
    return 0;
}

int relay_store_greet(struct relay_store *store, struct err *err)
{
    int rc;
    while ((rc = greet_once(store, err)) < 0 && (rc = relay_store_again(store, rc, err)) == 0)
        ;
    if (rc == 0)
        relay_store_answered(store);
    return rc;
}

int relay_store_kept(struct relay_store *store, const char *cursor, struct buf *out, char time[RELAY_STORE_TIME], struct err *err)
{
    struct weir_cursor found = {0};
    int rc;
    while ((rc = weir_cursor_get(store->w, cursor, &found, err)) < 0 && rc != ERR_NOT_FOUND &&
           (rc = relay_store_again(store, rc, err)) == 0)
        ;
    if (rc == 0 || rc == ERR_NOT_FOUND)
        relay_store_answered(store);
    buf_reset(out);
    if (rc < 0)
        return rc;
    if (time)
        memcpy(time, found.time, RELAY_STORE_TIME);
    rc = buf_add(out, found.position, found.len);
    free(found.position);
    return rc;
}

int relay_store_keep(struct relay_store *store, const char *cursor, struct span position, struct err *err)
{
    int rc;
    while ((rc = weir_cursor_put(store->w, cursor, position, err)) < 0 && (rc = relay_store_again(store, rc, err)) == 0)
        ;
    if (rc == 0)
        relay_store_answered(store);
    return rc;
}
