#include "bridge/relay/pump.h"

#include <errno.h>
#include <poll.h>

#include "base/text.h"
#include "bridge/relay/until.h"

#define FLUSH_BYTES ((uint64_t)16 * 1024 * 1024)
#define FLUSH_US UINT64_C(1000000)

/* Who keeps the cursor. */
enum keeper { NOBODY, SINK, SOURCE, FILE_OF_OURS };

struct pump {
    struct relay_source *source;
    struct relay_sink *sink;
    const struct relay_options *o;
    struct relay_result *r;
    struct relay_batch batch;
    enum keeper keeper;
    struct relay_cursor file;
    struct buf place;  /* of the source, to be stored */
    bool place_stands; /* it is not that of the last fill: the batch was cut */
    bool cut;          /* messages were given that did not go over and come again: no place, no settling */
    bool put, given;   /* since the last flush: something went over; something was given at all */
    uint64_t bytes, since_us;
    struct relay_until until;
    bool over;
};

/* --- cursor -------------------------------------------------------------------------------------- */

static int choose_keeper(struct pump *p, struct err *err)
{
    if (!p->o->cursor)
        return 0;
    if (!p->source->ops->position || !p->source->ops->go)
        return err_set(err, ERR_INVALID, "--cursor: this input has no places to come back to");
    if (p->sink->ops->kept) {
        p->keeper = SINK;
        return 0;
    }
    if (p->source->ops->keep && p->source->ops->kept) {
        p->keeper = SOURCE;
        return 0;
    }
    int rc = relay_cursor_open(&p->file, p->o->cursor, err);
    if (rc == 0)
        p->keeper = FILE_OF_OURS;
    return rc;
}

static int kept(struct pump *p, struct err *err)
{
    if (p->keeper == SINK)
        return p->sink->ops->kept(p->sink, p->o->cursor, &p->place, err);
    if (p->keeper == SOURCE)
        return p->source->ops->kept(p->source, p->o->cursor, &p->place, err);
    return relay_cursor_read(&p->file, &p->place, err);
}

static int take_place(struct pump *p, struct err *err)
{
    buf_reset(&p->place);
    if (p->keeper == NOBODY)
        return 0;
    int rc = p->source->ops->position(p->source, &p->place);
    return rc == 0 ? 0 : err_set(err, rc, "place of the input: %s", err_code_text(rc));
}

static int flush_with_place(struct pump *p, bool place, struct err *err)
{
    struct span at = place ? buf_span(&p->place) : (struct span){0};
    bool in_sink = p->keeper == SINK && at.len > 0;
    int rc = p->sink->ops->flush(p->sink, in_sink ? p->o->cursor : NULL, in_sink ? at : (struct span){0}, err);
    if (rc != 0 || at.len == 0 || in_sink)
        return rc;
    if (p->keeper == SOURCE)
        return p->source->ops->keep(p->source, p->o->cursor, at, err);
    return relay_cursor_write(&p->file, at, err);
}

static int flush(struct pump *p, struct err *err)
{
    int rc = p->place_stands ? 0 : take_place(p, err);
    if (rc == 0)
        rc = flush_with_place(p, !p->cut, err);
    if (rc == 0 && p->given && !p->cut && p->source->ops->settle)
        rc = p->source->ops->settle(p->source, err);
    if (rc == 0) {
        p->put = p->given = false;
        p->bytes = 0;
    }
    return rc;
}

/* Goes where the cursor stands. A new one is stored before the first message, so that a kill does not move where it began. */
static int resume(struct pump *p, struct err *err)
{
    int rc = choose_keeper(p, err);
    if (rc != 0 || p->keeper == NOBODY)
        return rc;
    rc = kept(p, err);
    if (rc == ERR_NOT_FOUND)
        rc = take_place(p, err);
    else if (rc == 0) {
        p->r->resumed = true;
        rc = p->source->ops->go(p->source, buf_span(&p->place), err);
        if (rc == ERR_INVALID)
            err_prefix(err, "cursor %s", p->o->cursor);
        return rc;
    }
    return rc == 0 && p->place.len > 0 ? flush_with_place(p, true, err) : rc;
}

/* --- what goes over ------------------------------------------------------------------------------ */

static bool chosen(struct pump *p, const struct ss_message *m)
{
    const struct relay_options *o = p->o;
    if (o->has_until && !relay_until_allows(&p->until, m))
        return false;
    return o->share_count == 0 || ss_share(m->seq, o->share_count) == o->share_index;
}

static struct span key_of(const struct relay_options *o, const struct ss_message *m)
{
    if (o->key)
        return span_str(o->key);
    for (size_t i = 0; i < o->rename_count; i++) {
        if (span_is(m->key, o->rename[i][0]))
            return span_str(o->rename[i][1]);
    }
    return m->key;
}

/* Without --preserve only the payload is the message's own. */
static void change(const struct relay_options *o, struct ss_message *m, uint64_t now_ms)
{
    m->key = key_of(o, m);
    if (o->preserve)
        return;
    m->shard = m->seq = 0;
    m->time_ms = now_ms;
    m->time_ns = 0;
    m->meta = (struct span){0};
    m->no_key = false;
    m->no_seq = m->no_time = true;
}

/* Leaves in the batch what goes over. */
static uint64_t choose(struct pump *p)
{
    struct relay_batch *b = &p->batch;
    uint64_t now_ms = p->o->preserve ? 0 : time_now_ms(), bytes = 0;
    size_t kept_count = 0;
    for (size_t i = 0; i < b->count; i++) {
        if (!chosen(p, &b->list[i])) {
            p->r->passed_over++;
            continue;
        }
        if (p->o->limit > 0 && p->r->messages + kept_count == p->o->limit) {
            p->cut = true;
            break;
        }
        if (kept_count != i)
            b->list[kept_count] = b->list[i];
        change(p->o, &b->list[kept_count], now_ms);
        bytes += b->list[kept_count++].payload.len;
    }
    b->count = kept_count;
    return bytes;
}

/* What was put and cannot be taken back is made durable as far as that goes; a sink that stores the cursor with it stores
 * neither. */
static int put_failed(struct pump *p, int rc)
{
    struct err dropped = ERR_INIT;
    if (p->keeper != SINK)
        (void)p->sink->ops->flush(p->sink, NULL, (struct span){0}, &dropped);
    return rc;
}

static int take(struct pump *p, struct err *err)
{
    if (p->batch.count == 0)
        return 0;
    if (!p->given)
        p->since_us = time_mono_us();
    p->given = true;
    uint64_t bytes = choose(p);
    if (p->batch.count > 0) {
        int rc = p->sink->ops->put(p->sink, &p->batch, err);
        if (rc != 0)
            return put_failed(p, rc);
        p->put = true;
    }
    p->bytes += bytes;
    p->r->bytes += bytes;
    p->r->messages += p->batch.count;
    return 0;
}

/* --- rounds -------------------------------------------------------------------------------------- */

/* With a cursor the place must be that of the last message which went over, so the end by time is looked for one by one. */
static bool by_ones(const struct pump *p)
{
    return p->o->has_until && p->keeper != NOBODY;
}

static void make_room(struct pump *p)
{
    uint64_t left = p->o->limit > 0 ? p->o->limit - p->r->messages : 0;
    relay_batch_reset(&p->batch);
    p->batch.count_max = by_ones(p) ? 1 : left < SIZE_MAX ? (size_t)left : 0;
}

/* Nothing is waited for while something is not flushed. */
static int patience(const struct pump *p)
{
    if (p->put)
        return 0;
    int ms = p->o->has_until ? relay_until_wait(&p->until) : -1;
    if (!p->given)
        return ms;
    uint64_t gone_us = time_mono_us() - p->since_us;
    int due = gone_us >= FLUSH_US ? 0 : (int)((FLUSH_US - gone_us) / 1000 + 1);
    return ms >= 0 && ms < due ? ms : due;
}

static bool flush_due(const struct pump *p, bool nothing_more)
{
    return (p->put && (nothing_more || p->sink->full)) ||
           (p->given && (p->bytes >= FLUSH_BYTES || time_mono_us() - p->since_us >= FLUSH_US));
}

static void look_at_until(struct pump *p, bool nothing_more)
{
    if (by_ones(p) && relay_until_seen(&p->until)) {
        p->place_stands = true;
        p->over = true;
    } else if (p->o->has_until)
        p->over = p->over || relay_until_over(&p->until, nothing_more);
}

/* Whether this is the sink's reader that went away, which ends the relay and is no fault. */
static bool is_gone(struct pump *p, int rc)
{
    struct pollfd out = {.fd = p->sink->ops->watch ? p->sink->ops->watch(p->sink) : -1};
    if (rc != -EPIPE || poll(&out, 1, 0) != 1 || !(out.revents & (POLLERR | POLLHUP)))
        return false;
    p->r->gone = p->over = true;
    return true;
}

/* How a fill ended the relay, if it did. What was taken from a pipe goes over before a signal counts. */
static int judge_fill(struct pump *p, int rc)
{
    if (rc == -EINTR || (relay_stopped() && !p->source->holds))
        p->r->stopped = p->over = true;
    if (rc == ERR_END)
        p->over = true;
    return rc == -EINTR || rc == ERR_END || is_gone(p, rc) ? 0 : rc;
}

static int fill_round(struct pump *p, struct err *err)
{
    int rc = 0;
    make_room(p);
    if (by_ones(p))
        rc = take_place(p, err);
    if (rc != 0)
        return rc;
    struct err why = ERR_INIT;
    int filled = p->source->ops->fill(p->source, &p->batch, patience(p), &why);
    bool nothing_more = p->batch.count == 0;
    rc = take(p, err);
    if (rc != 0)
        return rc;
    look_at_until(p, nothing_more);
    p->over = p->over || (p->o->limit > 0 && p->r->messages >= p->o->limit);
    filled = judge_fill(p, filled);
    if (filled < 0) {
        /* What came before the fault is kept. */
        rc = p->given ? flush(p, err) : 0;
        if (err && rc == 0)
            *err = why;
        return rc < 0 ? rc : filled;
    }
    return !p->over && flush_due(p, nothing_more) ? flush(p, err) : 0;
}

static void count_skipped(struct pump *p)
{
    p->r->bad = p->source->bad;
    p->r->refused = p->sink->refused;
}

static int end(struct pump *p, struct err *err)
{
    if (p->r->gone)
        return 0;
    int rc = p->given ? flush(p, err) : 0;
    if (rc == 0 && p->sink->ops->end)
        rc = p->sink->ops->end(p->sink, err);
    return is_gone(p, rc) ? 0 : rc;
}

int relay_run(struct relay_source *source, struct relay_sink *sink, const struct relay_options *o,
              void (*tick)(void *arg, const struct relay_result *r, const struct relay_source *s), void *arg,
              struct relay_result *out, struct err *err)
{
    *out = (struct relay_result){0};
    struct pump p = {.source = source, .sink = sink, .o = o, .r = out, .file = {.dir_fd = -1, .lock_fd = -1}};
    relay_until_begin(&p.until, o);
    relay_stop_watch(sink->ops->watch ? sink->ops->watch(sink) : -1);
    int rc = resume(&p, err);
    while (rc == 0 && !p.over) {
        rc = fill_round(&p, err);
        rc = is_gone(&p, rc) ? 0 : rc;
        count_skipped(&p);
        if (tick)
            tick(arg, out, source);
    }
    if (rc == 0)
        rc = end(&p, err);
    count_skipped(&p);
    relay_stop_watch(-1);
    relay_cursor_close(&p.file);
    relay_until_finish(&p.until);
    relay_batch_finish(&p.batch);
    buf_finish(&p.place);
    return rc;
}
