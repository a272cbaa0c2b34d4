/*
 * Changes of basins: one after the other for each name, each one record of the root store.
 */
#include <errno.h>

#include "base/text.h"
#include "daemon/s2/basins_impl.h"

const char *provision_name(enum provision provision)
{
    static const char *const names[] = {"created", "updated", "noop"};
    return names[provision];
}

/* --- the end of one ---------------------------------------------------------------------------------- */

static void finish(struct basin *basin, int result)
{
    struct basin_op *op = basin->ops;
    basin->ops = op->next;
    basin->busy = false;
    op->result = result;
    op->basin = basin;
    buf_finish(&op->names);
    buf_finish(&op->text);
    basin->holds++;
    op->done(op);
    basin->holds--;
    basin_ops_run(basin);
}

static void done(struct basin *basin, enum provision provision)
{
    basin->ops->provision = provision;
    finish(basin, 0);
}

static void fail(struct basin *basin, int result, enum s2_code code, const char *why)
{
    struct basin_op *op = basin->ops;
    op->code = code;
    err_set(&op->err, result, "%s", why);
    finish(basin, result);
}

static void fail_err(struct basin *basin, const struct err *err)
{
    fail(basin, err->code, s2_code_of(err->code), err->text);
}

/* --- one record: the frame, if there is one, and the mark -------------------------------------------- */

static int put_names(struct basin *basin, struct basin_op *op, const char *event, size_t *mark_len)
{
    char room[S2_BASIN_MAX + 8];
    int rc = buf_add_span(&op->names, basin_mark_name(basin, room));
    *mark_len = op->names.len;
    return rc == 0 && event ? buf_addf(&op->names, "xs.store.%s.%s", basin->name, event) : rc;
}

static void submit(struct basin *basin, const char *event,
                   void (*after)(struct submission *submission))
{
    struct basin_op *op = basin->ops;
    size_t len;
    int rc = put_names(basin, op, event, &len);
    if (rc == 0)
        rc = basin_note_put(&op->text, &op->wanted);
    if (rc < 0) {
        fail(basin, rc, S2_UNAVAILABLE, "no memory for the change");
        return;
    }
    op->basin = basin;
    op->mark = (struct store_mark){.kind = STORE_MARK_SET,
                                   .name = span_of(op->names.ptr, len),
                                   .config = buf_span(&op->text)};
    op->frame =
        (struct store_frame){.topic = span_of(op->names.ptr + len, op->names.len - len),
                             .ttl = {.kind = TTL_FOREVER}};
    op->submission = (struct submission){.op = {.kind = STORE_APPEND,
                                                .authority = AUTHORITY_EXEC,
                                                .urgent = op->deed == BASIN_DELETE,
                                                .frames = &op->frame,
                                                .count = event ? 1 : 0,
                                                .marks = &op->mark,
                                                .mark_count = 1},
                                         .after = after};
    submit_op(&basin->basins->root->source, &op->submission);
}

/* The basin whose first change this is, and as it is now; NULL: it was refused, and that is told. */
static struct basin *stored(struct submission *submission)
{
    struct basin_op *op =
        (struct basin_op *)((char *)submission - offsetof(struct basin_op, submission));
    struct basin *basin = op->basin;
    const struct store_op *store = &submission->op;
    if (store->result < 0) {
        fail(basin, store->result, s2_code_of(store->result),
             store->err.text[0] ? store->err.text : err_code_text(store->result));
        return NULL;
    }
    basin->note = op->wanted;
    basin->marked = true;
    return basin;
}

/* --- making, changing, deleting ---------------------------------------------------------------------- */

static void create_stored(struct submission *submission)
{
    struct basin *basin = stored(submission);
    if (!basin)
        return;
    basin->state = BASIN_CREATING;
    basin->ops->opening = true;
}

static void make(struct basin *basin)
{
    struct basin_op *op = basin->ops;
    op->wanted = (struct basin_note){
        .config = op->config, .token_len = op->token_len, .created_ms = time_now_ms()};
    memcpy(op->wanted.token, op->token, op->token_len);
    basin_config_digest(op->wanted.digest, &op->config);
    submit(basin, "create", create_stored);
}

static bool is_opening(const struct basin *basin)
{
    return basin->busy && basin->ops->opening;
}

void basin_op_active(struct basin *basin)
{
    if (is_opening(basin))
        done(basin, PROVISION_CREATED);
}

void basin_op_invalid(struct basin *basin, const char *why)
{
    if (basin->state == BASIN_CREATING)
        basin->state = BASIN_ABSENT;
    if (is_opening(basin))
        fail(basin, ERR_UNKNOWN, S2_STORAGE, why);
}

static void change_stored(struct submission *submission)
{
    struct basin *basin = stored(submission);
    if (basin)
        done(basin, PROVISION_UPDATED);
}

static bool same_config(const struct s2_basin_config *a, const struct s2_basin_config *b)
{
    uint8_t digests[2][16];
    basin_config_digest(digests[0], a);
    basin_config_digest(digests[1], b);
    return memcmp(digests[0], digests[1], 16) == 0;
}

static void change(struct basin *basin, const struct s2_basin_config *config)
{
    struct basin_op *op = basin->ops;
    if (same_config(config, &basin->note.config)) {
        done(basin, PROVISION_NOOP);
        return;
    }
    op->wanted = basin->note;
    op->wanted.config = *config;
    submit(basin, NULL, change_stored);
}

static void delete_stored(struct submission *submission)
{
    struct basin *basin = stored(submission);
    if (!basin)
        return;
    basin->state = BASIN_DELETING; /* its frame comes to the stores in a moment */
    done(basin, PROVISION_UPDATED);
}

/* --- what is asked for ------------------------------------------------------------------------------- */

static int check_cipher(const struct s2_basin_config *config, struct err *err)
{
    return config->cipher == S2_AEGIS_256
               ? err_set(err, ERR_INVALID,
                         "stream_cipher aegis-256: the library here lacks it; aes-256-gcm is there")
               : 0;
}

/* Made with the same token, for the same config: a repeat. */
static bool is_repeat(const struct basin *basin, const struct basin_op *op)
{
    uint8_t digest[16];
    basin_config_digest(digest, &op->config);
    return op->token_len > 0 && op->token_len == basin->note.token_len &&
           memcmp(op->token, basin->note.token, op->token_len) == 0 &&
           memcmp(digest, basin->note.digest, 16) == 0;
}

static void create(struct basin *basin)
{
    struct err err = ERR_INIT;
    if (basin->state == BASIN_ACTIVE && is_repeat(basin, basin->ops))
        done(basin, PROVISION_NOOP);
    else if (basin->state == BASIN_ACTIVE)
        fail(basin, ERR_CONFLICT, S2_ALREADY_EXISTS, "there is such a basin already");
    else if (check_cipher(&basin->ops->config, &err) < 0)
        fail_err(basin, &err);
    else
        make(basin);
}

static void ensure(struct basin *basin)
{
    struct err err = ERR_INIT;
    if (check_cipher(&basin->ops->config, &err) < 0)
        fail_err(basin, &err);
    else if (basin->state == BASIN_ACTIVE)
        change(basin, &basin->ops->config);
    else
        make(basin);
}

static void reconfigure(struct basin *basin)
{
    struct err err = ERR_INIT;
    struct s2_basin_config config = basin->note.config;
    int rc = s2_basin_config_read(&config, basin->ops->change, S2_CONFIG_CHANGE, &err);
    if (rc == 0)
        rc = check_cipher(&config, &err);
    if (rc < 0)
        fail_err(basin, &err);
    else
        change(basin, &config);
}

/* Only those who may put stores anywhere may remove them from there. */
static bool is_elsewhere(const struct basin *basin)
{
    const char *root = basin->basins->root->path, *path = basin->attached->site.path;
    const size_t len = strlen(root);
    return strncmp(path, root, len) != 0 || strncmp(path + len, "/basins/", 8) != 0;
}

static void delete(struct basin *basin)
{
    struct basin_op *op = basin->ops;
    if (basin->is_root) {
        fail(basin, ERR_FORBIDDEN, S2_PERMISSION_DENIED,
             "this basin is the store that is served: it cannot be deleted through the API");
        return;
    }
    if (!op->exec && is_elsewhere(basin)) {
        fail(basin, ERR_FORBIDDEN, S2_PERMISSION_DENIED,
             "this basin lies elsewhere: it is deleted over the store's own socket only");
        return;
    }
    op->wanted = basin->note;
    op->wanted.deleted_ms = time_now_ms();
    submit(basin, "delete", delete_stored);
}

static void start(struct basin *basin)
{
    const enum basin_deed deed = basin->ops->deed;
    if (basin->state == BASIN_DELETING) {
        if (deed == BASIN_DELETE)
            done(basin, PROVISION_NOOP);
        else
            fail(basin, ERR_CONFLICT, S2_BASIN_DELETION_PENDING, "the basin is being deleted");
    } else if (deed == BASIN_CREATE) {
        create(basin);
    } else if (deed == BASIN_ENSURE) {
        ensure(basin);
    } else if (basin->state == BASIN_ABSENT) {
        fail(basin, ERR_NOT_FOUND, S2_BASIN_NOT_FOUND, "there is no such basin");
    } else if (deed == BASIN_RECONFIGURE) {
        reconfigure(basin);
    } else {
        delete(basin);
    }
}

/* --- the queue of a name ----------------------------------------------------------------------------- */

void basin_ops_run(struct basin *basin)
{
    if (basin->running)
        return;
    basin->running = true;
    while (basin->ops && !basin->busy && basin->state != BASIN_DETACHING) {
        basin->busy = true;
        if (basin->basins->ending)
            fail(basin, ERR_UNAVAILABLE, S2_UNAVAILABLE, "the daemon is stopping");
        else
            start(basin);
    }
    basin->running = false;
    basins_tidy(basin);
}

void basin_ops_end(struct basin *basin)
{
    basin->busy = false;
    basin->holds++;
    basin->state = BASIN_ABSENT;
    basin_ops_run(basin);
    basin->holds--;
}

void basin_op_run(struct basins *basins, struct basin_op *op)
{
    struct basin *basin = basins_get(basins, span_str(op->name));
    op->next = NULL;
    if (!basin) {
        op->code = S2_UNAVAILABLE;
        op->result = err_set(&op->err, -ENOMEM, "no memory for the basin");
        op->done(op);
        return;
    }
    struct basin_op **end = &basin->ops;
    while (*end)
        end = &(*end)->next;
    *end = op;
    basin_ops_run(basin);
}
