#include <unistd.h>

#include "base/clean.h"
#include "bridge/io/ss_look.h"
#include "bridge/io/ss_place.h"

int ss_file_verify(const char *path, struct ss_report *out, const struct ss_looker *looker, struct err *err)
{
    CLEAN_FD int fd = -1;
    uint64_t size;
    int rc = ss_place_open(&fd, path, err);
    if (rc == 0)
        rc = ss_place_size(fd, path, &size, err);
    return rc == 0 ? ss_look(fd, path, size, looker, NULL, out, err) : rc;
}
