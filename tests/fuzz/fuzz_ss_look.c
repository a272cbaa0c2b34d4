/*
 * Any bytes as a damaged .ss file: looking at it ends, and the messages that are found make a file without a fault.
 */
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clean.h"
#include "bridge/io/ss_look.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct mended {
    struct ss_pack pack;
    struct buf out;
};

static void demand(bool holds)
{
    if (!holds)
        abort();
}

static int take(void *arg, const struct ss_message *m, struct err *err)
{
    struct mended *to = arg;
    return ss_is_end(m) ? 0 : ss_pack_message(&to->pack, m, &to->out, err);
}

static int file_of(const void *bytes, size_t len)
{
    int fd = memfd_create("look", MFD_CLOEXEC);
    demand(fd >= 0 && write(fd, bytes, len) == (ssize_t)len);
    return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ss_header h;
    struct ss_report found, again;
    struct mended to = {.out = BUF_INIT};
    const struct ss_taker taker = {take, &to};
    bool odd;
    CLEAN_FD int fd = file_of(data, size);
    if (ss_look_header(fd, "input", &h, &odd, NULL) != 0)
        return 0;
    ss_pack_begin(&to.pack, h.interval, SS_HEADER_SIZE);
    demand(ss_pack_header(&to.pack, &h, &to.out) == 0);
    demand(ss_look(fd, "input", size, NULL, &taker, &found, NULL) == 0);
    demand(found.good <= size && found.torn <= size && found.lost <= size && found.behind <= size);
    CLEAN_FD int fresh = file_of(to.out.ptr, to.out.len);
    demand(ss_look(fresh, "mended", to.out.len, NULL, NULL, &again, NULL) == 0);
    demand(again.faults == 0 && again.odd_items == 0 && again.torn == 0);
    demand(again.messages == found.messages);
    buf_finish(&to.out);
    ss_pack_finish(&to.pack);
    return 0;
}
