#include "bridge/io/ss_watch.h"

#include <errno.h>
#include <sys/inotify.h>
#include <unistd.h>

int ss_watch_begin(struct ss_watch *w, struct err *err)
{
    *w = (struct ss_watch){.fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK), .directory = -1};
    if (w->fd >= 0)
        return 0;
    if (errno == EMFILE)
        return err_sys(err, EMFILE, "watch a file (fs.inotify.max_user_instances or open files are used up)");
    return err_sys(err, errno, "watch a file");
}

void ss_watch_finish(struct ss_watch *w)
{
    if (w->fd >= 0)
        close(w->fd);
    *w = (struct ss_watch){.fd = -1, .directory = -1};
}

static int add(struct ss_watch *w, const char *path, uint32_t events, struct err *err)
{
    int number = inotify_add_watch(w->fd, path, events);
    if (number >= 0)
        return number;
    if (errno == ENOSPC)
        return err_sys(err, ENOSPC, "watch %s (fs.inotify.max_user_watches is used up)", path);
    return err_sys(err, errno, "watch %s", path);
}

int ss_watch_file(struct ss_watch *w, const char *path, struct err *err)
{
    /* A file that is open somewhere is not deleted when its name goes: that is told as a change of its attributes. */
    int number = add(w, path, IN_MODIFY | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF, err);
    return number < 0 ? number : 0;
}

int ss_watch_directory(struct ss_watch *w, const char *directory, struct err *err)
{
    int number = add(w, directory, IN_CREATE | IN_MOVED_TO | IN_ONLYDIR, err);
    if (number < 0)
        return number;
    w->directory = number;
    return 0;
}

void ss_watch_drop(struct ss_watch *w)
{
    if (w->directory >= 0)
        inotify_rm_watch(w->fd, w->directory);
    w->directory = -1;
}

bool ss_watch_take(struct ss_watch *w, bool *moved)
{
    _Alignas(struct inotify_event) char told[4096];
    bool any = false;
    ssize_t n;
    while ((n = read(w->fd, told, sizeof told)) > 0) {
        any = true;
        for (ssize_t at = 0; at < n;) {
            const struct inotify_event *e = (const struct inotify_event *)(told + at);
            if (e->mask & ~(uint32_t)IN_MODIFY)
                *moved = true;
            at += (ssize_t)sizeof *e + (ssize_t)e->len;
        }
    }
    return any;
}
