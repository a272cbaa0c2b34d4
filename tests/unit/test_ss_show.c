/*
 * What `weir decode` prints: the real decoder's output for the real writer's files, byte for byte, and our own two forms.
 */
#include "ss_file_fixture.h"

#include "bridge/show.h"

static struct ss_message message(const char *key, const char *payload, size_t len)
{
    return (struct ss_message){.key = span_str(key), .shard = 4, .seq = 18446744073709551615u, .time_ms = 1700000000120, .payload = span_of(payload, len)};
}

static void expect(enum ss_show form, const struct ss_message *m, bool header_only, const char *want)
{
    CLEAN_BUF out = BUF_INIT;
    assert_int_equal(ss_show_message(&out, form, m, header_only), 0);
    assert_string_equal(buf_cstr(&out), want);
}

#define HEAD "{\"header\":{\"stream_key\":\"k\",\"shard_id\":4,\"sequence\":18446744073709551615,\"timestamp\":\"2023-11-14T22:13:20.12\"},"
#define LOG "[2023-11-14T22:13:20.12 | k | 18446744073709551615 | 4]"

static void test_forms(void **state)
{
    (void)state;
    static const struct {
        const char *payload;
        size_t len;
        const char *log, *json, *exact;
    } cases[] = {
        {"text", 4, LOG " text\n", HEAD "\"payload\":\"text\"}\n", HEAD "\"payload\":\"text\"}\n"},
        {"", 0, LOG " \n", HEAD "\"payload\":\"\"}\n", HEAD "\"payload\":\"\"}\n"},
        {"a\nb", 3, LOG " a\nb\n", HEAD "\"payload\":\"a\\nb\"}\n", HEAD "\"payload\":\"a\\nb\"}\n"},
        {" 1e3", 4, LOG "  1e3\n", HEAD "\"payload\":1000.0}\n", HEAD "\"payload\":\" 1e3\"}\n"},
        {"{\"b\":1,\"a\":2}", 13, LOG " {\"b\":1,\"a\":2}\n", HEAD "\"payload\":{\"a\":2,\"b\":1}}\n",
         HEAD "\"payload\":\"{\\\"b\\\":1,\\\"a\\\":2}\"}\n"},
        {"ok\xc3(\x00\x0a\x64", 7, LOG " <BINARY BLOB>\n", HEAD "\"payload\":[111,107,195,40,0,10,100]}\n", HEAD "\"payload_base64\":\"b2vDKAAKZA==\"}\n"},
        {"\xff", 1, LOG " <BINARY BLOB>\n", HEAD "\"payload\":[255]}\n", HEAD "\"payload_base64\":\"/w==\"}\n"},
        {"\"\xff\"", 3, LOG " <BINARY BLOB>\n", HEAD "\"payload\":[34,255,34]}\n", HEAD "\"payload_base64\":\"Iv8i\"}\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ss_message m = message("k", cases[i].payload, cases[i].len);
        expect(SS_SHOW_LOG, &m, false, cases[i].log);
        expect(SS_SHOW_NDJSON, &m, false, cases[i].json);
        expect(SS_SHOW_PLAIN, &m, false, cases[i].json);
        expect(SS_SHOW_EXACT, &m, false, cases[i].exact);
        expect(SS_SHOW_LOG, &m, true, LOG "\n");
        for (int form = SS_SHOW_NDJSON; form <= SS_SHOW_EXACT; form++)
            expect((enum ss_show)form, &m, true, HEAD "\"payload\":null}\n");
    }
}

static void test_header(void **state)
{
    (void)state;
    struct ss_header h = {.name = "a\"b\n\xc3\xa9.ss", .name_len = 9, .created_ms = 1700000000000, .interval = 1048576};
    static const char *const want[] = {
        "# {\"file_name\":\"a\\\"b\\n\xc3\xa9.ss\",\"created_at\":\"2023-11-14T22:13:20.0\",\"beacon_interval\":1048576}\n",
        "/* {\"file_name\":\"a\\\"b\\n\xc3\xa9.ss\",\"created_at\":\"2023-11-14T22:13:20.0\",\"beacon_interval\":1048576} */\n", "", ""};
    for (int form = 0; form < 4; form++) {
        CLEAN_BUF out = BUF_INIT;
        assert_int_equal(ss_show_header(&out, (enum ss_show)form, &h), 0);
        assert_string_equal(buf_cstr(&out), want[form]);
    }
}

static void test_beacon(void **state)
{
    (void)state;
    struct ss_beacon *b = calloc(1, sizeof *b);
    CLEAN_BUF out = BUF_INIT;
    assert_int_equal(ss_show_beacon(&out, SS_SHOW_LOG, b), 0);
    assert_int_equal(ss_show_beacon(&out, SS_SHOW_NDJSON, b), 0);
    assert_int_equal(ss_show_beacon(&out, SS_SHOW_PLAIN, b), 0);
    assert_int_equal(ss_show_beacon(&out, SS_SHOW_EXACT, b), 0);
    assert_string_equal(buf_cstr(&out), "# []\n/* [] */\n");
    b->count = 2;
    b->items[0] = (struct ss_item){.key_len = 1, .key = "a", .shard = 1, .seq = 2, .time_ms = 3, .running = 4};
    b->items[1] = (struct ss_item){.key_len = 2, .key = "bc", .seq = 18446744073709551615u, .time_ms = SS_TIME_MAX, .running = 65535};
    buf_reset(&out);
    assert_int_equal(ss_show_beacon(&out, SS_SHOW_LOG, b), 0);
    assert_string_equal(buf_cstr(&out),
                        "# [{\"header\":{\"stream_key\":\"a\",\"shard_id\":1,\"sequence\":2,\"timestamp\":\"1970-01-01T00:00:00.003\"},\"running_checksum\":4},"
                        "{\"header\":{\"stream_key\":\"bc\",\"shard_id\":0,\"sequence\":18446744073709551615,"
                        "\"timestamp\":\"9999-12-31T23:59:59.999\"},\"running_checksum\":65535}]\n");
    free(b);
}

/* The longest there is fits what is reserved. */
static void test_longest(void **state)
{
    (void)state;
    char key[SS_KEY_MAX + 1];
    memset(key, 'k', SS_KEY_MAX);
    key[SS_KEY_MAX] = '\0';
    struct ss_message m = message(key, NULL, 0);
    m.shard = UINT64_MAX;
    m.time_ms = SS_TIME_MAX;
    for (int form = 0; form < 4; form++) {
        CLEAN_BUF out = BUF_INIT;
        assert_int_equal(ss_show_message(&out, (enum ss_show)form, &m, false), 0);
        assert_int_equal(ss_show_message(&out, (enum ss_show)form, &m, true), 0);
        assert_non_null(strstr(buf_cstr(&out), key));
    }
}

/* A file as the decoder goes through it. */
static void decode(struct buf *out, enum ss_show form, const char *name)
{
    CLEAN_BUF bytes = BUF_INIT;
    struct ss_header h;
    struct ss_scan scan;
    struct ss_message m;
    size_t at = SS_HEADER_SIZE, used = 0;
    ss_get(&bytes, name);
    if (ss_header_read(&h, buf_span(&bytes), NULL) != 0)
        return;
    assert_int_equal(ss_show_header(out, form, &h), 0);
    assert_int_equal(ss_scan_begin(&scan, h.interval, SS_HEADER_SIZE, true), 0);
    while (ss_scan_next(&scan, span_of(bytes.ptr + at, bytes.len - at), &m, &used, NULL, NULL) == 0) {
        assert_int_equal(ss_show_message(out, form, &m, false), 0);
        if (scan.has_beacon)
            assert_int_equal(ss_show_beacon(out, form, scan.beacon), 0);
        at += used;
    }
    ss_scan_finish(&scan);
}

static void test_fixtures(void **state)
{
    (void)state;
    static const char *const names[] = {"appended-1k", "bad-magic", "basic", "boundary-1k", "empty-eos", "empty", "ended-1k", "flipped-payload",
                                        "interval-128", "large-1k", "multi-1k", "payloads-2k", "truncated-payload"};
    static const char *const endings[] = {"log", "ndjson"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        for (int form = 0; form < 2; form++) {
            char path[128];
            CLEAN_BUF want = BUF_INIT, out = BUF_INIT;
            snprintf(path, sizeof path, FIXTURES "%s.%s", names[i], endings[form]);
            if (access(path, F_OK) != 0)
                continue;
            ss_get(&want, path);
            snprintf(path, sizeof path, FIXTURES "%s.ss", names[i]);
            decode(&out, form == 0 ? SS_SHOW_LOG : SS_SHOW_NDJSON, path);
            if (!span_eq(buf_span(&out), buf_span(&want)))
                fail_msg("%s as %s differs", names[i], endings[form]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),   cmocka_unit_test(test_header),   cmocka_unit_test(test_beacon),
        cmocka_unit_test(test_longest), cmocka_unit_test(test_fixtures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
