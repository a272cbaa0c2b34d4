/*
 * Frame ids: the known texts, what is refused, and that the generator never steps back.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <string.h>

#include <weir/id.h>

#define TS_MAX ((UINT64_C(1) << 48) - 1)

static const struct known {
    struct id_fields fields;
    const char *text;
} known[] = {
    {{0, 0, 0, 0}, "0000000000000000000000000"},
    {{TS_MAX, 0, 0, 0}, "f5lxx1zz5k6tp71geeh2db7k0"},
    {{0, 0xffffff, 0, 0}, "0000000005gv2r2kjwr7n8xs0"},
    {{0, 0, 0xffffff, 0}, "00000000000000jpia7ql4hs0"},
    {{0, 0, 0, 0xffffffff}, "0000000000000000001z141z3"},
    {{TS_MAX, 0xffffff, 0xffffff, 0xffffffff}, "f5lxx1zz5pnorynqglhzmsp33"},
    {{1700000000000, 1, 2, 3}, "03amo4vrpq0xs2alqicv0426b"},
    {{1735846904817, 3700363, 15394222, 0x089af023}, "03d4q1qhbiv09ovtuhokw5yxv"},
    {{1785966646158, 13437347, 11222487, 0x306ba4d4}, "03gmmrhqljv8bnulus79wipck"},
};

#define KNOWN_COUNT (sizeof(known) / sizeof(known[0]))

static void assert_fields(struct frame_id id, const struct id_fields *expected)
{
    struct id_fields got = id_unpack(id);
    assert_int_equal(got.ts_ms, expected->ts_ms);
    assert_int_equal(got.counter_hi, expected->counter_hi);
    assert_int_equal(got.counter_lo, expected->counter_lo);
    assert_int_equal(got.entropy, expected->entropy);
}

static void test_known_texts(void **state)
{
    (void)state;
    for (size_t i = 0; i < KNOWN_COUNT; i++) {
        struct frame_id id;
        char text[ID_TEXT_LEN + 1];
        assert_int_equal(id_pack(&id, &known[i].fields, NULL), 0);
        id_format(text, id);
        assert_string_equal(text, known[i].text);
        assert_int_equal(id_time_ms(id), known[i].fields.ts_ms);

        struct frame_id parsed;
        assert_int_equal(id_parse(&parsed, span_str(known[i].text), NULL), 0);
        assert_int_equal(id_cmp(parsed, id), 0);
        assert_fields(parsed, &known[i].fields);
    }
}

static void test_case_does_not_matter(void **state)
{
    (void)state;
    struct frame_id lower;
    struct frame_id upper;
    struct frame_id mixed;
    assert_int_equal(id_parse(&lower, span_str("03gmmrhqljv8bnulus79wipck"), NULL), 0);
    assert_int_equal(id_parse(&upper, span_str("03GMMRHQLJV8BNULUS79WIPCK"), NULL), 0);
    assert_int_equal(id_parse(&mixed, span_str("03GmMrHqLjV8bNuLuS79wIpCk"), NULL), 0);
    assert_int_equal(id_cmp(lower, upper), 0);
    assert_int_equal(id_cmp(lower, mixed), 0);
}

static void test_refused_texts(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "0",
        "03gmmrhqljv8bnulus79wipc",   /* 24 */
        "03gmmrhqljv8bnulus79wipckk", /* 26 */
        " 3gmmrhqljv8bnulus79wipck",
        "03gmmrhqljv8bnulus79wipc ",
        "03gmmrhqljv8bnulu-79wipck",
        "03gmmrhqljv8bnulu_79wipck",
        "03gmmrhqljv8bnulu@79wipck",
        "03gmmrhqljv8bnulu[79wipck",
        "03gmmrhqljv8bnulu`79wipck",
        "03gmmrhqljv8bnulu{79wipck",
        "03gmmrhqljv8bnulu/79wipck",
        "03gmmrhqljv8bnulu:79wipck",
        "03gmmrhqljv8bnulu\xc3\xa4"
        "9wipck",
        "f5lxx1zz5pnorynqglhzmsp34", /* 2^128 */
        "f5lxx1zz5pnorynqglhzmsp40",
        "f5lxx1zz5pnorynqglhzmtp33",
        "g000000000000000000000000",
        "zzzzzzzzzzzzzzzzzzzzzzzzz",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct frame_id id = {1, 2};
        struct err err = ERR_INIT;
        assert_int_equal(id_parse(&id, span_str(bad[i]), &err), ERR_INVALID);
        assert_int_equal(err.code, ERR_INVALID);
        assert_true(err.text[0] != '\0');
        assert_true(id.hi == 1 && id.lo == 2);
    }
    struct frame_id id;
    assert_int_equal(id_parse(&id,
                              span_of("03gmmrhqljv8bnulu\0"
                                      "79wipck",
                                      25),
                              NULL),
                     ERR_INVALID);
}

/* A plain long division, digit by digit, to compare the fast one with. */
static void slow_format(char *out, struct frame_id id)
{
    unsigned __int128 v = (unsigned __int128)id.hi << 64 | id.lo;
    out[ID_TEXT_LEN] = '\0';
    for (int i = ID_TEXT_LEN - 1; i >= 0; i--) {
        out[i] = "0123456789abcdefghijklmnopqrstuvwxyz"[(unsigned)(v % 36)];
        v /= 36;
    }
}

static void check_format(struct frame_id id)
{
    char fast[ID_TEXT_LEN + 1];
    char slow[ID_TEXT_LEN + 1];
    struct frame_id parsed;
    id_format(fast, id);
    slow_format(slow, id);
    assert_string_equal(fast, slow);
    assert_int_equal(id_parse(&parsed, span_of(fast, ID_TEXT_LEN), NULL), 0);
    assert_int_equal(id_cmp(parsed, id), 0);
}

static void test_format_agrees_with_long_division(void **state)
{
    (void)state;
    uint64_t a = 88172645463325252;
    uint64_t b = 0x9e3779b97f4a7c15;
    for (int i = 0; i < 100000; i++) {
        a ^= a << 13;
        a ^= a >> 7;
        a ^= a << 17;
        b += a;
        check_format((struct frame_id){a >> (b % 64), b});
    }
    for (unsigned bit = 0; bit < 64; bit++) {
        uint64_t one = UINT64_C(1) << bit;
        check_format((struct frame_id){one, 0});
        check_format((struct frame_id){one - 1, UINT64_MAX});
        check_format((struct frame_id){0, one});
        check_format((struct frame_id){UINT64_MAX, ~one});
    }
}

static void test_bytes_and_order(void **state)
{
    (void)state;
    struct frame_id id = {0x0102030405060708, 0x090a0b0c0d0e0f10};
    uint8_t bytes[ID_SIZE];
    id_put(bytes, id);
    for (int i = 0; i < ID_SIZE; i++)
        assert_int_equal(bytes[i], i + 1);
    assert_int_equal(id_cmp(id_get(bytes), id), 0);

    assert_true(id_cmp(ID_MIN, ID_MAX) < 0);
    assert_true(id_cmp((struct frame_id){1, 0}, (struct frame_id){0, UINT64_MAX}) > 0);
    assert_true(id_cmp((struct frame_id){1, 1}, (struct frame_id){1, 2}) < 0);
    assert_true(id_is_zero(ID_MIN));
    assert_false(id_is_zero((struct frame_id){0, 1}));
}

static void test_neighbours(void **state)
{
    (void)state;
    struct frame_id edge = {1, UINT64_MAX};
    struct frame_id up = id_succ(edge);
    assert_true(up.hi == 2 && up.lo == 0);
    assert_int_equal(id_cmp(id_pred(up), edge), 0);
    struct frame_id plain = {5, 5};
    assert_true(id_succ(plain).lo == 6 && id_succ(plain).hi == 5);
    assert_true(id_pred(plain).lo == 4 && id_pred(plain).hi == 5);
}

static void test_lowest_of_a_time(void **state)
{
    (void)state;
    struct frame_id id = id_at_time(1700000000000);
    assert_fields(id, &(struct id_fields){1700000000000, 0, 0, 0});
    assert_int_equal(id_time_ms(id_pred(id)), 1699999999999);
    assert_int_equal(id_cmp(id_at_time(TS_MAX + 1), ID_MAX), 0);
    assert_int_equal(id_time_ms(id_at_time(TS_MAX)), TS_MAX);
}

static void test_pack_names_the_field(void **state)
{
    (void)state;
    struct frame_id id = {7, 7};
    struct err err = ERR_INIT;
    assert_int_equal(id_pack(&id, &(struct id_fields){TS_MAX + 1, 0, 0, 0}, &err), ERR_INVALID);
    assert_non_null(strstr(err.text, "ts_ms"));
    assert_int_equal(id_pack(&id, &(struct id_fields){0, 0x1000000, 0, 0}, &err), ERR_INVALID);
    assert_non_null(strstr(err.text, "counter_hi"));
    assert_int_equal(id_pack(&id, &(struct id_fields){0, 0, 0x1000000, 0}, &err), ERR_INVALID);
    assert_non_null(strstr(err.text, "counter_lo"));
    assert_true(id.hi == 7 && id.lo == 7);
}

/* --- generator ---------------------------------------------------------------------------------
 */

#define NOW UINT64_C(1785966646158)

/* The next id, after a check that it is above the one before. */
static struct frame_id next_above(struct id_gen *gen, uint64_t now)
{
    struct frame_id before = gen->last;
    struct frame_id id = id_gen_next(gen, now);
    assert_true(id_cmp(id, before) > 0);
    assert_int_equal(id_cmp(id, gen->last), 0);
    return id;
}

static void test_ids_rise_within_one_millisecond(void **state)
{
    (void)state;
    struct id_gen gen;
    id_gen_init(&gen, ID_MIN);
    struct id_fields first = id_unpack(next_above(&gen, NOW));
    assert_int_equal(first.ts_ms, NOW);
    uint64_t counters = (uint64_t)first.counter_hi << 24 | first.counter_lo;
    for (int i = 1; i <= 100000; i++) {
        struct id_fields f = id_unpack(next_above(&gen, NOW));
        assert_int_equal((uint64_t)f.counter_hi << 24 | f.counter_lo,
                         (counters + (uint64_t)i) & ((UINT64_C(1) << 48) - 1));
    }
}

static void test_fields_are_renewed(void **state)
{
    (void)state;
    struct id_gen gen;
    id_gen_init(&gen, ID_MIN);
    struct id_fields a = id_unpack(next_above(&gen, NOW));
    struct id_fields b = id_unpack(next_above(&gen, NOW + 999));
    struct id_fields c = id_unpack(next_above(&gen, NOW + 1000));
    struct id_fields d = id_unpack(next_above(&gen, NOW + 1999));
    assert_int_equal(a.counter_hi, b.counter_hi);
    assert_int_equal(c.counter_hi, d.counter_hi);
    /* Twelve random bytes the same twice in a row would be a broken source. */
    assert_false(b.counter_hi == c.counter_hi && a.counter_lo == b.counter_lo &&
                 b.counter_lo == c.counter_lo && a.entropy == b.entropy);
}

static void test_entropy_differs(void **state)
{
    (void)state;
    struct id_gen gen;
    id_gen_init(&gen, ID_MIN);
    uint32_t all_or = 0;
    uint32_t all_and = UINT32_MAX;
    for (int i = 0; i < 1000; i++) {
        uint32_t entropy = id_unpack(next_above(&gen, NOW)).entropy;
        all_or |= entropy;
        all_and &= entropy;
    }
    assert_int_equal(all_or, UINT32_MAX);
    assert_int_equal(all_and, 0);
}

static void test_clock_back_an_hour_keeps_the_time(void **state)
{
    (void)state;
    struct id_gen gen;
    id_gen_init(&gen, ID_MIN);
    next_above(&gen, NOW);
    for (int i = 0; i < 5000; i++) {
        struct frame_id id = next_above(&gen, NOW - 3600 * 1000 + (uint64_t)i);
        assert_int_equal(id_time_ms(id), NOW);
    }
    assert_int_equal(id_time_ms(next_above(&gen, NOW + 1)), NOW + 1);
    assert_int_equal(id_time_ms(next_above(&gen, 0)), NOW + 1);
}

static void test_starts_above_the_newest_stored(void **state)
{
    (void)state;
    struct frame_id newest;
    struct id_fields fields = {NOW + 86400 * 1000, 0xfffffe, 5, 6};
    assert_int_equal(id_pack(&newest, &fields, NULL), 0);
    /* Often enough that a random counter_hi put in where it may not be would be lower at least
     * once. */
    for (int i = 0; i < 200; i++) {
        struct id_gen gen;
        id_gen_init(&gen, newest);
        struct frame_id id = next_above(&gen, NOW);
        assert_true(id_cmp(id, newest) > 0);
        assert_int_equal(id_time_ms(id), fields.ts_ms);
        assert_int_equal(id_unpack(id).counter_hi, 0xfffffe);
    }
}

static void test_counters_overflow_into_time(void **state)
{
    (void)state;
    struct id_gen gen;
    struct frame_id edge;
    struct id_fields lo_full = {NOW, 41, 0xffffff, 0xffffffff};
    assert_int_equal(id_pack(&edge, &lo_full, NULL), 0);
    id_gen_init(&gen, edge);
    struct id_fields f = id_unpack(next_above(&gen, NOW));
    assert_int_equal(f.ts_ms, NOW);
    assert_int_equal(f.counter_hi, 42);
    assert_int_equal(f.counter_lo, 0);

    struct id_fields both_full = {NOW, 0xffffff, 0xffffff, 0xffffffff};
    assert_int_equal(id_pack(&edge, &both_full, NULL), 0);
    id_gen_init(&gen, edge);
    assert_int_equal(id_time_ms(next_above(&gen, NOW)), NOW + 1);
    assert_int_equal(id_time_ms(next_above(&gen, NOW)), NOW + 1);
}

static void test_raise(void **state)
{
    (void)state;
    struct id_gen gen;
    id_gen_init(&gen, ID_MIN);
    struct frame_id first = next_above(&gen, NOW);
    id_gen_raise(&gen, id_at_time(NOW - 1));
    assert_int_equal(id_cmp(gen.last, first), 0);
    struct frame_id foreign = id_at_time(NOW + 9000);
    id_gen_raise(&gen, foreign);
    struct frame_id id = next_above(&gen, NOW);
    assert_true(id_cmp(id, foreign) > 0);
    assert_int_equal(id_time_ms(id), NOW + 9000);
}

static void test_end_of_the_age(void **state)
{
    (void)state;
    struct id_gen gen;
    struct frame_id edge;
    struct id_fields full = {TS_MAX, 0xffffff, 0xffffff, 7};
    assert_int_equal(id_pack(&edge, &full, NULL), 0);
    id_gen_init(&gen, edge);
    next_above(&gen, NOW);
    next_above(&gen, UINT64_MAX);
    assert_int_equal(id_time_ms(gen.last), TS_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_texts),
        cmocka_unit_test(test_case_does_not_matter),
        cmocka_unit_test(test_refused_texts),
        cmocka_unit_test(test_format_agrees_with_long_division),
        cmocka_unit_test(test_bytes_and_order),
        cmocka_unit_test(test_neighbours),
        cmocka_unit_test(test_lowest_of_a_time),
        cmocka_unit_test(test_pack_names_the_field),
        cmocka_unit_test(test_ids_rise_within_one_millisecond),
        cmocka_unit_test(test_fields_are_renewed),
        cmocka_unit_test(test_entropy_differs),
        cmocka_unit_test(test_clock_back_an_hour_keeps_the_time),
        cmocka_unit_test(test_starts_above_the_newest_stored),
        cmocka_unit_test(test_counters_overflow_into_time),
        cmocka_unit_test(test_raise),
        cmocka_unit_test(test_end_of_the_age),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
