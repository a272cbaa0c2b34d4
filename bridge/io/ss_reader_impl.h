/*
 * What opening a .ss file for reading and reading it share. Not for others.
 */
#ifndef BRIDGE_IO_SS_READER_IMPL_H
#define BRIDGE_IO_SS_READER_IMPL_H

#include "bridge/io/ss_file.h"
#include "bridge/io/ss_watch.h"

struct ss_reader {
    int fd; /* -1: the file is waited for */
    char *path;
    bool follow, wait, want_beacons;
    struct ss_header header;
    struct ss_scan scan;
    uint8_t *window;
    size_t cap, len, at; /* of the window; the next frame is at `at` */
    struct ss_watch watch;
    bool doubt;          /* the path may name another file now */
    bool gone;           /* it does */
    bool second;         /* what looked damaged is being read once more */
    uint64_t size, rest;
};

/** Reads the file's header as it is now. As ss_reader_open; -EAGAIN: it is not there yet, and is waited for. */
int ss_reader_header_read(const struct ss_reader *r, int fd, struct ss_header *out, struct err *err);
/** Opens the file that is waited for. -EAGAIN: it is not there yet. */
int ss_reader_start(struct ss_reader *r, struct err *err);

#endif
