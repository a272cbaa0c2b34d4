#include "bridge/message.h"

static const bool allowed[256] = {
    ['-'] = true,         ['.'] = true,         ['_'] = true,
    ['0' ... '9'] = true, ['A' ... 'Z'] = true, ['a' ... 'z'] = true,
};

static int refuse(struct span key, struct err *err)
{
    if (key.len == 0)
        return err_set(err, ERR_INVALID, "a stream key is empty");
    if (key.len > SS_KEY_MAX)
        return err_set(err, ERR_INVALID, "a stream key has %zu bytes; at most %d are allowed", key.len, SS_KEY_MAX);
    size_t at = 0;
    while (allowed[key.ptr[at]])
        at++;
    return err_set(err, ERR_INVALID,
                   "a stream key has byte 0x%02x at %zu: only ASCII letters, digits, '.', '_' and '-' may stand in it",
                   key.ptr[at], at + 1);
}

int ss_key_check(struct span key, struct err *err)
{
    bool good = key.len > 0 && key.len <= SS_KEY_MAX;
    for (size_t i = 0; good && i < key.len; i++)
        good = allowed[key.ptr[i]];
    return good ? 0 : refuse(key, err);
}
