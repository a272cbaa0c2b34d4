/*
 * What is kept of a basin beside its store: a mark of the root store.
 *
 *   {"config":BASIN CONFIG,"token":TEXT,"digest":HEX,"created":MS,"deleted":MS}   what is not so is left out
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>

#include "base/json.h"
#include "daemon/s2/basins_impl.h"

#define NOTE_DEPTH 16

struct span basin_mark_name(const struct basin *basin, char room[static S2_BASIN_MAX + 8])
{
    int len = snprintf(room, S2_BASIN_MAX + 8, BASIN_MARK_PREFIX "%s", basin->is_root ? "" : basin->name);
    return span_of(room, (size_t)len);
}

void basin_config_digest(uint8_t out[static 16], const struct s2_basin_config *config)
{
    CLEAN_BUF text = BUF_INIT;
    memset(out, 0, 16);
    if (s2_basin_config_put(&text, config) < 0)
        return;
    XXH128_canonical_t digest;
    XXH128_canonicalFromHash(&digest, XXH3_128bits(text.ptr, text.len));
    memcpy(out, digest.digest, 16);
}

/* --- writing ----------------------------------------------------------------------------------------- */

static int put_digest(struct buf *out, const uint8_t digest[static 16])
{
    int rc = buf_add_str(out, ",\"digest\":\"");
    for (int i = 0; rc == 0 && i < 16; i++)
        rc = buf_addf(out, "%02x", digest[i]);
    return rc == 0 ? buf_add_str(out, "\"") : rc;
}

static int put_token(struct buf *out, const struct basin_note *note)
{
    int rc = buf_add_str(out, ",\"token\":");
    if (rc == 0)
        rc = json_put_string(out, span_of(note->token, note->token_len));
    return rc == 0 ? put_digest(out, note->digest) : rc;
}

int basin_note_put(struct buf *out, const struct basin_note *note)
{
    int rc = buf_add_str(out, "{\"config\":");
    if (rc == 0)
        rc = s2_basin_config_put(out, &note->config);
    if (rc == 0 && note->token_len > 0)
        rc = put_token(out, note);
    if (rc == 0)
        rc = buf_addf(out, ",\"created\":%" PRIu64, note->created_ms);
    if (rc == 0 && note->deleted_ms > 0)
        rc = buf_addf(out, ",\"deleted\":%" PRIu64, note->deleted_ms);
    return rc == 0 ? buf_add_str(out, "}") : rc;
}

/* --- reading ----------------------------------------------------------------------------------------- */

static int read_token(struct basin_note *out, struct span raw)
{
    CLEAN_BUF text = BUF_INIT;
    int rc = json_string_decode(raw, &text, NULL);
    if (rc < 0 || text.len > S2_TOKEN_MAX)
        return rc == -ENOMEM ? rc : ERR_DAMAGED;
    out->token_len = text.len;
    if (text.len > 0)
        memcpy(out->token, text.ptr, text.len);
    return 0;
}

static int read_digest(struct basin_note *out, struct span raw)
{
    if (raw.len != 34)
        return ERR_DAMAGED;
    for (size_t i = 0; i < 16; i++) {
        const char hex[3] = {(char)raw.ptr[1 + 2 * i], (char)raw.ptr[2 + 2 * i], '\0'};
        char *end;
        out->digest[i] = (uint8_t)strtoul(hex, &end, 16);
        if (end != hex + 2)
            return ERR_DAMAGED;
    }
    return 0;
}

static int read_member(struct basin_note *out, struct span key, const struct json_value *value)
{
    if (json_string_is(key, "config"))
        return s2_basin_config_read(&out->config, value->raw, S2_CONFIG_WHOLE, NULL);
    if (json_string_is(key, "token") && value->type == JSON_STRING)
        return read_token(out, value->raw);
    if (json_string_is(key, "digest") && value->type == JSON_STRING)
        return read_digest(out, value->raw);
    if (json_string_is(key, "created"))
        return json_u64(value->raw, &out->created_ms);
    if (json_string_is(key, "deleted"))
        return json_u64(value->raw, &out->deleted_ms);
    return 0;
}

int basin_note_read(struct basin_note *out, struct span json, struct err *err)
{
    struct basin_note note = {0};
    struct json_iter it;
    struct json_value value;
    struct span key;
    int rc = json_validate(json, NOTE_DEPTH, NULL, NULL);
    if (rc == 0)
        rc = json_iter_init(&it, json);
    while (rc == 0 && json_iter_next(&it, &key, &value))
        rc = read_member(&note, key, &value);
    if (rc < 0)
        return err_set(err, rc == -ENOMEM ? rc : ERR_DAMAGED, "what is kept of the basin cannot be read");
    *out = note;
    return 0;
}

/* --- forgetting -------------------------------------------------------------------------------------- */

struct forgetting {
    struct submission submission;
    struct store_mark mark;
    struct log *log;
    char name[S2_BASIN_MAX + 8];
};

static void forgotten(struct submission *submission)
{
    struct forgetting *f = (struct forgetting *)submission;
    if (submission->op.result < 0) /* it is tried again at the next start */
        log_say(f->log, LOG_ERROR, "basins", "not_forgotten=%s error=\"%s\"", f->name, submission->op.err.text);
    free(f);
}

void basin_forget(struct basin *basin)
{
    struct site *root = basin->basins->root;
    struct forgetting *f = basin->marked ? calloc(1, sizeof(*f)) : NULL;
    basin->marked = false;
    basin->note = (struct basin_note){0};
    if (!f)
        return;
    f->log = root->daemon->log;
    f->mark = (struct store_mark){.kind = STORE_MARK_DROP, .name = basin_mark_name(basin, f->name)};
    f->submission = (struct submission){.op = {.kind = STORE_APPEND,
                                               .authority = AUTHORITY_EXEC,
                                               .urgent = true,
                                               .marks = &f->mark,
                                               .mark_count = 1},
                                        .after = forgotten};
    submit_op(&root->source, &f->submission);
}
