/*
 * Bytes of a server through hiredis into messages: nothing is read beyond a reply, ids that come out print again as they were read, and
 * reading in two steps gives what one gives.
 */
#include <stdlib.h>

#include <hiredis/hiredis.h>

#include "bridge/redis.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool holds)
{
    if (!holds)
        abort();
}

struct seen {
    uint64_t messages, sum;
    bool stop;
};

static int see(void *arg, const struct ss_message *m, struct redis_id id)
{
    struct seen *s = arg;
    struct redis_id again;
    char text[REDIS_ID_TEXT];
    demand(redis_id_parse(span_of(text, redis_id_format(text, id)), &again) == 0 && again.ms == id.ms && again.n == id.n);
    again = redis_id_of_seq(m->seq);
    demand(again.ms == id.ms && again.n == id.n && m->time_ms == id.ms);
    for (size_t i = 0; i < m->payload.len; i++)
        s->sum = s->sum * 31 + m->payload.ptr[i];
    s->messages++;
    return s->stop;
}

static int read_all(const struct redisReply *list, struct seen *seen)
{
    struct err err = ERR_INIT;
    struct redis_entries e = {.field = span_str("msg"), .key = span_str("k"), .each = see, .arg = seen};
    int rc = 1;
    while (rc == 1)
        rc = redis_entries_read(&e, list, &err);
    demand(rc == 0 || (rc == err.code && err.text[0] != '\0'));
    demand(rc != 0 || e.next == list->elements);
    return rc;
}

static void try_list(const struct redisReply *list)
{
    struct seen one = {.stop = false}, many = {.stop = true};
    struct redis_id last;
    int rc = read_all(list, &one);
    demand(read_all(list, &many) == rc && one.messages == many.messages && one.sum == many.sum);
    (void)redis_entries_last(list, &last, NULL);
}

static void try_reply(const struct redisReply *reply)
{
    struct err err = ERR_INIT;
    struct span name;
    const struct redisReply *list;
    uint64_t shard;
    if (redis_check(reply, &err, "server") != 0)
        demand(err.code < 0 && err.text[0] != '\0');
    try_list(reply);
    for (size_t i = 0; reply->type == REDIS_REPLY_ARRAY && i < reply->elements; i++) {
        if (redis_stream_at(reply, i, &name, &list, NULL) != 0)
            continue;
        demand(name.len > 0);
        (void)redis_name_split(name, span_str("k"), &shard);
        try_list(list);
    }
}

/* All replies that are whole; false after one that was none. */
static bool take_replies(redisReader *reader)
{
    void *reply = NULL;
    while (redisReaderGetReply(reader, &reply) == REDIS_OK) {
        if (!reply)
            return true;
        try_reply(reply);
        freeReplyObject(reply);
        reply = NULL;
    }
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    redisReader *reader = redis_reader_new();
    demand(reader != NULL);
    size_t half = size / 2;
    demand(redisReaderFeed(reader, (const char *)data, half) == REDIS_OK);
    if (take_replies(reader)) {
        demand(redisReaderFeed(reader, (const char *)data + half, size - half) == REDIS_OK);
        (void)take_replies(reader);
    }
    redisReaderFree(reader);
    return 0;
}
