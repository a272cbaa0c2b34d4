#include "cas_fixture.h"

#define LEN ((size_t)CAS_SUM_MIN + 200001)

struct blob {
    uint8_t *bytes;
    struct span all;
    uint8_t digest[DIGEST_SIZE];
};

static struct blob blob_store(struct fixture *f)
{
    struct blob blob;
    blob.bytes = noise(LEN, 17);
    blob.all = span_of(blob.bytes, LEN);
    store(f->cas, blob.all, blob.digest);
    return blob;
}

static int check(struct fixture *f, const struct blob *blob)
{
    int fd = file_open(f->cas->sums_fd, blob->digest);
    if (fd < 0)
        return ERR_NOT_FOUND;
    int rc = sums_file_check(fd, blob->digest, LEN);
    close(fd);
    return rc;
}

static void unlink_sums(struct fixture *f, const struct blob *blob)
{
    char path[CAS_PATH_SIZE];
    cas_path(path, blob->digest);
    assert_int_equal(unlinkat(f->cas->sums_fd, path, 0), 0);
}

static void head_round_trip(void **state)
{
    uint8_t bytes[SUMS_HEAD_SIZE];
    uint8_t digest[DIGEST_SIZE];
    struct sums_head head;
    (void)state;
    memset(digest, 0x5a, sizeof(digest));
    sums_head_format(bytes, 0x0102030405060708U, digest, 99);
    assert_int_equal(sums_head_parse(span_of(bytes, sizeof(bytes)), &head), 0);
    assert_int_equal(head.blob_size, 0x0102030405060708U);
    assert_memory_equal(head.digest, digest, DIGEST_SIZE);
    assert_int_equal(sums_head_parse(span_of(bytes, SUMS_HEAD_SIZE - 1), &head), ERR_DAMAGED);
    bytes[11] = 2; /* a later version */
    assert_int_equal(sums_head_parse(span_of(bytes, sizeof(bytes)), &head), ERR_DAMAGED);
}

static void counts(void **state)
{
    (void)state;
    assert_int_equal(sums_count(0), 0);
    assert_int_equal(sums_count(1), 1);
    assert_int_equal(sums_count(65536), 1);
    assert_int_equal(sums_count(65537), 2);
    assert_int_equal(sums_count(UINT64_MAX), (uint64_t)1 << 48);
    uint8_t zeros[100] = {0};
    assert_int_not_equal(sums_block(span_of(zeros, 100), 0), sums_block(span_of(zeros, 100), 1));
}

/* Every bit of a sums file in turn: found, read around, and mended. */
static void every_flip_is_found(void **state)
{
    struct fixture *f = *state;
    struct blob blob = blob_store(f);
    size_t len = SUMS_HEAD_SIZE + (size_t)sums_count(LEN) * SUMS_ITEM_SIZE;
    int fd = file_open(f->cas->sums_fd, blob.digest);
    for (uint64_t bit = 0; bit < len * 8; bit++) {
        flip(fd, bit);
        assert_int_equal(sums_file_check(fd, blob.digest, LEN), ERR_DAMAGED);
        flip(fd, bit);
    }
    assert_int_equal(sums_file_check(fd, blob.digest, LEN), 0);
    close(fd);
    for (uint64_t bit = 0; bit < len * 8; bit += 13) {
        fd = file_open(f->cas->sums_fd, blob.digest);
        flip(fd, bit);
        close(fd);
        assert_int_equal(read_expect(f->cas, blob.digest, blob.all, 333333), 0);
        assert_int_equal(check(f, &blob), 0);
    }
    assert_int_equal(names_in(f->cas->tmp_fd), 0);
    free(blob.bytes);
}

static void every_length_is_found(void **state)
{
    struct fixture *f = *state;
    struct blob blob = blob_store(f);
    off_t len = SUMS_HEAD_SIZE + (off_t)sums_count(LEN) * SUMS_ITEM_SIZE;
    for (off_t keep = 0; keep < len + 10; keep += 7) {
        int fd = file_open(f->cas->sums_fd, blob.digest);
        assert_int_equal(ftruncate(fd, keep), 0);
        close(fd);
        assert_int_equal(check(f, &blob), keep == len ? 0 : ERR_DAMAGED);
        assert_int_equal(read_expect(f->cas, blob.digest, blob.all, 100000), 0);
        assert_int_equal(check(f, &blob), 0);
    }
    free(blob.bytes);
}

static void absent_are_made_again(void **state)
{
    struct fixture *f = *state;
    struct blob blob = blob_store(f);
    unlink_sums(f, &blob);
    assert_int_equal(check(f, &blob), ERR_NOT_FOUND);
    assert_int_equal(read_expect(f->cas, blob.digest, blob.all, 100000), 0);
    assert_int_equal(check(f, &blob), 0);
    free(blob.bytes);
}

/* Without sums the whole is checked first: not even a good first block of a damaged blob comes out.
 */
static void damage_without_sums(void **state)
{
    struct fixture *f = *state;
    struct blob blob = blob_store(f);
    struct cas_reader *reader;
    unlink_sums(f, &blob);
    int fd = file_open(f->cas->blobs_fd, blob.digest);
    flip(fd, LEN * 8 - 3);
    close(fd);
    assert_int_equal(cas_reader_open(f->cas, &reader, blob.digest, NULL), ERR_DAMAGED);
    assert_int_equal(check(f, &blob), ERR_NOT_FOUND);
    assert_int_equal(names_in(f->cas->tmp_fd), 0);
    free(blob.bytes);
}

static void sums_harmed_while_open(void **state)
{
    struct fixture *f = *state;
    struct blob blob = blob_store(f);
    struct cas_reader *reader;
    uint8_t byte;
    size_t got;
    assert_int_equal(cas_reader_open(f->cas, &reader, blob.digest, NULL), 0);
    int fd = file_open(f->cas->sums_fd, blob.digest);
    flip(fd, (SUMS_HEAD_SIZE + 2 * SUMS_ITEM_SIZE) * 8);
    assert_int_equal(cas_reader_read(reader, 65536, &byte, 1, &got, NULL), 0);
    assert_int_equal(byte, blob.bytes[65536]);
    assert_int_equal(cas_reader_read(reader, 2 * 65536, &byte, 1, &got, NULL), ERR_DAMAGED);
    assert_int_equal(ftruncate(fd, SUMS_HEAD_SIZE), 0);
    assert_int_equal(cas_reader_read(reader, 65536 * 3, &byte, 1, &got, NULL), ERR_DAMAGED);
    close(fd);
    cas_reader_close(reader);
    assert_int_equal(read_expect(f->cas, blob.digest, blob.all, 100000), 0);
    free(blob.bytes);
}

/* Sums of another blob of the same length, moved here whole. */
static void foreign_sums(void **state)
{
    struct fixture *f = *state;
    struct blob blob = blob_store(f);
    uint8_t *bytes = noise(LEN, 18);
    uint8_t digest[DIGEST_SIZE];
    char from[CAS_PATH_SIZE];
    char to[CAS_PATH_SIZE];
    store(f->cas, span_of(bytes, LEN), digest);
    cas_path(from, digest);
    cas_path(to, blob.digest);
    assert_int_equal(renameat(f->cas->sums_fd, from, f->cas->sums_fd, to), 0);
    assert_int_equal(check(f, &blob), ERR_DAMAGED);
    assert_int_equal(read_expect(f->cas, blob.digest, blob.all, 100000), 0);
    assert_int_equal(read_expect(f->cas, digest, span_of(bytes, LEN), 100000), 0);
    free(bytes);
    free(blob.bytes);
}

/* Where sums cannot be saved, reading goes on. */
static void unsavable_sums(void **state)
{
    struct fixture *f = *state;
    struct blob blob = blob_store(f);
    char path[CAS_PATH_SIZE];
    unlink_sums(f, &blob);
    cas_path(path, blob.digest);
    path[5] = '\0';
    assert_int_equal(unlinkat(f->cas->sums_fd, path, AT_REMOVEDIR), 0);
    close(openat(f->cas->sums_fd, path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    assert_int_equal(read_expect(f->cas, blob.digest, blob.all, 100000), 0);
    assert_int_equal(names_in(f->cas->tmp_fd), 0);
    free(blob.bytes);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, fixture_open, fixture_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(head_round_trip),        CASE(counts),
        CASE(every_flip_is_found),    CASE(every_length_is_found),
        CASE(absent_are_made_again),  CASE(damage_without_sums),
        CASE(sums_harmed_while_open), CASE(foreign_sums),
        CASE(unsavable_sums),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
