/*
 * Any bytes as a sums file: parsed, checked as a file, and, with the check put right, checked
 * again.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <xxhash.h>

#include "cas/sums.h"

#define LEN_MAX 65536

static void require(int holds)
{
    if (!holds)
        abort();
}

/* Checks the bytes as a file; anything but "whole" or "damaged" is a fault of ours. */
static int check_file(struct span bytes, const struct sums_head *head)
{
    int fd = memfd_create("sums", MFD_CLOEXEC);
    if (fd < 0 || cas_write_all(fd, bytes, 0) < 0)
        abort();
    int rc = sums_file_check(fd, head->digest, head->blob_size);
    require(rc == 0 || rc == ERR_DAMAGED);
    uint64_t count = (bytes.len - SUMS_HEAD_SIZE) / SUMS_ITEM_SIZE;
    uint64_t sum;
    if (rc == 0) {
        require(count == sums_count(head->blob_size));
        require(count == 0 || sums_read(fd, count - 1, &sum) == 0);
        require(sums_read(fd, count, &sum) == ERR_DAMAGED);
    }
    close(fd);
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sums_head head;
    if (size > LEN_MAX || sums_head_parse(span_of(data, size), &head) < 0)
        return 0;
    check_file(span_of(data, size), &head);

    uint8_t *mended = malloc(size);
    if (!mended)
        return 0;
    memcpy(mended, data, size);
    uint64_t body = XXH3_64bits(data + SUMS_HEAD_SIZE, size - SUMS_HEAD_SIZE);
    sums_head_format(mended, head.blob_size, head.digest, body);
    require(memcmp(mended, data, SUMS_HEAD_SIZE - 8) == 0);
    int fits = (size - SUMS_HEAD_SIZE) % SUMS_ITEM_SIZE == 0 &&
               sums_count(head.blob_size) == (size - SUMS_HEAD_SIZE) / SUMS_ITEM_SIZE;
    require((check_file(span_of(mended, size), &head) == 0) == fits);
    free(mended);
    return 0;
}
