/*
 * A .ss file as the source of a relay. Its places: end_file_place.h.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>

#include "base/clean.h"
#include "base/text.h"
#include "bridge/io/ss_file.h"
#include "bridge/relay/end.h"
#include "bridge/relay/end_file_place.h"

#define LOOKED_MAX 65536 /* messages read in one go when none is wanted: signals and progress get their turn */

/* What is asked of a stream before its messages go over; streams that reached it are in `reached`. */
struct start {
    enum relay_start by; /* RELAY_SEQ, RELAY_TIME; else nothing is asked */
    uint64_t value;
    struct ss_pack reached;
    const struct ss_stream *last; /* of the message before: most are of the same */
};

struct file_source {
    struct relay_source base;
    struct ss_reader *reader;
    char *path;
    bool follow, resumed, said_end;
    char **keys; /* count 0: all but the internal one */
    size_t key_count;
    bool internal;
    struct start start;
    struct file_place place;
    struct err failed; /* of looking for the start; told when nothing else was asked for meanwhile */
};

/* --- which messages --------------------------------------------------------------------------- */

static bool is_wanted(const struct file_source *s, const struct ss_message *m)
{
    if (span_is(m->key, SS_KEY_INTERNAL))
        return s->internal;
    return s->key_count == 0 || ss_keys_have(s->keys, s->key_count, m->key);
}

static bool is_last(const struct start *start, const struct ss_message *m)
{
    const struct ss_stream *last = start->last;
    return last && last->shard == m->shard && span_eq(span_of(last->key, last->key_len), m->key);
}

/* Whether its stream has come to the start; from then on all of it goes over. 1, 0, -ENOMEM. */
static int has_reached(struct start *start, const struct ss_message *m)
{
    if ((start->by != RELAY_SEQ && start->by != RELAY_TIME) || is_last(start, m))
        return 1;
    bool here = start->by == RELAY_SEQ ? m->seq >= start->value : m->time_ms > start->value;
    /* The table of a writer's streams serves as a set. */
    struct ss_stream *stream = ss_pack_stream(&start->reached, m->key, m->shard, NULL);
    if (!stream)
        return -ENOMEM;
    if (here)
        stream->seq = 1;
    if (stream->seq == 0)
        return 0;
    start->last = stream;
    return 1;
}

static bool any_reached(const struct start *start)
{
    for (size_t i = 0; i < start->reached.count; i++) {
        if (start->reached.streams[i]->seq)
            return true;
    }
    return false;
}

/* --- reading ---------------------------------------------------------------------------------- */

static void note_place(struct file_source *s, uint64_t began, const struct ss_message *m)
{
    s->place.offset = ss_reader_offset(s->reader);
    s->place.last = m ? began : 0;
    s->place.seq = m ? m->seq : 0;
    s->place.time = m ? m->time_ms : 0;
}

static int take(struct file_source *s, struct relay_batch *into, const struct ss_message *m, struct err *err)
{
    int rc = is_wanted(s, m) ? has_reached(&s->start, m) : 0;
    if (rc > 0)
        rc = relay_batch_add(into, m);
    return rc == 0 ? 0 : err_set(err, rc, "no memory for a message of %zu bytes", m->payload.len);
}

static void note_progress(struct file_source *s)
{
    s->base.total = ss_reader_size(s->reader);
    s->base.done = ss_reader_offset(s->reader);
}

static int at_end(struct file_source *s, struct err *err)
{
    uint64_t rest = ss_reader_rest(s->reader);
    bool asked = s->start.by == RELAY_SEQ || s->start.by == RELAY_TIME;
    if (asked && !s->follow && !s->resumed && !any_reached(&s->start))
        return err_set(err, ERR_RANGE, "out of bound: %s has no message from there on", s->path);
    if (!s->said_end && ss_reader_removed(s->reader))
        relay_say("%s was removed or replaced; what it had has been read", s->path);
    if (!s->said_end && rest > 0)
        relay_say("%s ends with %" PRIu64 " bytes of an incomplete message", s->path, rest);
    s->said_end = true;
    return ERR_END;
}

/* One message read, wanted or not. As ss_reader_next. */
static int step(struct file_source *s, struct relay_batch *into, struct err *err)
{
    struct ss_message m;
    uint64_t began = ss_reader_offset(s->reader);
    int rc = ss_reader_next(s->reader, &m, err);
    if (rc == ERR_DAMAGED) {
        relay_say("%s; the message is skipped", err->text);
        s->base.bad++;
        note_place(s, 0, NULL);
        return 0;
    }
    if (rc == ERR_FORMAT)
        err_prefix(err, "mend it with weir decode --repair %s", s->path);
    if (rc != 0)
        return rc;
    rc = take(s, into, &m, err);
    if (rc == 0 && !ss_is_end(&m))
        note_place(s, began, &m);
    return rc;
}

static int fill_batch(struct file_source *s, struct relay_batch *into, int wait_ms, struct err *err)
{
    uint64_t until_us = wait_ms < 0 ? UINT64_MAX : time_mono_us() + (uint64_t)wait_ms * 1000;
    for (size_t looked = 0; looked < LOOKED_MAX && !relay_batch_full(into); looked++) {
        int rc = step(s, into, err);
        if (rc == -EAGAIN && into->count > 0)
            return 0;
        if (rc == -EAGAIN) {
            rc = relay_poll(ss_reader_fd(s->reader), POLLIN, time_left_ms(until_us));
            if (rc <= 0)
                return rc;
        } else if (rc != 0)
            return rc == ERR_END ? at_end(s, err) : rc;
    }
    return relay_stopped() ? -EINTR : 0;
}

static int source_fill(struct relay_source *base, struct relay_batch *into, int wait_ms, struct err *err)
{
    struct file_source *s = (struct file_source *)base;
    struct err own = ERR_INIT;
    int rc = s->failed.code;
    if (rc != 0)
        own = s->failed;
    else
        rc = fill_batch(s, into, wait_ms, &own);
    note_progress(s);
    if (rc < 0 && err)
        *err = own;
    return rc;
}

/* --- places ----------------------------------------------------------------------------------- */

static int source_position(struct relay_source *base, struct buf *out)
{
    struct file_source *s = (struct file_source *)base;
    const struct ss_header *h = ss_reader_header(s->reader);
    struct file_place place = s->place;
    place.has_created = h != NULL;
    place.created = h ? h->created_ms : 0;
    place.has_from_seq = s->start.by == RELAY_SEQ;
    place.has_from_time = s->start.by == RELAY_TIME;
    place.from_seq = place.from_time = s->start.value;
    return file_place_format(&place, out);
}

static int is_other_file(const struct file_source *s, const char *how, struct err *err)
{
    return err_set(err, ERR_INVALID, "%s %s; use another cursor to read it (--offset start: from its beginning)", s->path, how);
}

static int open_at(const struct file_source *s, struct ss_reader **out, uint64_t offset, struct err *err)
{
    struct ss_reader_options o = {.from = SS_FROM_OFFSET, .value = offset, .follow = s->follow};
    int rc = ss_reader_open(out, s->path, &o, err);
    return rc == ERR_RANGE ? is_other_file(s, "is shorter than the place of the cursor", err) : rc;
}

/* Whether the reader, at the place's last message, finds what it was. It stands behind it then. */
static bool still_there(struct ss_reader *reader, const struct file_place *place)
{
    struct ss_message m;
    return ss_reader_next(reader, &m, NULL) == 0 && m.seq == place->seq && m.time_ms == place->time && ss_reader_offset(reader) == place->offset;
}

static void go_on_from(struct file_source *s, struct ss_reader *reader, const struct file_place *to)
{
    ss_reader_close(s->reader);
    s->reader = reader;
    s->place = *to;
    s->start.by = to->has_from_seq ? RELAY_SEQ : to->has_from_time ? RELAY_TIME : RELAY_START;
    s->start.value = to->has_from_seq ? to->from_seq : to->from_time;
    s->failed = ERR_INIT;
    s->resumed = true;
}

static int source_go(struct relay_source *base, struct span position, struct err *err)
{
    struct file_source *s = (struct file_source *)base;
    const struct ss_header *h = ss_reader_header(s->reader);
    struct ss_reader *reader;
    struct file_place to;
    if (file_place_parse(&to, position) != 0)
        return err_set(err, ERR_INVALID, "the place \"%.*s\" is none in a file", position.len < 100 ? (int)position.len : 100, (const char *)position.ptr);
    if (!h && to.has_created)
        return is_other_file(s, "is not there any more", err);
    if (!h)
        return 0;
    if (to.has_created && to.created != h->created_ms)
        return is_other_file(s, "is another file than the one that the cursor knows", err);
    int rc = open_at(s, &reader, to.last ? to.last : to.offset, err);
    if (rc != 0)
        return rc;
    if (to.last && !still_there(reader, &to)) {
        ss_reader_close(reader);
        return is_other_file(s, "was changed before the place of the cursor", err);
    }
    go_on_from(s, reader, &to);
    return 0;
}

/* --- opening a source ------------------------------------------------------------------------- */

static int check_source_options(const struct relay_options *o, struct err *err)
{
    if (o->mode == SS_RESUMABLE)
        return err_set(err, ERR_INVALID, "a file keeps no group's place; use --cursor NAME");
    if (o->mode == SS_BALANCED && !o->group)
        return err_set(err, ERR_INVALID, "members that share a file need the name of their group");
    if (o->mode == SS_REALTIME && o->group)
        return err_set(err, ERR_INVALID, "a file has no groups in the mode realtime");
    if (o->has_commit)
        return err_set(err, ERR_INVALID, "a file has no commit modes");
    return 0;
}

static int take_keys(struct file_source *s, const struct ss_url *url, const struct relay_options *o, struct err *err)
{
    bool all = url->key_count == 0;
    for (size_t i = 0; i < url->key_count; i++) {
        s->internal |= strcmp(url->keys[i], SS_KEY_INTERNAL) == 0;
        all |= strcmp(url->keys[i], SS_KEY_WILDCARD) == 0;
    }
    if (all && url->key_count > 0 && o->mode == SS_BALANCED)
        return err_set(err, ERR_INVALID, "a group shares the keys it names, not " SS_KEY_WILDCARD);
    if (all)
        return 0;
    if (ss_keys_copy(&s->keys, url) != 0)
        return err_set(err, -ENOMEM, "no memory");
    s->key_count = url->key_count;
    return 0;
}

/* With one key the file's beacons tell where to begin; else it is read from its beginning, and each stream's start looked for. A start
 * that is not there yet is waited for in the same way. */
static int look_for_start(struct file_source *s, struct err *err)
{
    if (s->key_count != 1 || !ss_reader_header(s->reader))
        return 0;
    struct ss_target target = {
        .key = span_str(s->keys[0]), .any_shard = true, .by_time = s->start.by == RELAY_TIME, .value = s->start.value};
    struct err why = ERR_INIT;
    int rc = ss_reader_seek(s->reader, &target, &why);
    if (rc == ERR_RANGE && s->follow)
        return 0;
    if (rc == ERR_RANGE) {
        s->failed = why;
        err_prefix(&s->failed, "%s", s->path);
        return 0;
    }
    if (rc != 0 && err)
        *err = why;
    return rc;
}

/* At the same place, without following. */
static int open_again(struct file_source *s, struct err *err)
{
    struct ss_reader *reader;
    int rc = open_at(s, &reader, ss_reader_offset(s->reader), err);
    if (rc != 0)
        return rc;
    ss_reader_close(s->reader);
    s->reader = reader;
    return 0;
}

static int open_source(struct file_source *s, const struct relay_options *o, struct err *err)
{
    struct ss_reader_options r = {.from = o->start == RELAY_END ? SS_FROM_END : SS_FROM_START, .follow = o->follow, .wait = o->follow};
    s->follow = o->follow;
    s->start.by = o->start;
    s->start.value = o->value;
    /* A cursor is told where the end is, also when nothing is to be read there. */
    bool only_end = o->cursor && o->start == RELAY_END && !o->follow;
    r.follow = r.follow || only_end;
    int rc = ss_reader_open(&s->reader, s->path, &r, err);
    if (rc == 0 && only_end)
        rc = open_again(s, err);
    if (rc == 0 && (o->start == RELAY_SEQ || o->start == RELAY_TIME))
        rc = look_for_start(s, err);
    if (rc != 0)
        return rc;
    if (!ss_reader_header(s->reader))
        relay_say("waiting for %s", s->path);
    s->place = (struct file_place){.offset = ss_reader_offset(s->reader)};
    note_progress(s);
    return 0;
}

static void source_close(struct relay_source *base)
{
    struct file_source *s = (struct file_source *)base;
    ss_reader_close(s->reader);
    ss_pack_finish(&s->start.reached);
    ss_keys_free(s->keys, s->key_count);
    free(s->path);
    free(s);
}

int relay_file_source(struct relay_source **out, const struct ss_url *url, const struct relay_options *o, struct err *err)
{
    static const struct relay_source_ops ops = {
        .fill = source_fill, .position = source_position, .go = source_go, .close = source_close};
    int rc = check_source_options(o, err);
    if (rc != 0)
        return rc;
    struct file_source *s = calloc(1, sizeof *s);
    if (!s)
        return err_set(err, -ENOMEM, "no memory");
    s->base.ops = &ops;
    rc = ss_url_path(url, &s->path, err);
    if (rc == 0)
        rc = take_keys(s, url, o, err);
    if (rc == 0)
        rc = open_source(s, o, err);
    if (rc != 0) {
        source_close(&s->base);
        return rc;
    }
    *out = &s->base;
    return 0;
}
