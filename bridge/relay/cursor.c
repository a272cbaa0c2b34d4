/* The file that keeps a relay's place. Its bytes: "weir-relay-cursor 1\n" LENGTH "\n" position "\n". */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "base/clean.h"
#include "base/fd.h"
#include "base/text.h"
#include "bridge/relay/pump.h"

#define FIRST_LINE "weir-relay-cursor 1\n"
#define NAME_LEN_MAX 100

static int check_name(const char *name, struct err *err)
{
    size_t len = strlen(name);
    size_t good = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");
    if (len > 0 && len <= NAME_LEN_MAX && good == len && name[0] != '.')
        return 0;
    return err_set(err, ERR_INVALID,
                   "a cursor kept in a file is named by letters, digits, '.', '_' and '-', up to %d, without '.' at the front",
                   NAME_LEN_MAX);
}

static int sync_dir(const char *path)
{
    CLEAN_FD int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd >= 0 && fsync(fd) == 0 ? 0 : -errno;
}

/* Makes a directory that is missing; its name is durable in `parent` then. */
static int make_dir(const char *parent, const char *path, struct err *err)
{
    if (mkdir(path, 0700) != 0)
        return errno == EEXIST ? 0 : err_sys(err, errno, "make directory %s", path);
    int rc = sync_dir(parent);
    return rc == 0 ? 0 : err_sys(err, -rc, "sync directory %s", parent);
}

/* The same for every directory on the way. */
static int make_dirs(const char *path, struct err *err)
{
    CLEAN_FREE char *now = strdup(path);
    CLEAN_FREE char *parent = strdup("/");
    if (!now || !parent)
        return err_set(err, -ENOMEM, "out of memory");
    for (const char *at = path + 1;; at++) {
        if (*at != '/' && *at != '\0')
            continue;
        now[at - path] = '\0';
        int rc = make_dir(parent, now, err);
        if (rc != 0 || !*at)
            return rc;
        free(parent);
        parent = strdup(now);
        if (!parent)
            return err_set(err, -ENOMEM, "out of memory");
        now[at - path] = '/';
    }
}

static int open_dir(int *fd, struct err *err)
{
    const char *state = getenv("XDG_STATE_HOME");
    const char *home = getenv("HOME");
    CLEAN_BUF path = BUF_INIT;
    int rc;
    if (state && state[0] == '/')
        rc = buf_addf(&path, "%s/weir/relay", state);
    else if (home && home[0] == '/')
        rc = buf_addf(&path, "%s/.local/state/weir/relay", home);
    else
        return err_set(err, ERR_INVALID, "no place for the cursor: neither XDG_STATE_HOME nor HOME is set");
    const char *text = rc == 0 ? buf_cstr(&path) : NULL;
    if (!text)
        return err_set(err, -ENOMEM, "out of memory");
    rc = make_dirs(text, err);
    if (rc != 0)
        return rc;
    *fd = open(text, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return *fd < 0 ? err_sys(err, errno, "open %s", text) : 0;
}

static int lock(struct relay_cursor *c, struct err *err)
{
    char text[sizeof(c->name) + 8];
    snprintf(text, sizeof(text), ".%s.lock", c->name);
    c->lock_fd = openat(c->dir_fd, text, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (c->lock_fd < 0)
        return err_sys(err, errno, "open %s", text);
    if (flock(c->lock_fd, LOCK_EX | LOCK_NB) == 0)
        return 0;
    if (errno != EWOULDBLOCK)
        return err_sys(err, errno, "lock cursor %s", c->name);
    return err_set(err, ERR_LOCKED, "cursor %s is used by another relay that runs", c->name);
}

int relay_cursor_open(struct relay_cursor *c, const char *name, struct err *err)
{
    *c = (struct relay_cursor){.dir_fd = -1, .lock_fd = -1};
    int rc = check_name(name, err);
    if (rc != 0)
        return rc;
    snprintf(c->name, sizeof(c->name), "%s", name);
    rc = open_dir(&c->dir_fd, err);
    if (rc == 0)
        rc = lock(c, err);
    if (rc != 0)
        relay_cursor_close(c);
    return rc;
}

void relay_cursor_close(struct relay_cursor *c)
{
    clean_fd(&c->lock_fd);
    clean_fd(&c->dir_fd);
    c->lock_fd = c->dir_fd = -1;
}

static int read_whole(int fd, struct buf *out)
{
    for (;;) {
        int rc = buf_reserve(out, 4096);
        if (rc != 0)
            return rc;
        ssize_t n = read(fd, out->ptr + out->len, out->cap - out->len);
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n == 0)
            return 0;
        out->len += n > 0 ? (size_t)n : 0;
        if (out->len > 2 * RELAY_POSITION_MAX)
            return ERR_DAMAGED;
    }
}

/* The position within the file's bytes: false when they are not what relay_cursor_write writes. */
static bool take_position(struct span file, struct span *out)
{
    size_t head = sizeof(FIRST_LINE) - 1;
    uint64_t len;
    if (file.len < head || memcmp(file.ptr, FIRST_LINE, head) != 0)
        return false;
    const uint8_t *digits = file.ptr + head;
    const uint8_t *end = memchr(digits, '\n', file.len - head);
    if (!end || text_u64(span_of(digits, (size_t)(end - digits)), &len) != 0)
        return false;
    size_t left = file.len - (size_t)(end + 1 - file.ptr);
    if (left == 0 || len != left - 1 || end[1 + len] != '\n')
        return false;
    *out = span_of(end + 1, len);
    return true;
}

int relay_cursor_read(const struct relay_cursor *c, struct buf *out, struct err *err)
{
    CLEAN_BUF file = BUF_INIT;
    struct span position;
    CLEAN_FD int fd = openat(c->dir_fd, c->name, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return err_set(err, ERR_NOT_FOUND, "there is no cursor %s", c->name);
    int rc = fd < 0 ? -errno : read_whole(fd, &file);
    if (rc < 0 && rc != ERR_DAMAGED)
        return err_sys(err, -rc, "read cursor %s", c->name);
    if (rc == ERR_DAMAGED || !take_position(buf_span(&file), &position))
        return err_set(err, ERR_DAMAGED, "the file of cursor %s is damaged; remove it to begin anew", c->name);
    return buf_add_span(out, position) == 0 ? 0 : err_set(err, -ENOMEM, "out of memory");
}

static int write_whole(int fd, struct span bytes)
{
    int rc = fd_write_all(fd, bytes);
    return rc == 0 && fdatasync(fd) != 0 ? -errno : rc;
}

static int put_aside(const struct relay_cursor *c, const char *aside, struct span position)
{
    CLEAN_BUF file = BUF_INIT;
    if (buf_addf(&file, FIRST_LINE "%zu\n", position.len) != 0 || buf_add_span(&file, position) != 0 ||
        buf_add(&file, "\n", 1) != 0)
        return -ENOMEM;
    CLEAN_FD int fd = openat(c->dir_fd, aside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    return fd < 0 ? -errno : write_whole(fd, buf_span(&file));
}

int relay_cursor_write(const struct relay_cursor *c, struct span position, struct err *err)
{
    char aside[sizeof(c->name) + 8];
    snprintf(aside, sizeof(aside), ".%s.new", c->name);
    if (position.len > RELAY_POSITION_MAX)
        return err_set(err, ERR_TOO_LARGE, "a position of %zu bytes is more than a cursor holds", position.len);
    int rc = put_aside(c, aside, position);
    if (rc == 0 && renameat(c->dir_fd, aside, c->dir_fd, c->name) != 0)
        rc = -errno;
    if (rc == 0 && fsync(c->dir_fd) != 0)
        rc = -errno;
    return rc == 0 ? 0 : err_sys(err, -rc, "write cursor %s", c->name);
}
