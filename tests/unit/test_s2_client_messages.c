/* Messages of any size: chunks and headers as they stand in records, and back, with what may come
 * between. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <weir/s2.h>

#include "base/bytes.h"
#include "client/s2/frames.h"
#include "tests/unit/s2_model_server.h"

static const struct weir_s2_stream stream = {"a-basin-1", "s"};

/* A chunk as another writer's software makes it. */
struct chunk {
    struct s2_header headers[6];
    uint8_t numbers[3][8];
    struct s2_record record;
};

static uint64_t next_seq_num;

static void add(struct chunk *c, const char *name, struct span value)
{
    c->headers[c->record.header_count++] = (struct s2_header){span_str(name), value};
}

static void add_number(struct chunk *c, size_t slot, const char *name, uint64_t n)
{
    put_be64(c->numbers[slot], n);
    add(c, name, span_of(c->numbers[slot], 8));
}

/* records 0: not the first chunk. */
static const struct s2_record *chunk(struct chunk *c, const char *writer, uint64_t seq,
                                     uint64_t records, uint64_t bytes, const char *body)
{
    *c = (struct chunk){.record = {.seq_num = next_seq_num++, .body = span_str(body)}};
    c->record.headers = c->headers;
    if (records > 0) {
        add_number(c, 0, "_frame_records", records);
        add_number(c, 1, "_frame_bytes", bytes);
    }
    add_number(c, 2, "_dedupe_seq", seq);
    add(c, "_writer_id", span_str(writer));
    return &c->record;
}

static struct weir_s2_assembler *assembler(struct weir_s2_assembler_options o)
{
    struct weir_s2_assembler *m;
    struct weir_s2_err err;
    next_seq_num = 0;
    assert_int_equal(weir_s2_assembler_open(&m, &o, &err), 0);
    return m;
}

#define NO_OPTIONS ((struct weir_s2_assembler_options){0})

static void push(struct weir_s2_assembler *m, const struct s2_record *r, const char *whole)
{
    struct weir_s2_message message;
    struct weir_s2_err err;
    int rc = weir_s2_assembler_push(m, r, &message, &err);
    assert_int_equal(rc, whole != NULL);
    if (whole)
        assert_true(span_is(message.body, whole));
}

static void joins_chunks(void **state)
{
    struct weir_s2_assembler *m = assembler(NO_OPTIONS);
    struct chunk c;
    (void)state;
    push(m, chunk(&c, "w", 0, 3, 6, "ab"), NULL);
    assert_int_equal(weir_s2_assembler_resume(m), 0);
    push(m, chunk(&c, "w", 1, 0, 0, "cd"), NULL);
    push(m, chunk(&c, "w", 2, 0, 0, "ef"), "abcdef");
    assert_int_equal(weir_s2_assembler_resume(m), 3);
    push(m, chunk(&c, "w", 3, 1, 0, ""), "");
    weir_s2_assembler_close(m);
}

static void drops_duplicates(void **state)
{
    struct weir_s2_assembler *m = assembler(NO_OPTIONS);
    struct chunk c;
    (void)state;
    push(m, chunk(&c, "w", 0, 2, 4, "ab"), NULL);
    push(m, chunk(&c, "w", 0, 2, 4, "ab"), NULL);
    push(m, chunk(&c, "w", 1, 0, 0, "cd"), "abcd");
    push(m, chunk(&c, "w", 0, 2, 4, "ab"), NULL); /* the whole batch again */
    push(m, chunk(&c, "w", 1, 0, 0, "cd"), NULL);
    push(m, chunk(&c, "w", 2, 1, 1, "e"), "e");
    assert_int_equal(weir_s2_assembler_dropped(m).duplicates, 3);
    assert_int_equal(weir_s2_assembler_dropped(m).cut, 0);
    weir_s2_assembler_close(m);
}

static void writers_may_mix(void **state)
{
    struct weir_s2_assembler *m = assembler(NO_OPTIONS);
    struct chunk c;
    (void)state;
    push(m, chunk(&c, "a", 0, 2, 4, "a1"), NULL);
    push(m, chunk(&c, "b", 7, 2, 4, "b1"), NULL);
    push(m, chunk(&c, "a", 1, 0, 0, "a2"), "a1a2");
    assert_int_equal(weir_s2_assembler_resume(m), 1); /* where b's begins */
    push(m, chunk(&c, "b", 7, 2, 4, "b1"), NULL);
    push(m, chunk(&c, "b", 8, 0, 0, "b2"), "b1b2");
    weir_s2_assembler_close(m);
}

static void a_reader_may_start_in_the_middle(void **state)
{
    struct weir_s2_assembler *m = assembler(NO_OPTIONS);
    struct chunk c;
    (void)state;
    push(m, chunk(&c, "w", 4, 0, 0, "tail of one"), NULL);
    push(m, chunk(&c, "w", 5, 0, 0, "tail of one"), NULL);
    push(m, chunk(&c, "w", 6, 1, 3, "new"), "new");
    assert_int_equal(weir_s2_assembler_dropped(m).strays, 2);
    weir_s2_assembler_close(m);
}

static void a_writer_may_die_in_the_middle(void **state)
{
    struct weir_s2_assembler *m = assembler(NO_OPTIONS);
    struct chunk c;
    (void)state;
    push(m, chunk(&c, "one", 0, 3, 6, "ab"), NULL);
    push(m, chunk(&c, "two", 0, 1, 2, "ok"), "ok");
    push(m, chunk(&c, "one", 1, 1, 2, "hi"), "hi"); /* came back with its id and began anew */
    assert_int_equal(weir_s2_assembler_dropped(m).cut, 1);
    weir_s2_assembler_close(m);
}

static void a_hole_spoils_a_message(void **state)
{
    struct weir_s2_assembler *m = assembler(NO_OPTIONS);
    struct chunk c;
    (void)state;
    push(m, chunk(&c, "w", 0, 2, 4, "ab"), NULL);
    push(m, chunk(&c, "w", 4, 0, 0, "ef"),
         NULL); /* 1 to 3 were trimmed: this is another message's end */
    push(m, chunk(&c, "w", 5, 1, 1, "x"), "x");
    assert_int_equal(weir_s2_assembler_dropped(m).cut, 1);
    weir_s2_assembler_close(m);
}

static void sizes_must_fit(void **state)
{
    struct weir_s2_assembler *m =
        assembler((struct weir_s2_assembler_options){.message_bytes = 10});
    struct chunk c;
    (void)state;
    push(m, chunk(&c, "w", 0, 2, 11, "abcdef"), NULL); /* over the limit */
    push(m, chunk(&c, "w", 1, 0, 0, "ghijk"), NULL);
    push(m, chunk(&c, "w", 2, 1, 3, "four"), NULL); /* more than it said */
    push(m, chunk(&c, "w", 3, 1, 3, "ab"), NULL);   /* less */
    push(m, chunk(&c, "w", 4, 0, 0, "c"), NULL);
    push(m, chunk(&c, "w", 5, 1, 3, "abc"), "abc");
    assert_int_equal(weir_s2_assembler_dropped(m).cut, 3);
    assert_int_equal(weir_s2_assembler_dropped(m).strays, 2);
    weir_s2_assembler_close(m);
}

static void silent_writers_are_forgotten(void **state)
{
    struct weir_s2_assembler *m = assembler((struct weir_s2_assembler_options){.writers = 2});
    struct chunk c;
    (void)state;
    push(m, chunk(&c, "a", 0, 2, 4, "a1"), NULL);
    push(m, chunk(&c, "b", 0, 2, 4, "b1"), NULL);
    push(m, chunk(&c, "c", 0, 1, 2, "c1"), "c1");
    assert_int_equal(weir_s2_assembler_dropped(m).cut, 1); /* a's */
    push(m, chunk(&c, "b", 1, 0, 0, "b2"), "b1b2");
    weir_s2_assembler_close(m);
}

static void other_records_are_passed_over(void **state)
{
    struct weir_s2_assembler *m = assembler(NO_OPTIONS);
    struct chunk c;
    struct s2_header odd[] = {{span_str("_frame_records"), span_str("3")},
                              {span_str("_frame_bytes"), span_str("x")}};
    struct s2_record plain = {.body = span_str("plain")},
                     strange = {.headers = odd, .header_count = 2};
    (void)state;
    push(m, &plain, NULL);
    push(m, chunk(&c, "w", 0, 2, 4, "ab"), NULL);
    push(m, &plain, NULL);
    push(m, &strange, NULL);
    push(m, chunk(&c, "w", 1, 0, 0, "cd"), "abcd");
    assert_int_equal(weir_s2_assembler_dropped(m).strays, 3);
    weir_s2_assembler_close(m);
}

/* --- through a producer and a stream
 * ----------------------------------------------------------------------- */

struct fixture {
    struct model *m;
    struct weir_s2 *s2;
    struct weir_s2_producer *p;
};

static void open_all(struct fixture *f)
{
    struct weir_s2_err err;
    struct weir_s2_options o = WEIR_S2_OPTIONS_INIT;
    f->m = model_start_server(NULL);
    o.account = f->m->addr;
    o.backoff_ms = o.backoff_max_ms = 1;
    o.attempts = 20;
    assert_int_equal(weir_s2_open(&f->s2, &o, &err), 0);
    assert_int_equal(weir_s2_producer_open(&f->p, f->s2, stream, NULL, &err), 0);
}

static void close_all(struct fixture *f)
{
    weir_s2_producer_close(f->p);
    weir_s2_close(f->s2);
    model_stop_server(f->m);
}

static void large_messages_are_cut(void **state)
{
    struct fixture f;
    struct weir_s2_err err;
    struct weir_s2_writer *w;
    uint64_t last;
    (void)state;
    open_all(&f);
    assert_int_equal(weir_s2_writer_open(&w, f.p, NULL, &err), 0);
    assert_int_equal(strlen(weir_s2_writer_id(w)), 12);
    size_t len = 3 * 1024 * 1024 + 17;
    uint8_t *bytes = malloc(len);
    for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)(i >> 9);
    assert_int_equal(weir_s2_writer_put(w, span_of(bytes, len), NULL, 0, &last, &err), 0);
    assert_int_equal(last, 3);
    assert_int_equal(weir_s2_writer_next_seq(w), 4);
    assert_int_equal(weir_s2_producer_flush(f.p, &err), 0);
    assert_int_equal(f.m->count, 4);
    size_t at = 0;
    for (size_t i = 0; i < 4; i++) {
        assert_memory_equal(f.m->records[i].bytes, bytes + at, f.m->records[i].len);
        at += f.m->records[i].len;
    }
    assert_int_equal(at, len);
    free(bytes);
    weir_s2_writer_close(w);
    close_all(&f);
}

static void headers_are_those_of_the_layout(void **state)
{
    struct s2_header all[] = {{span_str("mine"), span_str("v")},
                              {span_str("_frame_records"), span_of("\0\0\0\0\0\0\0\2", 8)},
                              {span_str("_frame_bytes"), span_of("\0\0\0\0\0\0\1\0", 8)},
                              {span_str("_dedupe_seq"), span_of("\0\0\0\0\0\0\0\5", 8)},
                              {span_str("_writer_id"), span_str("me")}};
    struct s2_record r = {.headers = all, .header_count = 5};
    struct s2c_chunk c;
    (void)state;
    s2c_chunk_of(&c, &r);
    assert_true(c.first && c.has_seq);
    assert_int_equal(c.records, 2);
    assert_int_equal(c.bytes, 256);
    assert_int_equal(c.seq, 5);
    assert_true(span_is(c.writer, "me"));
    assert_int_equal(c.own, 1);
    r.header_count = 2; /* one of the two numbers is no beginning */
    s2c_chunk_of(&c, &r);
    assert_false(c.first);
}

static void own_headers_come_back(void **state)
{
    struct weir_s2_assembler *m = assembler(NO_OPTIONS);
    struct weir_s2_message message;
    struct weir_s2_err err;
    struct chunk c;
    (void)state;
    chunk(&c, "w", 0, 2, 4, "ab");
    add(&c, "kind", span_str("note"));
    add(&c, "", span_str("odd"));
    assert_int_equal(weir_s2_assembler_push(m, &c.record, &message, &err), 0);
    assert_int_equal(weir_s2_assembler_push(m, chunk(&c, "w", 1, 0, 0, "cd"), &message, &err), 1);
    assert_int_equal(message.header_count, 2);
    assert_true(span_is(message.headers[0].name, "kind"));
    assert_true(span_is(message.headers[0].value, "note"));
    assert_true(span_is(message.headers[1].value, "odd"));
    assert_true(span_is(message.writer, "w"));
    assert_int_equal(message.first_seq_num, 0);
    assert_int_equal(message.last_seq_num, 1);
    weir_s2_assembler_close(m);
}

static void writer_options_are_checked(void **state)
{
    struct fixture f;
    struct weir_s2_err err;
    struct weir_s2_writer *w;
    char text[80] = {0};
    (void)state;
    open_all(&f);
    memset(text, 'x', 65);
    assert_int_equal(
        weir_s2_writer_open(&w, f.p, &(struct weir_s2_writer_options){.writer_id = text}, &err),
        ERR_INVALID);
    assert_int_equal(
        weir_s2_writer_open(&w, f.p, &(struct weir_s2_writer_options){.writer_id = ""}, &err),
        ERR_INVALID);
    assert_int_equal(weir_s2_writer_open(&w, f.p,
                                         &(struct weir_s2_writer_options){
                                             .writer_id = "me", .next_seq = 9, .chunk_bytes = 2},
                                         &err),
                     0);
    assert_int_equal(weir_s2_writer_put(w, span_str("abcde"), NULL, 0, NULL, &err), 0);
    assert_int_equal(weir_s2_writer_next_seq(w), 12);
    struct s2_header large = {span_str("h"), span_of(calloc(1, 1 << 20), 1 << 20)};
    assert_int_equal(weir_s2_writer_put(w, span_str("x"), &large, 1, NULL, &err), ERR_TOO_LARGE);
    assert_int_equal(weir_s2_writer_next_seq(w), 12);
    free((void *)(uintptr_t)large.value.ptr);
    weir_s2_writer_close(w);
    close_all(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(joins_chunks),
        cmocka_unit_test(drops_duplicates),
        cmocka_unit_test(writers_may_mix),
        cmocka_unit_test(a_reader_may_start_in_the_middle),
        cmocka_unit_test(a_writer_may_die_in_the_middle),
        cmocka_unit_test(a_hole_spoils_a_message),
        cmocka_unit_test(sizes_must_fit),
        cmocka_unit_test(silent_writers_are_forgotten),
        cmocka_unit_test(other_records_are_passed_over),
        cmocka_unit_test(large_messages_are_cut),
        cmocka_unit_test(headers_are_those_of_the_layout),
        cmocka_unit_test(own_headers_come_back),
        cmocka_unit_test(writer_options_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
