/*
 * What recovery makes of a journal that was cut, mixed up or damaged, and repair.
 */
#include "journal_fixture.h"

#include "base/bytes.h"

#define LEN 40 /* payload bytes: no padding, so that every byte of a record counts */
#define RECORD (SEGMENT_RECORD_HEAD + LEN)

static void append_many(struct fixture *f, int count)
{
    for (int i = 0; i < count; i++)
        fixture_append(f, LEN);
}

static void assert_read_only(struct fixture *f)
{
    assert_int_equal(fixture_try_append(f, LEN), ERR_UNAVAILABLE);
    assert_non_null(strstr(f->err.text, "weir repair"));
    assert_int_equal(fixture_try_append(f, LEN), ERR_UNAVAILABLE);
    f->engine->ops->release(f->engine, UINT64_MAX);
    assert_int_equal(f->engine->ops->prepare(f->engine, NULL), 0);
}

static void assert_damaged(struct fixture *f, uint64_t first_bad, uint64_t next_good)
{
    uint64_t before = fixture_digest(f);
    fixture_open(f);
    assert_true(f->report.damaged);
    assert_int_equal(f->report.first_bad, first_bad);
    assert_int_equal(f->report.next_good, next_good);
    assert_int_equal(fixture_stat(f).last, first_bad - 1);
    assert_read_only(f);
    fixture_close(f);
    assert_true(fixture_digest(f) == before);
}

/* --- torn ends -------------------------------------------------------------------------------- */

/*
 * Opens with `image` as the segment's bytes, expecting records up to `last`; appends one shorter
 * than the torn one and opens again.
 */
static void check_image(struct fixture *f, const char *name, const struct buf *image,
                        uint64_t first, uint64_t last)
{
    fixture_store(f, name, image);
    fixture_open(f);
    assert_false(f->report.damaged);
    assert_int_equal(fixture_stat(f).last, last);
    assert_int_equal(fixture_read(f, first), last - first + 1);
    fixture_append(f, 3);
    fixture_reopen(f);
    assert_false(f->report.damaged);
    assert_int_equal(fixture_stat(f).last, last + 1);
    assert_int_equal(fixture_read(f, first), last - first + 2);
    fixture_close(f);
}

/* Cuts the record at `at` after each of its bytes; what is behind the cut comes from `under`. */
static void cut_everywhere(struct fixture *f, const char *name, const struct buf *whole,
                           const struct buf *under, size_t at, uint64_t first, uint64_t last)
{
    CLEAN_BUF image = BUF_INIT;
    for (size_t k = 0; k <= RECORD; k++) {
        bool same = memcmp(whole->ptr + at + k, under->ptr + at + k, RECORD - k) == 0;
        buf_reset(&image);
        assert_int_equal(buf_add(&image, whole->ptr, at + k), 0);
        assert_int_equal(buf_add(&image, under->ptr + at + k, under->len - at - k), 0);
        check_image(f, name, &image, first, same ? last : last - 1);
    }
}

static void test_torn_end_over_zeros(void **state)
{
    struct fixture *f = *state;
    CLEAN_BUF under = BUF_INIT, whole = BUF_INIT;
    char name[64];
    f->options.segment_start = f->options.segment_max = 4096;
    fixture_open(f);
    append_many(f, 2);
    fixture_segment_of(f, 1, name);
    fixture_load(f, name, &under);
    append_many(f, 1);
    fixture_load(f, name, &whole);
    fixture_close(f);
    cut_everywhere(f, name, &whole, &under, SEGMENT_HEAD + 2 * RECORD, 1, 3);
}

static void test_torn_end_over_an_earlier_use(void **state)
{
    struct fixture *f = *state;
    CLEAN_BUF under = BUF_INIT, whole = BUF_INIT;
    char name[64];
    f->options.segment_start = f->options.segment_max = 4096;
    fixture_open(f);
    append_many(f, 80); /* 40 records fill a segment */
    f->engine->ops->release(f->engine, 80);
    append_many(f, 2); /* in the first segment again */
    struct segment segment = fixture_segment_of(f, 81, name);
    assert_int_equal(segment.serial, 1);
    fixture_load(f, name, &under);
    assert_int_equal(get_be64(under.ptr + SEGMENT_HEAD + 2 * RECORD + 8), 3); /* stale */
    append_many(f, 1);
    fixture_load(f, name, &whole);
    fixture_close(f);
    f->options.released = 80;
    cut_everywhere(f, name, &whole, &under, SEGMENT_HEAD + 2 * RECORD, 81, 83);
}

/* Every prefix of the last record missing, as sectors may reach the disk in any order. */
static void test_torn_start_of_the_last_record(void **state)
{
    struct fixture *f = *state;
    CLEAN_BUF whole = BUF_INIT, image = BUF_INIT;
    char name[64];
    f->options.segment_start = f->options.segment_max = 4096;
    fixture_open(f);
    append_many(f, 3);
    fixture_segment_of(f, 1, name);
    fixture_load(f, name, &whole);
    fixture_close(f);
    for (size_t k = 1; k <= RECORD; k += 3) {
        buf_reset(&image);
        assert_int_equal(buf_add_span(&image, buf_span(&whole)), 0);
        memset(image.ptr + SEGMENT_HEAD + 2 * RECORD, 0, k);
        check_image(f, name, &image, 1, 2);
    }
}

/* Nothing of a torn record stays, so that none of its bytes can ever fit. */
static void test_a_torn_end_is_zeroed(void **state)
{
    struct fixture *f = *state;
    CLEAN_BUF bytes = BUF_INIT;
    char name[64];
    fixture_open(f);
    append_many(f, 2);
    fixture_append(f, 30000);
    fixture_segment_of(f, 1, name);
    fixture_close(f);
    fixture_load(f, name, &bytes);
    bytes.ptr[SEGMENT_HEAD + 2 * RECORD + 9000] ^= 1;
    fixture_store(f, name, &bytes);
    fixture_open(f);
    assert_false(f->report.damaged);
    assert_int_equal(fixture_stat(f).last, 2);
    fixture_load(f, name, &bytes);
    assert_int_equal(bytes.len, 64 * 1024);
    for (size_t i = SEGMENT_HEAD + 2 * RECORD; i < bytes.len; i++)
        assert_int_equal(bytes.ptr[i], 0);
}

/* A record of an earlier use that fits in all but its generation. */
static void test_generations_are_not_mixed_up(void **state)
{
    struct fixture *f = *state;
    CLEAN_BUF payload = BUF_INIT, bytes = BUF_INIT;
    char name[64], path[512];
    for (int step = 0; step < 2; step++) {
        fixture_open(f);
        append_many(f, 1);
        struct segment segment = fixture_segment_of(f, 1, name);
        uint64_t last = fixture_stat(f).last;
        fixture_close(f);
        fixture_load(f, name, &bytes);
        struct segment_record head = {
            .number = last + 1,
            .chain = get_be64(bytes.ptr + SEGMENT_HEAD + (last - 1) * RECORD + 40),
        };
        segment.end = SEGMENT_HEAD + last * RECORD;
        segment.generation +=
            step == 0 ? UINT64_MAX : 0; /* first one too low, then the right one */
        fixture_payload(&payload, last + 1, LEN);
        fixture_file_path(f, path, name);
        int fd = open(path, O_RDWR | O_CLOEXEC);
        assert_int_equal(
            segment_append(fd, &segment, f->options.uuid, &head, buf_span(&payload), NULL), 0);
        close(fd);
        fixture_open(f);
        assert_false(f->report.damaged);
        assert_int_equal(fixture_stat(f).last, step == 0 ? last : last + 1);
        fixture_close(f);
    }
}

/* --- damage ----------------------------------------------------------------------------------- */

/* A whole record behind another predecessor than it names: one of the two is not what was written.
 */
static void test_a_record_behind_another_one_is_damage(void **state)
{
    struct fixture *f = *state;
    CLEAN_BUF payload = BUF_INIT;
    char name[64], path[512];
    fixture_open(f);
    append_many(f, 2);
    struct segment segment = fixture_segment_of(f, 1, name);
    fixture_close(f);
    struct segment_record head = {.number = 3, .chain = 12345};
    segment.end = SEGMENT_HEAD + 2 * RECORD;
    fixture_payload(&payload, 3, LEN);
    fixture_file_path(f, path, name);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_int_equal(segment_append(fd, &segment, f->options.uuid, &head, buf_span(&payload), NULL),
                     0);
    close(fd);
    assert_damaged(f, 3, 3);
}

static void test_a_flipped_bit_in_a_middle_record(void **state)
{
    struct fixture *f = *state;
    CLEAN_BUF bytes = BUF_INIT;
    char name[64];
    f->options.segment_start = f->options.segment_max = 4096;
    fixture_open(f);
    append_many(f, 5);
    fixture_segment_of(f, 1, name);
    fixture_load(f, name, &bytes);
    fixture_close(f);
    for (size_t k = 0; k < RECORD; k++) {
        uint8_t *byte = bytes.ptr + SEGMENT_HEAD + RECORD + k;
        *byte ^= (uint8_t)(1u << (k % 8));
        fixture_store(f, name, &bytes);
        assert_damaged(f, 2, 3);
        assert_string_equal(f->report.segment, name);
        assert_int_equal(f->report.offset, SEGMENT_HEAD + RECORD);
        *byte ^= (uint8_t)(1u << (k % 8));
    }
    fixture_store(f, name, &bytes);
    fixture_open(f);
    assert_int_equal(fixture_read(f, 1), 5);
}

static void test_good_records_before_damage_are_read(void **state)
{
    struct fixture *f = *state;
    CLEAN_BUF bytes = BUF_INIT;
    char name[64];
    f->options.segment_start = f->options.segment_max = 4096;
    fixture_open(f);
    append_many(f, 100);
    fixture_segment_of(f, 41, name);
    fixture_close(f);
    fixture_load(f, name, &bytes);
    bytes.ptr[SEGMENT_HEAD + 39 * RECORD + 60] ^= 1; /* the segment's last record, 80 */
    fixture_store(f, name, &bytes);
    fixture_open(f);
    assert_int_equal(f->report.first_bad, 80);
    assert_int_equal(f->report.next_good, 81); /* known from the next segment */
    assert_int_equal(fixture_read(f, 1), 79);
    assert_int_equal(fixture_read(f, 60), 20);
    assert_read_only(f);
    assert_int_equal(fixture_read(f, 1), 79); /* nothing was released */
}

static void test_damage_among_released_records_is_no_matter(void **state)
{
    struct fixture *f = *state;
    CLEAN_BUF bytes = BUF_INIT;
    char name[64];
    fixture_open(f);
    append_many(f, 10);
    fixture_segment_of(f, 1, name);
    fixture_close(f);
    fixture_load(f, name, &bytes);
    bytes.ptr[SEGMENT_HEAD + 3 * RECORD + 7] ^= 0x40; /* the length of record 4 */
    fixture_store(f, name, &bytes);
    f->options.released = 3;
    assert_damaged(f, 4, 5);
    f->options.released = 4;
    fixture_open(f);
    assert_false(f->report.damaged);
    assert_int_equal(fixture_stat(f).first, 5);
    assert_int_equal(fixture_read(f, 5), 6);
    append_many(f, 1);
    fixture_reopen(f);
    assert_int_equal(fixture_read(f, 5), 7);
}

static void test_a_missing_segment_is_damage(void **state)
{
    struct fixture *f = *state;
    char name[64], path[512];
    f->options.segment_start = f->options.segment_max = 4096;
    fixture_open(f);
    append_many(f, 130);
    fixture_close(f);
    fixture_segment_of(f, 41, name);
    fixture_file_path(f, path, name);
    assert_int_equal(unlink(path), 0);
    assert_damaged(f, 41, 81);
    fixture_segment_of(f, 1, name);
    fixture_file_path(f, path, name);
    assert_int_equal(unlink(path), 0);
    assert_damaged(f, 1, 81);
    assert_string_equal(f->report.segment, "");
}

static void test_a_broken_header_hides_nothing(void **state)
{
    struct fixture *f = *state;
    CLEAN_BUF bytes = BUF_INIT;
    char name[64];
    f->options.segment_start = f->options.segment_max = 4096;
    fixture_open(f);
    append_many(f, 45);
    fixture_close(f);
    fixture_segment_of(f, 41, name);
    fixture_load(f, name, &bytes);
    for (size_t k = 0; k < 72; k += 1) {
        if (k >= 8 && k < 12)
            continue; /* the version, below */
        bytes.ptr[k] ^= 1;
        fixture_store(f, name, &bytes);
        assert_damaged(f, 41, 41);
        bytes.ptr[k] ^= 1;
    }
    bytes.len = 0; /* an empty file, and nothing in it was needed any more */
    f->options.released = 45;
    fixture_store(f, name, &bytes);
    fixture_open(f);
    assert_false(f->report.damaged);
    assert_int_equal(fixture_stat(f).last, 45);
}

/* --- what is not ours ------------------------------------------------------------------------- */

static void refuse_patched(struct fixture *f, size_t at, uint8_t value, const char *text)
{
    CLEAN_BUF bytes = BUF_INIT;
    char name[64];
    fixture_segment_of(f, 1, name);
    fixture_load(f, name, &bytes);
    bytes.ptr[at] = value;
    fixture_store(f, name, &bytes);
    uint64_t before = fixture_digest(f);
    assert_int_equal(fixture_try_open(f), ERR_FORMAT);
    assert_non_null(strstr(f->err.text, text));
    assert_non_null(strstr(f->err.text, name));
    assert_int_equal(journal_repair(f->dirfd, "journal", &f->options, &f->report, &f->err),
                     ERR_FORMAT);
    assert_true(fixture_digest(f) == before);
}

static void test_a_newer_version_is_refused_unchanged(void **state)
{
    struct fixture *f = *state;
    CLEAN_BUF empty = BUF_INIT;
    fixture_open(f);
    append_many(f, 3);
    fixture_close(f);
    fixture_store(f, "00000000000000aa.wj.new", &empty);
    refuse_patched(f, 11, 2, "version 2");
}

static void test_another_stores_journal_is_refused_unchanged(void **state)
{
    struct fixture *f = *state;
    fixture_open(f);
    append_many(f, 3);
    fixture_close(f);
    uint64_t before = fixture_digest(f);
    f->options.uuid[7] ^= 1;
    assert_int_equal(fixture_try_open(f), ERR_FORMAT);
    assert_non_null(strstr(f->err.text, "another store"));
    assert_true(fixture_digest(f) == before);
}

static void test_leftovers_are_swept(void **state)
{
    struct fixture *f = *state;
    CLEAN_BUF junk = BUF_INIT;
    char names[8][64];
    fixture_open(f);
    append_many(f, 3);
    fixture_close(f);
    fixture_payload(&junk, 9, 9000);
    fixture_store(f, "00000000000000aa.wj.new", &junk); /* a making cut short */
    fixture_store(f, "00000000000000ab.wj", &junk);     /* a header cut short */
    fixture_store(f, "notes.wj", &junk);                /* not a name of ours */
    fixture_open(f);
    assert_false(f->report.damaged);
    assert_int_equal(fixture_read(f, 1), 3);
    assert_int_equal(fixture_list(f, "", names, 8), 2);
    assert_string_equal(names[1], "notes.wj");
}

/* A crash after a segment was begun and before its first record. */
static void test_a_begun_segment_that_is_too_small(void **state)
{
    struct fixture *f = *state;
    CLEAN_BUF bytes = BUF_INIT;
    char name[64], path[512];
    int fd;
    fixture_open(f);
    append_many(f, 3);
    struct segment segment = fixture_segment_of(f, 1, name);
    fixture_load(f, name, &bytes);
    fixture_close(f);
    fixture_file_path(f, path, "");
    int dirfd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct segment begun = {
        .serial = 9,
        .generation = segment.generation + 1,
        .first = 4,
        .chain = get_be64(bytes.ptr + SEGMENT_HEAD + 2 * RECORD + 40),
        .size = 4096,
    };
    assert_int_equal(segment_create(dirfd, 9, 4096, f->options.uuid, &f->err), 0);
    assert_int_equal(segment_activate(&fd, dirfd, &begun, f->options.uuid, &f->err), 0);
    close(fd);
    close(dirfd);
    fixture_open(f);
    assert_false(f->report.damaged);
    fixture_append(f, 9000);
    append_many(f, 2);
    fixture_reopen(f);
    assert_false(f->report.damaged);
    assert_int_equal(fixture_read(f, 1), 6);
}

/* --- repair ----------------------------------------------------------------------------------- */

static void repair(struct fixture *f)
{
    struct journal_report report;
    if (journal_repair(f->dirfd, "journal", &f->options, &report, &f->err) != 0)
        fail_msg("%s", f->err.text);
    f->report = report;
}

static void test_repair_keeps_the_good_and_sets_the_rest_aside(void **state)
{
    struct fixture *f = *state;
    CLEAN_BUF bytes = BUF_INIT, copy = BUF_INIT;
    char name[64], path[80], names[8][64];
    f->options.segment_start = f->options.segment_max = 4096;
    fixture_open(f);
    append_many(f, 150);
    fixture_close(f);
    fixture_segment_of(f, 41, name);
    fixture_load(f, name, &bytes);
    bytes.ptr[SEGMENT_HEAD + 10 * RECORD + 50] ^= 1;
    fixture_store(f, name, &bytes);
    assert_damaged(f, 51, 52);

    repair(f);
    assert_true(f->report.damaged);
    assert_int_equal(f->report.first_bad, 51);
    assert_int_equal(fixture_list(f, "damaged", names, 8), 3);
    snprintf(path, sizeof path, "damaged/%s", name);
    fixture_load(f, path, &copy);
    assert_true(span_eq(buf_span(&copy), buf_span(&bytes)));
    fixture_open(f);
    assert_false(f->report.damaged);
    assert_int_equal(fixture_read(f, 1), 50);
    append_many(f, 100);
    fixture_reopen(f);
    assert_false(f->report.damaged);
    assert_int_equal(fixture_read(f, 1), 150);
    fixture_close(f);

    /* Again at the same place: nothing set aside before is overwritten. */
    fixture_segment_of(f, 41, name);
    fixture_load(f, name, &bytes);
    bytes.ptr[SEGMENT_HEAD + 20 * RECORD + 50] ^= 1;
    fixture_store(f, name, &bytes);
    repair(f);
    assert_true(f->report.damaged);
    assert_int_equal(fixture_list(f, "damaged", names, 8), 6);
    fixture_open(f);
    assert_int_equal(fixture_read(f, 1), 60);
}

static void test_repair_of_a_missing_segment(void **state)
{
    struct fixture *f = *state;
    char name[64], path[512], names[8][64];
    f->options.segment_start = f->options.segment_max = 4096;
    fixture_open(f);
    append_many(f, 130);
    fixture_close(f);
    fixture_segment_of(f, 1, name);
    fixture_file_path(f, path, name);
    assert_int_equal(unlink(path), 0);
    f->options.released = 20;
    repair(f);
    assert_int_equal(f->report.first_bad, 21);
    assert_int_equal(fixture_list(f, "damaged", names, 8), 3);
    fixture_open(f);
    assert_false(f->report.damaged);
    assert_int_equal(fixture_stat(f).last, 20);
    append_many(f, 5);
    fixture_reopen(f);
    assert_int_equal(fixture_read(f, 21), 5);
}

static void test_repair_of_a_broken_header(void **state)
{
    struct fixture *f = *state;
    CLEAN_BUF bytes = BUF_INIT;
    char name[64], names[8][64];
    f->options.segment_start = f->options.segment_max = 4096;
    fixture_open(f);
    append_many(f, 45);
    fixture_close(f);
    fixture_segment_of(f, 41, name);
    fixture_load(f, name, &bytes);
    bytes.ptr[0] ^= 1;
    fixture_store(f, name, &bytes);
    repair(f);
    assert_int_equal(fixture_list(f, "damaged", names, 8), 2);
    fixture_open(f);
    assert_false(f->report.damaged);
    assert_int_equal(fixture_read(f, 1), 40);
}

static void test_repair_leaves_a_sound_journal_alone(void **state)
{
    struct fixture *f = *state;
    fixture_open(f);
    append_many(f, 5);
    fixture_close(f);
    uint64_t before = fixture_digest(f);
    repair(f);
    assert_false(f->report.damaged);
    assert_true(fixture_digest(f) == before);
    assert_int_equal(journal_repair(f->dirfd, "nowhere", &f->options, &f->report, &f->err), -2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(test_torn_end_over_zeros),
        FIXTURE_TEST(test_torn_end_over_an_earlier_use),
        FIXTURE_TEST(test_torn_start_of_the_last_record),
        FIXTURE_TEST(test_a_torn_end_is_zeroed),
        FIXTURE_TEST(test_generations_are_not_mixed_up),
        FIXTURE_TEST(test_a_record_behind_another_one_is_damage),
        FIXTURE_TEST(test_a_flipped_bit_in_a_middle_record),
        FIXTURE_TEST(test_good_records_before_damage_are_read),
        FIXTURE_TEST(test_damage_among_released_records_is_no_matter),
        FIXTURE_TEST(test_a_missing_segment_is_damage),
        FIXTURE_TEST(test_a_broken_header_hides_nothing),
        FIXTURE_TEST(test_a_newer_version_is_refused_unchanged),
        FIXTURE_TEST(test_another_stores_journal_is_refused_unchanged),
        FIXTURE_TEST(test_leftovers_are_swept),
        FIXTURE_TEST(test_a_begun_segment_that_is_too_small),
        FIXTURE_TEST(test_repair_keeps_the_good_and_sets_the_rest_aside),
        FIXTURE_TEST(test_repair_of_a_missing_segment),
        FIXTURE_TEST(test_repair_of_a_broken_header),
        FIXTURE_TEST(test_repair_leaves_a_sound_journal_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
