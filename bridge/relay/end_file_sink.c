/*
 * A .ss file as the sink of a relay.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "bridge/io/ss_file.h"
#include "bridge/relay/end.h"

struct file_sink {
    struct relay_sink base;
    struct ss_writer *writer;
    char *path;
    bool end_mark;
};

/* A message that says no sequence of its own gets the file's next one. */
static int put_one(struct file_sink *s, const struct ss_message *m, struct err *err)
{
    struct ss_message own = *m;
    struct err why = ERR_INIT;
    int rc = ss_writer_put(s->writer, &own, own.no_seq, &why);
    if (rc == ERR_INVALID || rc == ERR_TOO_LARGE) {
        relay_say("%s: a message of %.*s is left out: %s", s->path, SPAN_ARG(m->key), why.text);
        s->base.refused++;
        return 0;
    }
    if (rc != 0 && err)
        *err = why;
    return rc;
}

static int sink_put(struct relay_sink *base, const struct relay_batch *batch, struct err *err)
{
    struct file_sink *s = (struct file_sink *)base;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < batch->count; i++)
        rc = put_one(s, &batch->list[i], err);
    return rc;
}

static int sink_flush(struct relay_sink *base, const char *cursor, struct span position, struct err *err)
{
    struct file_sink *s = (struct file_sink *)base;
    (void)cursor;
    (void)position;
    return ss_writer_flush(s->writer, true, err);
}

static int sink_end(struct relay_sink *base, struct err *err)
{
    struct file_sink *s = (struct file_sink *)base;
    return s->end_mark ? ss_writer_end(s->writer, err) : 0;
}

static void sink_close(struct relay_sink *base)
{
    struct file_sink *s = (struct file_sink *)base;
    ss_writer_close(s->writer);
    free(s->path);
    free(s);
}

static int open_writer(struct file_sink *s, const struct relay_options *o, struct err *err)
{
    struct ss_writer_options w = {.interval = o->interval, .size_limit = o->size_limit};
    int rc = ss_writer_open(&s->writer, s->path, &w, err);
    if (rc != 0)
        return rc;
    bool was_end;
    uint64_t cut = ss_writer_cut(s->writer, &was_end);
    if (cut > 0 && !was_end)
        relay_say("%s ended with %" PRIu64 " bytes of an incomplete message; they are gone", s->path, cut);
    return 0;
}

int relay_file_sink(struct relay_sink **out, const struct ss_url *url, const struct relay_options *o, struct err *err)
{
    static const struct relay_sink_ops ops = {.put = sink_put, .flush = sink_flush, .end = sink_end, .close = sink_close};
    if (o->shards > 0 || o->max_len > 0)
        return err_set(err, ERR_INVALID, "%s is for Redis, not for files", o->shards > 0 ? "--shards" : "--max-len");
    struct file_sink *s = calloc(1, sizeof *s);
    if (!s)
        return err_set(err, -ENOMEM, "no memory");
    s->base.ops = &ops;
    s->end_mark = o->end_mark;
    int rc = ss_url_path(url, &s->path, err);
    if (rc == 0)
        rc = open_writer(s, o, err);
    if (rc != 0) {
        sink_close(&s->base);
        return rc;
    }
    *out = &s->base;
    return 0;
}
