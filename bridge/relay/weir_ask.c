#include "bridge/relay/weir_ask.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clean.h"
#include "base/text.h"

#define CONTENT_MAX ((size_t)1024 * 1024 * 1024)

static int ask_once(struct relay_store *store, struct span hash, struct buf *out, struct err *err)
{
    CLEAN_BUF target = BUF_INIT;
    char *text = NULL;
    struct weir_response res;
    size_t len = 0;
    int rc = buf_add_str(&target, "/cas/");
    if (rc == 0)
        rc = uri_encode(&target, hash, "");
    if (rc < 0 || !buf_cstr(&target))
        return err_set(err, -ENOMEM, "no memory for a request");
    const struct weir_request req = {.method = "GET", .target = (const char *)target.ptr, .replay_safe = true};
    rc = weir_request(store->w, &req, &res, err);
    if (rc == 0)
        rc = weir_check(store->w, &res, err);
    if (rc == 0)
        rc = weir_read_all(store->w, &text, &len, CONTENT_MAX, err);
    if (rc < 0)
        return rc;
    relay_store_answered(store);
    buf_finish(out);
    *out = (struct buf){(uint8_t *)text, len, len + 1};
    return 0;
}

int relay_ask_content(struct relay_store *store, struct span hash, struct buf *out, struct err *err)
{
    int rc;
    while ((rc = ask_once(store, hash, out, err)) < 0 && rc != ERR_NOT_FOUND && (rc = relay_store_again(store, rc, err)) == 0)
        ;
    return rc == ERR_NOT_FOUND ? 1 : rc;
}

int relay_ask_last(struct relay_store *store, struct relay_frame *scratch, struct frame_id *out, struct err *err)
{
    CLEAN_FREE char *json = NULL;
    struct weir_response res;
    size_t len = 0;
    const struct weir_request req = {.method = "GET", .target = "/last", .replay_safe = true};
    int rc = weir_request(store->w, &req, &res, err);
    if (rc == 0 && res.status == 404)
        return 1;
    if (rc == 0)
        rc = weir_check(store->w, &res, err);
    if (rc == 0)
        rc = weir_read_all(store->w, &json, &len, 4 * META_MAX, err);
    if (rc == 0)
        rc = relay_frame_read(scratch, span_of(json, len), err);
    *out = scratch->id;
    return rc;
}
