/*
 * A journal in a directory of its own, and its files as bytes to look at and to damage.
 */
#ifndef TESTS_JOURNAL_FIXTURE_H
#define TESTS_JOURNAL_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "store/journal.h"
#include "store/segment.h"

struct fixture {
    char path[256];
    int dirfd;
    struct engine *engine;
    struct journal_options options;
    struct journal_report report;
    struct err err;
    struct segment_calls calls; /* as they were */
};

static inline int fixture_setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    const char *tmp = getenv("TMPDIR");
    snprintf(f->path, sizeof f->path, "%s/weir-journal-XXXXXX", tmp ? tmp : "/tmp");
    if (!mkdtemp(f->path))
        return -1;
    f->dirfd = open(f->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (uint8_t i = 0; i < 16; i++)
        f->options.uuid[i] = (uint8_t)(i * 7 + 1);
    f->calls = segment_calls;
    *state = f;
    return f->dirfd < 0 ? -1 : 0;
}

static inline void fixture_close(struct fixture *f)
{
    if (f->engine)
        f->engine->ops->close(f->engine);
    f->engine = NULL;
}

static inline int fixture_remove(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st, (void)flag, (void)ftw;
    return remove(path);
}

static inline int fixture_teardown(void **state)
{
    struct fixture *f = *state;
    segment_calls = f->calls;
    fixture_close(f);
    close(f->dirfd);
    nftw(f->path, fixture_remove, 8, FTW_DEPTH | FTW_PHYS);
    free(f);
    return 0;
}

static inline int fixture_try_open(struct fixture *f)
{
    f->err = ERR_INIT;
    return journal_open(&f->engine, f->dirfd, "journal", &f->options, &f->report, &f->err);
}

static inline void fixture_open(struct fixture *f)
{
    if (fixture_try_open(f) != 0)
        fail_msg("%s", f->err.text);
}

static inline void fixture_reopen(struct fixture *f)
{
    fixture_close(f);
    fixture_open(f);
}

static inline struct engine_stat fixture_stat(struct fixture *f)
{
    struct engine_stat stat;
    f->engine->ops->stat(f->engine, &stat);
    return stat;
}

/* The payload of record `number`: known bytes that differ from record to record. */
static inline void fixture_payload(struct buf *out, uint64_t number, size_t len)
{
    buf_reset(out);
    assert_int_equal(buf_reserve(out, len + 1), 0);
    for (size_t i = 0; i < len; i++)
        buf_put(out, (uint8_t)(number * 31 + i * 7 + (i >> 8)));
}

static inline int fixture_try_append(struct fixture *f, size_t len)
{
    CLEAN_BUF payload = BUF_INIT;
    uint64_t last = fixture_stat(f).last, number = 0;
    fixture_payload(&payload, last + 1, len);
    f->err = ERR_INIT;
    int rc = f->engine->ops->append(f->engine, buf_span(&payload), last, &number, &f->err);
    if (rc == 0)
        assert_int_equal(number, last + 1);
    else
        assert_int_equal(f->err.code, rc);
    return rc;
}

static inline void fixture_append(struct fixture *f, size_t len)
{
    if (fixture_try_append(f, len) != 0)
        fail_msg("%s", f->err.text);
}

struct seen {
    uint64_t next;
    uint64_t count;
};

static inline int fixture_each(void *arg, uint64_t number, struct span record)
{
    struct seen *seen = arg;
    CLEAN_BUF payload = BUF_INIT;
    assert_int_equal(number, seen->next);
    fixture_payload(&payload, number, record.len);
    assert_true(span_eq(record, buf_span(&payload)));
    seen->next++;
    seen->count++;
    return 0;
}

/* Reads from `from` on, checks every byte and number. How many came. */
static inline uint64_t fixture_read(struct fixture *f, uint64_t from)
{
    struct seen seen = {from, 0};
    f->err = ERR_INIT;
    if (f->engine->ops->read(f->engine, from, fixture_each, &seen, &f->err) != 0)
        fail_msg("%s", f->err.text);
    return seen.count;
}

/* --- files ------------------------------------------------------------------------------------ */

static inline void fixture_file_path(struct fixture *f, char out[static 512], const char *name)
{
    snprintf(out, 512, "%s/journal/%.200s", f->path, name);
}

static inline void fixture_load(struct fixture *f, const char *name, struct buf *out)
{
    char path[512];
    struct stat st;
    fixture_file_path(f, path, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &st), 0);
    buf_reset(out);
    assert_int_equal(buf_reserve(out, (size_t)st.st_size + 1), 0);
    assert_int_equal(read(fd, out->ptr, (size_t)st.st_size), st.st_size);
    out->len = (size_t)st.st_size;
    close(fd);
}

static inline void fixture_store(struct fixture *f, const char *name, const struct buf *bytes)
{
    char path[512];
    fixture_file_path(f, path, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes->ptr, bytes->len), bytes->len);
    close(fd);
}

static inline int fixture_by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static inline int fixture_is_file(const struct dirent *entry)
{
    return strstr(entry->d_name, ".wj") != NULL;
}

/* Names in the journal or a directory in it, sorted. How many. */
static inline int fixture_list(struct fixture *f, const char *sub, char names[][64], int room)
{
    char path[512];
    struct dirent **entries;
    fixture_file_path(f, path, sub);
    int n = scandir(path, &entries, fixture_is_file, fixture_by_name);
    assert_true(n >= 0 && n <= room);
    for (int i = 0; i < n; i++) {
        snprintf(names[i], 64, "%.63s", entries[i]->d_name);
        free(entries[i]);
    }
    free(entries);
    return n;
}

/* The segment that holds record `number` as its first. */
static inline struct segment fixture_segment_of(struct fixture *f, uint64_t first, char name[64])
{
    char names[64][64];
    int n = fixture_list(f, "", names, 64);
    for (int i = 0; i < n; i++) {
        struct segment segment = {0};
        char path[512];
        fixture_file_path(f, path, names[i]);
        if (!segment_parse_name(names[i], &segment.serial))
            continue;
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        int rc = segment_read_head(&segment, fd, f->options.uuid, NULL);
        close(fd);
        if (rc == 0 && segment.first == first) {
            memcpy(name, names[i], 64);
            return segment;
        }
    }
    fail_msg("no segment begins with record %" PRIu64, first);
    abort();
}

/* A number that changes when any name or byte in the journal's directory does. */
static inline uint64_t fixture_digest(struct fixture *f)
{
    char names[64][64];
    CLEAN_BUF bytes = BUF_INIT;
    uint64_t sum = 1469598103934665603u;
    int n = fixture_list(f, "", names, 64);
    for (int i = 0; i < n; i++) {
        fixture_load(f, names[i], &bytes);
        assert_int_equal(buf_add_str(&bytes, names[i]), 0);
        for (size_t k = 0; k < bytes.len; k++)
            sum = (sum ^ bytes.ptr[k]) * 1099511628211u;
    }
    return sum;
}

#define FIXTURE_TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

#endif
