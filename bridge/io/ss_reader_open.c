/*
 * A .ss file opened for reading, at the place that was asked for; also one that is not there yet.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clean.h"
#include "base/fd.h"
#include "bridge/io/ss_place.h"
#include "bridge/io/ss_reader_impl.h"

static int no_memory(struct err *err)
{
    return err_set(err, -ENOMEM, "no memory");
}

int ss_reader_header_read(const struct ss_reader *r, int fd, struct ss_header *out, struct err *err)
{
    uint8_t bytes[SS_HEADER_SIZE];
    long got = fd_read_at(fd, 0, bytes, sizeof bytes);
    if (got < 0)
        return err_sys(err, (int)-got, "read %s", r->path);
    if (got < SS_HEADER_SIZE && r->wait)
        return -EAGAIN;
    int rc = ss_header_read(out, span_of(bytes, (size_t)got), err);
    if (rc != 0)
        err_prefix(err, "%s", r->path);
    return rc;
}

/* The notice is asked for before the file is looked at, so that nothing is missed; whether it is of this very file is
 * seen at the file's end. */
static int begin_watch(struct ss_reader *r, struct err *err)
{
    r->doubt = true;
    int rc = ss_watch_file(&r->watch, r->path, err);
    return rc == -ENOENT ? 0 : rc;
}

/* -EAGAIN: it is not there yet. */
static int open_file(struct ss_reader *r, struct err *err)
{
    int fd;
    int rc = ss_place_open(&fd, r->path, err);
    if (rc != 0)
        return rc == -ENOENT && r->wait ? -EAGAIN : rc;
    if (r->follow)
        rc = begin_watch(r, err);
    if (rc == 0)
        rc = ss_reader_header_read(r, fd, &r->header, err);
    if (rc == 0 && ss_scan_begin(&r->scan, r->header.interval, SS_HEADER_SIZE, r->want_beacons) != 0)
        rc = no_memory(err);
    if (rc != 0) {
        close(fd);
        return rc;
    }
    r->fd = fd;
    return ss_place_size(fd, r->path, &r->size, err);
}

static int wait_for_file(struct ss_reader *r, const struct ss_reader_options *o, struct err *err)
{
    CLEAN_FREE char *directory = ss_place_directory(r->path);
    if (!directory)
        return no_memory(err);
    if (o->from != SS_FROM_START && o->from != SS_FROM_END)
        return err_set(err, ERR_RANGE, "out of bound: %s has no messages yet", r->path);
    int rc = ss_watch_directory(&r->watch, directory, err);
    return rc == -ENOENT ? err_sys(err, ENOENT, "open %s", r->path) : rc;
}

static int go_to(struct ss_reader *r, uint64_t offset, struct err *err)
{
    struct ss_scan scan;
    if (ss_scan_begin(&scan, r->header.interval, offset, r->want_beacons) != 0)
        return no_memory(err);
    ss_scan_finish(&r->scan);
    r->scan = scan;
    r->at = r->len = 0;
    r->second = false;
    return 0;
}

static int look(struct ss_reader *r, struct ss_bytes *f, struct err *err)
{
    int rc = ss_place_size(r->fd, r->path, &r->size, err);
    *f = ss_place_bytes(&r->fd, r->size, r->header.interval);
    return rc;
}

static int find_end(struct ss_reader *r, struct err *err)
{
    struct ss_bytes f;
    uint64_t offset;
    bool ended;
    int rc = look(r, &f, err);
    if (rc == 0)
        rc = ss_find_end(&f, &offset, &ended, err);
    if (rc != 0)
        err_prefix(err, "%s: find the end", r->path);
    return rc == 0 ? go_to(r, offset, err) : rc;
}

static int begin_at(struct ss_reader *r, uint64_t offset, struct err *err)
{
    if (offset < SS_HEADER_SIZE || offset > r->size)
        return err_set(err, ERR_RANGE, "out of bound: offset %" PRIu64 " of %s, which has %" PRIu64 " bytes", offset, r->path, r->size);
    return go_to(r, offset, err);
}

static int find_start(struct ss_reader *r, const struct ss_reader_options *o, struct err *err)
{
    switch (o->from) {
    case SS_FROM_START:
        return 0;
    case SS_FROM_END:
        return find_end(r, err);
    case SS_FROM_OFFSET:
        return begin_at(r, o->value, err);
    default:
        break;
    }
    struct ss_target target = {
        .key = o->key, .any_shard = !o->has_shard, .shard = o->shard, .by_time = o->from == SS_FROM_TIME, .value = o->value};
    return ss_reader_seek(r, &target, err);
}

static int open_reader(struct ss_reader *r, const struct ss_reader_options *o, struct err *err)
{
    if (o->from == SS_FROM_END && !o->follow)
        return err_set(err, ERR_INVALID,
                       "from the end of %s without following it there is nothing to read; --offset start gives what it has", r->path);
    int rc = o->follow ? ss_watch_begin(&r->watch, err) : 0;
    if (rc == 0)
        rc = open_file(r, err);
    if (rc == -EAGAIN)
        return wait_for_file(r, o, err);
    return rc == 0 ? find_start(r, o, err) : rc;
}

int ss_reader_open(struct ss_reader **out, const char *path, const struct ss_reader_options *options, struct err *err)
{
    struct ss_reader *r = calloc(1, sizeof *r);
    if (!r || !(r->path = strdup(path))) {
        free(r);
        return no_memory(err);
    }
    r->fd = -1;
    r->watch = (struct ss_watch){.fd = -1, .directory = -1};
    r->follow = options->follow;
    r->wait = options->follow && options->wait;
    r->want_beacons = options->want_beacons;
    int rc = open_reader(r, options, err);
    if (rc != 0) {
        ss_reader_close(r);
        return rc;
    }
    *out = r;
    return 0;
}

void ss_reader_close(struct ss_reader *r)
{
    if (!r)
        return;
    if (r->fd >= 0)
        close(r->fd);
    ss_watch_finish(&r->watch);
    ss_scan_finish(&r->scan);
    free(r->window);
    free(r->path);
    free(r);
}

int ss_reader_start(struct ss_reader *r, struct err *err)
{
    ss_watch_take(&r->watch, &r->doubt);
    int rc = open_file(r, err);
    if (rc == 0)
        ss_watch_drop(&r->watch);
    return rc;
}

int ss_reader_seek(struct ss_reader *r, const struct ss_target *target, struct err *err)
{
    struct ss_bytes f;
    uint64_t offset;
    if (r->fd < 0)
        return err_set(err, ERR_RANGE, "out of bound: %s has no messages yet", r->path);
    int rc = look(r, &f, err);
    if (rc == 0)
        rc = ss_seek(&f, target, &offset, err);
    return rc == 0 ? go_to(r, offset, err) : rc;
}
