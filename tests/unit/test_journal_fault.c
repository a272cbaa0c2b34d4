/*
 * The journal on a bad or full disk: every system call that can fail does, once or for ever.
 */
#include "journal_fixture.h"

#include <errno.h>

enum call { PWRITEV, PREAD, FALLOCATE, FDATASYNC, FSYNC };

/* The k-th matching call fails; with `forever` each one from then on. Counts down. */
static struct plan {
    enum call call;
    int errnum; /* 0 = short counts */
    int countdown;
    bool forever;
    bool full; /* what fstatvfs says */
    int hits;
} plan;

static bool hit(enum call call)
{
    if (call != plan.call || plan.countdown == 0)
        return false;
    if (--plan.countdown > 0)
        return false;
    plan.countdown = plan.forever ? 1 : 0;
    plan.hits++;
    return true;
}

static ssize_t bad_pwritev(int fd, const struct iovec *iov, int count, off_t offset)
{
    if (!hit(PWRITEV))
        return pwritev(fd, iov, count, offset);
    if (plan.errnum == 0) {
        struct iovec part = iov[0];
        part.iov_len = part.iov_len > 7 ? 7 : part.iov_len;
        return pwritev(fd, &part, 1, offset);
    }
    errno = plan.errnum;
    return -1;
}

static ssize_t bad_pread(int fd, void *buf, size_t len, off_t offset)
{
    if (!hit(PREAD))
        return pread(fd, buf, len, offset);
    if (plan.errnum == 0)
        return pread(fd, buf, len > 100 ? 100 : len, offset);
    errno = plan.errnum;
    return -1;
}

static int bad(enum call call, int rc)
{
    if (!hit(call))
        return rc;
    errno = plan.errnum;
    return -1;
}

static int bad_fallocate(int fd, int mode, off_t offset, off_t len)
{
    return bad(FALLOCATE, 0) != 0 ? -1 : fallocate(fd, mode, offset, len);
}

static int bad_fdatasync(int fd)
{
    return bad(FDATASYNC, 0) != 0 ? -1 : fdatasync(fd);
}

static int bad_fsync(int fd)
{
    return bad(FSYNC, 0) != 0 ? -1 : fsync(fd);
}

static int bad_fstatvfs(int fd, struct statvfs *out)
{
    int rc = fstatvfs(fd, out);
    if (plan.full)
        out->f_bavail = 0;
    return rc;
}

static void fault(enum call call, int errnum, int k, bool forever)
{
    plan = (struct plan){.call = call, .errnum = errnum, .countdown = k, .forever = forever};
    segment_calls = (struct segment_calls){bad_pwritev,   bad_pread, bad_fallocate,
                                           bad_fdatasync, bad_fsync, bad_fstatvfs};
}

static void no_fault(struct fixture *f)
{
    segment_calls = f->calls;
    plan = (struct plan){0};
}

/* One journal whose segment in use is full; the next append must make one. */
static void open_full_segment(struct fixture *f)
{
    f->options.segment_start = f->options.segment_max = 4096;
    fixture_open(f);
    fixture_append(f, 3000);
}

static void assert_no_unfinished(struct fixture *f)
{
    char names[64][64];
    int n = fixture_list(f, "", names, 64);
    for (int i = 0; i < n; i++)
        assert_false(segment_is_unfinished(names[i]));
}

/* --- no room ---------------------------------------------------------------------------------- */

static void check_full(struct fixture *f, enum call call, int errnum, int k)
{
    uint64_t last = fixture_stat(f).last;
    fault(call, errnum, k, true);
    plan.full = true;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(fixture_try_append(f, 3000), ERR_FULL);
        assert_non_null(strstr(f->err.text, "free disk space"));
    }
    assert_int_equal(f->engine->ops->prepare(f->engine, &f->err), ERR_FULL);
    assert_true(plan.hits > 0);
    assert_int_equal(fixture_stat(f).last, last);
    assert_int_equal(fixture_read(f, 1), last);
    assert_no_unfinished(f);
    fixture_append(f, 10); /* the one in use still has room */
    no_fault(f);
    fixture_append(f, 3000); /* room again, writes resume by themselves */
    fixture_reopen(f);
    assert_false(f->report.damaged);
    assert_int_equal(fixture_read(f, 1), last + 2);
}

static void test_a_full_disk_loses_nothing(void **state)
{
    struct fixture *f = *state;
    open_full_segment(f);
    check_full(f, FALLOCATE, ENOSPC, 1);
    check_full(f, FALLOCATE, EDQUOT, 1);
    fixture_append(f, 3000); /* a record with room behind it in each */
    fault(FALLOCATE, EOPNOTSUPP, 1, true);
    fixture_append(f, 3000); /* a file system without it */
    no_fault(f);
}

static void test_a_full_disk_found_while_zeros_are_written(void **state)
{
    struct fixture *f = *state;
    static const int errnums[] = {ENOSPC, EDQUOT, EIO};
    open_full_segment(f);
    for (int i = 0; i < 3; i++) {
        uint64_t last = fixture_stat(f).last;
        fault(PWRITEV, errnums[i], 1, false);
        plan.full = true;
        assert_int_equal(fixture_try_append(f, 3000), ERR_FULL);
        assert_int_equal(plan.hits, 1);
        fault(FSYNC, errnums[i], 1, false); /* of the file */
        plan.full = true;
        assert_int_equal(fixture_try_append(f, 3000), ERR_FULL);
        fault(FSYNC, errnums[i], 2, false); /* of the directory */
        plan.full = true;
        assert_int_equal(fixture_try_append(f, 3000), ERR_FULL);
        assert_no_unfinished(f);
        no_fault(f);
        fixture_append(f, 3000);
        fixture_reopen(f);
        assert_int_equal(fixture_read(f, 1), last + 1);
    }
}

/* EIO with room left is no full disk; the file that was being made is thrown away, so nothing is
 * lost. */
static void test_an_io_error_while_making_a_segment(void **state)
{
    struct fixture *f = *state;
    open_full_segment(f);
    fault(PWRITEV, EIO, 1, false);
    assert_int_equal(fixture_try_append(f, 3000), -EIO);
    assert_no_unfinished(f);
    no_fault(f);
    fixture_append(f, 3000);

    fault(FSYNC, EIO, 2, false); /* of the directory: no later one can be trusted */
    assert_int_equal(fixture_try_append(f, 3000), ERR_UNAVAILABLE);
    no_fault(f);
    assert_int_equal(fixture_try_append(f, 10), ERR_UNAVAILABLE);
    assert_non_null(strstr(f->err.text, "directory"));
    assert_int_equal(fixture_read(f, 1), 2);
    fixture_reopen(f);
    fixture_append(f, 3000);
    assert_int_equal(fixture_read(f, 1), 3);
}

/* --- fail stop -------------------------------------------------------------------------------- */

/* Call k of an append fails: unknown once, then refused for ever, and after a new open all is well.
 */
static void check_fail_stop(struct fixture *f, enum call call, int errnum)
{
    uint64_t last = fixture_stat(f).last;
    fault(call, errnum, 1, false);
    assert_int_equal(fixture_try_append(f, 100), ERR_UNKNOWN);
    assert_int_equal(plan.hits, 1);
    no_fault(f);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(fixture_try_append(f, 100), ERR_UNAVAILABLE);
        assert_non_null(strstr(f->err.text, strerror(errnum)));
    }
    assert_int_equal(fixture_stat(f).last, last);
    assert_int_equal(fixture_read(f, 1), last); /* reads go on */
    assert_int_equal(f->engine->ops->prepare(f->engine, &f->err), 0);
    fixture_reopen(f);
    assert_false(f->report.damaged);
    assert_true(fixture_stat(f).last == last || fixture_stat(f).last == last + 1);
    fixture_append(f, 100);
    assert_int_equal(fixture_read(f, 1), fixture_stat(f).last);
}

static void test_a_failed_write_stops_the_journal(void **state)
{
    struct fixture *f = *state;
    fixture_open(f);
    fixture_append(f, 100);
    check_fail_stop(f, PWRITEV, EIO);
    check_fail_stop(f, PWRITEV, ENOSPC); /* in a segment in use it is no ordinary full disk */
}

static void test_a_failed_sync_stops_the_journal(void **state)
{
    struct fixture *f = *state;
    fixture_open(f);
    fixture_append(f, 100);
    check_fail_stop(f, FDATASYNC, EIO);
    check_fail_stop(f, FDATASYNC, ENOSPC);
    check_fail_stop(f, FDATASYNC, EDQUOT);
}

/* A record whose sync failed may stand in memory only: the next open must write it anew before it
 * counts. */
static void test_open_makes_the_last_record_durable(void **state)
{
    struct fixture *f = *state;
    fixture_open(f);
    fixture_append(f, 100);
    fault(FDATASYNC, EIO, 1, false);
    assert_int_equal(fixture_try_append(f, 100), ERR_UNKNOWN);
    fixture_close(f);

    fault(FDATASYNC, EIO, 1, true);
    fixture_open(f);
    assert_int_equal(fixture_try_append(f, 100), ERR_UNAVAILABLE);
    fixture_close(f);
    fault(PWRITEV, EIO, 2, false); /* 1 is the header's */
    fixture_open(f);
    assert_int_equal(plan.hits, 1);
    assert_int_equal(fixture_try_append(f, 100), ERR_UNAVAILABLE);
    no_fault(f);
    fixture_reopen(f);
    fixture_append(f, 100);
    assert_int_equal(fixture_read(f, 1), 3);
}

static void test_short_counts_and_interrupts(void **state)
{
    struct fixture *f = *state;
    static const enum call calls[] = {PWRITEV, PREAD, FDATASYNC, FSYNC, FALLOCATE};
    f->options.segment_start = f->options.segment_max = 4096;
    fault(PWRITEV, 0, 1, true); /* never more than 7 bytes at once */
    fixture_open(f);
    for (int i = 0; i < 8; i++)
        fixture_append(f, 1001);
    fixture_reopen(f);
    assert_int_equal(fixture_read(f, 1), 8);
    fault(PREAD, 0, 2, true); /* never more than 100, the headers aside */
    assert_int_equal(fixture_read(f, 1), 8);
    for (int i = 0; i < 5; i++) {
        uint64_t last = fixture_stat(f).last;
        fault(calls[i], EINTR, 1, false);
        fixture_reopen(f);
        fault(calls[i], EINTR, 1, false);
        fixture_append(f, 3000);
        fixture_append(f, 3000);
        assert_int_equal(fixture_read(f, 1), last + 2);
        assert_int_equal(plan.hits, 1);
    }
    no_fault(f);
    fixture_reopen(f);
    assert_false(f->report.damaged);
}

/* --- every call in turn ----------------------------------------------------------------------- */

struct run {
    uint64_t acked;
    int unknown;
};

/* A little life of a journal. True when nothing in it failed. */
static bool live_once(struct fixture *f, struct run *run)
{
    bool clean = true;
    if (fixture_try_open(f) != 0)
        return false;
    clean = fixture_stat(f).last == run->acked;
    for (int i = 0; i < 12; i++) {
        int rc = fixture_try_append(f, i == 5 ? 9000 : 900);
        clean = clean && rc == 0;
        if (rc == 0)
            run->acked++;
        run->unknown += rc == ERR_UNKNOWN;
        if (i == 8)
            clean = f->engine->ops->prepare(f->engine, NULL) == 0 && clean;
        if (i == 9)
            f->engine->ops->release(f->engine, fixture_stat(f).last - 3);
    }
    fixture_close(f);
    return clean;
}

static void empty_directory(struct fixture *f)
{
    char names[64][64], path[512];
    int n = fixture_list(f, "", names, 64);
    for (int i = 0; i < n; i++) {
        fixture_file_path(f, path, names[i]);
        assert_int_equal(unlink(path), 0);
    }
}

static void check_after(struct fixture *f, const struct run *run)
{
    f->options.released = 0;
    if (run->acked > 4)
        f->options.released = run->acked - 4; /* at most what was released in the run */
    fixture_open(f);
    assert_false(f->report.damaged);
    uint64_t last = fixture_stat(f).last;
    assert_true(last >= run->acked);
    assert_true(last <= run->acked + (uint64_t)run->unknown);
    assert_int_equal(fixture_read(f, f->options.released + 1), last - f->options.released);
    fixture_append(f, 10);
    fixture_reopen(f);
    assert_int_equal(fixture_stat(f).last, last + 1);
    fixture_close(f);
    f->options.released = 0;
}

static void fail_every(struct fixture *f, enum call call, int errnum, bool forever)
{
    for (int k = 1; k < 300; k++) {
        struct run run = {0};
        fault(call, errnum, k, forever);
        bool clean = live_once(f, &run);
        int hits = plan.hits;
        no_fault(f);
        if (hits == 0) {
            assert_true(clean && k > 3);
            check_after(f, &run);
            empty_directory(f);
            return;
        }
        assert_false(clean);
        assert_true(run.unknown <= 1);
        check_after(f, &run);
        empty_directory(f);
    }
    fail_msg("no run ended untouched");
}

static void test_each_call_fails_in_turn(void **state)
{
    struct fixture *f = *state;
    f->options.segment_start = 4096;
    f->options.segment_max = 8192;
    static const enum call calls[] = {PWRITEV, FDATASYNC, FSYNC, FALLOCATE};
    fixture_open(f);
    fixture_close(f);
    for (int i = 0; i < 4; i++) {
        fail_every(f, calls[i], EIO, false);
        fail_every(f, calls[i], EIO, true);
        fail_every(f, calls[i], ENOSPC, false);
        fail_every(f, calls[i], ENOSPC, true);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(test_a_full_disk_loses_nothing),
        FIXTURE_TEST(test_a_full_disk_found_while_zeros_are_written),
        FIXTURE_TEST(test_an_io_error_while_making_a_segment),
        FIXTURE_TEST(test_a_failed_write_stops_the_journal),
        FIXTURE_TEST(test_a_failed_sync_stops_the_journal),
        FIXTURE_TEST(test_open_makes_the_last_record_durable),
        FIXTURE_TEST(test_short_counts_and_interrupts),
        FIXTURE_TEST(test_each_call_fails_in_turn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
