#include "cmd/neighbour_program.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <weir/err.h>

#include "base/buf.h"

#define PATH_ROOM 4096

/* Beside the running program, else in PATH. Comes back only when it cannot be run. */
static int become(const char *neighbour, char *argv[])
{
    CLEAN_BUF path = BUF_INIT;
    size_t size = strlen(neighbour) + 1;
    if (buf_reserve(&path, PATH_ROOM + size) != 0)
        return -ENOMEM;
    ssize_t len = readlink("/proc/self/exe", (char *)path.ptr, PATH_ROOM);
    while (len > 0 && path.ptr[len - 1] != '/')
        len--;
    if (len > 0) {
        memcpy(path.ptr + len, neighbour, size);
        execv((char *)path.ptr, argv);
    }
    execvp(neighbour, argv);
    return -errno;
}

/* execv takes pointers to what it does not change. */
static char *text(const char *word)
{
    return (char *)word;
}

int neighbour_program(const char *neighbour, const char *word, const char *program, const char *verb, int argc,
                      char *const argv[])
{
    char **all = calloc((size_t)argc + 3, sizeof(*all));
    size_t count = 0;
    int rc = all ? 0 : -ENOMEM;
    if (rc == 0) {
        all[count++] = text(neighbour);
        if (word)
            all[count++] = text(word);
        for (int i = 0; i < argc; i++)
            all[count++] = argv[i];
        rc = become(neighbour, all);
    }
    free(all);
    fprintf(stderr, "%s %s: %s is neither beside weir nor in PATH: %s\n", program, verb, neighbour, err_code_text(rc));
    return EXIT_FAILURE;
}
