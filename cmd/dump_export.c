#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clean.h"
#include "base/fd.h"
#include "base/json.h"
#include "base/text.h"
#include "cmd/dump_dir.h"
#include "cmd/progress.h"
#include "cmd/target.h"

#define CHUNK ((size_t)256 * 1024)

struct dump {
    const struct call *call;
    struct weir *w;
    int dirfd;
    int casfd;
    uint8_t *chunk;
    uint64_t contents;
    uint64_t missing;
    bool (*interrupted)(void);
    struct progress progress;
};

/* The answer's body into a file. */
static int copy_body(struct dump *d, int fd, bool frames, struct err *err)
{
    for (;;) {
        long n = weir_read(d->w, d->chunk, CHUNK, err);
        if (n <= 0)
            return (int)n;
        int rc = fd_write_all(fd, span_of(d->chunk, (size_t)n));
        if (rc < 0)
            err_sys(err, -rc, "write the dump");
        if (rc == 0 && d->interrupted())
            rc = err_set(err, -EINTR, "interrupted");
        if (rc != 0)
            return rc;
        for (const uint8_t *p = d->chunk;
             frames && (p = memchr(p, '\n', (size_t)(d->chunk + n - p))); p++)
            d->progress.frames++;
        d->progress.bytes += (uint64_t)n;
        progress_tick(&d->progress);
    }
}

static int write_frames(struct dump *d, const char *target, struct err *err)
{
    struct weir_response res;
    CLEAN_FD int fd =
        openat(d->dirfd, "frames.jsonl", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_sys(err, errno, "frames.jsonl");
    int rc = call_get(d->w, target, &res, err);
    return rc == 0 ? copy_body(d, fd, true, err) : rc;
}

/* The hash of a frame's line; false when it has none. */
static bool line_hash(struct span line, char hash[static SRI_TEXT_LEN + 1])
{
    struct json_iter it;
    struct span key;
    struct json_value value;
    uint8_t digest[32];
    if (json_iter_init(&it, line) != 0)
        return false;
    while (json_iter_next(&it, &key, &value)) {
        if (!json_string_is(key, "hash"))
            continue;
        if (value.type != JSON_STRING || value.raw.len < 2 ||
            sri_parse(digest, span_of(value.raw.ptr + 1, value.raw.len - 2), NULL) != 0)
            return false;
        sri_format(hash, digest);
        return true;
    }
    return false;
}

static int fetch_content(struct dump *d, const char *hash, int fd, struct err *err)
{
    struct weir_response res;
    CLEAN_BUF target = BUF_INIT;
    if (buf_add_str(&target, "/cas/") != 0 || target_segment(&target, hash) != 0)
        return err_set(err, -ENOMEM, "out of memory");
    int rc = call_get(d->w, target_text(&target), &res, err);
    return rc == 0 ? copy_body(d, fd, false, err) : rc;
}

/* One content into its file; a file that is there is a content met before. */
static int write_content(struct dump *d, const char *hash, struct err *err)
{
    CLEAN_BUF name = BUF_INIT;
    if (b64_encode(&name, span_str(hash)) != 0 || !buf_cstr(&name))
        return err_set(err, -ENOMEM, "out of memory");
    CLEAN_FD int fd =
        openat(d->casfd, buf_cstr(&name), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return errno == EEXIST ? 0 : err_sys(err, errno, "cas/%s", buf_cstr(&name));
    int rc = fetch_content(d, hash, fd, err);
    if (rc == ERR_NOT_FOUND) {
        unlinkat(d->casfd, buf_cstr(&name), 0);
        d->missing++;
        call_note(d->call, "content %s is missing", hash);
        return 0;
    }
    d->contents++;
    return rc;
}

static int write_contents(struct dump *d, struct err *err)
{
    char hash[SRI_TEXT_LEN + 1];
    CLEAN_FREE char *line = NULL;
    size_t room = 0;
    ssize_t n;
    int rc = 0;
    int fd = openat(d->dirfd, "frames.jsonl", O_RDONLY | O_CLOEXEC);
    FILE *frames = fd >= 0 ? fdopen(fd, "r") : NULL;
    if (!frames)
        return err_sys(err, errno, "frames.jsonl");
    while (rc == 0 && (n = getline(&line, &room, frames)) > 0) {
        if (line_hash(span_of(line, (size_t)n), hash))
            rc = write_content(d, hash, err);
        if (rc == 0 && d->interrupted())
            rc = err_set(err, -EINTR, "interrupted");
    }
    if (rc == 0 && ferror(frames))
        rc = err_sys(err, errno, "read frames.jsonl");
    fclose(frames);
    return rc;
}

static int fill(struct dump *d, const char *target, struct err *err)
{
    if (mkdirat(d->dirfd, "cas", 0700) != 0)
        return err_sys(err, errno, "cas");
    d->casfd = openat(d->dirfd, "cas", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (d->casfd < 0)
        return err_sys(err, errno, "cas");
    int rc = write_frames(d, target, err);
    if (rc == 0)
        rc = write_contents(d, err);
    if (rc == 0 && syncfs(d->dirfd) != 0)
        rc = err_sys(err, errno, "sync the dump");
    return rc;
}

int dump_dir_export(const struct call *call, struct weir *w, const char *target, int dirfd,
                    bool allow_missing, bool (*interrupted)(void))
{
    struct err err = ERR_INIT;
    CLEAN_FREE uint8_t *chunk = malloc(CHUNK);
    struct dump d = {.call = call,
                     .w = w,
                     .dirfd = dirfd,
                     .casfd = -1,
                     .chunk = chunk,
                     .interrupted = interrupted};
    if (!chunk)
        return call_failf(call, "out of memory");
    progress_begin(&d.progress, "export", 0);
    int rc = fill(&d, target, &err);
    progress_end(&d.progress);
    if (d.casfd >= 0)
        close(d.casfd);
    if (rc != 0)
        return call_fail(call, &err);
    if (d.missing > 0 && !allow_missing)
        return call_failf(call, "%" PRIu64 " content%s missing; --allow-missing leaves them out",
                          d.missing, d.missing == 1 ? " is" : "s are");
    if (isatty(STDERR_FILENO))
        call_note(call, "%" PRIu64 " frames, %" PRIu64 " contents", d.progress.frames, d.contents);
    return 0;
}
