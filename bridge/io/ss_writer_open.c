/*
 * A .ss file opened for appending: locked, its end found, what is incomplete there taken away.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/text.h"
#include "bridge/io/ss_look.h"
#include "bridge/io/ss_writer_impl.h"
#include "bridge/ss_parts.h"

#define LIMIT_DEFAULT (UINT64_C(16) << 30)

static int begin_file(struct ss_writer *w, const struct ss_writer_options *o, struct err *err)
{
    struct ss_header h = {.created_ms = time_now_ms(), .interval = o->interval ? o->interval : SS_INTERVAL_DEFAULT};
    ss_header_name(&h, span_str(ss_place_name(w->path)));
    if (h.interval < SS_INTERVAL_MIN)
        return err_set(err, ERR_INVALID, "a beacon interval of %u bytes; at least %d", (unsigned)h.interval, SS_INTERVAL_MIN);
    ss_pack_begin(&w->pack, h.interval, SS_HEADER_SIZE);
    if (ss_pack_header(&w->pack, &h, &w->out) != 0)
        return err_set(err, -ENOMEM, "no memory");
    int r = ss_writer_flush(w, true, err);
    return r == 0 ? ss_place_sync_directory(w->path, err) : r;
}

static int say_damaged(const struct ss_writer *w, const char *how, struct err *err)
{
    return err_set(err, ERR_DAMAGED, "%s is damaged (%.140s); mend it: weir decode --repair", w->path, how);
}

/* The end mark goes, and a piece of an older one that some writers leave behind it; messages there do not. */
static int check_behind(const struct ss_writer *w, const struct ss_bytes *f, uint64_t end, struct err *err)
{
    struct ss_scan scan;
    struct ss_message m;
    uint8_t bytes[256 * 282]; /* the mark may have the largest beacon in it */
    size_t at = 0, used = 0;
    if (f->size - end <= SS_MARK_SIZE)
        return 0;
    long got = fd_read_at(w->fd, end, bytes, sizeof bytes);
    int r = got < 0 ? (int)got : ss_scan_begin(&scan, f->interval, end, false);
    if (r != 0)
        return err_sys(err, -r, "read %s", w->path);
    if (ss_scan_next(&scan, span_of(bytes, (size_t)got), &m, &at, NULL, NULL) == 0)
        scan.ended = false;
    r = ss_scan_next(&scan, span_of(bytes + at, (size_t)got - at), &m, &used, NULL, NULL);
    bool messages = r == 0 || r == ERR_DAMAGED || f->size - ss_place_behind(f, scan.offset) > SS_MARK_SIZE;
    ss_scan_finish(&scan);
    if (messages)
        return say_damaged(w, "it goes on behind its end mark", err);
    return 0;
}

/* An incomplete frame goes. One of a wrong length, with whole messages behind it, is none: they would go with it. */
static int check_torn(const struct ss_writer *w, const struct ss_bytes *f, uint64_t end, struct err *err)
{
    struct ss_view view;
    bool torn = false;
    uint64_t found = f->size;
    if (end == f->size)
        return 0;
    int r = ss_view_begin(&view, f);
    if (r == 0)
        r = ss_view_borne_out(&view, end, &torn, err);
    if (r == 0 && !torn)
        r = ss_view_search(&view, end + 1, f->size, &found, err);
    ss_view_finish(&view);
    return r == 0 && found < f->size ? say_damaged(w, "a message that is longer than the file, with others behind it", err) : r;
}

static int find_place(struct ss_writer *w, struct ss_bytes *f, struct err *err)
{
    struct err why = ERR_INIT;
    uint64_t end;
    int r = ss_find_end(f, &end, &w->was_end, &why);
    if (r == ERR_FORMAT || r == ERR_DAMAGED)
        return say_damaged(w, why.text, err);
    if (r != 0)
        return err_set(err, r, "%s: find the end: %s", w->path, why.text);
    r = w->was_end ? check_behind(w, f, end, err) : check_torn(w, f, end, err);
    if (r != 0)
        return r;
    w->end = end;
    w->cut = f->size - w->end;
    return 0;
}

/* Streams that cannot be learnt of here are looked for when they come. */
static int take_streams(struct ss_writer *w, const struct ss_bytes *f, struct err *err)
{
    ss_pack_begin(&w->pack, f->interval, w->end);
    int r = ss_pack_take_over(&w->pack, f, w->end, err);
    if (r == 0 || (r != ERR_FORMAT && r != ERR_DAMAGED))
        return r;
    ss_pack_finish(&w->pack);
    ss_pack_begin(&w->pack, f->interval, w->end);
    return 0;
}

static int continue_file(struct ss_writer *w, uint64_t size, struct err *err)
{
    struct ss_header h;
    uint8_t bytes[SS_HEADER_SIZE];
    long got = fd_read_at(w->fd, 0, bytes, sizeof bytes);
    if (got < 0)
        return err_sys(err, (int)-got, "read %s", w->path);
    int r = ss_header_read(&h, span_of(bytes, (size_t)got), err);
    if (r != 0) {
        err_prefix(err, "%s is no .ss file", w->path);
        return r;
    }
    struct ss_bytes f = ss_place_bytes(&w->fd, size, h.interval);
    r = find_place(w, &f, err);
    if (r != 0)
        return r;
    if (w->cut > 0 && ss_place_calls.ftruncate(w->fd, (off_t)w->end) != 0)
        return err_sys(err, errno, "cut %s behind its last message", w->path);
    w->old = w->end;
    r = take_streams(w, &f, err);
    if (r != 0)
        return r;
    return ss_pack_resume(&w->pack, &w->out) == 0 ? 0 : err_set(err, -ENOMEM, "no memory");
}

static int open_locked(struct ss_writer *w, const struct ss_writer_options *o, bool made, struct err *err)
{
    uint64_t size;
    int r = ss_place_size(w->fd, w->path, &size, err);
    if (r != 0 || size > 0)
        return r != 0 ? r : continue_file(w, size, err);
    r = begin_file(w, o, err);
    /* Nobody is served by a file without a header; it is still locked. */
    if (r != 0 && made)
        unlink(w->path);
    else if (r != 0)
        (void)!ss_place_calls.ftruncate(w->fd, 0);
    return r;
}

int ss_writer_open(struct ss_writer **out, const char *path, const struct ss_writer_options *options, struct err *err)
{
    struct ss_writer *w = calloc(1, sizeof *w);
    if (!w || !(w->path = strdup(path))) {
        free(w);
        return err_set(err, -ENOMEM, "no memory");
    }
    w->fd = -1;
    w->limit = options->size_limit ? options->size_limit : LIMIT_DEFAULT;
    bool made = false;
    enum ss_place_make make = options->must_exist ? SS_PLACE_OLD : options->must_be_new ? SS_PLACE_NEW : SS_PLACE_EITHER;
    int r = ss_place_lock(&w->fd, path, make, &made, err);
    if (r == 0)
        r = open_locked(w, options, made, err);
    if (r != 0) {
        ss_writer_close(w);
        return r;
    }
    *out = w;
    return 0;
}

uint64_t ss_writer_cut(const struct ss_writer *w, bool *was_end)
{
    if (was_end)
        *was_end = w->was_end;
    return w->cut;
}

void ss_writer_close(struct ss_writer *w)
{
    if (!w)
        return;
    if (w->fd >= 0)
        close(w->fd);
    ss_pack_finish(&w->pack);
    ss_pack_finish(&w->before);
    buf_finish(&w->out);
    free(w->path);
    free(w);
}
