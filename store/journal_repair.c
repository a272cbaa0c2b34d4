/*
 * Repair: sets aside what stands behind the damage, keeps what is good before.
 *
 * Order, so that a crash at any point leaves either the damage as it was or the repaired journal,
 * and every byte somewhere: 1. the segment with the damage is copied to damaged/, synced; 2. the
 * segments behind it are moved there, the highest first, directories synced; 3. its end is zeroed,
 * synced.
 */
#include "store/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/clean.h"
#include "store/journal_recover.h"

#define ASIDE "damaged"
#define NAMES_MAX 1000
#define ASIDE_NAME_SIZE (SEGMENT_NAME_SIZE + 8)

/* The k-th name to try for a segment set aside. */
static void aside_name(char out[static ASIDE_NAME_SIZE], uint64_t serial, int k)
{
    char name[SEGMENT_NAME_SIZE];
    segment_name(name, serial);
    if (k == 0)
        snprintf(out, ASIDE_NAME_SIZE, "%s", name);
    else
        snprintf(out, ASIDE_NAME_SIZE, "%s.%d", name, k);
}

/* Moves a segment aside under the first free name. */
static int move_segment(int dirfd, int aside, uint64_t serial, struct err *err)
{
    char name[SEGMENT_NAME_SIZE], to[ASIDE_NAME_SIZE];
    segment_name(name, serial);
    for (int k = 0; k < NAMES_MAX; k++) {
        aside_name(to, serial, k);
        if (renameat2(dirfd, name, aside, to, RENAME_NOREPLACE) == 0)
            return 0;
        if (errno != EEXIST)
            break;
    }
    return err_sys(err, errno, "move journal segment %s to " ASIDE, name);
}

static int copy_bytes(int from, int to)
{
    uint8_t chunk[16384];
    off_t at = 0;
    for (;;) {
        ssize_t n = segment_calls.pread(from, chunk, sizeof chunk, at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? errno : 0;
        for (ssize_t done = 0; done < n;) {
            struct iovec iov = {chunk + done, (size_t)(n - done)};
            ssize_t w = segment_calls.pwritev(to, &iov, 1, at + done);
            if (w < 0 && errno == EINTR)
                continue;
            if (w <= 0)
                return w < 0 ? errno : EIO;
            done += w;
        }
        at += n;
    }
}

static int create_aside(int *out, int aside, uint64_t serial, char to[static ASIDE_NAME_SIZE])
{
    for (int k = 0; k < NAMES_MAX; k++) {
        aside_name(to, serial, k);
        *out = openat(aside, to, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (*out >= 0)
            return 0;
        if (errno != EEXIST)
            break;
    }
    return errno;
}

static int copy_segment(int dirfd, int aside, uint64_t serial, struct err *err)
{
    char name[SEGMENT_NAME_SIZE], to[ASIDE_NAME_SIZE];
    CLEAN_FD int out = -1;
    segment_name(name, serial);
    CLEAN_FD int in = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (in < 0)
        return err_sys(err, errno, "open journal segment %s", name);
    int rc = create_aside(&out, aside, serial, to);
    if (rc == 0) {
        rc = copy_bytes(in, out);
        if (rc == 0 && segment_calls.fsync(out) != 0)
            rc = errno;
        if (rc != 0)
            unlinkat(aside, to, 0);
    }
    return rc == 0 ? 0 : err_sys(err, rc, "copy journal segment %s to " ASIDE, name);
}

static int open_aside(int *out, int dirfd, struct err *err)
{
    if (mkdirat(dirfd, ASIDE, 0700) != 0 && errno != EEXIST)
        return err_sys(err, errno, "create directory " ASIDE);
    *out = openat(dirfd, ASIDE, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (*out < 0)
        return err_sys(err, errno, "open directory " ASIDE);
    return segment_sync_directory(dirfd, err);
}

static int move_later(int dirfd, int aside, const struct recovery *found, struct err *err)
{
    int rc = 0;
    for (size_t i = found->later.count; rc == 0 && i > 0; i--)
        rc = move_segment(dirfd, aside, found->later.items[i - 1].serial, err);
    for (size_t i = 0; rc == 0 && i < found->broken.count; i++)
        rc = move_segment(dirfd, aside, found->broken.items[i].serial, err);
    if (rc == 0)
        rc = segment_sync_directory(aside, err);
    if (rc == 0)
        rc = segment_sync_directory(dirfd, err);
    return rc;
}

static int clear_end(int dirfd, const struct segment *segment, uint64_t from, struct err *err)
{
    char name[SEGMENT_NAME_SIZE];
    segment_name(name, segment->serial);
    CLEAN_FD int fd = openat(dirfd, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return err_sys(err, errno, "open journal segment %s", name);
    int rc = segment_clear(fd, from, segment->size, err);
    return rc == 0 ? segment_sync(fd, err) : rc;
}

/* The segment the damage stands in; NULL when it is a missing one. */
static const struct segment *find_damaged(const struct recovery *found)
{
    const struct segment_list *lists[] = {&found->live, &found->spare};
    char name[SEGMENT_NAME_SIZE];
    for (size_t l = 0; l < 2; l++) {
        for (size_t i = 0; i < lists[l]->count; i++) {
            segment_name(name, lists[l]->items[i].serial);
            if (strcmp(name, found->report.segment) == 0)
                return &lists[l]->items[i];
        }
    }
    return NULL;
}

static int set_aside(int dirfd, const struct recovery *found, struct err *err)
{
    CLEAN_FD int aside = -1;
    const struct segment *damaged = find_damaged(found);
    int rc = open_aside(&aside, dirfd, err);
    if (rc == 0 && damaged)
        rc = copy_segment(dirfd, aside, damaged->serial, err);
    if (rc == 0)
        rc = segment_sync_directory(aside, err);
    if (rc == 0)
        rc = move_later(dirfd, aside, found, err);
    if (rc == 0 && damaged)
        rc = clear_end(dirfd, damaged, found->report.offset, err);
    return rc;
}

int journal_repair(int dirfd, const char *name, const struct journal_options *options,
                   struct journal_report *report, struct err *err)
{
    struct recovery found = {0};
    CLEAN_FD int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return err_sys(err, errno, "open directory %s", name);
    int rc = recovery_scan(&found, fd, options, err);
    if (rc == 0 && found.report.damaged)
        rc = set_aside(fd, &found, err);
    if (rc == 0 && report)
        *report = found.report;
    recovery_finish(&found);
    return rc;
}
