/* The client's unary calls: retries, what is certain afterwards, typed errors, TLS, endpoints. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <gnutls/x509.h>

#include <weir/s2.h>

#include "client/s2/place.h"
#include "tests/unit/s2_model_server.h"

static const struct weir_s2_stream stream = {"a-basin-1", "s"};

static struct weir_s2_options quick(const char *endpoint)
{
    struct weir_s2_options o = WEIR_S2_OPTIONS_INIT;
    o.account = endpoint;
    o.backoff_ms = 1;
    o.backoff_max_ms = 2;
    return o;
}

static int setup(void **state)
{
    *state = model_start_server(NULL);
    return 0;
}

static int teardown(void **state)
{
    model_stop_server(*state);
    return 0;
}

static struct weir_s2 *open_with(struct weir_s2_options o)
{
    struct weir_s2 *s2;
    struct weir_s2_err err;
    assert_int_equal(weir_s2_open(&s2, &o, &err), 0);
    return s2;
}

static struct s2_record record_of(const char *text)
{
    return (struct s2_record){.body = span_str(text)};
}

static int append_one(struct weir_s2 *s2, const char *text, const uint64_t *match,
                      struct s2_ack *ack, struct weir_s2_err *err)
{
    struct s2_record r = record_of(text);
    struct weir_s2_input in = {
        .records = &r, .count = 1, .has_match = match != NULL, .match_seq_num = match ? *match : 0};
    return weir_s2_append(s2, stream, &in, ack, err);
}

static void appends_and_reads(void **state)
{
    struct model *m = *state;
    struct weir_s2 *s2 = open_with(quick(m->addr));
    struct weir_s2_err err;
    struct s2_ack ack;
    struct weir_s2_batch batch = {0};
    struct s2_position tail;
    assert_int_equal(append_one(s2, "one", NULL, &ack, &err), 0);
    assert_int_equal(append_one(s2, "two", NULL, &ack, &err), 0);
    assert_int_equal(ack.start.seq_num, 1);
    assert_int_equal(ack.end.seq_num, 2);
    assert_int_equal(weir_s2_tail(s2, stream, &tail, &err), 0);
    assert_int_equal(tail.seq_num, 2);
    assert_int_equal(tail.timestamp, 1001);
    struct weir_s2_read all = {.has_count = true, .count = 10};
    assert_int_equal(weir_s2_read(s2, stream, &all, &batch, &err), 0);
    assert_int_equal(batch.count, 2);
    assert_true(span_is(batch.records[1].body, "two"));
    assert_int_equal(batch.records[1].seq_num, 1);
    weir_s2_batch_finish(&batch);
    assert_int_equal(m->accepts, 1); /* one connection for all */
    weir_s2_close(s2);
}

static void keys_and_configs_are_sent(void **state)
{
    struct model *m = *state;
    struct weir_s2_options o = quick(m->addr);
    o.encryption_key = "a2V5";
    o.stream_config = "{\"storage_class\":\"standard\"}";
    struct weir_s2 *s2 = open_with(o);
    struct weir_s2_err err;
    struct s2_ack ack;
    assert_int_equal(append_one(s2, "small", NULL, &ack, &err), 0);
    assert_int_equal(weir_s2_trim(s2, stream, 1, NULL, &ack, &err), 0);
    assert_int_equal(weir_s2_fence(s2, stream, NULL, "tok", &ack, &err), 0);
    struct s2_position tail;
    assert_int_equal(weir_s2_tail(s2, stream, &tail, &err), 0);
    MODEL_SET(m, assert_string_equal(m->last_key, "a2V5"));
    MODEL_SET(m, assert_string_equal(m->last_config, "{\"storage_class\":\"standard\"}"));
    weir_s2_close(s2);
}

static void mismatches_are_typed(void **state)
{
    struct model *m = *state;
    struct weir_s2 *s2 = open_with(quick(m->addr));
    struct weir_s2_err err;
    struct s2_ack ack;
    uint64_t match = 5;
    assert_int_equal(append_one(s2, "x", &match, &ack, &err), ERR_CONDITION);
    assert_int_equal(err.what, WEIR_S2_SEQ_NUM_MISMATCH);
    assert_int_equal(err.status, 412);
    assert_int_equal(err.seq_num, 0);
    assert_true(err.no_effect);
    assert_false(err.retryable);
    struct s2_record r = record_of("x");
    MODEL_SET(m, strcpy(m->fence, "mine"));
    struct weir_s2_input in = {.records = &r, .count = 1, .token = "other"};
    assert_int_equal(weir_s2_append(s2, stream, &in, &ack, &err), ERR_CONDITION);
    assert_int_equal(err.what, WEIR_S2_TOKEN_MISMATCH);
    assert_string_equal(err.token, "mine");
    struct weir_s2_read beyond = {.start = 9, .has_count = true, .count = 1};
    struct weir_s2_batch batch = {0};
    assert_int_equal(weir_s2_read(s2, stream, &beyond, &batch, &err), ERR_RANGE);
    assert_int_equal(err.what, WEIR_S2_OUT_OF_RANGE);
    assert_int_equal(err.tail.seq_num, 0);
    assert_int_equal(err.tail.timestamp, 7);
    weir_s2_close(s2);
}

static void bad_input_is_not_sent(void **state)
{
    struct model *m = *state;
    struct weir_s2 *s2 = open_with(quick(m->addr));
    struct weir_s2_err err;
    struct s2_ack ack;
    struct weir_s2_input none = {0};
    assert_int_equal(weir_s2_append(s2, stream, &none, &ack, &err), ERR_INVALID);
    assert_int_equal(err.what, WEIR_S2_LOCAL);
    assert_true(err.no_effect);
    assert_int_equal(m->accepts, 0);
    weir_s2_close(s2);
}

static void retries_what_may_succeed(void **state)
{
    struct model *m = *state;
    struct weir_s2 *s2 = open_with(quick(m->addr));
    struct weir_s2_err err;
    struct s2_position tail;
    MODEL_SET(m, (m->faults.refuse = 2, m->faults.refuse_status = 503,
                  m->faults.refuse_json = "{\"code\":\"unavailable\",\"message\":\"soon\"}"));
    assert_int_equal(weir_s2_tail(s2, stream, &tail, &err), 0);
    assert_int_equal(m->requests, 3);
    MODEL_SET(m, m->faults.refuse = 3);
    assert_int_equal(weir_s2_tail(s2, stream, &tail, &err), ERR_UNAVAILABLE);
    assert_int_equal(err.what, WEIR_S2_UNAVAILABLE);
    assert_true(err.retryable);
    assert_int_equal(m->requests, 6);
    MODEL_SET(m, (m->faults.refuse = 1, m->faults.refuse_status = 404,
                  m->faults.refuse_json = "{\"code\":\"stream_not_found\",\"message\":\"no\"}"));
    assert_int_equal(weir_s2_tail(s2, stream, &tail, &err), ERR_NOT_FOUND);
    assert_int_equal(err.what, WEIR_S2_STREAM_NOT_FOUND);
    assert_int_equal(m->requests, 7); /* not tried again */
    weir_s2_close(s2);
}

/* The certain policy: an append whose answer was lost is not sent again, one that a server turned
 * away is. */
static void careful_appends(void **state)
{
    struct model *m = *state;
    struct weir_s2_options o = quick(m->addr);
    o.retry = WEIR_S2_RETRY_CERTAIN;
    struct weir_s2 *s2 = open_with(o);
    struct weir_s2_err err;
    struct s2_ack ack;
    MODEL_SET(m, m->faults.lose_ack = 1);
    assert_int_not_equal(append_one(s2, "x", NULL, &ack, &err), 0);
    assert_int_equal(err.what, WEIR_S2_TRANSPORT);
    assert_false(err.no_effect);
    assert_int_equal(m->count, 1);
    MODEL_SET(m, (m->faults.refuse = 1, m->faults.refuse_status = 429,
                  m->faults.refuse_json = "{\"code\":\"rate_limited\",\"message\":\"slow\"}"));
    assert_int_equal(append_one(s2, "y", NULL, &ack, &err), 0);
    MODEL_SET(m, (m->faults.refuse = 1, m->faults.refuse_status = 503,
                  m->faults.refuse_json = "{\"code\":\"unavailable\",\"message\":\"\"}"));
    assert_int_equal(append_one(s2, "z", NULL, &ack, &err), ERR_UNAVAILABLE);
    assert_int_equal(m->count, 2);
    weir_s2_close(s2);
}

static void lost_ack_without_match_doubles(void **state)
{
    struct model *m = *state;
    struct weir_s2 *s2 = open_with(quick(m->addr));
    struct weir_s2_err err;
    struct s2_ack ack;
    MODEL_SET(m, m->faults.lose_ack = 1);
    assert_int_equal(append_one(s2, "x", NULL, &ack, &err), 0);
    assert_int_equal(m->count, 2); /* what the policy says, and why match_seq_num is there */
    weir_s2_close(s2);
}

static void lost_ack_with_match_is_found(void **state)
{
    struct model *m = *state;
    struct weir_s2_options o = quick(m->addr);
    o.retry = WEIR_S2_RETRY_CERTAIN;
    struct weir_s2 *s2 = open_with(o);
    struct weir_s2_err err;
    struct s2_ack ack;
    uint64_t match = 0;
    MODEL_SET(m, m->faults.lose_ack = 1);
    assert_int_equal(append_one(s2, "x", &match, &ack, &err), 0);
    assert_int_equal(m->count, 1);
    assert_int_equal(ack.start.seq_num, 0);
    assert_int_equal(ack.end.seq_num, 1);
    assert_int_equal(ack.end.timestamp, 1000);
    /* Somebody else's record at the place wanted is no success. */
    match = 1;
    struct s2_record other = record_of("other");
    MODEL_SET(m, (m->faults.drop_input = 1, model_add(m, &other)));
    assert_int_equal(append_one(s2, "y", &match, &ack, &err), ERR_CONDITION);
    assert_int_equal(err.seq_num, 2);
    weir_s2_close(s2);
}

static void nobody_there(void **state)
{
    struct weir_s2 *s2 = open_with(quick("unix:/tmp/weir-s2-nobody/sock"));
    struct weir_s2_err err;
    struct s2_ack ack;
    (void)state;
    assert_int_equal(append_one(s2, "x", NULL, &ack, &err), -ENOENT);
    assert_int_equal(err.what, WEIR_S2_CONNECT);
    assert_true(err.no_effect);
    weir_s2_close(s2);
}

static void no_answer_in_time(void **state)
{
    struct model *m = *state;
    struct weir_s2_options o = quick(m->addr);
    o.request_ms = 60;
    o.attempts = 1;
    struct weir_s2 *s2 = open_with(o);
    struct weir_s2_err err;
    struct s2_ack ack;
    pthread_mutex_lock(&m->lock); /* the server stands still */
    assert_int_equal(append_one(s2, "x", NULL, &ack, &err), -ETIMEDOUT);
    pthread_mutex_unlock(&m->lock);
    assert_int_equal(err.what, WEIR_S2_TIMEOUT);
    assert_false(err.no_effect);
    weir_s2_close(s2);
}

static void control_plane_passes_json(void **state)
{
    struct model *m = *state;
    struct weir_s2 *s2 = open_with(quick(m->addr));
    struct weir_s2_err err;
    struct weir_s2_answer answer;
    struct weir_s2_request r = {.method = "PUT",
                                .collection = "streams",
                                .name = "a/b c",
                                .basin = "a-basin-1",
                                .json = "{\"n\":18446744073709551615}"};
    assert_int_equal(weir_s2_call(s2, &r, &answer, &err), 0);
    assert_string_equal(answer.body, "{\"n\":18446744073709551615}");
    assert_int_equal(answer.status, 200);
    weir_s2_answer_finish(&answer);
    MODEL_SET(m, (m->faults.refuse = 1, m->faults.refuse_status = 409,
                  m->faults.refuse_json =
                      "{\"code\":\"resource_already_exists\",\"message\":\"there\"}"));
    assert_int_equal(weir_s2_stream_ensure(s2, "a-basin-1", "s", NULL, &err), ERR_CONFLICT);
    assert_int_equal(err.what, WEIR_S2_ALREADY_EXISTS);
    weir_s2_close(s2);
}

/* --- TLS
 * ------------------------------------------------------------------------------------------------
 */

struct identity {
    gnutls_certificate_credentials_t cred;
    char file[64];
};

static void make_identity(struct identity *id)
{
    gnutls_x509_privkey_t key;
    gnutls_x509_crt_t crt;
    gnutls_datum_t pem;
    unsigned char serial = 1;
    gnutls_x509_privkey_init(&key);
    gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA,
                                 GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0);
    gnutls_x509_crt_init(&crt);
    gnutls_x509_crt_set_version(crt, 3);
    gnutls_x509_crt_set_serial(crt, &serial, 1);
    gnutls_x509_crt_set_activation_time(crt, time(NULL) - 60);
    gnutls_x509_crt_set_expiration_time(crt, time(NULL) + 3600);
    gnutls_x509_crt_set_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 0, "localhost", 9);
    gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_DNSNAME, "localhost", 9, GNUTLS_FSAN_SET);
    gnutls_x509_crt_set_basic_constraints(crt, 1, -1);
    gnutls_x509_crt_set_key(crt, key);
    assert_int_equal(gnutls_x509_crt_sign2(crt, crt, key, GNUTLS_DIG_SHA256, 0), 0);
    gnutls_certificate_allocate_credentials(&id->cred);
    gnutls_certificate_set_x509_key(id->cred, &crt, 1, key);
    assert_int_equal(gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_PEM, &pem), 0);
    strcpy(id->file, "/tmp/weir-s2-ca.XXXXXX");
    int fd = mkstemp(id->file);
    assert_int_equal(write(fd, pem.data, pem.size), pem.size);
    close(fd);
    gnutls_free(pem.data);
    gnutls_x509_crt_deinit(crt);
    gnutls_x509_privkey_deinit(key);
}

static int tail_over(struct weir_s2_options o, struct weir_s2_err *err)
{
    struct s2_position tail;
    struct weir_s2 *s2 = open_with(o);
    int rc = weir_s2_tail(s2, stream, &tail, err);
    weir_s2_close(s2);
    return rc;
}

static void tls_checks_certificate_and_name(void **state)
{
    struct identity id;
    struct weir_s2_err err;
    char by_number[64];
    (void)state;
    make_identity(&id);
    struct model *m = model_start_server(id.cred);
    struct weir_s2_options o = quick(m->addr);
    assert_int_equal(tail_over(o, &err), ERR_AUTH); /* unknown authority */
    assert_int_equal(err.what, WEIR_S2_TLS);
    o.ca_file = id.file;
    assert_int_equal(tail_over(o, &err), 0);
    snprintf(by_number, sizeof(by_number), "https://127.0.0.1%s", strrchr(m->addr, ':'));
    o.account = by_number;
    assert_int_equal(tail_over(o, &err), ERR_AUTH); /* good, but of another name */
    assert_int_equal(err.what, WEIR_S2_TLS);
    o.ca_file = NULL;
    o.insecure = true;
    assert_int_equal(tail_over(o, &err), 0);
    model_stop_server(m);
    gnutls_certificate_free_credentials(id.cred);
    unlink(id.file);
}

/* A batch as large as it may be goes both ways through TLS. */
static void tls_carries_large_batches(void **state)
{
    struct identity id;
    struct weir_s2_err err;
    struct s2_ack ack;
    struct weir_s2_batch batch = {0};
    (void)state;
    make_identity(&id);
    struct model *m = model_start_server(id.cred);
    struct weir_s2_options o = quick(m->addr);
    o.ca_file = id.file;
    struct weir_s2 *s2 = open_with(o);
    size_t len = 1024 * 1024 - 8;
    uint8_t *body = malloc(len);
    for (size_t i = 0; i < len; i++)
        body[i] = (uint8_t)(i * 2654435761u >> 13);
    struct s2_record r = {.body = span_of(body, len)};
    assert_int_equal(
        weir_s2_append(s2, stream, &(struct weir_s2_input){.records = &r, .count = 1}, &ack, &err),
        0);
    struct weir_s2_read one = {.has_count = true, .count = 1};
    assert_int_equal(weir_s2_read(s2, stream, &one, &batch, &err), 0);
    assert_true(span_eq(batch.records[0].body, span_of(body, len)));
    weir_s2_batch_finish(&batch);
    free(body);
    weir_s2_close(s2);
    model_stop_server(m);
    gnutls_certificate_free_credentials(id.cred);
    unlink(id.file);
}

/* --- endpoints
 * ------------------------------------------------------------------------------------------- */

static void endpoints_are_understood(void **state)
{
    struct err err;
    struct s2c_place p, filled;
    (void)state;
    assert_int_equal(s2c_place_parse(&p, "https://{basin}.b.example.net", &err), 0);
    assert_true(p.tls && p.templated);
    assert_string_equal(p.addr.port, "443");
    assert_string_equal(p.path, "/v1");
    assert_int_equal(s2c_place_for(&filled, &p, "my-basin", &err), 0);
    assert_string_equal(filled.addr.host, "my-basin.b.example.net");
    assert_int_equal(s2c_place_for(&(struct s2c_place){0}, &p, NULL, &err), ERR_INVALID);
    s2c_place_finish(&filled);
    s2c_place_finish(&p);
    assert_int_equal(s2c_place_parse(&p, "http://[::1]:4243/api/v2/", &err), 0);
    assert_string_equal(p.addr.host, "::1");
    assert_string_equal(p.addr.port, "4243");
    assert_string_equal(p.path, "/api/v2");
    s2c_place_finish(&p);
    assert_int_equal(s2c_place_parse(&p, "unix:/x/sock", &err), 0);
    assert_string_equal(p.addr.path, "/x/sock");
    s2c_place_finish(&p);
    assert_int_equal(s2c_place_parse(&p, "localhost:81", &err), 0);
    assert_string_equal(p.addr.port, "81");
    s2c_place_finish(&p);
    static const char *const bad[] = {
        "http://", "http://h:0", "http://h:99999", "http://a b", "http://h?x=1", "http://[::1", ""};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(s2c_place_parse(&p, bad[i], &err), ERR_INVALID);
}

static void environment_is_taken(void **state)
{
    struct weir_s2_options o = WEIR_S2_OPTIONS_INIT;
    struct weir_s2_err err;
    (void)state;
    setenv("S2_ACCOUNT_ENDPOINT", "http://a", 1);
    setenv("S2_BASIN_ENDPOINT", "http://b", 1);
    setenv("S2_ACCESS_TOKEN", "tok", 1);
    setenv("S2_COMPRESSION", "zstd", 1);
    setenv("S2_SSL_NO_VERIFY", "1", 1);
    assert_int_equal(weir_s2_options_env(&o, &err), 0);
    assert_string_equal(o.account, "http://a");
    assert_string_equal(o.basin, "http://b");
    assert_string_equal(o.token, "tok");
    assert_int_equal(o.compression, WEIR_S2_ZSTD);
    assert_true(o.insecure);
    setenv("S2_COMPRESSION", "lz4", 1);
    assert_int_equal(weir_s2_options_env(&o, &err), ERR_INVALID);
    struct weir_s2 *s2;
    o = WEIR_S2_OPTIONS_INIT;
    assert_int_equal(weir_s2_open(&s2, &o, &err), ERR_INVALID); /* no endpoint at all */
    o.account = "http://a";
    o.token = "two\nlines";
    assert_int_equal(weir_s2_open(&s2, &o, &err), ERR_INVALID);
}

#define WITH_SERVER(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_SERVER(appends_and_reads),
        WITH_SERVER(keys_and_configs_are_sent),
        WITH_SERVER(mismatches_are_typed),
        WITH_SERVER(bad_input_is_not_sent),
        WITH_SERVER(retries_what_may_succeed),
        WITH_SERVER(careful_appends),
        WITH_SERVER(lost_ack_without_match_doubles),
        WITH_SERVER(lost_ack_with_match_is_found),
        cmocka_unit_test(nobody_there),
        WITH_SERVER(no_answer_in_time),
        WITH_SERVER(control_plane_passes_json),
        cmocka_unit_test(tls_checks_certificate_and_name),
        cmocka_unit_test(tls_carries_large_batches),
        cmocka_unit_test(endpoints_are_understood),
        cmocka_unit_test(environment_is_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
