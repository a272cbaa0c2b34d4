/*
 * Redis streams without a server: ids and sequences, names of shards, commands, replies as messages, hostile replies.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <hiredis/hiredis.h>

#include "bridge/redis.h"

/* --- ids -------------------------------------------------------------------------------------------- */

static void test_ids(void **state)
{
    static const struct {
        const char *text;
        struct redis_id id;
        int rc;
    } cases[] = {
        {"5000-65535", {5000, 65535}, 0},
        {"5000", {5000, 0}, 0},
        {"0-0", {0, 0}, 0},
        {"18446744073709551615-18446744073709551615", {UINT64_MAX, UINT64_MAX}, 0},
        {"18446744073709551616-0", {0, 0}, ERR_INVALID},
        {"", {0, 0}, ERR_INVALID},
        {"-", {0, 0}, ERR_INVALID},
        {"1-", {0, 0}, ERR_INVALID},
        {"-1", {0, 0}, ERR_INVALID},
        {"1-2-3", {0, 0}, ERR_INVALID},
        {"1-*", {0, 0}, ERR_INVALID},
        {"1 -2", {0, 0}, ERR_INVALID},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct redis_id id = {0};
        char text[REDIS_ID_TEXT];
        assert_int_equal(redis_id_parse(span_str(cases[i].text), &id), cases[i].rc);
        assert_true(id.ms == cases[i].id.ms && id.n == cases[i].id.n);
        if (cases[i].rc == 0 && strchr(cases[i].text, '-')) {
            assert_int_equal(redis_id_format(text, id), strlen(cases[i].text));
            assert_string_equal(text, cases[i].text);
        }
    }
}

static void test_sequences(void **state)
{
    struct err err = ERR_INIT;
    uint64_t seq = 7;
    (void)state;
    assert_int_equal(redis_id_to_seq((struct redis_id){5000, 65535}, &seq, &err), 0);
    assert_true(seq == 327745535);
    struct redis_id back = redis_id_of_seq(seq);
    assert_true(back.ms == 5000 && back.n == 65535);
    assert_int_equal(redis_id_to_seq((struct redis_id){REDIS_TIME_MAX, 65535}, &seq, &err), 0);
    assert_true(seq == UINT64_MAX);
    assert_int_equal(redis_id_to_seq((struct redis_id){5000, 65536}, &seq, &err), ERR_RANGE);
    assert_non_null(strstr(err.text, "5000-65536"));
    assert_int_equal(redis_id_to_seq((struct redis_id){REDIS_TIME_MAX + 1, 0}, &seq, &err), ERR_RANGE);
    assert_non_null(strstr(err.text, "281474976710656-0"));
    assert_true(seq == UINT64_MAX);
}

/* --- names ------------------------------------------------------------------------------------------ */

static void expect_name(const char *key, bool sharded, uint64_t shard, const char *want)
{
    CLEAN_BUF out = BUF_INIT;
    assert_int_equal(redis_name(&out, span_str(key), sharded, shard), 0);
    assert_string_equal(buf_cstr(&out), want);
}

static void test_names(void **state)
{
    (void)state;
    expect_name("sh", false, 9, "sh");
    expect_name("sh", true, 0, "sh:0");
    expect_name("sh", true, UINT64_MAX, "sh:18446744073709551615");
}

static void test_name_split(void **state)
{
    static const struct {
        const char *name;
        bool good;
        uint64_t shard;
    } cases[] = {
        {"sh:0", true, 0},    {"sh:12", true, 12}, {"sh:007", true, 7}, {"sh:18446744073709551615", true, UINT64_MAX},
        {"sh", false, 0},     {"sh:", false, 0},   {"sh:a", false, 0},  {"sh:1:2", false, 0},
        {"sh:-1", false, 0},  {"sh:1 ", false, 0}, {"shx:1", false, 0}, {"sh:18446744073709551616", false, 0},
        {"xsh:1", false, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t shard = 0;
        assert_int_equal(redis_name_split(span_str(cases[i].name), span_str("sh"), &shard), cases[i].good);
        assert_true(!cases[i].good || shard == cases[i].shard);
    }
}

static void test_pattern(void **state)
{
    CLEAN_BUF out = BUF_INIT;
    (void)state;
    assert_int_equal(redis_pattern(&out, span_str("a.b_c-9")), 0);
    assert_string_equal(buf_cstr(&out), "a.b_c-9:*");
    buf_reset(&out);
    assert_int_equal(redis_pattern(&out, span_str("a*[b]?\\")), 0);
    assert_string_equal(buf_cstr(&out), "a\\*\\[b\\]\\?\\\\:*");
}

/* --- commands ---------------------------------------------------------------------------------------- */

static void test_command(void **state)
{
    CLEAN_BUF out = BUF_INIT;
    struct span words[] = {span_str("XADD"), span_str("k"), span_of("a\r\n\0b", 5), span_str("")};
    static const char want[] = "*4\r\n$4\r\nXADD\r\n$1\r\nk\r\n$5\r\na\r\n\0b\r\n$0\r\n\r\n";
    (void)state;
    assert_int_equal(redis_command(&out, words, 4), 0);
    assert_int_equal(out.len, sizeof(want) - 1);
    assert_memory_equal(out.ptr, want, sizeof(want) - 1);
}

/* --- replies ------------------------------------------------------------------------------------------ */

/* What a server might send, as hiredis reads it; the caller frees it. NULL when it is no whole reply. */
static struct redisReply *reply_of(const char *bytes, size_t len)
{
    redisReader *reader = redis_reader_new();
    void *reply = NULL;
    assert_non_null(reader);
    assert_int_equal(redisReaderFeed(reader, bytes, len), REDIS_OK);
    if (redisReaderGetReply(reader, &reply) != REDIS_OK)
        reply = NULL;
    redisReaderFree(reader);
    return reply;
}

struct seen {
    char text[1024];
    size_t done, stop_at, messages;
    int rc;
};

static int see(void *arg, const struct ss_message *m, struct redis_id id)
{
    struct seen *s = arg;
    size_t at = strlen(s->text);
    snprintf(s->text + at, sizeof(s->text) - at, "%.*s/%llu/%llu@%llu-%llu %.*s|", SPAN_ARG(m->key), (unsigned long long)m->shard,
             (unsigned long long)m->seq, (unsigned long long)id.ms, (unsigned long long)id.n, SPAN_ARG(m->payload));
    assert_true(m->time_ms == id.ms && !m->no_seq && !m->no_key && !m->no_time);
    return ++s->messages == s->stop_at ? s->rc : 0;
}

static int through(void *arg, struct redis_id id)
{
    struct seen *s = arg;
    (void)id;
    s->done++;
    return 0;
}

static int read_entries(const char *bytes, struct seen *seen, struct redis_entries *e, struct err *err)
{
    struct redisReply *reply = reply_of(bytes, strlen(bytes));
    assert_non_null(reply);
    *e = (struct redis_entries){
        .field = span_str("msg"), .key = span_str("k"), .shard = 3, .next = e->next, .each = see, .done = through, .arg = seen};
    int rc = redis_entries_read(e, reply, err);
    freeReplyObject(reply);
    return rc;
}

#define ENTRY(id_len, id, fields) "*2\r\n$" id_len "\r\n" id "\r\n" fields

static void test_entries(void **state)
{
    struct err err = ERR_INIT;
    struct seen seen = {.stop_at = 0};
    struct redis_entries e = {.next = 0};
    (void)state;
    assert_int_equal(read_entries("*3\r\n" ENTRY("10", "5000-65535", "*2\r\n$3\r\nmsg\r\n$2\r\nok\r\n")
                                  ENTRY("6", "6000-1", "*2\r\n$5\r\nother\r\n$1\r\nv\r\n")
                                  ENTRY("6", "6000-2", "*8\r\n$3\r\nmsg\r\n$1\r\na\r\n$3\r\nMSG\r\n$1\r\nx\r\n$4\r\nmsg2\r\n$1\r\ny\r\n"
                                                       "$3\r\nmsg\r\n$0\r\n\r\n"),
                                  &seen, &e, &err),
                     0);
    assert_string_equal(seen.text, "k/3/327745535@5000-65535 ok|k/3/393216002@6000-2 a|k/3/393216002@6000-2 |");
    assert_int_equal(e.entries, 3);
    assert_int_equal(e.skipped, 1);
    assert_int_equal(seen.done, 3);
}

/* Deleted entries come as nil, or as an id with nil. */
static void test_deleted(void **state)
{
    struct seen seen = {.stop_at = 0};
    struct redis_entries e = {.next = 0};
    (void)state;
    assert_int_equal(read_entries("*3\r\n*-1\r\n" ENTRY("3", "5-1", "*-1\r\n")
                                  ENTRY("3", "6-1", "*2\r\n$3\r\nmsg\r\n$1\r\na\r\n"), &seen, &e, NULL), 0);
    assert_string_equal(seen.text, "k/3/393217@6-1 a|");
    assert_int_equal(e.skipped, 0);
    assert_int_equal(seen.done, 2); /* what has an id can be acknowledged */
}

#define THREE "*3\r\n" ENTRY("3", "5-1", "*4\r\n$3\r\nmsg\r\n$1\r\na\r\n$3\r\nmsg\r\n$1\r\nA\r\n") \
    ENTRY("3", "6-1", "*2\r\n$3\r\nmsg\r\n$1\r\nb\r\n") ENTRY("3", "7-1", "*2\r\n$3\r\nmsg\r\n$1\r\nc\r\n")

/* Stopped within an entry, it still gives the rest of that entry, and goes on with the next one. */
static void test_stop(void **state)
{
    struct seen seen = {.stop_at = 1, .rc = 1};
    struct redis_entries e = {.next = 0};
    (void)state;
    assert_int_equal(read_entries(THREE, &seen, &e, NULL), 1);
    assert_int_equal(e.next, 1);
    assert_int_equal(seen.messages, 2);
    assert_int_equal(read_entries(THREE, &seen, &e, NULL), 0);
    assert_string_equal(seen.text, "k/3/327681@5-1 a|k/3/327681@5-1 A|k/3/393217@6-1 b|k/3/458753@7-1 c|");
    seen = (struct seen){.stop_at = 4, .rc = 1};
    e.next = 0;
    assert_int_equal(read_entries(THREE, &seen, &e, NULL), 0); /* stopped, but nothing is left */
    seen = (struct seen){.stop_at = 2, .rc = -28};
    e.next = 0;
    assert_int_equal(read_entries(THREE, &seen, &e, NULL), -28);
    assert_int_equal(e.next, 0);
    assert_int_equal(seen.done, 0);
}

static void test_no_sequence(void **state)
{
    struct err err = ERR_INIT;
    struct seen seen = {.stop_at = 0};
    struct redis_entries e = {.next = 0};
    (void)state;
    assert_int_equal(read_entries("*2\r\n" ENTRY("3", "5-1", "*2\r\n$3\r\nmsg\r\n$1\r\na\r\n")
                                  ENTRY("7", "6-65536", "*2\r\n$3\r\nmsg\r\n$1\r\nb\r\n"), &seen, &e, &err),
                     ERR_RANGE);
    assert_int_equal(seen.messages, 1);
    assert_int_equal(e.next, 1);
    assert_non_null(strstr(err.text, "6-65536"));
    /* An entry that gives no message needs no sequence. */
    e.next = 0;
    assert_int_equal(read_entries("*1\r\n" ENTRY("7", "6-65536", "*2\r\n$1\r\nx\r\n$1\r\nb\r\n"), &seen, &e, &err), 0);
}

static void test_hostile(void **state)
{
    static const char *const bad[] = {
        ":5\r\n",
        "$3\r\nabc\r\n",
        "*-1\r\n",
        "*1\r\n:5\r\n",
        "*1\r\n*0\r\n",
        "*1\r\n*3\r\n$3\r\n5-1\r\n*0\r\n*0\r\n",
        "*1\r\n" ENTRY("3", "abc", "*0\r\n"),
        "*1\r\n*2\r\n:5\r\n*0\r\n",
        "*1\r\n" ENTRY("3", "5-1", "*1\r\n$3\r\nmsg\r\n"),
        "*1\r\n" ENTRY("3", "5-1", "$3\r\nmsg\r\n"),
        "*1\r\n" ENTRY("3", "5-1", "*2\r\n$3\r\nmsg\r\n:5\r\n"),
        "*1\r\n" ENTRY("3", "5-1", "*2\r\n$3\r\nmsg\r\n$-1\r\n"),
        "*1\r\n" ENTRY("3", "5-1", "*2\r\n*0\r\n$1\r\na\r\n"),
    };
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct err err = ERR_INIT;
        struct seen seen = {.stop_at = 0};
        struct redis_entries e = {.next = 0};
        assert_int_equal(read_entries(bad[i], &seen, &e, &err), ERR_FORMAT);
        assert_int_equal(seen.messages, 0);
        assert_true(err.text[0] != '\0');
    }
}

/* No room is made for what a length only announces. */
static void test_absurd_sizes(void **state)
{
    static const char *const bad[] = {"*2147483647\r\n", "*1\r\n*99999999\r\n", "*999999999999999999999\r\n",
                                      "HTTP/1.1 400 Bad Request\r\n"};
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        redisReader *reader = redis_reader_new();
        void *reply = NULL;
        assert_int_equal(redisReaderFeed(reader, bad[i], strlen(bad[i])), REDIS_OK);
        assert_int_equal(redisReaderGetReply(reader, &reply), REDIS_ERR);
        redisReaderFree(reader);
    }
}

static void test_streams(void **state)
{
    static const char good[] = "*2\r\n*2\r\n$3\r\nk:0\r\n*1\r\n" ENTRY("3", "5-1", "*0\r\n") "*2\r\n$3\r\nk:1\r\n*0\r\n";
    static const char *const bad[] = {"*1\r\n*2\r\n$1\r\nk\r\n*-1\r\n", "*1\r\n*1\r\n$1\r\nk\r\n",
                                      "*1\r\n*2\r\n:1\r\n*0\r\n", "*1\r\n$1\r\nk\r\n"};
    struct redisReply *reply = reply_of(good, strlen(good));
    const struct redisReply *list;
    struct redis_id last = {1, 1};
    struct span name;
    (void)state;
    assert_int_equal(redis_stream_at(reply, 0, &name, &list, NULL), 0);
    assert_true(span_is(name, "k:0"));
    assert_int_equal(redis_entries_last(list, &last, NULL), 0);
    assert_true(last.ms == 5 && last.n == 1);
    assert_int_equal(redis_stream_at(reply, 1, &name, &list, NULL), 0);
    assert_int_equal(redis_entries_last(list, &last, NULL), 0);
    assert_true(last.ms == 5);
    assert_int_equal(redis_stream_at(reply, 2, &name, &list, NULL), ERR_FORMAT);
    freeReplyObject(reply);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        reply = reply_of(bad[i], strlen(bad[i]));
        assert_int_equal(redis_stream_at(reply, 0, &name, &list, NULL), ERR_FORMAT);
        freeReplyObject(reply);
    }
}

static void test_refusals(void **state)
{
    static const struct {
        const char *reply;
        int code;
        const char *part;
    } cases[] = {
        {"-NOAUTH Authentication required.\r\n", ERR_AUTH, "redis://USER:PASSWORD@HOST/"},
        {"-WRONGPASS invalid username-password pair\r\n", ERR_AUTH, "wrong user"},
        {"-NOPERM this user has no permissions\r\n", ERR_FORBIDDEN, "NOPERM"},
        {"-OOM command not allowed\r\n", ERR_FULL, "OOM"},
        {"-LOADING Redis is loading\r\n", ERR_UNAVAILABLE, "LOADING"},
        {"-BUSYGROUP Consumer Group name already exists\r\n", ERR_CONFLICT, "BUSYGROUP"},
        {"-NOGROUP No such key\r\n", ERR_NOT_FOUND, "NOGROUP"},
        {"-MOVED 3999 127.0.0.1:6381\r\n", ERR_REMOTE, "Redis Cluster"},
        {"-CROSSSLOT Keys in request\r\n", ERR_REMOTE, "Redis Cluster"},
        {"-WRONGTYPE Operation\r\n", ERR_REMOTE, "WRONGTYPE"},
        {"-\x1b[31mred\r\n", ERR_REMOTE, "?[31mred"},
        {"-BUSYBODY\r\n", ERR_REMOTE, "BUSYBODY"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct err err = ERR_INIT;
        struct redisReply *reply = reply_of(cases[i].reply, strlen(cases[i].reply));
        assert_int_equal(redis_check(reply, &err, "host:1"), cases[i].code);
        assert_non_null(strstr(err.text, cases[i].part));
        assert_non_null(strstr(err.text, "host:1"));
        freeReplyObject(reply);
    }
    struct redisReply *fine = reply_of("+OK\r\n", 5);
    assert_int_equal(redis_check(fine, NULL, ""), 0);
    freeReplyObject(fine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ids),        cmocka_unit_test(test_sequences),    cmocka_unit_test(test_names),
        cmocka_unit_test(test_name_split), cmocka_unit_test(test_pattern),      cmocka_unit_test(test_command),
        cmocka_unit_test(test_entries),    cmocka_unit_test(test_deleted),      cmocka_unit_test(test_stop),
        cmocka_unit_test(test_no_sequence), cmocka_unit_test(test_hostile),     cmocka_unit_test(test_absurd_sizes),
        cmocka_unit_test(test_streams),    cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
