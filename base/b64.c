#include "base/text.h"

#include <errno.h>
#include <sodium.h>

int b64_encode(struct buf *out, struct span bytes)
{
    if (bytes.len == 0)
        return 0;
    if (bytes.len > SIZE_MAX / 4)
        return -ENOMEM;
    size_t room = sodium_base64_ENCODED_LEN(bytes.len, sodium_base64_VARIANT_ORIGINAL);
    int rc = buf_reserve(out, room);
    if (rc < 0)
        return rc;
    sodium_bin2base64((char *)out->ptr + out->len, room, bytes.ptr, bytes.len,
                      sodium_base64_VARIANT_ORIGINAL);
    out->len += room - 1; /* the NUL is not counted */
    return 0;
}

/* libsodium 1.0.18 takes some bytes above 0x7f for digits, so those are looked for first. */
static bool is_ascii(struct span text)
{
    uint8_t all = 0;
    for (size_t i = 0; i < text.len; i++)
        all |= text.ptr[i];
    return all < 0x80;
}

int b64_decode_into(uint8_t *out, size_t room, struct span text, size_t *len)
{
    size_t found;
    if (text.len == 0) {
        *len = 0;
        return 0;
    }
    if (!is_ascii(text) || sodium_base642bin(out, room, (const char *)text.ptr, text.len, NULL,
                                             &found, NULL, sodium_base64_VARIANT_ORIGINAL) != 0)
        return ERR_INVALID;
    *len = found;
    return 0;
}

int b64_decode(struct buf *out, struct span text, struct err *err)
{
    if (text.len % 4 != 0)
        return err_set(err, ERR_INVALID,
                       "not base64: %zu characters, not a multiple of 4 (padding is needed)",
                       text.len);
    size_t room = text.len / 4 * 3;
    if (buf_reserve(out, room) < 0)
        return err_set(err, -ENOMEM, "no memory for %zu bytes of base64", text.len);
    size_t len = 0;
    if (text.len > 0 && b64_decode_into(out->ptr + out->len, room, text, &len) < 0)
        return err_set(err, ERR_INVALID,
                       "not base64: only A-Z a-z 0-9 + / and = as padding at the end");
    out->len += len;
    return 0;
}
