/* weir s2: runs weir-s2, which has the libraries that nothing else here needs. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"
#include "cmd/call.h"
#include "cmd/table.h"

#define PROGRAM "weir-s2"

/* Beside the running program, else in PATH. Comes back only when it cannot be run. */
static int become(char *argv[])
{
    CLEAN_BUF path = BUF_INIT;
    if (buf_reserve(&path, 4096 + sizeof(PROGRAM)) != 0)
        return -ENOMEM;
    ssize_t len = readlink("/proc/self/exe", (char *)path.ptr, 4096);
    while (len > 0 && path.ptr[len - 1] != '/')
        len--;
    if (len > 0) {
        memcpy(path.ptr + len, PROGRAM, sizeof(PROGRAM));
        execv((char *)path.ptr, argv);
    }
    execvp(PROGRAM, argv);
    return -errno;
}

static int exec_raw(const char *program, int argc, char *const argv[])
{
    char **all = calloc((size_t)argc + 2, sizeof(*all));
    static char name[] = PROGRAM;
    int rc = all ? 0 : -ENOMEM;
    if (rc == 0) {
        all[0] = name;
        for (int i = 0; i < argc; i++)
            all[i + 1] = argv[i];
        rc = become(all);
    }
    free(all);
    fprintf(stderr, "%s s2: " PROGRAM " is neither beside weir nor in PATH: %s\n", program,
            err_code_text(rc));
    return EXIT_FAILURE;
}

const struct cmd cmd_s2 = {
    .name = "s2",
    .group = GROUP_MOVE,
    .summary = "streams of the S2 API, here or at any endpoint",
    .operands = "VERB [OPTION]... [OPERAND]...",
    .about = "`weir s2 --help' lists the verbs.\n",
    .exec_raw = exec_raw,
};
