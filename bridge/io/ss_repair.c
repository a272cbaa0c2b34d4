/*
 * Mending: a new file beside the old one, checked, then put into its place. At any moment the path names a whole file.
 *
 *   1. The old file is locked from the first look to the end, so no writer of ours comes between.
 *   2. PATH.repairing is ours under that lock: one that a killed run left is thrown away.
 *   3. The old file gets its second name before the new one takes the first; names are synced after each step.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clean.h"
#include "bridge/io/ss_look.h"
#include "bridge/io/ss_place.h"

#define GATHER ((size_t)1024 * 1024)
#define NAMES_MAX 10000

struct repair {
    char *path;     /* no symbolic link */
    char *fresh;    /* the new file's name until it is done */
    int old, fd;
    struct stat st; /* of the old file, at the first look */
    struct ss_pack pack;
    struct buf out;
    uint64_t written;
    bool marked;
    uint64_t mark_ms; /* of the last end mark */
    uint64_t messages;
    const struct ss_looker *looker;
    uint64_t passed; /* bytes of the passes before this one */
};

static void tick(void *arg, uint64_t bytes)
{
    const struct repair *r = arg;
    if (r->looker && r->looker->tick)
        r->looker->tick(r->looker->arg, r->passed + bytes);
}

/* --- the new file ----------------------------------------------------------------------------- */

static int flush(struct repair *r, struct err *err)
{
    size_t done = 0;
    while (done < r->out.len) {
        ssize_t n = ss_place_calls.pwrite(r->fd, r->out.ptr + done, r->out.len - done, (off_t)(r->written + done));
        if (n < 0 && errno != EINTR)
            return err_sys(err, errno, "write %s", r->fresh);
        done += n > 0 ? (size_t)n : 0;
    }
    r->written += done;
    buf_reset(&r->out);
    return 0;
}

/* End marks are taken out: one comes at the very end. */
static int take(void *arg, const struct ss_message *m, struct err *err)
{
    struct repair *r = arg;
    if (ss_is_end(m)) {
        r->marked = true;
        r->mark_ms = m->time_ms;
        return 0;
    }
    int rc = ss_pack_message(&r->pack, m, &r->out, err);
    r->messages += rc == 0;
    return rc == 0 && r->out.len >= GATHER ? flush(r, err) : rc;
}

static int open_fresh(struct repair *r, struct err *err)
{
    if (unlink(r->fresh) != 0 && errno != ENOENT)
        return err_sys(err, errno, "remove %s", r->fresh);
    r->fd = open(r->fresh, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    return r->fd >= 0 ? 0 : err_sys(err, errno, "create %s", r->fresh);
}

/* Whoever could read the old one can read the new one. */
static int same_rights(const struct repair *r, struct err *err)
{
    if (fchown(r->fd, r->st.st_uid, r->st.st_gid) != 0 && errno != EPERM)
        return err_sys(err, errno, "give %s its owner", r->fresh);
    return fchmod(r->fd, r->st.st_mode & 07777) == 0 ? 0 : err_sys(err, errno, "give %s its rights", r->fresh);
}

static int write_fresh(struct repair *r, struct ss_report *report, struct err *err)
{
    struct ss_header h;
    bool odd;
    const struct ss_taker taker = {take, r};
    const struct ss_looker looker = {.tick = tick, .arg = r};
    int rc = ss_look_header(r->old, r->path, &h, &odd, err);
    if (rc != 0)
        return rc;
    ss_pack_begin(&r->pack, h.interval, SS_HEADER_SIZE);
    if (ss_pack_header(&r->pack, &h, &r->out) != 0)
        return err_set(err, -ENOMEM, "no memory");
    r->passed = (uint64_t)r->st.st_size;
    rc = ss_look(r->old, r->path, (uint64_t)r->st.st_size, &looker, &taker, report, err);
    if (rc == 0 && r->marked)
        rc = ss_pack_end(&r->pack, r->mark_ms, &r->out, err);
    if (rc == 0)
        rc = flush(r, err);
    if (rc == 0)
        rc = same_rights(r, err);
    if (rc == 0 && ss_place_calls.fsync(r->fd) != 0)
        rc = err_sys(err, errno, "sync %s", r->fresh);
    return rc;
}

/* Nothing is put into place that does not read back. */
static int check_fresh(struct repair *r, struct err *err)
{
    struct ss_report again;
    const struct ss_looker looker = {.tick = tick, .arg = r};
    r->passed = (uint64_t)r->st.st_size * 2;
    int rc = ss_look(r->fd, r->fresh, r->written, &looker, NULL, &again, err);
    if (rc == 0 && (again.faults > 0 || again.torn > 0 || again.messages != r->messages))
        rc = err_set(err, ERR_DAMAGED, "%s does not read back as it was written", r->fresh);
    return rc;
}

/* --- into its place --------------------------------------------------------------------------- */

static int check_unchanged(const struct repair *r, struct err *err)
{
    struct stat now;
    if (fstat(r->old, &now) != 0)
        return err_sys(err, errno, "look at %s", r->path);
    if (now.st_size == r->st.st_size && now.st_mtim.tv_sec == r->st.st_mtim.tv_sec &&
        now.st_mtim.tv_nsec == r->st.st_mtim.tv_nsec && ss_place_is(r->path, r->old))
        return 0;
    return err_set(err, ERR_CONFLICT, "%s was written to meanwhile; stop its writer first", r->path);
}

/* The old file's second name: PATH.damaged, PATH.damaged.1 and so on, the first that is free. */
static int keep_old(const struct repair *r, char **kept, struct err *err)
{
    for (int i = 0; i < NAMES_MAX; i++) {
        char *name = NULL;
        int len = i == 0 ? asprintf(&name, "%s.damaged", r->path) : asprintf(&name, "%s.damaged.%d", r->path, i);
        if (len < 0)
            return err_set(err, -ENOMEM, "no memory");
        if (link(r->path, name) == 0) {
            *kept = name;
            return 0;
        }
        int why = errno;
        free(name);
        if (why != EEXIST)
            return err_sys(err, why, "give %s a second name", r->path);
    }
    return err_set(err, ERR_FULL, "too many old files: %s.damaged.N", r->path);
}

static int put_in_place(const struct repair *r, char **kept, struct err *err)
{
    int rc = check_unchanged(r, err);
    if (rc == 0)
        rc = keep_old(r, kept, err);
    if (rc == 0)
        rc = ss_place_sync_directory(r->path, err);
    if (rc == 0 && rename(r->fresh, r->path) != 0)
        rc = err_sys(err, errno, "rename %s", r->fresh);
    return rc == 0 ? ss_place_sync_directory(r->path, err) : rc;
}

/* --- the whole -------------------------------------------------------------------------------- */

static int mend(struct repair *r, bool *changed, char **kept, struct ss_report *report, struct err *err)
{
    int rc = open_fresh(r, err);
    if (rc == 0)
        rc = write_fresh(r, report, err);
    if (rc == 0)
        rc = check_fresh(r, err);
    if (rc == 0)
        rc = put_in_place(r, kept, err);
    *changed = rc == 0;
    /* Where it failed the old file is still in its place, and the new one goes. */
    if (rc != 0) {
        unlink(r->fresh);
        if (*kept && ss_place_is(r->path, r->old))
            unlink(*kept);
        free(*kept);
        *kept = NULL;
    }
    return rc;
}

static int find_path(struct repair *r, const char *path, struct err *err)
{
    r->path = realpath(path, NULL);
    if (!r->path)
        return err_sys(err, errno, "%s", path);
    if (asprintf(&r->fresh, "%s.repairing", r->path) >= 0)
        return 0;
    r->fresh = NULL;
    return err_set(err, -ENOMEM, "no memory");
}

static void finish(struct repair *r)
{
    ss_pack_finish(&r->pack);
    buf_finish(&r->out);
    if (r->fd >= 0)
        close(r->fd);
    if (r->old >= 0)
        close(r->old);
    free(r->path);
    free(r->fresh);
}

int ss_file_repair(const char *path, bool *changed, char **kept, struct ss_report *out, const struct ss_looker *looker,
                   struct err *err)
{
    struct repair r = {.old = -1, .fd = -1, .looker = looker};
    *changed = false;
    *kept = NULL;
    int rc = find_path(&r, path, err);
    if (rc == 0)
        rc = ss_place_lock(&r.old, r.path, SS_PLACE_OLD, NULL, err);
    if (rc == 0 && fstat(r.old, &r.st) != 0)
        rc = err_sys(err, errno, "look at %s", r.path);
    if (rc == 0)
        rc = ss_look(r.old, r.path, (uint64_t)r.st.st_size, looker, NULL, out, err);
    if (rc == 0 && out->faults > 0)
        rc = mend(&r, changed, kept, out, err);
    finish(&r);
    return rc;
}
