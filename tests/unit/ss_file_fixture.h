/*
 * A directory for .ss files, and what tests of their writers and readers do again and again.
 */
#ifndef TESTS_SS_FILE_FIXTURE_H
#define TESTS_SS_FILE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clean.h"
#include "base/fd.h"
#include "bridge/io/ss_file.h"
#include "bridge/io/ss_place.h"

#define FIXTURES "tests/fixtures/seastreamer/"

struct ss_dir {
    char dir[200];
    char path[256]; /* of the file that most tests write */
    struct ss_place_calls calls; /* as they were */
};

static inline int ss_dir_setup(void **state)
{
    struct ss_dir *d = calloc(1, sizeof *d);
    const char *tmp = getenv("TMPDIR");
    snprintf(d->dir, sizeof d->dir, "%s/weir-ss-XXXXXX", tmp ? tmp : "/tmp");
    if (!mkdtemp(d->dir))
        return -1;
    snprintf(d->path, sizeof d->path, "%s/log.ss", d->dir);
    d->calls = ss_place_calls;
    *state = d;
    return 0;
}

static inline int ss_dir_remove(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st, (void)flag, (void)ftw;
    return remove(path);
}

static inline int ss_dir_teardown(void **state)
{
    struct ss_dir *d = *state;
    ss_place_calls = d->calls;
    nftw(d->dir, ss_dir_remove, 8, FTW_DEPTH | FTW_PHYS);
    free(d);
    return 0;
}

static inline void ss_get(struct buf *out, const char *path)
{
    struct stat st;
    CLEAN_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0 && fstat(fd, &st) == 0);
    buf_reset(out);
    assert_int_equal(buf_reserve(out, (size_t)st.st_size + 1), 0);
    out->len = (size_t)fd_read_at(fd, 0, out->ptr, (size_t)st.st_size);
    assert_int_equal(out->len, st.st_size);
}

/* Makes the file hold these bytes, and no others. It is not cut to nothing first: file systems write such files out at once. */
static inline void ss_set(const char *path, const void *bytes, size_t len)
{
    CLEAN_FD int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, bytes, len, 0), len);
    assert_int_equal(ftruncate(fd, (off_t)len), 0);
}

/* Adds bytes as a program would that does not lock. */
static inline void ss_add(const char *path, const void *bytes, size_t len)
{
    CLEAN_FD int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, len), len);
}

static inline void ss_copy_fixture(const struct ss_dir *d, const char *name)
{
    CLEAN_BUF bytes = BUF_INIT;
    char from[128];
    snprintf(from, sizeof from, FIXTURES "%s", name);
    ss_get(&bytes, from);
    ss_set(d->path, bytes.ptr, bytes.len);
}

static inline uint64_t ss_size(const char *path)
{
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    return (uint64_t)st.st_size;
}

static inline struct ss_writer *ss_write(const char *path, uint32_t interval)
{
    struct ss_writer_options o = {.interval = interval};
    struct ss_writer *w = NULL;
    struct err err = ERR_INIT;
    if (ss_writer_open(&w, path, &o, &err) != 0)
        fail_msg("%s", err.text);
    return w;
}

/* Puts text; returns the sequence it got. */
static inline uint64_t ss_put(struct ss_writer *w, const char *key, const char *text)
{
    struct err err = ERR_INIT;
    struct ss_message m = {.key = span_str(key), .time_ms = 1700000000000, .payload = span_str(text)};
    if (ss_writer_put(w, &m, true, &err) != 0)
        fail_msg("%s", err.text);
    return m.seq;
}

static inline void ss_flush(struct ss_writer *w, bool sync)
{
    struct err err = ERR_INIT;
    if (ss_writer_flush(w, sync, &err) != 0)
        fail_msg("%s", err.text);
}

static inline struct ss_reader *ss_read(const char *path, enum ss_from from, bool follow)
{
    struct ss_reader_options o = {.from = from, .follow = follow};
    struct ss_reader *r = NULL;
    struct err err = ERR_INIT;
    if (ss_reader_open(&r, path, &o, &err) != 0)
        fail_msg("%s", err.text);
    return r;
}

/* The next message is this. seq 0: any. */
static inline void ss_next(struct ss_reader *r, const char *key, uint64_t seq, const char *text)
{
    struct err err = ERR_INIT;
    struct ss_message m;
    int rc = ss_reader_next(r, &m, &err);
    if (rc != 0)
        fail_msg("%d %s instead of %s", rc, err.text, text);
    assert_true(span_is(m.key, key));
    if (seq)
        assert_int_equal(m.seq, seq);
    assert_true(span_is(m.payload, text));
}

static inline int ss_next_code(struct ss_reader *r)
{
    struct ss_message m;
    struct err err = ERR_INIT;
    int rc = ss_reader_next(r, &m, &err);
    assert_true(rc == 0 || rc == -EAGAIN || err.code == rc);
    return rc;
}

/* What is told within `ms`. */
static inline bool ss_told(const struct ss_reader *r, int ms)
{
    struct pollfd p = {.fd = ss_reader_fd(r), .events = POLLIN};
    return poll(&p, 1, ms) == 1;
}

/* What this process has read with system calls. */
static inline uint64_t ss_bytes_read(void)
{
    char text[256] = "";
    CLEAN_FD int fd = open("/proc/self/io", O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0 && read(fd, text, sizeof text - 1) > 0);
    assert_memory_equal(text, "rchar: ", 7);
    return strtoull(text + 7, NULL, 10);
}

#endif
