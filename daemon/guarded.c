#include "daemon/guarded.h"

#include <stddef.h>

static bool begins_with(struct span text, const char *prefix)
{
    size_t len = strlen(prefix);
    return text.len >= len && memcmp(text.ptr, prefix, len) == 0;
}

int guarded_check(enum authority authority, struct span topic, struct err *err)
{
    static const char *const guarded[] = {"xs.service.", "xs.actor.", "xs.action.", "xs.store."};
    if (authority != AUTHORITY_NONE)
        return 0;
    for (size_t i = 0; i < sizeof(guarded) / sizeof(guarded[0]); i++)
        if (begins_with(topic, guarded[i]))
            return err_set(err, ERR_FORBIDDEN,
                           "topics under %.*s are appended to over the store's own socket only, or with an access token for exec",
                           (int)strlen(guarded[i]) - 1, guarded[i]);
    return 0;
}
