/*
 * Frames as lines for programs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/json.h"
#include "daemon/run/feed_line.h"

#define ID_TEXT "03d4q1qhbiv09ovtuhokw5yxv"
#define HEAD "{\"topic\":\"a.b\",\"id\":\"" ID_TEXT "\",\"hash\":null,\"meta\":{\"k\":1},\"ttl\":\"forever\""

static struct frame plain(void)
{
    struct frame frame = {
        .topic = span_str("a.b"), .meta = span_str("{\"k\":1}"), .ttl = {TTL_FOREVER, 0}};
    assert_int_equal(id_parse(&frame.id, span_str(ID_TEXT), NULL), 0);
    return frame;
}

static void check(struct feed_more more, const char *expected)
{
    CLEAN_BUF out = BUF_INIT;
    struct frame frame = plain();
    buf_add_str(&out, "before\n");
    assert_int_equal(feed_line(&out, &frame, &more), 0);
    assert_string_equal(buf_cstr(&out) + 7, expected);
    struct span line = span_of(out.ptr + 7, out.len - 8);
    assert_null(memchr(line.ptr, '\n', line.len));
    assert_int_equal(json_validate(line, META_DEPTH + 1, NULL, NULL), 0);
}

static void test_bare(void **state)
{
    (void)state;
    check((struct feed_more){0}, HEAD "}\n");
    check((struct feed_more){.attempt = 2}, HEAD ",\"attempt\":2}\n");
}

static struct feed_more content_of(struct span bytes)
{
    return (struct feed_more){.content = FEED_CONTENT_BYTES, .bytes = bytes};
}

static void test_contents(void **state)
{
    (void)state;
    check(content_of(span_str("two\nlines \"q\" \xc3\xa9")),
          HEAD ",\"content\":\"two\\nlines \\\"q\\\" \xc3\xa9\"}\n");
    check(content_of(span_of("\0x", 2)), HEAD ",\"content\":\"\\u0000x\"}\n");
    check(content_of((struct span){0}), HEAD ",\"content\":\"\"}\n");
    check(content_of(span_of("\xff\xfe", 2)), HEAD ",\"content_base64\":\"//4=\"}\n");
    check(content_of(span_of("a\xc3", 2)), HEAD ",\"content_base64\":\"YcM=\"}\n");
    check((struct feed_more){.content = FEED_CONTENT_NONE}, HEAD ",\"content\":null}\n");
    check((struct feed_more){.content = FEED_CONTENT_LARGE}, HEAD ",\"content_too_large\":true}\n");
}

static void test_content_is_last(void **state)
{
    (void)state;
    struct feed_more more = content_of(span_str("x"));
    more.attempt = 3;
    check(more, HEAD ",\"attempt\":3,\"content\":\"x\"}\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bare),
        cmocka_unit_test(test_contents),
        cmocka_unit_test(test_content_is_last),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
