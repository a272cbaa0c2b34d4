#include "bridge/io/ss_look.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/fd.h"
#include "base/bytes.h"
#include "bridge/io/ss_place.h"
#include "bridge/ss_parts.h"
#include "bridge/ss_rest.h"

#define TICK ((uint64_t)1024 * 1024)

struct look {
    struct ss_view view;
    struct ss_pack streams; /* what was read so far of each, as its writer would know it */
    struct ss_report *report;
    const struct ss_looker *looker;
    const struct ss_taker *taker;
    struct ss_beacon *beacon;
    uint64_t at;     /* of the next message */
    uint64_t ticked;
    bool behind;     /* the end mark came, and no message since */
    bool over;
};

static void tell(struct look *l, uint64_t offset, const char *text)
{
    l->report->faults++;
    if (l->looker && l->looker->fault)
        l->looker->fault(l->looker->arg, offset, text);
}

__attribute__((format(printf, 3, 4))) static void fault(struct look *l, uint64_t offset, const char *fmt, ...)
{
    char text[ERR_TEXT_SIZE + 64];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    tell(l, offset, text);
}

/* --- a message that is whole ------------------------------------------------------------------ */

static int count_in(struct look *l, const struct ss_message *m)
{
    bool made;
    struct ss_stream *s = ss_pack_stream(&l->streams, m->key, m->shard, &made);
    if (!s)
        return -ENOMEM;
    if (m->seq > s->seq)
        s->seq = m->seq;
    if (m->time_ms > s->time_ms)
        s->time_ms = m->time_ms;
    /* The stored checksum stands behind the payload. */
    s->running = ss_crc(s->running, span_of(m->payload.ptr + m->payload.len, 2));
    if (!span_is(m->key, SS_KEY_INTERNAL)) {
        l->report->streams += made;
        l->report->messages++;
    }
    return 0;
}

/* Only hints, and some writers give odd ones; behind damage nothing is known of what was written. */
static void check_items(struct look *l)
{
    for (size_t i = 0; l->report->faults == 0 && i < l->beacon->count; i++) {
        const struct ss_item *item = &l->beacon->items[i];
        size_t place;
        bool known = ss_stream_place(&l->streams, span_of(item->key, item->key_len), item->shard, &place);
        const struct ss_stream *s = known ? l->streams.streams[place] : NULL;
        if (!s || s->seq != item->seq || s->running != item->running)
            l->report->odd_items++;
    }
}

/* One beacon, `due` bytes of the message before which and in which it stands being to come. */
static void check_beacon(struct look *l, uint64_t offset, struct span bytes, uint64_t due)
{
    if (ss_beacon_read(l->beacon, bytes, NULL) != 0)
        return; /* it was walked over already */
    l->report->beacons++;
    if (l->beacon->remaining != (uint32_t)due)
        fault(l, offset, "a beacon says that %" PRIu32 " bytes of a message are to come, it is %" PRIu64, l->beacon->remaining,
              due);
    check_items(l);
}

/* All beacons before and in a frame that stands at l->at. What a beacon says has its message in it when that was begun. */
static int check_beacons(struct look *l, const struct ss_message *m, struct span frame)
{
    uint32_t interval = l->view.file.interval;
    uint64_t total = SS_FRAME_FIXED + (uint64_t)m->key.len + m->payload.len, left = total;
    size_t at = 0;
    int rc = 0;
    while (rc == 0 && left > 0) {
        uint64_t gap = ss_gap(l->at + at, interval);
        if (gap == 0) {
            check_beacon(l, l->at + at, span_of(frame.ptr + at, frame.len - at), left == total ? 0 : left);
            at += l->beacon->size;
            gap = interval - l->beacon->size;
        }
        rc = left == total ? count_in(l, m) : 0;
        uint64_t part = left < gap ? left : gap;
        at += part;
        left -= part;
    }
    return rc;
}

static void note_end(struct look *l, uint64_t end)
{
    l->behind = true;
    if (!l->report->ended)
        l->report->behind = l->report->size - ss_place_behind(&l->view.file, end);
    l->report->ended = true;
}

static int good(struct look *l, const struct ss_message *m, struct span frame, struct err *err)
{
    uint64_t end = l->at + frame.len;
    if (l->behind)
        fault(l, l->at, "messages stand behind the end mark, where readers do not see them");
    l->behind = false;
    if (check_beacons(l, m, frame) != 0)
        return err_set(err, -ENOMEM, "no memory for another stream");
    if (frame.ptr[frame.len - 1] != SS_MARK)
        fault(l, end - 1, "a message does not end with 0D");
    if (ss_is_end(m))
        note_end(l, end);
    int rc = l->taker ? l->taker->message(l->taker->arg, m, err) : 0;
    l->at = end;
    if (l->report->faults == 0)
        l->report->good = end;
    return rc;
}

/* --- damage ----------------------------------------------------------------------------------- */

/* Whether the length of a message with a bad checksum can be trusted: what must stand behind it does. */
static int fits(struct look *l, struct span frame, bool *yes, struct err *err)
{
    struct ss_message next;
    uint64_t end = l->at + frame.len;
    struct span behind;
    *yes = false;
    if (frame.ptr[frame.len - 1] != SS_MARK)
        return 0;
    if (end == l->view.file.size) {
        *yes = true;
        return 0;
    }
    int rc = ss_view_try(&l->view, end, &next, &behind, NULL);
    *yes = rc == 0 || rc == SS_MORE || (rc == ERR_DAMAGED && behind.ptr[behind.len - 1] == SS_MARK);
    return rc < 0 && rc != ERR_FORMAT && rc != ERR_DAMAGED ? err_set(err, rc, "%s", err_code_text(rc)) : 0;
}

static void lose(struct look *l, uint64_t end, const char *why)
{
    uint64_t bytes = end - l->at;
    l->report->lost += bytes;
    fault(l, l->at, "%s; no message can be read in %" PRIu64 " bytes", why, bytes);
    l->behind = false;
    l->at = end;
}

/* The text of an error without the place that it begins with. */
static const char *without_place(const struct err *why)
{
    const char *colon = strncmp(why->text, "offset ", 7) == 0 ? strstr(why->text, ": ") : NULL;
    return colon ? colon + 2 : why->text;
}

/* To the next message that is whole. */
static int skip_bad(struct look *l, const struct err *why, struct err *err)
{
    uint64_t found;
    int rc = ss_view_search(&l->view, l->at + 1, l->view.file.size, &found, err);
    if (rc == 0)
        lose(l, found, without_place(why));
    return rc;
}

/*
 * A length that is wrong may end where another message does, having swallowed whole ones: then a chain of messages leads to just
 * that end. One that is part of a payload cannot, for the message's own checksum comes behind it. `*found`: where the chain
 * begins, or `end`.
 */
static int find_swallowed(struct look *l, uint64_t end, uint64_t *found, struct err *err)
{
    struct ss_message m;
    struct span frame;
    int rc = ss_view_search(&l->view, l->at + 1, end, found, err);
    uint64_t at = *found;
    while (rc == 0 && at < end) {
        int next = ss_view_try(&l->view, at, &m, &frame, NULL);
        if (next == 0)
            at += frame.len;
        else if (next == ERR_FORMAT || next == ERR_DAMAGED || next == SS_MORE)
            break;
        else
            rc = err_set(err, next, "%s", err_code_text(next));
    }
    if (rc == 0 && at != end)
        *found = end;
    return rc;
}

/* A payload that is damaged costs this message alone. */
static int bad_checksum(struct look *l, const struct ss_message *m, struct span frame, const struct err *why, struct err *err)
{
    char text[ERR_TEXT_SIZE + 512];
    uint64_t found = l->at + frame.len;
    bool yes;
    snprintf(text, sizeof(text), "message %" PRIu64 " of %.*s: %s", m->seq, SPAN_ARG(m->key), why->text);
    int rc = fits(l, frame, &yes, err);
    if (rc != 0)
        return rc;
    if (!yes)
        return skip_bad(l, why, err);
    rc = find_swallowed(l, found, &found, err);
    if (rc == 0)
        lose(l, found, text);
    return rc;
}

/* A whole beacon may stand at the very end, behind the last message. */
static uint64_t last_beacon(struct look *l, struct span rest)
{
    size_t size = 0;
    if (l->at % l->view.file.interval != 0 || ss_beacon_read(l->beacon, rest, NULL) != 0)
        return 0;
    size = l->beacon->size;
    check_beacon(l, l->at, rest, 0);
    return size;
}

/* No whole message up to the file's end: it ends in one, or a length is wrong. */
static int ending(struct look *l, struct err *err)
{
    struct span rest;
    uint64_t found = l->view.file.size;
    bool yes = false;
    int rc = ss_view_get(&l->view, l->at, SS_BEACON_SIZE_MAX, &rest, err);
    if (rc != 0)
        return rc;
    uint64_t left = found - l->at, beacon = left <= rest.len ? last_beacon(l, rest) : 0;
    if (left > beacon && !l->behind)
        rc = ss_view_borne_out(&l->view, l->at, &yes, err);
    if (rc == 0 && left > beacon && !yes)
        rc = ss_view_search(&l->view, l->at + 1, found, &found, err);
    if (rc != 0)
        return rc;
    if (found < l->view.file.size || (l->behind && left > beacon)) {
        lose(l, found,
             l->behind ? "bytes that are no message stand behind the end mark" : "a message that is longer than the file");
        return 0;
    }
    l->report->torn = left - beacon;
    if (l->report->faults == 0)
        l->report->good = l->at + beacon;
    l->over = true;
    return 0;
}

/* Behind the end mark a piece of an older one may stand, which nobody minds; more than that is damage. */
static bool is_piece(const struct look *l)
{
    return l->behind && l->view.file.size - l->at <= SS_MARK_SIZE;
}

static int step(struct look *l, struct err *err)
{
    struct err why = ERR_INIT;
    struct ss_message m;
    struct span frame;
    int rc = ss_view_try(&l->view, l->at, &m, &frame, &why);
    if (rc == 0)
        return good(l, &m, frame, err);
    if (rc == ERR_DAMAGED)
        return bad_checksum(l, &m, frame, &why, err);
    if ((rc == SS_MORE || rc == ERR_FORMAT) && is_piece(l)) {
        l->over = true;
        return 0;
    }
    if (rc == SS_MORE || (rc == ERR_FORMAT && ss_ends_in_mark_rest(&l->view.file, l->at)))
        return ending(l, err);
    if (rc == ERR_FORMAT)
        return skip_bad(l, &why, err);
    return err_set(err, rc, "%s", why.text);
}

/* --- the whole -------------------------------------------------------------------------------- */

int ss_look_header(int fd, const char *path, struct ss_header *out, bool *odd, struct err *err)
{
    static const uint8_t mark[2] = {'S', 's'};
    uint8_t bytes[SS_HEADER_SIZE];
    long n = fd_read_at(fd, 0, bytes, sizeof(bytes));
    if (n < 0)
        return err_sys(err, (int)-n, "read %s", path);
    *odd = false;
    int rc = ss_header_read(out, span_of(bytes, (size_t)n), err);
    if (rc == 0)
        return 0;
    /* All but the mark is as in a header: then it is one. */
    if (n == sizeof(bytes) && memcmp(bytes, mark, sizeof(mark)) != 0 && bytes[SS_HEADER_SIZE - 1] == SS_MARK) {
        uint8_t again[SS_HEADER_SIZE];
        memcpy(bytes, mark, sizeof(mark));
        if (ss_header_read(out, span_of(bytes, sizeof(bytes)), NULL) == 0) {
            ss_header_write(again, out);
            *odd = memcmp(again, bytes, sizeof(bytes)) == 0;
        }
    }
    if (!*odd)
        err_prefix(err, "%s", path);
    return *odd ? 0 : rc;
}

static void tick(struct look *l)
{
    if (l->at - l->ticked < TICK)
        return;
    l->ticked = l->at;
    if (l->looker && l->looker->tick)
        l->looker->tick(l->looker->arg, l->at);
}

static int run(struct look *l, struct err *err)
{
    int rc = 0;
    l->at = l->report->good = SS_HEADER_SIZE;
    while (rc == 0 && !l->over && l->at < l->view.file.size) {
        rc = step(l, err);
        tick(l);
    }
    return rc;
}

int ss_look(int fd, const char *path, uint64_t size, const struct ss_looker *looker, const struct ss_taker *taker,
            struct ss_report *out, struct err *err)
{
    struct ss_header h;
    bool odd;
    int rc = ss_look_header(fd, path, &h, &odd, err);
    if (rc != 0)
        return rc;
    *out = (struct ss_report){.size = size};
    struct ss_bytes bytes = ss_place_bytes(&fd, size, h.interval);
    struct look l = {.report = out, .looker = looker, .taker = taker};
    ss_pack_begin(&l.streams, h.interval, 0);
    l.beacon = malloc(sizeof(*l.beacon));
    rc = ss_view_begin(&l.view, &bytes);
    if (!l.beacon || rc != 0)
        rc = err_set(err, -ENOMEM, "no memory");
    if (rc == 0 && odd)
        tell(&l, 0, "the file does not begin with \"Ss\"");
    if (rc == 0)
        rc = run(&l, err);
    free(l.beacon);
    ss_view_finish(&l.view);
    ss_pack_finish(&l.streams);
    return rc;
}
