/* Access tokens of a real store: issued, found by their secret, revoked, replaced, read again; what ends with them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/text.h"
#include "daemon/auth/auth_impl.h"
#include "daemon/pool.h"

static struct daemon d;
static struct site site;
static uv_loop_t loop;
static char dir[64], path[96];
static struct auth *auth;
static size_t compared; /* bytes, in constant time */

/* Stands before libsodium's, so that it is seen to be used. */
int sodium_memcmp(const void *a, const void *b, size_t len)
{
    uint8_t differ = 0;
    for (size_t i = 0; i < len; i++)
        differ |= ((const uint8_t *)a)[i] ^ ((const uint8_t *)b)[i];
    compared += len;
    return differ ? -1 : 0;
}

static void close_handle(uv_handle_t *handle, void *arg)
{
    (void)arg;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

static void open_all(void)
{
    struct err err = ERR_INIT;
    struct http_options http = {0};
    d = (struct daemon){.loop = &loop};
    assert_int_equal(uv_loop_init(&loop), 0);
    char log[96];
    snprintf(log, sizeof(log), "%s/log", dir);
    assert_int_equal(log_create(&d.log, log, &err), 0);
    assert_int_equal(submit_init(&d.submit, &loop), 0);
    assert_int_equal(store_workers_create(&d.workers, &err), 0);
    assert_int_equal(http_create(&d.http, &loop, &http, &err), 0);
    d.root = &site;
    assert_int_equal(site_init(&site, &d, "", path, &err), 0);
    assert_int_equal(site_open(&site, &err), 0);
    assert_int_equal(site_start(&site, &err), 0);
    assert_int_equal(auth_create(&auth, &site, &err), 0);
}

static void close_all(void)
{
    http_destroy(d.http);
    while (d.submit.pending > 0)
        uv_run(&loop, UV_RUN_ONCE);
    site_stop(&site);
    uv_walk(&loop, close_handle, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    auth_destroy(auth);
    site_close(&site);
    site_finish(&site);
    store_workers_destroy(d.workers);
    submit_finish(&d.submit);
    assert_int_equal(uv_loop_close(&loop), 0);
    log_destroy(d.log);
}

static int setup(void **state)
{
    (void)state;
    snprintf(dir, sizeof(dir), "/tmp/test_auth.XXXXXX");
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/store", dir);
    open_all();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    close_all();
    char command[96];
    snprintf(command, sizeof(command), "rm -rf '%s'", dir);
    assert_int_equal(system(command), 0);
    return 0;
}

/* --- changes --- */

static bool over;

static void done(struct auth_change *change)
{
    (void)change;
    over = true;
}

static void wait_over(void)
{
    while (!over)
        uv_run(&loop, UV_RUN_ONCE);
}

static struct auth_token token_of(const char *id, const char *streams, uint32_t ops)
{
    struct auth_token token = {.id = span_str(id), .scope = auth_scope_all(false)};
    token.scope.groups = 0;
    token.scope.ops = ops;
    token.scope.sets[AUTH_STREAMS].text = span_str(streams);
    return token;
}

static struct grant *grant_of(const char *secret)
{
    uint8_t hash[AUTH_HASH_SIZE];
    auth_hash(hash, span_str(secret));
    return auth_by_hash(auth, hash);
}

static int issue(const struct auth_token *token, struct grant *issuer, char secret[static AUTH_SECRET_LEN + 1])
{
    struct err err = ERR_INIT;
    struct auth_change change = {.done = done};
    over = false;
    int rc = auth_issue(auth, &change, token, issuer, &err);
    assert_true(rc == 0 || err.code == rc);
    if (rc < 0)
        return rc;
    assert_null(grant_of(change.secret)); /* not before it is durable */
    wait_over();
    strcpy(secret, change.secret);
    return change.result;
}

static int issue_root(char secret[static AUTH_SECRET_LEN + 1])
{
    struct err err = ERR_INIT;
    struct auth_change change = {.done = done};
    over = false;
    int rc = auth_issue_root(auth, &change, &err);
    if (rc == 0)
        wait_over();
    strcpy(secret, change.secret);
    return rc < 0 ? rc : change.result;
}

static int revoke_one(const char *id, struct grant *issuer)
{
    struct err err = ERR_INIT;
    struct auth_change change = {.done = done};
    over = false;
    int rc = auth_revoke(auth, &change, span_str(id), issuer, &err);
    if (rc == 0)
        wait_over();
    return rc < 0 ? rc : change.result;
}

static bool holds(const char *secret)
{
    const struct grant *grant = grant_of(secret);
    return grant && grant_holds(grant, time_now_ms());
}

static void reopen(void)
{
    close_all();
    open_all();
}

static const uint32_t reads = AUTH_OP_BIT(AUTH_READ);

static void test_life(void **state)
{
    char one[AUTH_SECRET_LEN + 1], two[AUTH_SECRET_LEN + 1];
    struct auth_token token = token_of("t", "a", reads);
    (void)state;
    assert_int_equal(issue(&token, NULL, one), 0);
    assert_int_equal(strlen(one), AUTH_SECRET_LEN);
    assert_memory_equal(one, "weir_", 5);
    size_t before = compared;
    assert_true(holds(one));
    assert_true(compared >= before + AUTH_HASH_SIZE);
    assert_int_equal(issue(&token, NULL, two), ERR_CONFLICT);
    assert_false(auth_is_closed(auth));
    reopen();
    assert_true(holds(one));
    assert_int_equal(revoke_one("u", NULL), ERR_NOT_FOUND);
    assert_int_equal(revoke_one("t", NULL), 0);
    assert_int_equal(revoke_one("t", NULL), ERR_NOT_FOUND);
    assert_int_equal(issue(&token, NULL, two), 0);
    for (int again = 0; again < 2; again++) {
        assert_false(holds(one));
        assert_non_null(grant_of(one)); /* it is known as one that went */
        assert_true(holds(two));
        assert_string_not_equal(one, two);
        reopen();
    }
}

/* The secret itself is nowhere in the store. */
static void test_hashed(void **state)
{
    char secret[AUTH_SECRET_LEN + 1], command[256];
    struct auth_token token = token_of("hidden", "", reads);
    (void)state;
    assert_int_equal(issue(&token, NULL, secret), 0);
    snprintf(command, sizeof(command), "grep -rqaF token/hidden '%s'", path);
    assert_int_equal(system(command), 0);
    snprintf(command, sizeof(command), "! grep -rqaF -e '%s' -e '%s' '%s'", secret, secret + 5, dir);
    assert_int_equal(system(command), 0);
}

static void test_root(void **state)
{
    char one[AUTH_SECRET_LEN + 1], two[AUTH_SECRET_LEN + 1];
    struct auth_token token = token_of("root", "", reads);
    (void)state;
    assert_int_equal(issue(&token, NULL, one), ERR_INVALID);
    assert_int_equal(issue_root(one), 0);
    assert_true(auth_is_closed(auth) && auth_has_root(auth));
    assert_true(grant_allows(grant_of(one), AUTH_EXEC, span_str("any-basin"), span_str("any")));
    assert_int_equal(revoke_one("root", NULL), ERR_FORBIDDEN);
    assert_int_equal(issue_root(two), 0);
    assert_false(holds(one));
    assert_true(holds(two));
    reopen();
    assert_true(auth_is_closed(auth) && auth_has_root(auth) && holds(two) && !holds(one));
}

static void test_expiry(void **state)
{
    char one[AUTH_SECRET_LEN + 1], two[AUTH_SECRET_LEN + 1];
    struct auth_token token = token_of("t", "a", reads);
    (void)state;
    token.has_expiry = true;
    token.expires_ms = time_now_ms() - 1;
    assert_int_equal(issue(&token, NULL, one), ERR_INVALID);
    token.expires_ms = time_now_ms() + 60000;
    assert_int_equal(issue(&token, NULL, one), 0);
    assert_int_equal(issue(&token, NULL, two), ERR_CONFLICT);
    grant_of(one)->token.expires_ms = time_now_ms(); /* the time has come */
    assert_false(holds(one));
    assert_int_equal(issue(&token, NULL, two), 0); /* its id is free */
    assert_true(holds(two) && !holds(one) && grant_of(one));
    reopen();
    assert_true(holds(two) && !holds(one) && grant_of(one));
}

static void test_issuer(void **state)
{
    char own[AUTH_SECRET_LEN + 1], got[AUTH_SECRET_LEN + 1];
    const uint32_t ops = reads | AUTH_OP_BIT(AUTH_ISSUE_TOKEN) | AUTH_OP_BIT(AUTH_REVOKE_TOKEN);
    struct auth_token issuer = token_of("boss", "a/", ops), token = token_of("boss-1", "a/b", reads);
    (void)state;
    issuer.scope.sets[AUTH_TOKENS] = (struct auth_set){AUTH_PREFIX, span_str("boss-")};
    issuer.has_expiry = true;
    issuer.expires_ms = time_now_ms() + 60000;
    assert_int_equal(issue(&issuer, NULL, own), 0);
    struct grant *boss = grant_of(own);
    assert_int_equal(issue(&token, boss, got), ERR_FORBIDDEN); /* tokens: all, but the issuer has boss-* */
    token.scope.sets[AUTH_TOKENS].how = AUTH_NO_NAME;
    assert_int_equal(issue(&token, boss, got), 0);
    assert_true(grant_of(got)->token.has_expiry && grant_of(got)->token.expires_ms == issuer.expires_ms);
    struct auth_token bad[] = {token, token, token, token};
    bad[0].id = span_str("other");
    bad[1].id = bad[2].id = bad[3].id = span_str("boss-2");
    bad[1].has_expiry = true, bad[1].expires_ms = issuer.expires_ms + 1;
    bad[2].scope.ops |= AUTH_OP_BIT(AUTH_EXEC);
    bad[3].scope.sets[AUTH_STREAMS].text = span_str("a");
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(issue(&bad[i], boss, got), ERR_FORBIDDEN);
    assert_int_equal(revoke_one("boss", boss), ERR_FORBIDDEN);
    assert_int_equal(revoke_one("boss-2", boss), ERR_NOT_FOUND);
    assert_int_equal(revoke_one("boss-1", boss), 0);
    /* Those without a token, in the open state: everything but exec. */
    token.scope.ops = AUTH_OP_BIT(AUTH_EXEC);
    assert_int_equal(issue(&token, auth->anybody, got), ERR_FORBIDDEN);
    token.scope.ops = reads;
    assert_int_equal(issue(&token, auth->anybody, got), 0);
    token.id = span_str("prefix");
    token.auto_prefix = true;
    token.scope.sets[AUTH_STREAMS].how = AUTH_EXACT;
    assert_int_equal(issue(&token, NULL, got), ERR_INVALID);
}

/* Of those that went the newest are remembered. */
static void test_forgets(void **state)
{
    char secret[AUTH_SECRET_LEN + 1];
    struct auth_token token = token_of("t", "", reads);
    uint8_t hash[AUTH_HASH_SIZE] = {0};
    (void)state;
    for (uint32_t i = 0; i < AUTH_GONE_MAX; i++) {
        memcpy(hash, &i, sizeof(i));
        assert_int_equal(auth_remember(auth, hash, 1000 + i), 0);
    }
    memset(hash, 0, sizeof(hash));
    assert_non_null(auth_by_hash(auth, hash));
    assert_int_equal(issue(&token, NULL, secret), 0);
    assert_int_equal(revoke_one("t", NULL), 0);
    assert_int_equal(auth->gone, AUTH_GONE_MAX);
    assert_null(auth_by_hash(auth, hash));
    assert_non_null(grant_of(secret));
}

static bool count_one(void *arg, const struct auth_token *token)
{
    char *ids = arg;
    snprintf(ids + strlen(ids), 64 - strlen(ids), "%.*s ", SPAN_ARG(token->id));
    return strlen(ids) < 12;
}

static void expect_list(const char *prefix, const char *after, const char *want)
{
    char ids[64] = "";
    auth_each(auth, span_str(prefix), span_str(after), count_one, ids);
    assert_string_equal(ids, want);
}

static void test_list(void **state)
{
    static const char *const ids[] = {"b", "ab", "abc", "a", "c"};
    char secret[AUTH_SECRET_LEN + 1];
    (void)state;
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        struct auth_token token = token_of(ids[i], "", reads);
        assert_int_equal(issue(&token, NULL, secret), 0);
    }
    for (int again = 0; again < 2; again++) {
        expect_list("", "", "a ab abc b c ");
        expect_list("ab", "", "ab abc ");
        expect_list("a", "ab", "abc ");
        expect_list("b", "a", "b ");
        expect_list("", "abc", "b c ");
        expect_list("d", "", "");
        reopen();
    }
    assert_int_equal(revoke_one("ab", NULL), 0);
    auth_find(auth, span_str("b"))->token.has_expiry = true; /* over since 1970 */
    expect_list("", "", "a abc c ");
}

/* --- what ends with a token --- */

static unsigned ended;

static void count_end(struct auth_watch *watch)
{
    (void)watch;
    ended++;
}

static void test_watches(void **state)
{
    char one[AUTH_SECRET_LEN + 1], two[AUTH_SECRET_LEN + 1], root[AUTH_SECRET_LEN + 1];
    struct auth_token token = token_of("one", "", reads);
    (void)state;
    assert_int_equal(issue(&token, NULL, one), 0);
    token.id = span_str("two");
    token.has_expiry = true;
    token.expires_ms = time_now_ms() + 300;
    assert_int_equal(issue(&token, NULL, two), 0);
    struct auth_watch watches[] = {{.grant = grant_of(one)}, {.grant = grant_of(two)}, {.grant = auth->anybody}, {.grant = NULL}};
    for (size_t i = 0; i < 4; i++) {
        watches[i].ended = count_end;
        grant_hold(watches[i].grant);
        auth_watch(auth, &watches[i]);
    }
    ended = 0;
    assert_int_equal(revoke_one("one", NULL), 0);
    assert_int_equal(ended, 1);
    while (ended < 2) /* the time of the second; the timer does not keep the loop, so something else does */
        uv_run(&loop, UV_RUN_ONCE);
    assert_false(holds(two));
    assert_int_equal(issue_root(root), 0);
    assert_int_equal(ended, 3);
    for (size_t i = 0; i < 4; i++) {
        auth_unwatch(auth, &watches[i]);
        grant_drop(watches[i].grant);
    }
}

static void test_listeners(void **state)
{
    static const char *const none[] = {NULL};
    static const char *const loopback[] = {"127.0.0.1:80", "127.9.9.9:80", "[::1]:80", "[::ffff:127.0.0.1]:80", NULL};
    static const char *const beyond[] = {"127.0.0.1:80", "[::]:80", NULL};
    struct err err = ERR_INIT;
    (void)state;
    assert_int_equal(auth_listens(auth, none, &err), 0);
    assert_int_equal(auth_listens(auth, loopback, &err), 0);
    assert_false(auth_is_closed(auth));
    assert_int_equal(auth_listens(auth, beyond, &err), 0);
    assert_true(auth_is_closed(auth));
    reopen();
    assert_false(auth_is_closed(auth));
}

int main(void)
{
    pool_prepare();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_life, setup, teardown),    cmocka_unit_test_setup_teardown(test_hashed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_root, setup, teardown),    cmocka_unit_test_setup_teardown(test_expiry, setup, teardown),
        cmocka_unit_test_setup_teardown(test_issuer, setup, teardown),  cmocka_unit_test_setup_teardown(test_forgets, setup, teardown),
        cmocka_unit_test_setup_teardown(test_listeners, setup, teardown),
        cmocka_unit_test_setup_teardown(test_list, setup, teardown),    cmocka_unit_test_setup_teardown(test_watches, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
