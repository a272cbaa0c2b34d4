/*
 * Listeners that others than this machine's users reach.
 */
#include "daemon/auth/auth_impl.h"

static bool begins_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

static bool is_loopback(const char *address)
{
    return begins_with(address, "127.") || begins_with(address, "[::1]:") || begins_with(address, "[::ffff:127.");
}

int auth_listens(struct auth *auth, const char *const *addresses, struct err *err)
{
    struct store_stat stat;
    const char *beyond = NULL;
    for (; *addresses && !beyond; addresses++)
        beyond = is_loopback(*addresses) ? NULL : *addresses;
    if (!beyond)
        return 0;
    auth_close(auth);
    if (auth_has_root(auth))
        return 0;
    int rc = store_stat(auth->site->store, &stat, err);
    if (rc == 0 && stat.read_only)
        rc = err_set(err, ERR_FORBIDDEN,
                     "%s is not a loopback address: that needs access tokens (weir token root), and none can be made while the store is read-only",
                     beyond);
    if (rc == 0)
        log_say(auth->site->daemon->log, LOG_WARN, "auth", "tokens=none listening=%s nobody_gets_in_until=\"weir token root %s\"", beyond,
                auth->site->path);
    return rc;
}
