/*
 * Fails the first, second, third ... system call of a put or a read until one passes untouched. The
 * calls are replaced here, in the program, and reach the kernel by syscall().
 */
#include "cas_fixture.h"

#include <stdarg.h>
#include <sys/syscall.h>

static int countdown; /* the call that reaches 0 fails; negative: none */
static int fault;     /* its errno */
static const char *failed;
static char calls[4096]; /* the names of the calls, each followed by a blank */

static int failing(const char *name)
{
    size_t used = strlen(calls);
    snprintf(calls + used, sizeof(calls) - used, "%s ", name);
    if (countdown <= 0 || --countdown > 0)
        return 0;
    failed = name;
    errno = fault;
    return 1;
}

#define FAKE(name, params, ...)                                                                    \
    int name params;                                                                               \
    int name params                                                                                \
    {                                                                                              \
        return failing(#name) ? -1 : (int)syscall(__VA_ARGS__);                                    \
    }

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmissing-prototypes"
FAKE(fsync, (int fd), SYS_fsync, fd)
FAKE(fdatasync, (int fd), SYS_fdatasync, fd)
FAKE(mkdirat, (int fd, const char *path, mode_t mode), SYS_mkdirat, fd, path, mode)
FAKE(renameat, (int from, const char *a, int to, const char *b), SYS_renameat2, from, a, to, b, 0)
FAKE(sync_file_range, (int fd, off_t at, off_t len, unsigned flags), SYS_sync_file_range, fd, at,
     len, flags)

ssize_t pwrite(int fd, const void *buf, size_t len, off_t at)
{
    return failing("pwrite") ? -1 : syscall(SYS_pwrite64, fd, buf, len, at);
}

ssize_t pread(int fd, void *buf, size_t len, off_t at)
{
    return failing("pread") ? -1 : syscall(SYS_pread64, fd, buf, len, at);
}

ssize_t getrandom(void *buf, size_t len, unsigned flags)
{
    return failing("getrandom") ? -1 : syscall(SYS_getrandom, buf, len, flags);
}

int openat(int fd, const char *path, int flags, ...)
{
    va_list ap;
    va_start(ap, flags);
    mode_t mode = flags & O_CREAT ? va_arg(ap, mode_t) : 0;
    va_end(ap);
    return failing("openat") ? -1 : (int)syscall(SYS_openat, fd, path, flags, mode);
}
#pragma GCC diagnostic pop

static void inject(int k, int errnum)
{
    failed = NULL;
    fault = errnum;
    countdown = k;
}

/* A directory sync that failed makes the directory refuse puts until it is opened again. */
static void reopen(struct fixture *f)
{
    countdown = 0;
    cas_close(f->cas);
    assert_int_equal(cas_open(&f->cas, f->dirfd, "cas", NULL), 0);
}

static void walk_put(struct fixture *f, size_t len, int errnum)
{
    uint8_t *bytes = noise(len, 5);
    struct span all = span_of(bytes, len);
    int errors = 0;
    int k = 1;
    for (;; k++) {
        uint8_t digest[DIGEST_SIZE];
        uint8_t expected[DIGEST_SIZE];
        struct err err = ERR_INIT;
        assert_true(k < 5000);
        bytes[0] = (uint8_t)k; /* a new content, thus often new directories */
        bytes[1] = (uint8_t)(k >> 8);
        cas_digest(expected, all);
        inject(k, errnum);
        int rc = put_bytes(f->cas, all, 500000, digest, &err);
        countdown = 0;
        assert_int_equal(names_in(f->cas->tmp_fd), 0);
        if (rc < 0) {
            errors++;
            assert_int_equal(rc, errnum == ENOSPC ? ERR_FULL : -errnum);
            assert_int_equal(err.code, rc);
            assert_true(err.text[0] != '\0');
            assert_int_equal(f->cas->pins.count, 0);
        } else {
            cas_unpin(f->cas, digest);
            assert_int_equal(read_expect(f->cas, digest, all, 100000), 0);
        }
        if (!failed)
            break;
        reopen(f);
        if (cas_stat(f->cas, expected, NULL) == 0)
            assert_int_equal(read_expect(f->cas, expected, all, 100000), 0);
    }
    assert_true(errors > 5);
    free(bytes);
}

static void put_small(void **state)
{
    walk_put(*state, 1000, EIO);
}

static void put_large(void **state)
{
    walk_put(*state, 12 * CAS_SUM_MIN + 1, EIO);
}

static void put_full_disk(void **state)
{
    walk_put(*state, CAS_SUM_MIN + 1, ENOSPC);
}

/* The blob is there already: faults while it is proved only lead to its being replaced. */
static void put_again(void **state)
{
    struct fixture *f = *state;
    uint8_t *bytes = noise(CAS_SUM_MIN + 9, 6);
    struct span all = span_of(bytes, CAS_SUM_MIN + 9);
    uint8_t digest[DIGEST_SIZE];
    store(f->cas, all, digest);
    do {
        static int k;
        inject(++k, EIO);
        int rc = put_bytes(f->cas, all, 500000, digest, NULL);
        countdown = 0;
        if (rc == 0)
            cas_unpin(f->cas, digest);
        assert_int_equal(names_in(f->cas->tmp_fd), 0);
        assert_int_equal(read_expect(f->cas, digest, all, 100000), 0);
        reopen(f);
    } while (failed);
    free(bytes);
}

static void read_walk(void **state)
{
    struct fixture *f = *state;
    size_t len = CAS_SUM_MIN + 70000;
    uint8_t *bytes = noise(len, 7);
    struct span all = span_of(bytes, len);
    uint8_t digest[DIGEST_SIZE];
    char path[CAS_PATH_SIZE];
    store(f->cas, all, digest);
    cas_path(path, digest);
    for (int without_sums = 0; without_sums < 2; without_sums++) {
        int k = 0;
        do {
            if (without_sums)
                unlinkat(f->cas->sums_fd, path, 0);
            inject(++k, EIO);
            int rc = read_expect(f->cas, digest, all, 100000);
            countdown = 0;
            assert_true(rc == 0 || rc == -EIO);
            assert_int_equal(names_in(f->cas->tmp_fd), 0);
        } while (failed);
        assert_true(k > 5);
    }
    free(bytes);
}

/* A directory that could not be synced takes no more content, since a second sync proves nothing.
 */
static void failed_directory_sync_stops(void **state)
{
    struct fixture *f = *state;
    uint8_t digest[DIGEST_SIZE];
    struct err err = ERR_INIT;
    int k = 0;
    store(f->cas, span_str("before"), digest);
    do {
        assert_true(++k < 100);
        reopen(f);
        inject(k, EIO);
        put_bytes(f->cas, span_str("during"), 100, digest, &err);
        countdown = 0;
        assert_non_null(failed);
    } while (strcmp(failed, "fsync") != 0);
    assert_int_equal(put_bytes(f->cas, span_str("after"), 100, digest, &err), ERR_UNAVAILABLE);
    cas_digest(digest, span_str("before"));
    assert_int_equal(read_expect(f->cas, digest, span_str("before"), 100), 0);
    reopen(f);
    store(f->cas, span_str("after"), digest);
}

/* File before name, name before directory; the directory also when the blob was there. */
static void order_of_syncs(void **state)
{
    struct fixture *f = *state;
    uint8_t digest[DIGEST_SIZE];
    calls[0] = '\0';
    store(f->cas, span_str("ordered"), digest);
    /* The first two fsyncs are for the names of the two new directories. */
    assert_string_equal(calls, "getrandom openat pwrite mkdirat openat fsync mkdirat openat fsync "
                               "fdatasync renameat openat fsync ");
    calls[0] = '\0';
    store(f->cas, span_str("ordered"), digest);
    assert_string_equal(calls, "getrandom openat pwrite mkdirat mkdirat openat pread fdatasync "
                               "openat fsync ");
    reopen(f);
    calls[0] = '\0';
    store(f->cas, span_str("ordered"), digest);
    assert_string_equal(calls, "getrandom openat pwrite mkdirat openat fsync mkdirat openat fsync "
                               "openat pread fdatasync openat fsync ");
}

static void open_walk(void **state)
{
    struct fixture *f = *state;
    int k = 0;
    int rc;
    close(openat(f->cas->tmp_fd, "put-left", O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    cas_close(f->cas);
    f->cas = NULL;
    do {
        struct err err = ERR_INIT;
        inject(++k, EMFILE);
        rc = cas_open(&f->cas, f->dirfd, "cas", &err);
        countdown = 0;
        assert_true(rc == 0 || (rc == -EMFILE && !f->cas && err.code == rc));
    } while (rc < 0);
    assert_true(k > 10);
    assert_int_equal(names_in(f->cas->tmp_fd), 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, fixture_open, fixture_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(put_small),      CASE(put_large), CASE(put_full_disk),
        CASE(put_again),      CASE(read_walk), CASE(failed_directory_sync_stops),
        CASE(order_of_syncs), CASE(open_walk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
