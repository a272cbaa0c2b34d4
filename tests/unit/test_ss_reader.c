/*
 * Reading .ss files: from anywhere, while they grow, shrink, go, appear; damage.
 */
#include "ss_file_fixture.h"

#include "base/bytes.h"

/* --- what exists ------------------------------------------------------------------------------ */

static void test_fixtures(void **state)
{
    (void)state;
    static const struct {
        const char *file;
        size_t messages, beacons;
        int end;
        uint64_t rest;
    } cases[] = {{"basic.ss", 10, 0, ERR_END, 0},         {"empty.ss", 0, 0, ERR_END, 0},        {"empty-eos.ss", 1, 0, ERR_END, 0},
                 {"ended-1k.ss", 41, 2, ERR_END, 0},      {"multi-1k.ss", 91, 6, ERR_END, 0},    {"truncated-payload.ss", 11, 0, ERR_END, 1},
                 {"flipped-payload.ss", 6, 0, ERR_DAMAGED, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char path[128];
        struct ss_reader *r;
        struct ss_message m;
        struct err err = ERR_INIT;
        size_t messages = 0, beacons = 0;
        int rc;
        snprintf(path, sizeof path, FIXTURES "%s", cases[i].file);
        struct ss_reader_options o = {.from = SS_FROM_START, .want_beacons = true};
        assert_int_equal(ss_reader_open(&r, path, &o, &err), 0);
        while ((rc = ss_reader_next(r, &m, &err)) == 0) {
            messages++;
            if (ss_reader_beacon(r))
                beacons++;
            assert_null(ss_reader_beacon(r));
        }
        assert_int_equal(rc, cases[i].end);
        assert_int_equal(messages, cases[i].messages);
        assert_int_equal(beacons, cases[i].beacons);
        assert_int_equal(ss_reader_rest(r) > 0, cases[i].rest);
        assert_int_equal(ss_reader_fd(r), -1);
        ss_reader_close(r);
    }
}

static int open_code(const char *path, struct ss_reader_options o)
{
    struct ss_reader *r = NULL;
    struct err err = ERR_INIT;
    int rc = ss_reader_open(&r, path, &o, &err);
    assert_true(rc == 0 || err.code == rc);
    ss_reader_close(r);
    return rc;
}

static void test_how_to_open(void **state)
{
    struct ss_dir *d = *state;
    char far[300];
    snprintf(far, sizeof far, "%s/none/log.ss", d->dir);
    assert_int_equal(open_code(d->path, (struct ss_reader_options){.follow = true}), -ENOENT);
    assert_int_equal(open_code(d->path, (struct ss_reader_options){.wait = true}), -ENOENT);
    assert_int_equal(open_code(d->path, (struct ss_reader_options){.follow = true, .wait = true}), 0);
    assert_int_equal(open_code(d->path, (struct ss_reader_options){.from = SS_FROM_SEQ, .follow = true, .wait = true}), ERR_RANGE);
    assert_int_equal(open_code(far, (struct ss_reader_options){.follow = true, .wait = true}), -ENOENT);
    assert_int_equal(open_code(d->dir, (struct ss_reader_options){.follow = true}), ERR_INVALID);
    assert_int_equal(open_code(FIXTURES "basic.ss", (struct ss_reader_options){.from = SS_FROM_END}), ERR_INVALID);
    assert_int_equal(open_code(FIXTURES "bad-magic.ss", (struct ss_reader_options){.from = SS_FROM_START}), ERR_FORMAT);
    ss_set(d->path, "Ss", 2);
    assert_int_equal(open_code(d->path, (struct ss_reader_options){.follow = true}), ERR_FORMAT);
    assert_int_equal(open_code(FIXTURES "basic.ss", (struct ss_reader_options){.from = SS_FROM_OFFSET, .value = 127}), ERR_RANGE);
    assert_int_equal(open_code(FIXTURES "basic.ss", (struct ss_reader_options){.from = SS_FROM_OFFSET, .value = 1 << 20}), ERR_RANGE);
}

static struct ss_reader *open_from(enum ss_from from, uint64_t value)
{
    struct ss_reader_options o = {.from = from, .value = value, .key = span_str("hello"), .has_shard = true};
    struct ss_reader *r = NULL;
    struct err err = ERR_INIT;
    if (ss_reader_open(&r, FIXTURES "ended-1k.ss", &o, &err) != 0)
        fail_msg("%s", err.text);
    return r;
}

static void test_places(void **state)
{
    (void)state;
    struct ss_reader *r = open_from(SS_FROM_SEQ, 20);
    ss_next(r, "hello", 20, "{\"tick\": 20}");
    uint64_t offset = ss_reader_offset(r);
    ss_reader_close(r);
    r = open_from(SS_FROM_OFFSET, offset);
    ss_next(r, "hello", 21, "{\"tick\": 21}");
    struct ss_target target = {.key = span_str("hello"), .value = 999};
    assert_int_equal(ss_reader_seek(r, &target, NULL), ERR_RANGE);
    ss_next(r, "hello", 22, "{\"tick\": 22}"); /* it is where it was */
    target.value = 1;
    assert_int_equal(ss_reader_seek(r, &target, NULL), 0);
    ss_next(r, "hello", 1, "{\"tick\": 1}");
    ss_reader_close(r);
    r = open_from(SS_FROM_TIME, 1700000020000);
    ss_next(r, "hello", 21, "{\"tick\": 21}");
    while (ss_next_code(r) == 0)
        ;
    assert_int_equal(ss_next_code(r), ERR_END);
    assert_int_equal(ss_reader_seek(r, &target, NULL), 0); /* also behind its end */
    ss_next(r, "hello", 1, "{\"tick\": 1}");
    ss_reader_close(r);
    assert_int_equal(open_code(FIXTURES "ended-1k.ss", (struct ss_reader_options){.from = SS_FROM_SEQ, .key = span_str("hello"), .value = 999}),
                     ERR_RANGE);
    r = ss_read(FIXTURES "ended-1k.ss", SS_FROM_END, true); /* what is there to wait for has come */
    ss_next(r, SS_KEY_INTERNAL, 0, "EOS");
    assert_int_equal(ss_next_code(r), ERR_END);
    ss_reader_close(r);
}

/* --- following -------------------------------------------------------------------------------- */

static void test_growth(void **state)
{
    struct ss_dir *d = *state;
    struct ss_writer *w = ss_write(d->path, 1024);
    ss_put(w, "k", "before");
    ss_flush(w, false);
    struct ss_reader *all = ss_read(d->path, SS_FROM_START, true), *late = ss_read(d->path, SS_FROM_END, true);
    ss_next(all, "k", 1, "before");
    for (int i = 2; i < 100; i++) {
        assert_int_equal(ss_next_code(all), -EAGAIN);
        assert_int_equal(ss_next_code(late), -EAGAIN);
        assert_false(ss_told(all, 0));
        ss_put(w, "k", "more");
        ss_flush(w, false);
        assert_true(ss_told(all, 1000));
        assert_true(ss_told(late, 1000));
        ss_next(all, "k", (uint64_t)i, "more");
        ss_next(late, "k", (uint64_t)i, "more");
    }
    assert_int_equal(ss_writer_end(w, NULL), 0);
    ss_next(all, SS_KEY_INTERNAL, 0, "EOS");
    assert_int_equal(ss_next_code(all), ERR_END);
    ss_writer_close(w);
    ss_reader_close(all);
    ss_reader_close(late);
}

/* A file that grows byte by byte gives each message when its last byte is there. */
static void test_growth_by_bytes(void **state)
{
    struct ss_dir *d = *state;
    CLEAN_BUF bytes = BUF_INIT;
    struct ss_message m;
    struct err err = ERR_INIT;
    ss_get(&bytes, FIXTURES "multi-1k.ss");
    struct ss_reader *whole = ss_read(FIXTURES "multi-1k.ss", SS_FROM_START, false);
    struct ss_reader_options o = {.follow = true, .wait = true};
    struct ss_reader *r;
    ss_set(d->path, bytes.ptr, 0);
    assert_int_equal(ss_reader_open(&r, d->path, &o, &err), 0);
    assert_null(ss_reader_header(r));
    CLEAN_FD int fd = open(d->path, O_WRONLY | O_APPEND | O_CLOEXEC);
    uint64_t next = 0;
    for (size_t i = 0; i < bytes.len; i++) {
        if (i + 1 >= SS_HEADER_SIZE && next <= i) {
            assert_int_equal(ss_next_code(r), -EAGAIN);
            next = ss_reader_next(whole, &m, NULL) == 0 ? ss_reader_offset(whole) : UINT64_MAX;
        }
        assert_int_equal(write(fd, bytes.ptr + i, 1), 1);
        assert_true(ss_told(r, 1000));
        if (i + 1 != next) {
            assert_int_equal(ss_next_code(r), -EAGAIN);
            continue;
        }
        struct ss_message same;
        assert_int_equal(ss_reader_next(r, &same, &err), 0);
        assert_true(span_eq(m.key, same.key) && m.seq == same.seq && span_eq(m.payload, same.payload));
        assert_int_equal(ss_reader_offset(r), next);
    }
    assert_int_equal(ss_next_code(r), ERR_END);
    ss_reader_close(whole);
    ss_reader_close(r);
}

/* What a writer left incomplete, and the next one took away, has no part in what comes in its place. */
static void test_other_bytes_in_place_of_torn_ones(void **state)
{
    struct ss_dir *d = *state;
    CLEAN_BUF bytes = BUF_INIT;
    struct ss_writer *w = ss_write(d->path, 1024);
    ss_put(w, "k", "one");
    ss_flush(w, false);
    uint64_t first = ss_size(d->path);
    ss_put(w, "alpha", "this message is long, and most of it never reaches the file, so that a length is known which is not the new one's");
    ss_flush(w, false);
    ss_writer_close(w);
    ss_get(&bytes, d->path);
    for (size_t torn = 1; torn < bytes.len - first; torn += 9) {
        ss_set(d->path, bytes.ptr, first + torn);
        struct ss_reader *r = ss_read(d->path, SS_FROM_START, true);
        ss_next(r, "k", 1, "one");
        assert_int_equal(ss_next_code(r), -EAGAIN);
        w = ss_write(d->path, 0);
        if (torn % 2 == 0) /* the reader may look in between, or not */
            assert_int_equal(ss_next_code(r), -EAGAIN);
        ss_put(w, "gamma", "short");
        ss_flush(w, false);
        assert_true(ss_told(r, 1000));
        ss_next(r, "gamma", 1, "short");
        assert_int_equal(ss_next_code(r), -EAGAIN);
        ss_writer_close(w);
        ss_reader_close(r);
    }
}

static void test_shorter(void **state)
{
    struct ss_dir *d = *state;
    for (int follow = 0; follow < 2; follow++) {
        struct err err = ERR_INIT;
        struct ss_message m;
        ss_copy_fixture(d, "basic.ss");
        struct ss_reader *r = ss_read(d->path, SS_FROM_START, follow);
        for (int i = 0; i < 10; i++)
            assert_int_equal(ss_next_code(r), 0);
        assert_int_equal(truncate(d->path, 200), 0);
        assert_int_equal(ss_reader_next(r, &m, &err), ERR_CUT);
        assert_non_null(strstr(err.text, "became shorter"));
        ss_reader_close(r);
    }
}

/* Cut to nothing and written again up to beyond where the reader is, before it looks. */
static void test_written_anew(void **state)
{
    struct ss_dir *d = *state;
    CLEAN_BUF bytes = BUF_INIT;
    struct err err = ERR_INIT;
    struct ss_message m;
    ss_copy_fixture(d, "basic.ss");
    struct ss_reader *r = ss_read(d->path, SS_FROM_START, true);
    for (int i = 0; i < 10; i++)
        assert_int_equal(ss_next_code(r), 0);
    ss_get(&bytes, FIXTURES "large-1k.ss");
    ss_set(d->path, bytes.ptr, bytes.len);
    assert_int_equal(ss_reader_next(r, &m, &err), ERR_CUT);
    assert_non_null(strstr(err.text, "written anew"));
    ss_reader_close(r);
}

static void expect_removed(struct ss_reader *r)
{
    struct err err = ERR_INIT;
    struct ss_message m;
    for (int i = 1; i <= 10; i++) {
        char text[32];
        snprintf(text, sizeof text, "message-%d", i);
        ss_next(r, "hello", (uint64_t)i, text);
    }
    assert_int_equal(ss_reader_next(r, &m, &err), ERR_END);
    assert_non_null(strstr(err.text, "File Removed"));
    assert_true(ss_reader_removed(r));
    ss_reader_close(r);
}

static void test_removed(void **state)
{
    struct ss_dir *d = *state;
    char other[300];
    snprintf(other, sizeof other, "%s/other", d->dir);
    ss_copy_fixture(d, "basic.ss");
    struct ss_reader *r = ss_read(d->path, SS_FROM_START, true);
    assert_int_equal(unlink(d->path), 0);
    expect_removed(r);

    ss_copy_fixture(d, "basic.ss");
    r = ss_read(d->path, SS_FROM_START, true);
    assert_int_equal(rename(d->path, other), 0);
    assert_true(ss_told(r, 1000));
    expect_removed(r);

    ss_copy_fixture(d, "basic.ss");
    r = ss_read(d->path, SS_FROM_START, true);
    assert_int_equal(rename(other, d->path), 0);
    expect_removed(r);

    /* Its attributes are no reason; neither is another name of it that goes. */
    ss_copy_fixture(d, "empty.ss");
    r = ss_read(d->path, SS_FROM_START, true);
    assert_int_equal(chmod(d->path, 0644) | link(d->path, other) | unlink(other), 0);
    assert_true(ss_told(r, 1000));
    assert_int_equal(ss_next_code(r), -EAGAIN);
    assert_int_equal(ss_next_code(r), -EAGAIN);
    /* What comes before it goes is still given. */
    struct ss_writer *w = ss_write(d->path, 0);
    ss_put(w, "k", "last words");
    ss_flush(w, false);
    assert_int_equal(unlink(d->path), 0);
    ss_next(r, "k", 1, "last words");
    assert_int_equal(ss_next_code(r), ERR_END);
    ss_writer_close(w);
    ss_reader_close(r);
}

static void test_appears(void **state)
{
    struct ss_dir *d = *state;
    struct err err = ERR_INIT;
    char other[300];
    snprintf(other, sizeof other, "%s/other", d->dir);
    for (int by_rename = 0; by_rename < 2; by_rename++) {
        struct ss_reader_options o = {.from = by_rename ? SS_FROM_END : SS_FROM_START, .follow = true, .wait = true};
        struct ss_reader *r;
        assert_int_equal(ss_reader_open(&r, d->path, &o, &err), 0);
        assert_null(ss_reader_header(r));
        assert_int_equal(ss_next_code(r), -EAGAIN);
        struct ss_writer *w = ss_write(by_rename ? other : d->path, 0);
        ss_put(w, "k", "one");
        ss_flush(w, false);
        if (by_rename)
            assert_int_equal(rename(other, d->path), 0);
        assert_true(ss_told(r, 1000));
        ss_next(r, "k", 1, "one");
        assert_int_equal(ss_next_code(r), -EAGAIN);
        ss_put(w, "k", "two");
        ss_flush(w, false);
        assert_true(ss_told(r, 1000));
        ss_next(r, "k", 2, "two");
        ss_writer_close(w);
        assert_int_equal(unlink(d->path), 0);
        assert_int_equal(ss_next_code(r), ERR_END);
        ss_reader_close(r);
    }
}

/* --- large messages, damage ------------------------------------------------------------------- */

static void test_large_messages(void **state)
{
    struct ss_dir *d = *state;
    enum { LEN = 5 * 1024 * 1024 + 17 };
    static const uint32_t intervals[] = {1024, 1024 * 1024};
    CLEAN_FREE uint8_t *payload = malloc(LEN);
    for (size_t i = 0; i < LEN; i++)
        payload[i] = (uint8_t)(i * 7 + (i >> 9));
    for (size_t i = 0; i < 2; i++) {
        struct err err = ERR_INIT;
        struct ss_message m = {.key = span_str("large"), .payload = span_of(payload, LEN)}, got;
        struct ss_writer *w = ss_write(d->path, intervals[i]);
        struct ss_reader *r = ss_read(d->path, SS_FROM_START, true);
        for (int k = 0; k < 3; k++) {
            ss_put(w, "small", "before");
            assert_int_equal(ss_writer_put(w, &m, true, &err), 0);
        }
        ss_flush(w, false);
        for (uint64_t k = 1; k <= 3; k++) {
            ss_next(r, "small", k, "before");
            assert_int_equal(ss_reader_next(r, &got, &err), 0);
            assert_int_equal(got.seq, k);
            assert_true(span_eq(got.payload, m.payload));
        }
        assert_int_equal(ss_next_code(r), -EAGAIN);
        ss_reader_close(r);
        ss_writer_close(w);
        assert_int_equal(unlink(d->path), 0);
    }
}

static void test_checksum(void **state)
{
    struct ss_dir *d = *state;
    for (int follow = 0; follow < 2; follow++) {
        CLEAN_BUF bytes = BUF_INIT;
        struct err err = ERR_INIT;
        struct ss_message m;
        ss_get(&bytes, FIXTURES "basic.ss");
        bytes.ptr[SS_HEADER_SIZE + 3 * 46 + 34] ^= 0x10; /* in the payload of the fourth of 46 bytes each */
        ss_set(d->path, bytes.ptr, bytes.len);
        struct ss_reader *r = ss_read(d->path, SS_FROM_START, follow);
        for (uint64_t i = 1; i <= 3; i++)
            assert_int_equal(ss_next_code(r), 0);
        assert_int_equal(ss_reader_next(r, &m, &err), ERR_DAMAGED);
        assert_non_null(strstr(err.text, "offset 266"));
        assert_non_null(strstr(err.text, "checksum"));
        ss_next(r, "hello", 5, "message-5"); /* it goes on behind it */
        ss_reader_close(r);
    }
}

/* While it is followed, what looks damaged may have been read in the middle of a change. */
static void test_looks_twice(void **state)
{
    struct ss_dir *d = *state;
    CLEAN_BUF bytes = BUF_INIT;
    ss_get(&bytes, FIXTURES "basic.ss");
    bytes.ptr[SS_HEADER_SIZE + 46 + 34] ^= 0x10;
    ss_set(d->path, bytes.ptr, bytes.len);
    struct ss_reader *r = ss_read(d->path, SS_FROM_START, true);
    ss_next(r, "hello", 1, "message-1"); /* more than this was read */
    CLEAN_FD int fd = open(d->path, O_WRONLY | O_CLOEXEC);
    bytes.ptr[SS_HEADER_SIZE + 46 + 34] ^= 0x10;
    assert_int_equal(pwrite(fd, bytes.ptr, bytes.len, 0), bytes.len);
    for (uint64_t i = 2; i <= 10; i++)
        assert_int_equal(ss_next_code(r), 0);
    assert_int_equal(ss_next_code(r), -EAGAIN);
    ss_reader_close(r);
}

/* A damaged length that points behind the file is no incomplete message: what follows would be lost silently. */
static void test_wrong_length(void **state)
{
    struct ss_dir *d = *state;
    for (int follow = 0; follow < 2; follow++) {
        CLEAN_BUF bytes = BUF_INIT;
        struct err err = ERR_INIT;
        struct ss_message m;
        ss_get(&bytes, FIXTURES "ended-1k.ss");
        bytes.ptr[SS_HEADER_SIZE + 3 * 48 + 30] = 0x40; /* highest byte of the fourth's length */
        ss_set(d->path, bytes.ptr, bytes.len);
        struct ss_reader *r = ss_read(d->path, SS_FROM_START, follow);
        for (uint64_t i = 1; i <= 3; i++)
            assert_int_equal(ss_next_code(r), 0);
        for (int i = 0; i < 2; i++) {
            assert_int_equal(ss_reader_next(r, &m, &err), ERR_FORMAT);
            assert_non_null(strstr(err.text, "offset 272"));
        }
        ss_reader_close(r);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, ss_dir_setup, ss_dir_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_fixtures),
        TEST(test_how_to_open),
        TEST(test_places),
        TEST(test_growth),
        TEST(test_growth_by_bytes),
        TEST(test_other_bytes_in_place_of_torn_ones),
        TEST(test_shorter),
        TEST(test_written_anew),
        TEST(test_removed),
        TEST(test_appears),
        TEST(test_large_messages),
        TEST(test_checksum),
        TEST(test_looks_twice),
        TEST(test_wrong_length),
    };
    /* A reader that waits for ever is a failure, not a hung build. */
    alarm(60);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
