/*
 * The protobuf messages: bytes as the encoding says, unknown fields passed over, damage refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/s2/proto.h"
#include "base/s2/wire.h"

/* Hex digits as bytes, in memory of exactly their number. */
static struct span hex(const char *text)
{
    static uint8_t *kept;
    size_t len = strlen(text) / 2;
    free(kept);
    kept = malloc(len ? len : 1);
    assert_non_null(kept);
    for (size_t i = 0; i < len; i++) {
        unsigned byte;
        assert_int_equal(sscanf(text + 2 * i, "%2x", &byte), 1);
        kept[i] = (uint8_t)byte;
    }
    return span_of(kept, len);
}

static void expect_hex(const struct buf *out, const char *expected)
{
    char text[512];
    assert_true(out->len < sizeof(text) / 2);
    for (size_t i = 0; i < out->len; i++)
        snprintf(text + 2 * i, 3, "%02x", out->ptr[i]);
    text[2 * out->len] = '\0';
    assert_string_equal(text, expected);
}

static void test_varints(void **state)
{
    (void)state;
    for (int bit = 0; bit < 64; bit++) {
        for (int less = 0; less < 2; less++) {
            uint64_t value = (UINT64_C(1) << bit) - (uint64_t)less;
            uint8_t bytes[11] = {WIRE_VARINT | 1 << 3};
            uint8_t *end = wire_put_u64(bytes + 1, value);
            assert_int_equal(end - bytes - 1, wire_size_u64(value));
            struct span rest = span_of(bytes, (size_t)(end - bytes));
            struct wire_field field;
            assert_int_equal(wire_next(&field, &rest), 1);
            assert_true(field.value == value && rest.len == 0);
        }
    }
    assert_int_equal(wire_size_u64(UINT64_MAX), 10);
}

static void test_put(void **state)
{
    (void)state;
    CLEAN_BUF out = BUF_INIT;
    const struct s2_header headers[] = {{span_str("a"), span_str("b")},
                                        {span_of(NULL, 0), span_of(NULL, 0)}};
    struct s2_record records[] = {{.body = span_str("hi")},
                                  {.has_timestamp = true, .headers = headers, .header_count = 2},
                                  {.seq_num = 9, .timestamp = 9}};
    struct s2_input input = {.records = records, .count = 1};
    assert_int_equal(s2_proto_put_input(&out, &input), 0);
    expect_hex(&out, "0a041a026869");
    buf_reset(&out);
    /* Zero is said of what is optional; a seq_num and a timestamp that was not given are not the
     * append's. */
    input = (struct s2_input){.records = records, .count = 3, .has_match = true, .has_token = true};
    assert_int_equal(s2_proto_put_input(&out, &input), 0);
    expect_hex(&out, "0a041a026869"
                     "0a0c080012060a0161120162"
                     "1200"
                     "0a00"
                     "1000"
                     "1a00");
    buf_reset(&out);
    assert_int_equal(s2_proto_put_input(&out, &(struct s2_input){0}), 0);
    assert_int_equal(out.len, 0);
    assert_int_equal(s2_proto_put_tail(&out, &(struct s2_position){5, 7}), 0);
    expect_hex(&out, "120408051007");
    buf_reset(&out);
    assert_int_equal(s2_proto_put_tail(&out, &(struct s2_position){0, 0}), 0);
    expect_hex(&out, "1200");
    buf_reset(&out);
    assert_int_equal(s2_proto_put_ack(&out, &(struct s2_ack){{0, 0}, {1, 300}, {1, 300}}), 0);
    expect_hex(&out, "0a00"
                     "1205080110ac02"
                     "1a05080110ac02");
    buf_reset(&out);
    records[1].seq_num = 1;
    assert_int_equal(s2_proto_put_record(&out, &records[1]), 0);
    expect_hex(&out, "0a0c08011a060a0161120162"
                     "1a00");
    buf_reset(&out);
    assert_int_equal(s2_proto_put_record(&out, &records[0]), 0);
    expect_hex(&out, "0a0422026869");
}

static void test_read_input(void **state)
{
    (void)state;
    CLEAN_S2_INPUT in = {0};
    assert_int_equal(s2_proto_read_input(&in, hex("0a041a026869"), NULL), 0);
    assert_true(in.count == 1 && span_is(in.records[0].body, "hi") && !in.has_match &&
                !in.has_token);
    assert_false(in.records[0].has_timestamp);
    assert_int_equal(s2_proto_read_input(&in, hex(""), NULL), 0);
    assert_int_equal(in.count, 0);
    assert_int_equal(
        s2_proto_read_input(&in, hex("0a0c080012060a016112016212000a0010001a00"), NULL), 0);
    assert_int_equal(in.count, 2);
    assert_true(in.records[0].has_timestamp && in.records[0].timestamp == 0 &&
                in.records[0].header_count == 2);
    assert_true(span_is(in.records[0].headers[0].name, "a") &&
                span_is(in.records[0].headers[0].value, "b"));
    assert_true(in.records[0].headers[1].name.len == 0 && in.records[0].headers[1].value.len == 0);
    assert_true(in.has_match && in.match_seq_num == 0 && in.has_token && in.token.len == 0);
    /* The last of a scalar counts; fields in any order; unknown ones of every type, and known ones
     * of another type, are passed over. */
    assert_int_equal(s2_proto_read_input(&in,
                                         hex("10011002"
                                             "1a0161"
                                             "1a0162"
                                             "2001"
                                             "290102030405060708"
                                             "3203616263"
                                             "3d01020304"
                                             "43"
                                             "0801"
                                             "4b4c"
                                             "44"
                                             "0801"
                                             "120161"
                                             "f8ffffff0f01"
                                             "0a0e"
                                             "1a0161"
                                             "1a0162"
                                             "0807"
                                             "2001"
                                             "120108"
                                             "120808"),
                                         NULL),
                     ERR_FORMAT); /* the last header is cut */
    assert_int_equal(s2_proto_read_input(&in,
                                         hex("10011002"
                                             "1a0161"
                                             "1a0162"
                                             "2001"
                                             "290102030405060708"
                                             "3203616263"
                                             "3d01020304"
                                             "43"
                                             "0801"
                                             "4b4c"
                                             "44"
                                             "0801"
                                             "120161"
                                             "f8ffffff0f01"
                                             "0a0e"
                                             "1a0161"
                                             "1a0162"
                                             "0807"
                                             "2001"
                                             "12020805"
                                             "0a0430013801"),
                                         NULL),
                     0);
    assert_true(in.match_seq_num == 2 && span_is(in.token, "b"));
    assert_int_equal(in.count, 2);
    assert_true(span_is(in.records[0].body, "b") && in.records[0].timestamp == 7 &&
                in.records[0].header_count == 1);
    assert_true(in.records[0].headers[0].name.len == 0);
    assert_int_equal(s2_proto_read_input(&in, hex("10ffffffffffffffffff01"), NULL), 0);
    assert_true(in.match_seq_num == UINT64_MAX);
}

static void test_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "0a", /* a length is missing */
        "0a05"
        "1a026869", /* cut */
        "0a04"
        "1a036869",                 /* cut within */
        "08",                       /* a number is missing */
        "0880",                     /* cut */
        "10ffffffffffffffffff02",   /* above 2^64-1 */
        "10ffffffffffffffffffff01", /* eleven bytes */
        "00",
        "0000", /* field 0 */
        "0e",
        "0f",           /* wire types 6 and 7 */
        "f8ffffff1f01", /* field 2^29 and more */
        "2901020304050607",
        "3d010203",
        "3203616",
        "0c",
        "0b",
        "0b14",
        "0b130c14", /* groups that do not fit together */
        "1a01ff",   /* a token that is no UTF-8 */
        "0affffffffffffffffff01",
        "0affffffff0f",
    };
    CLEAN_S2_INPUT in = {0};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct err err = ERR_INIT;
        int rc = s2_proto_read_input(&in, hex(bad[i]), &err);
        if (rc != ERR_FORMAT || err.text[0] == '\0')
            fail_msg("%s: %d", bad[i], rc);
    }
    uint8_t deep[4000];
    memset(deep, 0x43, sizeof(deep));
    assert_int_equal(s2_proto_read_input(&in, span_of(deep, sizeof(deep)), NULL), ERR_FORMAT);
    assert_int_equal(s2_proto_read_ack(&(struct s2_ack){0}, hex("0a0208"), NULL), ERR_FORMAT);
    assert_int_equal(s2_proto_read_batch(&(struct s2_batch){0}, hex("0a0208"), NULL), ERR_FORMAT);
    assert_int_equal(s2_proto_read_batch(&(struct s2_batch){0}, hex("120208"), NULL), ERR_FORMAT);
}

static void test_too_many(void **state)
{
    (void)state;
    CLEAN_S2_INPUT in = {0};
    enum { SIZE = 2 * 1024 * 1024 };
    uint8_t *message = malloc(SIZE);
    assert_non_null(message);
    for (size_t i = 0; i < SIZE; i += 2) {
        message[i] = 0x0a;
        message[i + 1] = 0;
    }
    assert_int_equal(s2_proto_read_input(&in, span_of(message, SIZE), NULL), 0);
    assert_int_equal(in.count, S2_RECORDS_MAX + 1);
    assert_int_equal(s2_input_check(&in, NULL), ERR_INVALID);
    /* One record of empty headers. */
    uint8_t *at = wire_put_head(message, 1, SIZE - 4);
    assert_int_equal(at - message, 4);
    memset(at, 0, SIZE - 4);
    size_t len = 4;
    for (; len + 2 <= SIZE; len += 2)
        message[len] = 0x12;
    wire_put_head(message, 1, len - 4);
    assert_int_equal(s2_proto_read_input(&in, span_of(message, len), NULL), 0);
    assert_int_equal(s2_input_check(&in, NULL), ERR_INVALID);
    free(message);
}

static struct span random_bytes(uint8_t *room, size_t max, unsigned *seed)
{
    size_t len = rand_r(seed) % 3 ? (size_t)rand_r(seed) % max : 0;
    for (size_t i = 0; i < len; i++)
        room[i] = (uint8_t)rand_r(seed);
    return span_of(room, len);
}

static uint64_t random_u64(unsigned *seed)
{
    uint64_t value =
        (uint64_t)rand_r(seed) << 40 ^ (uint64_t)rand_r(seed) << 20 ^ (uint64_t)rand_r(seed);
    return rand_r(seed) % 4 ? value >> rand_r(seed) % 64 : 0;
}

#define RECORDS 5
#define HEADERS 3

/* Random records; their bytes are static. */
static void make_records(struct s2_record *records, unsigned *seed)
{
    static uint8_t room[RECORDS][2 * HEADERS + 1][200];
    static struct s2_header headers[RECORDS][HEADERS];
    for (size_t i = 0; i < RECORDS; i++) {
        records[i] = (struct s2_record){.headers = headers[i],
                                        .header_count = (size_t)rand_r(seed) % (HEADERS + 1)};
        for (size_t j = 0; j < records[i].header_count; j++) {
            headers[i][j].name = random_bytes(room[i][2 * j], 30, seed);
            headers[i][j].value = random_bytes(room[i][2 * j + 1], 200, seed);
        }
        records[i].body = random_bytes(room[i][2 * HEADERS], 200, seed);
        records[i].has_timestamp = rand_r(seed) % 2;
        records[i].timestamp = records[i].has_timestamp ? random_u64(seed) : 0;
        records[i].seq_num = random_u64(seed);
    }
}

static void assert_same(const struct s2_record *a, const struct s2_record *b)
{
    assert_true(span_eq(a->body, b->body) && a->timestamp == b->timestamp);
    assert_int_equal(a->header_count, b->header_count);
    for (size_t i = 0; i < a->header_count; i++)
        assert_true(span_eq(a->headers[i].name, b->headers[i].name) &&
                    span_eq(a->headers[i].value, b->headers[i].value));
}

static void around_input(struct s2_record *records, size_t count, unsigned *seed)
{
    CLEAN_BUF out = BUF_INIT;
    CLEAN_S2_INPUT again = {0};
    struct s2_input input = {.records = records,
                             .count = count,
                             .has_match = rand_r(seed) % 2,
                             .has_token = rand_r(seed) % 2,
                             .token = span_str(rand_r(seed) % 2 ? "" : "token")};
    input.match_seq_num = random_u64(seed);
    assert_int_equal(s2_proto_put_input(&out, &input), 0);
    buf_trim(&out);
    assert_int_equal(s2_proto_read_input(&again, buf_span(&out), NULL), 0);
    assert_int_equal(again.count, count);
    assert_int_equal(again.has_match, input.has_match);
    assert_true(!input.has_match || again.match_seq_num == input.match_seq_num);
    assert_int_equal(again.has_token, input.has_token);
    assert_true(!input.has_token || span_eq(again.token, input.token));
    for (size_t i = 0; i < count; i++) {
        assert_same(&again.records[i], &records[i]);
        assert_int_equal(again.records[i].has_timestamp, records[i].has_timestamp);
    }
}

static void around_batch(struct s2_record *records, size_t count, unsigned *seed)
{
    CLEAN_BUF out = BUF_INIT;
    struct s2_batch again = {0};
    struct s2_position tail = {random_u64(seed), random_u64(seed)};
    bool has_tail = rand_r(seed) % 2;
    for (size_t i = 0; i < count; i++)
        assert_int_equal(s2_proto_put_record(&out, &records[i]), 0);
    if (has_tail)
        assert_int_equal(s2_proto_put_tail(&out, &tail), 0);
    assert_int_equal(s2_proto_read_batch(&again, buf_span(&out), NULL), 0);
    assert_int_equal(again.count, count);
    assert_int_equal(again.has_tail, has_tail);
    assert_true(!has_tail ||
                (again.tail.seq_num == tail.seq_num && again.tail.timestamp == tail.timestamp));
    for (size_t i = 0; i < count; i++) {
        assert_same(&again.records[i], &records[i]);
        assert_true(again.records[i].seq_num == records[i].seq_num &&
                    again.records[i].has_timestamp);
    }
    s2_batch_finish(&again);
}

static void test_around(void **state)
{
    (void)state;
    unsigned seed = 11;
    for (int round = 0; round < 4000; round++) {
        struct s2_record records[RECORDS];
        struct s2_ack ack = {{random_u64(&seed), random_u64(&seed)},
                             {random_u64(&seed), random_u64(&seed)},
                             {random_u64(&seed), 0}};
        struct s2_ack again = {{1, 1}, {1, 1}, {1, 1}};
        CLEAN_BUF out = BUF_INIT;
        make_records(records, &seed);
        around_input(records, (size_t)rand_r(&seed) % (RECORDS + 1), &seed);
        around_batch(records, (size_t)rand_r(&seed) % (RECORDS + 1), &seed);
        assert_int_equal(s2_proto_put_ack(&out, &ack), 0);
        assert_int_equal(s2_proto_read_ack(&again, buf_span(&out), NULL), 0);
        assert_memory_equal(&again, &ack, sizeof(ack));
    }
    hex("");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_varints),    cmocka_unit_test(test_put),
        cmocka_unit_test(test_read_input), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_too_many),   cmocka_unit_test(test_around),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
