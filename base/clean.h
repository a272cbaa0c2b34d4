/*
 * Scope-bound ownership: early returns without leaks.
 */
#ifndef BASE_CLEAN_H
#define BASE_CLEAN_H

#include <dirent.h>
#include <stdlib.h>
#include <unistd.h>

static inline void clean_free(void *p)
{
    free(*(void **)p);
}

static inline void clean_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

static inline void clean_dir(DIR **dir)
{
    if (*dir)
        closedir(*dir);
}

#define CLEAN_FREE __attribute__((cleanup(clean_free)))
#define CLEAN_FD __attribute__((cleanup(clean_fd)))
#define CLEAN_DIR __attribute__((cleanup(clean_dir)))

#endif
