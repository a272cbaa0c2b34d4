/* The header xs-meta: JSON as it is, or base64 of it. */
#include "daemon/meta.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <weir/frame.h>

#include "base/buf.h"
#include "base/clean.h"

static void gives(const char *header, const char *meta)
{
    CLEAN_BUF out = BUF_INIT;
    struct err err = ERR_INIT;
    assert_int_equal(meta_parse(&out, span_str(header), &err), 0);
    assert_int_equal(out.len, strlen(meta));
    if (out.len > 0)
        assert_memory_equal(out.ptr, meta, out.len);
}

static void refuses(const char *header)
{
    CLEAN_BUF out = BUF_INIT;
    struct err err = ERR_INIT;
    assert_int_equal(meta_parse(&out, span_str(header), &err), ERR_INVALID);
    assert_int_equal(out.len, 0);
    assert_true(err.text[0] != '\0');
}

static void test_json(void **state)
{
    (void)state;
    gives("{\"a\": [1, 2]}", "{\"a\":[1,2]}");
    gives("5", "5");
    gives("\"x\"", "\"x\"");
    gives("{\"n\":9007199254740993,\"n\":1.0e0}", "{\"n\":9007199254740993,\"n\":1.0e0}");
}

static void test_base64(void **state)
{
    (void)state;
    gives("eyJrZXkiOiJ2YWx1ZSJ9", "{\"key\":\"value\"}");
    gives("eyJuYW1lIjoiSW5mb3JtYWNpw7NuIn0=", "{\"name\":\"Informaci\303\263n\"}");
    gives("NQ==", "5");
    gives("bnVsbA==", "");
    gives("dHJ1ZQ==", "true");
}

static void test_neither(void **state)
{
    (void)state;
    const char *const bad[] = {
        "",         "{",           "{\"a\":}", "%%%",      "tru",       "truetrue", "01",
        "eyJrZXki", "//4=",        "[1] x",    "abc=d",    "NaN",       "null",     "true",
        "+5",       "caf\303\251", "\001",     "MSAy\n\n", "{\"a\":1,}"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        refuses(bad[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_base64),
        cmocka_unit_test(test_neither),
    };
    return cmocka_run_group_tests_name("meta", tests, NULL, NULL);
}
