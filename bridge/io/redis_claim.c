/*
 * What members of a group have pending that are idle for long is taken over, to our own name.
 *
 * Entry by entry of such a member: XAUTOCLAIM would also take what a member that is alive works on for long, and our own.
 */
#include <hiredis/hiredis.h>

#include "base/text.h"
#include "bridge/io/redis_impl.h"

#define EVERY_MS 30000
#define IDLE_MS 60000
#define AT_A_TIME 100
#define AT_A_TIME_TEXT "100"
#define LAST_ID "18446744073709551615-0" /* the very last one is what servers take for ">" */

static unsigned idle_ms(const struct redis_consumer *c)
{
    return c->o.claim_idle_ms ? c->o.claim_idle_ms : IDLE_MS;
}

/* --- when -------------------------------------------------------------------------------------------- */

static void claim_later(struct redis_consumer *c)
{
    c->claim_us = time_mono_us() + (uint64_t)(c->o.claim_every_ms ? c->o.claim_every_ms : EVERY_MS) * 1000;
}

static void show_later(struct redis_consumer *c)
{
    c->alive_us = time_mono_us() + (uint64_t)idle_ms(c) * 500;
}

void redis_claim_later(struct redis_consumer *c)
{
    claim_later(c);
    show_later(c);
}

uint64_t redis_claim_due(const struct redis_consumer *c)
{
    uint64_t due = c->claim_us < c->alive_us ? c->claim_us : c->alive_us;
    return redis_grouped(c) ? due : UINT64_MAX;
}

/* --- who is idle ------------------------------------------------------------------------------------- */

/* The value of a name in pairs of names and values. */
static const struct redisReply *field(const struct redisReply *pairs, const char *name)
{
    for (size_t i = 0; pairs->type == REDIS_REPLY_ARRAY && i + 1 < pairs->elements; i += 2) {
        if (span_is(redis_text(pairs->element[i]), name))
            return pairs->element[i + 1];
    }
    return NULL;
}

static long long number(const struct redisReply *pairs, const char *name)
{
    const struct redisReply *value = field(pairs, name);
    return value && value->type == REDIS_REPLY_INTEGER ? value->integer : 0;
}

static bool is_idle(const struct redis_consumer *c, const struct redisReply *member)
{
    struct span name = redis_text(field(member, "name"));
    return !span_is(name, c->member) && number(member, "pending") > 0 && number(member, "idle") >= (long long)idle_ms(c);
}

/* --- taking over ------------------------------------------------------------------------------------- */

/* Ids that a member has pending for that long. */
static int pending(struct redis_consumer *c, const char *stream, struct span member, struct span idle, struct redisReply **out,
                   struct err *err)
{
    struct span words[] = {span_str("XPENDING"), span_str(stream), span_str(c->group),        span_str("IDLE"), idle,
                           span_str("-"),        span_str("+"),    span_str(AT_A_TIME_TEXT), member};
    return redis_side(c, words, sizeof(words) / sizeof(words[0]), out, err);
}

static int claim_ids(struct redis_consumer *c, const char *stream, const struct redisReply *list, struct span idle, struct redisReply **out,
                     struct err *err)
{
    struct span words[5 + AT_A_TIME] = {span_str("XCLAIM"), span_str(stream), span_str(c->group), span_str(c->member), idle};
    size_t n = 5;
    for (size_t i = 0; list->type == REDIS_REPLY_ARRAY && i < list->elements && n < sizeof(words) / sizeof(words[0]); i++) {
        const struct redisReply *entry = list->element[i];
        if (entry->type == REDIS_REPLY_ARRAY && entry->elements > 0 && redis_text(entry->element[0]).len > 0)
            words[n++] = redis_text(entry->element[0]);
    }
    return n > 5 ? redis_side(c, words, n, out, err) : 0;
}

static int claim_of(struct redis_consumer *c, size_t stream, struct span member, struct err *err)
{
    char digits[U64_TEXT_MAX];
    struct span idle = span_of(digits, text_format_u64(digits, idle_ms(c)));
    struct redisReply *list = NULL, *entries = NULL;
    int rc = pending(c, c->list[stream].name, member, idle, &list, err);
    if (rc == 0)
        rc = claim_ids(c, c->list[stream].name, list, idle, &entries, err);
    if (list)
        freeReplyObject(list);
    if (entries && entries->type == REDIS_REPLY_ARRAY && entries->elements > 0)
        c->held = (struct redis_held){.reply = entries, .claimed = true, .stream = stream};
    else if (entries)
        freeReplyObject(entries);
    return rc;
}

static int claim_in(struct redis_consumer *c, size_t stream, struct err *err)
{
    struct redisReply *members = NULL;
    struct span words[] = {span_str("XINFO"), span_str("CONSUMERS"), span_str(c->list[stream].name), span_str(c->group)};
    int rc = redis_side(c, words, sizeof(words) / sizeof(words[0]), &members, err);
    for (size_t i = 0; rc == 0 && !c->held.reply && members->type == REDIS_REPLY_ARRAY && i < members->elements; i++) {
        if (is_idle(c, members->element[i]))
            rc = claim_of(c, stream, redis_text(field(members->element[i], "name")), err);
    }
    if (members)
        freeReplyObject(members);
    return rc;
}

/* --- being alive --------------------------------------------------------------------------------------- */

/* A member that waits for entries is idle to servers before 7.2. Looking into its pending list, behind all that can be there, shows it. */
static int show_alive(struct redis_consumer *c, const char *stream, struct err *err)
{
    struct redisReply *reply = NULL;
    struct span words[] = {span_str("XREADGROUP"), span_str("GROUP"),   span_str(c->group), span_str(c->member), span_str("COUNT"),
                           span_str("1"),          span_str("STREAMS"), span_str(stream),   span_str(LAST_ID)};
    int rc = redis_side(c, words, sizeof(words) / sizeof(words[0]), &reply, err);
    if (reply)
        freeReplyObject(reply);
    return rc;
}

static int show_all_alive(struct redis_consumer *c, struct err *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < c->count; i++) {
        if (c->list[i].owed_count > 0)
            rc = show_alive(c, c->list[i].name, err);
    }
    show_later(c);
    return rc;
}

int redis_claim(struct redis_consumer *c, struct err *err)
{
    uint64_t now = time_mono_us();
    int rc = c->alive_us <= now ? show_all_alive(c, err) : 0;
    if (rc != 0 || c->claim_us > now)
        return rc;
    for (size_t i = 0; rc == 0 && !c->held.reply && i < c->count; i++)
        rc = claim_in(c, i, err);
    /* Where something was found there may be more. */
    if (!c->held.reply)
        claim_later(c);
    return rc;
}
