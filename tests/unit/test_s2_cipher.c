/* Encrypted records: back to what they were, and to nothing else with another key, stream or byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "daemon/s2/s2.h"

static const uint8_t key[S2_KEY_SIZE] = "0123456789abcdef0123456789abcde";
static const uint8_t other_key[S2_KEY_SIZE] = "0123456789abcdef0123456789abcdf";

static struct store_topic topic_of(const char *name)
{
    return (struct store_topic){.name = span_str(name), .no = 7, .created_ms = 1000};
}

static struct span text(const char *s)
{
    return span_str(s);
}

static void assert_span(struct span got, struct span want)
{
    assert_int_equal(got.len, want.len);
    if (want.len > 0)
        assert_memory_equal(got.ptr, want.ptr, want.len);
}

/* Sealed and opened again: the same; how much larger it became. */
static size_t there_and_back(const struct s2_record *record)
{
    const struct store_topic topic = topic_of("dir/a b");
    struct buf sealed = BUF_INIT, room = BUF_INIT;
    struct s2_headers headers = {0};
    struct s2_record got = {0};
    struct err err = ERR_INIT;
    assert_int_equal(s2_seal(&sealed, key, &topic, record, &err), 0);
    assert_int_equal(s2_unseal(&got, &headers, &room, key, &topic, buf_span(&sealed), &err), 0);
    assert_int_equal(got.header_count, record->header_count);
    for (size_t i = 0; i < got.header_count; i++) {
        assert_span(got.headers[i].name, record->headers[i].name);
        assert_span(got.headers[i].value, record->headers[i].value);
    }
    assert_span(got.body, record->body);
    size_t size = sealed.len;
    buf_finish(&sealed);
    buf_finish(&room);
    s2_headers_finish(&headers);
    return size;
}

static void test_round_trip(void **state)
{
    (void)state;
    const struct s2_header headers[] = {{text("a"), text("1")}, {text(""), text("")}, {text("a"), span_of("\0\xff", 2)}};
    struct s2_record record = {.headers = headers, .header_count = 3, .body = text("body")};
    there_and_back(&record);
    record.header_count = 0;
    assert_int_equal(there_and_back(&record), 1 + 12 + 16 + 1 + 4);
    record.body = (struct span){0};
    there_and_back(&record);
}

/* Whatever an append may hold, it is no larger than a frame takes along. */
static void test_largest(void **state)
{
    (void)state;
    uint8_t *bytes = calloc(1, S2_METERED_MAX);
    struct s2_header *headers = calloc(S2_METERED_MAX / 4, sizeof(*headers));
    assert_non_null(bytes);
    assert_non_null(headers);
    struct s2_record record = {.body = span_of(bytes, S2_METERED_MAX - 8)};
    assert_int_equal(s2_metered(&record), S2_METERED_MAX);
    assert_true(there_and_back(&record) <= RECORD_CONTENT_MAX);
    static const size_t sizes[] = {1, 63, 64, 65, 127, 128, 5000, 16384};
    for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
        size_t each = 2 + 2 * sizes[s], count = (S2_METERED_MAX - 8) / each;
        for (size_t i = 0; i < count; i++)
            headers[i] = (struct s2_header){span_of(bytes, sizes[s]), span_of(bytes, sizes[s])};
        record = (struct s2_record){.headers = headers, .header_count = count};
        assert_true(there_and_back(&record) <= RECORD_CONTENT_MAX);
    }
    free(headers);
    free(bytes);
}

/* Each with a nonce of its own. */
static void test_nonce(void **state)
{
    (void)state;
    const struct store_topic topic = topic_of("s");
    const struct s2_record record = {.body = text("the same")};
    struct buf a = BUF_INIT, b = BUF_INIT;
    assert_int_equal(s2_seal(&a, key, &topic, &record, NULL), 0);
    assert_int_equal(s2_seal(&b, key, &topic, &record, NULL), 0);
    assert_int_equal(a.len, b.len);
    assert_memory_not_equal(a.ptr + 1, b.ptr + 1, 12);
    assert_memory_not_equal(a.ptr + 13, b.ptr + 13, a.len - 13);
    buf_finish(&a);
    buf_finish(&b);
}

static int unseal(const uint8_t *with, const char *stream, struct span content)
{
    const struct store_topic topic = topic_of(stream);
    struct buf room = BUF_INIT;
    struct s2_headers headers = {0};
    struct s2_record got = {0};
    struct err err = ERR_INIT;
    int rc = s2_unseal(&got, &headers, &room, with, &topic, content, &err);
    assert_int_equal(rc, err.code);
    buf_finish(&room);
    s2_headers_finish(&headers);
    return rc;
}

static void test_refusals(void **state)
{
    (void)state;
    const struct store_topic topic = topic_of("s");
    const struct s2_header header = {text("name"), text("value")};
    const struct s2_record record = {.headers = &header, .header_count = 1, .body = text("secret")};
    struct buf sealed = BUF_INIT;
    assert_int_equal(s2_seal(&sealed, key, &topic, &record, NULL), 0);
    struct span whole = buf_span(&sealed);
    assert_int_equal(unseal(key, "s", whole), 0);
    assert_int_equal(unseal(other_key, "s", whole), ERR_FORBIDDEN);
    assert_int_equal(unseal(key, "t", whole), ERR_FORBIDDEN);
    for (size_t i = 1; i < sealed.len; i++) {
        sealed.ptr[i] ^= 1;
        assert_int_equal(unseal(key, "s", whole), ERR_FORBIDDEN);
        sealed.ptr[i] ^= 1;
    }
    for (size_t len = 0; len < sealed.len; len++)
        assert_true(unseal(key, "s", span_of(sealed.ptr, len)) < 0);
    sealed.ptr[0] = 2;
    assert_int_equal(unseal(key, "s", whole), ERR_DAMAGED);
    buf_finish(&sealed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_round_trip), cmocka_unit_test(test_largest),
                                       cmocka_unit_test(test_nonce), cmocka_unit_test(test_refusals)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
