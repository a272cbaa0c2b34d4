#include "daemon/check.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <weir/cas.h>
#include <weir/store.h>

#include "base/clean.h"
#include "base/text.h"

#define BLOCK (256 * 1024)

struct check {
    struct store_workers *workers;
    struct store *store;
    struct cas *cas;
    uint8_t *block;
    uint64_t frames, contents, faults;
};

static void report(void *arg, const char *text)
{
    struct check *c = arg;
    c->faults++;
    printf("fault: %s\n", text);
}

static int read_blob(struct check *c, const uint8_t digest[static DIGEST_SIZE], struct err *err)
{
    struct cas_reader *reader;
    uint64_t at = 0;
    size_t got = 1;
    int rc = cas_reader_open(c->cas, &reader, digest, err);
    if (rc < 0)
        return rc;
    while (rc == 0 && got > 0) {
        rc = cas_reader_read(reader, at, c->block, BLOCK, &got, err);
        at += got;
    }
    cas_reader_close(reader);
    return rc;
}

static int check_content(struct check *c, const struct frame *frame, struct err *err)
{
    uint8_t digest[DIGEST_SIZE];
    enum store_place place;
    CLEAN_BUF bytes = BUF_INIT;
    c->contents++;
    if (!frame->has_content) {
        int rc = store_content(c->store, frame->digest, &place, &bytes, err);
        if (rc < 0 || place == STORE_BLOB)
            return read_blob(c, frame->digest, err);
    }
    cas_digest(digest, frame->has_content ? frame->content : buf_span(&bytes));
    if (memcmp(digest, frame->digest, DIGEST_SIZE) != 0)
        return err_set(err, ERR_DAMAGED, "the content does not fit its hash");
    return 0;
}

static long check_frame(void *arg, const struct store_item *item)
{
    struct check *c = arg;
    struct err err = ERR_INIT;
    char id[ID_TEXT_LEN + 1], text[ERR_TEXT_SIZE + 64];
    c->frames++;
    if (item->frame->has_hash && check_content(c, item->frame, &err) < 0) {
        id_format(id, item->frame->id);
        snprintf(text, sizeof(text), "frame %s: %s", id, err.text);
        report(c, text);
    }
    return 1;
}

static int check_frames(struct check *c, struct err *err)
{
    struct store_query query = {0};
    struct store_cursor *cursor;
    enum store_step step = STORE_MORE;
    int rc = store_cursor_open(&cursor, c->store, &query, err);
    if (rc < 0)
        return rc;
    while (rc == 0 && step == STORE_MORE) {
        rc = store_cursor_read(cursor, SIZE_MAX / 2, true, check_frame, c, &step, err);
        if (rc != ERR_DAMAGED)
            continue;
        report(c, err->text);
        rc = 0;
    }
    store_cursor_close(cursor);
    return rc;
}

static int run(struct check *c, const char *path, struct err *err)
{
    struct store_options options = {0};
    struct store_stat stat;
    c->block = malloc(BLOCK);
    int rc = c->block ? store_workers_create(&c->workers, err) : -ENOMEM;
    options.workers = c->workers;
    if (rc == 0)
        rc = store_open(&c->store, path, &options, err);
    if (rc == 0)
        rc = cas_open(&c->cas, store_dirfd(c->store), "cas", err);
    if (rc == 0)
        rc = store_stat(c->store, &stat, err);
    if (rc == 0 && stat.read_only)
        report(c, stat.reason);
    return rc == 0 ? check_frames(c, err) : rc;
}

int check_verify(const char *path, struct err *err)
{
    struct check c = {0};
    uint64_t checked = 0;
    int rc = store_verify(path, report, &c, &checked, err);
    if (rc == 0)
        rc = run(&c, path, err);
    store_close(c.store);
    cas_close(c.cas);
    store_workers_destroy(c.workers);
    free(c.block);
    if (rc < 0)
        return rc;
    printf("%" PRIu64 " entries, %" PRIu64 " frames, %" PRIu64 " contents, %" PRIu64 " faults\n",
           checked, c.frames, c.contents, c.faults);
    if (c.faults == 0)
        return 0;
    return err_set(err, ERR_DAMAGED, "%s has %" PRIu64 " faults", path, c.faults);
}

int check_repair(const char *path, struct err *err)
{
    struct store_repair done;
    int rc = store_repair(path, &done, err);
    if (rc < 0)
        return rc;
    if (done.damaged)
        printf("kept records up to %" PRIu64 "; what lies behind is in %s/journal/damaged\n",
               done.kept, path);
    else
        printf("the journal is whole; nothing was changed\n");
    return 0;
}
