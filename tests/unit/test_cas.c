#include "cas_fixture.h"

#include <pthread.h>

static const size_t sizes[] = {
    0,
    1,
    65535,
    65536,
    65537,
    131072,
    131073,
    CAS_SUM_MIN - 1,
    CAS_SUM_MIN,
    CAS_SUM_MIN + 1,
    CAS_SUM_MIN + 65535,
    CAS_SUM_MIN + 65536,
    CAS_SUM_MIN + 65537,
    9 * CAS_SUM_MIN + 7,
};
#define SIZE_COUNT (sizeof(sizes) / sizeof(sizes[0]))

static void known_digest(void **state)
{
    struct fixture *f = *state;
    uint8_t digest[DIGEST_SIZE];
    uint8_t whole[DIGEST_SIZE];
    char path[CAS_PATH_SIZE];
    store(f->cas, span_str("hello"), digest);
    cas_path(path, digest);
    assert_string_equal(path, "2c/f2/4dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824");
    cas_digest(whole, span_str("hello"));
    assert_memory_equal(whole, digest, DIGEST_SIZE);

    struct cas_hash *hash;
    assert_int_equal(cas_hash_begin(&hash), 0);
    cas_hash_add(hash, span_str("he"));
    cas_hash_add(hash, span_of(NULL, 0));
    cas_hash_add(hash, span_str("llo"));
    cas_hash_finish(hash, whole);
    assert_memory_equal(whole, digest, DIGEST_SIZE);
}

static void sizes_round_trip(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < SIZE_COUNT; i++) {
        static const size_t steps[] = {1000003, 65536, 77777};
        uint8_t *bytes = noise(sizes[i], i);
        struct span all = span_of(bytes, sizes[i]);
        uint8_t digest[DIGEST_SIZE];
        uint64_t size;
        struct err err = ERR_INIT;
        assert_int_equal(put_bytes(f->cas, all, steps[i % 3], digest, &err), 0);
        cas_unpin(f->cas, digest);
        uint8_t expected[DIGEST_SIZE];
        cas_digest(expected, all);
        assert_memory_equal(digest, expected, DIGEST_SIZE);
        assert_int_equal(cas_stat(f->cas, digest, &size), 0);
        assert_int_equal(size, sizes[i]);
        assert_int_equal(read_expect(f->cas, digest, all, 12345), 0);
        int sums = file_open(f->cas->sums_fd, digest);
        assert_int_equal(sums >= 0, sizes[i] > CAS_SUM_MIN);
        if (sums >= 0) {
            assert_int_equal(sums_file_check(sums, digest, sizes[i]), 0);
            close(sums);
        }
        free(bytes);
    }
    assert_int_equal(names_in(f->cas->tmp_fd), 0);
}

static void modes_are_private(void **state)
{
    struct fixture *f = *state;
    uint8_t digest[DIGEST_SIZE];
    char path[CAS_PATH_SIZE];
    struct stat st;
    store(f->cas, span_str("private"), digest);
    cas_path(path, digest);
    assert_int_equal(fstatat(f->cas->blobs_fd, path, &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    path[5] = '\0';
    assert_int_equal(fstatat(f->cas->blobs_fd, path, &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    assert_int_equal(fstatat(f->dirfd, "cas", &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
}

static void dedup_keeps_the_file(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < SIZE_COUNT; i++) {
        uint8_t *bytes = noise(sizes[i], i);
        uint8_t digest[DIGEST_SIZE];
        struct stat before, after;
        store(f->cas, span_of(bytes, sizes[i]), digest);
        int fd = file_open(f->cas->blobs_fd, digest);
        fstat(fd, &before);
        close(fd);
        store(f->cas, span_of(bytes, sizes[i]), digest);
        fd = file_open(f->cas->blobs_fd, digest);
        fstat(fd, &after);
        close(fd);
        assert_int_equal(before.st_ino, after.st_ino);
        free(bytes);
    }
    assert_int_equal(names_in(f->cas->tmp_fd), 0);
}

static void damaged_blob_is_replaced(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 1; i < SIZE_COUNT; i++) {
        for (int how = 0; how < 3; how++) {
            uint8_t *bytes = noise(sizes[i], i);
            struct span all = span_of(bytes, sizes[i]);
            uint8_t digest[DIGEST_SIZE];
            store(f->cas, all, digest);
            int fd = file_open(f->cas->blobs_fd, digest);
            if (how == 0)
                flip(fd, sizes[i] * 8 - 1);
            else
                assert_int_equal(ftruncate(fd, (off_t)sizes[i] + (how == 1 ? -1 : 1)), 0);
            close(fd);
            assert_int_equal(read_expect(f->cas, digest, all, 70000), ERR_DAMAGED);
            store(f->cas, all, digest);
            assert_int_equal(read_expect(f->cas, digest, all, 70000), 0);
            free(bytes);
        }
    }
}

static void truncated_is_damaged(void **state)
{
    struct fixture *f = *state;
    size_t len = 3 * CAS_SUM_MIN;
    uint8_t *bytes = noise(len, 9);
    for (size_t keep = 0; keep < len; keep += 250007) {
        uint8_t digest[DIGEST_SIZE];
        store(f->cas, span_of(bytes, len), digest);
        int fd = file_open(f->cas->blobs_fd, digest);
        assert_int_equal(ftruncate(fd, (off_t)keep), 0);
        close(fd);
        assert_int_equal(read_expect(f->cas, digest, span_of(bytes, len), 65536), ERR_DAMAGED);
    }
    free(bytes);
}

static void truncated_while_open(void **state)
{
    struct fixture *f = *state;
    size_t len = 2 * CAS_SUM_MIN;
    uint8_t *bytes = noise(len, 10);
    uint8_t digest[DIGEST_SIZE];
    uint8_t buf[100];
    size_t got = 77;
    struct cas_reader *reader;
    struct err err = ERR_INIT;
    store(f->cas, span_of(bytes, len), digest);
    assert_int_equal(cas_reader_open(f->cas, &reader, digest, &err), 0);
    int fd = file_open(f->cas->blobs_fd, digest);
    assert_int_equal(ftruncate(fd, 70000), 0);
    close(fd);
    assert_int_equal(cas_reader_read(reader, 10, buf, sizeof(buf), &got, &err), 0);
    assert_memory_equal(buf, bytes + 10, sizeof(buf));
    got = 77;
    assert_int_equal(cas_reader_read(reader, 65536, buf, sizeof(buf), &got, &err), ERR_DAMAGED);
    assert_int_equal(got, 77);
    assert_non_null(strstr(err.text, "sha256-"));
    cas_reader_close(reader);
    free(bytes);
}

/* Flips bits one at a time over the whole blob: an error, or the right bytes, never others. */
static void bit_flips(void **state)
{
    struct fixture *f = *state;
    static const size_t lens[] = {1, 65537, CAS_SUM_MIN, CAS_SUM_MIN + 70001};
    for (size_t i = 0; i < 4; i++) {
        uint8_t *bytes = noise(lens[i], i);
        struct span all = span_of(bytes, lens[i]);
        uint8_t digest[DIGEST_SIZE];
        store(f->cas, all, digest);
        int fd = file_open(f->cas->blobs_fd, digest);
        for (int k = 0; k < 60; k++) {
            uint64_t bit = (uint64_t)k * 2654435761U % (lens[i] * 8);
            flip(fd, bit);
            assert_int_equal(read_expect(f->cas, digest, all, 200000), ERR_DAMAGED);
            flip(fd, bit);
        }
        assert_int_equal(read_expect(f->cas, digest, all, 200000), 0);
        close(fd);
        free(bytes);
    }
}

static void odd_ranges(void **state)
{
    struct fixture *f = *state;
    static const size_t lens[] = {70001, CAS_SUM_MIN, CAS_SUM_MIN + 65536 + 3};
    for (size_t i = 0; i < 3; i++) {
        uint8_t *bytes = noise(lens[i], i);
        uint8_t *buf = malloc(300000);
        uint8_t digest[DIGEST_SIZE];
        struct cas_reader *reader;
        size_t got;
        store(f->cas, span_of(bytes, lens[i]), digest);
        assert_int_equal(cas_reader_open(f->cas, &reader, digest, NULL), 0);
        assert_int_equal(cas_reader_size(reader), lens[i]);
        for (uint64_t k = 0; k < 500; k++) {
            uint64_t at = k * 2654435761U % lens[i];
            size_t room = (size_t)(k * 40503U % 300000);
            size_t want = lens[i] - at < room ? (size_t)(lens[i] - at) : room;
            assert_int_equal(cas_reader_read(reader, at, buf, room, &got, NULL), 0);
            assert_int_equal(got, want);
            assert_memory_equal(buf, bytes + at, got);
        }
        assert_int_equal(cas_reader_read(reader, lens[i], buf, 10, &got, NULL), 0);
        assert_int_equal(got, 0);
        assert_int_equal(cas_reader_read(reader, UINT64_MAX, buf, 10, &got, NULL), 0);
        assert_int_equal(got, 0);
        cas_reader_close(reader);
        free(buf);
        free(bytes);
    }
}

static void absent_is_not_found(void **state)
{
    struct fixture *f = *state;
    uint8_t digest[DIGEST_SIZE] = {0xab, 0xcd};
    uint64_t size = 5;
    struct cas_reader *reader = NULL;
    struct err err = ERR_INIT;
    assert_int_equal(cas_stat(f->cas, digest, &size), ERR_NOT_FOUND);
    assert_int_equal(size, 5);
    assert_int_equal(cas_reader_open(f->cas, &reader, digest, &err), ERR_NOT_FOUND);
    assert_null(reader);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_int_equal(cas_remove(f->cas, digest, &err), 0);
}

static void drop_leaves_nothing(void **state)
{
    struct fixture *f = *state;
    uint8_t *bytes = noise(40 * CAS_SUM_MIN, 1);
    struct cas_put *put;
    assert_int_equal(cas_put_begin(f->cas, &put, NULL), 0);
    assert_int_equal(names_in(f->cas->tmp_fd), 1);
    /* Over 32 MiB, so that the sums have a temp file too. */
    assert_int_equal(cas_put_write(put, span_of(bytes, 40 * CAS_SUM_MIN), NULL), 0);
    assert_int_equal(names_in(f->cas->tmp_fd), 2);
    cas_put_drop(put);
    assert_int_equal(names_in(f->cas->tmp_fd), 0);
    assert_int_equal(names_in(f->cas->blobs_fd), 0);
    uint8_t digest[DIGEST_SIZE];
    store(f->cas, span_of(bytes, 40 * CAS_SUM_MIN), digest);
    assert_int_equal(read_expect(f->cas, digest, span_of(bytes, 40 * CAS_SUM_MIN), 1000000), 0);
    assert_int_equal(names_in(f->cas->tmp_fd), 0);
    cas_put_drop(NULL);
    free(bytes);
}

static void pins_hold_off_remove(void **state)
{
    struct fixture *f = *state;
    uint8_t *bytes = noise(2 * CAS_SUM_MIN, 3);
    struct span all = span_of(bytes, 2 * CAS_SUM_MIN);
    uint8_t digest[DIGEST_SIZE];
    struct err err = ERR_INIT;
    assert_int_equal(put_bytes(f->cas, all, 65536, digest, &err), 0);
    assert_int_equal(cas_remove(f->cas, digest, &err), -EBUSY);
    assert_int_equal(cas_pin(f->cas, digest), 0);
    cas_unpin(f->cas, digest);
    assert_int_equal(cas_remove(f->cas, digest, &err), -EBUSY);
    assert_int_equal(read_expect(f->cas, digest, all, 65536), 0);
    cas_unpin(f->cas, digest);
    assert_int_equal(cas_remove(f->cas, digest, &err), 0);
    assert_int_equal(cas_stat(f->cas, digest, NULL), ERR_NOT_FOUND);
    assert_int_equal(file_open(f->cas->sums_fd, digest), -1);
    free(bytes);
}

static void many_pins(void **state)
{
    struct pins pins = {0};
    uint8_t digest[DIGEST_SIZE];
    (void)state;
    for (int round = 0; round < 2; round++)
        for (uint32_t i = 0; i < 1000; i++) {
            cas_digest(digest, span_of(&i, sizeof(i)));
            assert_int_equal(pins_has(&pins, digest), round == 1);
            assert_int_equal(pins_add(&pins, digest), 0);
        }
    assert_int_equal(pins.count, 1000);
    for (int round = 0; round < 2; round++)
        for (uint32_t i = 0; i < 1000; i++) {
            cas_digest(digest, span_of(&i, sizeof(i)));
            pins_sub(&pins, digest);
            assert_int_equal(pins_has(&pins, digest), round == 0);
        }
    assert_int_equal(pins.count, 0);
    pins_finish(&pins);
}

struct worker {
    struct cas *cas;
    struct span all;
    int failures;
};

/* Puts, removes and reads the same content; while it holds its pin the content must be there. */
static void *work(void *arg)
{
    struct worker *w = arg;
    for (int i = 0; i < 12; i++) {
        struct cas_reader *reader;
        uint8_t digest[DIGEST_SIZE];
        uint8_t buf[1000];
        size_t got = 0;
        if (put_bytes(w->cas, w->all, 300000, digest, NULL) < 0) {
            w->failures++;
            continue;
        }
        if (cas_reader_open(w->cas, &reader, digest, NULL) < 0) {
            w->failures++;
        } else {
            w->failures += cas_reader_read(reader, w->all.len - 1000, buf, 1000, &got, NULL) < 0 ||
                           memcmp(buf, w->all.ptr + w->all.len - 1000, 1000) != 0;
            cas_reader_close(reader);
        }
        cas_unpin(w->cas, digest);
        int rc = cas_remove(w->cas, digest, NULL);
        w->failures += rc != 0 && rc != -EBUSY;
    }
    return NULL;
}

static void threads_put_the_same(void **state)
{
    struct fixture *f = *state;
    uint8_t *bytes = noise(CAS_SUM_MIN + 100000, 4);
    pthread_t threads[8];
    struct worker workers[8];
    for (int i = 0; i < 8; i++) {
        workers[i] = (struct worker){f->cas, span_of(bytes, CAS_SUM_MIN + 100000), 0};
        assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    }
    for (int i = 0; i < 8; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(workers[i].failures, 0);
    }
    assert_int_equal(names_in(f->cas->tmp_fd), 0);
    assert_int_equal(f->cas->pins.count, 0);
    free(bytes);
}

static void open_empties_tmp(void **state)
{
    struct fixture *f = *state;
    uint8_t digest[DIGEST_SIZE];
    store(f->cas, span_str("stays"), digest);
    for (int i = 0; i < 300; i++) {
        char name[32];
        snprintf(name, sizeof(name), "put-left-%d", i);
        close(openat(f->cas->tmp_fd, name, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    }
    assert_int_equal(names_in(f->cas->tmp_fd), 300);
    cas_close(f->cas);
    assert_int_equal(cas_open(&f->cas, f->dirfd, "cas", NULL), 0);
    assert_int_equal(names_in(f->cas->tmp_fd), 0);
    assert_int_equal(read_expect(f->cas, digest, span_str("stays"), 100), 0);
}

struct seen {
    struct cas *cas;
    size_t count;
    uint64_t bytes;
    uint64_t mtime_max;
    int stop_after;
};

static int look(void *arg, const uint8_t digest[static DIGEST_SIZE], uint64_t size,
                uint64_t mtime_ms)
{
    struct seen *seen = arg;
    uint64_t there;
    assert_int_equal(cas_stat(seen->cas, digest, &there), 0);
    assert_int_equal(there, size);
    seen->count++;
    seen->bytes += size;
    seen->mtime_max = mtime_ms > seen->mtime_max ? mtime_ms : seen->mtime_max;
    return seen->stop_after > 0 && --seen->stop_after == 0 ? 42 : 0;
}

static int look_and_remove(void *arg, const uint8_t digest[static DIGEST_SIZE], uint64_t size,
                           uint64_t mtime_ms)
{
    struct seen *seen = arg;
    look(arg, digest, size, mtime_ms);
    return cas_remove(seen->cas, digest, NULL);
}

/* What nothing names is kept for a while from the last time it was put. */
static void putting_again_renews(void **state)
{
    struct fixture *f = *state;
    uint8_t digest[DIGEST_SIZE];
    char path[CAS_PATH_SIZE];
    const struct timespec long_ago[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
    store(f->cas, span_str("posted twice"), digest);
    cas_path(path, digest);
    assert_int_equal(utimensat(f->cas->blobs_fd, path, long_ago, 0), 0);
    struct seen seen = {.cas = f->cas};
    assert_int_equal(cas_walk(f->cas, look, &seen, NULL), 0);
    assert_int_equal(seen.mtime_max, 1000 * 1000);
    store(f->cas, span_str("posted twice"), digest);
    seen = (struct seen){.cas = f->cas};
    assert_int_equal(cas_walk(f->cas, look, &seen, NULL), 0);
    assert_int_equal(seen.count, 1);
    assert_true(seen.mtime_max / 1000 + 600 > (uint64_t)time(NULL));
}

static void walk_sees_all(void **state)
{
    struct fixture *f = *state;
    uint8_t digest[DIGEST_SIZE];
    uint64_t bytes = 0;
    for (int i = 0; i < 50; i++) {
        char text[32];
        bytes += (uint64_t)snprintf(text, sizeof(text), "content %d", i);
        store(f->cas, span_str(text), digest);
    }
    close(openat(f->cas->blobs_fd, "README", O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    assert_int_equal(mkdirat(f->cas->blobs_fd, "XY", 0700), 0);
    close(openat(f->cas->blobs_fd, "00", O_CREAT | O_WRONLY | O_CLOEXEC, 0600));

    struct seen seen = {.cas = f->cas};
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    assert_int_equal(cas_walk(f->cas, look, &seen, NULL), 0);
    assert_int_equal(seen.count, 50);
    assert_int_equal(seen.bytes, bytes);
    assert_true(seen.mtime_max / 1000 + 600 > (uint64_t)now.tv_sec);
    assert_true(seen.mtime_max / 1000 <= (uint64_t)now.tv_sec);

    seen = (struct seen){.cas = f->cas, .stop_after = 7};
    assert_int_equal(cas_walk(f->cas, look, &seen, NULL), 42);
    assert_int_equal(seen.count, 7);
    seen = (struct seen){.cas = f->cas};
    assert_int_equal(cas_walk(f->cas, look_and_remove, &seen, NULL), 0);
    assert_int_equal(seen.count, 50);
    seen = (struct seen){.cas = f->cas};
    assert_int_equal(cas_walk(f->cas, look, &seen, NULL), 0);
    assert_int_equal(seen.count, 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, fixture_open, fixture_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(known_digest),
        CASE(sizes_round_trip),
        CASE(modes_are_private),
        CASE(dedup_keeps_the_file),
        CASE(damaged_blob_is_replaced),
        CASE(truncated_is_damaged),
        CASE(truncated_while_open),
        CASE(bit_flips),
        CASE(odd_ranges),
        CASE(absent_is_not_found),
        CASE(drop_leaves_nothing),
        CASE(pins_hold_off_remove),
        CASE(many_pins),
        CASE(threads_put_the_same),
        CASE(open_empties_tmp),
        CASE(putting_again_renews),
        CASE(walk_sees_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
