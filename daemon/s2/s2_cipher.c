/*
 * Encrypted records: the content of a frame whose meta is S2_SEALED_META.
 *
 *   offset  size  field
 *   0       1     version, 1
 *   1       12    nonce, random
 *   13      n     headers and body by AES-256-GCM
 *   13+n    16    tag
 *
 *   plain: number of headers; of each the lengths of name and value, then their bytes; the body is the rest. Numbers are LEB128.
 *
 * Associated data are a fixed text and the stream's name: a record does not open in another stream. Number and birth of the
 * stream are left out, since they change when a store is restored from a dump and the records must open there, too.
 *
 * Keys and plain texts are wiped where they were held for the work.
 */
#include <errno.h>
#include <gnutls/crypto.h>
#include <sodium.h>
#include <stdlib.h>

#include "base/text.h"
#include "daemon/s2/s2.h"

#define VERSION 1
#define NONCE_SIZE 12
#define TAG_SIZE 16
#define HEAD_SIZE (1 + NONCE_SIZE)
#define NUMBER_MAX 10 /* bytes */

/* --- the key ---------------------------------------------------------------------------------------------- */

int s2_key(struct s2_request *s, enum s2_cipher cipher, uint8_t key[static S2_KEY_SIZE])
{
    size_t len = 0;
    if (cipher == S2_PLAIN)
        return 0;
    if (cipher != S2_AES_256_GCM) {
        s2_fail(s, S2_INVALID, "%s is not available in this build; aes-256-gcm is", s2_cipher_name(cipher));
        return -1;
    }
    struct span header = http_header(s->x.req, "s2-encryption-key");
    if (!header.ptr) {
        s2_fail(s, S2_BAD_HEADER, "records of this stream are encrypted: s2-encryption-key is needed");
        return -1;
    }
    if (b64_decode_into(key, S2_KEY_SIZE, header, &len) == 0 && len == S2_KEY_SIZE)
        return 1;
    sodium_memzero(key, S2_KEY_SIZE);
    s2_fail(s, S2_BAD_HEADER, "s2-encryption-key is the base64 of %d bytes", S2_KEY_SIZE);
    return -1;
}

/* --- headers and body as bytes ------------------------------------------------------------------------------- */

static void put_number(struct buf *out, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        buf_put(out, (uint8_t)(value | 0x80));
    buf_put(out, (uint8_t)value);
}

static void put_bytes(struct buf *out, struct span bytes)
{
    if (bytes.len > 0)
        memcpy(out->ptr + out->len, bytes.ptr, bytes.len);
    out->len += bytes.len;
}

static int encode(struct buf *out, const struct s2_record *record)
{
    size_t size = NUMBER_MAX + record->body.len;
    for (size_t i = 0; i < record->header_count; i++)
        size += 2 * NUMBER_MAX + record->headers[i].name.len + record->headers[i].value.len;
    if (buf_reserve(out, size) < 0)
        return -ENOMEM;
    put_number(out, record->header_count);
    for (size_t i = 0; i < record->header_count; i++) {
        put_number(out, record->headers[i].name.len);
        put_number(out, record->headers[i].value.len);
        put_bytes(out, record->headers[i].name);
        put_bytes(out, record->headers[i].value);
    }
    put_bytes(out, record->body);
    return 0;
}

static bool take_number(struct span *rest, uint64_t *out)
{
    *out = 0;
    for (unsigned shift = 0; rest->len > 0 && shift < 63; shift += 7) {
        uint8_t byte = *rest->ptr++;
        rest->len--;
        *out |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80))
            return true;
    }
    return false;
}

static bool take_bytes(struct span *rest, uint64_t len, struct span *out)
{
    if (len > rest->len)
        return false;
    *out = span_of(rest->ptr, (size_t)len);
    *rest = span_of(rest->ptr + len, rest->len - (size_t)len);
    return true;
}

static bool take_header(struct span *rest, struct s2_header *out)
{
    uint64_t name, value;
    return take_number(rest, &name) && take_number(rest, &value) && take_bytes(rest, name, &out->name) &&
           take_bytes(rest, value, &out->value);
}

static int room_for(struct s2_headers *headers, size_t count)
{
    if (count <= headers->cap)
        return 0;
    struct s2_header *items = realloc(headers->items, count * sizeof(*items));
    if (!items)
        return -ENOMEM;
    headers->items = items;
    headers->cap = count;
    return 0;
}

static int decode(struct s2_record *out, struct s2_headers *headers, struct span rest)
{
    uint64_t count;
    headers->count = 0;
    if (!take_number(&rest, &count) || count > rest.len / 2)
        return ERR_DAMAGED;
    if (room_for(headers, (size_t)count) < 0)
        return -ENOMEM;
    for (; headers->count < count; headers->count++)
        if (!take_header(&rest, &headers->items[headers->count]))
            return ERR_DAMAGED;
    out->headers = headers->items;
    out->header_count = headers->count;
    out->body = rest;
    return 0;
}

/* --- the cipher ------------------------------------------------------------------------------------------------ */

/* What a record is bound to. */
struct bond {
    uint8_t bytes[16 + TOPIC_MAX];
    size_t len;
};

static struct bond bond_of(const struct store_topic *topic)
{
    static const char head[] = "weir s2 record\n";
    struct bond bond = {.len = sizeof(head) - 1};
    size_t name = topic->name.len < TOPIC_MAX ? topic->name.len : TOPIC_MAX;
    memcpy(bond.bytes, head, bond.len);
    memcpy(bond.bytes + bond.len, topic->name.ptr, name);
    bond.len += name;
    return bond;
}

static int open_cipher(gnutls_aead_cipher_hd_t *out, const uint8_t key[static S2_KEY_SIZE], struct err *err)
{
    const gnutls_datum_t datum = {.data = (uint8_t *)(uintptr_t)key, .size = S2_KEY_SIZE};
    int rc = gnutls_aead_cipher_init(out, GNUTLS_CIPHER_AES_256_GCM, &datum);
    return rc < 0 ? err_set(err, ERR_UNAVAILABLE, "aes-256-gcm: %s", gnutls_strerror(rc)) : 0;
}

/* Room for it was made. */
static int encrypt(struct buf *out, const uint8_t key[static S2_KEY_SIZE], const struct bond *bond, struct span plain,
                   struct err *err)
{
    gnutls_aead_cipher_hd_t cipher;
    uint8_t *at = out->ptr + out->len;
    size_t len = plain.len + TAG_SIZE;
    int rc = open_cipher(&cipher, key, err);
    if (rc < 0)
        return rc;
    at[0] = VERSION;
    randombytes_buf(at + 1, NONCE_SIZE);
    rc = gnutls_aead_cipher_encrypt(cipher, at + 1, NONCE_SIZE, bond->bytes, bond->len, TAG_SIZE, plain.ptr, plain.len,
                                    at + HEAD_SIZE, &len);
    gnutls_aead_cipher_deinit(cipher);
    if (rc < 0)
        return err_set(err, ERR_UNAVAILABLE, "aes-256-gcm: %s", gnutls_strerror(rc));
    out->len += HEAD_SIZE + len;
    return 0;
}

int s2_seal(struct buf *out, const uint8_t key[static S2_KEY_SIZE], const struct store_topic *topic,
            const struct s2_record *record, struct err *err)
{
    CLEAN_BUF plain = BUF_INIT;
    struct bond bond = bond_of(topic);
    int rc = encode(&plain, record);
    if (rc == 0)
        rc = buf_reserve(out, HEAD_SIZE + plain.len + TAG_SIZE);
    rc = rc < 0 ? err_set(err, rc, "no memory to encrypt a record") : encrypt(out, key, &bond, buf_span(&plain), err);
    if (plain.ptr)
        sodium_memzero(plain.ptr, plain.len);
    return rc;
}

static int decrypt(uint8_t *out, size_t *len, const uint8_t key[static S2_KEY_SIZE], const struct bond *bond,
                   struct span content, struct err *err)
{
    gnutls_aead_cipher_hd_t cipher;
    int rc = open_cipher(&cipher, key, err);
    if (rc < 0)
        return rc;
    rc = gnutls_aead_cipher_decrypt(cipher, content.ptr + 1, NONCE_SIZE, bond->bytes, bond->len, TAG_SIZE,
                                    content.ptr + HEAD_SIZE, content.len - HEAD_SIZE, out, len);
    gnutls_aead_cipher_deinit(cipher);
    return rc < 0 ? err_set(err, ERR_FORBIDDEN, "a record does not open with this key") : 0;
}

int s2_unseal(struct s2_record *out, struct s2_headers *headers, struct buf *room, const uint8_t key[static S2_KEY_SIZE],
              const struct store_topic *topic, struct span content, struct err *err)
{
    struct bond bond = bond_of(topic);
    if (content.len < HEAD_SIZE + TAG_SIZE + 1 || content.ptr[0] != VERSION)
        return err_set(err, ERR_DAMAGED, "an encrypted record has not the form of one");
    size_t len = content.len - HEAD_SIZE - TAG_SIZE, before = room->len;
    if (buf_reserve(room, len) < 0)
        return err_set(err, -ENOMEM, "no memory to decrypt a record");
    int rc = decrypt(room->ptr + before, &len, key, &bond, content, err);
    if (rc < 0)
        return rc;
    room->len += len;
    rc = decode(out, headers, span_of(room->ptr + before, len));
    return rc < 0 ? err_set(err, rc, "a decrypted record has not the form of one") : 0;
}
