/*
 * POST /groups/G/ack, POST /groups/G/nack.
 */
#include "base/json.h"
#include "daemon/groups/asking.h"

static int add_id(struct buf *ids, struct span text, struct err *err)
{
    struct frame_id id;
    int rc = id_parse(&id, text, err);
    return rc == 0 ? buf_add(ids, &id, sizeof(id)) : rc;
}

static int ids_of_array(struct buf *ids, struct span json, struct err *err)
{
    struct json_iter it;
    struct json_value value;
    int rc = json_validate(json, 2, NULL, err);
    if (rc == 0)
        rc = json_iter_init(&it, json);
    while (rc == 0 && json_iter_next(&it, NULL, &value)) {
        if (value.type != JSON_STRING)
            return err_set(err, ERR_INVALID, "ids are texts");
        rc = add_id(ids, span_of(value.raw.ptr + 1, value.raw.len - 2), err);
    }
    return rc;
}

static struct span next_line(struct span *rest)
{
    const uint8_t *end = memchr(rest->ptr, '\n', rest->len);
    struct span line = {rest->ptr, end ? (size_t)(end - rest->ptr) : rest->len};
    size_t used = end ? line.len + 1 : line.len;
    *rest = span_of(rest->ptr + used, rest->len - used);
    while (line.len > 0 && strchr(" \t\r", line.ptr[line.len - 1]) && line.ptr[line.len - 1])
        line.len--;
    return line;
}

/* Lines of an id each, or a JSON array of them. */
static int ids_of(struct buf *ids, struct span body, struct err *err)
{
    int rc = 0;
    struct span rest = body;
    while (rest.len > 0 && rest.ptr[0] <= ' ')
        rest = span_of(rest.ptr + 1, rest.len - 1);
    if (rest.len > 0 && rest.ptr[0] == '[')
        return ids_of_array(ids, rest, err);
    while (rc == 0 && rest.len > 0) {
        struct span line = next_line(&rest);
        if (line.len > 0)
            rc = add_id(ids, line, err);
    }
    return rc;
}

static int answer_counts(struct asking *a)
{
    CLEAN_BUF body = BUF_INIT;
    int rc = buf_addf(&body, "{\"%s\":%zu,\"unknown\":%zu}", a->nack ? "nacked" : "acked", a->acked,
                      a->unknown);
    if (rc == 0)
        exchange_reply(&a->x, 200, "application/json", buf_span(&body), NULL);
    return rc;
}

static void acked(struct group_call *call, int result, const struct err *err)
{
    struct asking *a = asking_of(call);
    struct err why = *err;
    if (result == 0)
        result = answer_counts(a);
    if (result < 0)
        exchange_fail(&a->x, result, &why, NULL);
    exchange_drop(&a->x);
}

static void change(struct asking *a, struct delivery *delivery, struct buf *ids,
                   const struct group_seat *seat)
{
    const struct frame_id *id = (const struct frame_id *)(const void *)ids->ptr;
    for (size_t i = 0; i < ids->len / sizeof(*id); i++) {
        bool known = a->nack ? delivery_nack(delivery, id[i], seat ? &seat->core : NULL)
                             : delivery_ack(delivery, id[i]);
        *(known ? &a->acked : &a->unknown) += 1;
    }
    if (a->ask.has_upto && seat)
        a->acked += delivery_ack_upto(delivery, &seat->core, a->ask.upto);
}

static int act_ack(struct asking *a, struct err *err)
{
    CLEAN_BUF ids = BUF_INIT;
    struct group_host *host;
    bool named = a->ask.member.len > 0;
    int rc = asking_find(a, &host, err);
    if (rc == 0)
        rc = ids_of(&ids, buf_span(&a->body), err);
    if (rc < 0)
        return rc;
    const struct group_seat *seat = named ? group_host_seat(host, buf_span(&a->ask.member)) : NULL;
    if (a->nack && named && !seat)
        a->unknown = ids.len / sizeof(struct frame_id); /* it has nothing */
    else
        change(a, &host->delivery, &ids, seat);
    group_host_hold(host);
    a->host = host;
    a->call = (struct group_call){.after = acked};
    exchange_hold(&a->x);
    bool later = !a->nack && group_host_record(host, &a->call, &rc);
    group_host_settle(host);
    if (later)
        return 0;
    exchange_drop(&a->x);
    return rc == 0 ? answer_counts(a) : rc;
}

static int begin_post(struct exchange *x, struct err *err)
{
    struct asking *a = (struct asking *)x;
    struct span verb;
    int rc = asking_name(a, &verb, err);
    if (rc < 0)
        return rc;
    a->nack = span_is(verb, "nack");
    if (!a->nack && !span_is(verb, "ack"))
        return err_set(err, ERR_NOT_FOUND, "no such route");
    rc = group_ask_parse(&a->ask, http_query(x->req), err);
    if (rc < 0)
        return rc;
    if (a->ask.has_upto && (a->nack || a->ask.member.len == 0))
        return err_set(err, ERR_INVALID, a->nack ? "upto goes with ack only"
                                                 : "upto needs member: whose frames are meant");
    a->act = act_ack;
    return 0;
}

const struct route route_groups_post = {.size = sizeof(struct asking),
                                        .op = AUTH_READ,
                                        .begin = begin_post,
                                        .body = asking_body,
                                        .end = asking_end,
                                        .finish = asking_finish};
