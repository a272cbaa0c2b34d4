/*
 * Content hashes in SRI form.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <sodium.h>
#include <string.h>

#include "base/text.h"

static const struct {
    const char *content;
    const char *text;
} known[] = {
    {"hello", "sha256-LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ="},
    {"content", "sha256-7XACtDnprIRfIjV9giusFERzD722AW0+yUMil7nsn3M="},
    {"", "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="},
};

#define HELLO "sha256-LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ="
#define SHA1 "sha1-AAAAAAAAAAAAAAAAAAAAAAAAAAA="
#define XXH3 "xxh3-AAAAAAAAAAAAAAAAAAAAAA=="

static void test_known(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        uint8_t digest[32];
        uint8_t parsed[32];
        char text[SRI_TEXT_LEN + 1];
        crypto_hash_sha256(digest, (const uint8_t *)known[i].content, strlen(known[i].content));
        sri_format(text, digest);
        assert_string_equal(text, known[i].text);
        assert_int_equal(sri_parse(parsed, span_str(text), NULL), 0);
        assert_memory_equal(parsed, digest, 32);
    }
}

/* The table-driven writer against libsodium's, with every 12-bit group met. */
static void test_format_agrees_with_base64(void **state)
{
    (void)state;
    for (unsigned seed = 0; seed < 4096; seed++) {
        uint8_t digest[32];
        char text[SRI_TEXT_LEN + 1];
        for (unsigned i = 0; i < 32; i++)
            digest[i] = (uint8_t)((seed * 16 + i * 37) >> (i % 3 * 4));
        CLEAN_BUF expected = BUF_INIT;
        buf_add_str(&expected, "sha256-");
        assert_int_equal(b64_encode(&expected, span_of(digest, 32)), 0);
        sri_format(text, digest);
        assert_string_equal(text, buf_cstr(&expected));
    }
}

static void test_lists(void **state)
{
    (void)state;
    uint8_t digest[32];
    assert_int_equal(sri_parse(digest, span_str(SHA1 " " HELLO), NULL), 0);
    assert_int_equal(digest[0], 0x2c);
    assert_int_equal(sri_parse(digest, span_str("  " HELLO "\t" XXH3 "\n"), NULL), 0);
    assert_int_equal(digest[0], 0x2c);
    assert_int_equal(
        sri_parse(digest, span_str(HELLO " sha256-7XACtDnprIRfIjV9giusFERzD722AW0+yUMil7nsn3M="),
                  NULL),
        0);
    assert_int_equal(digest[0], 0x2c);
}

static void test_other_algorithms_are_not_found(void **state)
{
    (void)state;
    uint8_t digest[32] = {9};
    assert_int_equal(sri_parse(digest, span_str(SHA1), NULL), ERR_NOT_FOUND);
    assert_int_equal(sri_parse(digest, span_str(XXH3 " " SHA1), NULL), ERR_NOT_FOUND);
    CLEAN_BUF text = BUF_INIT;
    const uint8_t zeros[64] = {0};
    buf_add_str(&text, "sha384-");
    b64_encode(&text, span_of(zeros, 48));
    buf_add_str(&text, " sha512-");
    b64_encode(&text, span_of(zeros, 64));
    assert_int_equal(sri_parse(digest, buf_span(&text), NULL), ERR_NOT_FOUND);
    assert_int_equal(digest[0], 9);
}

static void test_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        " ",
        "sha256",
        "sha256-",
        "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=",
        "SHA256-LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=",
        "sha256-LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ",
        "sha256-LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCR=", /* bits beyond the 32 bytes */
        "sha256-LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ==",
        "sha256-LPJNul-wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=",
        "sha256-AAAA",
        "sha1-LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=",
        "md5-AAAAAAAAAAAAAAAAAAAAAA==",
        HELLO "x",
        HELLO " junk",
        "junk " HELLO,
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        uint8_t digest[32] = {9};
        struct err err = ERR_INIT;
        if (sri_parse(digest, span_str(bad[i]), &err) != ERR_INVALID)
            fail_msg("accepted: %s", bad[i]);
        assert_int_equal(err.code, ERR_INVALID);
        assert_int_equal(digest[0], 9);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known),   cmocka_unit_test(test_format_agrees_with_base64),
        cmocka_unit_test(test_lists),   cmocka_unit_test(test_other_algorithms_are_not_found),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
