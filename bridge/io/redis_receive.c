/* A consumer waiting: for answers, for acks and claims that are due, for a server that went away. */
#include <errno.h>
#include <hiredis/hiredis.h>
#include <limits.h>
#include <poll.h>

#include "base/text.h"
#include "bridge/io/redis_impl.h"

#define LAST_MS 2000 /* how long the end of a connection is waited for */

/* --- times ------------------------------------------------------------------------------------------- */

static int left_ms(uint64_t until_us)
{
    return until_us == UINT64_MAX ? INT_MAX : time_left_ms(until_us);
}

int redis_consumer_due(const struct redis_consumer *c)
{
    if (!c->conn)
        return left_ms(c->retry_us);
    if (!c->asked) /* no answer is under way that could be waited for */
        return 0;
    uint64_t acks = redis_acks_due(c), claim = redis_claim_due(c);
    uint64_t due = acks < claim ? acks : claim;
    return left_ms(c->answer_us < due ? c->answer_us : due);
}

static int pause(const struct redis_consumer *c, int wait_ms)
{
    if (c->connect.wait)
        return c->connect.wait(-1, 0, wait_ms);
    return poll(NULL, 0, wait_ms) < 0 && errno != EINTR ? -errno : 0;
}

/* --- answers ----------------------------------------------------------------------------------------- */

/* Acks and claims whose time has come; a claim may leave something held. */
static int chores(struct redis_consumer *c, struct err *err)
{
    uint64_t now = time_mono_us();
    int rc = redis_acks_due(c) <= now ? redis_consumer_commit(c, false, err) : 0;
    return rc == 0 && !c->held.reply && redis_claim_due(c) <= now ? redis_claim(c, err) : rc;
}

/* One step towards an answer: 0, -EAGAIN when none came within wait_ms. */
static int step(struct redis_consumer *c, int wait_ms, struct err *err)
{
    struct redisReply *reply;
    int rc = c->asked ? 0 : redis_ask(c, err);
    if (rc == 0)
        rc = redis_conn_reply(c->conn, wait_ms, &reply, err);
    if (rc == -EAGAIN && time_mono_us() >= c->answer_us)
        return err_set(err, -ETIMEDOUT, "%s does not answer", redis_conn_name(c->conn));
    return rc == 0 ? redis_take(c, reply, err) : rc;
}

static int try_once(struct redis_consumer *c, int left, struct err *err)
{
    struct err why = ERR_INIT;
    int rc = chores(c, &why);
    if (rc == 0 && c->held.reply)
        return 0;
    int due = redis_consumer_due(c);
    if (rc == 0)
        rc = step(c, left < due ? left : due, &why);
    if (redis_away(rc)) {
        redis_lost(c, &why);
        return c->held.reply ? 0 : -EAGAIN;
    }
    return rc == 0 || rc == -EAGAIN ? rc : err_set(err, rc, "%s", why.text);
}

/* Waits for an answer, which is held then; 0 also when it was empty or none came in time. */
static int receive(struct redis_consumer *c, uint64_t until_us, struct err *err)
{
    for (;;) {
        int left = left_ms(until_us);
        int rc = c->conn ? 0 : redis_link(c, err);
        if (rc == 0)
            rc = try_once(c, left, err);
        if (rc != -EAGAIN)
            return rc;
        if (left == 0)
            return 0;
        int due = redis_consumer_due(c);
        rc = c->conn ? 0 : pause(c, left < due ? left : due);
        if (rc < 0)
            return err_sys(err, -rc, "wait for the server");
    }
}

int redis_consumer_read(struct redis_consumer *c, int wait_ms, redis_each each, void *arg, struct err *err)
{
    uint64_t until_us = wait_ms < 0 ? UINT64_MAX : time_mono_us() + (uint64_t)wait_ms * 1000;
    c->each = each;
    c->arg = arg;
    int rc = c->held.reply ? 0 : receive(c, until_us, err);
    return rc == 0 ? redis_give(c, err) : rc;
}

/* --- the end ----------------------------------------------------------------------------------------- */

static int give_all(struct redis_consumer *c, struct err *err)
{
    int rc = 0;
    while (rc == 0 && c->held.reply)
        rc = redis_give(c, err);
    return rc;
}

int redis_consumer_stop(struct redis_consumer *c, redis_each each, void *arg, struct err *err)
{
    c->each = each;
    c->arg = arg;
    if (!redis_grouped(c) || c->o.commit != SS_COMMIT_IMMEDIATE)
        return 0;
    int rc = give_all(c, err);
    if (rc != 0 || !c->asked || !c->conn)
        return rc;
    struct redisReply *reply;
    redis_conn_wait_plainly(c->conn);
    redis_conn_shut(c->conn);
    if (redis_conn_reply(c->conn, LAST_MS, &reply, NULL) != 0)
        return 0;
    rc = redis_take(c, reply, err);
    return rc == 0 ? give_all(c, err) : rc;
}

bool redis_consumer_behind(const struct redis_consumer *c)
{
    return c->held.reply || c->full;
}

int redis_consumer_fd(const struct redis_consumer *c)
{
    return c->conn ? redis_conn_fd(c->conn) : -1;
}
