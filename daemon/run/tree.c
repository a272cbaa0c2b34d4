#include "daemon/run/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clean.h"

#define STOP_PASSES 20 /* a storm of forks is still by then, or is killed as far as it is known */

static int add(struct tree *tree, pid_t pid, pid_t parent)
{
    if (tree->len == tree->cap) {
        size_t cap = tree->cap ? tree->cap * 2 : 32;
        struct tree_node *nodes = realloc(tree->nodes, cap * sizeof(*nodes));
        if (!nodes)
            return -ENOMEM;
        tree->nodes = nodes;
        tree->cap = cap;
    }
    tree->nodes[tree->len++] = (struct tree_node){.pid = pid, .parent = parent};
    return 0;
}

void tree_finish(struct tree *tree)
{
    free(tree->nodes);
    *tree = (struct tree){0};
}

/* A directory entry or a word as a process number; 0 when it is none. */
static pid_t number(const char *text)
{
    char *end;
    long value = strtol(text, &end, 10);
    return end != text && (*end == '\0' || *end == ' ') && value > 0 ? (pid_t)value : 0;
}

/* --- by /proc/PID/task/TID/children
 * ---------------------------------------------------------------- */

/* The file is words, each with a blank behind it, and comes in pieces that may cut a word. */
static int add_children(struct tree *tree, pid_t parent, int fd, tree_spare spare, void *arg)
{
    char piece[1024];
    size_t kept = 0;
    ssize_t n;
    while ((n = read(fd, piece + kept, sizeof(piece) - kept - 1)) > 0) {
        char *word = piece, *blank;
        piece[kept + (size_t)n] = '\0';
        for (; (blank = strchr(word, ' ')) != NULL; word = blank + 1) {
            pid_t pid = number(word);
            if (pid > 0 && !(spare && spare(arg, pid)) && add(tree, pid, parent) < 0)
                return -ENOMEM;
        }
        kept = strlen(word);
        memmove(piece, word, kept);
    }
    return n < 0 ? -errno : 0;
}

/* A process that is gone has no children any more: no error. */
static int children_of(struct tree *tree, pid_t parent, tree_spare spare, void *arg)
{
    char path[64];
    struct dirent *entry;
    int rc = 0;
    snprintf(path, sizeof(path), "/proc/%d/task", (int)parent);
    CLEAN_DIR DIR *tasks = opendir(path);
    while (tasks && rc == 0 && (entry = readdir(tasks)) != NULL) {
        pid_t task = number(entry->d_name);
        snprintf(path, sizeof(path), "%d/children", (int)task);
        CLEAN_FD int fd = task > 0 ? openat(dirfd(tasks), path, O_RDONLY | O_CLOEXEC) : -1;
        if (fd >= 0 && add_children(tree, parent, fd, spare, arg) == -ENOMEM)
            rc = -ENOMEM;
    }
    return rc;
}

static bool kernel_lists_children(void)
{
    static int known; /* 1 yes, -1 no */
    char path[64];
    if (known == 0) {
        snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
        known = access(path, R_OK) == 0 ? 1 : -1;
    }
    return known > 0;
}

int tree_list(struct tree *tree, pid_t root, tree_spare spare, void *arg)
{
    if (!kernel_lists_children())
        return tree_list_by_scan(tree, root, spare, arg);
    tree->len = 0;
    int rc = children_of(tree, root, spare, arg);
    for (size_t i = 0; i < tree->len && rc == 0; i++)
        rc = children_of(tree, tree->nodes[i].pid, NULL, NULL);
    return rc;
}

/* --- by a look at every process
 * ---------------------------------------------------------------------- */

/* The parent from /proc/PID/stat, where a command with any characters stands in front; 0 when the
 * process is gone. */
static pid_t parent_of(pid_t pid)
{
    char path[64], text[512];
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    CLEAN_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
    if (n <= 0)
        return 0;
    text[n] = '\0';
    const char *after = strrchr(text, ')');
    return after && strlen(after) > 4 ? number(after + 4) : 0;
}

static int list_all(struct tree *all)
{
    struct dirent *entry;
    CLEAN_DIR DIR *proc = opendir("/proc");
    if (!proc)
        return -errno;
    while ((entry = readdir(proc)) != NULL) {
        pid_t pid = number(entry->d_name);
        pid_t parent = pid > 0 ? parent_of(pid) : 0;
        if (parent > 0 && add(all, pid, parent) < 0)
            return -ENOMEM;
    }
    return 0;
}

static int pick(struct tree *tree, const struct tree *all, pid_t parent, tree_spare spare,
                void *arg)
{
    for (size_t i = 0; i < all->len; i++) {
        pid_t pid = all->nodes[i].pid;
        if (all->nodes[i].parent == parent && !(spare && spare(arg, pid)) &&
            add(tree, pid, parent) < 0)
            return -ENOMEM;
    }
    return 0;
}

int tree_list_by_scan(struct tree *tree, pid_t root, tree_spare spare, void *arg)
{
    struct tree all = {0};
    int rc = list_all(&all);
    tree->len = 0;
    rc = rc < 0 ? rc : pick(tree, &all, root, spare, arg);
    /* Numbers that were used again while we looked could make a circle. */
    for (size_t i = 0; i < tree->len && tree->len <= all.len && rc == 0; i++)
        rc = pick(tree, &all, tree->nodes[i].pid, NULL, NULL);
    tree_finish(&all);
    return rc;
}

/* --- signals
 * ------------------------------------------------------------------------------------------ */

/*
 * A child of ours keeps its number until we wait for it. Any other may be gone and its number a
 * stranger's: hold it first, then see that it still has the parent it was found with. One that
 * moved to another parent is found there by the next look.
 */
static bool signal_node(const struct tree_node *node, int signal)
{
    if (node->parent == getpid())
        return kill(node->pid, signal) == 0;
    CLEAN_FD int fd = (int)syscall(SYS_pidfd_open, node->pid, 0);
    if (fd < 0 && errno == ESRCH)
        return false;
    if (parent_of(node->pid) != node->parent)
        return false;
    if (fd < 0)
        return kill(node->pid, signal) == 0;
    return syscall(SYS_pidfd_send_signal, fd, signal, NULL, 0) == 0;
}

void tree_signal(int signal, tree_spare spare, void *arg)
{
    struct tree tree = {0};
    if (tree_list(&tree, getpid(), spare, arg) == 0 || tree.len > 0)
        for (size_t i = 0; i < tree.len; i++) {
            signal_node(&tree.nodes[i], signal);
            if (signal == SIGTERM)
                signal_node(&tree.nodes[i], SIGCONT);
        }
    tree_finish(&tree);
}

static bool was_stopped(const struct tree *before, pid_t pid)
{
    for (size_t i = 0; i < before->len; i++)
        if (before->nodes[i].pid == pid && before->nodes[i].stopped)
            return true;
    return false;
}

/* Stops what is not yet stopped; returns how many those were. */
static size_t stop_new(struct tree *tree, const struct tree *before)
{
    size_t found = 0;
    for (size_t i = 0; i < tree->len; i++) {
        struct tree_node *node = &tree->nodes[i];
        node->stopped = was_stopped(before, node->pid);
        if (!node->stopped) {
            node->stopped = signal_node(node, SIGSTOP);
            found++;
        }
    }
    return found;
}

void tree_kill(tree_spare spare, void *arg)
{
    struct tree now = {0}, before = {0};
    for (unsigned pass = 0; pass < STOP_PASSES; pass++) {
        struct tree swap = before;
        before = now;
        now = swap;
        if (tree_list(&now, getpid(), spare, arg) < 0 || stop_new(&now, &before) == 0)
            break;
    }
    for (size_t i = 0; i < now.len; i++)
        signal_node(&now.nodes[i], SIGKILL);
    tree_finish(&now);
    tree_finish(&before);
}
