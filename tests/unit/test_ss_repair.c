/*
 * Verifying and mending .ss files: what counts as damage, that no message is lost which can be read, and that the old file is never
 * at risk.
 */
#include "ss_file_fixture.h"

#include "bridge/io/ss_look.h"
#include "bridge/show.h"

#define EVERY 31 /* bytes between the places that are damaged one by one; a prime, so that all fields are met */
#define HEADER 128

static int no_sync(int fd)
{
    (void)fd;
    return 0;
}

/* --- what a file holds, one line a message ------------------------------------------------------ */

struct told {
    size_t count;
    uint64_t first;
    char text[ERR_TEXT_SIZE * 4];
};

static void on_fault(void *arg, uint64_t offset, const char *text)
{
    struct told *t = arg;
    if (t->count++ == 0) {
        t->first = offset;
        snprintf(t->text, sizeof t->text, "%s", text);
    }
}

static struct ss_report verify(const char *path, struct told *told)
{
    struct told nobody = {0};
    struct err err = ERR_INIT;
    struct ss_report report;
    struct ss_looker looker = {.fault = on_fault, .arg = told ? told : &nobody};
    if (told)
        *told = (struct told){0};
    if (ss_file_verify(path, &report, &looker, &err) != 0)
        fail_msg("%s", err.text);
    assert_int_equal(report.faults, told ? told->count : nobody.count);
    return report;
}

/* All messages up to what a strict reader stops at. End marks are left out. */
static void lines_of(const char *path, struct buf *out)
{
    struct ss_reader *r = ss_read(path, SS_FROM_START, false);
    struct ss_message m;
    struct err err = ERR_INIT;
    int rc;
    buf_reset(out);
    while ((rc = ss_reader_next(r, &m, &err)) == 0) {
        if (!ss_is_end(&m))
            assert_int_equal(ss_show_message(out, SS_SHOW_EXACT, &m, false), 0);
    }
    if (rc != ERR_END)
        fail_msg("%s: %s", path, err.text);
    ss_reader_close(r);
}

static bool next_line(struct span *rest, struct span *line)
{
    const uint8_t *end = rest->len > 0 ? memchr(rest->ptr, '\n', rest->len) : NULL;
    if (!end)
        return false;
    *line = span_of(rest->ptr, (size_t)(end - rest->ptr));
    *rest = span_of(end + 1, rest->len - line->len - 1);
    return true;
}

static size_t count_lines(const struct buf *lines)
{
    struct span rest = buf_span(lines), line;
    size_t n = 0;
    while (next_line(&rest, &line))
        n++;
    return n;
}

/* How many lines of `all` are in `some`, in order. */
static size_t count_kept(const struct buf *all, const struct buf *some)
{
    struct span left = buf_span(all), line, mine;
    size_t kept = 0;
    while (next_line(&left, &line)) {
        struct span look = buf_span(some);
        bool found = false;
        while (!found && next_line(&look, &mine))
            found = span_eq(line, mine);
        kept += found;
    }
    return kept;
}

/* Mends the test's file; what it holds then goes to `out`. */
static struct ss_report repair(const struct ss_dir *d, bool *changed, struct buf *out)
{
    struct err err = ERR_INIT;
    struct ss_report report;
    CLEAN_FREE char *kept = NULL;
    if (ss_file_repair(d->path, changed, &kept, &report, NULL, &err) != 0)
        fail_msg("%s", err.text);
    assert_int_equal(*changed, report.faults > 0);
    assert_int_equal(kept != NULL, *changed);
    if (kept)
        assert_int_equal(unlink(kept), 0);
    lines_of(d->path, out);
    return report;
}

/* --- sound files -------------------------------------------------------------------------------- */

static void test_sound(void **state)
{
    struct ss_dir *d = *state;
    static const struct {
        const char *file;
        uint64_t messages, streams, beacons, torn;
        bool ended;
    } cases[] = {{"basic.ss", 10, 1, 0, 0, false},      {"empty.ss", 0, 0, 0, 0, false},       {"empty-eos.ss", 0, 0, 0, 0, true},
                 {"ended-1k.ss", 40, 1, 2, 0, true},    {"multi-1k.ss", 90, 6, 6, 0, true},    {"payloads-2k.ss", 24, 2, 0, 0, false},
                 {"large-1k.ss", 3, 1, 52, 0, true},    {"boundary-1k.ss", 2, 1, 1, 0, false}, {"interval-128.ss", 8, 1, 3, 0, false},
                 {"appended-1k.ss", 43, 2, 2, 0, true}, {"truncated-payload.ss", 11, 1, 0, 42, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CLEAN_BUF before = BUF_INIT, after = BUF_INIT, lines = BUF_INIT;
        bool changed;
        ss_copy_fixture(d, cases[i].file);
        ss_get(&before, d->path);
        struct ss_report r = verify(d->path, NULL);
        assert_int_equal(r.faults, 0);
        assert_int_equal(r.messages, cases[i].messages);
        assert_int_equal(r.streams, cases[i].streams);
        assert_int_equal(r.beacons, cases[i].beacons);
        assert_int_equal(r.torn, cases[i].torn);
        assert_int_equal(r.ended, cases[i].ended);
        assert_int_equal(r.odd_items + r.lost + r.behind, 0);
        assert_int_equal(r.good + r.torn, r.size);
        repair(d, &changed, &lines);
        assert_int_equal(count_lines(&lines), cases[i].messages);
        ss_get(&after, d->path);
        assert_true(span_eq(buf_span(&before), buf_span(&after)));
    }
}

/* Cut anywhere it is no damage, only incomplete. */
static void test_torn(void **state)
{
    struct ss_dir *d = *state;
    static const char *const files[] = {"multi-1k.ss", "interval-128.ss", "large-1k.ss"};
    for (size_t i = 0; i < 3; i++) {
        CLEAN_BUF bytes = BUF_INIT;
        ss_copy_fixture(d, files[i]);
        ss_get(&bytes, d->path);
        for (size_t len = HEADER; len < bytes.len; len += i == 2 ? 997 : EVERY) {
            ss_set(d->path, bytes.ptr, len);
            struct told told;
            struct ss_report r = verify(d->path, &told);
            if (r.faults > 0)
                fail_msg("%s cut at %zu: offset %" PRIu64 ": %s", files[i], len, told.first, told.text);
            assert_int_equal(r.good + r.torn, len);
        }
    }
}

/* --- damage ------------------------------------------------------------------------------------- */

static void test_flipped_payload(void **state)
{
    struct ss_dir *d = *state;
    struct told told;
    CLEAN_BUF lines = BUF_INIT, whole = BUF_INIT, old = BUF_INIT, kept_bytes = BUF_INIT, fresh = BUF_INIT;
    CLEAN_FREE char *kept = NULL;
    struct err err = ERR_INIT;
    struct ss_report r;
    bool changed;
    lines_of(FIXTURES "ended-1k.ss", &whole);
    ss_copy_fixture(d, "flipped-payload.ss");
    ss_get(&old, d->path);
    assert_int_equal(chmod(d->path, 0640), 0);
    r = verify(d->path, &told);
    assert_int_equal(told.count, 1);
    assert_int_equal(told.first, 416);
    assert_non_null(strstr(told.text, "message 7 of hello: checksum error: received 16478, computed 9855"));
    assert_int_equal(r.good, 416);
    assert_int_equal(r.lost, 48);
    assert_int_equal(ss_file_repair(d->path, &changed, &kept, &r, NULL, &err), 0);
    assert_true(changed);
    assert_int_equal(r.messages, 39);
    /* The old bytes are kept, and the new file is sound, has the same header and rights. */
    ss_get(&kept_bytes, kept);
    assert_true(span_eq(buf_span(&kept_bytes), buf_span(&old)));
    assert_non_null(strstr(kept, "log.ss.damaged"));
    ss_get(&fresh, d->path);
    assert_memory_equal(fresh.ptr, old.ptr, HEADER);
    struct stat st;
    assert_int_equal(stat(d->path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
    r = verify(d->path, NULL);
    assert_int_equal(r.faults + r.odd_items, 0);
    assert_true(r.ended);
    lines_of(d->path, &lines);
    assert_int_equal(count_lines(&lines), 39);
    assert_int_equal(count_kept(&whole, &lines), 39);
    /* A second time there is nothing to do. */
    free(kept);
    kept = NULL;
    assert_int_equal(ss_file_repair(d->path, &changed, &kept, &r, NULL, &err), 0);
    assert_false(changed);
    assert_null(kept);
}

/* Each message is damaged: what is read for one does not depend on how many come behind it. */
static void test_all_flipped(void **state)
{
    struct ss_dir *d = *state;
    enum { COUNT = 2000, LEN = 1500 };
    CLEAN_BUF bytes = BUF_INIT;
    char payload[LEN + 1];
    struct told told;
    struct ss_writer *w = ss_write(d->path, 0);
    memset(payload, 'x', LEN);
    payload[LEN] = '\0';
    for (int i = 0; i < COUNT; i++)
        ss_put(w, "k", payload);
    ss_flush(w, false);
    ss_writer_close(w);
    ss_get(&bytes, d->path);
    size_t frame = (bytes.len - HEADER) / COUNT; /* and a little of a beacon */
    for (size_t i = 0; i < COUNT; i++)
        bytes.ptr[HEADER + i * frame + LEN / 2] ^= 1;
    ss_set(d->path, bytes.ptr, bytes.len);
    uint64_t before = ss_bytes_read();
    struct ss_report r = verify(d->path, &told);
    assert_int_equal(told.count, COUNT);
    assert_int_equal(r.lost, bytes.len - HEADER);
    assert_int_equal(r.messages, 0);
    assert_true(ss_bytes_read() - before < 10 * bytes.len);
}

/* One bit anywhere costs one message at most, and the file is sound afterwards. */
static void test_each_bit(void **state)
{
    struct ss_dir *d = *state;
    static const char *const files[] = {"multi-1k.ss", "interval-128.ss", "ended-1k.ss", "boundary-1k.ss"};
    unsigned bit = 0;
    ss_place_calls.fsync = no_sync;
    for (size_t i = 0; i < 4; i++) {
        CLEAN_BUF bytes = BUF_INIT, all = BUF_INIT, some = BUF_INIT;
        ss_copy_fixture(d, files[i]);
        lines_of(d->path, &all);
        ss_get(&bytes, d->path);
        size_t count = count_lines(&all);
        for (size_t at = HEADER; at < bytes.len; at += EVERY) {
            bool changed;
            bytes.ptr[at] ^= (uint8_t)(1u << bit++ % 8);
            ss_set(d->path, bytes.ptr, bytes.len);
            bytes.ptr[at] ^= (uint8_t)(1u << (bit - 1) % 8);
            repair(d, &changed, &some);
            size_t kept = count_kept(&all, &some), now = count_lines(&some);
            /* A key, number or time that is another now is not covered by any checksum; so an end mark may become a message. */
            if (kept + 1 < count || now > count + 1)
                fail_msg("%s, byte %zu: %zu of %zu kept, %zu there", files[i], at, kept, count, now);
            assert_int_equal(verify(d->path, NULL).faults, 0);
        }
    }
}

/* Where each message ends, so that one can say which a stretch of damage touches. */
static size_t ends_of(const char *path, uint64_t *ends, size_t room)
{
    struct ss_reader *r = ss_read(path, SS_FROM_START, false);
    struct ss_message m;
    size_t n = 0;
    while (n < room && ss_reader_next(r, &m, NULL) == 0)
        ends[n++] = ss_reader_offset(r);
    ss_reader_close(r);
    return n;
}

/* Whatever a stretch becomes, messages that it does not touch stay. */
static void test_stretches(void **state)
{
    struct ss_dir *d = *state;
    CLEAN_BUF bytes = BUF_INIT, all = BUF_INIT, some = BUF_INIT, bad = BUF_INIT;
    uint64_t ends[128];
    ss_place_calls.fsync = no_sync;
    ss_copy_fixture(d, "multi-1k.ss");
    lines_of(d->path, &all);
    ss_get(&bytes, d->path);
    size_t count = ends_of(d->path, ends, 128);
    srand(7);
    for (int round = 0; round < 60; round++) {
        size_t from = HEADER + (size_t)rand() % (bytes.len - HEADER), len = 1 + (size_t)rand() % 1500;
        bool changed;
        len = len < bytes.len - from ? len : bytes.len - from;
        buf_reset(&bad);
        buf_add_span(&bad, buf_span(&bytes));
        for (size_t i = 0; i < len; i++)
            bad.ptr[from + i] = (uint8_t)(round % 3 == 0 ? 0 : round % 3 == 1 ? 0xff : rand());
        ss_set(d->path, bad.ptr, bad.len);
        size_t touched = 0;
        for (size_t i = 0; i + 1 < count; i++)
            touched += (i == 0 ? HEADER : ends[i - 1]) < from + len && ends[i] > from;
        repair(d, &changed, &some);
        if (count_kept(&all, &some) + touched < count - 1)
            fail_msg("%zu bytes at %zu: %zu kept, %zu touched of %zu", len, from, count_kept(&all, &some), touched, count);
        assert_int_equal(verify(d->path, NULL).faults, 0);
    }
}

/* A length that lies, small or huge, costs its message alone, and no memory. */
static void test_lengths(void **state)
{
    struct ss_dir *d = *state;
    CLEAN_BUF bytes = BUF_INIT, all = BUF_INIT, some = BUF_INIT;
    static const uint8_t lies[][4] = {{0, 0, 0, 0}, {0, 0, 0, 1},          {0, 0, 2, 0},
                                      {0, 0, 8, 0}, {127, 255, 255, 255}, {255, 255, 255, 255}};
    bool changed;
    uint64_t ends[128];
    ss_copy_fixture(d, "ended-1k.ss");
    lines_of(d->path, &all);
    ss_get(&bytes, d->path);
    ends_of(d->path, ends, 128);
    for (size_t i = 0; i < sizeof lies / 4; i++) {
        uint8_t *length = bytes.ptr + ends[8] + 1 + 5 + 24, good[4];
        memcpy(good, length, 4);
        memcpy(length, lies[i], 4);
        ss_set(d->path, bytes.ptr, bytes.len);
        memcpy(length, good, 4);
        struct ss_report r = repair(d, &changed, &some);
        assert_true(changed);
        assert_int_equal(r.lost, ends[9] - ends[8]);
        assert_int_equal(count_kept(&all, &some), 39);
    }
}

/* One that ends just where a later message does has not swallowed those between. */
static void test_swallowing_length(void **state)
{
    struct ss_dir *d = *state;
    CLEAN_BUF bytes = BUF_INIT, all = BUF_INIT, some = BUF_INIT;
    bool changed;
    uint64_t ends[128];
    ss_copy_fixture(d, "ended-1k.ss");
    lines_of(d->path, &all);
    ss_get(&bytes, d->path);
    ends_of(d->path, ends, 128);
    bytes.ptr[ends[8] + 1 + 5 + 24 + 3] += (uint8_t)(ends[12] - ends[9]);
    ss_set(d->path, bytes.ptr, bytes.len);
    assert_int_equal(repair(d, &changed, &some).lost, ends[9] - ends[8]);
    assert_int_equal(count_kept(&all, &some), 39);
}

/* A made-up file: one message of 20 MiB of zeros, of which its beacons know or do not. */
#define LARGE (UINT32_C(20) << 20)
#define LARGE_INTERVAL (UINT32_C(1) << 20)

/* Bytes of it behind beacon `n`. */
static uint64_t large_left(uint64_t n)
{
    return LARGE + 33 - (LARGE_INTERVAL - HEADER) - (n - 1) * (LARGE_INTERVAL - SS_BEACON_EMPTY);
}

static long read_large(void *arg, uint64_t offset, void *into, size_t room)
{
    static const uint8_t head[] = {1, 'k'};
    const bool *known = arg;
    uint8_t *out = into;
    memset(into, 0, room);
    for (size_t i = 0; i < room; i++) {
        uint64_t at = offset + i, in_beacon = at % LARGE_INTERVAL;
        if (at >= HEADER && at < HEADER + sizeof head)
            out[i] = head[at - HEADER];
        else if (at >= HEADER + 26 && at < HEADER + 30)
            out[i] = (uint8_t)(LARGE >> 8 * (HEADER + 29 - at));
        if (at < LARGE_INTERVAL || in_beacon >= SS_BEACON_EMPTY)
            i += at < LARGE_INTERVAL ? 0 : LARGE_INTERVAL - in_beacon - 1;
        else if (in_beacon == 0 || in_beacon == 6)
            out[i] = 0x0d;
        else if (in_beacon < 5 && *known)
            out[i] = (uint8_t)(large_left(at / LARGE_INTERVAL) >> 8 * (4 - in_beacon));
    }
    return (long)room;
}

/* Much memory is taken for a message only when a beacon says that it is as long as that. */
static void test_large(void **state)
{
    (void)state;
    for (int known = 0; known < 2; known++) {
        bool yes = known;
        struct ss_bytes file = {.read = read_large, .arg = &yes, .size = LARGE * 2, .interval = LARGE_INTERVAL};
        struct ss_view v;
        struct ss_message m;
        struct span frame;
        struct err err = ERR_INIT;
        assert_int_equal(ss_view_begin(&v, &file), 0);
        assert_int_equal(ss_view_try(&v, HEADER, &m, &frame, &err), known ? ERR_DAMAGED : ERR_FORMAT);
        assert_true(known ? m.payload.len == LARGE : v.bytes.cap < LARGE / 4);
        ss_view_finish(&v);
    }
}

/* What beacons say of the streams are hints; how much of a message is to come readers rely on. */
static void test_beacons(void **state)
{
    struct ss_dir *d = *state;
    CLEAN_BUF bytes = BUF_INIT, lines = BUF_INIT;
    struct told told;
    bool changed;
    ss_copy_fixture(d, "multi-1k.ss");
    ss_get(&bytes, d->path);
    size_t running = 1024 + 6 + 1 + 5 + 24;
    bytes.ptr[running] ^= 1;
    ss_set(d->path, bytes.ptr, bytes.len);
    struct ss_report r = verify(d->path, &told);
    assert_int_equal(r.odd_items, 1);
    assert_int_equal(r.faults, 0);
    bytes.ptr[running] ^= 1;
    bytes.ptr[1024 + 4] ^= 2;
    ss_set(d->path, bytes.ptr, bytes.len);
    r = verify(d->path, &told);
    assert_int_equal(r.faults, 1);
    assert_int_equal(told.first, 1024);
    assert_string_equal(told.text, "a beacon says that 3 bytes of a message are to come, it is 1");
    assert_int_equal(r.lost, 0);
    repair(d, &changed, &lines);
    assert_int_equal(count_lines(&lines), 90);
    /* The mended file is what the writer made: its beacons came out as they were. */
    CLEAN_BUF after = BUF_INIT;
    bytes.ptr[1024 + 4] ^= 2;
    ss_get(&after, d->path);
    assert_true(span_eq(buf_span(&after), buf_span(&bytes)));
}

static void test_header(void **state)
{
    struct ss_dir *d = *state;
    CLEAN_BUF lines = BUF_INIT, bytes = BUF_INIT;
    struct told told;
    struct err err = ERR_INIT;
    struct ss_report r;
    bool changed;
    ss_copy_fixture(d, "bad-magic.ss");
    assert_int_equal(verify(d->path, &told).faults, 1);
    assert_int_equal(told.first, 0);
    repair(d, &changed, &lines);
    assert_int_equal(count_lines(&lines), 10);
    /* Another file is none with a damaged header. */
    ss_get(&bytes, FIXTURES "README.md");
    ss_set(d->path, bytes.ptr, bytes.len);
    assert_int_equal(ss_file_verify(d->path, &r, NULL, &err), ERR_FORMAT);
    CLEAN_FREE char *kept = NULL;
    assert_int_equal(ss_file_repair(d->path, &changed, &kept, &r, NULL, &err), ERR_FORMAT);
    ss_set(d->path, "", 0);
    assert_int_equal(ss_file_verify(d->path, &r, NULL, &err), ERR_FORMAT);
    assert_int_equal(ss_file_verify(d->dir, &r, NULL, &err), ERR_INVALID);
}

/* --- behind the end mark ------------------------------------------------------------------------ */

static void test_behind_the_end(void **state)
{
    struct ss_dir *d = *state;
    CLEAN_BUF more = BUF_INIT, lines = BUF_INIT, piece = BUF_INIT;
    struct told told;
    bool changed;
    /* A piece of an older mark is nothing. */
    ss_copy_fixture(d, "empty-eos.ss");
    ss_get(&piece, d->path);
    ss_add(d->path, piece.ptr + piece.len - 20, 20);
    struct ss_report r = verify(d->path, &told);
    assert_int_equal(r.faults, 0);
    assert_int_equal(r.behind, 20);
    assert_true(r.ended);
    /* Messages there are: nobody would see them. */
    ss_copy_fixture(d, "empty-eos.ss");
    ss_get(&more, FIXTURES "basic.ss");
    ss_add(d->path, more.ptr + HEADER, more.len - HEADER);
    r = verify(d->path, &told);
    assert_int_equal(told.count, 1);
    assert_int_equal(told.first, 184);
    assert_int_equal(r.messages, 10);
    repair(d, &changed, &lines);
    assert_int_equal(count_lines(&lines), 10);
    r = verify(d->path, &told);
    assert_true(r.ended && r.faults == 0 && r.behind == 0);
    /* So is more than a piece. */
    ss_copy_fixture(d, "empty-eos.ss");
    for (int i = 0; i < 5; i++)
        ss_add(d->path, piece.ptr + piece.len - 20, 20);
    assert_int_equal(verify(d->path, &told).faults, 1);
    repair(d, &changed, &lines);
    assert_int_equal(verify(d->path, &told).size, 184);
}

/* Beacons at the mark's end, or in it, are none of what stands behind it. `before`: bytes from the mark's begin to the beacon. */
static void check_mark_at_beacon(const struct ss_dir *d, uint64_t before)
{
    struct ss_pack p;
    CLEAN_BUF out = BUF_INIT;
    static uint8_t payload[65536];
    char key[SS_KEY_MAX + 1];
    struct ss_header h = {.name = "x", .name_len = 1, .interval = 65536};
    ss_pack_begin(&p, h.interval, 0);
    assert_int_equal(ss_pack_header(&p, &h, &out), 0);
    /* Many streams, so that the beacon is large. */
    for (int i = 0; i < 100; i++) {
        struct ss_message m = {.key = span_of(key, SS_KEY_MAX), .seq = 1, .payload = span_of(payload, 0)};
        memset(key, 'k', SS_KEY_MAX);
        key[0] = (char)('A' + i % 26);
        key[1] = (char)('A' + i / 26);
        assert_int_equal(ss_pack_message(&p, &m, &out, NULL), 0);
    }
    struct ss_message last = {.key = span_str("last"), .seq = 1};
    last.payload = span_of(payload, h.interval - before - out.len - SS_FRAME_FIXED - last.key.len);
    assert_int_equal(ss_pack_message(&p, &last, &out, NULL), 0);
    assert_int_equal(ss_pack_end(&p, 1, &out, NULL), 0);
    ss_pack_finish(&p);
    ss_set(d->path, out.ptr, out.len);
    struct ss_report r = verify(d->path, NULL);
    assert_int_equal(r.faults + r.behind + r.torn, 0);
    assert_int_equal(r.messages, 101);
    assert_int_equal(r.beacons, 1);
    assert_true(r.ended && r.good > out.len - 57);
    ss_writer_close(ss_write(d->path, 0));
}

static void test_mark_at_beacon(void **state)
{
    const uint64_t mark = SS_FRAME_FIXED + sizeof SS_KEY_INTERNAL - 1 + 3;
    for (uint64_t before = 0; before <= mark; before += 8)
        check_mark_at_beacon(*state, before);
}

/* --- the old file is safe ----------------------------------------------------------------------- */

static void assert_untouched(const struct ss_dir *d, const struct buf *old)
{
    CLEAN_BUF now = BUF_INIT;
    char name[300];
    ss_get(&now, d->path);
    assert_true(span_eq(buf_span(&now), buf_span(old)));
    snprintf(name, sizeof name, "%s.damaged", d->path);
    assert_int_equal(access(name, F_OK), -1);
    snprintf(name, sizeof name, "%s.repairing", d->path);
    assert_int_equal(access(name, F_OK), -1);
}

static int fails_with(const struct ss_dir *d, int code)
{
    CLEAN_FREE char *kept = NULL;
    struct ss_report r;
    struct err err = ERR_INIT;
    bool changed;
    assert_int_equal(ss_file_repair(d->path, &changed, &kept, &r, NULL, &err), code);
    assert_int_equal(err.code, code);
    assert_true(err.text[0]);
    assert_false(changed);
    assert_null(kept);
    return 0;
}

static void test_locked(void **state)
{
    struct ss_dir *d = *state;
    CLEAN_BUF old = BUF_INIT;
    ss_copy_fixture(d, "flipped-payload.ss");
    ss_get(&old, d->path);
    int fd;
    assert_int_equal(ss_place_lock(&fd, d->path, SS_PLACE_OLD, NULL, NULL), 0);
    fails_with(d, ERR_LOCKED);
    close(fd);
    assert_untouched(d, &old);
}

static int fail_after; /* calls that still work */

static ssize_t no_room(int fd, const void *bytes, size_t len, off_t offset)
{
    (void)fd, (void)bytes, (void)len, (void)offset;
    errno = ENOSPC;
    return -1;
}

static int failing_sync(int fd)
{
    (void)fd;
    errno = EIO;
    return fail_after-- > 0 ? 0 : -1;
}

static void test_bad_disk(void **state)
{
    struct ss_dir *d = *state;
    CLEAN_BUF old = BUF_INIT;
    ss_copy_fixture(d, "flipped-payload.ss");
    ss_get(&old, d->path);
    ss_place_calls.pwrite = no_room;
    fails_with(d, -ENOSPC);
    assert_untouched(d, &old);
    ss_place_calls = d->calls;
    /* The new file's sync, then that of the directory before the rename. */
    ss_place_calls.fsync = failing_sync;
    for (int works = 0; works < 2; works++) {
        fail_after = works;
        fails_with(d, -EIO);
        assert_untouched(d, &old);
    }
}

static const char *grown; /* the file that somebody writes to meanwhile */

static ssize_t write_meanwhile(int fd, const void *bytes, size_t len, off_t offset)
{
    ss_add(grown, "x", 1);
    return pwrite(fd, bytes, len, offset);
}

static void test_changed_meanwhile(void **state)
{
    struct ss_dir *d = *state;
    CLEAN_BUF old = BUF_INIT;
    ss_copy_fixture(d, "flipped-payload.ss");
    grown = d->path;
    ss_place_calls.pwrite = write_meanwhile;
    fails_with(d, ERR_CONFLICT);
    ss_get(&old, d->path);
    assert_untouched(d, &old);
}

/* Names that are taken, what a killed run left, and a path that is a link. */
static void test_names(void **state)
{
    struct ss_dir *d = *state;
    char name[300], link_name[300];
    bool changed;
    struct ss_report r;
    struct err err = ERR_INIT;
    snprintf(name, sizeof name, "%s.repairing", d->path);
    ss_set(name, "left over", 9);
    snprintf(link_name, sizeof link_name, "%s/link.ss", d->dir);
    assert_int_equal(symlink("log.ss", link_name), 0);
    for (int i = 0; i < 3; i++) {
        CLEAN_FREE char *kept = NULL;
        char want[300];
        ss_copy_fixture(d, "flipped-payload.ss");
        assert_int_equal(ss_file_repair(i == 2 ? link_name : d->path, &changed, &kept, &r, NULL, &err), 0);
        snprintf(want, sizeof want, i == 0 ? "%s.damaged" : "%s.damaged.%d", d->path, i);
        CLEAN_FREE char *real = realpath(want, NULL);
        assert_string_equal(kept, real);
        assert_int_equal(verify(d->path, NULL).faults, 0);
        assert_int_equal(access(name, F_OK), -1);
    }
    struct stat st;
    assert_int_equal(lstat(link_name, &st), 0);
    assert_true(S_ISLNK(st.st_mode));
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, ss_dir_setup, ss_dir_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_sound), TEST(test_torn), TEST(test_flipped_payload), TEST(test_all_flipped), TEST(test_each_bit), TEST(test_stretches),
        TEST(test_lengths), TEST(test_swallowing_length), TEST(test_large), TEST(test_beacons), TEST(test_header),
        TEST(test_behind_the_end), TEST(test_mark_at_beacon), TEST(test_locked), TEST(test_bad_disk),
        TEST(test_changed_meanwhile), TEST(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
