/* TLS before the HTTP server, against GnuTLS's client side; and the certificates that are read and made. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <gnutls/gnutls.h>

#include "base/clean.h"
#include "daemon/http/tls.h"
/* A test is one program of one file; the rig stands apart for its length only. */
#include "tests/rig/http_rig.c"

static const char *const no_names[] = {NULL};
static char dir[] = "/tmp/weir-tls.XXXXXX";
static int dirfd_ = -1;
static struct tls *tls;
static gnutls_certificate_credentials_t trust;
static struct rig *rig;

static int set_up(void **state)
{
    struct err err = ERR_INIT;
    (void)state;
    assert_non_null(mkdtemp(dir));
    dirfd_ = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(tls_self(&tls, dirfd_, no_names, &err), 0);
    CLEAN_FREE char *path = NULL;
    assert_true(asprintf(&path, "%s/tls/certificate.pem", dir) > 0);
    assert_int_equal(gnutls_certificate_allocate_credentials(&trust), 0);
    assert_int_equal(gnutls_certificate_set_x509_trust_file(trust, path, GNUTLS_X509_FMT_PEM), 1);
    rig = rig_start(1, 0);
    rig->doors[HTTP_VIA_TCP].tls = tls;
    return 0;
}

static int tear_down(void **state)
{
    static const char *const files[] = {"tls/certificate.pem", "tls/key.pem", "other.pem", "bad.pem"};
    (void)state;
    rig_stop(rig);
    tls_destroy(tls);
    gnutls_certificate_free_credentials(trust);
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
        unlinkat(dirfd_, files[i], 0);
    unlinkat(dirfd_, "tls", AT_REMOVEDIR);
    close(dirfd_);
    rmdir(dir);
    strcpy(dir + strlen(dir) - 6, "XXXXXX"); /* NOLINT: it is as long as that */
    return 0;
}

/* --- a client ------------------------------------------------------------------------------------- */

struct peer {
    int fd;
    gnutls_session_t session;
};

static gnutls_session_t session_over(int fd, const char *protocol)
{
    gnutls_session_t session;
    gnutls_datum_t alpn = {(unsigned char *)(uintptr_t)protocol, protocol ? (unsigned)strlen(protocol) : 0};
    assert_int_equal(gnutls_init(&session, GNUTLS_CLIENT | GNUTLS_NO_SIGNAL), 0);
    gnutls_set_default_priority(session);
    gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, trust);
    gnutls_session_set_verify_cert(session, "localhost", 0);
    if (protocol)
        gnutls_alpn_set_protocols(session, &alpn, 1, GNUTLS_ALPN_MANDATORY);
    gnutls_transport_set_int(session, fd);
    return session;
}

static struct peer peer_open(void)
{
    struct peer peer = {.fd = rig_connect(rig, HTTP_VIA_TCP)};
    peer.session = session_over(peer.fd, "http/1.1");
    assert_int_equal(gnutls_handshake(peer.session), 0);
    return peer;
}

static void peer_close(struct peer *peer)
{
    gnutls_deinit(peer->session);
    close(peer->fd);
}

static void peer_say(struct peer *peer, const void *bytes, size_t len)
{
    const char *p = bytes;
    while (len > 0) {
        ssize_t n = gnutls_record_send(peer->session, p, len);
        assert_true(n > 0);
        p += n;
        len -= (size_t)n;
    }
}

static void peer_ask(struct peer *peer, const char *text)
{
    peer_say(peer, text, strlen(text));
}

/* Reads a head and, by its content-length, the body. */
static void peer_hear(struct peer *peer, int status, struct buf *body)
{
    CLEAN_BUF all = BUF_INIT;
    char bytes[16384], *end = NULL, *length;
    buf_reset(body);
    while (!end) {
        ssize_t n = gnutls_record_recv(peer->session, bytes, sizeof(bytes));
        assert_true(n > 0);
        assert_int_equal(buf_add(&all, bytes, (size_t)n), 0);
        end = strstr(buf_cstr(&all), "\r\n\r\n");
    }
    assert_int_equal(atoi((char *)all.ptr + 9), status);
    length = strcasestr((char *)all.ptr, "content-length: ");
    assert_non_null(length);
    size_t want = strtoul(length + 16, NULL, 10);
    size_t head = (size_t)(end + 4 - (char *)all.ptr);
    assert_int_equal(buf_add(body, all.ptr + head, all.len - head), 0);
    while (body->len < want) {
        ssize_t n = gnutls_record_recv(peer->session, bytes, sizeof(bytes));
        assert_true(n > 0);
        assert_int_equal(buf_add(body, bytes, (size_t)n), 0);
    }
}

static void peer_expect(struct peer *peer, int status, const char *body)
{
    CLEAN_BUF got = BUF_INIT;
    peer_hear(peer, status, &got);
    assert_string_equal(buf_cstr(&got), body);
}

/* --- the relay ------------------------------------------------------------------------------------ */

#define HOST "Host: localhost\r\n"

static void test_requests(void **state)
{
    (void)state;
    struct peer peer = peer_open();
    for (int i = 0; i < 3; i++) {
        peer_ask(&peer, "GET /peer HTTP/1.1\r\n" HOST "\r\n");
        peer_expect(&peer, 200, "127.0.0.1");
        peer_ask(&peer, "POST /x HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello");
        peer_expect(&peer, 200, "hello");
    }
    gnutls_datum_t protocol;
    assert_int_equal(gnutls_alpn_get_selected_protocol(peer.session, &protocol), 0);
    assert_int_equal(protocol.size, 8);
    assert_true(gnutls_protocol_get_version(peer.session) >= GNUTLS_TLS1_2);
    peer_close(&peer);
    assert_true(rig_reaches(rig, &rig->whole, 6));
}

static void test_large_both_ways(void **state)
{
    (void)state;
    CLEAN_BUF bytes = BUF_INIT, got = BUF_INIT;
    char head[128];
    size_t len = 5000000;
    assert_int_equal(buf_reserve(&bytes, len), 0);
    for (size_t i = 0; i < len; i++)
        buf_put(&bytes, (uint8_t)(i * 7 + (i >> 8) * 13 + (i >> 16)));
    struct peer peer = peer_open();
    snprintf(head, sizeof(head), "POST /x HTTP/1.1\r\n" HOST "Content-Length: %zu\r\n\r\n", len);
    peer_ask(&peer, head);
    peer_say(&peer, bytes.ptr, len);
    peer_hear(&peer, 200, &got);
    assert_int_equal(got.len, len);
    assert_memory_equal(got.ptr, bytes.ptr, len);
    peer_close(&peer);
}

/* Who reads nothing holds up what is made for it, and gets it all in the end. */
static void test_deaf_reader(void **state)
{
    (void)state;
    CLEAN_BUF got = BUF_INIT;
    struct peer peer = peer_open();
    peer_ask(&peer, "GET /sized?60000000 HTTP/1.1\r\n" HOST "\r\n");
    assert_true(rig_reaches(rig, &rig->begun, 1));
    for (int i = 0; i < 20; i++)
        rig_order(rig, ORDER_WAKE);
    size_t given = rig_given(rig);
    assert_true(given < 20000000);
    peer_hear(&peer, 200, &got);
    assert_int_equal(got.len, 60000000);
    peer_close(&peer);
}

static void test_many(void **state)
{
    (void)state;
    enum { N = 100 };
    static struct peer peers[N];
    for (int i = 0; i < N; i++)
        peers[i] = peer_open();
    for (int i = 0; i < N; i++)
        peer_ask(&peers[i], "POST /later HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\nab");
    for (int i = 0; i < N; i++)
        peer_expect(&peers[i], 200, "ab");
    for (int i = 0; i < N; i++)
        peer_close(&peers[i]);
    assert_true(rig_reaches(rig, &rig->whole, N));
}

/* The client ends its side and still gets its answer; then the server ends, in order. */
static void test_half_close(void **state)
{
    (void)state;
    char byte;
    struct peer peer = peer_open();
    peer_ask(&peer, "POST /later HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\nab");
    assert_int_equal(gnutls_bye(peer.session, GNUTLS_SHUT_WR), 0);
    peer_expect(&peer, 200, "ab");
    assert_int_equal(gnutls_record_recv(peer.session, &byte, 1), 0);
    peer_close(&peer);
}

/* Who goes without a word is gone. */
static void test_hang_up(void **state)
{
    (void)state;
    struct peer peer = peer_open();
    peer_ask(&peer, "GET /follow HTTP/1.1\r\n" HOST "\r\n");
    assert_true(rig_reaches(rig, &rig->begun, 1));
    peer_close(&peer);
    assert_true(rig_reaches(rig, &rig->gone, 1));
    assert_int_equal(rig_now(rig, &rig->whole), 0);
}

static void test_cut_answer(void **state)
{
    (void)state;
    char bytes[4096];
    ssize_t n = 1;
    size_t len = 0;
    struct peer peer = peer_open();
    peer_ask(&peer, "GET /abort HTTP/1.1\r\n" HOST "\r\n");
    while (n > 0 && len < sizeof(bytes) - 1) {
        n = gnutls_record_recv(peer.session, bytes + len, sizeof(bytes) - 1 - len);
        len += n > 0 ? (size_t)n : 0;
    }
    bytes[len] = '\0';
    assert_null(strstr(bytes, "0\r\n\r\n")); /* no last chunk */
    peer_close(&peer);
}

static void test_no_handshake(void **state)
{
    (void)state;
    int silent = rig_connect(rig, HTTP_VIA_TCP), half = rig_connect(rig, HTTP_VIA_TCP), plain = rig_connect(rig, HTTP_VIA_TCP);
    say_bytes(half, "\x16\x03\x01\x02\x00\x01\x00", 7); /* the beginning of a hello */
    say(plain, "GET /x HTTP/1.1\r\n" HOST "\r\n");
    assert_true(hears_end(plain));
    assert_true(hears_end(silent));
    assert_true(hears_end(half));
    close(silent);
    close(half);
    close(plain);
    assert_int_equal(rig_now(rig, &rig->begun), 0);
}

static void test_old_versions(void **state)
{
    (void)state;
    int fd = rig_connect(rig, HTTP_VIA_TCP);
    gnutls_session_t session = session_over(fd, NULL);
    assert_int_equal(gnutls_priority_set_direct(session, "NORMAL:-VERS-ALL:+VERS-TLS1.1:%COMPAT", NULL), 0);
    assert_true(gnutls_handshake(session) < 0);
    gnutls_deinit(session);
    close(fd);
    fd = rig_connect(rig, HTTP_VIA_TCP);
    session = session_over(fd, NULL);
    assert_int_equal(gnutls_priority_set_direct(session, "NORMAL:-VERS-ALL:+VERS-TLS1.2", NULL), 0);
    assert_int_equal(gnutls_handshake(session), 0);
    gnutls_deinit(session);
    close(fd);
}

static void test_shutdown(void **state)
{
    (void)state;
    char byte;
    struct peer peer = peer_open(), idle = peer_open();
    int half = rig_connect(rig, HTTP_VIA_TCP);
    peer_ask(&idle, "GET /x HTTP/1.1\r\n" HOST "\r\n");
    peer_expect(&idle, 200, "");
    peer_ask(&peer, "POST /later HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\nab");
    assert_true(rig_reaches(rig, &rig->begun, 2));
    rig->shutdown_ms = 5000;
    rig_order(rig, ORDER_SHUTDOWN);
    peer_expect(&peer, 200, "ab");
    assert_int_equal(gnutls_record_recv(peer.session, &byte, 1), 0);
    assert_int_equal(gnutls_record_recv(idle.session, &byte, 1), 0);
    assert_true(hears_end(half));
    assert_true(rig_reaches(rig, &rig->drained, 1));
    peer_close(&peer);
    peer_close(&idle);
    close(half);
}

static void test_stop_over_open_ones(void **state)
{
    (void)state;
    struct peer peer = peer_open();
    int half = rig_connect(rig, HTTP_VIA_TCP);
    peer_ask(&peer, "GET /follow HTTP/1.1\r\n" HOST "\r\n");
    assert_true(rig_reaches(rig, &rig->begun, 1));
    rig_stop(rig);
    rig = rig_start(1, 0);
    peer_close(&peer);
    close(half);
}

/* --- certificates ------------------------------------------------------------------------------------ */

static bool has(const struct tls *t, const char *name)
{
    for (const char *const *n = tls_names(t); *n; n++)
        if (strcmp(*n, name) == 0)
            return true;
    return false;
}

static void read_file(const char *name, char *out, size_t size)
{
    CLEAN_FD int fd = openat(dirfd_, name, O_RDONLY | O_CLOEXEC);
    ssize_t n = read(fd, out, size - 1);
    assert_true(n > 0);
    out[n] = '\0';
}

static void write_file(const char *name, const char *text)
{
    CLEAN_FD int fd = openat(dirfd_, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

static void test_self(void **state)
{
    (void)state;
    static const char *const more[] = {"weir.test", "192.0.2.7", "2001:db8::7", NULL};
    char key[1000], key_again[1000];
    struct err err = ERR_INIT;
    struct tls *again;
    struct stat st;
    assert_true(has(tls, "localhost") && has(tls, "127.0.0.1") && has(tls, "[::1]"));
    assert_int_equal(strlen(tls_fingerprint(tls)), 95);
    assert_int_equal(fstatat(dirfd_, "tls/key.pem", &st, 0), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(fstatat(dirfd_, "tls", &st, 0), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    read_file("tls/key.pem", key, sizeof(key));
    assert_int_equal(tls_self(&again, dirfd_, no_names, &err), 0);
    assert_string_equal(tls_fingerprint(again), tls_fingerprint(tls));
    tls_destroy(again);
    assert_int_equal(tls_self(&again, dirfd_, more, &err), 0);
    assert_string_not_equal(tls_fingerprint(again), tls_fingerprint(tls));
    assert_true(has(again, "localhost") && has(again, "weir.test") && has(again, "192.0.2.7") && has(again, "[2001:db8::7]"));
    CLEAN_FREE char *kept = strdup(tls_fingerprint(again));
    tls_destroy(again);
    read_file("tls/key.pem", key_again, sizeof(key_again));
    assert_string_equal(key, key_again);
    assert_int_equal(tls_self(&again, dirfd_, no_names, &err), 0); /* it still has what is wanted */
    assert_string_equal(tls_fingerprint(again), kept);
    tls_destroy(again);
    write_file("tls/key.pem", "nonsense\n");
    assert_int_equal(tls_self(&again, dirfd_, no_names, &err), ERR_INVALID);
    assert_non_null(strstr(err.text, "tls/key.pem"));
}

static void refuses(const char *certificate, const char *key, int code, const char *text)
{
    struct err err = ERR_INIT;
    struct tls *none = NULL;
    CLEAN_FREE char *c = NULL, *k = NULL;
    assert_true(asprintf(&c, "%s/%s", dir, certificate) > 0 && asprintf(&k, "%s/%s", dir, key) > 0);
    assert_int_equal(tls_load(&none, c, k, &err), code);
    if (!strstr(err.text, text))
        fail_msg("no \"%s\" in: %s", text, err.text);
    assert_null(none);
}

static void test_load(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct tls *loaded;
    char key[1000];
    CLEAN_FREE char *c = NULL, *k = NULL;
    assert_true(asprintf(&c, "%s/tls/certificate.pem", dir) > 0 && asprintf(&k, "%s/tls/key.pem", dir) > 0);
    assert_int_equal(tls_load(&loaded, c, k, &err), 0);
    assert_string_equal(tls_fingerprint(loaded), tls_fingerprint(tls));
    tls_destroy(loaded);
    read_file("tls/key.pem", key, sizeof(key));
    assert_int_equal(unlinkat(dirfd_, "tls/key.pem", 0), 0);
    refuses("tls/certificate.pem", "tls/key.pem", -ENOENT, "tls/key.pem");
    write_file("other.pem", key);
    tls_destroy(tls);
    assert_int_equal(unlinkat(dirfd_, "tls/certificate.pem", 0), 0);
    assert_int_equal(tls_self(&tls, dirfd_, no_names, &err), 0); /* with a new key */
    rig->doors[HTTP_VIA_TCP].tls = tls;
    refuses("tls/certificate.pem", "other.pem", ERR_INVALID, "does not belong");
    refuses("none.pem", "other.pem", -ENOENT, "none.pem");
    refuses("other.pem", "other.pem", ERR_INVALID, "no certificate");
    refuses("tls/certificate.pem", "tls/certificate.pem", ERR_INVALID, "no private key");
    refuses("tls", "other.pem", ERR_INVALID, "no file");
    write_file("bad.pem", "");
    refuses("bad.pem", "other.pem", ERR_INVALID, "no certificate");
}

#define TLS_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {TLS_TEST(test_requests),
                                       TLS_TEST(test_large_both_ways),
                                       TLS_TEST(test_deaf_reader),
                                       TLS_TEST(test_many),
                                       TLS_TEST(test_half_close),
                                       TLS_TEST(test_hang_up),
                                       TLS_TEST(test_cut_answer),
                                       TLS_TEST(test_no_handshake),
                                       TLS_TEST(test_old_versions),
                                       TLS_TEST(test_shutdown),
                                       TLS_TEST(test_stop_over_open_ones),
                                       TLS_TEST(test_self),
                                       TLS_TEST(test_load)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
