/* weir trim-stream: XTRIM, of each shard. */
#include <hiredis/hiredis.h>
#include <stdio.h>

#include "base/clean.h"
#include "base/text.h"
#include "bridge/io/redis_shards.h"
#include "cmd/call.h"
#include "cmd/relay/verbs.h"
#include "cmd/trim_stream.h"

struct trim {
    bool by_len, by_time;
    uint64_t max_len, min_ms;
};

/* --- what is wished -------------------------------------------------------------------------------- */

static int take_time(const struct call *call, struct trim *t)
{
    struct err err = ERR_INIT;
    const char *text = call_value(call, TRIM_MIN_TS);
    t->by_time = text != NULL;
    if (!text || ss_time_parse_moment(span_str(text), time_now_ms(), &t->min_ms, &err) == 0)
        return 0;
    return call_usage(call, "--min-ts: %s", err.text);
}

static int take_wishes(const struct call *call, struct trim *t)
{
    const char *text = call_value(call, TRIM_MAX_LEN);
    t->by_len = text != NULL;
    if (text && (text_u64(span_str(text), &t->max_len) != 0 || t->max_len > INT64_MAX))
        return call_usage(call, "--max-len is a number of entries, not `%s'", text);
    int rc = take_time(call, t);
    if (rc == 0 && !t->by_len && !t->by_time)
        return call_usage(call, "--max-len or --min-ts is needed");
    return rc;
}

static int take_url(const struct call *call, struct ss_url *url)
{
    struct err err = ERR_INIT;
    const char *text = call_value(call, TRIM_STREAM);
    if (!text)
        return call_usage(call, "--stream is needed");
    if (ss_url_parse(url, text, &err) != 0)
        return call_usage(call, "--stream: %s", err.text);
    if (url->protocol != SS_REDIS && url->protocol != SS_REDISS)
        return call_failf(call, "--stream: %s:// is no Redis server: redis://HOST/KEY", url->scheme);
    if (url->key_count != 1 || url->node_count != 1)
        return call_usage(call, "--stream names one server and one key: redis://HOST/KEY");
    return 0;
}

/* --- trimming -------------------------------------------------------------------------------------- */

/* One command removes a part alone, so that the server is not held up: again until there is nothing more. */
static int xtrim(struct redis_conn *c, const char *name, const char *how, uint64_t value, uint64_t *removed, struct err *err)
{
    char digits[U64_TEXT_MAX];
    struct span words[] = {span_str("XTRIM"), span_str(name), span_str(how), span_str("~"),
                           span_of(digits, text_format_u64(digits, value))};
    uint64_t now = 1;
    while (now > 0) {
        struct redisReply *reply = NULL;
        int rc = redis_conn_do(c, words, 5, &reply, err);
        if (rc != 0)
            return rc;
        now = reply->type == REDIS_REPLY_INTEGER && reply->integer > 0 ? (uint64_t)reply->integer : 0;
        *removed += now;
        freeReplyObject(reply);
    }
    return 0;
}

static int trim_all(struct redis_conn *c, const char *key, const struct trim *t, struct err *err)
{
    struct redis_shards shards = {.list = NULL};
    int rc = redis_shards_find(&shards, c, span_str(key), err);
    for (size_t i = 0; rc == 0 && i < shards.count; i++) {
        const char *name = shards.list[i].name;
        uint64_t removed = 0;
        if (t->by_len)
            rc = xtrim(c, name, "MAXLEN", t->max_len, &removed, err);
        if (rc == 0 && t->by_time)
            rc = xtrim(c, name, "MINID", t->min_ms, &removed, err);
        if (rc == 0)
            printf("%s: %llu %s removed\n", name, (unsigned long long)removed, removed == 1 ? "entry" : "entries");
    }
    redis_shards_finish(&shards);
    return rc;
}

static int trim(const struct call *call, const struct ss_url *url, const struct trim *t)
{
    struct err err = ERR_INIT;
    struct ss_redis_node node = {.user = NULL};
    struct redis_conn *c = NULL;
    struct redis_options options = {.ca_file = call_value(call, TRIM_CA), .insecure = call_has(call, TRIM_INSECURE)};
    int rc = ss_url_redis(url, 0, &node, &err);
    if (rc == 0)
        rc = redis_conn_open(&c, &node, &options, &err);
    if (rc == 0)
        rc = trim_all(c, url->keys[0], t, &err);
    redis_conn_close(c);
    ss_redis_node_finish(&node);
    return rc == 0 ? 0 : call_fail(call, &err);
}

static int exec(struct call *call)
{
    struct ss_url url = {.scheme = NULL};
    struct trim t = {0};
    int rc = call_operands(call, 0, 0);
    if (rc == 0)
        rc = take_wishes(call, &t);
    if (rc == 0)
        rc = take_url(call, &url);
    if (rc == 0)
        rc = trim(call, &url, &t);
    ss_url_finish(&url);
    return rc;
}

const struct cmd verb_trim_stream = {
    .name = "trim-stream",
    .group = GROUP_MOVE,
    .summary = TRIM_STREAM_SUMMARY,
    .operands = TRIM_STREAM_OPERANDS,
    .about = TRIM_STREAM_ABOUT,
    .options = trim_stream_rows,
    .exec = exec,
};
