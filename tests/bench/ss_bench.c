/*
 * The file writer by itself: COUNT messages of SIZE bytes appended to FILE, which is made when it is missing, and synced. Prints how
 * long opening and all of it took.
 *
 * ss_bench FILE COUNT SIZE
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "bridge/io/ss_file.h"

static int fail(const struct err *err)
{
    fprintf(stderr, "ss_bench: %s\n", err->text);
    return 1;
}

static int write_all(struct ss_writer *w, uint64_t count, struct span payload, struct err *err)
{
    int rc = 0;
    for (uint64_t i = 0; rc == 0 && i < count; i++) {
        struct ss_message m = {.key = span_str("bench"), .time_ms = time_now_ms(), .payload = payload};
        rc = ss_writer_put(w, &m, true, err);
    }
    return rc == 0 ? ss_writer_flush(w, true, err) : rc;
}

int main(int argc, char **argv)
{
    struct err err = ERR_INIT;
    uint64_t count = 0, size = 0;
    if (argc != 4 || text_u64(span_str(argv[2]), &count) != 0 || text_u64(span_str(argv[3]), &size) != 0 || size > UINT32_MAX) {
        fprintf(stderr, "ss_bench FILE COUNT SIZE\n");
        return 2;
    }
    char *payload = malloc(size + 1);
    if (!payload)
        return 1;
    memset(payload, 'x', size);
    struct ss_writer *w;
    struct ss_writer_options options = {0};
    uint64_t begun = time_mono_us();
    if (ss_writer_open(&w, argv[1], &options, &err) != 0)
        return fail(&err);
    uint64_t open = time_mono_us();
    if (write_all(w, count, span_of(payload, size), &err) != 0)
        return fail(&err);
    ss_writer_close(w);
    free(payload);
    printf("open %.3f ms, all %.3f ms\n", (double)(open - begun) / 1000, (double)(time_mono_us() - begun) / 1000);
    return 0;
}
