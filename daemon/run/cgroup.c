#include "daemon/run/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/clean.h"
#include "daemon/run/tree.h"

static const char *const names[CGROUP_KINDS] = {"memory", "pids"};

/* --- files --------------------------------------------------------------------------------------
 */

static int write_text(const char *dir, const char *file, const char *text)
{
    char path[PATH_MAX];
    if (snprintf(path, sizeof(path), "%s/%s", dir, file) >= (int)sizeof(path))
        return -ENAMETOOLONG;
    CLEAN_FD int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    return write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

static int write_number(const char *dir, const char *file, uint64_t value)
{
    char text[24];
    snprintf(text, sizeof(text), "%" PRIu64, value);
    return write_text(dir, file, text);
}

/* Is `word` among the blank- or comma-separated ones? */
static bool has_word(const char *list, const char *word)
{
    size_t len = strlen(word);
    for (const char *p = list; *p != '\0'; p += strspn(p, " ,\n")) {
        size_t n = strcspn(p, " ,\n");
        if (n == len && memcmp(p, word, len) == 0)
            return true;
        p += n;
    }
    return false;
}

static bool file_has_word(const char *dir, const char *file, const char *word)
{
    char path[PATH_MAX], text[1024];
    if (snprintf(path, sizeof(path), "%s/%s", dir, file) >= (int)sizeof(path))
        return false;
    CLEAN_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
    text[n > 0 ? n : 0] = '\0';
    return has_word(text, word);
}

/* --- our own group ------------------------------------------------------------------------------
 */

/* The path of our group in the hierarchy of `controller`, from /proc/self/cgroup; "" names
 * version 2. */
static bool own_path(const char *controller, char *out, size_t size)
{
    char *line = NULL;
    size_t room = 0;
    bool found = false;
    FILE *file = fopen("/proc/self/cgroup", "re");
    while (file && !found && getline(&line, &room, file) > 0) {
        char *controllers = strchr(line, ':');
        char *path = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!path)
            continue;
        *path++ = '\0';
        path[strcspn(path, "\n")] = '\0';
        controllers++;
        found = *controller ? has_word(controllers, controller) : *controllers == '\0';
        if (found)
            found = snprintf(out, size, "%s", path) < (int)size;
    }
    if (file)
        fclose(file);
    free(line);
    return found;
}

/* A line of mountinfo: number parent device ROOT POINT options ... - TYPE source OPTIONS. */
static bool mount_fits(char *line, const char *controller, char **root, char **point)
{
    char *words[6], *save = NULL;
    char *tail = strstr(line, " - ");
    if (!tail)
        return false;
    *tail = '\0';
    for (int i = 0; i < 5; i++)
        if (!(words[i] = strtok_r(i ? NULL : line, " ", &save)))
            return false;
    char *type = strtok_r(tail + 3, " ", &save);
    strtok_r(NULL, " ", &save);
    char *options = strtok_r(NULL, "\n", &save);
    *root = words[3];
    *point = words[4];
    if (!type || !options)
        return false;
    return *controller ? strcmp(type, "cgroup") == 0 && has_word(options, controller)
                       : strcmp(type, "cgroup2") == 0;
}

/* Only what lies below the root of the mount can be seen through it. */
static bool own_directory(const char *controller, char *out)
{
    char own[PATH_MAX], *root, *point, *line = NULL;
    size_t room = 0;
    bool found = false;
    if (!own_path(controller, own, sizeof(own)))
        return false;
    FILE *file = fopen("/proc/self/mountinfo", "re");
    while (file && !found && getline(&line, &room, file) > 0) {
        if (!mount_fits(line, controller, &root, &point))
            continue;
        size_t skip = strcmp(root, "/") == 0 ? 0 : strlen(root);
        if (strncmp(own, root, skip) != 0)
            skip = strlen(own); /* a container's: its mount is its group */
        const char *below = strcmp(own + skip, "/") == 0 ? "" : own + skip;
        found = snprintf(out, PATH_MAX, "%s%s", point, below) < PATH_MAX;
    }
    if (file)
        fclose(file);
    free(line);
    return found;
}

/* --- version 2 ----------------------------------------------------------------------------------
 */

static bool is_delegated(const char *dir)
{
    struct stat st;
    char value[4];
    if (getxattr(dir, "user.delegate", value, sizeof(value)) == 1 && value[0] == '1')
        return true;
    if (getxattr(dir, "trusted.delegate", value, sizeof(value)) == 1 && value[0] == '1')
        return true;
    return geteuid() != 0 && stat(dir, &st) == 0 && st.st_uid == geteuid();
}

/* The daemon, that is our parent as long as it runs our program, and all below it. */
static bool list_ours(struct tree *ours, pid_t daemon)
{
    struct stat its, mine;
    char exe[64];
    snprintf(exe, sizeof(exe), "/proc/%d/exe", (int)daemon);
    return stat(exe, &its) == 0 && stat("/proc/self/exe", &mine) == 0 &&
           its.st_ino == mine.st_ino && its.st_dev == mine.st_dev &&
           tree_list(ours, daemon, NULL, NULL) == 0;
}

static bool is_ours(const struct tree *ours, pid_t daemon, pid_t pid)
{
    for (size_t i = 0; i < ours->len; i++)
        if (ours->nodes[i].pid == pid)
            return true;
    return pid == daemon;
}

/* Reads the group's processes, and moves them where `below` is given. False: one is not ours, as in
 * the group of a terminal. */
static bool each_process(const char *dir, const char *below)
{
    char path[PATH_MAX], *line = NULL;
    size_t room = 0;
    struct tree ours = {0};
    pid_t daemon = getppid();
    bool good = list_ours(&ours, daemon) &&
                snprintf(path, sizeof(path), "%s/cgroup.procs", dir) < (int)sizeof(path);
    FILE *file = good ? fopen(path, "re") : NULL;
    while (file && good && getline(&line, &room, file) > 0) {
        good = is_ours(&ours, daemon, (pid_t)strtol(line, NULL, 10));
        if (good && below)
            write_text(below, "cgroup.procs", line);
    }
    if (file)
        fclose(file);
    free(line);
    tree_finish(&ours);
    return good && file;
}

/* A group with processes of its own must not limit groups below it: they move one further down. */
static void move_down(const char *dir)
{
    char below[PATH_MAX];
    if (snprintf(below, sizeof(below), "%s/weir-self", dir) >= (int)sizeof(below) ||
        !each_process(dir, NULL) || (mkdir(below, 0755) < 0 && errno != EEXIST))
        return;
    each_process(dir, below);
}

/* Has or gets the controller switched on for the groups below. */
static bool can_limit(const char *dir, const char *controller)
{
    char on[16];
    if (file_has_word(dir, "cgroup.subtree_control", controller))
        return true;
    if (!file_has_word(dir, "cgroup.controllers", controller) || !is_delegated(dir))
        return false;
    snprintf(on, sizeof(on), "+%s", controller);
    if (write_text(dir, "cgroup.subtree_control", on) == 0)
        return true;
    move_down(dir);
    return write_text(dir, "cgroup.subtree_control", on) == 0;
}

/* A daemon that was moved down before finds itself in `weir-self`. */
static bool unified_directory(char *out)
{
    if (!own_directory("", out))
        return false;
    char *last = strrchr(out, '/');
    if (last && strcmp(last, "/weir-self") == 0)
        *last = '\0';
    return true;
}

/* --- places -------------------------------------------------------------------------------------
 */

/* Groups `weir-PID-N` of supervisors that are no more; one that is not empty stays. */
static void sweep(const char *dir)
{
    struct dirent *entry;
    CLEAN_DIR DIR *groups = opendir(dir);
    while (groups && (entry = readdir(groups)) != NULL) {
        int pid;
        uint64_t n;
        if (sscanf(entry->d_name, "weir-%d-%" SCNu64, &pid, &n) == 2 && pid > 0 &&
            kill(pid, 0) < 0 && errno == ESRCH)
            unlinkat(dirfd(groups), entry->d_name, AT_REMOVEDIR);
    }
}

static void find_kind(struct cgroup_places *out, enum cgroup_kind kind)
{
    char *path = out->path[kind];
    if (unified_directory(path) && can_limit(path, names[kind]))
        out->unified[kind] = true;
    else if (!own_directory(names[kind], path))
        path[0] = '\0';
    if (path[0] && access(path, W_OK) < 0)
        path[0] = '\0';
    if (path[0])
        sweep(path);
}

void cgroup_find(struct cgroup_places *out)
{
    for (int kind = 0; kind < CGROUP_KINDS; kind++) {
        out->path[kind][0] = '\0';
        out->unified[kind] = false;
        find_kind(out, (enum cgroup_kind)kind);
    }
}

/* --- one program's groups
 * ------------------------------------------------------------------------- */

static bool name(char *out, const char *place, pid_t supervisor, uint64_t number)
{
    return place[0] && snprintf(out, PATH_MAX, "%s/weir-%d-%" PRIu64, place, (int)supervisor,
                                number) < PATH_MAX;
}

/* Swap counts as memory, where it is limited at all. */
static int limit_memory(const char *dir, bool unified, uint64_t limit)
{
    int rc = write_number(dir, unified ? "memory.max" : "memory.limit_in_bytes", limit);
    if (unified) {
        write_number(dir, "memory.swap.max", 0);
        write_number(dir, "memory.oom.group", 1);
    } else {
        write_number(dir, "memory.memsw.limit_in_bytes", limit);
    }
    return rc;
}

bool cgroup_make(struct cgroup *group, const struct cgroup_places *places, enum cgroup_kind kind,
                 pid_t supervisor, uint64_t number, uint64_t limit)
{
    char dir[PATH_MAX], procs[PATH_MAX + 16];
    if (!name(dir, places->path[kind], supervisor, number) ||
        (mkdir(dir, 0755) < 0 && errno != EEXIST))
        return false;
    snprintf(procs, sizeof(procs), "%s/cgroup.procs", dir);
    int rc = kind == CGROUP_MEMORY ? limit_memory(dir, places->unified[kind], limit)
                                   : write_number(dir, "pids.max", limit);
    int fd = rc < 0 ? -1 : open(procs, O_WRONLY | O_CLOEXEC);
    if (fd < 0) {
        if (!places->unified[kind]) /* version 2: the other kind may be there */
            rmdir(dir);
        return false;
    }
    group->procs[kind] = fd;
    return true;
}

int cgroup_join(const struct cgroup *group)
{
    for (int kind = 0; kind < CGROUP_KINDS; kind++)
        if (group->procs[kind] >= 0 && write(group->procs[kind], "0", 1) < 0)
            return -errno;
    return 0;
}

void cgroup_close(struct cgroup *group)
{
    for (int kind = 0; kind < CGROUP_KINDS; kind++) {
        if (group->procs[kind] >= 0)
            close(group->procs[kind]);
        group->procs[kind] = -1;
    }
}

bool cgroup_starved(const struct cgroup_places *places, pid_t supervisor, uint64_t number)
{
    char dir[PATH_MAX], path[PATH_MAX], text[1024];
    bool unified = places->unified[CGROUP_MEMORY];
    if (!name(dir, places->path[CGROUP_MEMORY], supervisor, number) ||
        snprintf(path, sizeof(path), "%s/%s", dir,
                 unified ? "memory.events" : "memory.oom_control") >= (int)sizeof(path))
        return false;
    CLEAN_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
    text[n > 0 ? n : 0] = '\0';
    const char *count = strstr(text, "oom_kill ");
    return count && strtoul(count + strlen("oom_kill "), NULL, 10) > 0;
}

void cgroup_remove(const struct cgroup_places *places, pid_t supervisor, uint64_t number)
{
    char dir[PATH_MAX];
    for (int kind = 0; kind < CGROUP_KINDS; kind++)
        if (name(dir, places->path[kind], supervisor, number))
            rmdir(dir);
}
