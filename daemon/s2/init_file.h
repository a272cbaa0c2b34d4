/*
 * Basins and streams to have at the start, as a file says:
 *
 *   {"basins":[{"name":NAME,"config":BASIN CONFIG,"streams":[{"name":NAME,"config":STREAM CONFIG}]}]}
 *
 * Configs are those of the API but for retention_policy, "infinite" or a duration such as "1h 30m", and delete_on_empty,
 * {"min_age":DURATION}. Unknown members are errors, but for the outermost.
 */
#ifndef DAEMON_S2_INIT_FILE_H
#define DAEMON_S2_INIT_FILE_H

#include "base/s2/config.h"
#include "base/s2/names.h"

struct init_stream {
    struct buf name;
    struct s2_stream_config config;
};

struct init_basin {
    char name[S2_BASIN_MAX + 1];
    struct s2_basin_config config;
    struct init_stream *streams;
    size_t count;
};

struct init_file {
    struct init_basin *basins;
    size_t count;
};

/** Takes a text. Every fault is told to `fault` as one line; ERR_INVALID when there was one. -ENOMEM. Any thread. */
int init_file_parse(struct init_file *out, struct span text, void (*fault)(void *arg, const char *line), void *arg);
/** Reads a file. Faults go to standard error. ERR_INVALID, -errno. Blocks. */
int init_file_read(struct init_file *out, const char *path, struct err *err);
void init_file_finish(struct init_file *file);

/** A duration as people write it: "7days", "1h 30m", in ms. ERR_INVALID. */
int init_duration(struct span text, uint64_t *out_ms);

#endif
