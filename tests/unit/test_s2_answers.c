/* What the S2 API says: media types, times, infos, refusals, and what is kept of a basin. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "daemon/s2/basins_impl.h"
#include "daemon/s2/s2_info.h"
#include "daemon/s2/streams.h"

static void test_media_types(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum s2_type type;
    } cases[] = {
        {NULL, S2_TYPE_NONE},
        {"", S2_TYPE_NONE},
        {"*/*", S2_TYPE_NONE},
        {"application/json", S2_TYPE_JSON},
        {"Application/JSON ; charset=utf-8", S2_TYPE_JSON},
        {"application/vnd.s2+json", S2_TYPE_JSON},
        {"application/+json", S2_TYPE_OTHER},
        {"application/protobuf", S2_TYPE_PROTO},
        {"application/x-protobuf", S2_TYPE_PROTO},
        {"S2S/Proto", S2_TYPE_SESSION},
        {"text/event-stream", S2_TYPE_EVENTS},
        {" text/event-stream , application/json", S2_TYPE_EVENTS},
        {"application/json, text/event-stream", S2_TYPE_JSON},
        {"text/plain", S2_TYPE_OTHER},
        {"application/jsonx", S2_TYPE_OTHER},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        if (s2_type_of(span_str(cases[i].text)) != cases[i].type)
            fail_msg("%s", cases[i].text);
}

static void is_text(struct buf *out, const char *want)
{
    assert_string_equal(buf_cstr(out), want);
    buf_finish(out);
}

static void test_infos(void **state)
{
    (void)state;
    struct buf out = BUF_INIT;
    s2_put_time(&out, UINT64_C(1767323045678));
    is_text(&out, "\"2026-01-02T03:04:05.678Z\"");
    s2_put_time(&out, UINT64_C(1767323045000));
    is_text(&out, "\"2026-01-02T03:04:05Z\"");
    s2_put_time(&out, 0);
    is_text(&out, "null");
    s2_put_basin(&out, &(struct basin_info){.name = span_str("basin-one"), .created_ms = 1000});
    is_text(&out, "{\"name\":\"basin-one\",\"location\":\"weir:local\",\"created_at\":\"1970-01-01T00:00:01Z\","
                  "\"deleted_at\":null,\"state\":\"active\"}");
    s2_put_basin(&out, &(struct basin_info){.name = span_str("basin-one"), .created_ms = 1000, .deleted_ms = 2000});
    is_text(&out, "{\"name\":\"basin-one\",\"location\":\"weir:local\",\"created_at\":\"1970-01-01T00:00:01Z\","
                  "\"deleted_at\":\"1970-01-01T00:00:02Z\",\"state\":\"deleting\"}");
    stream_info_put(&out, &(struct stream_info){.name = span_str("a\"b"), .created_ms = 1000, .cipher = S2_AES_256_GCM});
    is_text(&out, "{\"name\":\"a\\\"b\",\"created_at\":\"1970-01-01T00:00:01Z\",\"deleted_at\":null,\"cipher\":\"aes-256-gcm\"}");
}

static void refusal(const struct store_op *op, unsigned want_status, const char *want)
{
    struct buf out = BUF_INIT;
    unsigned status;
    assert_int_equal(s2_refusal_put(&out, &status, op), 0);
    assert_int_equal(status, want_status);
    if (!strstr(buf_cstr(&out), want))
        fail_msg("%s lacks %s", buf_cstr(&out), want);
    buf_finish(&out);
}

static void test_refusals(void **state)
{
    (void)state;
    struct store_op op = {.result = ERR_CONDITION, .actual_seq = UINT64_MAX};
    refusal(&op, 412, "{\"seq_num_mismatch\":18446744073709551615}");
    op.fenced = true;
    memcpy(op.actual_token, "t\"1", 4);
    refusal(&op, 412, "{\"fencing_token_mismatch\":\"t\\\"1\"}");
    static const struct {
        int result;
        unsigned status;
        const char *code;
    } cases[] = {
        {ERR_NOT_FOUND, 404, "\"stream_not_found\""}, {ERR_INVALID, 422, "\"invalid\""},
        {ERR_TOO_LARGE, 422, "\"invalid\""},          {ERR_FULL, 500, "\"storage\",\"message\":\"the disk is full"},
        {ERR_UNAVAILABLE, 503, "\"unavailable\""},    {ERR_UNKNOWN, 500, "\"other\""},
        {-5, 500, "\"other\""},                       {ERR_FORBIDDEN, 403, "\"permission_denied\""},
        {ERR_AUTH, 401, "\"authn\""},                 {ERR_CONFLICT, 409, "\"resource_already_exists\""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        refusal(&(struct store_op){.result = cases[i].result}, cases[i].status, cases[i].code);
}

static void test_what_is_kept_of_a_basin(void **state)
{
    (void)state;
    struct basin_note note = {.token = "to\"ken", .token_len = 6, .created_ms = UINT64_MAX, .deleted_ms = 7}, back;
    struct buf out = BUF_INIT;
    note.config.create_on_read = true;
    note.config.cipher = S2_AES_256_GCM;
    note.config.defaults = (struct s2_stream_config){.has_retention = true, .retention_s = 3600, .has_min_age = true};
    basin_config_digest(note.digest, &note.config);
    assert_int_equal(basin_note_put(&out, &note), 0);
    assert_int_equal(basin_note_read(&back, buf_span(&out), NULL), 0);
    assert_true(back.config.create_on_read);
    assert_int_equal(back.config.cipher, S2_AES_256_GCM);
    assert_true(s2_stream_config_equal(&back.config.defaults, &note.config.defaults));
    assert_string_equal(back.token, "to\"ken");
    assert_memory_equal(back.digest, note.digest, 16);
    assert_true(back.created_ms == UINT64_MAX);
    assert_int_equal(back.deleted_ms, 7);
    for (size_t len = 0; len < out.len; len++) /* cut anywhere, it is no note */
        assert_int_equal(basin_note_read(&back, span_of(out.ptr, len), NULL), ERR_DAMAGED);
    buf_finish(&out);
    struct err err = ERR_INIT;
    assert_int_equal(basin_note_read(&back, span_str("{\"digest\":\"xx\"}"), &err), ERR_DAMAGED);
    assert_int_equal(basin_note_read(&back, span_str("{\"digest\":\"0g000000000000000000000000000000\"}"), &err), ERR_DAMAGED);
    assert_int_equal(basin_note_read(&back, span_str("{}"), &err), 0);
}

static void test_digests_differ(void **state)
{
    (void)state;
    uint8_t a[16], b[16];
    struct s2_basin_config config = {0};
    basin_config_digest(a, &config);
    config.defaults.has_min_age = true; /* 0, but given */
    basin_config_digest(b, &config);
    assert_memory_not_equal(a, b, 16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_media_types),
        cmocka_unit_test(test_infos),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_what_is_kept_of_a_basin),
        cmocka_unit_test(test_digests_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
