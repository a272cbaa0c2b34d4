/*
 * The yardstick: a bare loop of write + fdatasync on a preallocated, zero-filled file, as fast as this disk
 * lets one thread be. Usage: sync_loop FILE COUNT BYTES. Prints p50 and p99 in microseconds.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static double now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static int rising(const void *a, const void *b)
{
    double d = *(const double *)a - *(const double *)b;
    return d < 0 ? -1 : d > 0;
}

static int die(const char *what)
{
    fprintf(stderr, "sync_loop: %s: %s\n", what, strerror(errno));
    return 1;
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: sync_loop FILE COUNT BYTES\n");
        return 2;
    }
    size_t count = strtoul(argv[2], NULL, 10), bytes = strtoul(argv[3], NULL, 10);
    double *took = calloc(count, sizeof *took);
    uint8_t *block = calloc(1, 65536);
    int fd = open(argv[1], O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || !took || !block || bytes > 65536 || count == 0)
        return die("set up");
    for (size_t done = 0; done < count * bytes; done += 65536)
        if (pwrite(fd, block, 65536, (off_t)done) != 65536)
            return die("fill");
    if (fsync(fd) != 0)
        return die("fsync");
    memset(block, 7, bytes);
    for (size_t i = 0; i < count; i++) {
        double start = now_us();
        if (pwrite(fd, block, bytes, (off_t)(i * bytes)) != (ssize_t)bytes || fdatasync(fd) != 0)
            return die("write");
        took[i] = now_us() - start;
    }
    qsort(took, count, sizeof *took, rising);
    printf("{\"p50_us\":%.1f,\"p99_us\":%.1f,\"count\":%zu}\n", took[count / 2], took[count * 99 / 100], count);
    close(fd);
    unlink(argv[1]);
    free(took);
    free(block);
    return 0;
}
