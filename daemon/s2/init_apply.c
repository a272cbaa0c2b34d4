#include "daemon/s2/init_apply.h"

#include "base/text.h"
#include "daemon/s2/basins.h"
#include "daemon/s2/streams.h"

#define PENDING_US (30 * 1000000) /* a basin of an earlier life may still be being deleted */

struct apply {
    struct daemon *daemon;
    struct basin_op basin;
    struct basin_use use;
    struct stream_op stream;
    struct site *site;
    struct err why; /* of the use */
    bool done;
};

static void wait_for(struct apply *a)
{
    while (!a->done)
        uv_run(a->daemon->loop, UV_RUN_ONCE);
}

/* --- one stream -------------------------------------------------------------------------------------- */

static void stream_done(struct stream_op *op)
{
    ((struct apply *)((char *)op - offsetof(struct apply, stream)))->done = true;
}

static int ensure_stream(struct apply *a, const struct init_basin *basin,
                         const struct init_stream *stream, struct err *err)
{
    a->stream = (struct stream_op){.deed = STREAM_ENSURE,
                                   .site = a->site,
                                   .authority = AUTHORITY_EXEC,
                                   .name = buf_span(&stream->name),
                                   .basin = basin_config(a->use.basin),
                                   .config = stream->config,
                                   .done = stream_done};
    a->done = false;
    stream_op_run(&a->stream);
    wait_for(a);
    if (a->stream.result == 0)
        return 0;
    return err_set(err, a->stream.result, "stream %.*s of basin %s cannot be made: %s",
                   SPAN_ARG(buf_span(&stream->name)), basin->name, a->stream.err.text);
}

/* --- one basin --------------------------------------------------------------------------------------- */

static void basin_done(struct basin_op *op)
{
    struct apply *a = (struct apply *)((char *)op - offsetof(struct apply, basin));
    if (op->result == 0)
        basin_hold(op->basin);
    a->done = true;
}

static void ensure_once(struct apply *a, const struct init_basin *basin)
{
    a->basin =
        (struct basin_op){.deed = BASIN_ENSURE, .config = basin->config, .done = basin_done};
    memcpy(a->basin.name, basin->name, sizeof(a->basin.name));
    a->done = false;
    basin_op_run(a->daemon->basins, &a->basin);
    wait_for(a);
}

static int ensure_basin(struct apply *a, const struct init_basin *basin, struct err *err)
{
    const uint64_t start = time_mono_us();
    ensure_once(a, basin);
    while (a->basin.result < 0 && a->basin.code == S2_BASIN_DELETION_PENDING &&
           time_mono_us() - start < PENDING_US) {
        uv_run(a->daemon->loop, UV_RUN_ONCE);
        ensure_once(a, basin);
    }
    if (a->basin.result == 0)
        return 0;
    return err_set(err, a->basin.result, "basin %s cannot be made: %s", basin->name,
                   a->basin.err.text);
}

static void opened(struct basin_use *use, struct site *site, const struct err *err)
{
    struct apply *a = (struct apply *)((char *)use - offsetof(struct apply, use));
    a->site = site;
    if (err)
        a->why = *err;
    a->done = true;
}

static int ensure_streams(struct apply *a, const struct init_basin *basin, struct err *err)
{
    a->use = (struct basin_use){.opened = opened};
    a->done = false;
    basin_use(a->basin.basin, &a->use);
    wait_for(a);
    if (!a->site)
        return err_set(err, a->why.code, "basin %s cannot be opened: %s", basin->name, a->why.text);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < basin->count; i++)
        rc = ensure_stream(a, basin, &basin->streams[i], err);
    basin_release(&a->use);
    return rc;
}

int init_apply(struct daemon *daemon, const struct init_file *file, struct err *err)
{
    struct apply a = {.daemon = daemon};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < file->count; i++) {
        rc = ensure_basin(&a, &file->basins[i], err);
        if (rc < 0)
            break;
        if (file->basins[i].count > 0)
            rc = ensure_streams(&a, &file->basins[i], err);
        basin_drop(a.basin.basin);
    }
    return rc;
}
