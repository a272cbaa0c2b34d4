/* Places in a weir store: as text and back, and what no place is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/text.h"
#include "bridge/relay/weir_place.h"

static void good(const char *text, const char *query)
{
    struct weir_place place;
    CLEAN_BUF back = BUF_INIT;
    CLEAN_BUF asked = BUF_INIT;
    assert_int_equal(weir_place_parse(&place, span_str(text)), 0);
    assert_int_equal(weir_place_format(&place, &back), 0);
    assert_string_equal(buf_cstr(&back), text);
    assert_int_equal(weir_place_query(&place, &asked), 0);
    assert_string_equal(buf_cstr(&asked), query);
}

static void test_texts(void **state)
{
    (void)state;
    good("start", "");
    good("seq=0", "&from-seq=0");
    good("seq=18446744073709551615", "&from-seq=18446744073709551615");
    good("id=03ha273lp2urbry5dtrtyr7ar", "&after=03ha273lp2urbry5dtrtyr7ar");
    good("id=03ha273lp2urbry5dtrtyr7ar time=1700000000000", "&after=03ha273lp2urbry5dtrtyr7ar");
}

static void test_time(void **state)
{
    struct weir_place place;
    (void)state;
    assert_int_equal(weir_place_parse(&place, span_str("time=5")), 0);
    assert_true(place.by == WEIR_PLACE_TIME && place.has_time && place.time_ms == 5);
    assert_int_equal(weir_place_parse(&place, span_str("id=03ha273lp2urbry5dtrtyr7ar")), 0);
    assert_false(place.has_time);
}

static void test_others(void **state)
{
    static const char *const texts[] = {"",       "begin",         "start ",      "seq=",   "seq=-1", "seq=5 time=3",
                                        "time=x", "id=",           "id=5",        "id",     "=",      "offset=128 created=5",
                                        "k=5-0",  "start time=10", "seq=5 x=123", "time=1 time=2",
                                        "id=03ha273lp2urbry5dtrtyr7ar ",
                                        "id=03ha273lp2urbry5dtrtyr7ar time=",
                                        "id=03ha273lp2urbry5dtrtyr7ar seq=4"};
    struct weir_place place = {.by = WEIR_PLACE_SEQ, .seq = 9};
    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        assert_int_equal(weir_place_parse(&place, span_str(texts[i])), ERR_INVALID);
    assert_true(place.by == WEIR_PLACE_SEQ && place.seq == 9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_texts), cmocka_unit_test(test_time), cmocka_unit_test(test_others)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
