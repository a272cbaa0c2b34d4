/* Scopes of access tokens: sets of names, groups of operations, who may grant what; JSON in and out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "base/text.h"
#include "daemon/auth/token_json.h"

/* "=x" exactly x, "x*" what begins so, "-" none. */
static struct auth_set set_of(const char *text)
{
    size_t len = strlen(text);
    if (strcmp(text, "-") == 0)
        return (struct auth_set){AUTH_NO_NAME, {0}};
    if (text[0] == '=')
        return (struct auth_set){AUTH_EXACT, span_str(text + 1)};
    return (struct auth_set){AUTH_PREFIX, span_of(text, len - 1)};
}

static void test_sets(void **state)
{
    static const struct {
        const char *set, *name;
        bool has;
    } rows[] = {{"*", "a", true},      {"*", "", true},     {"-", "a", false},   {"=", "", false},     {"=", "a", false},
                {"=ab", "ab", true},   {"=ab", "a", false}, {"=ab", "abc", false}, {"ab*", "ab", true}, {"ab*", "abc", true},
                {"ab*", "a", false},   {"ab*", "ba", false}, {"ab*", "", false}};
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct auth_set set = set_of(rows[i].set);
        if (auth_set_has(&set, span_str(rows[i].name)) != rows[i].has)
            fail_msg("%s has %s: not %d", rows[i].set, rows[i].name, rows[i].has);
    }
}

/* inner is within outer exactly where no name is in the one and not in the other. */
static void test_subsets(void **state)
{
    static const char *const sets[] = {"-", "=", "*", "=a", "=ab", "=b", "a*", "ab*", "abc*", "b*"};
    static const char *const names[] = {"a", "ab", "abc", "abcd", "b", "bb", "c", "abd", "ad"};
    (void)state;
    for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++)
        for (size_t o = 0; o < sizeof(sets) / sizeof(sets[0]); o++) {
            struct auth_set inner = set_of(sets[i]), outer = set_of(sets[o]);
            bool within = true;
            for (size_t n = 0; n < sizeof(names) / sizeof(names[0]); n++)
                within = within && (!auth_set_has(&inner, span_str(names[n])) || auth_set_has(&outer, span_str(names[n])));
            if (auth_set_within(&inner, &outer) != within)
                fail_msg("%s within %s: not %d", sets[i], sets[o], within);
        }
}

static void test_groups(void **state)
{
    uint32_t all = 0;
    (void)state;
    for (int group = 0; group < AUTH_GROUPS; group++) {
        uint32_t ops = auth_group_ops(UINT32_C(1) << group);
        assert_true(ops != 0 && (all & ops) == 0); /* each operation is in one group */
        all |= ops;
    }
    for (int op = 1; op < AUTH_EXEC; op++)
        assert_true(all & AUTH_OP_BIT(op));
    assert_false(all & (AUTH_OP_BIT(AUTH_EXEC) | AUTH_OP_BIT(AUTH_NONE)));
    assert_int_equal(auth_group_ops(UINT32_C(1) << AUTH_STREAM_WRITE),
                     AUTH_OP_BIT(AUTH_APPEND) | AUTH_OP_BIT(AUTH_TRIM) | AUTH_OP_BIT(AUTH_FENCE));
    assert_int_equal(auth_op_of(span_str("\"check-tail\"")), AUTH_CHECK_TAIL);
    assert_int_equal(auth_op_of(span_str("\"exec\"")), AUTH_EXEC);
    assert_int_equal(auth_op_of(span_str("\"\"")), AUTH_NONE);
}

static struct auth_scope scope_of(const char *basins, const char *streams, const char *tokens, uint32_t ops, uint32_t groups)
{
    return (struct auth_scope){.sets = {set_of(basins), set_of(streams), set_of(tokens)}, .ops = ops, .groups = groups};
}

static void test_within(void **state)
{
    const uint32_t read = AUTH_OP_BIT(AUTH_READ), append = AUTH_OP_BIT(AUTH_APPEND), exec = AUTH_OP_BIT(AUTH_EXEC);
    const uint32_t reads = UINT32_C(1) << AUTH_STREAM_READ;
    struct err err = ERR_INIT;
    (void)state;
    struct auth_scope own = scope_of("b*", "a/*", "t*", append, reads);
    struct auth_scope good[] = {scope_of("=bb", "a/*", "-", read, 0), scope_of("-", "=a/1", "=t1", append, reads), scope_of("-", "-", "-", 0, 0),
                                own};
    struct auth_scope bad[] = {scope_of("*", "a/*", "-", read, 0),        scope_of("=bb", "a*", "-", read, 0),
                               scope_of("=bb", "=b/1", "-", read, 0),     scope_of("=bb", "a/*", "*", read, 0),
                               scope_of("=bb", "a/*", "-", exec, 0),      scope_of("=bb", "a/*", "-", AUTH_OP_BIT(AUTH_TRIM), 0),
                               scope_of("=bb", "a/*", "-", 0, 2 * reads)};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_true(auth_scope_within(&good[i], &own, &err));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(auth_scope_within(&bad[i], &own, &err));
    struct auth_scope all = auth_scope_all(true), most = auth_scope_all(false);
    assert_true(auth_scope_within(&most, &all, &err));
    assert_false(auth_scope_within(&all, &most, &err));
}

/* --- patterns --- */

static void expect_patterns(const char *set_text, const char *patterns, const char *want)
{
    struct auth_set set = set_of(set_text);
    struct pattern_list list = PATTERN_ALL, out = {0};
    static const char *const topics[] = {"a", "a.b", "a.bc", "a.b.c", "ab", "b", "b.c"};
    char got[64] = "";
    if (strcmp(patterns, "*") != 0)
        assert_int_equal(pattern_parse(&list, span_str(patterns), NULL), 0);
    assert_int_equal(auth_set_patterns(&set, &list, &out), 0);
    for (size_t i = 0; i < sizeof(topics) / sizeof(topics[0]); i++) {
        bool both = auth_set_has(&set, span_str(topics[i])) && pattern_match(&list, span_str(topics[i]));
        assert_int_equal(pattern_match(&out, span_str(topics[i])), both);
        if (both)
            snprintf(got + strlen(got), sizeof(got) - strlen(got), "%s ", topics[i]);
    }
    assert_string_equal(got, want);
    bool whole = auth_set_has_patterns(&set, &list);
    if (whole)
        for (size_t i = 0; i < sizeof(topics) / sizeof(topics[0]); i++)
            assert_true(!pattern_match(&list, span_str(topics[i])) || auth_set_has(&set, span_str(topics[i])));
    pattern_finish(&list);
    pattern_finish(&out);
}

static void test_patterns(void **state)
{
    (void)state;
    expect_patterns("*", "*", "a a.b a.bc a.b.c ab b b.c ");
    expect_patterns("*", "a.*", "a.b a.bc a.b.c ");
    expect_patterns("-", "*", "");
    expect_patterns("=a.b", "*", "a.b ");
    expect_patterns("=a.b", "a.*", "a.b ");
    expect_patterns("=a.b", "b.*,a", "");
    expect_patterns("a*", "*", "a a.b a.bc a.b.c ab ");
    expect_patterns("a.b*", "a.*", "a.b a.bc a.b.c ");
    expect_patterns("a.*", "a.b.*,b", "a.b.c ");
    expect_patterns("a.b*", "a.b,b", "a.b ");
    expect_patterns("a.*", "a", "");
    struct auth_set narrow = set_of("a.*");
    struct pattern_list list;
    assert_int_equal(pattern_parse(&list, span_str("a.b,a.c.*"), NULL), 0);
    assert_true(auth_set_has_patterns(&narrow, &list));
    pattern_finish(&list);
    assert_int_equal(pattern_parse(&list, span_str("a.b,b.*"), NULL), 0);
    assert_false(auth_set_has_patterns(&narrow, &list));
    pattern_finish(&list);
    assert_false(auth_set_has_patterns(&narrow, &PATTERN_ALL));
}

/* --- JSON --- */

static int read_json(const char *json, bool exec, struct auth_token *token, struct buf *room)
{
    struct err err = ERR_INIT;
    buf_finish(room);
    int rc = token_read(token, span_str(json), room, exec, &err);
    assert_true(rc == 0 || (err.code == rc && err.text[0]));
    return rc;
}

static void test_json(void **state)
{
    struct auth_token token;
    CLEAN_BUF room = BUF_INIT;
    CLEAN_BUF out = BUF_INIT;
    (void)state;
    assert_int_equal(read_json("{\"id\":\"t\\u00e4\",\"more\":[1],\"scope\":{\"basins\":{\"prefix\":\"\"},\"streams\":{\"exact\":\"a/b\"},"
                               "\"access_tokens\":null,\"op_groups\":{\"stream\":{\"read\":true},\"basin\":null},\"ops\":[\"append\",\"trim\"]},"
                               "\"auto_prefix_streams\":false,\"expires_at\":\"2030-01-02T03:04:05.678Z\"}",
                               false, &token, &room),
                     0);
    assert_true(span_is(token.id, "t\xc3\xa4"));
    assert_int_equal(token.scope.ops, AUTH_OP_BIT(AUTH_APPEND) | AUTH_OP_BIT(AUTH_TRIM));
    assert_int_equal(token.scope.groups, UINT32_C(1) << AUTH_STREAM_READ);
    assert_true(token.has_expiry && token.expires_ms == 1893553445678);
    assert_int_equal(token_put(&out, &token, true), 0);
    assert_string_equal(buf_cstr(&out),
                        "{\"id\":\"t\xc3\xa4\",\"scope\":{\"basins\":{\"prefix\":\"\"},\"streams\":{\"exact\":\"a/b\"},\"access_tokens\":null,"
                        "\"op_groups\":{\"account\":{\"read\":false,\"write\":false},\"basin\":{\"read\":false,\"write\":false},"
                        "\"stream\":{\"read\":true,\"write\":false}},\"ops\":[\"append\",\"trim\"]},\"auto_prefix_streams\":false,"
                        "\"expires_at\":\"2030-01-02T03:04:05.678+00:00\"}");
    /* What is written is read as the same. */
    struct auth_token again;
    CLEAN_BUF more = BUF_INIT;
    CLEAN_BUF twice = BUF_INIT;
    assert_int_equal(read_json(buf_cstr(&out), false, &again, &more), 0);
    assert_int_equal(token_put(&twice, &again, true), 0);
    assert_true(span_eq(buf_span(&out), buf_span(&twice)));
}

static void test_bad_json(void **state)
{
    static const char *const bad[] = {"",
                                      "{",
                                      "[]",
                                      "{}",
                                      "{\"id\":\"t\"}",
                                      "{\"scope\":{}}",
                                      "{\"id\":\"\",\"scope\":{}}",
                                      "{\"id\":\".\",\"scope\":{}}",
                                      "{\"id\":7,\"scope\":{}}",
                                      "{\"id\":\"t\",\"scope\":[]}",
                                      "{\"id\":\"t\",\"scope\":{\"ops\":[\"nope\"]}}",
                                      "{\"id\":\"t\",\"scope\":{\"ops\":[\"exec\"]}}",
                                      "{\"id\":\"t\",\"scope\":{\"ops\":[15]}}",
                                      "{\"id\":\"t\",\"scope\":{\"basins\":{\"exact\":\"a\",\"prefix\":\"b\"}}}",
                                      "{\"id\":\"t\",\"scope\":{\"basins\":\"a\"}}",
                                      "{\"id\":\"t\",\"scope\":{\"basins\":{\"prefix\":\"UPPER\"}}}",
                                      "{\"id\":\"t\",\"scope\":{\"streams\":{\"prefix\":\"a\\u0000\"}}}",
                                      "{\"id\":\"t\",\"scope\":{\"op_groups\":{\"stream\":{\"read\":1}}}}",
                                      "{\"id\":\"t\",\"scope\":{},\"auto_prefix_streams\":\"yes\"}",
                                      "{\"id\":\"t\",\"scope\":{},\"expires_at\":\"10m\"}",
                                      "{\"id\":\"t\",\"scope\":{},\"expires_at\":\"2030-01-02\"}",
                                      "{\"id\":\"t\",\"scope\":{},\"expires_at\":\"2030-01-02T03:04:05\"}",
                                      "{\"id\":\"t\",\"scope\":{},\"expires_at\":1893553445}"};
    struct auth_token token;
    CLEAN_BUF room = BUF_INIT;
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (read_json(bad[i], false, &token, &room) != ERR_FORMAT)
            fail_msg("taken: %s", bad[i]);
    assert_int_equal(read_json("{\"id\":\"t\",\"scope\":{\"ops\":[\"exec\"]}}", true, &token, &room), 0);
}

/* --- grants --- */

static const struct span none;

static void test_grant(void **state)
{
    const struct auth_token token = {
        .id = span_str("t"), .scope = scope_of("=basin-one", "a/*", "t*", AUTH_OP_BIT(AUTH_APPEND) | AUTH_OP_BIT(AUTH_ISSUE_TOKEN), 0), .auto_prefix = true};
    struct grant *g = grant_make(&token, GRANT_LIVE);
    (void)state;
    assert_true(grant_allows(g, AUTH_APPEND, span_str("basin-one"), span_str("a/x")));
    assert_true(grant_allows(g, AUTH_APPEND, none, none));
    assert_true(grant_allows(g, AUTH_NONE, none, none));
    assert_false(grant_allows(g, AUTH_READ, span_str("basin-one"), span_str("a/x")));
    assert_false(grant_allows(g, AUTH_APPEND, span_str("basin-two"), span_str("a/x")));
    assert_false(grant_allows(g, AUTH_APPEND, span_str("basin-one"), span_str("b")));
    assert_false(grant_allows(g, AUTH_EXEC, none, none));
    assert_true(grant_allows_token(g, AUTH_ISSUE_TOKEN, span_str("t2")));
    assert_false(grant_allows_token(g, AUTH_ISSUE_TOKEN, span_str("x")));
    assert_false(grant_allows_token(g, AUTH_REVOKE_TOKEN, span_str("t2")));
    assert_true(span_is(grant_prefix(g), "a/"));
    assert_false(grant_sees_all(g));
    g->token.has_expiry = true;
    g->token.expires_ms = time_now_ms() + 60000;
    assert_true(grant_allows(g, AUTH_APPEND, none, none));
    g->token.expires_ms = time_now_ms();
    assert_false(grant_allows(g, AUTH_APPEND, none, none));
    assert_false(grant_allows(g, AUTH_NONE, none, none));
    g->token.has_expiry = false;
    atomic_store(&g->over, true);
    assert_false(grant_allows(g, AUTH_APPEND, none, none));
    grant_drop(g);
    assert_true(grant_allows(NULL, AUTH_APPEND, span_str("any"), span_str("any")));
    assert_false(grant_allows(NULL, AUTH_EXEC, none, none));
    assert_true(grant_sees_all(NULL));
    assert_int_equal(grant_prefix(NULL).len, 0);
}

static void test_record(void **state)
{
    const struct auth_token token = {.id = span_str("t"), .scope = scope_of("*", "a/*", "-", AUTH_OP_BIT(AUTH_EXEC), 5), .root = true,
                                     .has_expiry = true, .expires_ms = 1893553445678};
    struct grant *g = grant_make(&token, GRANT_LIVE), *read = NULL;
    struct err err = ERR_INIT;
    CLEAN_BUF record = BUF_INIT;
    (void)state;
    memset(g->hash, 0xfb, sizeof(g->hash));
    g->made_ms = 42;
    assert_int_equal(token_record_put(&record, g), 0);
    assert_int_equal(token_record_read(&read, buf_span(&record), &err), 0);
    assert_memory_equal(g->hash, read->hash, sizeof(g->hash));
    assert_true(read->token.root && read->made_ms == 42 && read->ops == g->ops && read->token.expires_ms == token.expires_ms);
    assert_true(span_eq(read->token.scope.sets[AUTH_STREAMS].text, span_str("a/")));
    grant_drop(g);
    grant_drop(read);
    static const char *const bad[] = {"", "{}", "{\"hash\":\"x\",\"token\":{}}", "{\"hash\":\"\",\"token\":{\"id\":\"t\",\"scope\":{}}}"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(token_record_read(&read, span_str(bad[i]), &err), ERR_DAMAGED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sets), cmocka_unit_test(test_subsets),  cmocka_unit_test(test_groups),
        cmocka_unit_test(test_within), cmocka_unit_test(test_patterns), cmocka_unit_test(test_json),
        cmocka_unit_test(test_bad_json), cmocka_unit_test(test_grant), cmocka_unit_test(test_record),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
