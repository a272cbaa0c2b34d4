#include <errno.h>

#include "base/s2/config.h"
#include "base/s2/fields.h"
#include "base/text.h"

/*
 * {"class":"express","cipher":"aes-256-gcm","token":"BASE64","digest":"BASE64"}
 *
 * Members that have nothing to say are left out. Token and digest are bytes, so they are base64.
 */

#define DEFAULT_CLASS "express"

/* --- rules: in ms what configs say in seconds ------------------------------------------------- */

static uint64_t to_ms(uint64_t seconds)
{
    return seconds > UINT64_MAX / 1000 ? UINT64_MAX : seconds * 1000;
}

/* Up, so that what is not 0 stays so. */
static uint64_t to_seconds(uint64_t ms)
{
    return ms / 1000 + (ms % 1000 != 0);
}

struct topic_rules s2_rules_of(const struct s2_stream_config *resolved)
{
    return (struct topic_rules){
        .retention_ms = to_ms(resolved->retention_s),
        .stamp_mode = resolved->mode,
        .uncapped = resolved->uncapped,
        .empty_after_ms = to_ms(resolved->min_age_s),
    };
}

struct s2_stream_config s2_config_of(const struct topic_rules *rules,
                                     const struct s2_stream_note *note)
{
    struct s2_stream_config config = {
        .has_class = true,
        .has_retention = true,
        .has_mode = true,
        .has_uncapped = true,
        .has_min_age = true,
        .retention_s = to_seconds(rules->retention_ms),
        .mode = rules->stamp_mode,
        .uncapped = rules->uncapped,
        .min_age_s = to_seconds(rules->empty_after_ms),
    };
    memcpy(config.storage_class, note->storage_class, sizeof(config.storage_class));
    return config;
}

/* --- the note --------------------------------------------------------------------------------- */

static int put_bytes(struct buf *out, const char *key, struct span bytes)
{
    int rc = buf_addf(out, ",\"%s\":\"", key);
    if (rc == 0)
        rc = b64_encode(out, bytes);
    return rc < 0 ? rc : buf_add_str(out, "\"");
}

static bool is_zero(const uint8_t digest[static 16])
{
    uint8_t all = 0;
    for (size_t i = 0; i < 16; i++)
        all |= digest[i];
    return all == 0;
}

static int put_note(struct buf *out, const struct s2_stream_note *note)
{
    int rc = buf_add_str(out, "{\"class\":");
    if (rc == 0)
        rc = json_put_string(out, span_str(note->storage_class));
    if (rc == 0 && note->cipher != S2_PLAIN)
        rc = buf_addf(out, ",\"cipher\":\"%s\"", s2_cipher_name(note->cipher));
    if (rc == 0 && note->token[0] != '\0')
        rc = put_bytes(out, "token", span_str(note->token));
    if (rc == 0 && !is_zero(note->digest))
        rc = put_bytes(out, "digest", span_of(note->digest, sizeof(note->digest)));
    return rc < 0 ? rc : buf_add_str(out, "}");
}

int s2_stream_note_put(struct buf *out, const struct s2_stream_note *note)
{
    size_t before = out->len;
    int rc = put_note(out, note);
    if (rc < 0)
        out->len = before;
    return rc;
}

static int read_class(struct s2_stream_note *out, const struct s2_field *field)
{
    CLEAN_BUF text = BUF_INIT;
    if (!s2_field_there(field))
        return 0;
    int rc = s2_field_text(&text, field, "class", NULL);
    if (rc < 0)
        return rc;
    if (text.len > S2_CLASS_MAX || (text.len > 0 && memchr(text.ptr, '\0', text.len)))
        return ERR_FORMAT;
    if (text.len > 0)
        memcpy(out->storage_class, text.ptr, text.len);
    out->storage_class[text.len] = '\0';
    return 0;
}

static int read_cipher(struct s2_stream_note *out, const struct s2_field *field)
{
    if (!s2_field_there(field))
        return 0;
    for (enum s2_cipher cipher = S2_AES_256_GCM; cipher <= S2_AEGIS_256; cipher++) {
        if (field->value.type == JSON_STRING &&
            json_string_is(field->value.raw, s2_cipher_name(cipher))) {
            out->cipher = cipher;
            return 0;
        }
    }
    return ERR_FORMAT;
}

/* Base64 of at most `room` bytes. */
static int read_bytes(uint8_t *out, size_t room, size_t *len, const struct s2_field *field)
{
    CLEAN_BUF text = BUF_INIT;
    *len = 0;
    if (!s2_field_there(field))
        return 0;
    int rc = s2_field_text(&text, field, "bytes", NULL);
    return rc < 0 ? rc : b64_decode_into(out, room, buf_span(&text), len);
}

static int read_note(struct s2_stream_note *out, struct span note)
{
    static const char *const names[] = {"class", "cipher", "token", "digest"};
    struct s2_field part[4];
    size_t token = 0;
    size_t digest = 0;
    int rc = s2_json_valid(note, NULL);
    if (rc == 0)
        rc = s2_fields(part, names, 4, note, "a note", NULL);
    if (rc == 0)
        rc = read_class(out, &part[0]);
    if (rc == 0)
        rc = read_cipher(out, &part[1]);
    if (rc == 0)
        rc = read_bytes((uint8_t *)out->token, S2_CLASS_MAX, &token, &part[2]);
    if (rc == 0)
        rc = read_bytes(out->digest, sizeof(out->digest), &digest, &part[3]);
    return rc == 0 && digest != 0 && digest != sizeof(out->digest) ? ERR_FORMAT : rc;
}

int s2_stream_note_read(struct s2_stream_note *out, struct span note, struct err *err)
{
    struct s2_stream_note read = {.storage_class = DEFAULT_CLASS};
    int rc = note.len > 0 ? read_note(&read, note) : 0;
    if (rc == -ENOMEM)
        return err_set(err, rc, "no memory for a stream's note");
    if (rc < 0)
        return err_set(err, ERR_DAMAGED, "the note of a stream cannot be read");
    *out = read;
    return 0;
}
