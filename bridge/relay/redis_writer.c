#include "bridge/relay/redis_writer.h"

#include <errno.h>
#include <hiredis/hiredis.h>

#include "base/text.h"
#include "bridge/relay/end.h"

#define SEND_BYTES ((size_t)256 * 1024) /* commands are sent when so many bytes wait */
#define UNDER_WAY_MAX 16384             /* above it half of the replies are awaited */
#define TRIM_EVERY 1000                 /* entries between two trims */

static int no_memory(struct err *err)
{
    return err_sys(err, ENOMEM, "Redis");
}

/* --- commands ---------------------------------------------------------------------------------------- */

static int put_word(struct redis_writer *w, struct span word)
{
    return buf_add(&w->words, &word, sizeof(word));
}

/* "*", "MS-*" or "MS-N". */
static struct span write_id(char out[static REDIS_ID_TEXT], enum redis_flight_kind kind, struct redis_id id)
{
    if (kind == FLIGHT_ADD)
        return span_str("*");
    size_t len = redis_id_format(out, id);
    if (kind == FLIGHT_TIMED) {
        len = text_format_u64(out, id.ms);
        out[len++] = '-';
        out[len++] = '*';
    }
    return span_of(out, len);
}

static int command_add(struct redis_writer *w, const struct redis_flight *f, const struct ss_message *messages, size_t count)
{
    char id[REDIS_ID_TEXT];
    struct span head[] = {span_str("XADD"), span_of(f->to->name, f->to->len), write_id(id, f->kind, f->id)};
    buf_reset(&w->words);
    int rc = buf_add(&w->words, head, sizeof(head));
    for (size_t i = 0; rc == 0 && i < count; i++) {
        rc = put_word(w, w->field);
        if (rc == 0)
            rc = put_word(w, messages[i].payload);
    }
    return rc == 0 ? redis_conn_add(w->conn, (const struct span *)(const void *)w->words.ptr, w->words.len / sizeof(struct span)) : rc;
}

static int command_look(struct redis_writer *w, const struct redis_flight *f)
{
    char text[REDIS_ID_TEXT];
    struct span id = span_of(text, redis_id_format(text, f->id));
    struct span words[] = {span_str("XRANGE"), span_of(f->to->name, f->to->len), id, id};
    return redis_conn_add(w->conn, words, 4);
}

static int command_trim(struct redis_writer *w, const struct redis_flight *f)
{
    char digits[U64_TEXT_MAX];
    struct span words[] = {span_str("XTRIM"), span_of(f->to->name, f->to->len), span_str("MAXLEN"), span_str("~"),
                           span_of(digits, text_format_u64(digits, w->max_len))};
    return redis_conn_add(w->conn, words, 5);
}

/* `messages` are those of the flight, which keeps no pointer to them where nobody will ask. */
static int launch(struct redis_writer *w, struct redis_flight f, const struct ss_message *messages, size_t count, struct err *err)
{
    int rc = f.kind == FLIGHT_LOOK   ? command_look(w, &f)
             : f.kind == FLIGHT_TRIM ? command_trim(w, &f)
                                     : command_add(w, &f, messages, count);
    if (rc == 0)
        rc = redis_flight_put(&w->flights, f);
    return rc == 0 ? 0 : no_memory(err);
}

/* --- replies ----------------------------------------------------------------------------------------- */

static bool came_too_late(const struct redisReply *reply)
{
    return reply->type == REDIS_REPLY_ERROR && memmem(reply->str, reply->len, "equal or smaller", 16) != NULL;
}

static int refuse(const struct redis_flight *f, const struct redisReply *reply, struct err *err)
{
    char what[300];
    snprintf(what, sizeof(what), "stream %s", f->to->name);
    return redis_refused(reply, err, what);
}

static void note_id(const struct redis_flight *f, const struct redisReply *reply)
{
    struct redis_id id;
    if (redis_id_parse(redis_text(reply), &id) == 0 && id.ms > f->to->high_ms)
        f->to->high_ms = id.ms;
}

void redis_say_back(struct redis_writer *w, const struct redis_outlet *to)
{
    if (!w->said_back)
        relay_say("stream %s has later entries; a message from before them gets the server's time", to->name);
    w->said_back = true;
}

struct comparison {
    const struct redis_flight *flight;
    size_t seen;
    bool differs;
};

static int compare(void *arg, const struct ss_message *m, struct redis_id id)
{
    struct comparison *c = arg;
    (void)id;
    c->differs |= c->seen >= c->flight->count || !span_eq(m->payload, c->flight->message[c->seen].payload);
    c->seen++;
    return 0;
}

/* An entry with this id, or a later one, stands there: is it this one? */
static int judge_look(struct redis_writer *w, const struct redis_flight *f, const struct redisReply *reply, struct err *err)
{
    char text[REDIS_ID_TEXT];
    struct comparison c = {.flight = f};
    struct redis_entries e = {.field = w->field, .each = compare, .arg = &c};
    int rc = redis_entries_read(&e, reply, err);
    if (rc < 0)
        return rc;
    if (c.seen == f->count && !c.differs) {
        w->there++;
        return 0;
    }
    redis_id_format(text, f->id);
    return err_set(err, ERR_CONFLICT, "stream %s: %s %s; without --preserve it gets an id of its own", f->to->name,
                   c.seen > 0 ? "another message stands there as entry" : "later entries stand there, so none can be added as", text);
}

static int take_reply(struct redis_writer *w, const struct redis_flight *f, const struct redisReply *reply, struct err *err)
{
    if (f->kind == FLIGHT_EXACT && came_too_late(reply))
        return launch(w, (struct redis_flight){FLIGHT_LOOK, f->to, f->id, f->message, f->count}, NULL, 0, err);
    if (f->kind == FLIGHT_TIMED && came_too_late(reply)) {
        redis_say_back(w, f->to);
        return launch(w, (struct redis_flight){.kind = FLIGHT_ADD, .to = f->to}, f->message, f->count, err);
    }
    if (reply->type == REDIS_REPLY_ERROR)
        return refuse(f, reply, err);
    if (f->kind == FLIGHT_LOOK)
        return judge_look(w, f, reply, err);
    note_id(f, reply);
    return 0;
}

static int take_one(struct redis_writer *w, struct err *err)
{
    struct redisReply *reply = NULL;
    int rc = redis_conn_reply(w->conn, -1, &reply, err);
    if (rc != 0) {
        if (rc == ERR_CUT || rc == -ETIMEDOUT)
            err_set(err, rc, "%s went away; whether the last %zu commands were done is not known", redis_conn_name(w->conn),
                    w->flights.count);
        return rc;
    }
    struct redis_flight f = redis_flight_take(&w->flights);
    rc = take_reply(w, &f, reply, err);
    freeReplyObject(reply);
    return rc;
}

static int take_down_to(struct redis_writer *w, size_t left, struct err *err)
{
    int rc = 0;
    while (rc == 0 && (w->flights.count > left || (left == 0 && redis_conn_waiting(w->conn) > 0))) {
        rc = redis_conn_waiting(w->conn) > 0 ? redis_conn_send(w->conn, err) : 0;
        if (rc == 0 && w->flights.count > 0)
            rc = take_one(w, err);
    }
    return rc;
}

int redis_writer_drain(struct redis_writer *w, struct err *err)
{
    return take_down_to(w, 0, err);
}

/* --- adding ------------------------------------------------------------------------------------------ */

int redis_writer_trim(struct redis_writer *w, struct redis_outlet *to, struct err *err)
{
    to->added = 0;
    return launch(w, (struct redis_flight){.kind = FLIGHT_TRIM, .to = to}, NULL, 0, err);
}

int redis_writer_add(struct redis_writer *w, enum redis_flight_kind kind, struct redis_outlet *to, struct redis_id id,
                     const struct ss_message *messages, size_t count, struct err *err)
{
    bool asked_again = kind != FLIGHT_ADD;
    struct redis_flight f = {kind, to, id, asked_again ? messages : NULL, asked_again ? count : 0};
    int rc = launch(w, f, messages, count, err);
    if (rc == 0 && w->max_len > 0 && ++to->added >= TRIM_EVERY)
        rc = redis_writer_trim(w, to, err);
    if (rc == 0 && redis_conn_waiting(w->conn) >= SEND_BYTES)
        rc = redis_conn_send(w->conn, err);
    if (rc == 0 && w->flights.count > UNDER_WAY_MAX)
        rc = take_down_to(w, UNDER_WAY_MAX / 2, err);
    return rc;
}

void redis_writer_finish(struct redis_writer *w)
{
    redis_conn_close(w->conn);
    redis_flights_finish(&w->flights);
    redis_outlets_finish(&w->outlets);
    buf_finish(&w->words);
}
