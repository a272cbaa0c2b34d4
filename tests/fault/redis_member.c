/*
 * A consumer of Redis streams that does what its standard input says, so that a test can choose the moment of everything.
 *
 *   redis_member URL [NAME=VALUE]...
 *
 * Options: mode=realtime|resumable|balanced commit=delayed|immediate|rolling|disabled group= member= field= start=start|end
 * after=MS-N make=1 ends=1 careful=1 batch= claim_every= claim_idle= delay= retry= reply=. Commands, a line each: "read MS" (messages
 * until there was nothing for that long), "one MS" (one message at most), "wait N MS" (until N messages came), "ack", "commit",
 * "commit all", "stop", "place", "go PLACE", "seek time|seq N", "end?", "close". Each is answered by lines
 * "m KEY SHARD SEQ MS PAYLOAD" and one of "ok TEXT" or "error CODE TEXT".
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "bridge/io/redis_consumer.h"

static struct redis_consumer *consumer;
static size_t given;
static bool one_only;

static int print(void *arg, const struct ss_message *m, struct redis_id id)
{
    (void)arg;
    (void)id;
    printf("m %.*s %llu %llu %llu %.*s\n", SPAN_ARG(m->key), (unsigned long long)m->shard, (unsigned long long)m->seq,
           (unsigned long long)m->time_ms, SPAN_ARG(m->payload));
    given++;
    return one_only;
}

static void note(const char *text)
{
    fprintf(stderr, "note: %s\n", text);
}

/* --- options ---------------------------------------------------------------------------------------- */

static const char *value_of(int argc, char **argv, const char *name)
{
    size_t len = strlen(name);
    for (int i = 2; i < argc; i++) {
        if (strncmp(argv[i], name, len) == 0 && argv[i][len] == '=')
            return argv[i] + len + 1;
    }
    return NULL;
}

static unsigned number_of(int argc, char **argv, const char *name)
{
    const char *text = value_of(argc, argv, name);
    return text ? (unsigned)strtoul(text, NULL, 10) : 0;
}

static int word_of(const char *text, const char *const *words)
{
    for (int i = 0; text && words[i]; i++) {
        if (strcmp(text, words[i]) == 0)
            return i;
    }
    return 0;
}

static struct redis_consumer_options options_of(int argc, char **argv)
{
    static const char *const modes[] = {"realtime", "resumable", "balanced", NULL};
    static const char *const commits[] = {"delayed", "immediate", "rolling", "disabled", NULL};
    const char *start = value_of(argc, argv, "start"), *after = value_of(argc, argv, "after");
    struct redis_consumer_options o = {
        .mode = (enum ss_mode)word_of(value_of(argc, argv, "mode"), modes),
        .commit = (enum ss_commit)word_of(value_of(argc, argv, "commit"), commits),
        .group = value_of(argc, argv, "group"),
        .member = value_of(argc, argv, "member"),
        .field = value_of(argc, argv, "field"),
        .from_start = start && strcmp(start, "start") == 0,
        .has_after = after != NULL,
        .make_stream = number_of(argc, argv, "make") > 0,
        .ends = number_of(argc, argv, "ends") > 0,
        .careful = number_of(argc, argv, "careful") > 0,
        .batch = number_of(argc, argv, "batch"),
        .claim_every_ms = number_of(argc, argv, "claim_every"),
        .claim_idle_ms = number_of(argc, argv, "claim_idle"),
        .delay_ms = number_of(argc, argv, "delay"),
        .retry_ms = number_of(argc, argv, "retry"),
        .note = note,
    };
    if (after)
        (void)redis_id_parse(span_str(after), &o.after);
    return o;
}

/* --- commands --------------------------------------------------------------------------------------- */

static int read_for(long ms, size_t want, struct err *err)
{
    uint64_t until = time_mono_us() + (uint64_t)ms * 1000;
    size_t before = given;
    int rc = 0;
    while (rc == 0 && given - before < want) {
        size_t had = given;
        uint64_t now = time_mono_us();
        if (now >= until)
            break;
        rc = redis_consumer_read(consumer, (int)((until - now + 999) / 1000), print, NULL, err);
        if (given > had && want == SIZE_MAX) /* as long as something comes */
            until = time_mono_us() + (uint64_t)ms * 1000;
    }
    return rc;
}

static int obey(char *line, struct buf *answer, struct err *err)
{
    char *rest = strchr(line, ' ');
    if (rest)
        *rest++ = '\0';
    const char *arg = rest ? rest : "";
    one_only = strcmp(line, "one") == 0;
    if (strcmp(line, "read") == 0)
        return read_for(atol(arg), SIZE_MAX, err);
    if (one_only)
        return read_for(atol(arg), 1, err);
    if (strcmp(line, "wait") == 0)
        return read_for(atol(strchr(arg, ' ') ? strchr(arg, ' ') : "0"), strtoul(arg, NULL, 10), err);
    if (strcmp(line, "ack") == 0)
        return redis_consumer_ack(consumer, err);
    if (strcmp(line, "commit") == 0)
        return redis_consumer_commit(consumer, strcmp(arg, "all") == 0, err);
    if (strcmp(line, "stop") == 0)
        return redis_consumer_stop(consumer, print, NULL, err);
    if (strcmp(line, "place") == 0)
        return redis_consumer_place(consumer, answer);
    if (strcmp(line, "go") == 0)
        return redis_consumer_go(consumer, span_str(arg), err);
    if (strcmp(line, "seek") == 0)
        return redis_consumer_seek(consumer, strncmp(arg, "time", 4) == 0, strtoull(strchr(arg, ' '), NULL, 10), err);
    if (strcmp(line, "end?") == 0)
        return buf_add_str(answer, redis_consumer_at_end(consumer) ? "yes" : "no");
    return err_set(err, ERR_INVALID, "no such command");
}

static int open_consumer(int argc, char **argv, struct err *err)
{
    struct ss_url url = {.scheme = NULL};
    struct ss_redis_node node = {.user = NULL};
    struct redis_options connect = {.insecure = true, .reply_ms = number_of(argc, argv, "reply")};
    struct redis_consumer_options options = options_of(argc, argv);
    int rc = ss_url_parse(&url, argv[1], err);
    if (rc != 0)
        return rc;
    rc = ss_url_redis(&url, 0, &node, err);
    if (rc == 0)
        rc = redis_consumer_open(&consumer, &node, &connect, url.keys, url.key_count, &options, err);
    ss_redis_node_finish(&node);
    ss_url_finish(&url);
    return rc;
}

static void answer_with(int rc, struct buf *text, const struct err *err)
{
    const char *shown = buf_cstr(text);
    if (rc == 0)
        printf("ok %s\n", shown ? shown : "");
    else
        printf("error %d %s\n", rc, err->text);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    char line[8192];
    CLEAN_BUF text = BUF_INIT;
    struct err err = ERR_INIT;
    int rc = argc < 2 ? err_set(&err, ERR_INVALID, "redis_member URL [NAME=VALUE]...") : open_consumer(argc, argv, &err);
    answer_with(rc, &text, &err);
    bool closed = rc != 0;
    while (!closed && fgets(line, sizeof(line), stdin)) {
        line[strcspn(line, "\n")] = '\0';
        err = ERR_INIT;
        buf_reset(&text);
        closed = strcmp(line, "close") == 0;
        rc = closed ? redis_consumer_close(consumer, &err) : obey(line, &text, &err);
        answer_with(rc, &text, &err);
    }
    if (!closed)
        (void)redis_consumer_close(consumer, NULL);
    return rc != 0;
}
