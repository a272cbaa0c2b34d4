/*
 * Errors: codes, texts, and that a text is one clean line whatever it quotes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include <weir/err.h>

static void test_set_keeps_code_and_text(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    assert_int_equal(err_set(&err, ERR_INVALID, "bad %s %d", "thing", 7), ERR_INVALID);
    assert_int_equal(err.code, ERR_INVALID);
    assert_string_equal(err.text, "bad thing 7");
    assert_int_equal(err_set(NULL, ERR_FULL, "unseen"), ERR_FULL);
}

static void test_sys_adds_the_reason(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    assert_int_equal(err_sys(&err, ENOSPC, "write %s", "journal"), -ENOSPC);
    assert_int_equal(err.code, -ENOSPC);
    assert_string_equal(err.text, "write journal: No space left on device");
    assert_int_equal(err_sys(NULL, EIO, "unseen"), -EIO);
}

static void test_prefix_keeps_code(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    err_set(&err, ERR_DAMAGED, "checksum differs");
    err_prefix(&err, "segment %d", 3);
    assert_int_equal(err.code, ERR_DAMAGED);
    assert_string_equal(err.text, "segment 3: checksum differs");
    err_prefix(NULL, "unseen");
}

static void test_text_may_quote_itself(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    err_set(&err, ERR_INVALID, "inner");
    err_set(&err, err.code, "outer (%s)", err.text);
    assert_string_equal(err.text, "outer (inner)");
}

static void test_control_bytes_do_not_pass(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    err_set(&err, ERR_INVALID, "a\nb\x1b[31mc\x7f");
    assert_string_equal(err.text, "a?b?[31mc?");
}

static void test_long_text_is_cut_at_a_character(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    char text[400];
    memset(text, 'x', sizeof(text));
    text[399] = '\0';
    err_set(&err, ERR_INVALID, "%s", text);
    assert_int_equal(strlen(err.text), ERR_TEXT_SIZE - 1);

    /* The two bytes of U+00E4 stand at 254 and 255, of which only the first has room. */
    memcpy(text + 254, "\xc3\xa4", 2);
    err_set(&err, ERR_INVALID, "%s", text);
    assert_int_equal(strlen(err.text), 254);
    err_prefix(&err, "%s", text);
    assert_int_equal(strlen(err.text), 254);
}

static void test_every_code_has_a_text(void **state)
{
    (void)state;
    for (int code = ERR_REMOTE; code <= ERR_INVALID; code++)
        assert_string_not_equal(err_code_text(code), "unknown error");
    assert_string_equal(err_code_text(ERR_NOT_FOUND), "not found");
    assert_string_equal(err_code_text(-ENOENT), "No such file or directory");
    assert_string_equal(err_code_text(0), "success");
    assert_string_equal(err_code_text(-900), "unknown error");
    assert_string_equal(err_code_text(-5000), "unknown error");
    assert_string_equal(err_code_text(5), "unknown error");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_set_keeps_code_and_text),
        cmocka_unit_test(test_sys_adds_the_reason),
        cmocka_unit_test(test_prefix_keeps_code),
        cmocka_unit_test(test_text_may_quote_itself),
        cmocka_unit_test(test_control_bytes_do_not_pass),
        cmocka_unit_test(test_long_text_is_cut_at_a_character),
        cmocka_unit_test(test_every_code_has_a_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
