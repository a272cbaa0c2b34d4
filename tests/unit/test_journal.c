/*
 * The journal as a log: append, read, release, segments that grow and are used anew, one writer
 * beside a preparing thread.
 */
#include "journal_fixture.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

static void test_records_come_back(void **state)
{
    struct fixture *f = *state;
    fixture_open(f);
    assert_int_equal(fixture_stat(f).last, 0);
    assert_int_equal(fixture_stat(f).first, 1);
    assert_int_equal(fixture_read(f, 1), 0);
    for (size_t len = 0; len < 40; len++)
        fixture_append(f, len);
    assert_int_equal(fixture_stat(f).last, 40);
    fixture_reopen(f);
    assert_false(f->report.damaged);
    assert_int_equal(fixture_stat(f).last, 40);
    assert_int_equal(fixture_stat(f).segments, 1);
    assert_int_equal(fixture_stat(f).bytes, 64 * 1024);
    assert_int_equal(fixture_read(f, 1), 40);
    assert_int_equal(fixture_read(f, 17), 24);
    assert_int_equal(fixture_read(f, 41), 0);
    fixture_append(f, 100);
    fixture_reopen(f);
    assert_int_equal(fixture_read(f, 1), 41);
}

static void test_directory_and_files_are_private(void **state)
{
    struct fixture *f = *state;
    char names[4][64], path[512];
    struct stat st;
    fixture_open(f);
    fixture_append(f, 1);
    fixture_file_path(f, path, "");
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    assert_int_equal(fixture_list(f, "", names, 4), 1);
    assert_string_equal(names[0], "0000000000000001.wj");
    fixture_file_path(f, path, names[0]);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(st.st_size, 64 * 1024);
    assert_true(st.st_blocks * 512 >= 64 * 1024); /* written, not a hole */
}

static void test_another_writer_is_noticed(void **state)
{
    struct fixture *f = *state;
    uint64_t number = 77;
    fixture_open(f);
    fixture_append(f, 8);
    assert_int_equal(f->engine->ops->append(f->engine, span_str("x"), 0, &number, &f->err),
                     ERR_CONDITION);
    assert_int_equal(number, 77);
    assert_int_equal(f->engine->ops->append(f->engine, span_str("x"), 2, &number, &f->err),
                     ERR_CONDITION);
    fixture_append(f, 8);
    assert_int_equal(
        f->engine->ops->append(f->engine, span_of("", (size_t)1 << 31), 2, &number, &f->err),
        ERR_TOO_LARGE);
    fixture_append(f, 8);
}

static int stop_at_three(void *arg, uint64_t number, struct span record)
{
    (void)record;
    *(uint64_t *)arg = number;
    return number == 3 ? -1234 : 0;
}

static void test_a_read_ends_when_told(void **state)
{
    struct fixture *f = *state;
    uint64_t seen = 0;
    fixture_open(f);
    for (int i = 0; i < 5; i++)
        fixture_append(f, 10);
    assert_int_equal(f->engine->ops->read(f->engine, 1, stop_at_three, &seen, &f->err), -1234);
    assert_int_equal(seen, 3);
}

static void test_segments_double(void **state)
{
    struct fixture *f = *state;
    f->options.segment_start = 4096;
    f->options.segment_max = 16384;
    fixture_open(f);
    for (int i = 0; i < 60; i++)
        fixture_append(f, 1000);
    /* 3 of 1 048 bytes fit the first, 7 the second, 15 each of the others. */
    struct engine_stat stat = fixture_stat(f);
    assert_int_equal(stat.segments, 6);
    assert_int_equal(stat.bytes, 4096 + 8192 + 4 * 16384);
    fixture_reopen(f);
    assert_int_equal(fixture_read(f, 1), 60);
    assert_int_equal(fixture_read(f, 12), 49);
}

static void test_a_large_record_gets_its_own_segment(void **state)
{
    struct fixture *f = *state;
    f->options.segment_start = 4096;
    f->options.segment_max = 16384;
    fixture_open(f);
    fixture_append(f, 10);
    fixture_append(f, 1000000);
    fixture_append(f, 10);
    fixture_append(f, 300000);
    fixture_reopen(f);
    assert_int_equal(fixture_read(f, 1), 4);
    f->engine->ops->release(f->engine, 3);
    assert_true(fixture_stat(f).bytes < 400000); /* the odd size is not kept as a spare */
    f->options.released = 3;
    fixture_reopen(f);
    assert_int_equal(fixture_read(f, 4), 1);
    fixture_append(f, 10);
}

static void test_release_keeps_what_is_needed(void **state)
{
    struct fixture *f = *state;
    f->options.segment_start = f->options.segment_max = 4096;
    fixture_open(f);
    for (int i = 0; i < 31; i++)
        fixture_append(f, 1000); /* 3 in each segment */
    assert_int_equal(fixture_stat(f).segments, 11);
    f->engine->ops->release(f->engine, 2);
    assert_int_equal(fixture_stat(f).first, 1);
    f->engine->ops->release(f->engine, 3);
    assert_int_equal(fixture_stat(f).first, 4);
    f->engine->ops->release(f->engine, 1); /* nothing steps back */
    f->engine->ops->release(f->engine, 20);
    assert_int_equal(fixture_stat(f).first, 19);
    assert_int_equal(fixture_stat(f).segments, 5 + 2); /* two spares at most */
    assert_int_equal(fixture_read(f, 19), 13);
    assert_int_equal(f->engine->ops->read(f->engine, 18, fixture_each, NULL, &f->err),
                     ERR_NOT_FOUND);
    f->engine->ops->release(f->engine, UINT64_MAX);
    assert_int_equal(fixture_stat(f).first, 31); /* the one in use stays */

    f->options.released = 31;
    fixture_reopen(f);
    assert_false(f->report.damaged);
    assert_int_equal(fixture_stat(f).last, 31);
    fixture_append(f, 1000);
    fixture_reopen(f);
    assert_int_equal(fixture_read(f, 32), 1);
}

static void test_released_segments_may_be_missing(void **state)
{
    struct fixture *f = *state;
    char name[64], path[512];
    f->options.segment_start = f->options.segment_max = 4096;
    fixture_open(f);
    for (int i = 0; i < 10; i++)
        fixture_append(f, 1000);
    fixture_close(f);
    for (uint64_t first = 1; first <= 4; first += 3) {
        fixture_segment_of(f, first, name);
        fixture_file_path(f, path, name);
        assert_int_equal(unlink(path), 0);
    }
    f->options.released = 7;
    fixture_open(f);
    assert_false(f->report.damaged);
    assert_int_equal(fixture_stat(f).first, 7);
    assert_int_equal(fixture_stat(f).last, 10);
    assert_int_equal(fixture_read(f, 8), 3);
}

static void test_the_whole_journal_may_be_missing(void **state)
{
    struct fixture *f = *state;
    f->options.released = 500;
    fixture_open(f);
    assert_false(f->report.damaged);
    assert_int_equal(fixture_stat(f).last, 500);
    assert_int_equal(fixture_stat(f).first, 501);
    fixture_append(f, 10);
    fixture_reopen(f);
    assert_int_equal(fixture_read(f, 501), 1);
}

static void test_a_journal_behind_the_index_goes_on_above_it(void **state)
{
    struct fixture *f = *state;
    fixture_open(f);
    for (int i = 0; i < 5; i++)
        fixture_append(f, 10);
    f->options.released = 9;
    fixture_reopen(f);
    assert_int_equal(fixture_stat(f).last, 9);
    fixture_append(f, 20);
    fixture_append(f, 20);
    fixture_reopen(f);
    assert_false(f->report.damaged);
    assert_int_equal(fixture_stat(f).last, 11);
    assert_int_equal(fixture_read(f, 10), 2);
}

static void test_an_idle_journal_keeps_one_file(void **state)
{
    struct fixture *f = *state;
    fixture_open(f);
    assert_int_equal(f->engine->ops->prepare(f->engine, &f->err), 0);
    assert_int_equal(fixture_stat(f).segments, 1);
    fixture_append(f, 10);
    assert_int_equal(f->engine->ops->prepare(f->engine, &f->err), 0);
    assert_int_equal(fixture_stat(f).segments, 1);
    fixture_append(f, 40000);
    assert_int_equal(f->engine->ops->prepare(f->engine, &f->err), 0);
    assert_int_equal(f->engine->ops->prepare(f->engine, &f->err), 0);
    assert_int_equal(fixture_stat(f).segments, 2);
    assert_int_equal(fixture_stat(f).bytes, 3 * 64 * 1024);
}

/* Small segments, released now and then, opened anew now and then: every segment is used many
 * times. */
static void test_twenty_thousand_records_over_recycled_segments(void **state)
{
    struct fixture *f = *state;
    f->options.segment_start = 4096;
    f->options.segment_max = 32768;
    fixture_open(f);
    for (int i = 1; i <= 20000; i++) {
        fixture_append(f, (size_t)(i % 60));
        if (i % 700 == 0)
            f->engine->ops->release(f->engine, (uint64_t)i - 100);
        if (i % 700 == 0)
            assert_int_equal(f->engine->ops->prepare(f->engine, &f->err), 0);
        if (i % 1900 == 0) {
            f->options.released = (uint64_t)i - 50;
            fixture_reopen(f);
            assert_false(f->report.damaged);
            assert_int_equal(fixture_stat(f).last, i);
            assert_int_equal(fixture_read(f, (uint64_t)i - 49), 50);
        }
    }
    f->options.released = 0;
    struct engine_stat stat = fixture_stat(f);
    assert_true(stat.first > 15000 && stat.segments < 12);
    assert_int_equal(fixture_read(f, stat.first), 20000 - stat.first + 1);
}

/* --- threads ---------------------------------------------------------------------------------- */

struct helper {
    struct engine *engine;
    atomic_bool stop;
    atomic_ullong last;
    int failed;
    uint64_t seen;
};

static void *prepare_and_release(void *arg)
{
    struct helper *h = arg;
    while (!atomic_load(&h->stop)) {
        struct engine_stat stat;
        if (h->engine->ops->prepare(h->engine, NULL) != 0)
            h->failed++;
        h->engine->ops->stat(h->engine, &stat);
        if (stat.last < h->seen || stat.first > stat.last + 1)
            h->failed++;
        h->seen = stat.last;
        if (stat.last > 50)
            h->engine->ops->release(h->engine, stat.last - 50);
    }
    return NULL;
}

static void test_prepare_and_release_beside_append(void **state)
{
    struct fixture *f = *state;
    pthread_t thread;
    f->options.segment_start = 4096;
    f->options.segment_max = 16384;
    fixture_open(f);
    struct helper helper = {.engine = f->engine};
    assert_int_equal(pthread_create(&thread, NULL, prepare_and_release, &helper), 0);
    for (int i = 0; i < 2000; i++)
        fixture_append(f, 200);
    atomic_store(&helper.stop, true);
    pthread_join(thread, NULL);
    assert_int_equal(helper.failed, 0);
    f->engine->ops->release(f->engine, 1950);
    assert_true(fixture_stat(f).segments < 8);
    f->options.released = 1950;
    fixture_reopen(f);
    assert_false(f->report.damaged);
    assert_int_equal(fixture_stat(f).last, 2000);
    assert_int_equal(fixture_read(f, 1951), 50);
}

/* --- descriptors ------------------------------------------------------------------------------ */

static int count_descriptors(bool *all_cloexec)
{
    int count = 0;
    *all_cloexec = true;
    for (int fd = 3; fd < 256; fd++) {
        int flags = fcntl(fd, F_GETFD);
        if (flags < 0)
            continue;
        count++;
        if (!(flags & FD_CLOEXEC))
            *all_cloexec = false;
    }
    return count;
}

static void test_descriptors_are_few_and_private(void **state)
{
    struct fixture *f = *state;
    bool before_private, cloexec;
    int before = count_descriptors(&before_private);
    f->options.segment_start = f->options.segment_max = 4096;
    fixture_open(f);
    for (int i = 0; i < 50; i++)
        fixture_append(f, 1000);
    assert_int_equal(fixture_read(f, 1), 50);
    assert_int_equal(count_descriptors(&cloexec), before + 2);
    assert_int_equal(cloexec, before_private);
    f->engine->ops->release(f->engine, 49);
    fixture_close(f);
    assert_int_equal(count_descriptors(&cloexec), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(test_records_come_back),
        FIXTURE_TEST(test_directory_and_files_are_private),
        FIXTURE_TEST(test_another_writer_is_noticed),
        FIXTURE_TEST(test_a_read_ends_when_told),
        FIXTURE_TEST(test_segments_double),
        FIXTURE_TEST(test_a_large_record_gets_its_own_segment),
        FIXTURE_TEST(test_release_keeps_what_is_needed),
        FIXTURE_TEST(test_released_segments_may_be_missing),
        FIXTURE_TEST(test_the_whole_journal_may_be_missing),
        FIXTURE_TEST(test_a_journal_behind_the_index_goes_on_above_it),
        FIXTURE_TEST(test_an_idle_journal_keeps_one_file),
        FIXTURE_TEST(test_twenty_thousand_records_over_recycled_segments),
        FIXTURE_TEST(test_prepare_and_release_beside_append),
        FIXTURE_TEST(test_descriptors_are_few_and_private),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
