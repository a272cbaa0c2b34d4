/*
 * Tokens as they are in the root store: read at the start, and again after an import.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/text.h"
#include "daemon/auth/auth_impl.h"
#include "daemon/auth/token_json.h"
#include "daemon/pool.h"

/* --- reading --------------------------------------------------------------------------------------------------- */

struct auth_found {
    struct auth_found *next;
    struct grant *grant;
};

struct auth_reading {
    struct auth *auth;
    struct auth_found *found;
    size_t unreadable;
};

static int take_found(struct auth_reading *r, struct grant *grant)
{
    struct auth_found *found = grant ? malloc(sizeof(*found)) : NULL;
    if (!found) {
        grant_drop(grant);
        return -ENOMEM;
    }
    *found = (struct auth_found){r->found, grant};
    r->found = found;
    return 0;
}

static int read_token(void *arg, const struct store_mark_view *mark)
{
    struct auth_reading *r = arg;
    struct grant *grant = NULL;
    int rc = token_record_read(&grant, mark->config, NULL);
    if (rc == ERR_DAMAGED) {
        r->unreadable++;
        return 0;
    }
    return rc == 0 ? take_found(r, grant) : rc;
}

/* The hash is the end of the name, the time what it says. */
static int read_gone(void *arg, const struct store_mark_view *mark)
{
    struct auth_reading *r = arg;
    size_t skip = sizeof(AUTH_GONE_MARK) - 1, len = 0;
    uint8_t hash[AUTH_HASH_SIZE];
    struct grant *grant = NULL;
    uint64_t went_ms = 0;
    struct span text = span_of(mark->name.ptr + skip, mark->name.len - skip);
    if (b64_decode_into(hash, sizeof(hash), text, &len) != 0 || len != sizeof(hash)) {
        r->unreadable++;
        return 0;
    }
    text_u64(mark->config, &went_ms);
    if ((grant = grant_make(&(struct auth_token){0}, GRANT_GONE))) {
        memcpy(grant->hash, hash, sizeof(hash));
        grant->made_ms = went_ms;
    }
    return take_found(r, grant);
}

static int read_marks(struct auth_reading *r, struct store *store, struct err *err)
{
    int rc = store_marks(store, span_str(AUTH_MARK), read_token, r, err);
    return rc == 0 ? store_marks(store, span_str(AUTH_GONE_MARK), read_gone, r, err) : rc;
}

/* What is known stays; a token that the store has otherwise takes the place of the one that was. */
static int take_in(struct auth *auth, struct grant *grant)
{
    struct grant *known = auth_by_hash(auth, grant->hash);
    if (grant->state == GRANT_GONE) {
        if (known && known->state == GRANT_LIVE)
            auth_bury(auth, known, grant->made_ms);
        int rc = auth_remember(auth, grant->hash, grant->made_ms);
        grant_drop(grant);
        return rc;
    }
    struct grant *same = auth_find(auth, grant->token.id);
    if (known || (same && same->state == GRANT_PENDING)) {
        grant_drop(grant);
        return 0;
    }
    if (same)
        auth_bury(auth, same, time_now_ms());
    if (auth_add(auth, grant) < 0) {
        grant_drop(grant);
        return -ENOMEM;
    }
    auth_hash_in(auth, grant);
    if (grant->token.root)
        auth_close(auth);
    return 0;
}

/* Those that went first, so that none of them comes back. */
static int take_all(struct auth_reading *r)
{
    int rc = 0;
    for (int live = 0; live < 2; live++)
        for (struct auth_found *found = r->found; found; found = found->next)
            if (found->grant && (found->grant->state == GRANT_LIVE) == live) {
                if (rc == 0)
                    rc = take_in(r->auth, found->grant);
                else
                    grant_drop(found->grant);
                found->grant = NULL;
            }
    while (r->found) {
        struct auth_found *found = r->found;
        r->found = found->next;
        free(found);
    }
    return rc;
}

static void tell_unreadable(const struct auth_reading *r)
{
    if (r->unreadable > 0)
        log_say(r->auth->site->daemon->log, LOG_ERROR, "auth", "unreadable_tokens=%zu", r->unreadable);
}

/* --- reading again (after an import) ----------------------------------------------------------------------------- */

struct auth_refresh {
    struct job job;
    struct auth_reading reading;
    int result;
    struct err err;
};

static void refresh_work(struct job *job)
{
    struct auth_refresh *again = (struct auth_refresh *)((char *)job - offsetof(struct auth_refresh, job));
    again->result = read_marks(&again->reading, again->reading.auth->site->store, &again->err);
}

static void refresh_after(struct job *job)
{
    struct auth_refresh *again = (struct auth_refresh *)((char *)job - offsetof(struct auth_refresh, job));
    struct auth *auth = again->reading.auth;
    int rc = take_all(&again->reading);
    if (again->result < 0 || rc < 0)
        log_say(auth->site->daemon->log, LOG_ERROR, "auth", "tokens_not_read=\"%s\"", again->err.text);
    tell_unreadable(&again->reading);
    submit_release(&auth->site->source);
    free(again);
}

void auth_refresh(struct auth *auth)
{
    struct auth_refresh *again = calloc(1, sizeof(*again));
    if (!again) {
        log_say(auth->site->daemon->log, LOG_ERROR, "auth", "tokens_not_read=\"no memory\"");
        return;
    }
    again->reading.auth = auth;
    again->job = (struct job){.work = refresh_work, .after = refresh_after};
    submit_hold(&auth->site->source);
    pool_submit(auth->site->daemon->loop, &again->job);
}

int auth_load(struct auth *auth, struct err *err)
{
    struct auth_reading reading = {.auth = auth};
    int rc = read_marks(&reading, auth->site->store, err);
    int taken = take_all(&reading);
    tell_unreadable(&reading);
    return rc < 0 ? rc : taken;
}
