/*
 * Any bytes as the only segment of a journal: opening never crashes, what is handed out carries
 * checksums that hold, and an undamaged journal can be continued. Byte 0 of the input holds flags,
 * the image follows; the flags fill in checksums, or hardly an input would get past them.
 */
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/bytes.h"
#include "base/clean.h"
#include "store/journal.h"
#include "store/segment.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MEND_HEADER 1u
#define MEND_RECORDS 2u
#define IMAGE_MAX (128 * 1024)

struct image {
    uint8_t *bytes;
    size_t len;
    uint64_t next; /* number expected */
};

static const struct journal_options options = {
    .uuid = "fuzzed-journal1", .segment_start = 4096, .segment_max = 4096, .released = 2};

static void must(bool holds)
{
    if (!holds)
        abort();
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st, (void)flag, (void)ftw;
    return remove(path);
}

static void mend_header(struct image *image)
{
    if (image->len < 72)
        return;
    memcpy(image->bytes, "WEIRJRN\n\0\0\0\1", 12);
    memcpy(image->bytes + 16, options.uuid, 16);
    put_be64(image->bytes + 64, XXH3_64bits(image->bytes, 64));
}

static uint64_t head_check(const uint8_t *p)
{
    uint8_t covered[48];
    memcpy(covered, p, 32);
    memcpy(covered + 32, options.uuid, 16);
    return XXH3_64bits(covered, sizeof covered);
}

/* Fills in the checksums of what looks like records in a row, but keeps wrong numbers and lengths.
 */
static void mend_records(struct image *image)
{
    uint64_t chain = image->len < 72 ? 0 : get_be64(image->bytes + 56);
    for (size_t at = 512; at + 48 <= image->len;) {
        uint8_t *p = image->bytes + at;
        uint64_t len = get_be32(p + 4);
        if (memcmp(p, "WREC", 4) != 0 || len > image->len - at - 48)
            return;
        put_be64(p + 24, chain);
        put_be64(p + 32, head_check(p));
        chain = XXH3_64bits_withSeed(p + 48, len, get_be64(p + 32));
        put_be64(p + 40, chain);
        at += 48 + (len + 7) / 8 * 8;
    }
}

/* Whether the image has this record, checksums and all. */
static bool stands_in(const struct image *image, uint64_t number, struct span record)
{
    for (size_t at = 512; at + 48 + record.len <= image->len; at += 8) {
        const uint8_t *p = image->bytes + at;
        if (memcmp(p, "WREC", 4) == 0 && get_be32(p + 4) == record.len &&
            get_be64(p + 8) == number && get_be64(p + 32) == head_check(p) &&
            get_be64(p + 40) == XXH3_64bits_withSeed(p + 48, record.len, get_be64(p + 32)) &&
            span_eq(record, span_of(p + 48, record.len)))
            return true;
    }
    return false;
}

static int each(void *arg, uint64_t number, struct span record)
{
    struct image *image = arg;
    must(number == image->next++);
    must(stands_in(image, number, record));
    return 0;
}

static int each_counted(void *arg, uint64_t number, struct span record)
{
    uint64_t *last = arg;
    must(record.len <= IMAGE_MAX);
    *last = number;
    return 0;
}

/* Appends to a sound journal and finds it again. */
static void go_on(struct engine *engine, int dirfd)
{
    struct engine_stat stat;
    struct journal_report report;
    uint64_t number, last = 0;
    engine->ops->stat(engine, &stat);
    must(engine->ops->append(engine, span_str("more"), stat.last, &number, NULL) == 0);
    engine->ops->close(engine);
    must(journal_open(&engine, dirfd, "journal", &options, &report, NULL) == 0);
    must(!report.damaged);
    must(engine->ops->read(engine, number, each_counted, &last, NULL) == 0);
    must(last == number);
    engine->ops->close(engine);
}

static void open_image(struct image *image, int dirfd)
{
    struct engine *engine;
    struct engine_stat stat;
    struct journal_report report;
    struct err err = ERR_INIT;
    if (journal_open(&engine, dirfd, "journal", &options, &report, &err) != 0) {
        must(err.text[0] != 0);
        return;
    }
    engine->ops->stat(engine, &stat);
    image->next = stat.first;
    must(stat.last >= options.released);
    must(engine->ops->read(engine, stat.first, each, image, &err) == 0);
    must(image->next == stat.last + 1 || stat.first == stat.last + 1);
    if (!report.damaged) {
        go_on(engine, dirfd);
        return;
    }
    uint64_t number;
    must(engine->ops->append(engine, span_str("x"), stat.last, &number, &err) == ERR_UNAVAILABLE);
    engine->ops->close(engine);
    must(journal_repair(dirfd, "journal", &options, &report, &err) == 0);
    must(journal_open(&engine, dirfd, "journal", &options, &report, &err) == 0);
    must(!report.damaged);
    go_on(engine, dirfd);
}

static void try_image(struct image *image)
{
    char path[64];
    snprintf(path, sizeof path, "%s/weir-fuzz-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    must(mkdtemp(path) != NULL);
    {
        CLEAN_FD int dirfd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        must(dirfd >= 0 && mkdirat(dirfd, "journal", 0700) == 0);
        CLEAN_FD int fd = openat(dirfd, "journal/0000000000000001.wj",
                                 O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        must(fd >= 0 && write(fd, image->bytes, image->len) == (ssize_t)image->len);
        open_image(image, dirfd);
    }
    nftw(path, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > IMAGE_MAX)
        return 0;
    struct image image = {.bytes = malloc(size), .len = size - 1};
    must(image.bytes != NULL);
    memcpy(image.bytes, data + 1, size - 1);
    if (data[0] & MEND_HEADER)
        mend_header(&image);
    if (data[0] & MEND_RECORDS)
        mend_records(&image);
    try_image(&image);
    free(image.bytes);
    return 0;
}
