/*
 * Lines of the SeaStreamer dialect: keys, reading, defaults and counters, groups, writing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <string.h>

#include "bridge/line.h"

#define NO_TIME UINT64_MAX
#define DAY_2022 UINT64_C(1640995200000)

static struct span bytes_of(const char *text)
{
    return span_str(text);
}

/* --- keys ------------------------------------------------------------------------------------- */

static void test_key(void **state)
{
    (void)state;
    char longest[SS_KEY_MAX + 2];
    struct err err = ERR_INIT;
    memset(longest, 'k', sizeof(longest) - 1);
    longest[SS_KEY_MAX + 1] = '\0';
    assert_int_equal(ss_key_check(bytes_of("A.b_c-9"), &err), 0);
    assert_int_equal(ss_key_check(bytes_of("-a"), &err), 0);
    assert_int_equal(ss_key_check(bytes_of("9"), &err), 0);
    assert_int_equal(ss_key_check(bytes_of(SS_KEY_INTERNAL), &err), 0);
    assert_int_equal(ss_key_check(span_of(longest, SS_KEY_MAX), &err), 0);
    assert_int_equal(ss_key_check(span_of(longest, SS_KEY_MAX + 1), &err), ERR_INVALID);
    assert_non_null(strstr(err.text, "250 bytes"));
    assert_int_equal(ss_key_check(bytes_of(""), &err), ERR_INVALID);
    assert_int_equal(ss_key_check(bytes_of("a b"), &err), ERR_INVALID);
    assert_non_null(strstr(err.text, "byte 0x20 at 2"));
    assert_int_equal(ss_key_check(bytes_of("a/b"), NULL), ERR_INVALID);
    assert_int_equal(ss_key_check(bytes_of("\xc3\xa9"), NULL), ERR_INVALID);
}

/* --- one line --------------------------------------------------------------------------------- */

struct line_case {
    const char *id;
    const char *line;
    const char *key; /* NULL: a bad line */
    uint64_t shard;
    uint64_t seq;
    bool has_seq;
    uint64_t time_ms; /* or NO_TIME */
    const char *payload;
};

static void check_line(const struct line_case *c)
{
    struct ss_message m;
    struct err err = ERR_INIT;
    memset(&m, 0x5a, sizeof(m));
    struct ss_message before = m;
    int rc = ss_line_parse(&m, bytes_of(c->line), &err);
    if (rc != (c->key ? 0 : ERR_INVALID))
        fail_msg("%s: %d %s", c->id, rc, err.text);
    if (!c->key) {
        assert_memory_equal(&m, &before, sizeof(m));
        assert_int_not_equal(err.text[0], '\0');
        return;
    }
    bool raw = strcmp(c->key, "(none)") == 0;
    if (!span_is(m.key, raw ? "broadcast" : c->key) || m.no_key != raw)
        fail_msg("%s: key %.*s", c->id, SPAN_ARG(m.key));
    if (!span_is(m.payload, c->payload))
        fail_msg("%s: payload \"%.*s\"", c->id, SPAN_ARG(m.payload));
    if (m.shard != c->shard || m.seq != c->seq || m.no_seq == c->has_seq)
        fail_msg("%s: shard %llu, seq %llu", c->id, (unsigned long long)m.shard, (unsigned long long)m.seq);
    if (m.no_time != (c->time_ms == NO_TIME) || m.time_ms != (m.no_time ? 0 : c->time_ms) || m.time_ns != 0 || m.meta.len != 0)
        fail_msg("%s: time %llu", c->id, (unsigned long long)m.time_ms);
}

#define RAW(id, text) {id, text, "(none)", 0, 0, false, NO_TIME, text}
#define BAD(id, text) {id, text, NULL, 0, 0, false, NO_TIME, NULL}

static const struct line_case lines[] = {
    RAW("S01", "plain text"),
    {"S02", "[a] x", "a", 0, 0, false, NO_TIME, "x"},
    {"S03", "[b] x", "b", 0, 0, false, NO_TIME, "x"},
    {"S04", "[2022-01-01T00:00:00 | a | 123 | 4] {\"p\":1}", "a", 4, 123, true, DAY_2022, "{\"p\":1}"},
    {"S05", "[2022-01-01T00:00:00.123 | a] x", "a", 0, 0, false, DAY_2022 + 123, "x"},
    {"S06", "[2022-01-01T00:00:00] 12345", "(none)", 0, 0, false, DAY_2022, "12345"},
    {"S07", "[a | 5] x", "a", 0, 5, true, NO_TIME, "x"},
    {"S08", "[a|1|2]x", "a", 2, 1, true, NO_TIME, "x"},
    RAW("S09", " [a] x"),
    RAW("S10", "[] hello"),
    BAD("S11", "[ ]"),
    RAW("S12", "[abc"),
    BAD("S13", "[1,2,3]"),
    BAD("S14", "[Jan 1, 2022] x"),
    BAD("S15", "[a | -1] x"),
    BAD("S16", "[a | 18446744073709551616] x"),
    BAD("S17", "[a | 2022-01-01T00:00:00] x"),
    BAD("S18", "[2022-02-30T00:00:00 | a] x"),
    BAD("S19", "[2022-01-01T00:00:00Z | a] x"),
    BAD("S20", "[a | 1 | 2 | 3] x"),
    RAW("S21", ""),
    {"S22", "[a] x\r", "a", 0, 0, false, NO_TIME, "x\r"},
    BAD("S23", "[a] \xff\xfe"),
    BAD("S24", "[\"x\"]"),
    BAD("raw, not UTF-8", "x\xc3"),
    BAD("overlong", "[a] \xc0\xaf"),
    BAD("surrogate", "long enough for words \xed\xa0\x80"),
    RAW("several bytes a character", "gr\xc3\xbc\xc3\x9f \xf0\x9f\x90\x9f und mehr als acht Bytes"),
    RAW("lone bracket", "["),
    RAW("nothing between", "[]"),
    RAW("bracket later", "x [a] y"),
    {"number as key", "[123] x", "123", 0, 0, false, NO_TIME, "x"},
    {"date as key", "[2022-01-01] x", "2022-01-01", 0, 0, false, NO_TIME, "x"},
    {"number as key behind a time", "[2022-01-01T00:00:00 | 123] x", "123", 0, 0, false, DAY_2022, "x"},
    {"time, key, sequence", "[2022-01-01T00:00:00|k|7] x", "k", 0, 7, true, DAY_2022, "x"},
    {"largest numbers", "[a|18446744073709551615|18446744073709551615]", "a", UINT64_MAX, UINT64_MAX, true, NO_TIME, ""},
    {"plus and zeros", "[a | +007 | +0000000000000000000000000000000000003] x", "a", 3, 7, true, NO_TIME, "x"},
    {"time with plus", "[+2022-01-01T00:00:00 | a] x", "a", 0, 0, false, DAY_2022, "x"},
    {"no payload", "[k]", "k", 0, 0, false, NO_TIME, ""},
    {"a blank as payload", "[k] ", "k", 0, 0, false, NO_TIME, " "},
    {"blanks as payload", "[k] \t\xc2\xa0", "k", 0, 0, false, NO_TIME, " \t\xc2\xa0"},
    {"CR as payload", "[k]\r", "k", 0, 0, false, NO_TIME, "\r"},
    {"blanks behind", "[k] x  \r", "k", 0, 0, false, NO_TIME, "x  \r"},
    {"bracket in payload", "[k] a]b]", "k", 0, 0, false, NO_TIME, "a]b]"},
    {"Unicode blanks", "[\xe2\x80\x83k\xc2\xa0|\xe3\x80\x80""5\xe1\x9a\x80]\xe2\x80\xa8\xc2\x85x", "k", 0, 5, true, NO_TIME, "x"},
    {"every Unicode blank",
     "[k]\t\v\f\r \xc2\x85\xc2\xa0\xe1\x9a\x80\xe2\x80\x80\xe2\x80\x8a\xe2\x80\xa8\xe2\x80\xa9\xe2\x80\xaf\xe2\x81\x9f\xe3\x80\x80x", "k",
     0, 0, false, NO_TIME, "x"},
    {"no blanks to Unicode", "[k]\xe2\x80\x8b x", "k", 0, 0, false, NO_TIME, "\xe2\x80\x8b x"},
    {"unit separator is none", "[k]\x1f x", "k", 0, 0, false, NO_TIME, "\x1f x"},
    {"key that ends with a character of three bytes", "[k] \xe2\x82\xac", "k", 0, 0, false, NO_TIME, "\xe2\x82\xac"},
    {"broadcast named", "[broadcast] x", "broadcast", 0, 0, false, NO_TIME, "x"},
    BAD("empty key behind a time", "[2022-01-01T00:00:00 | ] x"),
    BAD("empty sequence", "[a | ] x"),
    BAD("empty first part", "[ | a] x"),
    BAD("time alone, twice", "[2022-01-01T00:00:00 | 2022-01-01T00:00:00] x"),
    BAD("plus alone", "[a | +] x"),
    BAD("two plus", "[a | ++1] x"),
    BAD("plus and minus", "[a | +-1] x"),
    BAD("number with a blank in it", "[a | 1 2] x"),
    BAD("bad shard", "[a | 1 | x] x"),
    BAD("five parts", "[2022-01-01T00:00:00 | a | 1 | 2 | 3] x"),
    BAD("sequence without key", "[2022-01-01T00:00:00 | a | b] x"),
    BAD("JSON of strings", "[\"a\",\"b\"]"),
    BAD("dot without digit", "[2022-01-01T00:00:00. | a] x"),
    BAD("leap second", "[2022-01-01T23:59:60 | a] x"),
    BAD("small t", "[2022-01-01t00:00:00 | a] x"),
    BAD("bracket in bracket", "[[a]] x"),
    BAD("key with a bar only", "[|] x"),
};

static void test_lines(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        check_line(&lines[i]);
}

static void check_reason(const char *line, const char *reason)
{
    struct ss_message m;
    struct err err = ERR_INIT;
    assert_int_equal(ss_line_parse(&m, bytes_of(line), &err), ERR_INVALID);
    if (!strstr(err.text, reason))
        fail_msg("%s: %s", line, err.text);
    assert_int_equal(ss_line_parse(&m, bytes_of(line), NULL), ERR_INVALID);
}

static void test_reasons(void **state)
{
    (void)state;
    check_reason("[a] abc\xff", "no UTF-8 (byte 8)");
    check_reason("[a b] x", "TIME | KEY | SEQUENCE | SHARD");
    check_reason("[a | x] x", "the sequence in [...]");
    check_reason("[1969-12-31T23:59:59 | a] x", "no time such as");
    check_reason("[2022-01-01T00:00:00Z | a] x", "no time such as");
    check_reason("[1,2]", "behind [KEY]");
    check_reason("[a | 1 | -1] x", "the shard in [...]");
    check_reason("[a|b|c|d|e] x", "more parts");
    check_reason("[2022-13-01T00:00:00|a|1|1] x", "is no time such as");
    check_reason("[ ] x", "empty");
}

/* A NUL is a character as others are. */
static void test_nul(void **state)
{
    (void)state;
    struct ss_message m;
    assert_int_equal(ss_line_parse(&m, span_of("[a] x\0y", 7), NULL), 0);
    assert_true(span_eq(m.payload, span_of("x\0y", 3)));
    assert_int_equal(ss_line_parse(&m, span_of("[a\0] x", 6), NULL), ERR_INVALID);
    assert_int_equal(ss_line_parse(&m, span_of(NULL, 0), NULL), 0);
    assert_true(m.no_key && m.payload.len == 0);
}

static void test_nanoseconds(void **state)
{
    (void)state;
    struct ss_message m;
    assert_int_equal(ss_line_parse(&m, bytes_of("[2022-01-01T00:00:00.1234567891234 | a] x"), NULL), 0);
    assert_true(m.time_ms == DAY_2022 + 123 && m.time_ns == 456789);
}

/* --- counters --------------------------------------------------------------------------------- */

static uint64_t give(struct ss_counters *c, const char *line, bool *named)
{
    struct ss_message m;
    assert_int_equal(ss_line_parse(&m, bytes_of(line), NULL), 0);
    bool said = !m.no_seq;
    assert_int_equal(ss_counters_give(c, &m, named), 0);
    assert_true(m.no_seq == !said);
    return m.seq;
}

static void test_counters(void **state)
{
    (void)state;
    struct ss_counters c = {.slots = NULL};
    bool named = true;
    assert_true(give(&c, "[a] x", &named) == 0 && !named);
    assert_true(give(&c, "[a] x", &named) == 1 && !named);
    /* S07, S24 */
    assert_true(give(&c, "[a | 5] x", &named) == 5 && named);
    assert_true(give(&c, "[a] y", &named) == 5 && named);
    assert_true(give(&c, "[a] z", NULL) == 6);
    /* A line that names broadcast advances the counter of lines without key. */
    assert_true(give(&c, "raw", &named) == 0 && !named);
    assert_true(give(&c, "[broadcast] x", &named) == 1 && !named);
    assert_true(give(&c, "[2022-01-01T00:00:00] x", &named) == 2 && !named);
    /* Shards count apart; a line without sequence has shard 0. */
    assert_true(give(&c, "[a | 40 | 1] x", NULL) == 40);
    assert_true(give(&c, "[a] x", NULL) == 7);
    assert_true(give(&c, "[b | 18446744073709551615] x", NULL) == UINT64_MAX);
    assert_true(give(&c, "[b] x", NULL) == UINT64_MAX);
    assert_true(give(&c, "[b] x", &named) == 0 && named);
    ss_counters_finish(&c);
    assert_null(c.slots);
    assert_true(give(&c, "[a] x", &named) == 0 && !named);
    ss_counters_finish(&c);
}

static void test_many_counters(void **state)
{
    (void)state;
    struct ss_counters c = {.slots = NULL};
    char key[32];
    for (uint64_t round = 0; round < 3; round++) {
        for (unsigned i = 0; i < 5000; i++) {
            uint64_t seq = 99;
            int len = snprintf(key, sizeof(key), "key-%u", i / 2);
            assert_int_equal(ss_counters_next(&c, span_of(key, (size_t)len), i % 2, &seq), 0);
            assert_true(seq == round);
        }
    }
    assert_int_equal(c.used, 5000);
    ss_counters_finish(&c);
}

/* --- a consumer: what is given to whom ----------------------------------------------------------- */

static void test_consumer(void **state)
{
    (void)state;
    /* S24: bad lines take nothing from the counter. */
    static const char *const in[] = {"[a] one", "[\"x\"]", "[a] two"};
    struct ss_counters c = {.slots = NULL};
    uint64_t expected = 0;
    for (size_t i = 0; i < 3; i++) {
        struct ss_message m;
        if (ss_line_parse(&m, bytes_of(in[i]), NULL) != 0) {
            assert_int_equal(i, 1);
            continue;
        }
        assert_int_equal(ss_counters_give(&c, &m, NULL), 0);
        assert_true(m.seq == expected++);
    }
    assert_true(expected == 2);
    ss_counters_finish(&c);
}

static void test_shares(void **state)
{
    (void)state;
    /* S25 */
    static const size_t of_three[] = {0, 1, 2, 0, 1, 2, 0};
    for (uint64_t seq = 0; seq < 7; seq++)
        assert_int_equal(ss_share(seq, 3), of_three[seq]);
    static const struct {
        uint64_t seq;
        size_t member;
    } of_two[] = {{10, 0}, {11, 1}, {13, 1}, {15, 1}, {16, 0}};
    for (size_t i = 0; i < sizeof(of_two) / sizeof(of_two[0]); i++)
        assert_int_equal(ss_share(of_two[i].seq, 2), of_two[i].member);
    assert_int_equal(ss_share(UINT64_MAX, 1), 0);
}

/* --- writing ---------------------------------------------------------------------------------- */

static struct ss_message message(const char *key, uint64_t seq, struct span payload)
{
    return (struct ss_message){.key = span_str(key), .seq = seq, .shard = 4, .time_ms = DAY_2022 + 120, .payload = payload};
}

static void check_write(struct span payload, bool exact, enum ss_line_odd odd, const char *expected)
{
    CLEAN_BUF out = BUF_INIT;
    struct err err = ERR_INIT;
    struct ss_message m = message("kk", 1, payload);
    assert_int_equal(buf_add_str(&out, "before\n"), 0);
    int rc = ss_line_write(&out, &m, (struct ss_line_form){.exact = exact, .odd = odd}, &err);
    struct span added = span_of(out.ptr + 7, out.len - 7);
    if (rc != (expected ? 0 : ERR_INVALID))
        fail_msg("%.*s: %d %s", SPAN_ARG(payload), rc, err.text);
    if (!span_is(added, expected ? expected : ""))
        fail_msg("written: %.*s", SPAN_ARG(added));
}

#define SHORT "[2022-01-01T00:00:00 | kk | 1]"
#define EXACT "[2022-01-01T00:00:00.12 | kk | 1 | 4]"

static void test_write(void **state)
{
    (void)state;
    /* S26 */
    check_write(bytes_of("hello"), false, SS_ODD_REFUSE, SHORT " hello\n");
    check_write(bytes_of(""), false, SS_ODD_REFUSE, "");
    check_write(bytes_of(" lead"), false, SS_ODD_REFUSE, SHORT "  lead\n");
    check_write(bytes_of("  "), false, SS_ODD_REFUSE, SHORT "   \n");
    check_write(bytes_of("hello"), true, SS_ODD_REFUSE, EXACT " hello\n");
    check_write(bytes_of(""), true, SS_ODD_REFUSE, EXACT "\n");
    check_write(bytes_of(" \xe2\x80\x83"), true, SS_ODD_REFUSE, EXACT " \xe2\x80\x83\n");
    check_write(bytes_of("x\r"), true, SS_ODD_REFUSE, EXACT " x\r\n");
}

static void test_write_odd(void **state)
{
    (void)state;
    struct span two = bytes_of("a\n\"b\"");
    struct span bytes = span_of("\xff\0\x0a", 3);
    check_write(two, true, SS_ODD_REFUSE, NULL);
    check_write(bytes, true, SS_ODD_REFUSE, NULL);
    check_write(bytes_of("\xff"), false, SS_ODD_REFUSE, NULL);
    check_write(two, true, SS_ODD_RAW, EXACT " a\n\"b\"\n");
    check_write(bytes_of("\xff"), true, SS_ODD_RAW, EXACT " \xff\n");
    check_write(two, true, SS_ODD_JSON, EXACT " \"a\\n\\\"b\\\"\"\n");
    check_write(bytes, true, SS_ODD_JSON, EXACT " [255,0,10]\n");
    check_write(bytes, false, SS_ODD_JSON, SHORT " [255,0,10]\n");
    check_write(bytes_of("plain"), true, SS_ODD_JSON, EXACT " plain\n");
}

static void test_write_refused(void **state)
{
    (void)state;
    CLEAN_BUF out = BUF_INIT;
    struct err err = ERR_INIT;
    const struct ss_line_form form = {.exact = true, .odd = SS_ODD_RAW};
    struct ss_message m = message("a b", 1, bytes_of("x"));
    assert_int_equal(ss_line_write(&out, &m, form, &err), ERR_INVALID);
    m = message("k", 1, bytes_of("x"));
    m.time_ms = (uint64_t)SS_TIME_MAX + 1;
    assert_int_equal(ss_line_write(&out, &m, form, &err), ERR_INVALID);
    assert_non_null(strstr(err.text, "9999"));
    assert_int_equal(out.len, 0);
}

/* What the exact form says is read again as it was, but for blanks in front of other text. */
static void test_write_comes_back(void **state)
{
    (void)state;
    static const char *const payloads[] = {"", " ", "\t\xc2\xa0", "x", "x ", "[a] x", "]", "\xe2\x82\xac", "{\"p\": 1}\r"};
    for (size_t i = 0; i < sizeof(payloads) / sizeof(payloads[0]); i++) {
        CLEAN_BUF out = BUF_INIT;
        struct ss_message again;
        struct ss_message m = message("A.b_c-9", UINT64_MAX, bytes_of(payloads[i]));
        m.shard = UINT64_MAX;
        m.time_ns = 7;
        assert_int_equal(ss_line_write(&out, &m, (struct ss_line_form){.exact = true}, NULL), 0);
        assert_int_equal(ss_line_parse(&again, span_of(out.ptr, out.len - 1), NULL), 0);
        assert_true(span_eq(again.payload, m.payload) && span_eq(again.key, m.key));
        assert_true(again.seq == m.seq && again.shard == m.shard && again.time_ms == m.time_ms && again.time_ns == m.time_ns);
        assert_false(again.no_key || again.no_seq || again.no_time);
    }
}

static void test_blank(void **state)
{
    (void)state;
    assert_true(ss_line_blank(bytes_of("")));
    assert_true(ss_line_blank(bytes_of(" \xe3\x80\x80\n")));
    assert_false(ss_line_blank(bytes_of(" x")));
    assert_false(ss_line_blank(bytes_of("\xe3\x80")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_key),          cmocka_unit_test(test_lines),         cmocka_unit_test(test_reasons),
        cmocka_unit_test(test_nul),          cmocka_unit_test(test_nanoseconds),   cmocka_unit_test(test_counters),
        cmocka_unit_test(test_many_counters), cmocka_unit_test(test_consumer),     cmocka_unit_test(test_shares),
        cmocka_unit_test(test_write),        cmocka_unit_test(test_write_odd),     cmocka_unit_test(test_write_refused),
        cmocka_unit_test(test_write_comes_back), cmocka_unit_test(test_blank),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
