/*
 * The file `format` names the store:
 *
 *   weir store
 *   format 3
 *   uuid 01234567-89ab-cdef-0123-456789abcdef
 *
 * It is written, synced and renamed into place before anything else is made. Version rule: a weir
 * opens formats up to its own and refuses newer ones without changing anything. One of an older
 * format gets this one's number, the same way, before anything of this format is written.
 *
 * Format 2 has operations and tables of marks; format 3 has operations of topics' rows, rows that hold what
 * these say, and a table of what is to be removed. What older ones have besides is the same.
 */
#include "store/place.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>
#include <uuid/uuid.h>

#include "base/clean.h"
#include "store/state.h"

#define FORMAT_HEAD "weir store\nformat "

static int check_file_system(int dirfd, const char *path, struct err *err)
{
    static const struct {
        unsigned long type;
        const char *name;
    } remote[] = {{0x6969, "NFS"}, {0x517B, "SMB"}, {0xFF534D42, "CIFS"}, {0xFE534D42, "SMB2"}};
    struct statfs fs;
    if (fstatfs(dirfd, &fs) != 0)
        return err_sys(err, errno, "look at the file system of %s", path);
    for (size_t i = 0; i < sizeof remote / sizeof *remote; i++)
        if ((unsigned long)fs.f_type == remote[i].type)
            return err_set(err, ERR_FORMAT, "%s is on %s; a store needs a local file system", path,
                           remote[i].name);
    return 0;
}

static int make_directories(const char *path, struct err *err)
{
    if (mkdir(path, 0700) == 0 || errno == EEXIST)
        return 0;
    if (errno != ENOENT)
        return err_sys(err, errno, "create %s", path);
    CLEAN_FREE char *parent = strdup(path);
    if (!parent)
        return err_set(err, -ENOMEM, "no memory");
    char *slash = strrchr(parent, '/');
    if (!slash || slash == parent)
        return err_sys(err, ENOENT, "create %s", path);
    *slash = '\0';
    int r = make_directories(parent, err);
    if (r == 0 && mkdir(path, 0700) != 0 && errno != EEXIST)
        r = err_sys(err, errno, "create %s", path);
    return r;
}

static int lock(struct place *place, const char *path, struct err *err)
{
    char owner[32] = "";
    place->lockfd = openat(place->dirfd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (place->lockfd < 0)
        return err_sys(err, errno, "open %s/lock", path);
    if (flock(place->lockfd, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK)
            return err_sys(err, errno, "lock %s", path);
        ssize_t n = pread(place->lockfd, owner, sizeof owner - 1, 0);
        owner[n > 0 ? strcspn(owner, "\n") : 0] = '\0';
        return err_set(err, ERR_LOCKED,
                       "%s is already served by process %s; talk to it: weir cat %s", path,
                       *owner ? owner : "(unknown)", path);
    }
    int n = snprintf(owner, sizeof owner, "%ld\n", (long)getpid());
    if (ftruncate(place->lockfd, 0) != 0 || pwrite(place->lockfd, owner, (size_t)n, 0) != n)
        return err_sys(err, errno ? errno : EIO, "write %s/lock", path);
    return 0;
}

/* A directory without `format` must hold nothing but what an interrupted first start leaves. */
static int check_fresh(int dirfd, const char *path, struct err *err)
{
    int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CLEAN_DIR DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (!dir) {
        int error = errno;
        if (fd >= 0)
            close(fd);
        return err_sys(err, error, "read %s", path);
    }
    struct dirent *entry;
    while ((entry = readdir(dir))) {
        const char *name = entry->d_name;
        if (strcmp(name, "fjall") == 0 || strcmp(name, "cacache") == 0)
            return err_set(err, ERR_FORMAT,
                           "%s is a store of xs; export it there and use weir import", path);
        if (strcmp(name, ".") && strcmp(name, "..") && strcmp(name, "lock") &&
            strcmp(name, "format.tmp") && strcmp(name, "sock") && strcmp(name, "log") &&
            strcmp(name, "log.1"))
            return err_set(
                err, ERR_FORMAT,
                "%s is not empty and no weir store (it has %.60s); take another directory", path,
                name);
    }
    return 0;
}

static int write_format(const struct place *place, const char *path, struct err *err)
{
    char text[128], uuid[37];
    uuid_unparse_lower(place->uuid, uuid);
    int n = snprintf(text, sizeof text, FORMAT_HEAD "%d\nuuid %s\n", STORE_FORMAT, uuid);
    CLEAN_FD int fd = openat(place->dirfd, "format.tmp",
                             O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return err_sys(err, errno, "create %s/format", path);
    ssize_t wrote = write(fd, text, (size_t)n);
    if (wrote != n)
        return err_sys(err, wrote < 0 ? errno : ENOSPC, "write %s/format", path);
    if (fsync(fd) != 0 || renameat(place->dirfd, "format.tmp", place->dirfd, "format") != 0 ||
        fsync(place->dirfd) != 0)
        return err_sys(err, errno, "make %s/format durable", path);
    return 0;
}

/* The format and uuid a text names. */
static int parse_format(struct place *place, const char *path, const char *text, struct err *err)
{
    char *end;
    size_t head = strlen(FORMAT_HEAD);
    if (strncmp(text, FORMAT_HEAD, head) != 0)
        return err_set(err, ERR_FORMAT, "%s/format is not that of a weir store", path);
    unsigned long format = strtoul(text + head, &end, 10);
    if (format > STORE_FORMAT)
        return err_set(err, ERR_FORMAT,
                       "%s has format %lu; this weir knows formats up to %d: install a newer weir",
                       path, format, STORE_FORMAT);
    char uuid[37];
    if (format == 0 || strncmp(end, "\nuuid ", 6) != 0 || strlen(end + 6) < 36)
        return err_set(err, ERR_FORMAT, "%s/format is damaged", path);
    memcpy(uuid, end + 6, 36);
    uuid[36] = '\0';
    if (uuid_parse(uuid, place->uuid) != 0)
        return err_set(err, ERR_FORMAT, "%s/format names no uuid", path);
    place->format = (unsigned)format;
    return 0;
}

/* ERR_NOT_FOUND without text: there is none. */
static int read_format(struct place *place, const char *path, struct err *err)
{
    char text[256];
    CLEAN_FD int fd = openat(place->dirfd, "format", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return errno == ENOENT ? ERR_NOT_FOUND : err_sys(err, errno, "open %s/format", path);
    ssize_t n = read(fd, text, sizeof text - 1);
    if (n < 0)
        return err_sys(err, errno, "read %s/format", path);
    text[n] = '\0';
    return parse_format(place, path, text, err);
}

/* Refuses what is no store, or a newer one, before anything in the directory is touched. */
static int look(struct place *place, const char *path, struct err *err)
{
    int r = read_format(place, path, err);
    if (r != ERR_NOT_FOUND)
        return r;
    r = check_fresh(place->dirfd, path, err);
    /* Somebody may be making a store here at this moment; then the lock decides. */
    return r == ERR_FORMAT && read_format(place, path, NULL) == 0 ? 0 : r;
}

int place_open(struct place *out, const char *path, struct err *err)
{
    struct place place = {.dirfd = -1, .lockfd = -1};
    int r = make_directories(path, err);
    if (r != 0)
        return r;
    place.dirfd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (place.dirfd < 0)
        return err_sys(err, errno, "open %s", path);
    r = check_file_system(place.dirfd, path, err);
    if (r == 0)
        r = look(&place, path, err);
    if (r == 0)
        r = lock(&place, path, err);
    if (r == 0 && (r = read_format(&place, path, err)) == ERR_NOT_FOUND) {
        uuid_generate(place.uuid);
        place.format = 0;
        r = 0;
    }
    if (r == 0 && place.format < STORE_FORMAT)
        r = write_format(&place, path, err);
    if (r == 0 && fchmod(place.dirfd, 0700) != 0)
        r = err_sys(err, errno, "make %s private", path);
    if (r != 0) {
        place_close(&place);
        return r;
    }
    *out = place;
    return 0;
}

void place_close(struct place *place)
{
    if (place->lockfd >= 0)
        close(place->lockfd);
    if (place->dirfd >= 0)
        close(place->dirfd);
    place->lockfd = place->dirfd = -1;
}
