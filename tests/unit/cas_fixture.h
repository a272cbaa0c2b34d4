/*
 * A content directory in a scratch directory of its own, for the tests of cas/.
 */
#ifndef TEST_CAS_FIXTURE_H
#define TEST_CAS_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <weir/cas.h>

#include "cas/dir.h"
#include "cas/sums.h"

struct fixture {
    char path[64];
    int dirfd;
    struct cas *cas;
};

static inline int fixture_open(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    snprintf(f->path, sizeof(f->path), "/tmp/weir-cas-XXXXXX");
    assert_non_null(mkdtemp(f->path));
    f->dirfd = open(f->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct err err = ERR_INIT;
    assert_int_equal(cas_open(&f->cas, f->dirfd, "cas", &err), 0);
    *state = f;
    return 0;
}

static inline int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

static inline int fixture_close(void **state)
{
    struct fixture *f = *state;
    cas_close(f->cas);
    close(f->dirfd);
    nftw(f->path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(f);
    return 0;
}

/* Bytes that look random and are the same for the same seed. */
static inline uint8_t *noise(size_t len, uint64_t seed)
{
    uint8_t *bytes = malloc(len + 8);
    for (size_t i = 0; i < len; i += 8) {
        seed = seed * 6364136223846793005U + 1442695040888963407U;
        uint64_t word = seed ^ (seed >> 29);
        memcpy(bytes + i, &word, 8);
    }
    return bytes;
}

static inline int put_bytes(struct cas *cas, struct span bytes, size_t step,
                            uint8_t digest[static DIGEST_SIZE], struct err *err)
{
    struct cas_put *put;
    uint64_t size = 0;
    int rc = cas_put_begin(cas, &put, err);
    if (rc < 0)
        return rc;
    for (size_t at = 0; at < bytes.len; at += step) {
        size_t n = bytes.len - at < step ? bytes.len - at : step;
        rc = cas_put_write(put, span_of(bytes.ptr + at, n), err);
        if (rc < 0) {
            cas_put_drop(put);
            return rc;
        }
    }
    rc = cas_put_finish(put, digest, &size, err);
    if (rc == 0)
        assert_int_equal(size, bytes.len);
    return rc;
}

/* Puts and unpins; must succeed. */
static inline void store(struct cas *cas, struct span bytes, uint8_t digest[static DIGEST_SIZE])
{
    struct err err = ERR_INIT;
    int rc = put_bytes(cas, bytes, 100000, digest, &err);
    if (rc < 0)
        fail_msg("put: %d %s", rc, err.text);
    cas_unpin(cas, digest);
}

/* Reads all; 0 when exactly `expected` came, the error else. Other bytes fail the test. */
static inline int read_expect(struct cas *cas, const uint8_t digest[static DIGEST_SIZE],
                              struct span expected, size_t step)
{
    struct cas_reader *reader;
    struct err err = ERR_INIT;
    int rc = cas_reader_open(cas, &reader, digest, &err);
    if (rc < 0)
        return rc;
    uint8_t *buf = malloc(step);
    uint64_t at = 0;
    size_t got = 1;
    while (got > 0 && (rc = cas_reader_read(reader, at, buf, step, &got, &err)) == 0) {
        assert_true(at + got <= expected.len);
        if (got > 0)
            assert_memory_equal(buf, expected.ptr + at, got);
        at += got;
    }
    if (rc == 0)
        assert_int_equal(at, expected.len);
    free(buf);
    cas_reader_close(reader);
    return rc;
}

static inline int names_in(int dirfd)
{
    int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fdopendir(fd);
    int count = 0;
    for (struct dirent *e; (e = readdir(dir));)
        count += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
    closedir(dir);
    return count;
}

static inline int file_open(int dirfd, const uint8_t digest[static DIGEST_SIZE])
{
    char path[CAS_PATH_SIZE];
    cas_path(path, digest);
    return openat(dirfd, path, O_RDWR | O_CLOEXEC);
}

static inline void flip(int fd, uint64_t bit)
{
    uint8_t byte;
    assert_int_equal(pread(fd, &byte, 1, (off_t)(bit / 8)), 1);
    byte = (uint8_t)(byte ^ (1U << (bit % 8)));
    assert_int_equal(pwrite(fd, &byte, 1, (off_t)(bit / 8)), 1);
}

#endif
