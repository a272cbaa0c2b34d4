#include "daemon/s2/streams.h"

#include <errno.h>
#include <xxhash.h>

#include "base/json.h"
#include "daemon/guarded.h"
#include "daemon/s2/s2_info.h"

#define TRIES_MAX 64

/* --- the end of one ---------------------------------------------------------------------------------- */

static void finish(struct stream_op *op, int result)
{
    op->result = result;
    buf_finish(&op->text);
    op->done(op);
}

static void fail(struct stream_op *op, int result, enum s2_code code, const char *why)
{
    op->code = code;
    err_set(&op->err, result, "%s", why);
    finish(op, result);
}

static void refused(struct stream_op *op)
{
    const struct store_op *store = &op->submission.op;
    if (store->result == ERR_NOT_FOUND)
        fail(op, ERR_NOT_FOUND, S2_STREAM_NOT_FOUND, "there is no such stream");
    else
        fail(op, store->result, s2_code_of(store->result),
             store->err.text[0] ? store->err.text : err_code_text(store->result));
}

static bool take_view(struct stream_op *op)
{
    const struct store_topic *view = &op->topic.view;
    int rc = s2_stream_note_read(&op->note, view->note, &op->err);
    if (rc < 0) {
        op->code = s2_code_of(rc);
        finish(op, rc);
        return false;
    }
    op->created_ms = view->created_ms;
    op->actual = s2_config_of(&view->rules, &op->note);
    return true;
}

static void done(struct stream_op *op, enum provision provision)
{
    op->provision = provision;
    if (take_view(op))
        finish(op, 0);
}

/* --- steps ------------------------------------------------------------------------------------------- */

static void submit(struct stream_op *op, enum topic_deed deed, void (*after)(struct submission *submission))
{
    op->topic.deed = deed;
    op->topic.name = op->name;
    op->topic.make = deed == TOPIC_LOOK || deed == TOPIC_DROP ? NULL : &op->make;
    op->submission.after = after;
    op->submission.op.kind = STORE_TOPIC;
    op->submission.op.authority = op->authority;
    op->submission.op.topic = &op->topic;
    submit_op(&op->site->source, &op->submission);
}

static struct stream_op *op_of(struct submission *submission)
{
    return (struct stream_op *)((char *)submission - offsetof(struct stream_op, submission));
}

static void look(struct stream_op *op);

/* Another change came between the look and what followed from it. */
static void again(struct stream_op *op)
{
    if (++op->tries < TRIES_MAX)
        look(op);
    else
        fail(op, ERR_CONDITION, S2_CONFLICT, "others change this stream all the time");
}

/* What the row is to say; false: that failed, and is told. */
static bool set_make(struct stream_op *op, const struct s2_stream_config *resolved, const struct s2_stream_note *note)
{
    buf_reset(&op->text);
    if (s2_stream_note_put(&op->text, note) < 0) {
        fail(op, -ENOMEM, S2_UNAVAILABLE, "no memory for the stream");
        return false;
    }
    op->make = (struct topic_make){.rules = s2_rules_of(resolved), .note = buf_span(&op->text)};
    return true;
}

/* --- making ------------------------------------------------------------------------------------------ */

static void digest_of(uint8_t out[static 16], const struct s2_stream_config *config)
{
    CLEAN_BUF text = BUF_INIT;
    memset(out, 0, 16);
    if (s2_stream_config_put(&text, config) < 0)
        return;
    XXH128_canonical_t digest;
    XXH128_canonicalFromHash(&digest, XXH3_128bits(text.ptr, text.len));
    memcpy(out, digest.digest, 16);
}

static bool is_repeat(const struct stream_op *op)
{
    uint8_t digest[16];
    digest_of(digest, &op->config);
    return op->token[0] && !strcmp(op->token, op->note.token) &&
           !memcmp(digest, op->note.digest, sizeof(digest));
}

static void made(struct submission *submission)
{
    struct stream_op *op = op_of(submission);
    const int result = submission->op.result;
    if (result == 0) {
        done(op, PROVISION_CREATED);
    } else if (result != ERR_CONFLICT) {
        refused(op);
    } else if (op->deed == STREAM_ENSURE) {
        again(op);
    } else if (take_view(op)) {
        op->provision = PROVISION_NOOP;
        if (is_repeat(op))
            finish(op, 0);
        else
            fail(op, ERR_CONFLICT, S2_ALREADY_EXISTS, "there is such a stream already");
    }
}

static void make(struct stream_op *op)
{
    const struct s2_stream_config resolved = s2_stream_config_resolve(&op->config, &op->basin->defaults);
    struct s2_stream_note note = {.cipher = op->basin->cipher};
    memcpy(note.storage_class, resolved.storage_class, sizeof(note.storage_class));
    if (op->token[0]) {
        memcpy(note.token, op->token, sizeof(op->token));
        digest_of(note.digest, &op->config);
    }
    if (set_make(op, &resolved, &note))
        submit(op, TOPIC_CREATE, made);
}

/* --- changing ---------------------------------------------------------------------------------------- */

static void changed(struct submission *submission)
{
    struct stream_op *op = op_of(submission);
    const int result = submission->op.result;
    op->submission.op.has_expect_seq = false;
    if (result == 0)
        done(op, PROVISION_UPDATED);
    else if (result == ERR_CONDITION || (result == ERR_NOT_FOUND && op->deed == STREAM_ENSURE))
        again(op);
    else
        refused(op);
}

/* Cipher and token stay what they were. */
static void change_to(struct stream_op *op, const struct s2_stream_config *config)
{
    struct s2_stream_note note = op->note;
    memcpy(note.storage_class, config->storage_class, sizeof(note.storage_class));
    if (s2_stream_config_equal(config, &op->actual)) {
        done(op, PROVISION_NOOP);
    } else if (set_make(op, config, &note)) {
        op->submission.op.has_expect_seq = true;
        op->submission.op.expect_seq = op->topic.view.revision;
        submit(op, TOPIC_CHANGE, changed);
    }
}

static void reconfigure(struct stream_op *op)
{
    struct s2_stream_config config = op->actual;
    int rc = s2_stream_config_read(&config, op->change, S2_CONFIG_CHANGE, &op->err);
    if (rc < 0) {
        op->code = s2_code_of(rc);
        finish(op, rc);
        return;
    }
    config = s2_stream_config_resolve(&config, &op->basin->defaults);
    change_to(op, &config);
}

static void looked(struct submission *submission)
{
    struct stream_op *op = op_of(submission);
    const int result = submission->op.result;
    if (result == ERR_NOT_FOUND && op->deed == STREAM_ENSURE) {
        make(op);
    } else if (result < 0) {
        refused(op);
    } else if (!take_view(op)) {
        return;
    } else if (op->deed == STREAM_RECONFIGURE) {
        reconfigure(op);
    } else {
        const struct s2_stream_config config = s2_stream_config_resolve(&op->config, &op->basin->defaults);
        change_to(op, &config);
    }
}

static void look(struct stream_op *op)
{
    submit(op, TOPIC_LOOK, looked);
}

/* --- deleting ---------------------------------------------------------------------------------------- */

static void dropped(struct submission *submission)
{
    struct stream_op *op = op_of(submission);
    if (submission->op.result < 0) {
        refused(op);
        return;
    }
    s2_dropped(op->site, op->topic.view.no);
    op->provision = PROVISION_UPDATED;
    finish(op, 0);
}

void stream_op_run(struct stream_op *op)
{
    struct err err = ERR_INIT;
    if (guarded_check(op->authority, op->name, &err) < 0)
        fail(op, err.code, S2_PERMISSION_DENIED, err.text);
    else if (op->deed == STREAM_CREATE)
        make(op);
    else if (op->deed == STREAM_DELETE)
        submit(op, TOPIC_DROP, dropped);
    else
        look(op);
}

/* --- what is told ------------------------------------------------------------------------------------ */

int stream_info_put(struct buf *out, const struct stream_info *info)
{
    const char *cipher = s2_cipher_name(info->cipher);
    int rc = buf_add_str(out, "{\"name\":");
    if (rc == 0)
        rc = json_put_string(out, info->name);
    if (rc == 0)
        rc = buf_add_str(out, ",\"created_at\":");
    if (rc == 0)
        rc = s2_put_time(out, info->created_ms ? info->created_ms : 1);
    if (rc == 0)
        rc = buf_add_str(out, ",\"deleted_at\":null,\"cipher\":");
    if (rc == 0 && cipher)
        rc = buf_addf(out, "\"%s\"}", cipher);
    else if (rc == 0)
        rc = buf_add_str(out, "null}");
    return rc;
}
