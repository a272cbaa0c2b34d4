/*
 * What opening a .ss file for writing and writing it share. Not for others.
 */
#ifndef BRIDGE_IO_SS_WRITER_IMPL_H
#define BRIDGE_IO_SS_WRITER_IMPL_H

#include "bridge/io/ss_file.h"
#include "bridge/io/ss_place.h"

struct ss_writer {
    int fd;
    char *path;
    uint64_t limit;
    struct ss_pack pack;
    struct buf out;
    uint64_t end;            /* of what the file has */
    uint64_t old;            /* where its own content ended at opening: what ss_find_last looks at */
    unsigned searches;       /* for a stream's last message; after a few of them */
    struct ss_pack before;   /* has all streams of the old content */
    bool has_before;
    struct ss_stream *last;  /* of the message put last, as most have the same */
    uint64_t cut;
    bool was_end;
    bool ended;              /* by its end mark: nothing may follow */
    int spoilt;              /* why: a negative code */
};

#endif
