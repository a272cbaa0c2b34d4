/* Connections of a consumer: lost, and made again. */
#include <errno.h>
#include <hiredis/hiredis.h>
#include <stdio.h>

#include "base/text.h"
#include "bridge/io/redis_impl.h"

#define RETRY_MS 30000
#define PAUSE_FIRST_MS 50u
#define PAUSE_MAX_MS 2000u
#define STEADY_US UINT64_C(1000000) /* a connection that lasted so long ended an outage */

bool redis_away(int code)
{
    static const int codes[] = {ERR_CUT,       -ETIMEDOUT, -ECONNREFUSED, -ECONNRESET,    -ECONNABORTED, -EPIPE,
                                -EHOSTUNREACH, -ENETDOWN,  -ENETUNREACH,  ERR_UNAVAILABLE};
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        if (codes[i] == code)
            return true;
    }
    return false;
}

static void drop(struct redis_consumer *c)
{
    redis_conn_close(c->conn);
    redis_conn_close(c->side);
    c->conn = c->side = NULL;
    c->asked = false;
}

static unsigned patience_ms(const struct redis_consumer *c)
{
    return c->o.retry_ms ? c->o.retry_ms : RETRY_MS;
}

static void begin_outage(struct redis_consumer *c, uint64_t now)
{
    char text[ERR_TEXT_SIZE + 64];
    c->down_us = now;
    c->tries = 0;
    snprintf(text, sizeof(text), "%s; trying again for %u s", c->why.text, (patience_ms(c) + 999) / 1000);
    if (c->o.note)
        c->o.note(text);
}

void redis_lost(struct redis_consumer *c, const struct err *why)
{
    uint64_t now = time_mono_us();
    drop(c);
    c->why = *why;
    /* What a group's member was not given is pending and comes again. */
    if (redis_grouped(c) && c->o.commit != SS_COMMIT_IMMEDIATE)
        redis_drop_held(c);
    if (c->down_us == 0 || (c->linked_us > c->down_us && now - c->linked_us > STEADY_US))
        begin_outage(c, now);
    uint64_t pause_ms = c->tries == 0 ? 0u : c->tries < 6 ? PAUSE_FIRST_MS << c->tries : PAUSE_MAX_MS;
    c->retry_us = now + pause_ms * 1000;
    c->tries++;
}

static int give_up(struct redis_consumer *c, struct err *err)
{
    int rc = err_set(err, c->why.code, "%s", c->why.text);
    err_prefix(err, "the server stays away");
    return rc;
}

int redis_link(struct redis_consumer *c, struct err *err)
{
    struct err why = ERR_INIT;
    bool again = c->down_us != 0;
    uint64_t now = time_mono_us();
    if (again && now < c->retry_us)
        return -EAGAIN;
    if (again && now - c->down_us >= (uint64_t)patience_ms(c) * 1000)
        return give_up(c, err);
    int rc = redis_conn_open(&c->conn, &c->node, &c->connect, &why);
    if (rc != 0 && again && redis_away(rc)) {
        redis_lost(c, &why);
        return -EAGAIN;
    }
    if (rc != 0)
        return err_set(err, rc, "%s", why.text);
    c->linked_us = time_mono_us();
    rc = redis_grouped(c) && again ? redis_history_again(c) : 0;
    return rc == 0 ? 0 : err_sys(err, -rc, "%s", redis_conn_name(c->conn));
}

/* It waits plainly: what goes over it is short, and must also be done after a signal. */
struct redis_conn *redis_side_conn(struct redis_consumer *c, struct err *err)
{
    struct redis_options options = c->connect;
    options.wait = NULL;
    if (c->side && redis_conn_gone(c->side)) { /* a server may end what was idle for long */
        redis_conn_close(c->side);
        c->side = NULL;
    }
    if (!c->side)
        (void)redis_conn_open(&c->side, &c->node, &options, err);
    return c->side;
}

int redis_side(struct redis_consumer *c, const struct span *words, size_t count, struct redisReply **out, struct err *err)
{
    struct err why = ERR_INIT;
    struct redis_conn *side = redis_side_conn(c, &why);
    int rc = side ? redis_conn_do(side, words, count, out, &why) : why.code;
    return rc == 0 ? 0 : err_set(err, rc, "%s", why.text);
}
