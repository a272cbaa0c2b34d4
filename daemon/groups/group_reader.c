#include "daemon/groups/group_reader.h"

#include <errno.h>

#include "base/frame_json.h"
#include "daemon/groups/asking.h"

#define OUT_MAX (64 * 1024) /* rendered ahead of the client */
#define KEEP_IDLE 4096

/* A frame on its way to the client. */
struct given {
    struct frame_id id;
    size_t end; /* of its bytes in `out` */
};

static size_t given_count(const struct group_reader *r)
{
    return r->given.len / sizeof(struct given);
}

static struct given *given_at(const struct group_reader *r, size_t i)
{
    return (struct given *)(void *)r->given.ptr + i;
}

/* --- frames into bytes ------------------------------------------------------------------------ */

static int put_frame(struct group_reader *r, const struct frame *frame)
{
    char id[ID_TEXT_LEN + 1];
    struct given given = {.id = frame->id};
    int rc = buf_reserve(&r->given, sizeof(given));
    id_format(id, frame->id);
    if (rc == 0 && r->sse)
        rc = buf_addf(&r->out, "id: %s\ndata: ", id);
    if (rc == 0)
        rc = frame_json(&r->out, frame, r->flags);
    if (rc == 0)
        rc = buf_add_str(&r->out, r->sse ? "\n\n" : "\n");
    given.end = r->out.len;
    return rc == 0 ? buf_add(&r->given, &given, sizeof(given)) : rc;
}

static bool has_room(const struct group_reader *r)
{
    return r->left > 0 && !r->ended && r->out.len - r->sent < OUT_MAX;
}

static void on_frame(void *arg, const struct frame *frame)
{
    struct group_reader *r = arg;
    size_t before = r->out.len;
    if (!exchange_allows(&r->x, AUTH_READ, frame->topic)) { /* the group is of other topics by now */
        r->seat->closed = ERR_FORBIDDEN;
        delivery_willing(&r->host->delivery, &r->seat->core, false);
        delivery_return(&r->host->delivery, frame->id, &r->seat->core);
        exchange_wake(&r->x);
        return;
    }
    if (put_frame(r, frame) < 0) {
        r->out.len = before;
        delivery_return(&r->host->delivery, frame->id, &r->seat->core);
        return;
    }
    r->left -= r->left != UINT64_MAX;
    if (!has_room(r))
        group_host_willing(r->seat, false);
    exchange_wake(&r->x);
}

static void on_look(void *arg)
{
    struct group_reader *r = arg;
    exchange_wake(&r->x);
}

/* A client that was killed ends its side; over TCP no more is seen of it until the next bytes go out. */
static bool on_yield(void *arg)
{
    struct group_reader *r = arg;
    if (!http_client_ended(r->x.req))
        return false;
    http_abort(r->x.req);
    group_reader_gone(&r->x);
    return true;
}

/* --- the answer's bytes ----------------------------------------------------------------------- */

/* More is asked for, so what was given before is in the client's socket. */
static void note_sent(struct group_reader *r)
{
    size_t n = 0, count = given_count(r);
    while (n < count && given_at(r, n)->end <= r->sent) {
        if (!r->ask.by_hand)
            delivery_ack(&r->host->delivery, given_at(r, n)->id);
        n++;
    }
    buf_consume(&r->given, n * sizeof(struct given));
    if (n > 0 && !r->ask.by_hand)
        group_host_settle(r->host);
}

static void recorded(struct group_call *call, int result, const struct err *err)
{
    struct group_reader *r =
        (struct group_reader *)((char *)call - offsetof(struct group_reader, call));
    (void)err, (void)result; /* recorded again later; until then it may come again */
    r->recording = false;
    exchange_wake(&r->x);
    exchange_drop(&r->x);
}

/* The end is told when what was acknowledged on the way is durable. */
static long end(struct group_reader *r)
{
    int result;
    if (r->recording)
        return HTTP_WAIT;
    group_host_willing(r->seat, false);
    if (!r->ended && !r->ask.by_hand) {
        r->ended = true;
        r->call = (struct group_call){.after = recorded};
        exchange_hold(&r->x);
        r->recording = group_host_record(r->host, &r->call, &result);
        if (r->recording)
            return HTTP_WAIT;
        exchange_drop(&r->x);
    }
    r->ended = true;
    return 0;
}

static long next_bytes(struct group_reader *r)
{
    if (r->ended || r->left == 0)
        return end(r);
    if (r->seat->closed < 0)
        return HTTP_ABORT;
    if (r->seat->closed > 0 || (!r->seat->follow && group_host_drained(r->host)))
        return end(r);
    return HTTP_WAIT;
}

static void empty_out(struct group_reader *r)
{
    buf_reset(&r->out);
    r->sent = 0;
    if (r->out.cap > KEEP_IDLE)
        buf_finish(&r->out);
}

static long read_bytes(void *arg, struct http_req *req, uint8_t *into, size_t room)
{
    struct group_reader *r = http_state(req);
    (void)arg;
    if (!r->seat) /* it yielded */
        return HTTP_ABORT;
    note_sent(r);
    if (r->sent == r->out.len) {
        empty_out(r);
        long rc = next_bytes(r);
        if (rc == HTTP_WAIT)
            group_host_willing(r->seat, has_room(r));
        return rc;
    }
    return (long)buf_copy(&r->out, &r->sent, into, room);
}

/* --- joining ---------------------------------------------------------------------------------- */

static int join(struct group_reader *r, struct err *err)
{
    struct http_field named[] = {{"Weir-Member", NULL}, {NULL, NULL}};
    if (r->host->dropped)
        return err_set(err, ERR_UNAVAILABLE, "the group is being removed");
    int rc = asking_check(&r->x, &r->host->config, buf_span(&r->ask.group), false, err);
    if (rc == 0)
        rc = group_config_fits(&r->host->config, &r->ask.config, err);
    if (rc == 0)
        rc = group_host_join(r->host, buf_span(&r->ask.member), r->ask.window, r->x.query.follow,
                             &r->seat, err);
    if (rc < 0)
        return rc;
    r->seat->frame = on_frame;
    r->seat->look = on_look;
    r->seat->yield = on_yield;
    r->seat->arg = r;
    if (r->flags & FRAME_JSON_CONTENT)
        group_host_show_contents(r->seat);
    named[0].value = r->seat->name;
    exchange_stream(&r->x, r->sse ? "text/event-stream" : "application/x-ndjson", UINT64_MAX,
                    read_bytes, named);
    group_host_willing(r->seat, has_room(r));
    return 0;
}

static struct group_reader *reader_of(struct group_call *call)
{
    return (struct group_reader *)((char *)call - offsetof(struct group_reader, call));
}

/* The group is there, or could not be made. */
static void made(struct group_call *call, int result, const struct err *err)
{
    struct group_reader *r = reader_of(call);
    struct err why = err ? *err : ERR_INIT;
    if (result < 0)
        groups_forget(r->x.site->groups, r->host);
    if (result == 0 && exchange_open(&r->x))
        result = join(r, &why);
    if (result < 0)
        exchange_fail(&r->x, result, &why, NULL);
    exchange_drop(&r->x);
}

static int find_or_make(struct group_reader *r, struct err *err)
{
    struct groups *groups = r->x.site->groups;
    struct span name = buf_span(&r->ask.group);
    struct group_host *host = groups_find(groups, name);
    if (!host) {
        struct group_config config;
        int rc = group_config_init(&config);
        if (rc == 0)
            rc = group_config_apply(&config, &r->ask.config);
        if (rc == 0)
            rc = asking_check(&r->x, &config, name, true, err);
        if (rc == 0)
            rc = groups_make(groups, name, &config, &r->place, &host, err);
        group_config_finish(&config);
        if (rc < 0)
            return rc;
    }
    group_host_hold(host);
    r->host = host;
    return 0;
}

static void loaded(struct group_call *call, int result, const struct err *err)
{
    struct group_reader *r = reader_of(call);
    struct err why = err ? *err : ERR_INIT;
    if (result == 0 && exchange_open(&r->x))
        result = find_or_make(r, &why);
    if (result < 0 || !exchange_open(&r->x)) {
        exchange_fail(&r->x, result, &why, NULL);
        exchange_drop(&r->x);
        return;
    }
    r->call = (struct group_call){.after = made};
    if (!group_host_wait(r->host, &r->call))
        made(&r->call, 0, NULL);
}

static struct group_place place_of(const struct query *q)
{
    struct group_place place = {.start = GROUP_START_FIRST};
    struct frame_id low = {0}, high;
    if (q->fresh)
        place.start = GROUP_START_NEW;
    else if (q->given & (QUERY_FROM | QUERY_AFTER | QUERY_SINCE))
        place.start = query_bounds(q, &low, &high) && !id_is_zero(low) ? GROUP_START_BEHIND
                                                                        : GROUP_START_FIRST;
    if (place.start == GROUP_START_BEHIND)
        place.id = id_pred(low);
    return place;
}

static int check(const struct group_reader *r, struct err *err)
{
    static const struct {
        uint64_t key;
        const char *name;
    } odd[] = {{QUERY_REVERSE, "reverse"}, {QUERY_COUNT, "count"}, {QUERY_BEFORE, "before"},
               {QUERY_UNTIL, "until"},     {QUERY_LAST, "last"},   {QUERY_STREAM, "stream"},
               {QUERY_FROM_SEQ, "from-seq"}};
    for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++)
        if (r->x.query.given & odd[i].key)
            return err_set(err, ERR_INVALID, "%s does not go with group", odd[i].name);
    if (r->x.query.pulse_ms > 0)
        return err_set(err, ERR_INVALID, "a group's members get no pulses");
    if (r->ask.group.len == 0)
        return err_set(err, ERR_INVALID, "group: a name is missing");
    if (http_method(r->x.req) == HTTP_HEAD)
        return err_set(err, ERR_INVALID, "a group is read by GET");
    return 0;
}

int group_reader_begin(struct group_reader *r, bool sse, struct err *err)
{
    int rc = group_ask_parse(&r->ask, http_query(r->x.req), err);
    if (rc == 0)
        rc = check(r, err);
    if (rc < 0)
        return rc;
    const struct query *q = &r->x.query;
    r->sse = sse;
    r->flags = query_shown(q) & ~FRAME_JSON_AUTHORITY;
    r->left = q->given & QUERY_LIMIT ? q->limit : UINT64_MAX;
    r->place = place_of(q);
    r->call = (struct group_call){.after = loaded};
    exchange_hold(&r->x);
    if (!groups_load(r->x.site->groups, &r->call))
        loaded(&r->call, 0, NULL);
    return 0;
}

/* --- leaving ---------------------------------------------------------------------------------- */

/* What never left us was no attempt. */
static void give_back(struct group_reader *r)
{
    for (size_t i = 0; i < given_count(r); i++)
        if (given_at(r, i)->end > r->sent)
            delivery_return(&r->host->delivery, given_at(r, i)->id, &r->seat->core);
}

void group_reader_gone(struct exchange *x)
{
    struct group_reader *r = (struct group_reader *)x;
    struct group_seat *seat = r->seat;
    if (!seat)
        return;
    uint64_t grace = r->ask.grace_ms;
    if (r->ended)
        grace = DELIVERY_NEVER;
    else if (!r->ask.by_hand)
        grace = 0;
    delivery_willing(&r->host->delivery, &seat->core, false);
    give_back(r);
    r->seat = NULL;
    group_host_leave(seat, grace);
}

void group_reader_finish(struct exchange *x)
{
    struct group_reader *r = (struct group_reader *)x;
    group_ask_finish(&r->ask);
    buf_finish(&r->out);
    buf_finish(&r->given);
    if (r->host)
        group_host_drop(r->host);
}
