/* What a server answers: its bytes, its texts, its refusals. */
#include <hiredis/hiredis.h>

#include "base/text.h"
#include "bridge/redis.h"

#define ELEMENTS_MAX (16 * 1024 * 1024)
#define SPARE_MAX ((size_t)8 * 1024 * 1024) /* bytes that an empty reader keeps */

/* --- bytes ------------------------------------------------------------------------------------------ */

static redisReplyObjectFunctions makers;
static void *(*make_array)(const redisReadTask *, int);

static void *make_array_within(const redisReadTask *task, int elements)
{
    return elements > ELEMENTS_MAX ? NULL : make_array(task, elements);
}

/* hiredis has its own makers in a table that only a reader shows. */
static redisReplyObjectFunctions *makers_of(const redisReader *reader)
{
    if (!make_array) {
        makers = *reader->fn;
        make_array = makers.createArray;
        makers.createArray = make_array_within;
    }
    return &makers;
}

struct redisReader *redis_reader_new(void)
{
    redisReader *reader = redisReaderCreate();
    if (!reader)
        return NULL;
    reader->fn = makers_of(reader);
    reader->maxbuf = SPARE_MAX;
    return reader;
}

/* --- texts ------------------------------------------------------------------------------------------ */

struct span redis_text(const struct redisReply *reply)
{
    if (!reply || (reply->type != REDIS_REPLY_STRING && reply->type != REDIS_REPLY_STATUS))
        return (struct span){0};
    return span_of(reply->str, reply->len);
}

static bool is_error(const struct redisReply *reply, const char *word)
{
    size_t len = strlen(word);
    return reply->type == REDIS_REPLY_ERROR && reply->len >= len && memcmp(reply->str, word, len) == 0 &&
           (reply->len == len || reply->str[len] == ' ');
}

static const struct refusal {
    const char *word;
    int code;
    const char *meaning; /* NULL: the server's own text is plain enough */
} refusals[] = {
    {"NOAUTH", ERR_AUTH, "the server wants credentials: redis://USER:PASSWORD@HOST/"},
    {"WRONGPASS", ERR_AUTH, "wrong user or password"},
    {"NOPERM", ERR_FORBIDDEN, NULL},
    {"OOM", ERR_FULL, NULL},
    {"LOADING", ERR_UNAVAILABLE, NULL},
    {"BUSY", ERR_UNAVAILABLE, NULL},
    {"TRYAGAIN", ERR_UNAVAILABLE, NULL},
    {"MASTERDOWN", ERR_UNAVAILABLE, NULL},
    {"MISCONF", ERR_UNAVAILABLE, NULL},
    {"READONLY", ERR_UNAVAILABLE, "the server is a replica, which takes no writes; give its primary"},
    {"BUSYGROUP", ERR_CONFLICT, NULL},
    {"NOGROUP", ERR_NOT_FOUND, NULL},
    {"UNBLOCKED", ERR_NOT_FOUND, "the stream was deleted"},
    {"MOVED", ERR_REMOTE, "the key lives on another node: this is a Redis Cluster, which weir does not follow"},
    {"ASK", ERR_REMOTE, "the key lives on another node: this is a Redis Cluster, which weir does not follow"},
    {"CLUSTERDOWN", ERR_REMOTE, "this is a Redis Cluster, which weir does not follow"},
    {"CROSSSLOT", ERR_REMOTE, "the keys live on several nodes: this is a Redis Cluster, which weir does not follow"},
};

/* A server's text on one line that no terminal obeys. */
static void write_plain(char *out, size_t room, const struct redisReply *reply)
{
    size_t len = reply->len < room ? reply->len : room - 1;
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)reply->str[i] < ' ' || reply->str[i] == 127)
            out[i] = '?';
        else
            out[i] = reply->str[i];
    }
    out[len] = '\0';
}

int redis_refused(const struct redisReply *reply, struct err *err, const char *what)
{
    char text[160];
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        const struct refusal *r = &refusals[i];
        if (is_error(reply, r->word) && r->meaning)
            return err_set(err, r->code, "%s: %s", what, r->meaning);
        if (is_error(reply, r->word)) {
            write_plain(text, sizeof(text), reply);
            return err_set(err, r->code, "%s: %s", what, text);
        }
    }
    write_plain(text, sizeof(text), reply);
    return err_set(err, ERR_REMOTE, "%s: %s", what, text);
}

int redis_check(const struct redisReply *reply, struct err *err, const char *what)
{
    return reply->type == REDIS_REPLY_ERROR ? redis_refused(reply, err, what) : 0;
}
