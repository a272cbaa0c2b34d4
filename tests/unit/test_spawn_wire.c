/*
 * The messages between daemon, supervisor and keepers, and the stream they come in.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bytes.h"
#include "daemon/run/inlet.h"
#include "daemon/run/spawn_wire.h"

static char *const argv_of[] = {(char[]){"sh"}, (char[]){""}, (char[]){"-c"}, NULL};
static char *const envp_of[] = {(char[]){"A=1"}, NULL};

static const struct wire samples[] = {
    {.kind = WIRE_SPAWN,
     .id = UINT64_MAX,
     .program = "/bin/sh",
     .directory = "/",
     .argv = argv_of,
     .envp = envp_of,
     .limits = {.memory = 1, .cpu_s = 2, .processes = UINT64_MAX},
     .descriptors = 1024,
     .confine = true},
    {.kind = WIRE_SPAWN, .program = "x", .directory = "", .argv = argv_of, .envp = envp_of + 1},
    {.kind = WIRE_SIGNAL, .id = 7, .number = 15},
    {.kind = WIRE_STOP, .id = 8, .number = UINT32_MAX},
    {.kind = WIRE_STARTED, .id = 9, .number = 4711, .text = "no landlock"},
    {.kind = WIRE_FAILED, .id = 10, .code = -ENOENT, .text = "exec"},
    {.kind = WIRE_FAILED, .id = 10, .code = ERR_UNAVAILABLE, .text = ""},
    {.kind = WIRE_ENDED, .id = 11, .end = {.code = 255}},
    {.kind = WIRE_ENDED, .id = 12, .end = {.signalled = true, .code = 9}},
    {.kind = WIRE_ENDED, .id = 13, .end = {.lost = true}},
    {.kind = WIRE_ENDED, .id = 14, .end = {.signalled = true, .starved = true, .code = 9}},
};
#define SAMPLES (sizeof(samples) / sizeof(samples[0]))

static void same_texts(char *const *a, char *const *b)
{
    for (; a && *a; a++, b++)
        assert_string_equal(*a, *b);
    assert_true(!a || !*b);
}

static void same(const struct wire *a, const struct wire *b)
{
    assert_int_equal(a->kind, b->kind);
    assert_true(a->id == b->id && a->number == b->number && a->code == b->code);
    assert_true(a->descriptors == b->descriptors && a->confine == b->confine);
    assert_memory_equal(&a->limits, &b->limits, sizeof(a->limits));
    assert_true(a->end.signalled == b->end.signalled && a->end.lost == b->end.lost &&
                a->end.starved == b->end.starved &&
                a->end.code == b->end.code);
    assert_string_equal(a->text ? a->text : "", b->text ? b->text : "");
    assert_string_equal(a->program ? a->program : "", b->program ? b->program : "");
    assert_string_equal(a->directory ? a->directory : "", b->directory ? b->directory : "");
    same_texts(a->argv, b->argv);
    same_texts(a->envp, b->envp);
}

static void test_round(void **state)
{
    (void)state;
    for (size_t i = 0; i < SAMPLES; i++) {
        CLEAN_BUF out = BUF_INIT;
        struct wire back;
        assert_int_equal(wire_encode(&out, &samples[i], NULL), 0);
        assert_int_equal(wire_size(out.ptr, out.len), out.len);
        assert_int_equal(wire_decode(&back, out.ptr, out.len), 0);
        same(&samples[i], &back);
        wire_finish(&back);
    }
}

/* Cut anywhere, or longer: refused, also when the size says so. */
static void test_wrong_length(void **state)
{
    (void)state;
    for (size_t i = 0; i < SAMPLES; i++) {
        CLEAN_BUF out = BUF_INIT;
        struct wire back;
        wire_encode(&out, &samples[i], NULL);
        size_t len = out.len;
        for (size_t cut = 4; cut < len; cut++) {
            uint8_t *exact = malloc(cut); /* a read beyond it is seen */
            assert_int_equal(wire_size(out.ptr, cut), 0);
            memcpy(exact, out.ptr, cut);
            put_be32(exact, (uint32_t)cut - 4);
            assert_int_equal(wire_decode(&back, exact, cut), ERR_INVALID);
            free(exact);
        }
        buf_add(&out, "", 1);
        assert_int_equal(wire_decode(&back, out.ptr, out.len), ERR_INVALID);
        put_be32(out.ptr, (uint32_t)len - 3);
        assert_int_equal(wire_decode(&back, out.ptr, out.len), ERR_INVALID);
    }
}

static int decode_changed(size_t sample, size_t at, uint8_t byte)
{
    CLEAN_BUF out = BUF_INIT;
    struct wire back;
    wire_encode(&out, &samples[sample], NULL);
    out.ptr[at] = byte;
    int rc = wire_decode(&back, out.ptr, out.len);
    if (rc == 0)
        wire_finish(&back);
    return rc;
}

static void test_wrong_content(void **state)
{
    (void)state;
    assert_int_equal(decode_changed(2, 4, 0), ERR_INVALID); /* kinds */
    assert_int_equal(decode_changed(2, 4, 7), ERR_INVALID);
    assert_int_equal(decode_changed(0, 13, 3), ERR_INVALID); /* flags */
    assert_int_equal(decode_changed(7, 13, 8), ERR_INVALID);
    assert_int_equal(decode_changed(7, 16, 1), ERR_INVALID);          /* an exit code over 255 */
    assert_int_equal(decode_changed(0, 13 + 33 + 5, 0), ERR_INVALID); /* a NUL in a text */
    assert_int_equal(decode_changed(0, 13 + 33 + 4 + 7, 'x'), ERR_INVALID); /* none behind it */
    uint8_t huge[] = {0x7f, 0, 0, 0, 1}, tiny[] = {0, 0, 0, 8, 1};
    assert_int_equal(wire_size(huge, sizeof(huge)), ERR_INVALID);
    assert_int_equal(wire_size(tiny, sizeof(tiny)), ERR_INVALID);
    struct wire none = {.kind = WIRE_SPAWN,
                        .program = "x",
                        .directory = "/",
                        .argv = argv_of + 3,
                        .envp = envp_of}; /* not even a name */
    CLEAN_BUF out = BUF_INIT;
    struct wire back;
    assert_int_equal(wire_encode(&out, &none, NULL), 0);
    assert_int_equal(wire_decode(&back, out.ptr, out.len), ERR_INVALID);
}

/* Refused without a trace in what is there already. */
static void test_too_large(void **state)
{
    char *big = calloc(1, WIRE_TEXT_MAX + 2), *argv[20] = {NULL};
    struct wire message = samples[0];
    struct err err;
    CLEAN_BUF out = BUF_INIT;
    (void)state;
    wire_encode(&out, &samples[2], NULL);
    size_t len = out.len;
    memset(big, 'a', WIRE_TEXT_MAX + 1);
    argv[0] = big;
    message.argv = argv;
    assert_int_equal(wire_encode(&out, &message, &err), ERR_TOO_LARGE);
    big[WIRE_TEXT_MAX] = '\0';
    assert_int_equal(wire_encode(&out, &message, &err), 0);
    out.len = len;
    for (int i = 0; i < 8; i++)
        argv[i] = big;
    assert_int_equal(wire_encode(&out, &message, &err), ERR_TOO_LARGE);
    assert_int_equal(out.len, len);
    free(big);
}

/* --- the stream
 * ------------------------------------------------------------------------------------------ */

static int pair[2];

static int set_up(void **state)
{
    (void)state;
    return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair);
}

static int tear_down(void **state)
{
    (void)state;
    close(pair[0]);
    return close(pair[1]);
}

static void send_with(const void *bytes, size_t len, int fd)
{
    union {
        char room[CMSG_SPACE(WIRE_FDS * sizeof(int))];
        struct cmsghdr align;
    } control = {0};
    int fds[WIRE_FDS] = {fd, fd, fd};
    struct iovec io = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = len};
    struct msghdr header = {.msg_iov = &io,
                            .msg_iovlen = 1,
                            .msg_control = &control,
                            .msg_controllen = sizeof(control)};
    struct cmsghdr *c = CMSG_FIRSTHDR(&header);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(fds));
    memcpy(CMSG_DATA(c), fds, sizeof(fds));
    assert_int_equal(sendmsg(pair[0], &header, 0), len);
}

/* Byte by byte, with messages before and behind. */
static void test_pieces(void **state)
{
    CLEAN_BUF out = BUF_INIT;
    struct inlet inlet = {0};
    const uint8_t *bytes;
    size_t size, seen = 0;
    (void)state;
    for (size_t i = 0; i < SAMPLES; i++)
        wire_encode(&out, &samples[i], NULL);
    assert_int_equal(inlet_read(&inlet, pair[1]), 0);
    for (size_t i = 0; i < out.len; i++) {
        assert_int_equal(send(pair[0], out.ptr + i, 1, 0), 1);
        assert_int_equal(inlet_read(&inlet, pair[1]), 1);
        while (inlet_next(&inlet, &bytes, &size) == 1) {
            struct wire back;
            assert_int_equal(wire_decode(&back, bytes, size), 0);
            same(&samples[seen++], &back);
            wire_finish(&back);
        }
    }
    assert_int_equal(seen, SAMPLES);
    shutdown(pair[0], SHUT_WR);
    assert_int_equal(inlet_read(&inlet, pair[1]), ERR_END);
    inlet_finish(&inlet);
}

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) == FD_CLOEXEC;
}

/* Sets keep the order of their messages however the bytes are cut; what nobody takes is closed. */
static void test_sets(void **state)
{
    struct inlet inlet = {0};
    struct inlet_set first, second, none;
    (void)state;
    int a = open("/dev/null", O_RDONLY | O_CLOEXEC), b = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    send_with("one", 3, a);
    send_with("two", 3, b);
    assert_int_equal(inlet_read(&inlet, pair[1]), 1);
    assert_int_equal(inlet_read(&inlet, pair[1]), 1);
    assert_true(inlet_take_set(&inlet, &first));
    assert_true(inlet_take_set(&inlet, &second));
    assert_false(inlet_take_set(&inlet, &none));
    char byte;
    assert_int_equal(read(first.fds[2], &byte, 1), 0);
    assert_int_equal(read(second.fds[0], &byte, 1), 1);
    assert_true(is_open(first.fds[0]) && is_open(second.fds[2]));
    send_with("x", 1, a);
    assert_int_equal(inlet_read(&inlet, pair[1]), 1);
    int third = inlet.sets[0].fds[1];
    inlet_finish(&inlet);
    assert_false(is_open(third));
    inlet_close_set(&first);
    inlet_close_set(&second);
    close(a);
    close(b);
}

/* No room for descriptors: the set is there and says so, and the next one is whole again. */
static void test_no_room(void **state)
{
    struct inlet inlet = {0};
    struct inlet_set set;
    struct rlimit limit, low;
    (void)state;
    getrlimit(RLIMIT_NOFILE, &limit);
    int a = open("/dev/null", O_RDONLY | O_CLOEXEC);
    send_with("one", 3, a);
    send_with("two", 3, a);
    low = limit;
    low.rlim_cur = (rlim_t)a + 2; /* one of three fits */
    setrlimit(RLIMIT_NOFILE, &low);
    assert_int_equal(inlet_read(&inlet, pair[1]), 1);
    setrlimit(RLIMIT_NOFILE, &limit);
    assert_int_equal(fcntl(a + 1, F_GETFD), -1); /* it was not kept */
    assert_int_equal(inlet_read(&inlet, pair[1]), 1);
    assert_true(inlet_take_set(&inlet, &set));
    assert_int_equal(set.fds[0], -1);
    assert_true(inlet_take_set(&inlet, &set));
    assert_true(is_open(set.fds[0]));
    inlet_close_set(&set);
    inlet_finish(&inlet);
    close(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round),
        cmocka_unit_test(test_wrong_length),
        cmocka_unit_test(test_wrong_content),
        cmocka_unit_test(test_too_large),
        cmocka_unit_test_setup_teardown(test_pieces, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_sets, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_room, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
