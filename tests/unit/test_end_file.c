/*
 * .ss files as ends of a relay: starts, keys, places that a cursor keeps, damage, what a sink takes.
 */
#include "ss_file_fixture.h"

#include "base/text.h"
#include "bridge/relay/end.h"

/* A source that reads `path`, with keys "a,b" or none. */
static int open_source(struct relay_source **out, const char *path, const char *keys, struct relay_options o, struct err *err)
{
    char text[512];
    struct ss_url url = {0};
    snprintf(text, sizeof text, "file://%s/%s", path, keys);
    assert_int_equal(ss_url_parse(&url, text, err), 0);
    int rc = relay_file_source(out, &url, &o, err);
    ss_url_finish(&url);
    return rc;
}

static struct relay_source *source(const char *path, const char *keys, struct relay_options o)
{
    struct relay_source *s = NULL;
    struct err err = ERR_INIT;
    if (open_source(&s, path, keys, o, &err) != 0)
        fail_msg("%s", err.text);
    return s;
}

static void fixture_path(char out[static 4200], const char *name)
{
    char cwd[4000];
    assert_non_null(getcwd(cwd, sizeof cwd));
    snprintf(out, 4200, "%s/" FIXTURES "%s", cwd, name);
}

static struct relay_source *fixture(const char *name, const char *keys, struct relay_options o)
{
    char path[4200];
    fixture_path(path, name);
    return source(path, keys, o);
}

/* Reads to the end, or until nothing is there at once. */
static int drain(struct relay_source *s, struct relay_batch *b, struct err *err)
{
    for (;;) {
        size_t before = b->count;
        int rc = s->ops->fill(s, b, 0, err);
        if (rc != 0 || b->count == before)
            return rc;
    }
}

static size_t count_of(struct relay_source *s, int end)
{
    struct relay_batch b = {.room = 1 << 24};
    struct err err = ERR_INIT;
    int rc = drain(s, &b, &err);
    if (rc != end)
        fail_msg("%d %s", rc, err.text);
    size_t count = b.count;
    relay_batch_finish(&b);
    s->ops->close(s);
    return count;
}

/* --- sources ---------------------------------------------------------------------------------- */

static void test_keys(void **state)
{
    (void)state;
    struct relay_options o = {.start = RELAY_START};
    assert_int_equal(count_of(fixture("multi-1k.ss", "", o), ERR_END), 90);
    assert_int_equal(count_of(fixture("multi-1k.ss", SS_KEY_WILDCARD, o), ERR_END), 90);
    assert_int_equal(count_of(fixture("multi-1k.ss", "alpha", o), ERR_END), 30);
    assert_int_equal(count_of(fixture("multi-1k.ss", "alpha,gamma", o), ERR_END), 60);
    assert_int_equal(count_of(fixture("multi-1k.ss", "none", o), ERR_END), 0);
    assert_int_equal(count_of(fixture("multi-1k.ss", SS_KEY_INTERNAL, o), ERR_END), 1);
    assert_int_equal(count_of(fixture("multi-1k.ss", SS_KEY_WILDCARD "," SS_KEY_INTERNAL, o), ERR_END), 91);
}

static void expect_first(const char *name, const char *keys, struct relay_options o, uint64_t seq, size_t count)
{
    struct relay_batch b = {.room = 1 << 24};
    struct err err = ERR_INIT;
    struct relay_source *s = fixture(name, keys, o);
    assert_int_equal(drain(s, &b, &err), ERR_END);
    assert_int_equal(b.count, count);
    assert_int_equal(b.list[0].seq, seq);
    relay_batch_finish(&b);
    s->ops->close(s);
}

static void test_starts(void **state)
{
    (void)state;
    struct relay_options seq = {.start = RELAY_SEQ, .value = 20}, far = {.start = RELAY_SEQ, .value = 999};
    struct relay_options at = {.start = RELAY_TIME, .value = 1700000020000};
    expect_first("ended-1k.ss", "hello", seq, 20, 21);
    expect_first("ended-1k.ss", "", seq, 20, 21);
    expect_first("ended-1k.ss", "hello", at, 21, 20);
    expect_first("ended-1k.ss", "hello,other", at, 21, 20);
    /* Several streams: each has its own start. */
    seq.value = 10;
    expect_first("multi-1k.ss", "", seq, 10, 36);
    expect_first("multi-1k.ss", "beta", seq, 10, 12);
    /* A start that is not there is an error, unless it is waited for. */
    assert_int_equal(count_of(fixture("basic.ss", "hello", far), ERR_RANGE), 0);
    assert_int_equal(count_of(fixture("basic.ss", "", far), ERR_RANGE), 0);
    far.follow = true;
    assert_int_equal(count_of(fixture("basic.ss", "hello", far), 0), 0);
    struct relay_options end = {.start = RELAY_END, .follow = true};
    assert_int_equal(count_of(fixture("basic.ss", "", end), 0), 0);
    end.follow = false;
    struct relay_source *s;
    char path[4200];
    fixture_path(path, "basic.ss");
    assert_int_equal(open_source(&s, path, "", end, NULL), ERR_INVALID);
}

static void test_start_that_comes(void **state)
{
    struct ss_dir *d = *state;
    struct relay_options o = {.start = RELAY_SEQ, .value = 3, .follow = true};
    struct relay_batch b = {0};
    struct ss_writer *w = ss_write(d->path, 0);
    ss_put(w, "k", "one");
    ss_flush(w, false);
    struct relay_source *s = source(d->path, "k", o);
    assert_int_equal(s->ops->fill(s, &b, 0, NULL), 0);
    for (int i = 2; i < 6; i++)
        ss_put(w, "k", "more");
    /* A stream that reached its start goes on whatever its numbers are. */
    struct ss_message again = {.key = span_str("k"), .seq = 1};
    assert_int_equal(ss_writer_put(w, &again, false, NULL), 0);
    ss_flush(w, false);
    assert_int_equal(s->ops->fill(s, &b, 1000, NULL), 0);
    assert_int_equal(b.count, 4);
    assert_int_equal(b.list[0].seq, 3);
    assert_int_equal(b.list[3].seq, 1);
    relay_batch_finish(&b);
    s->ops->close(s);
    ss_writer_close(w);
}

static void test_full_batches(void **state)
{
    (void)state;
    struct relay_batch b = {.count_max = 7};
    struct relay_source *s = fixture("ended-1k.ss", "", (struct relay_options){.start = RELAY_START});
    size_t all = 0;
    for (int rc = 0; rc == 0; all += b.count) {
        relay_batch_reset(&b);
        rc = s->ops->fill(s, &b, -1, NULL);
        assert_int_equal(b.count, all < 35 ? 7 : 5);
        if (b.count == 5)
            assert_int_equal(rc, ERR_END);
    }
    assert_int_equal(all, 40);
    assert_int_equal(s->total, s->done);
    relay_batch_finish(&b);
    s->ops->close(s);
}

static void test_waits(void **state)
{
    struct ss_dir *d = *state;
    struct relay_batch b = {0};
    struct err err = ERR_INIT;
    struct relay_source *s = source(d->path, "", (struct relay_options){.start = RELAY_END, .follow = true});
    uint64_t before = time_mono_us();
    assert_int_equal(s->ops->fill(s, &b, 30, &err), 0); /* it is not there yet */
    assert_true(time_mono_us() - before >= 29000);
    assert_int_equal(b.count, 0);
    struct ss_writer *w = ss_write(d->path, 0);
    ss_put(w, "k", "one");
    ss_flush(w, false);
    assert_int_equal(s->ops->fill(s, &b, 1000, &err), 0);
    assert_int_equal(b.count, 1);
    assert_int_equal(unlink(d->path), 0);
    assert_int_equal(s->ops->fill(s, &b, 1000, &err), ERR_END);
    assert_int_equal(s->ops->fill(s, &b, 1000, &err), ERR_END);
    ss_writer_close(w);
    relay_batch_finish(&b);
    s->ops->close(s);
    assert_int_equal(open_source(&s, d->path, "", (struct relay_options){.start = RELAY_START}, &err), -ENOENT);
}

static void test_damage(void **state)
{
    struct ss_dir *d = *state;
    CLEAN_BUF bytes = BUF_INIT;
    struct relay_batch b = {0};
    struct err err = ERR_INIT;
    ss_get(&bytes, FIXTURES "basic.ss");
    bytes.ptr[SS_HEADER_SIZE + 3 * 46 + 34] ^= 0x10;
    ss_set(d->path, bytes.ptr, bytes.len);
    struct relay_source *s = source(d->path, "", (struct relay_options){.start = RELAY_START});
    assert_int_equal(drain(s, &b, &err), ERR_END);
    assert_int_equal(b.count, 9); /* a damaged payload costs its message */
    assert_int_equal(s->bad, 1);
    s->ops->close(s);
    relay_batch_reset(&b);
    bytes.ptr[SS_HEADER_SIZE + 3 * 46] = 0; /* a broken frame, all that is behind */
    ss_set(d->path, bytes.ptr, bytes.len);
    s = source(d->path, "", (struct relay_options){.start = RELAY_START});
    for (int i = 0; i < 2; i++) {
        assert_int_equal(drain(s, &b, &err), ERR_FORMAT);
        assert_non_null(strstr(err.text, "weir decode --repair"));
        assert_int_equal(b.count, 3);
    }
    s->ops->close(s);
    relay_batch_finish(&b);
}

static void test_options_that_do_not_fit(void **state)
{
    (void)state;
    struct relay_source *s;
    char path[4200];
    fixture_path(path, "multi-1k.ss");
    static const struct {
        const char *keys;
        struct relay_options o;
        int rc;
    } cases[] = {
        {"", {.start = RELAY_START, .mode = SS_RESUMABLE, .group = "g"}, ERR_INVALID},
        {"", {.start = RELAY_START, .mode = SS_BALANCED}, ERR_INVALID},
        {"", {.start = RELAY_START, .group = "g"}, ERR_INVALID},
        {"", {.start = RELAY_START, .has_commit = true}, ERR_INVALID},
        {SS_KEY_WILDCARD, {.start = RELAY_START, .mode = SS_BALANCED, .group = "g"}, ERR_INVALID},
        {"alpha", {.start = RELAY_START, .mode = SS_BALANCED, .group = "g"}, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(open_source(&s, path, cases[i].keys, cases[i].o, NULL), cases[i].rc);
        if (cases[i].rc == 0)
            s->ops->close(s);
    }
}

/* --- places ----------------------------------------------------------------------------------- */

/* From every place of a file the rest follows, each message once; also when the reader was told another start then. */
static void test_every_place(void **state)
{
    (void)state;
    struct relay_options o = {.start = RELAY_START};
    static const char *const files[] = {"multi-1k.ss", "interval-128.ss", "boundary-1k.ss", "ended-1k.ss"};
    for (size_t f = 0; f < sizeof files / sizeof *files; f++) {
        struct relay_source *s = fixture(files[f], "", o);
        size_t all = count_of(fixture(files[f], "", o), ERR_END), given = 0;
        for (int rc = 0; rc == 0;) {
            CLEAN_BUF place = BUF_INIT;
            struct relay_batch one = {.count_max = 1};
            struct err err = ERR_INIT;
            assert_int_equal(s->ops->position(s, &place), 0);
            struct relay_source *again = fixture(files[f], "", (struct relay_options){.start = given % 2 ? RELAY_SEQ : RELAY_START, .value = 99999});
            if (again->ops->go(again, buf_span(&place), &err) != 0)
                fail_msg("%s", err.text);
            assert_int_equal(count_of(again, ERR_END), all - given);
            rc = s->ops->fill(s, &one, -1, NULL);
            given += one.count;
            relay_batch_finish(&one);
        }
        assert_int_equal(given, all);
        s->ops->close(s);
    }
}

/* The place before an end mark is good when a writer has taken the mark away. */
static void test_place_at_the_mark(void **state)
{
    struct ss_dir *d = *state;
    CLEAN_BUF place = BUF_INIT;
    struct relay_batch b = {0};
    ss_copy_fixture(d, "ended-1k.ss");
    struct relay_source *s = source(d->path, "", (struct relay_options){.start = RELAY_START});
    assert_int_equal(drain(s, &b, NULL), ERR_END);
    assert_int_equal(s->ops->position(s, &place), 0);
    s->ops->close(s);
    struct ss_writer *w = ss_write(d->path, 0);
    ss_put(w, "hello", "forty-one");
    ss_flush(w, false);
    ss_writer_close(w);
    s = source(d->path, "", (struct relay_options){.start = RELAY_START});
    assert_int_equal(s->ops->go(s, buf_span(&place), NULL), 0);
    relay_batch_reset(&b);
    assert_int_equal(drain(s, &b, NULL), ERR_END);
    assert_int_equal(b.count, 1);
    assert_true(span_is(b.list[0].payload, "forty-one"));
    s->ops->close(s);
    relay_batch_finish(&b);
}

static void expect_other(struct ss_dir *d, const char *place)
{
    struct err err = ERR_INIT;
    struct relay_source *s = source(d->path, "", (struct relay_options){.start = RELAY_START});
    assert_int_equal(s->ops->go(s, span_str(place), &err), ERR_INVALID);
    assert_true(strlen(err.text) > 20);
    s->ops->close(s);
}

static void test_another_file(void **state)
{
    struct ss_dir *d = *state;
    CLEAN_BUF place = BUF_INIT, bytes = BUF_INIT;
    struct relay_batch b = {.count_max = 5};
    ss_copy_fixture(d, "basic.ss");
    ss_get(&bytes, d->path);
    struct relay_source *s = source(d->path, "", (struct relay_options){.start = RELAY_START});
    assert_int_equal(s->ops->fill(s, &b, 0, NULL), 0);
    assert_int_equal(s->ops->position(s, &place), 0);
    s->ops->close(s);
    relay_batch_finish(&b);
    const char *text = buf_cstr(&place);
    ss_copy_fixture(d, "ended-1k.ss"); /* made at another time */
    expect_other(d, text);
    expect_other(d, "offset=128 created=1");
    ss_set(d->path, bytes.ptr, 200); /* shorter */
    expect_other(d, text);
    /* The same header with other messages, as a repair leaves it. */
    CLEAN_BUF less = BUF_INIT;
    assert_int_equal(buf_add(&less, bytes.ptr, SS_HEADER_SIZE) | buf_add(&less, bytes.ptr + 174, bytes.len - 174), 0);
    ss_set(d->path, less.ptr, less.len);
    expect_other(d, text);
    ss_set(d->path, bytes.ptr, bytes.len);
    static const char *const nonsense[] = {"", "offset=", "offset=1", "offset=128 last=500", "offset=x", "=128", "offset=128  seq=1", "k=MS-N", "seq=1",
                                           "offset=18446744073709551616"};
    for (size_t i = 0; i < sizeof nonsense / sizeof *nonsense; i++)
        expect_other(d, nonsense[i]);
    s = source(d->path, "", (struct relay_options){.start = RELAY_START});
    assert_int_equal(s->ops->go(s, span_str(text), NULL), 0);
    assert_int_equal(count_of(s, ERR_END), 5);
    assert_int_equal(unlink(d->path), 0); /* not there any more */
    s = source(d->path, "", (struct relay_options){.start = RELAY_START, .follow = true});
    assert_int_equal(s->ops->go(s, span_str(text), NULL), ERR_INVALID);
    assert_int_equal(s->ops->go(s, span_str("offset=128"), NULL), 0);
    s->ops->close(s);
}

/* A start that was asked for still holds for streams that have not come yet. */
static void test_place_with_a_start(void **state)
{
    (void)state;
    CLEAN_BUF place = BUF_INIT;
    struct relay_source *s = fixture("multi-1k.ss", "", (struct relay_options){.start = RELAY_SEQ, .value = 10});
    assert_int_equal(s->ops->position(s, &place), 0);
    s->ops->close(s);
    s = fixture("multi-1k.ss", "", (struct relay_options){.start = RELAY_START});
    assert_int_equal(s->ops->go(s, buf_span(&place), NULL), 0);
    assert_int_equal(count_of(s, ERR_END), 36);
}

/* --- sinks ------------------------------------------------------------------------------------ */

static struct relay_sink *sink(const char *path, struct relay_options o)
{
    struct relay_sink *s = NULL;
    struct ss_url url = {0};
    struct err err = ERR_INIT;
    char text[512];
    snprintf(text, sizeof text, "file://%s/k", path);
    assert_int_equal(ss_url_parse(&url, text, &err), 0);
    if (relay_file_sink(&s, &url, &o, &err) != 0)
        fail_msg("%s", err.text);
    ss_url_finish(&url);
    return s;
}

/* All of a file through both ends: the same bytes behind the header, but for the mark's time. */
static void test_same_bytes(void **state)
{
    struct ss_dir *d = *state;
    CLEAN_BUF was = BUF_INIT, now = BUF_INIT;
    struct relay_batch b = {.room = 1 << 24};
    struct err err = ERR_INIT;
    struct relay_source *from = fixture("multi-1k.ss", "", (struct relay_options){.start = RELAY_START});
    struct relay_sink *to = sink(d->path, (struct relay_options){.preserve = true, .interval = 1024, .end_mark = true});
    assert_int_equal(drain(from, &b, &err), ERR_END);
    assert_int_equal(to->ops->put(to, &b, &err), 0);
    assert_int_equal(to->ops->flush(to, NULL, (struct span){0}, &err), 0);
    assert_int_equal(to->ops->end(to, &err), 0);
    from->ops->close(from);
    to->ops->close(to);
    relay_batch_finish(&b);
    ss_get(&was, FIXTURES "multi-1k.ss");
    ss_get(&now, d->path);
    assert_int_equal(was.len, now.len);
    assert_memory_equal(was.ptr + SS_HEADER_SIZE, now.ptr + SS_HEADER_SIZE, was.len - SS_HEADER_SIZE - 18);
    assert_memory_equal(was.ptr + was.len - 10, now.ptr + now.len - 10, 10);
}

static void test_sink(void **state)
{
    struct ss_dir *d = *state;
    struct relay_batch b = {0};
    struct err err = ERR_INIT;
    struct ss_message list[] = {
        {.key = span_str("k"), .no_seq = true, .time_ms = 5, .payload = span_str("one")},
        {.key = span_str("no key"), .payload = span_str("left out")},
        {.key = span_str(SS_KEY_INTERNAL), .payload = span_str("EOS")},
        {.key = span_str("k"), .seq = 70, .shard = 3, .time_ms = 6, .payload = span_str("own")},
        {.key = span_str("k"), .no_seq = true, .time_ms = 7, .payload = span_str("two")},
    };
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(relay_batch_add(&b, &list[i]), 0);
    struct relay_sink *s = sink(d->path, (struct relay_options){.interval = 4096});
    assert_int_equal(s->ops->put(s, &b, &err), 0);
    assert_int_equal(s->refused, 2);
    assert_int_equal(s->ops->flush(s, NULL, (struct span){0}, &err), 0);
    assert_int_equal(s->ops->end(s, &err), 0);
    s->ops->close(s);
    struct ss_reader *r = ss_read(d->path, SS_FROM_START, false);
    assert_int_equal(ss_reader_header(r)->interval, 4096);
    ss_next(r, "k", 1, "one");
    ss_next(r, "k", 70, "own");
    ss_next(r, "k", 2, "two");
    assert_int_equal(ss_next_code(r), ERR_END);
    ss_reader_close(r);
    s = sink(d->path, (struct relay_options){.size_limit = ss_size(d->path) + 10});
    assert_int_equal(s->ops->put(s, &b, &err), ERR_FULL);
    s->ops->close(s);
    relay_batch_finish(&b);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, ss_dir_setup, ss_dir_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_keys),
        TEST(test_starts),
        TEST(test_start_that_comes),
        TEST(test_full_batches),
        TEST(test_waits),
        TEST(test_damage),
        TEST(test_options_that_do_not_fit),
        TEST(test_every_place),
        TEST(test_place_at_the_mark),
        TEST(test_another_file),
        TEST(test_place_with_a_start),
        TEST(test_same_bytes),
        TEST(test_sink),
    };
    alarm(60);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
