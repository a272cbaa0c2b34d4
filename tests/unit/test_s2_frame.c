/*
 * Frames of sessions, and what packs them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <pthread.h>
#include <zlib.h>

#include "base/s2/frame.h"
#include "base/s2/proto.h"

static void expect_hex(struct span out, const char *expected)
{
    char text[512];
    assert_true(out.len < sizeof(text) / 2);
    for (size_t i = 0; i < out.len; i++)
        snprintf(text + 2 * i, 3, "%02x", out.ptr[i]);
    text[2 * out.len] = '\0';
    assert_string_equal(text, expected);
}

static void test_vectors(void **state)
{
    (void)state;
    CLEAN_BUF message = BUF_INIT;
    CLEAN_BUF out = BUF_INIT;
    assert_int_equal(s2_proto_put_tail(&message, &(struct s2_position){5, 7}), 0);
    assert_int_equal(s2s_put(&out, buf_span(&message), CODING_ZSTD, false), 0);
    expect_hex(buf_span(&out), "00000700120408051007");
    buf_reset(&out);
    buf_reset(&message);
    struct s2_record hi = {.body = span_str("hi")};
    assert_int_equal(s2_proto_put_input(&message, &(struct s2_input){.records = &hi, .count = 1}),
                     0);
    assert_int_equal(s2s_put(&out, buf_span(&message), CODING_NONE, true), 0);
    expect_hex(buf_span(&out), "000007100a041a026869");
    buf_reset(&out);
    assert_int_equal(s2s_put(&out, span_of(NULL, 0), CODING_GZIP, false), 0);
    expect_hex(buf_span(&out), "00000100");
    buf_reset(&out);
    assert_int_equal(s2s_put_terminal(&out, 404, span_str("{}")), 0);
    expect_hex(buf_span(&out), "00000580"
                               "0194"
                               "7b7d");
    struct s2s_frame frame;
    struct span rest = buf_span(&out);
    assert_int_equal(s2s_next(&frame, &rest, NULL), 0);
    assert_true(frame.terminal && frame.status == 404 && span_is(frame.payload, "{}") &&
                rest.len == 0);
}

static int next_of(const char *bytes, size_t len, struct s2s_frame *frame)
{
    struct err err = ERR_INIT;
    struct span rest = span_of(bytes, len);
    int rc = s2s_next(frame, &rest, &err);
    assert_true(rc == 0 || rest.len == len);
    assert_int_equal(rc == ERR_FORMAT, err.text[0] != '\0');
    return rc;
}

static void test_next(void **state)
{
    (void)state;
    struct s2s_frame f;
    static const char two[] = "\0\0\3\x10hi\0\0\1\0";
    for (size_t len = 0; len < 6; len++)
        assert_int_equal(next_of(two, len, &f), ERR_END);
    struct span rest = span_of(two, sizeof(two) - 1);
    assert_int_equal(s2s_next(&f, &rest, NULL), 0);
    assert_true(span_is(f.payload, "hi") && f.reconnect && !f.terminal && f.coding == CODING_NONE);
    assert_int_equal(s2s_next(&f, &rest, NULL), 0);
    assert_true(f.payload.len == 0 && !f.reconnect);
    assert_int_equal(s2s_next(&f, &rest, NULL), ERR_END);
    assert_int_equal(next_of("\0\0\1\x60", 4, &f), ERR_FORMAT); /* compression 3 */
    assert_int_equal(next_of("\0\0\0", 3, &f), ERR_FORMAT);     /* length 0 */
    assert_int_equal(next_of("\x20\0\0", 3, &f), ERR_END);      /* as long as it gets */
    assert_int_equal(next_of("\x20\0\1", 3, &f), ERR_FORMAT);
    assert_int_equal(next_of("\xff\xff\xff\0", 4, &f), ERR_FORMAT);
    assert_int_equal(next_of("\0\0\2\x80\1", 5, &f), ERR_FORMAT); /* no status */
    assert_int_equal(next_of("\0\0\3\x80\1", 5, &f), ERR_END);
    assert_int_equal(next_of("\0\0\3\x80\1\x9c", 6, &f), 0);
    assert_true(f.terminal && f.status == 412 && f.payload.len == 0);
    assert_int_equal(next_of("\0\0\2\x20x", 5, &f), 0);
    assert_int_equal(f.coding, CODING_ZSTD);
    assert_int_equal(next_of("\0\0\2\x4fx", 5, &f), 0); /* reserved bits mean nothing yet */
    assert_int_equal(f.coding, CODING_GZIP);
}

static void around(struct span message, enum coding coding, bool packed)
{
    CLEAN_BUF out = BUF_INIT;
    CLEAN_BUF room = BUF_INIT;
    struct s2s_frame frame;
    struct span again;
    assert_int_equal(buf_add_str(&room, "old"), 0);
    assert_int_equal(s2s_put(&out, message, coding, false), 0);
    struct span rest = buf_span(&out);
    assert_int_equal(s2s_next(&frame, &rest, NULL), 0);
    assert_int_equal(rest.len, 0);
    assert_int_equal(frame.coding, packed ? coding : CODING_NONE);
    assert_int_equal(s2s_message(&again, &frame, &room, NULL), 0);
    assert_true(span_eq(again, message));
}

static void test_packed(void **state)
{
    (void)state;
    size_t max = S2S_LENGTH_MAX - 1;
    uint8_t *bytes = calloc(1, max + 1);
    assert_non_null(bytes);
    for (enum coding coding = CODING_NONE; coding <= CODING_GZIP; coding++) {
        around(span_of(bytes, S2S_PACK_FROM - 1), coding, false);
        around(span_of(bytes, S2S_PACK_FROM), coding, true);
        around(span_of(bytes, max), coding, true);
        CLEAN_BUF out = BUF_INIT;
        assert_int_equal(buf_add_str(&out, "x"), 0);
        assert_int_equal(s2s_put(&out, span_of(bytes, max + 1), coding, false), ERR_TOO_LARGE);
        assert_int_equal(out.len, 1);
        if (coding == CODING_NONE)
            continue;
        /* A byte more than is allowed comes out of it. */
        CLEAN_BUF packed = BUF_INIT;
        CLEAN_BUF room = BUF_INIT;
        struct span message;
        assert_int_equal(coding_pack(&packed, coding, span_of(bytes, max + 1)), 0);
        struct s2s_frame frame = {.coding = coding, .payload = buf_span(&packed)};
        assert_int_equal(s2s_message(&message, &frame, &room, NULL), ERR_FORMAT);
        frame.payload.len--;
        assert_int_equal(s2s_message(&message, &frame, &room, NULL), ERR_FORMAT);
    }
    unsigned seed = 1;
    for (size_t i = 0; i < 5000; i++)
        bytes[i] = (uint8_t)rand_r(&seed);
    around(span_of(bytes, 5000), CODING_ZSTD, false); /* gains nothing */
    around(span_of(bytes, 5000), CODING_GZIP, false);
    free(bytes);
}

static void test_terminal(void **state)
{
    (void)state;
    CLEAN_BUF out = BUF_INIT;
    uint8_t *json = calloc(1, S2S_LENGTH_MAX);
    assert_non_null(json);
    assert_int_equal(s2s_put_terminal(&out, 500, span_of(json, S2S_LENGTH_MAX - 3)), 0);
    assert_int_equal(out.len, 3 + S2S_LENGTH_MAX);
    assert_int_equal(s2s_put_terminal(&out, 500, span_of(json, S2S_LENGTH_MAX - 2)), ERR_TOO_LARGE);
    free(json);
}

/* --- codings ---------------------------------------------------------------------------------- */

static void test_parse(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int coding;
    } cases[] = {{"", CODING_NONE},       {"identity", CODING_NONE},
                 {"zstd", CODING_ZSTD},   {" GZip\t", CODING_GZIP},
                 {"x-gzip", CODING_GZIP}, {"br", -1},
                 {"gzip, zstd", -1},      {"gzipp", -1},
                 {"deflate", -1}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        enum coding coding;
        bool known = coding_parse(&coding, span_str(cases[i].text));
        if (known != (cases[i].coding >= 0) || (known && (int)coding != cases[i].coding))
            fail_msg("%s", cases[i].text);
    }
    enum coding none;
    assert_true(coding_parse(&none, span_of(NULL, 0)));
    assert_string_equal(coding_name(CODING_ZSTD), "zstd");
    assert_string_equal(coding_name(CODING_GZIP), "gzip");
    assert_null(coding_name(CODING_NONE));
}

static void test_choose(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum coding coding;
    } cases[] = {{"", CODING_NONE},
                 {"gzip", CODING_GZIP},
                 {"gzip, deflate, br", CODING_GZIP},
                 {"gzip,zstd", CODING_ZSTD},
                 {"zstd;q=0, gzip", CODING_GZIP},
                 {"zstd; q=0.000 , gzip;q=0.1", CODING_GZIP},
                 {"zstd;q=0.001", CODING_ZSTD},
                 {"ZSTD;Q=1", CODING_ZSTD},
                 {"gzip;q=0", CODING_NONE},
                 {"gzip;x=0;q=0.", CODING_NONE},
                 {"gzip;x=0", CODING_GZIP},
                 {"*", CODING_NONE},
                 {"br;q=1.0, *;q=0.5", CODING_NONE},
                 {"identity", CODING_NONE},
                 {",,;,gzip,", CODING_GZIP},
                 {"zstdx", CODING_NONE},
                 {"gzip;q=", CODING_GZIP}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (coding_choose(span_str(cases[i].text)) != cases[i].coding)
            fail_msg("%s", cases[i].text);
    }
    assert_int_equal(coding_choose(span_of(NULL, 0)), CODING_NONE);
}

static int unpack(enum coding coding, struct span packed, size_t max, struct buf *out)
{
    struct err err = ERR_INIT;
    size_t before = out->len;
    uint8_t *exact = malloc(packed.len ? packed.len : 1); /* so that a read past the end is seen */
    assert_non_null(exact);
    if (packed.len > 0)
        memcpy(exact, packed.ptr, packed.len);
    int rc = coding_unpack(out, coding, span_of(exact, packed.len), max, &err);
    assert_int_equal(rc < 0, err.text[0] != '\0');
    assert_true(rc == 0 || out->len == before);
    free(exact);
    return rc;
}

static void test_unpack(void **state)
{
    (void)state;
    static uint8_t bytes[100000];
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * i >> 8);
    for (enum coding coding = CODING_NONE; coding <= CODING_GZIP; coding++) {
        for (size_t len = 0; len <= sizeof(bytes); len = len * 3 + 1) {
            CLEAN_BUF packed = BUF_INIT;
            CLEAN_BUF out = BUF_INIT;
            assert_int_equal(buf_add_str(&out, "x"), 0);
            assert_int_equal(coding_pack(&packed, coding, span_of(bytes, len)), 0);
            assert_int_equal(unpack(coding, buf_span(&packed), len, &out), 0);
            assert_int_equal(out.len, len + 1);
            assert_memory_equal(out.ptr + 1, bytes, len);
            if (len > 0)
                assert_int_equal(unpack(coding, buf_span(&packed), len - 1, &out), ERR_TOO_LARGE);
            if (coding == CODING_NONE)
                continue;
            for (size_t cut = 0; cut < packed.len; cut += 1 + packed.len / 50)
                assert_int_equal(unpack(coding, span_of(packed.ptr, cut), sizeof(bytes), &out),
                                 ERR_FORMAT);
            assert_int_equal(buf_add(&packed, "", 1), 0); /* behind the end */
            assert_int_equal(unpack(coding, buf_span(&packed), sizeof(bytes), &out), ERR_FORMAT);
            packed.len--;
            assert_int_equal(buf_reserve(&packed, packed.len), 0);
            assert_int_equal(buf_add_span(&packed, span_of(packed.ptr, packed.len)),
                             0); /* and again the same */
            assert_int_equal(unpack(coding, buf_span(&packed), 2 * sizeof(bytes), &out),
                             ERR_FORMAT);
        }
        CLEAN_BUF out = BUF_INIT;
        assert_int_equal(unpack(coding, span_of(NULL, 0), 10, &out),
                         coding == CODING_NONE ? 0 : ERR_FORMAT);
        assert_int_equal(unpack(coding, span_str("no such thing, whatever it says"), 10, &out),
                         coding == CODING_NONE ? ERR_TOO_LARGE : ERR_FORMAT);
    }
}

/* What an input says of itself takes no memory. */
static void test_claims(void **state)
{
    (void)state;
    CLEAN_BUF out = BUF_INIT;
    /* A frame head that claims 2^62 bytes, with nothing behind it; one with a window of 2 GiB. */
    static const char huge[] = "\x28\xb5\x2f\xfd\xe0\0\0\0\0\0\0\0\x40";
    static const char window[] = "\x28\xb5\x2f\xfd\x00\xa8\x01\0\0";
    assert_int_equal(unpack(CODING_ZSTD, span_of(huge, sizeof(huge) - 1), 1 << 20, &out),
                     ERR_FORMAT);
    assert_int_equal(unpack(CODING_ZSTD, span_of(window, sizeof(window) - 1), 1 << 20, &out),
                     ERR_FORMAT);
    assert_true(out.cap <= 64 * 1024);
    /* 64 MiB of zeros within few bytes stop at the bound. */
    enum { MANY = 64 * 1024 * 1024 };
    uint8_t *zeros = calloc(1, MANY);
    assert_non_null(zeros);
    for (enum coding coding = CODING_ZSTD; coding <= CODING_GZIP; coding++) {
        CLEAN_BUF packed = BUF_INIT;
        CLEAN_BUF few = BUF_INIT;
        assert_int_equal(coding_pack(&packed, coding, span_of(zeros, MANY)), 0);
        assert_int_equal(unpack(coding, buf_span(&packed), 100000, &few), ERR_TOO_LARGE);
        assert_true(few.cap <= 256 * 1024);
    }
    free(zeros);
}

/* zlib's own format is not gzip. */
static void test_zlib_is_not_gzip(void **state)
{
    (void)state;
    uint8_t packed[100];
    uLongf len = sizeof(packed);
    CLEAN_BUF out = BUF_INIT;
    assert_int_equal(compress(packed, &len, (const uint8_t *)"hello", 5), Z_OK);
    assert_int_equal(unpack(CODING_GZIP, span_of(packed, len), 100, &out), ERR_FORMAT);
}

static char once_failed;

static void *pack_in_thread(void *arg)
{
    (void)arg;
    CLEAN_BUF packed = BUF_INIT;
    CLEAN_BUF out = BUF_INIT;
    int rc = 0;
    for (enum coding coding = CODING_ZSTD; coding <= CODING_GZIP && rc == 0; coding++) {
        buf_reset(&packed);
        rc = coding_pack(&packed, coding, span_str("hello, hello, hello"));
        if (rc == 0)
            rc = coding_unpack(&out, coding, buf_span(&packed), 100, NULL);
    }
    bool good = rc == 0 && span_is(buf_span(&out), "hello, hello, hellohello, hello, hello");
    return good ? NULL : &once_failed;
}

/* A thread's working memory goes with it; leaks are seen by the sanitizer. */
static void test_threads(void **state)
{
    (void)state;
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, pack_in_thread, NULL), 0);
    for (int i = 0; i < 4; i++) {
        void *failed = NULL;
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_next),
        cmocka_unit_test(test_packed),
        cmocka_unit_test(test_terminal),
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_choose),
        cmocka_unit_test(test_unpack),
        cmocka_unit_test(test_claims),
        cmocka_unit_test(test_zlib_is_not_gzip),
        cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
