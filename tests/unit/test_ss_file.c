/*
 * Writing .ss files: opening, going on, locks, limits, no room, failed syncs.
 */
#include "ss_file_fixture.h"

#include <signal.h>
#include <sys/resource.h>

/* --- opening ---------------------------------------------------------------------------------- */

static void test_new_file(void **state)
{
    struct ss_dir *d = *state;
    struct ss_writer *w = ss_write(d->path, 0);
    assert_int_equal(ss_size(d->path), SS_HEADER_SIZE);
    assert_int_equal(ss_put(w, "a", "one"), 1);
    assert_int_equal(ss_put(w, "b", "two"), 1);
    assert_int_equal(ss_put(w, "a", ""), 2);
    ss_flush(w, true);
    bool was_end = true;
    assert_int_equal(ss_writer_cut(w, &was_end), 0);
    assert_false(was_end);
    ss_writer_close(w);
    struct ss_reader *r = ss_read(d->path, SS_FROM_START, false);
    const struct ss_header *h = ss_reader_header(r);
    assert_string_equal(h->name, "log.ss");
    assert_int_equal(h->interval, SS_INTERVAL_DEFAULT);
    assert_true(h->created_ms > 1700000000000);
    ss_next(r, "a", 1, "one");
    ss_next(r, "b", 1, "two");
    ss_next(r, "a", 2, "");
    assert_int_equal(ss_next_code(r), ERR_END);
    assert_int_equal(ss_reader_rest(r), 0);
    ss_reader_close(r);
}

static void test_names(void **state)
{
    struct ss_dir *d = *state;
    char path[512], name[240] = "";
    for (int i = 0; i < 100; i++)
        strcat(name, "é");
    snprintf(path, sizeof path, "%s/%s", d->dir, name);
    ss_writer_close(ss_write(path, 0));
    struct ss_reader *r = ss_read(path, SS_FROM_START, false);
    assert_int_equal(ss_reader_header(r)->name_len, 110);
    assert_memory_equal(ss_reader_header(r)->name, name, 110);
    ss_reader_close(r);
    snprintf(path, sizeof path, "%s/a\xff b", d->dir);
    ss_writer_close(ss_write(path, 0));
    r = ss_read(path, SS_FROM_START, false);
    assert_string_equal(ss_reader_header(r)->name, "a_ b");
    ss_reader_close(r);
}

static int open_code(const char *path, struct ss_writer_options o)
{
    struct ss_writer *w = NULL;
    struct err err = ERR_INIT;
    int rc = ss_writer_open(&w, path, &o, &err);
    assert_true(rc == 0 || (err.code == rc && strstr(err.text, path)) || rc == ERR_INVALID);
    ss_writer_close(w);
    return rc;
}

static void test_how_to_open(void **state)
{
    struct ss_dir *d = *state;
    assert_int_equal(open_code(d->path, (struct ss_writer_options){.must_exist = true}), -ENOENT);
    assert_int_equal(open_code(d->path, (struct ss_writer_options){.interval = 127}), ERR_INVALID);
    assert_int_equal(access(d->path, F_OK), -1); /* nothing is left of that */
    assert_int_equal(open_code(d->path, (struct ss_writer_options){.must_be_new = true}), 0);
    assert_int_equal(open_code(d->path, (struct ss_writer_options){.must_be_new = true}), -EEXIST);
    assert_int_equal(open_code(d->path, (struct ss_writer_options){.must_exist = true}), 0);
    assert_int_equal(open_code(d->dir, (struct ss_writer_options){.must_exist = true}), ERR_INVALID);
    assert_int_equal(open_code(d->dir, (struct ss_writer_options){.must_exist = false}), ERR_INVALID);
    assert_int_equal(unlink(d->path), 0);
    assert_int_equal(mkfifo(d->path, 0600), 0);
    assert_int_equal(open_code(d->path, (struct ss_writer_options){.must_exist = true}), ERR_INVALID);
    assert_int_equal(unlink(d->path), 0);
    assert_int_equal(symlink("elsewhere", d->path), 0); /* what it names is made */
    assert_int_equal(open_code(d->path, (struct ss_writer_options){.must_exist = true}), -ENOENT);
    assert_int_equal(open_code(d->path, (struct ss_writer_options){.interval = 0}), 0);
    assert_int_equal(ss_size(d->path), SS_HEADER_SIZE);
    assert_int_equal(unlink(d->path), 0);
    ss_set(d->path, "", 0); /* an empty file is as good as none */
    assert_int_equal(open_code(d->path, (struct ss_writer_options){.must_exist = true, .interval = 1024}), 0);
    assert_int_equal(ss_size(d->path), SS_HEADER_SIZE);
}

static void expect_untouched(struct ss_dir *d, const void *bytes, size_t len, int code)
{
    CLEAN_BUF now = BUF_INIT;
    ss_set(d->path, bytes, len);
    assert_int_equal(open_code(d->path, (struct ss_writer_options){.interval = 0}), code);
    ss_get(&now, d->path);
    assert_true(span_eq(buf_span(&now), span_of(bytes, len)));
}

static void test_no_ss_file(void **state)
{
    struct ss_dir *d = *state;
    CLEAN_BUF bytes = BUF_INIT;
    expect_untouched(d, "some notes", 10, ERR_FORMAT);
    expect_untouched(d, "Ss\x01\x00", 4, ERR_FORMAT);
    ss_get(&bytes, FIXTURES "bad-magic.ss");
    expect_untouched(d, bytes.ptr, bytes.len, ERR_FORMAT);
    ss_get(&bytes, FIXTURES "basic.ss");
    bytes.ptr[2] = 2; /* a version to come */
    expect_untouched(d, bytes.ptr, bytes.len, ERR_FORMAT);
    ss_get(&bytes, FIXTURES "basic.ss");
    bytes.ptr[SS_HEADER_SIZE + 34] ^= 4; /* in the payload of the first, and no beacon is behind it */
    expect_untouched(d, bytes.ptr, bytes.len, ERR_DAMAGED);
    ss_get(&bytes, FIXTURES "basic.ss");
    bytes.ptr[SS_HEADER_SIZE + 3 * 46 + 30] = 1; /* the fourth has a wrong length, and looks incomplete */
    expect_untouched(d, bytes.ptr, bytes.len, ERR_DAMAGED);
}

static void test_locked(void **state)
{
    struct ss_dir *d = *state;
    char other[300];
    struct ss_writer *w = ss_write(d->path, 0);
    assert_int_equal(open_code(d->path, (struct ss_writer_options){.must_exist = true}), ERR_LOCKED);
    snprintf(other, sizeof other, "%s/other", d->dir);
    ss_writer_close(ss_write(other, 0));
    assert_int_equal(rename(other, d->path), 0); /* it is another file now, which nobody writes */
    assert_int_equal(open_code(d->path, (struct ss_writer_options){.must_exist = true}), 0);
    ss_writer_close(w);
    assert_int_equal(open_code(d->path, (struct ss_writer_options){.must_exist = true}), 0);
}

/* --- going on --------------------------------------------------------------------------------- */

static void fill(const char *path, uint32_t interval)
{
    char text[100];
    struct ss_writer *w = ss_write(path, interval);
    for (int i = 1; i <= 12; i++) {
        snprintf(text, sizeof text, "message %d %.*s", i, i * 5, "............................................................");
        ss_put(w, i % 3 ? "log" : "other", text);
    }
    ss_flush(w, false);
    ss_writer_close(w);
}

/* How many messages a file of `len` bytes has whole, how many of the stream "log", and where the last ends. */
static size_t whole(const char *path, uint64_t *log, uint64_t *end)
{
    struct ss_reader *r = ss_read(path, SS_FROM_START, false);
    struct ss_message m;
    size_t count = 0;
    *end = ss_reader_offset(r);
    *log = 0;
    while (ss_reader_next(r, &m, NULL) == 0) {
        count++;
        *end = ss_reader_offset(r);
        if (span_is(m.key, "log"))
            assert_int_equal(m.seq, ++*log);
    }
    ss_reader_close(r);
    return count;
}

static void cut_everywhere(struct ss_dir *d, uint32_t interval)
{
    CLEAN_BUF bytes = BUF_INIT, now = BUF_INIT;
    fill(d->path, interval);
    ss_get(&bytes, d->path);
    for (size_t cut = SS_HEADER_SIZE; cut <= bytes.len; cut++) {
        uint64_t log, end, log_now, end_now;
        ss_set(d->path, bytes.ptr, cut);
        size_t count = whole(d->path, &log, &end);
        struct ss_writer *w = ss_write(d->path, 4096);
        uint64_t gone = ss_writer_cut(w, NULL);
        assert_true(end <= cut - gone && cut - gone <= end + 64);
        assert_int_equal(ss_size(d->path), cut - gone);
        assert_int_equal(ss_put(w, "log", "the next"), log + 1);
        ss_flush(w, false);
        ss_writer_close(w);
        assert_int_equal(whole(d->path, &log_now, &end_now), count + 1);
        assert_int_equal(log_now, log + 1);
        assert_true(end_now == ss_size(d->path) || end_now % interval == 0);
        ss_get(&now, d->path);
        assert_memory_equal(now.ptr, bytes.ptr, end);
    }
}

static void test_goes_on_behind_the_last_whole_frame(void **state)
{
    struct ss_dir *d = *state;
    cut_everywhere(d, 1024);
    assert_int_equal(unlink(d->path), 0);
    cut_everywhere(d, 128);
    assert_int_equal(unlink(d->path), 0);
    cut_everywhere(d, 0);
}

static void test_end_mark(void **state)
{
    struct ss_dir *d = *state;
    struct err err = ERR_INIT;
    bool was_end = false;
    struct ss_message m = {.key = span_str("k"), .payload = span_str("late")};
    struct ss_writer *w = ss_write(d->path, 0);
    ss_put(w, "k", "first");
    assert_int_equal(ss_writer_end(w, &err), 0);
    assert_int_equal(ss_writer_end(w, &err), 0); /* once is enough */
    assert_int_equal(ss_writer_put(w, &m, true, &err), ERR_INVALID);
    ss_writer_close(w);
    uint64_t size = ss_size(d->path);
    w = ss_write(d->path, 0);
    assert_int_equal(ss_writer_cut(w, &was_end), 56);
    assert_true(was_end);
    assert_int_equal(ss_size(d->path), size - 56);
    assert_int_equal(ss_put(w, "k", "x"), 2);
    assert_int_equal(ss_writer_end(w, &err), 0);
    ss_writer_close(w);
    struct ss_reader *r = ss_read(d->path, SS_FROM_START, true);
    ss_next(r, "k", 1, "first");
    ss_next(r, "k", 2, "x");
    ss_next(r, SS_KEY_INTERNAL, 0, "EOS");
    assert_int_equal(ss_next_code(r), ERR_END);
    assert_int_equal(ss_next_code(r), ERR_END);
    ss_reader_close(r);
}

static void test_mark_as_message(void **state)
{
    struct ss_dir *d = *state;
    struct err err = ERR_INIT;
    struct ss_message m = {.key = span_str(SS_KEY_INTERNAL), .payload = span_str("EOS")};
    struct ss_writer *w = ss_write(d->path, 0);
    assert_int_equal(ss_writer_put(w, &m, true, &err), ERR_INVALID);
    m.payload = span_str("a signal");
    assert_int_equal(ss_writer_put(w, &m, true, &err), 0);
    m.key = span_str("no/key");
    assert_int_equal(ss_writer_put(w, &m, true, &err), ERR_INVALID);
    m = (struct ss_message){.key = span_str("k"), .time_ms = SS_TIME_MAX + 1};
    assert_int_equal(ss_writer_put(w, &m, true, &err), ERR_INVALID);
    m = (struct ss_message){.key = span_str("k"), .seq = UINT64_MAX, .time_ms = SS_TIME_MAX};
    assert_int_equal(ss_writer_put(w, &m, false, &err), 0);
    assert_int_equal(ss_writer_put(w, &m, true, &err), ERR_RANGE);
    ss_writer_close(w);
}

/* Files of the real writer go on. */
static void test_foreign_files(void **state)
{
    struct ss_dir *d = *state;
    static const struct {
        const char *file, *key;
        uint64_t seq;
        bool ended;
    } cases[] = {{"ended-1k.ss", "hello", 41, true},    {"appended-1k.ss", "log", 41, true}, {"appended-1k.ss", "other", 4, true},
                 {"basic.ss", "hello", 11, false},      {"empty.ss", "hello", 1, false},     {"empty-eos.ss", "hello", 1, true},
                 {"truncated-payload.ss", "new", 1, false}, {"boundary-1k.ss", "new", 1, false}, {"interval-128.ss", "new", 1, false},
                 {"large-1k.ss", "new", 1, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bool ended;
        uint64_t log, end;
        ss_copy_fixture(d, cases[i].file);
        size_t before = whole(d->path, &log, &end);
        struct ss_writer *w = ss_write(d->path, 4096);
        ss_writer_cut(w, &ended);
        if (cases[i].key[0] != 'n')
            assert_int_equal(ended, cases[i].ended);
        assert_int_equal(ss_put(w, cases[i].key, "more"), cases[i].seq);
        ss_flush(w, false);
        ss_writer_close(w);
        assert_int_equal(whole(d->path, &log, &end), before + 1 - (ended ? 1 : 0));
    }
    ss_copy_fixture(d, "flipped-payload.ss"); /* the damage is far before its end */
    struct ss_writer *w = ss_write(d->path, 0);
    assert_int_equal(ss_put(w, "hello", "more"), 41);
    ss_writer_close(w);
}

/* Some writers, having found no beacon, go on behind the end mark: those messages are not to be lost. */
static void test_messages_behind_the_mark(void **state)
{
    struct ss_dir *d = *state;
    CLEAN_BUF bytes = BUF_INIT, more = BUF_INIT;
    ss_get(&bytes, FIXTURES "empty-eos.ss");
    ss_get(&more, FIXTURES "basic.ss");
    assert_int_equal(buf_add(&bytes, more.ptr + SS_HEADER_SIZE, 49), 0);
    expect_untouched(d, bytes.ptr, bytes.len, ERR_DAMAGED);
    bytes.len -= 10; /* a piece of something is no message */
    ss_set(d->path, bytes.ptr, bytes.len);
    assert_int_equal(open_code(d->path, (struct ss_writer_options){.must_exist = true}), 0);
    assert_int_equal(ss_size(d->path), SS_HEADER_SIZE);
}

/* How much of a file is read to go on with it does not depend on its size. */
static void test_opening_reads_little(void **state)
{
    struct ss_dir *d = *state;
    enum { LEN = 200 * 1024 };
    CLEAN_FREE char *payload = calloc(1, LEN);
    memset(payload, 'x', LEN - 1);
    for (uint64_t count = 10, all = 0; count <= 160; count *= 4) {
        struct ss_writer *w = ss_write(d->path, 0);
        while (all < count)
            assert_int_equal(ss_put(w, "k", payload), ++all);
        ss_flush(w, false);
        ss_writer_close(w);
        uint64_t before = ss_bytes_read();
        w = ss_write(d->path, 0);
        assert_int_equal(ss_put(w, "k", "next"), count + 1);
        assert_true(ss_bytes_read() - before < 2 * SS_INTERVAL_DEFAULT);
        ss_writer_close(w);
    }
    assert_true(ss_size(d->path) > 30 * SS_INTERVAL_DEFAULT);
}

/* Nor how often it is read on how many streams are new in it. */
static void test_new_streams_read_it_few_times(void **state)
{
    struct ss_dir *d = *state;
    enum { LEN = 64 * 1024, COUNT = 48, STREAMS = 60 };
    CLEAN_FREE char *payload = calloc(1, LEN);
    char key[16];
    memset(payload, 'x', LEN - 1);
    struct ss_writer *w = ss_write(d->path, 0);
    for (int i = 0; i < COUNT; i++) {
        snprintf(key, sizeof key, "old%d", i % 8);
        ss_put(w, key, payload);
    }
    ss_flush(w, false);
    ss_writer_close(w);
    uint64_t size = ss_size(d->path), before = ss_bytes_read();
    w = ss_write(d->path, 0);
    for (int i = 0; i < STREAMS; i++) {
        snprintf(key, sizeof key, "new%d", i);
        assert_int_equal(ss_put(w, key, ""), 1);
    }
    for (int i = 0; i < 8; i++) {
        snprintf(key, sizeof key, "old%d", i);
        assert_int_equal(ss_put(w, key, ""), COUNT / 8 + 1);
    }
    assert_true(ss_bytes_read() - before < 5 * size);
    ss_flush(w, false);
    ss_writer_close(w);
}

/* --- limits and faults ------------------------------------------------------------------------ */

static void test_size_limit(void **state)
{
    struct ss_dir *d = *state;
    struct err err = ERR_INIT;
    struct ss_writer *w;
    struct ss_writer_options o = {.interval = 128, .size_limit = 1000};
    struct ss_message m = {.key = span_str("k"), .payload = span_str("0123456789012345678901234567890123456789")};
    assert_int_equal(ss_writer_open(&w, d->path, &o, &err), 0);
    uint64_t count = 0, log, end;
    int rc;
    while ((rc = ss_writer_put(w, &m, true, &err)) == 0)
        count++;
    assert_int_equal(rc, ERR_FULL);
    assert_non_null(strstr(err.text, "File Limit Exceeded"));
    ss_flush(w, true);
    assert_true(ss_size(d->path) <= 1000 && ss_size(d->path) > 850);
    m.payload = span_str("");
    while ((rc = ss_writer_put(w, &m, true, &err)) == 0)
        assert_int_equal(m.seq, ++count);
    assert_int_equal(rc, ERR_FULL);
    assert_int_equal(ss_writer_end(w, &err), ERR_FULL);
    ss_flush(w, true);
    ss_writer_close(w);
    assert_true(ss_size(d->path) <= 1000);
    assert_int_equal(whole(d->path, &log, &end), count);
}

static void limit_size(uint64_t bytes)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes ? bytes : limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* A write that finds no room leaves whole frames, and goes on when there is room; a reader that follows gets each message once. */
static void test_no_room(void **state)
{
    struct ss_dir *d = *state;
    struct err err = ERR_INIT;
    char text[64];
    uint64_t put = 0, got = 0, log, end;
    signal(SIGXFSZ, SIG_IGN);
    struct ss_writer *w = ss_write(d->path, 1024);
    struct ss_reader *r = ss_read(d->path, SS_FROM_START, true);
    for (uint64_t room = 500; room < 6000; room += 97) {
        limit_size(room);
        for (int i = 0; i < 5; i++) {
            snprintf(text, sizeof text, "message %" PRIu64, put + 1);
            assert_int_equal(ss_put(w, "log", text), ++put);
        }
        int rc = ss_writer_flush(w, false, &err);
        assert_true(rc == 0 || rc == -EFBIG);
        assert_true(ss_size(d->path) <= room);
        assert_true(rc == 0 || ss_size(d->path) + 150 > room); /* what found room stays */
        whole(d->path, &log, &end);
        assert_true(end == ss_size(d->path) || end % 1024 == 0);
        assert_true(rc == 0 ? log == put : log < put);
        for (; got < log; got++)
            assert_int_equal(ss_next_code(r), 0);
        assert_int_equal(ss_next_code(r), -EAGAIN);
    }
    limit_size(0);
    ss_flush(w, true);
    whole(d->path, &log, &end);
    assert_int_equal(log, put);
    for (; got < put; got++) {
        snprintf(text, sizeof text, "message %" PRIu64, got + 1);
        ss_next(r, "log", got + 1, text);
    }
    assert_int_equal(ss_next_code(r), -EAGAIN);
    ss_reader_close(r);
    ss_writer_close(w);
}

static int fail_with_eio(int fd)
{
    (void)fd;
    errno = EIO;
    return -1;
}

static void test_failed_sync(void **state)
{
    struct ss_dir *d = *state;
    struct err err = ERR_INIT;
    struct ss_message m = {.key = span_str("k"), .payload = span_str("late")};
    struct ss_writer *w = ss_write(d->path, 0);
    ss_put(w, "k", "first");
    ss_place_calls.fdatasync = fail_with_eio;
    assert_int_equal(ss_writer_flush(w, true, &err), -EIO);
    ss_place_calls = d->calls;
    assert_int_equal(ss_writer_flush(w, true, &err), ERR_UNAVAILABLE);
    assert_int_equal(ss_writer_put(w, &m, true, &err), ERR_UNAVAILABLE);
    assert_int_equal(ss_writer_end(w, &err), ERR_UNAVAILABLE);
    ss_writer_close(w);
    /* A file whose making failed is not left behind. */
    assert_int_equal(unlink(d->path), 0);
    ss_place_calls.fsync = fail_with_eio;
    assert_int_equal(open_code(d->path, (struct ss_writer_options){.interval = 0}), -EIO);
    assert_int_equal(access(d->path, F_OK), -1);
}

static ssize_t write_half(int fd, const void *bytes, size_t len, off_t offset)
{
    static bool half;
    half = !half;
    if (half)
        return pwrite(fd, bytes, len / 2, offset);
    errno = EIO;
    return -1;
}

static void test_failed_write(void **state)
{
    struct ss_dir *d = *state;
    struct err err = ERR_INIT;
    uint64_t log, end;
    struct ss_writer *w = ss_write(d->path, 0);
    for (int i = 0; i < 3; i++)
        ss_put(w, "log", "message");
    ss_flush(w, false);
    for (int i = 0; i < 3; i++)
        ss_put(w, "log", "message");
    ss_place_calls.pwrite = write_half;
    assert_int_equal(ss_writer_flush(w, false, &err), -EIO);
    ss_place_calls = d->calls;
    assert_int_equal(ss_writer_flush(w, false, &err), ERR_UNAVAILABLE);
    ss_writer_close(w);
    assert_int_equal(whole(d->path, &log, &end), 3);
    assert_int_equal(end, ss_size(d->path));
}

static void test_not_alone(void **state)
{
    struct ss_dir *d = *state;
    struct err err = ERR_INIT;
    struct ss_writer *w = ss_write(d->path, 0);
    ss_put(w, "k", "first");
    ss_flush(w, false);
    ss_add(d->path, "x", 1);
    ss_put(w, "k", "second");
    assert_int_equal(ss_writer_flush(w, false, &err), ERR_CONFLICT);
    assert_int_equal(ss_writer_flush(w, false, &err), ERR_UNAVAILABLE);
    ss_writer_close(w);
    assert_int_equal(unlink(d->path), 0);
    w = ss_write(d->path, 0);
    ss_put(w, "k", "first");
    assert_int_equal(unlink(d->path), 0);
    assert_int_equal(ss_writer_flush(w, true, &err), ERR_CONFLICT);
    ss_writer_close(w);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, ss_dir_setup, ss_dir_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_new_file),
        TEST(test_names),
        TEST(test_how_to_open),
        TEST(test_no_ss_file),
        TEST(test_locked),
        TEST(test_goes_on_behind_the_last_whole_frame),
        TEST(test_end_mark),
        TEST(test_mark_as_message),
        TEST(test_foreign_files),
        TEST(test_messages_behind_the_mark),
        TEST(test_opening_reads_little),
        TEST(test_new_streams_read_it_few_times),
        TEST(test_size_limit),
        TEST(test_no_room),
        TEST(test_failed_sync),
        TEST(test_failed_write),
        TEST(test_not_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
