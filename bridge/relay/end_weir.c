/* A weir store as a source: a plain read of its log, which goes on behind the last frame when the daemon was away. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/clean.h"
#include "base/text.h"
#include "base/topic.h"
#include "bridge/relay/weir_ask.h"
#include "bridge/relay/weir_frame.h"
#include "bridge/relay/weir_group.h"
#include "bridge/relay/weir_place.h"

#define READ_ROOM ((size_t)256 * 1024)
#define LINE_MAX_BYTES ((size_t)64 * 1024 * 1024)
#define UNREAD_MAX ((size_t)16 * 1024 * 1024) /* of a group, looked at when it is left */

struct weir_in {
    struct relay_source base;
    struct relay_store store, side; /* the read; contents and acknowledgements */
    struct relay_group *group;      /* NULL: a plain read */
    char **keys;                    /* a copy of the URL's */
    size_t key_count;
    bool follow, open, over;
    struct weir_place place;
    struct buf held;  /* received; from `at` on not taken */
    size_t at;
    struct relay_frame frame;
    struct buf content; /* fetched */
};

/* --- what is asked for --------------------------------------------------------------------------- */

static int add_key(struct buf *target, char sign, const char *key)
{
    int rc = buf_add(target, &sign, 1);
    return rc == 0 ? uri_encode(target, span_str(key), "") : rc;
}

/* One key by its name; several where all may stand in a pattern; else everything, and what is not wanted is passed over. */
static int add_keys(const struct weir_in *in, struct buf *target)
{
    bool legal = true;
    int rc = 0;
    if (in->key_count == 0)
        return 0;
    if (in->key_count == 1 && !in->group) {
        rc = buf_add_str(target, "&stream");
        return rc == 0 ? add_key(target, '=', in->keys[0]) : rc;
    }
    for (size_t i = 0; i < in->key_count; i++)
        legal = legal && topic_check(span_str(in->keys[i]), NULL) == 0;
    if (!legal)
        return 0;
    rc = buf_add_str(target, "&topic");
    for (size_t i = 0; rc == 0 && i < in->key_count; i++)
        rc = add_key(target, i == 0 ? '=' : ',', in->keys[i]);
    return rc;
}

static int begin_read(struct weir_in *in, struct err *err)
{
    CLEAN_BUF target = BUF_INIT;
    struct weir_response res;
    int rc = buf_add_str(&target, "/?" RELAY_FRAME_QUERY);
    if (rc == 0)
        rc = add_keys(in, &target);
    if (rc == 0)
        rc = in->group ? relay_group_query(in->group, &target) : weir_place_query(&in->place, &target);
    if (rc == 0 && in->follow)
        rc = buf_add_str(&target, "&follow");
    if (rc < 0 || !buf_cstr(&target))
        return err_set(err, rc < 0 ? rc : -ENOMEM, "no memory for a request");
    const struct weir_request req = {.method = "GET", .target = (const char *)target.ptr, .replay_safe = true};
    rc = weir_request(in->store.w, &req, &res, err);
    if (rc == 0)
        rc = weir_check(in->store.w, &res, err);
    if (rc < 0)
        return rc;
    relay_store_answered(&in->store);
    in->open = true;
    in->at = 0;
    buf_reset(&in->held);
    return 0;
}

/* --- frames -------------------------------------------------------------------------------------- */

static bool is_wanted(const struct weir_in *in, struct span topic)
{
    if (in->key_count > 0)
        return ss_keys_have(in->keys, in->key_count, topic);
    return !(topic.len >= 3 && memcmp(topic.ptr, "xs.", 3) == 0);
}

static void note_place(struct weir_in *in, struct frame_id id)
{
    in->place.by = WEIR_PLACE_ID;
    in->place.id = id;
}

static int skip(struct weir_in *in, const char *why)
{
    char id[ID_TEXT_LEN + 1];
    id_format(id, in->frame.id);
    in->base.bad++;
    relay_say("frame %s of %.*s %s; skipped", id, SPAN_ARG(in->frame.m.key), why);
    return 0;
}

static int add_frame(struct weir_in *in, struct relay_batch *into, struct err *err)
{
    struct relay_frame *f = &in->frame;
    if (!is_wanted(in, f->m.key) || f->command || (in->place.has_time && f->m.time_ms <= in->place.time_ms))
        return 0;
    if (f->sealed)
        return skip(in, "is encrypted, and can be read by s2:// alone");
    int rc = f->fetch ? relay_ask_content(&in->side, f->hash, &in->content, err) : 0; /* large ones come by themselves */
    if (rc == 1)
        return skip(in, "has a content that is not in the store");
    if (f->fetch)
        f->m.payload = buf_span(&in->content);
    if (rc == 0)
        rc = relay_batch_add(into, &f->m);
    buf_finish(&in->content);
    return rc;
}

/* Only what the log holds is a place to go on behind. */
static bool is_synthetic(const struct relay_frame *f)
{
    return f->m.no_seq && (span_is(f->m.key, "xs.threshold") || span_is(f->m.key, "xs.lost"));
}

static int take_line(struct weir_in *in, struct span line, struct relay_batch *into, struct err *err)
{
    if (line.len == 0)
        return 0;
    int rc = relay_frame_read(&in->frame, line, err);
    if (rc == 0 && is_synthetic(&in->frame))
        return 0;
    if (rc == 0)
        rc = add_frame(in, into, err);
    if (rc == 0 && in->group)
        rc = relay_group_given(in->group, in->frame.id);
    if (rc == 0)
        note_place(in, in->frame.id);
    return rc;
}

/* Lines that are here, until the batch is full. */
static int take_lines(struct weir_in *in, struct relay_batch *into, struct err *err)
{
    int rc = 0;
    while (rc == 0 && !relay_batch_full(into) && in->at < in->held.len) {
        const uint8_t *from = in->held.ptr + in->at;
        const uint8_t *end = memchr(from, '\n', in->held.len - in->at);
        if (!end)
            break;
        rc = take_line(in, span_of(from, (size_t)(end - from)), into, err);
        if (rc == 0)
            in->at += (size_t)(end - from) + 1;
    }
    return rc;
}

/* --- reading ------------------------------------------------------------------------------------- */

/* The connection is over, or was cut: a follower comes back, behind the last frame that was whole. */
static int ended(struct weir_in *in, long n, struct err *err)
{
    in->open = false;
    weir_close(in->store.w);
    in->store.w = NULL;
    int rc = weir_open(&in->store.w, &in->store.addr, err);
    if (rc < 0)
        return rc;
    if (n == 0 && !in->follow) {
        in->over = true;
        return ERR_END;
    }
    if (n == 0)
        err_set(err, ERR_CUT, "the store's daemon ended");
    return relay_store_again(&in->store, n == 0 ? ERR_CUT : (int)n, err);
}

/* More bytes of the read. 1: some came; 0: none in time. */
static int receive(struct weir_in *in, int wait_ms, struct err *err)
{
    if (!weir_ready(in->store.w)) {
        int rc = relay_poll(weir_fd(in->store.w), POLLIN, wait_ms);
        if (rc <= 0)
            return rc;
    }
    buf_consume(&in->held, in->at);
    in->at = 0;
    if (in->held.len > LINE_MAX_BYTES)
        return err_set(err, ERR_TOO_LARGE, "the store sent a line over %zu bytes", LINE_MAX_BYTES);
    if (buf_reserve(&in->held, READ_ROOM) < 0)
        return err_set(err, -ENOMEM, "no memory for what the store sends");
    long n = weir_read(in->store.w, in->held.ptr + in->held.len, READ_ROOM, err);
    if (n <= 0) {
        int rc = ended(in, n, err);
        return rc == 0 ? 1 : rc;
    }
    in->held.len += (size_t)n;
    return 1;
}

static int open_again(struct weir_in *in, struct err *err)
{
    int rc = 0;
    while (!in->open && (rc = begin_read(in, err)) < 0 && (rc = relay_store_again(&in->store, rc, err)) == 0)
        ;
    return rc;
}

static int fill(struct relay_source *s, struct relay_batch *into, int wait_ms, struct err *err)
{
    struct weir_in *in = (struct weir_in *)s;
    uint64_t until_us = wait_ms < 0 ? UINT64_MAX : time_mono_us() + (uint64_t)wait_ms * 1000;
    int rc = in->over ? ERR_END : 1;
    while (rc == 1) {
        if (relay_stopped())
            return -EINTR;
        rc = open_again(in, err);
        if (rc == 0)
            rc = take_lines(in, into, err);
        if (rc == 0 && !relay_batch_full(into))
            rc = receive(in, into->count > 0 ? 0 : time_left_ms(until_us), err);
    }
    if (rc == 0 && in->group)
        rc = relay_group_filled(in->group, &in->side, err);
    return rc;
}

/* --- places -------------------------------------------------------------------------------------- */

static int position(struct relay_source *s, struct buf *out)
{
    return weir_place_format(&((struct weir_in *)s)->place, out);
}

/* What was asked for this time does not count. */
static int go(struct relay_source *s, struct span text, struct err *err)
{
    struct weir_in *in = (struct weir_in *)s;
    if (weir_place_parse(&in->place, text) != 0)
        return err_set(err, ERR_INVALID, "\"%.*s\" is no place in a store", text.len < 60 ? (int)text.len : 60, (const char *)text.ptr);
    in->over = false;
    return 0;
}

static int keep(struct relay_source *s, const char *cursor, struct span place, struct err *err)
{
    return relay_store_keep(&((struct weir_in *)s)->side, cursor, place, err);
}

static int kept(struct relay_source *s, const char *cursor, struct buf *out, struct err *err)
{
    return relay_store_kept(&((struct weir_in *)s)->side, cursor, out, NULL, err);
}

static int settle(struct relay_source *s, struct err *err)
{
    struct weir_in *in = (struct weir_in *)s;
    return relay_group_settle(in->group, &in->side, err);
}

/* The newest frame of all is where the end is. */
static int find_end(struct weir_in *in, struct err *err)
{
    struct frame_id id;
    int rc = relay_ask_last(&in->side, &in->frame, &id, err);
    if (rc == 0)
        note_place(in, id);
    return rc < 0 ? rc : 0;
}

static int set_start(struct weir_in *in, const struct relay_options *o, struct err *err)
{
    if (o->start == RELAY_END)
        return find_end(in, err);
    if (o->start == RELAY_SEQ && in->key_count != 1)
        return err_set(err, ERR_INVALID, "weir: an offset by sequence needs exactly one key");
    if (o->start == RELAY_SEQ)
        in->place = (struct weir_place){.by = WEIR_PLACE_SEQ, .seq = o->value};
    if (o->start == RELAY_TIME)
        in->place = (struct weir_place){.by = WEIR_PLACE_TIME, .has_time = true, .time_ms = o->value};
    return 0;
}

/* --- life ---------------------------------------------------------------------------------------- */

/* Lines of a group that are here and were not given. */
static void note_unread(struct weir_in *in)
{
    const uint8_t *end;
    while (in->at < in->held.len && (end = memchr(in->held.ptr + in->at, '\n', in->held.len - in->at))) {
        struct span line = span_of(in->held.ptr + in->at, (size_t)(end - in->held.ptr) - in->at);
        if (line.len > 0 && relay_frame_read(&in->frame, line, NULL) == 0)
            (void)relay_group_unread(in->group, in->frame.id);
        in->at += line.len + 1;
    }
    buf_consume(&in->held, in->at);
    in->at = 0;
}

/* What the store has sent a member counts as handed out, so what is on its way is looked at too. The end of the connection is one that the
 * store sees at once, also over TCP, where it would take an ordinary one for the end of our side alone. */
static void leave_group(struct weir_in *in)
{
    const struct linger now = {.l_onoff = 1};
    struct pollfd p = {.fd = in->open ? weir_fd(in->store.w) : -1, .events = POLLIN};
    long n = 1;
    note_unread(in);
    for (size_t got = 0; in->open && n > 0 && got < UNREAD_MAX; got += (size_t)n) {
        if ((!weir_ready(in->store.w) && poll(&p, 1, 0) != 1) || buf_reserve(&in->held, READ_ROOM) < 0)
            break;
        n = weir_read(in->store.w, in->held.ptr + in->held.len, READ_ROOM, NULL);
        in->held.len += n > 0 ? (size_t)n : 0;
        note_unread(in);
    }
    if (p.fd >= 0)
        (void)setsockopt(p.fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    relay_store_close(&in->store);
}

static void close_in(struct relay_source *s)
{
    struct weir_in *in = (struct weir_in *)s;
    if (in->group && in->side.w)
        leave_group(in);
    if (in->group)
        relay_group_close(in->group, in->side.w ? &in->side : NULL);
    relay_store_close(&in->store);
    relay_store_close(&in->side);
    ss_keys_free(in->keys, in->key_count);
    buf_finish(&in->held);
    buf_finish(&in->content);
    relay_frame_finish(&in->frame);
    free(in);
}

static const struct relay_source_ops plain_ops = {fill, position, NULL, keep, kept, go, close_in};
static const struct relay_source_ops group_ops = {fill, NULL, settle, NULL, NULL, NULL, close_in};

static int open_in(struct weir_in *in, const struct ss_url *url, const struct relay_options *o, struct err *err)
{
    if (o->mode == SS_REALTIME && (o->group || o->member || o->has_commit))
        return err_set(err, ERR_INVALID, RELAY_NEEDS_MODE);
    int rc = ss_keys_copy(&in->keys, url);
    in->key_count = rc == 0 ? url->key_count : 0;
    if (rc == 0)
        rc = relay_store_open(&in->store, url, err);
    if (rc == 0)
        rc = relay_store_open(&in->side, url, err);
    if (rc == 0 && o->mode != SS_REALTIME)
        rc = relay_group_open(&in->group, in->keys, in->key_count, o, &in->side, err);
    if (rc == 0 && !in->group)
        rc = set_start(in, o, err);
    in->follow = o->follow;
    in->over = o->start == RELAY_END && !o->follow && !in->group;
    in->base.ops = in->group ? &group_ops : &plain_ops;
    return rc;
}

int relay_weir_source(struct relay_source **out, const struct ss_url *url, const struct relay_options *o, struct err *err)
{
    struct weir_in *in = calloc(1, sizeof(*in));
    int rc = in ? open_in(in, url, o, err) : -ENOMEM;
    if (rc == 0) {
        *out = &in->base;
        return 0;
    }
    if (in)
        close_in(&in->base);
    return err && err->code == rc ? rc : err_set(err, rc, "weir: %s", err_code_text(rc));
}
