/*
 * Topics' own rows, and stream appends: rules, timestamps, tokens, trims, drops, seeks.
 */
#include <sched.h>

#include "tests/unit/store_fixture.h"

/* --- short ways --------------------------------------------------------------------------- */

static struct topic_make make_of(uint64_t retention_ms, enum stamp_mode mode, const char *note)
{
    return (struct topic_make){.rules = {.retention_ms = retention_ms, .stamp_mode = mode},
                               .note = span_str(note)};
}

static int run_topic(struct play *play, struct store_op *op, struct store_topic_op *topic,
                     enum topic_deed deed, const char *name, const struct topic_make *make)
{
    topic->deed = deed;
    topic->name = span_str(name);
    topic->make = make;
    op->kind = STORE_TOPIC;
    op->topic = topic;
    return store_run(play->store, op);
}

static int deed(struct play *play, struct store_topic_op *topic, enum topic_deed what,
                const char *name, const struct topic_make *make)
{
    struct store_op op = {0};
    *topic = (struct store_topic_op){0};
    return run_topic(play, &op, topic, what, name, make);
}

/* Looks at a topic that is there. */
static struct store_topic look_at(struct play *play, struct store_topic_op *topic, const char *name)
{
    assert_int_equal(deed(play, topic, TOPIC_LOOK, name, NULL), 0);
    return topic->view;
}

struct stream {
    struct store_op op;
    struct store_topic_op topic;
    struct store_frame frames[8];
    char texts[8][16];
};

static void stream_init(struct stream *s, const char *topic, size_t count)
{
    *s = (struct stream){.op = {.kind = STORE_APPEND, .stream = true, .count = count}};
    s->op.frames = s->frames;
    s->op.topic = &s->topic;
    for (size_t i = 0; i < count; i++)
        s->frames[i].topic = span_str(topic);
}

static void set_content(struct store_frame *frame, const void *bytes, size_t len)
{
    frame->has_hash = frame->has_content = true;
    frame->content = span_of(bytes, len);
    frame->content_size = len;
}

static int run_stream(struct play *play, struct stream *s)
{
    return store_run(play->store, &s->op);
}

/* Appends `count` plain records to a topic that is there. */
static struct frame_id records(struct play *play, const char *topic, size_t count)
{
    struct stream s;
    stream_init(&s, topic, count);
    assert_int_equal(run_stream(play, &s), 0);
    return s.frames[0].id;
}

static int fence(struct play *play, const char *topic, const char *token)
{
    struct stream s;
    stream_init(&s, topic, 1);
    s.frames[0].command = COMMAND_FENCE;
    set_content(&s.frames[0], token, strlen(token));
    return run_stream(play, &s);
}

static int trim(struct play *play, const char *topic, uint64_t seq, struct stream *s)
{
    static uint8_t bytes[8];
    put_be64(bytes, seq);
    stream_init(s, topic, 1);
    s->frames[0].command = COMMAND_TRIM;
    set_content(&s->frames[0], bytes, sizeof bytes);
    return run_stream(play, s);
}

static void both_ways(struct play *play, int way)
{
    if (way == 1)
        flush(play);
    if (way == 2)
        play_reopen(play);
}

/* --- rows --------------------------------------------------------------------------------- */

static void test_look_and_create(void **state)
{
    struct play *play = *state;
    struct store_topic_op t;
    struct topic_make make = make_of(5000, STAMP_ARRIVAL, "a note");
    make.rules.uncapped = true;
    make.rules.empty_after_ms = 77;
    assert_int_equal(deed(play, &t, TOPIC_LOOK, "s", NULL), ERR_NOT_FOUND);
    uint64_t records_before = stat_of(play).journal_last;
    assert_int_equal(deed(play, &t, TOPIC_LOOK, "s", NULL), ERR_NOT_FOUND);
    assert_int_equal(stat_of(play).journal_last, records_before);
    assert_int_equal(deed(play, &t, TOPIC_CREATE, "s", &make), 0);
    assert_true(t.made && !t.changed);
    clock_ms += 5;
    for (int way = 0; way < 3; way++) {
        both_ways(play, way);
        struct store_topic v = look_at(play, &t, "s");
        assert_true(span_is(v.name, "s") && v.no != 0);
        assert_int_equal(v.created_ms, clock_ms - 5);
        assert_true(span_is(v.note, "a note"));
        assert_int_equal(v.revision, 1);
        assert_int_equal(v.rules.retention_ms, 5000);
        assert_int_equal(v.rules.stamp_mode, STAMP_ARRIVAL);
        assert_true(v.rules.uncapped);
        assert_int_equal(v.rules.empty_after_ms, 77);
        assert_int_equal(v.next_seq + v.last_stamp + v.trim + v.first_seq + v.live + v.token.len, 0);
        assert_int_equal(deed(play, &t, TOPIC_CREATE, "s", &make), ERR_CONFLICT);
        assert_true(!t.made && span_is(t.view.note, "a note"));
    }
}

static void test_stream_append(void **state)
{
    struct play *play = *state;
    struct store_topic_op t;
    struct topic_make make = make_of(1000, STAMP_PREFER, "");
    struct stream s;
    stream_init(&s, "s", 3);
    assert_int_equal(run_stream(play, &s), ERR_NOT_FOUND);
    s.op.make = &make;
    s.frames[1].has_stamp = true;
    s.frames[1].stamp = clock_ms - 10;
    s.frames[2].has_stamp = true;
    s.frames[2].stamp = clock_ms + 10;
    assert_int_equal(run_stream(play, &s), 0);
    assert_true(s.topic.made);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(s.frames[i].seq, i);
        assert_int_equal(s.frames[i].stamp, clock_ms); /* raised, and capped */
        assert_int_equal(s.frames[i].ttl.kind, TTL_TIME);
    }
    assert_int_equal(s.topic.view.next_seq, 3);
    assert_int_equal(s.topic.view.live, 3);
    assert_int_equal(fence(play, "s", "t1"), 0);
    stream_init(&s, "s", 1);
    s.op.has_expect_token = true;
    s.op.expect_token = span_str("other");
    assert_int_equal(run_stream(play, &s), ERR_CONDITION);
    assert_true(s.op.fenced);
    assert_string_equal(s.op.actual_token, "t1");
    assert_int_equal(trim(play, "s", 2, &s), 0);
    assert_int_equal(count_topic(play, "s"), 3);
    look_at(play, &t, "s");
    assert_int_equal(t.view.trim, 2);
    assert_int_equal(t.view.live, 3);
    both_ways(play, 2);
    assert_int_equal(count_topic(play, "s"), 3);
    assert_true(span_is(look_at(play, &t, "s").token, "t1"));
    assert_int_equal(deed(play, &t, TOPIC_DROP, "s", NULL), 0);
    assert_int_equal(t.view.next_seq, 5);
    assert_int_equal(count_all(play), 0);
    stream_init(&s, "s", 1);
    s.op.make = &make;
    assert_int_equal(run_stream(play, &s), 0);
    assert_int_equal(s.frames[0].seq, 0);
    assert_true(s.topic.view.no != t.view.no);
    for (int way = 0; way < 3; way++) {
        both_ways(play, way);
        assert_int_equal(count_all(play), 1);
    }
    assert_int_equal(id_cmp(records(play, "s", 2), s.frames[0].id) > 0, 1);
}

/* --- rows changed ------------------------------------------------------------------------- */

static void test_put_and_change(void **state)
{
    struct play *play = *state;
    struct store_topic_op t;
    struct topic_make one = make_of(1000, STAMP_PREFER, "one"), two = make_of(2000, STAMP_REQUIRE, "two");
    struct topic_make none = make_of(0, STAMP_PREFER, "");
    assert_int_equal(deed(play, &t, TOPIC_CHANGE, "s", &one), ERR_NOT_FOUND);
    assert_int_equal(deed(play, &t, TOPIC_PUT, "s", &one), 0);
    assert_true(t.made && !t.changed);
    uint64_t before = stat_of(play).journal_last;
    assert_int_equal(deed(play, &t, TOPIC_PUT, "s", &one), 0);
    assert_true(!t.made && !t.changed);
    assert_int_equal(deed(play, &t, TOPIC_CHANGE, "s", &one), 0);
    assert_int_equal(stat_of(play).journal_last, before); /* equal: nothing is written */
    assert_int_equal(deed(play, &t, TOPIC_PUT, "s", &two), 0);
    assert_true(t.changed && t.view.revision == 2);
    struct store_op op = {.has_expect_seq = true, .expect_seq = 1};
    assert_int_equal(run_topic(play, &op, &t, TOPIC_CHANGE, "s", &one), ERR_CONDITION);
    assert_int_equal(op.actual_seq, 2);
    assert_true(span_is(t.view.note, "two"));
    op = (struct store_op){.has_expect_seq = true, .expect_seq = 2};
    assert_int_equal(run_topic(play, &op, &t, TOPIC_CHANGE, "s", &one), 0);
    assert_int_equal(t.view.revision, 3);
    for (int way = 0; way < 3; way++) {
        both_ways(play, way);
        assert_true(span_is(look_at(play, &t, "s").note, "one"));
        assert_int_equal(t.view.rules.retention_ms, 1000);
        assert_int_equal(t.view.revision, 3);
    }
    /* One that an append made. */
    uint64_t born = clock_ms;
    put(play, "plain");
    clock_ms += 100;
    for (int way = 0; way < 3; way++) {
        both_ways(play, way);
        struct store_topic v = look_at(play, &t, "plain");
        assert_int_equal(v.revision + v.note.len + v.rules.retention_ms, 0);
        assert_int_equal(v.created_ms, born);
        assert_int_equal(v.next_seq, 1);
        assert_int_equal(v.last_stamp, born);
    }
    assert_int_equal(deed(play, &t, TOPIC_PUT, "plain", &none), 0);
    assert_true(!t.made && !t.changed && t.view.revision == 0);
    assert_int_equal(deed(play, &t, TOPIC_LOOK, "new", &two), 0);
    assert_true(t.made && span_is(t.view.note, "two"));
    assert_int_equal(deed(play, &t, TOPIC_LOOK, "new", &one), 0);
    assert_true(!t.made && span_is(t.view.note, "two"));
}

static void test_what_is_refused(void **state)
{
    struct play *play = *state;
    struct store_topic_op t;
    static char long_name[TOPIC_MAX + 2], note[TOPIC_NOTE_MAX + 2];
    struct topic_make make = make_of(0, STAMP_PREFER, "");
    memset(long_name, 'n', TOPIC_MAX + 1);
    memset(note, 'x', TOPIC_NOTE_MAX + 1);
    assert_int_equal(deed(play, &t, TOPIC_CREATE, "", &make), ERR_INVALID);
    assert_int_equal(deed(play, &t, TOPIC_CREATE, long_name, &make), ERR_INVALID);
    assert_int_equal(deed(play, &t, TOPIC_CREATE, "s", NULL), ERR_INVALID);
    assert_int_equal(deed(play, &t, TOPIC_DROP + 1, "s", &make), ERR_INVALID);
    make.note = span_str(note);
    assert_int_equal(deed(play, &t, TOPIC_CREATE, "s", &make), ERR_TOO_LARGE);
    make = make_of(0, STAMP_ARRIVAL + 1, "");
    assert_int_equal(deed(play, &t, TOPIC_CREATE, "s", &make), ERR_INVALID);
    struct store_mark mark = {.kind = STORE_MARK_ACK, .name = span_str("m")};
    struct store_op op = {.marks = &mark, .mark_count = 1};
    t = (struct store_topic_op){0};
    assert_int_equal(run_topic(play, &op, &t, TOPIC_LOOK, "s", NULL), ERR_INVALID);
    /* A name as long as they get, and a note. */
    long_name[TOPIC_MAX] = note[TOPIC_NOTE_MAX] = '\0';
    make = make_of(0, STAMP_PREFER, note);
    assert_int_equal(deed(play, &t, TOPIC_CREATE, long_name, &make), 0);
    play_reopen(play);
    assert_true(span_is(look_at(play, &t, long_name).note, note));
}

/* --- stream appends ----------------------------------------------------------------------- */

static void test_stream_limits(void **state)
{
    struct play *play = *state;
    struct topic_make make = make_of(0, STAMP_PREFER, "");
    struct stream s;
    struct frame_id id;
    char *content = malloc(RECORD_CONTENT_MAX + 1), *meta = malloc(RECORD_META_MAX + 1);
    memset(content, 'c', RECORD_CONTENT_MAX + 1);
    memset(meta, 'm', RECORD_META_MAX + 1);
    for (size_t over = 0; over < 3; over++) {
        stream_init(&s, "s", 1);
        s.op.make = &make;
        set_content(&s.frames[0], content, RECORD_CONTENT_MAX + (over == 1));
        s.frames[0].meta = span_of(meta, RECORD_META_MAX + (over == 2));
        assert_int_equal(run_stream(play, &s), over ? ERR_TOO_LARGE : 0);
        if (over == 0)
            id = s.frames[0].id;
    }
    for (int way = 0; way < 3; way++) {
        struct seen_list list = {0};
        both_ways(play, way);
        assert_int_equal(store_get(play->store, id, see, &list, NULL), 0);
        assert_true(list.items[0].has_content);
        seen_finish(&list);
        assert_int_equal(count_all(play), 1);
    }
    /* The same comes in by an import; a plain append has its own limits. */
    struct store_frame in = s.frames[0];
    struct store_op op = {.kind = STORE_IMPORT, .frames = &in, .count = 1};
    in.meta = span_of(meta, RECORD_META_MAX);
    in.id = id_succ(id);
    assert_int_equal(store_run(play->store, &op), 0);
    op = (struct store_op){.kind = STORE_APPEND, .frames = &in, .count = 1};
    assert_int_equal(store_run(play->store, &op), ERR_TOO_LARGE);
    free(content);
    free(meta);
    /* All of one topic, and at least one. */
    stream_init(&s, "s", 2);
    s.frames[1].topic = span_str("other");
    assert_int_equal(run_stream(play, &s), ERR_INVALID);
    stream_init(&s, "s", 0);
    assert_int_equal(run_stream(play, &s), ERR_INVALID);
}

static void test_commands_are_checked(void **state)
{
    struct play *play = *state;
    struct store_topic_op t;
    struct topic_make make = make_of(0, STAMP_PREFER, "");
    struct stream s;
    assert_int_equal(deed(play, &t, TOPIC_CREATE, "s", &make), 0);
    assert_int_equal(fence(play, "s", "0123456789012345678901234567890123456"), ERR_INVALID);
    assert_int_equal(fence(play, "s", "012345678901234567890123456789012345"), 0);
    stream_init(&s, "s", 1);
    s.frames[0].command = COMMAND_TRIM;
    set_content(&s.frames[0], "short", 5);
    assert_int_equal(run_stream(play, &s), ERR_INVALID);
    s.frames[0].has_content = false;
    assert_int_equal(run_stream(play, &s), ERR_INVALID);
    s.frames[0].command = COMMAND_FENCE; /* a token that lies elsewhere */
    assert_int_equal(run_stream(play, &s), ERR_INVALID);
    assert_int_equal(look_at(play, &t, "s").next_seq, 1);
    /* Nothing of a refused one happens, not even what came before in it. */
    stream_init(&s, "s", 2);
    s.frames[0].command = COMMAND_FENCE;
    set_content(&s.frames[0], "", 0);
    s.op.has_expect_seq = true;
    s.op.expect_seq = 7;
    assert_int_equal(run_stream(play, &s), ERR_CONDITION);
    assert_true(!s.op.fenced && s.op.actual_seq == 1);
    assert_int_equal(look_at(play, &t, "s").token.len, 36);
}

static void test_tokens(void **state)
{
    struct play *play = *state;
    struct topic_make make = make_of(0, STAMP_PREFER, "");
    struct store_topic_op t;
    struct stream s;
    assert_int_equal(deed(play, &t, TOPIC_CREATE, "s", &make), 0);
    for (int way = 0; way < 3; way++) {
        both_ways(play, way);
        assert_int_equal(fence(play, "s", "a"), 0);
        /* It is looked at before the seq. */
        stream_init(&s, "s", 1);
        s.op.has_expect_token = s.op.has_expect_seq = true;
        s.op.expect_token = span_str("");
        s.op.expect_seq = 999;
        assert_int_equal(run_stream(play, &s), ERR_CONDITION);
        assert_true(s.op.fenced);
        assert_string_equal(s.op.actual_token, "a");
        s.op.expect_token = span_str("a");
        assert_int_equal(run_stream(play, &s), ERR_CONDITION);
        assert_false(s.op.fenced);
        s.op.has_expect_seq = false;
        assert_int_equal(run_stream(play, &s), 0);
        /* Frames behind a fence in one append still go by the token it came with; the last one stays. */
        stream_init(&s, "s", 3);
        s.op.has_expect_token = true;
        s.op.expect_token = span_str("a");
        s.frames[0].command = s.frames[2].command = COMMAND_FENCE;
        set_content(&s.frames[0], "b", 1);
        set_content(&s.frames[2], "c", 1);
        assert_int_equal(run_stream(play, &s), 0);
        assert_true(span_is(s.topic.view.token, "c"));
        /* Plain appends: not fenced, unless they ask. */
        put(play, "s");
        struct store_frame in;
        struct store_op op = {.has_expect_token = true, .expect_token = span_str("b")};
        assert_int_equal(append_one(play, &op, &in, "s"), ERR_CONDITION);
        assert_true(op.fenced);
        op = (struct store_op){.has_expect_token = true, .expect_token = span_str("c")};
        assert_int_equal(append_one(play, &op, &in, "s"), 0);
        assert_int_equal(fence(play, "s", ""), 0);
        stream_init(&s, "s", 1);
        s.op.has_expect_token = true;
        assert_int_equal(run_stream(play, &s), 0);
    }
    struct store_op bare = {.kind = STORE_APPEND, .has_expect_token = true};
    assert_int_equal(store_run(play->store, &bare), ERR_INVALID);
}

static void test_stamps(void **state)
{
    static const struct {
        enum stamp_mode mode;
        bool uncapped, given;
        int64_t ahead, expect; /* ms beside the clock */
        int result;
    } cases[] = {
        {STAMP_PREFER, false, false, 0, 0, 0},       {STAMP_PREFER, false, true, -50, -50, 0},
        {STAMP_PREFER, false, true, 50, 0, 0},       {STAMP_PREFER, true, true, 50, 50, 0},
        {STAMP_ARRIVAL, true, true, 50, 0, 0},       {STAMP_ARRIVAL, false, true, -50, 0, 0},
        {STAMP_REQUIRE, false, true, -50, -50, 0},   {STAMP_REQUIRE, false, false, 0, 0, ERR_INVALID},
        {STAMP_REQUIRE, false, true, 50, 0, 0},      {STAMP_REQUIRE, true, true, 50, 50, 0},
    };
    struct play *play = *state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char name[8];
        struct topic_make make = make_of(1000, cases[i].mode, "");
        struct stream s;
        snprintf(name, sizeof name, "s%zu", i);
        make.rules.uncapped = cases[i].uncapped;
        stream_init(&s, name, 2);
        s.op.make = &make;
        for (size_t k = 0; k < 2; k++) { /* the second is earlier, and raised */
            s.frames[k].has_stamp = cases[i].given;
            s.frames[k].stamp = clock_ms + (uint64_t)cases[i].ahead - k * 10;
        }
        assert_int_equal(run_stream(play, &s), cases[i].result);
        assert_int_equal(s.topic.view.no != 0, cases[i].result == 0); /* nothing of a refused one happens */
        if (cases[i].result != 0)
            continue;
        for (size_t k = 0; k < 2; k++)
            assert_int_equal(s.frames[k].stamp, clock_ms + (uint64_t)cases[i].expect);
        assert_int_equal(s.topic.view.last_stamp, s.frames[1].stamp);
    }
    /* What lies in the future stays ahead of what comes; the deadline counts from arrival. */
    struct stream s;
    stream_init(&s, "s3", 1);
    assert_int_equal(run_stream(play, &s), 0);
    assert_int_equal(s.frames[0].stamp, clock_ms + 50);
    assert_int_equal(count_topic(play, "s3"), 3);
    clock_ms += 1000;
    assert_int_equal(count_topic(play, "s3"), 0);
}

static int refuse_some(struct store_op *op, const struct store_topic *topic)
{
    return span_is(topic->note, "no") ? err_set(&op->err, ERR_FORBIDDEN, "not this one") : 0;
}

static void test_owner_is_asked(void **state)
{
    struct play *play = *state;
    struct topic_make no = make_of(0, STAMP_PREFER, "no"), yes = make_of(0, STAMP_PREFER, "yes");
    struct store_topic_op t;
    struct stream s;
    for (int there = 0; there < 2; there++) {
        stream_init(&s, "refused", 1);
        s.op.make = &no;
        s.op.admit = refuse_some;
        s.op.has_expect_seq = true; /* asked first */
        s.op.expect_seq = 9;
        assert_int_equal(run_stream(play, &s), ERR_FORBIDDEN);
        assert_int_equal(deed(play, &t, TOPIC_LOOK, "refused", there ? &no : NULL), there ? 0 : ERR_NOT_FOUND);
        assert_int_equal(deed(play, &t, TOPIC_LOOK, "refused", &no), 0);
    }
    stream_init(&s, "taken", 1);
    s.op.make = &yes;
    s.op.admit = refuse_some;
    assert_int_equal(run_stream(play, &s), 0);
}

static void test_chain(void **state)
{
    struct play *play = *state;
    struct topic_make make = make_of(0, STAMP_PREFER, "");
    struct store_chain chain = {0};
    struct stream s;
    static const int want[] = {0, ERR_CONDITION, ERR_UNAVAILABLE};
    for (uint64_t i = 0; i < 3; i++) {
        stream_init(&s, "s", 1);
        s.op.make = &make;
        s.op.chain = &chain;
        s.op.has_expect_seq = i == 1;
        s.op.expect_seq = 5;
        assert_int_equal(run_stream(play, &s), want[i]);
    }
    assert_int_equal(count_topic(play, "s"), 1);
}

static void test_keys_of_streams(void **state)
{
    struct play *play = *state;
    struct topic_make make = make_of(0, STAMP_PREFER, "");
    struct store_topic_op t;
    struct stream s;
    for (int life = 0; life < 2; life++) {
        struct frame_id first = ID_MIN;
        for (int again = 0; again < 3; again++) {
            if (again == 2)
                play_reopen(play);
            stream_init(&s, "s", 2);
            s.op.make = &make;
            s.op.key = span_str("key");
            assert_int_equal(run_stream(play, &s), 0);
            assert_int_equal(s.op.repeated, again > 0);
            if (again == 0)
                first = s.frames[0].id;
            assert_int_equal(id_cmp(s.frames[0].id, first), 0);
            assert_int_equal(s.frames[1].seq, 1);
        }
        assert_int_equal(count_all(play), 2);
        assert_int_equal(deed(play, &t, TOPIC_DROP, "s", NULL), 0);
    }
}

/* --- trims -------------------------------------------------------------------------------- */

static void test_trim(void **state)
{
    struct play *play = *state;
    struct topic_make make = make_of(0, STAMP_PREFER, "");
    struct store_topic_op t;
    struct stream s;
    assert_int_equal(deed(play, &t, TOPIC_CREATE, "s", &make), 0);
    struct store_cursor *live;
    struct err err = ERR_INIT;
    assert_int_equal(store_cursor_open(&live, play->store, &(struct store_query){.follow = true, .skip_history = true}, &err), 0);
    struct frame_id first = records(play, "s", 8);
    assert_int_equal(trim(play, "s", 5, &s), 0);
    struct frame_id trimmer = s.frames[0].id;
    /* A live follower is spared what was trimmed before it came to it. */
    struct seen_list list = {0};
    enum store_step step;
    drain(live, 1 << 20, &list, &step);
    assert_int_equal(list.count, 4);
    assert_int_equal(list.items[0].seq, 5);
    assert_true(list.items[3].command && id_cmp(list.items[3].id, trimmer) == 0);
    store_cursor_close(live);
    for (int way = 0; way < 3; way++) {
        both_ways(play, way);
        assert_int_equal(count_topic(play, "s"), 4);
        assert_int_equal(store_get(play->store, first, see, &list, &err), ERR_NOT_FOUND);
        struct store_topic v = look_at(play, &t, "s");
        assert_true(v.trim == 5 && v.first_seq == 5 && v.live == 4 && v.next_seq == 9);
    }
    assert_int_equal(trim(play, "s", 2, &s), 0); /* never back */
    assert_int_equal(s.topic.view.trim, 5);
    assert_int_equal(trim(play, "s", UINT64_MAX, &s), 0); /* at most behind itself */
    assert_int_equal(s.topic.view.trim, 11);
    assert_int_equal(s.topic.view.live, 0);
    assert_int_equal(s.topic.view.next_seq, 11);
    for (int way = 0; way < 3; way++) {
        both_ways(play, way);
        assert_int_equal(count_topic(play, "s"), 0);
        struct store_topic v = look_at(play, &t, "s");
        assert_true(v.next_seq == 11 && v.first_seq == 11 && v.live == 0);
        assert_int_equal(v.last_stamp, clock_ms);
    }
    records(play, "s", 1);
    assert_int_equal(look_at(play, &t, "s").next_seq, 12);
    seen_finish(&list);
}

/* What lies in the index and was imported without seq stays; last:N counts it. */
static void test_trim_and_old_frames(void **state)
{
    struct play *play = *state;
    struct topic_make make = make_of(0, STAMP_PREFER, "");
    struct store_topic_op t;
    struct stream s;
    assert_int_equal(deed(play, &t, TOPIC_CREATE, "s", &make), 0);
    struct frame_id first = records(play, "s", 6);
    struct store_frame in = frame_in("s", FOREVER);
    struct store_op op = {.kind = STORE_IMPORT, .frames = &in, .count = 1};
    in.id = id_pred(first);
    assert_int_equal(store_run(play->store, &op), 0);
    assert_false(in.has_seq);
    take_away(play, first); /* a hole: the trim has to count */
    assert_int_equal(trim(play, "s", 3, &s), 0);
    assert_int_equal(s.topic.view.live, 1 + 3 + 1);
    for (int way = 0; way < 3; way++) {
        struct seen_list list = {0};
        both_ways(play, way);
        assert_int_equal(count_topic(play, "s"), 5);
        read_query(play, &(struct store_query){.stream = span_str("s"), .stored_only = true}, 1 << 20, &list);
        assert_int_equal(list.count, 4);
        seen_finish(&list);
    }
    put_frame(play, "s", NULL, LAST(3));
    assert_int_equal(count_topic(play, "s"), 3);
    assert_int_equal(look_at(play, &t, "s").live, 3);
}

#define MANY 18000

/* More holes than a trim counts at once: what is left is known when it is asked for. */
static void test_trim_through_many_holes(void **state)
{
    struct play *play = *state;
    struct topic_make make = make_of(0, STAMP_PREFER, "");
    struct store_topic_op t;
    struct stream s;
    struct store_frame *in = calloc(1000, sizeof *in);
    struct frame_id *holes = calloc(2 * MANY / 1000, sizeof *holes);
    size_t hole_count = 0;
    assert_int_equal(deed(play, &t, TOPIC_CREATE, "s", &make), 0);
    for (size_t n = 0; n < 2 * MANY / 1000; n++) {
        struct store_op op = {.kind = STORE_APPEND, .stream = true, .frames = in, .count = 1000};
        for (size_t i = 0; i < 1000; i++)
            in[i] = frame_in("s", FOREVER);
        assert_int_equal(store_run(play->store, &op), 0);
        holes[hole_count++] = in[500].id;
    }
    struct store_op remove = {.kind = STORE_REMOVE, .ids = holes, .count = hole_count};
    assert_int_equal(store_run(play->store, &remove), 0);
    flush(play);
    assert_int_equal(trim(play, "s", MANY, &s), 0);
    uint64_t left = MANY + 1 - hole_count / 2;
    assert_true(s.topic.view.live >= left);
    assert_int_equal(look_at(play, &t, "s").trim, MANY);
    /* A drop of only an empty topic must know. */
    struct store_op op = {0};
    t = (struct store_topic_op){.only_empty = true};
    assert_int_equal(run_topic(play, &op, &t, TOPIC_DROP, "s", NULL), ERR_CONDITION);
    assert_int_equal(t.view.live, left);
    assert_int_equal(t.view.live, look_at(play, &t, "s").live);
    free(in);
    free(holes);
}

/* --- drops -------------------------------------------------------------------------------- */

static void test_drop_conditions(void **state)
{
    struct play *play = *state;
    struct topic_make make = make_of(1000, STAMP_PREFER, "");
    struct store_topic_op t = {0};
    struct store_op op = {.has_expect_seq = true, .expect_seq = 4};
    struct stream s;
    assert_int_equal(deed(play, &t, TOPIC_DROP, "s", NULL), ERR_NOT_FOUND);
    assert_int_equal(deed(play, &t, TOPIC_CREATE, "s", &make), 0);
    records(play, "s", 3);
    t = (struct store_topic_op){0};
    assert_int_equal(run_topic(play, &op, &t, TOPIC_DROP, "s", NULL), ERR_CONDITION);
    assert_int_equal(op.actual_seq, 3);
    op = (struct store_op){0};
    t = (struct store_topic_op){.only_empty = true};
    assert_int_equal(run_topic(play, &op, &t, TOPIC_DROP, "s", NULL), ERR_CONDITION);
    assert_int_equal(t.view.live, 3);
    assert_int_equal(count_topic(play, "s"), 3);
    assert_int_equal(trim(play, "s", UINT64_MAX, &s), 0);
    op = (struct store_op){.has_expect_seq = true, .expect_seq = 4};
    t = (struct store_topic_op){.only_empty = true};
    assert_int_equal(run_topic(play, &op, &t, TOPIC_DROP, "s", NULL), 0);
    assert_true(t.changed && t.view.next_seq == 4);
    assert_int_equal(deed(play, &t, TOPIC_LOOK, "s", NULL), ERR_NOT_FOUND);
    /* Once all has expired, and was removed, it is empty. */
    assert_int_equal(deed(play, &t, TOPIC_CREATE, "s", &make), 0);
    records(play, "s", 3);
    flush(play);
    clock_ms += 1001;
    for (int i = 0; i < 200; i++) {
        op = (struct store_op){0};
        t = (struct store_topic_op){.only_empty = true};
        if (run_topic(play, &op, &t, TOPIC_DROP, "s", NULL) == 0)
            break;
        put(play, "kick"); /* the index thread looks at what is over when it has something to do */
        flush(play);
    }
    assert_int_equal(op.result, 0);
}

/* Everything of the old life is out of reach, whatever of it is where. */
static void test_drop_hides(void **state)
{
    struct play *play = *state;
    struct store_topic_op t;
    struct err err = ERR_INIT;
    for (int way = 0; way < 3; way++) {
        enum store_place place;
        uint8_t digest[DIGEST_SIZE];
        CLEAN_BUF out = BUF_INIT;
        struct seen_list list = {0};
        struct store_cursor *live;
        struct frame_id id = put_frame(play, "s", "a text", FOREVER), found;
        struct frame_id named = put_frame(play, "s", "a text", FOREVER);
        struct store_frame in = frame_in("s", FOREVER);
        struct store_op op = {.kind = STORE_IMPORT, .frames = &in, .count = 1};
        in.id = id_pred(id);
        assert_int_equal(store_run(play->store, &op), 0);
        uint32_t no = look_at(play, &t, "s").no;
        assert_int_equal(store_cursor_open(&live, play->store, &(struct store_query){.follow = true, .skip_history = true}, &err), 0);
        put(play, "s");
        if (way == 1)
            flush(play);
        assert_int_equal(deed(play, &t, TOPIC_DROP, "s", NULL), 0);
        assert_int_equal(t.view.live, 4);
        struct frame_id next = put(play, "s");
        if (way == 2) {
            store_cursor_close(live);
            play_reopen(play);
            assert_int_equal(store_cursor_open(&live, play->store, &(struct store_query){.follow = true, .from = next}, &err), 0);
        }
        assert_int_equal(count_all(play), 1);
        assert_int_equal(count_topic(play, "s"), 1);
        assert_int_equal(store_get(play->store, id, see, &list, &err), ERR_NOT_FOUND);
        assert_int_equal(store_get(play->store, named, see, &list, &err), ERR_NOT_FOUND);
        assert_int_equal(store_get(play->store, in.id, see, &list, &err), ERR_NOT_FOUND);
        digest_of(digest, "a text");
        assert_int_equal(store_content(play->store, digest, &place, &out, &err), ERR_NOT_FOUND);
        assert_int_equal(store_seek(play->store, no, SEEK_SEQ, 0, &found, &err), 0);
        assert_true(id_cmp(found, next) > 0);
        read_query(play, &(struct store_query){.has_last = true, .last = 10}, 1 << 20, &list);
        assert_int_equal(list.count, 1);
        assert_true(list.items[0].seq == 0 && list.items[0].topic_no != no);
        list.count = 0;
        enum store_step step;
        drain(live, 1 << 20, &list, &step);
        assert_int_equal(list.count, 1);
        assert_int_equal(id_cmp(list.items[0].id, next), 0);
        store_cursor_close(live);
        assert_false(take_away(play, id));
        /* What was dropped comes back under its ids by an import. */
        in = frame_in("s", FOREVER);
        in.id = named;
        op = (struct store_op){.kind = STORE_IMPORT, .frames = &in, .count = 1};
        assert_int_equal(store_run(play->store, &op), 0);
        assert_false(in.existed);
        assert_int_equal(count_all(play), 2);
        assert_int_equal(deed(play, &t, TOPIC_DROP, "s", NULL), 0);
        assert_int_equal(count_all(play), 0);
        seen_finish(&list);
    }
}

static void count_fault(void *arg, const char *text)
{
    print_error("%s\n", text);
    ++*(int *)arg;
}

static void verify(struct play *play)
{
    struct err err = ERR_INIT;
    uint64_t checked;
    int faults = 0;
    play_close(play);
    assert_int_equal(store_verify(play->path, count_fault, &faults, &checked, &err), 0);
    assert_int_equal(faults, 0);
    play_open(play);
}

static void put_many(struct play *play, const char *topic, size_t thousands)
{
    struct store_frame *in = calloc(1000, sizeof *in);
    for (size_t n = 0; n < thousands; n++) {
        struct store_op op = {.kind = STORE_APPEND, .frames = in, .count = 1000};
        for (size_t i = 0; i < 1000; i++) {
            in[i] = frame_in(topic, FOREVER);
            frame_content(&in[i], "text");
        }
        assert_int_equal(store_run(play->store, &op), 0);
    }
    free(in);
}

/* Drops and trims of more than a move removes go on over restarts, and nobody sees a trace of them. */
static void test_large_drops_linger(void **state)
{
    struct play *play = *state;
    struct topic_make make = make_of(0, STAMP_PREFER, "");
    struct store_topic_op t;
    struct stream s;
    bool lingered = false;
    play_close(play);
    play->options.purge_slice = 20;
    play_open(play);
    assert_int_equal(deed(play, &t, TOPIC_CREATE, "trimmed", &make), 0);
    put_many(play, "dropped", 5);
    put_many(play, "trimmed", 5);
    put(play, "kept");
    assert_int_equal(deed(play, &t, TOPIC_DROP, "dropped", NULL), 0);
    assert_int_equal(trim(play, "trimmed", 4990, &s), 0);
    assert_int_equal(s.topic.view.live, 11);
    for (int i = 0; i < 40; i++) {
        struct seen_list list = {0};
        uint8_t digest[DIGEST_SIZE];
        enum store_place place;
        assert_int_equal(count_all(play), 12);
        read_query(play, &(struct store_query){.reverse = true}, 1 << 20, &list);
        assert_int_equal(list.count, 12);
        assert_int_equal(count_topic(play, "trimmed"), 11);
        assert_int_equal(count_topic(play, "dropped"), 0);
        read_query(play, &(struct store_query){.stream = span_str("trimmed"), .reverse = true}, 1 << 20, &list);
        assert_int_equal(list.count, 11);
        digest_of(digest, "text");
        assert_int_equal(store_content(play->store, digest, &place, NULL, NULL), 0); /* that of the kept ones */
        struct store_topic v = look_at(play, &t, "trimmed");
        assert_true(v.trim == 4990 && v.first_seq == 4990 && v.live >= 11 && v.next_seq == 5001);
        if (stat_of(play).frames == 12)
            i = 40;
        lingered |= i > 0;
        if (i % 4 == 1)
            verify(play);
        seen_finish(&list);
    }
    assert_true(lingered);
    for (int i = 0; i < 1000000 && stat_of(play).frames > 12; i++)
        sched_yield();
    assert_int_equal(stat_of(play).frames, 12);
    verify(play);
    assert_int_equal(look_at(play, &t, "trimmed").live, 11);
}

/* Opens the store anew and drops a topic of 3000 frames, which takes as many commits of the index. */
static void drop_slowly(struct play *play)
{
    struct store_topic_op t;
    play->options.purge_slice = 1;
    play_open(play);
    put_many(play, "dropped", 3);
    assert_int_equal(deed(play, &t, TOPIC_DROP, "dropped", NULL), 0);
    assert_true(stat_of(play).frames > 1000);
}

/* A store that is closed does not wait until all is removed: that goes on when it is opened again. */
static void test_close_amid_a_purge(void **state)
{
    struct play *play = *state;
    struct store_topic_op t;
    play_close(play);
    drop_slowly(play);
    uint64_t before = stat_of(play).frames;
    play_reopen(play);
    uint64_t after = stat_of(play).frames;
    assert_true(after > 1000 && after <= before);
    assert_int_equal(count_all(play), 0);
    assert_int_equal(deed(play, &t, TOPIC_LOOK, "dropped", NULL), ERR_NOT_FOUND);
    for (int i = 0; i < 1000000 && stat_of(play).frames == after; i++)
        sched_yield();
    assert_true(stat_of(play).frames < after);
}

/* --- lists and seeks ---------------------------------------------------------------------- */

struct names {
    char text[256];
    size_t left;
};

static int add_name(void *arg, const struct store_topic *topic)
{
    struct names *names = arg;
    size_t len = strlen(names->text);
    snprintf(names->text + len, sizeof names->text - len, "%.*s ", SPAN_ARG(topic->name));
    return --names->left == 0;
}

static void expect_names(struct play *play, const char *prefix, const char *after, size_t most, const char *want)
{
    struct names names = {.left = most};
    int r = store_topic_list(play->store, span_str(prefix), span_str(after), add_name, &names, NULL);
    assert_int_equal(r, names.left == 0);
    assert_string_equal(names.text, want);
}

static void test_list(void **state)
{
    static const char *const made[] = {"t/3", "u/1", "t/1", "t", "t/2"};
    struct play *play = *state;
    struct store_topic_op t;
    struct topic_make make = make_of(0, STAMP_PREFER, "");
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(deed(play, &t, TOPIC_CREATE, made[i], &make), 0);
    expect_names(play, "", "", 9, "t t/1 t/2 t/3 u/1 ");
    expect_names(play, "t/", "", 9, "t/1 t/2 t/3 ");
    expect_names(play, "t/", "", 2, "t/1 t/2 ");
    expect_names(play, "t/", "t/2", 9, "t/3 ");
    expect_names(play, "t/", "a", 9, "t/1 t/2 t/3 ");
    expect_names(play, "t/", "u", 9, "");
    expect_names(play, "t/", "t/1x", 9, "t/2 t/3 ");
    expect_names(play, "x", "", 9, "");
    assert_int_equal(deed(play, &t, TOPIC_DROP, "t/2", NULL), 0);
    expect_names(play, "t/", "", 9, "t/1 t/3 ");
    /* Names that share their key: 511 bytes, and a byte behind. */
    char a[TOPIC_MAX + 1], b[TOPIC_MAX + 1];
    memset(a, 'l', TOPIC_MAX);
    a[TOPIC_MAX] = '\0';
    memcpy(b, a, sizeof b);
    a[TOPIC_MAX - 1] = 'a';
    b[TOPIC_MAX - 1] = 'b';
    assert_int_equal(deed(play, &t, TOPIC_CREATE, b, &make), 0);
    assert_int_equal(deed(play, &t, TOPIC_CREATE, a, &make), 0);
    struct names names = {.left = 9};
    assert_int_equal(store_topic_list(play->store, span_str("l"), span_str(a), add_name, &names, NULL), 0);
    assert_int_equal(names.left, 8);
    assert_int_equal(deed(play, &t, TOPIC_DROP, b, NULL), 0);
    play_reopen(play);
    assert_int_equal(deed(play, &t, TOPIC_LOOK, b, NULL), ERR_NOT_FOUND);
    look_at(play, &t, a);
}

static struct frame_id seek_to(struct play *play, uint32_t no, enum store_seek by, uint64_t value)
{
    struct frame_id id;
    assert_int_equal(store_seek(play->store, no, by, value, &id, NULL), 0);
    return id;
}

static void test_seek(void **state)
{
    static const uint64_t stamps[] = {10, 20, 20, 30};
    struct play *play = *state;
    struct topic_make make = make_of(0, STAMP_PREFER, "");
    struct stream s;
    stream_init(&s, "s", 4);
    s.op.make = &make;
    for (size_t i = 0; i < 4; i++) {
        s.frames[i].has_stamp = true;
        s.frames[i].stamp = stamps[i];
    }
    assert_int_equal(run_stream(play, &s), 0);
    uint32_t no = s.topic.view.no;
    struct frame_id last = put(play, "other");
    for (int way = 0; way < 3; way++) {
        both_ways(play, way);
        for (uint64_t i = 0; i < 4; i++)
            assert_int_equal(id_cmp(seek_to(play, no, SEEK_SEQ, i), s.frames[i].id), 0);
        assert_true(id_cmp(seek_to(play, no, SEEK_SEQ, 4), last) > 0);
        assert_int_equal(id_cmp(seek_to(play, no, SEEK_STAMP, 0), s.frames[0].id), 0);
        assert_int_equal(id_cmp(seek_to(play, no, SEEK_STAMP, 15), s.frames[1].id), 0);
        assert_int_equal(id_cmp(seek_to(play, no, SEEK_STAMP, 21), s.frames[3].id), 0);
        assert_true(id_cmp(seek_to(play, no, SEEK_STAMP, 31), last) > 0);
        assert_true(id_cmp(seek_to(play, no + 100, SEEK_SEQ, 0), last) > 0);
    }
    /* Half in the index, half in the tail; removed and trimmed ones are passed. */
    struct stream more;
    stream_init(&more, "s", 4);
    assert_int_equal(run_stream(play, &more), 0);
    take_away(play, s.frames[1].id);
    take_away(play, more.frames[0].id);
    for (int way = 0; way < 3; way++) {
        both_ways(play, way);
        assert_int_equal(id_cmp(seek_to(play, no, SEEK_SEQ, 1), s.frames[2].id), 0);
        assert_int_equal(id_cmp(seek_to(play, no, SEEK_SEQ, 4), more.frames[1].id), 0);
        assert_int_equal(id_cmp(seek_to(play, no, SEEK_STAMP, 31), more.frames[1].id), 0);
    }
    struct stream cut;
    assert_int_equal(trim(play, "s", 6, &cut), 0);
    for (int way = 0; way < 3; way++) {
        both_ways(play, way);
        assert_int_equal(id_cmp(seek_to(play, no, SEEK_SEQ, 0), more.frames[2].id), 0);
        assert_int_equal(id_cmp(seek_to(play, no, SEEK_STAMP, 0), more.frames[2].id), 0);
    }
}

/* --- restoring ---------------------------------------------------------------------------- */

static void test_restore(void **state)
{
    struct play *play = *state;
    struct store_topic_op t;
    struct store_frame in[3];
    struct store_topic whole = {.name = span_str("s"),
                                .created_ms = 77,
                                .rules = {.retention_ms = 5, .stamp_mode = STAMP_REQUIRE, .uncapped = true},
                                .note = span_str("note"),
                                .revision = 9,
                                .next_seq = 20,
                                .last_stamp = 5000,
                                .trim = 7,
                                .token = span_str("token")};
    for (int again = 0; again < 2; again++) {
        struct store_op op = {.kind = STORE_IMPORT, .frames = in, .count = 3, .topics = &whole, .topic_count = 1};
        for (uint64_t i = 0; i < 3; i++) {
            in[i] = frame_in("s", FOREVER);
            in[i].id = (struct frame_id){(clock_ms - 1000 + i) << 16, 1};
            in[i].has_seq = in[i].has_stamp = true;
            in[i].seq = 7 + 2 * i;
            in[i].stamp = 100 + i;
            in[i].command = i == 1 ? COMMAND_PLAIN : COMMAND_NONE;
        }
        assert_int_equal(store_run(play->store, &op), 0);
        for (int way = 0; way < 3; way++) {
            struct seen_list list = {0};
            both_ways(play, way);
            struct store_topic v = look_at(play, &t, "s");
            assert_true(v.created_ms == 77 && v.revision == 9 && v.next_seq == 20 && v.last_stamp == 5000);
            assert_true(v.trim == 7 && v.live == 3 && v.first_seq == 7);
            assert_true(v.rules.uncapped && v.rules.stamp_mode == STAMP_REQUIRE && v.rules.retention_ms == 5);
            assert_true(span_is(v.token, "token") && span_is(v.note, "note"));
            read_query(play, &(struct store_query){.stream = span_str("s")}, 1 << 20, &list);
            assert_int_equal(list.count, 3);
            for (uint64_t i = 0; i < 3; i++)
                assert_true(list.items[i].seq == 7 + 2 * i && list.items[i].stamp == 100 + i &&
                            list.items[i].command == (i == 1));
            seen_finish(&list);
        }
    }
    verify(play);
    /* Over another one: settings are replaced, ends do not move back. */
    whole = (struct store_topic){.name = span_str("s"), .created_ms = 77, .revision = 2, .next_seq = 1};
    struct store_op op = {.kind = STORE_IMPORT, .topics = &whole, .topic_count = 1};
    assert_int_equal(store_run(play->store, &op), 0);
    struct store_topic v = look_at(play, &t, "s");
    assert_true(v.revision == 10 && v.next_seq == 20 && v.last_stamp == 5000 && v.trim == 7);
    assert_int_equal(v.token.len + v.note.len + v.rules.retention_ms, 0);
    put(play, "own");
    whole = (struct store_topic){.name = span_str("own"), .next_seq = 9, .trim = 4};
    op = (struct store_op){.kind = STORE_IMPORT, .topics = &whole, .topic_count = 1};
    assert_int_equal(store_run(play->store, &op), 0);
    v = look_at(play, &t, "own");
    assert_true(v.live == 1 && v.trim == 0 && v.next_seq == 9); /* what was here stays */
    static char long_text[TOPIC_NOTE_MAX + 2];
    memset(long_text, 'x', TOPIC_NOTE_MAX + 1);
    const struct store_topic bad[] = {
        {.name = span_str("")},
        {.name = span_str("b"), .trim = 2, .next_seq = 1},
        {.name = span_str("b"), .next_seq = UINT64_MAX},
        {.name = span_str("b"), .token = span_of(long_text, TOKEN_MAX + 1)},
        {.name = span_str("b"), .note = span_of(long_text, TOPIC_NOTE_MAX + 1)},
        {.name = span_str("b"), .rules = {.stamp_mode = STAMP_ARRIVAL + 1}},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        op = (struct store_op){.kind = STORE_IMPORT, .topics = &bad[i], .topic_count = 1};
        assert_true(store_run(play->store, &op) < 0);
    }
    assert_int_equal(deed(play, &t, TOPIC_LOOK, "b", NULL), ERR_NOT_FOUND);
}

/* --- together ------------------------------------------------------------------------------- */

/* Operations of one group see what those before them made, and no more than one life. */
static void test_in_one_group(void **state)
{
    enum { OPS = 8 };
    struct play *play = *state;
    struct topic_make make = make_of(0, STAMP_PREFER, "n");
    for (int round = 0; round < 10; round++) {
        static struct store_topic_op t[OPS];
        static struct stream s[2];
        struct store_op ops[OPS] = {0};
        memset(t, 0, sizeof t);
        for (int i = 0; i < OPS; i++) {
            t[i].name = span_str("s");
            ops[i] = (struct store_op){.kind = STORE_TOPIC, .topic = &t[i]};
        }
        t[0].deed = TOPIC_CREATE;
        t[0].make = &make;
        for (int i = 0; i < 2; i++) {
            stream_init(&s[i], "s", 2);
            s[i].op.make = &make;
            ops[i ? 5 : 1] = s[i].op;
        }
        t[2].deed = TOPIC_LOOK;
        t[3].deed = TOPIC_DROP;
        t[4].deed = TOPIC_LOOK;
        t[6].deed = TOPIC_LOOK;
        t[7].deed = TOPIC_DROP;
        run_together(play, ops, OPS);
        assert_true(ops[0].result == 0 && t[0].made && t[0].view.next_seq == 0);
        assert_true(ops[1].result == 0 && s[0].frames[1].seq == 1);
        assert_true(ops[2].result == 0 && t[2].view.next_seq == 2);
        assert_true(ops[3].result == 0 && t[3].view.live == 2);
        assert_int_equal(ops[4].result, ERR_NOT_FOUND);
        assert_true(ops[5].result == 0 && s[1].frames[0].seq == 0);
        assert_true(ops[6].result == 0 && t[6].view.no != t[2].view.no && t[6].view.live == 2);
        assert_int_equal(ops[7].result, 0);
        assert_int_equal(count_all(play), 0);
    }
    verify(play);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_look_and_create),  CASE(test_put_and_change),
        CASE(test_what_is_refused),  CASE(test_stream_append),
        CASE(test_stream_limits),    CASE(test_commands_are_checked),
        CASE(test_tokens),           CASE(test_stamps),
        CASE(test_owner_is_asked),   CASE(test_chain),
        CASE(test_keys_of_streams),  CASE(test_trim),
        CASE(test_trim_and_old_frames), CASE(test_trim_through_many_holes),
        CASE(test_drop_conditions),  CASE(test_drop_hides),
        CASE(test_large_drops_linger), CASE(test_close_amid_a_purge),
        CASE(test_list),
        CASE(test_seek),             CASE(test_restore),
        CASE(test_in_one_group),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
