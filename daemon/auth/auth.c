#include "daemon/auth/auth.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <strings.h>

#include "base/text.h"
#include "daemon/auth/auth_impl.h"

/* --- the tables ---------------------------------------------------------------------------------------------- */

/* Where the id is, or would be. */
size_t auth_place(const struct auth *auth, struct span id, bool *there)
{
    size_t low = 0, high = auth->count;
    *there = false;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        struct span at = auth->by_id[mid]->token.id;
        size_t both = at.len < id.len ? at.len : id.len;
        int order = both > 0 ? memcmp(at.ptr, id.ptr, both) : 0;
        if (order == 0 && at.len == id.len) {
            *there = true;
            return mid;
        }
        if (order < 0 || (order == 0 && at.len < id.len))
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

struct grant *auth_find(const struct auth *auth, struct span id)
{
    bool there;
    size_t at = auth_place(auth, id, &there);
    return there ? auth->by_id[at] : NULL;
}

int auth_add(struct auth *auth, struct grant *grant)
{
    bool there;
    if (auth->count == auth->cap) {
        size_t cap = auth->cap ? auth->cap * 2 : 16;
        struct grant **by_id = realloc(auth->by_id, cap * sizeof(struct grant *));
        if (!by_id)
            return -ENOMEM;
        auth->by_id = by_id;
        auth->cap = cap;
    }
    size_t at = auth_place(auth, grant->token.id, &there);
    memmove(&auth->by_id[at + 1], &auth->by_id[at], (auth->count - at) * sizeof(struct grant *));
    auth->by_id[at] = grant;
    auth->count++;
    return 0;
}

void auth_take_out(struct auth *auth, struct grant *grant)
{
    bool there;
    size_t at = auth_place(auth, grant->token.id, &there);
    if (!there || auth->by_id[at] != grant)
        return;
    auth->count--;
    memmove(&auth->by_id[at], &auth->by_id[at + 1], (auth->count - at) * sizeof(struct grant *));
}

static struct grant **slot_of(struct auth *auth, const uint8_t hash[static AUTH_HASH_SIZE])
{
    uint32_t bits;
    memcpy(&bits, hash, sizeof(bits));
    return &auth->slots[bits & (AUTH_SLOTS - 1)];
}

/* The place in the table follows from the hash of what was sent, of which nobody can choose a byte; the rest is compared in constant time. */
struct grant *auth_by_hash(struct auth *auth, const uint8_t hash[static AUTH_HASH_SIZE])
{
    struct grant *grant = *slot_of(auth, hash);
    while (grant && sodium_memcmp(grant->hash, hash, AUTH_HASH_SIZE) != 0)
        grant = grant->next;
    return grant;
}

void auth_hash_in(struct auth *auth, struct grant *grant)
{
    struct grant **slot = slot_of(auth, grant->hash);
    grant->next = *slot;
    *slot = grant;
}

void auth_hash_out(struct auth *auth, struct grant *grant)
{
    struct grant **at = slot_of(auth, grant->hash);
    while (*at && *at != grant)
        at = &(*at)->next;
    if (*at)
        *at = grant->next;
}

void auth_hash(uint8_t out[static AUTH_HASH_SIZE], struct span secret)
{
    crypto_generichash(out, AUTH_HASH_SIZE, secret.ptr, secret.len, NULL, 0);
}

/* --- those that went ------------------------------------------------------------------------------------------- */

int auth_remember(struct auth *auth, const uint8_t hash[static AUTH_HASH_SIZE], uint64_t went_ms)
{
    struct grant *gone = auth_by_hash(auth, hash);
    if (gone)
        return 0;
    if (!(gone = grant_make(&(struct auth_token){0}, GRANT_GONE)))
        return -ENOMEM;
    memcpy(gone->hash, hash, AUTH_HASH_SIZE);
    gone->made_ms = went_ms;
    auth_hash_in(auth, gone);
    auth->gone++;
    return 0;
}

struct grant *auth_oldest_gone(struct auth *auth)
{
    struct grant *oldest = NULL;
    if (auth->gone < AUTH_GONE_MAX)
        return NULL;
    for (size_t i = 0; i < AUTH_SLOTS; i++)
        for (struct grant *g = auth->slots[i]; g; g = g->next)
            if (g->state == GRANT_GONE && (!oldest || g->made_ms < oldest->made_ms))
                oldest = g;
    return oldest;
}

void auth_forget(struct auth *auth, struct grant *gone)
{
    auth_hash_out(auth, gone);
    auth->gone--;
    grant_drop(gone);
}

/* It allows nothing from now on, and is remembered. */
void auth_bury(struct auth *auth, struct grant *grant, uint64_t now_ms)
{
    auth_take_out(auth, grant);
    auth_hash_out(auth, grant);
    atomic_store(&grant->over, true);
    grant->state = GRANT_GONE;
    auth_remember(auth, grant->hash, now_ms); /* without memory it is known again at the next start */
    auth_end_watches(auth);
    grant_drop(grant);
}

/* --- life ---------------------------------------------------------------------------------------------------------- */

static int set_up(struct auth *auth)
{
    const struct auth_token anybody = {.scope = auth_scope_all(false)};
    auth->anybody = grant_make(&anybody, GRANT_OURS);
    if (!auth->anybody)
        return -ENOMEM;
    uv_timer_init(auth->site->daemon->loop, &auth->timer);
    uv_unref((uv_handle_t *)&auth->timer); /* the daemon does not live for it */
    auth->timer.data = auth;
    return 0;
}

int auth_create(struct auth **out, struct site *root, struct err *err)
{
    struct auth *auth = sodium_init() < 0 ? NULL : calloc(1, sizeof(*auth));
    if (!auth)
        return err_set(err, -ENOMEM, "no memory for access tokens");
    *out = auth;
    auth->site = root;
    int rc = set_up(auth);
    if (rc == 0)
        rc = auth_load(auth, err);
    return rc == -ENOMEM ? err_set(err, rc, "no memory for access tokens") : rc;
}

void auth_destroy(struct auth *auth)
{
    if (!auth)
        return;
    for (size_t i = 0; i < AUTH_SLOTS; i++)
        while (auth->slots[i]) {
            struct grant *grant = auth->slots[i];
            auth->slots[i] = grant->next;
            grant_drop(grant);
        }
    grant_drop(auth->anybody);
    free(auth->by_id);
    free(auth);
}

void auth_close(struct auth *auth)
{
    if (atomic_exchange(&auth->anybody->over, true))
        return;
    auth_end_watches(auth);
}

bool auth_is_closed(const struct auth *auth)
{
    return atomic_load(&auth->anybody->over);
}

bool auth_has_root(const struct auth *auth)
{
    const struct grant *root = auth_find(auth, span_str(AUTH_ROOT_ID));
    return root && root->state == GRANT_LIVE && root->token.root;
}

/* --- a request ------------------------------------------------------------------------------------------------------- */

/* The secret of `Authorization: Bearer SECRET`; another scheme is as none. */
static struct span bearer_of(const struct http_req *req)
{
    static const char scheme[] = "bearer";
    const size_t len = sizeof(scheme) - 1;
    struct span header = http_header(req, "Authorization");
    if (header.len <= len || strncasecmp((const char *)header.ptr, scheme, len) != 0 || header.ptr[len] != ' ')
        return (struct span){0};
    header = span_of(header.ptr + len, header.len - len);
    while (header.len > 0 && header.ptr[0] == ' ')
        header = span_of(header.ptr + 1, header.len - 1);
    while (header.len > 0 && header.ptr[header.len - 1] == ' ')
        header.len--;
    return header;
}

static int refuse(const struct auth *auth, const struct grant *grant, struct span secret, struct err *err)
{
    if (grant && grant->state == GRANT_GONE)
        return err_set(err, ERR_AUTH, "the access token was revoked");
    if (grant)
        return err_set(err, ERR_AUTH, "the access token is expired");
    if (secret.len > 0)
        return err_set(err, ERR_AUTH, "the access token is not known");
    return err_set(err, ERR_AUTH, auth_has_root(auth) ? "an access token is needed: Authorization: Bearer TOKEN"
                                                      : "an access token is needed, and none was made yet: weir token root");
}

int auth_enter(struct auth *auth, const struct http_req *req, struct grant **out, struct err *err)
{
    uint8_t hash[AUTH_HASH_SIZE];
    struct grant *grant = NULL;
    *out = NULL;
    if (http_via(req) == HTTP_VIA_UNIX)
        return 0;
    struct span secret = bearer_of(req);
    if (secret.len > 0) {
        auth_hash(hash, secret);
        grant = auth_by_hash(auth, hash);
    }
    if (!grant && !auth_is_closed(auth))
        grant = auth->anybody;
    if (!grant || !grant_holds(grant, time_now_ms()))
        return refuse(auth, grant, secret, err);
    *out = grant_hold(grant);
    return 0;
}

/* --- listing ---------------------------------------------------------------------------------------------------------- */

void auth_each(const struct auth *auth, struct span prefix, struct span after, bool (*each)(void *arg, const struct auth_token *token),
               void *arg)
{
    bool there;
    uint64_t now = time_now_ms();
    size_t at = after.len > 0 ? auth_place(auth, after, &there) : 0;
    size_t from = auth_place(auth, prefix, &there);
    for (at = at > from ? at : from; at < auth->count; at++) {
        const struct grant *grant = auth->by_id[at];
        struct span id = grant->token.id;
        if (id.len < prefix.len || (prefix.len > 0 && memcmp(id.ptr, prefix.ptr, prefix.len) != 0))
            return;
        if (grant->state == GRANT_LIVE && grant_holds(grant, now) && !span_eq(id, after) && !each(arg, &grant->token))
            return;
    }
}
