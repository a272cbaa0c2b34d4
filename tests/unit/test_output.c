/*
 * What programs print, as frames: every form of a line, cut anywhere, and takers that say no.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <string.h>

#include "daemon/run/output.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define ID_TEXT "03d4q1qhbiv09ovtuhokw5yxv"

/* What was handed out, as text: a line an item. */
struct taker {
    struct buf seen;
    unsigned refuse; /* every so many-th offer is refused; 0: none */
    unsigned offers;
};

static int refused(struct taker *taker)
{
    return taker->refuse > 0 && ++taker->offers % taker->refuse != 0;
}

static void put_id(struct buf *out, const char *name, struct frame_id id)
{
    char text[ID_TEXT_LEN + 1];
    id_format(text, id);
    buf_addf(out, " %s=%s", name, text);
}

static int take_frame(void *arg, const struct printed *frame)
{
    struct taker *taker = arg;
    struct buf *out = &taker->seen;
    char ttl[TTL_TEXT_MAX];
    if (refused(taker))
        return -1;
    buf_add_str(out, frame->has_frame ? "frame" : "no frame");
    if (frame->topic.len > 0)
        buf_addf(out, " topic=%.*s", SPAN_ARG(frame->topic));
    if (frame->has_content) {
        buf_addf(out, " content[%zu]=", frame->content.len);
        buf_add_span(out, frame->content);
    }
    if (frame->meta.len > 0)
        buf_addf(out, " meta=%.*s", SPAN_ARG(frame->meta));
    if (frame->has_ttl && ttl_format(ttl, frame->ttl) > 0)
        buf_addf(out, " ttl=%s", ttl);
    if (frame->has_cause)
        put_id(out, "cause", frame->cause);
    if (frame->has_ack)
        put_id(out, "ack", frame->ack);
    buf_add_str(out, "\n");
    return 0;
}

static int take_bad(void *arg, uint64_t line, const struct err *why)
{
    struct taker *taker = arg;
    if (refused(taker))
        return -1;
    buf_addf(&taker->seen, "bad %ju: %s\n", (uintmax_t)line, why->text);
    return 0;
}

struct setting {
    enum output_form form;
    enum return_target target;
    bool binary;
};

static const struct setting automatic = {OUTPUT_AUTO, TARGET_CONTENT, false};

static struct output *open_output(struct taker *taker, const struct setting *setting)
{
    struct output_options options = {
        .form = setting->form,
        .binary = setting->binary,
        .target = setting->target,
        .frame = take_frame,
        .bad = take_bad,
        .arg = taker,
    };
    struct output *output;
    assert_int_equal(output_create(&output, &options), 0);
    return output;
}

/* Gives the text in pieces of `piece` bytes to a taker that says no as often as asked. */
static void run(struct taker *taker, const struct setting *setting, struct span text, size_t piece)
{
    struct output *output = open_output(taker, setting);
    size_t at = 0;
    while (at < text.len) {
        size_t len = text.len - at < piece ? text.len - at : piece;
        /* An exact copy: a sanitizer sees a step outside. */
        uint8_t *copy = malloc(len);
        assert_non_null(copy);
        memcpy(copy, text.ptr + at, len);
        size_t taken = output_take(output, span_of(copy, len));
        assert_true(taken <= len);
        assert_true(taken == len || taker->refuse > 0);
        at += taken;
        free(copy);
    }
    while (!output_end(output))
        assert_true(taker->refuse > 0);
    output_destroy(output);
}

static void check(const struct setting *setting, const char *text, const char *expected)
{
    struct taker taker = {0};
    run(&taker, setting, span_str(text), SIZE_MAX);
    const char *seen = buf_cstr(&taker.seen);
    if (strcmp(seen, expected) != 0)
        fail_msg("%s: \"%s\", not \"%s\"", text, seen, expected);
    buf_finish(&taker.seen);
}

static const struct {
    const char *text, *seen;
} automatic_cases[] = {
    {"", ""},
    {"a\n", "frame content[1]=a\n"},
    {"a", "frame content[1]=a\n"},
    {"a\nb", "frame content[1]=a\nframe content[1]=b\n"},
    {"\n", "frame\n"},
    {"\n\na\n", "frame\nframe\nframe content[1]=a\n"},
    {"a\r\n", "frame content[2]=a\r\n"},
    {" a \n", "frame content[3]= a \n"},
    {"\xff\xfe\n", "frame content[2]=\xff\xfe\n"},
    /* JSON that is no frame line */
    {"{}\n", "frame content[2]={}\n"},
    {"{\"a\":1}\n", "frame content[7]={\"a\":1}\n"},
    {"{\"topic\":\"x\",\"a\":1}\n", "frame content[19]={\"topic\":\"x\",\"a\":1}\n"},
    {"{\"ttl\":\"forever\"}\n", "frame content[17]={\"ttl\":\"forever\"}\n"},
    {"{\"frame_id\":5}\n", "frame content[14]={\"frame_id\":5}\n"},
    {"{\"topic\":\"x\"\n", "frame content[12]={\"topic\":\"x\"\n"},
    {"{\"topic\":\"x\",}\n", "frame content[14]={\"topic\":\"x\",}\n"},
    {"[{\"topic\":\"x\"}]\n", "frame content[15]=[{\"topic\":\"x\"}]\n"},
    {"{\"topic\":\"x\"} {\"topic\":\"y\"}\n",
     "frame content[27]={\"topic\":\"x\"} {\"topic\":\"y\"}\n"},
    {"\"topic\"\n", "frame content[7]=\"topic\"\n"},
    /* frame lines */
    {"{\"topic\":\"x.y\"}\n", "frame topic=x.y\n"},
    {" { \"topic\" : \"x\" } \r\n", "frame topic=x\n"},
    {"{\"t\\u006fpic\":\"\\u0078\"}", "frame topic=x\n"},
    {"{\"content\":\"\"}\n", "frame\n"},
    {"{\"content\":null}\n", "frame\n"},
    {"{\"topic\":null}\n", "frame\n"},
    {"{\"meta\":null}\n", "frame\n"},
    {"{\"content\":\"a\\n\\u00e4\\u0000\\ud83d\\ude00\"}", "frame content[9]=a\n\xc3\xa4\0"},
    {"{\"content_base64\":\"/wA=\"}\n", "frame content[2]=\xff\0"},
    {"{\"content_base64\":\"\"}\n", "frame\n"},
    {"{\"meta\":{ \"n\" : 9007199254740993 , \"s\":\" \\u0041 \" }}\n",
     "frame meta={\"n\":9007199254740993,\"s\":\" \\u0041 \"}\n"},
    {"{\"meta\":{},\"ttl\":\"last:3\",\"frame_id\":\"" ID_TEXT "\"}\n",
     "frame meta={} ttl=last:3 cause=" ID_TEXT "\n"},
    {"{\"meta\":{},\"ttl\":null,\"frame_id\":null}\n", "frame meta={}\n"},
    {"{\"ack\":\"" ID_TEXT "\"}\n", "no frame ack=" ID_TEXT "\n"},
    {"{\"ack\":\"\\u0030" "3d4q1qhbiv09ovtuhokw5yxv\"}\n", "no frame ack=" ID_TEXT "\n"},
    {"{\"content\":\"x\",\"ack\":\"" ID_TEXT "\"}\n", "frame content[1]=x ack=" ID_TEXT "\n"},
    /* frame lines with a wrong value */
    {"{\"topic\":5}\n", "bad 1: \"topic\" must be a string or null\n"},
    {"a\n{\"topic\":\"a b\"}\nc\n",
     "frame content[1]=a\n"
     "bad 2: topic \"a b\": byte 0x20 at 2; only a-z A-Z 0-9 _ - . are allowed\n"
     "frame content[1]=c\n"},
    {"{\"topic\":\"\"}\n", "bad 1: \"topic\" is empty; leave it out for NAME and suffix\n"},
    {"{\"content\":\"x\",\"content_base64\":\"eA==\"}",
     "bad 1: \"content_base64\": give \"content\" or \"content_base64\", not both\n"},
    {"{\"topic\":\"x\",\"topic\":\"y\"}", "bad 1: \"topic\" is there twice\n"},
    {"{\"ack\":\"" ID_TEXT "\",\"ack\":\"" ID_TEXT "\"}", "bad 1: \"ack\" is there twice\n"},
    {"{\"meta\":5}", "bad 1: \"meta\" must be a JSON object\n"},
    {"{\"meta\":\"{}\"}", "bad 1: \"meta\" must be a JSON object\n"},
    {"{\"ack\":null}", "bad 1: \"ack\" must be the id of a frame\n"},
    {"{\"ack\":5}", "bad 1: \"ack\" must be the id of a frame\n"},
    {"{\"ack\":\"\\u0041\"}", "bad 1: \"ack\" is not the id of a frame\n"},
    {"{\"content\":\"\\ud800\"}",
     "bad 1: \"content\": a string has half a surrogate pair (\\ud800), which is no character\n"},
};

static void test_automatic(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(automatic_cases); i++) {
        struct taker taker = {0};
        const char *text = automatic_cases[i].text;
        run(&taker, &automatic, span_str(text), SIZE_MAX);
        /* What is expected may end at a NUL of a content. */
        const char *seen = buf_cstr(&taker.seen);
        if (strcmp(seen, automatic_cases[i].seen) != 0)
            fail_msg("%s: \"%s\", not \"%s\"", text, seen, automatic_cases[i].seen);
        buf_finish(&taker.seen);
    }
}

/* The texts are of other files; here only that the line is refused, and which. */
static void test_bad_values(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "{\"content_base64\":\"x\"}",
        "{\"content_base64\":5}",
        "{\"content\":5}",
        "{\"content\":[]}",
        "{\"meta\":{},\"ttl\":\"soon\"}",
        "{\"meta\":{},\"ttl\":5}",
        "{\"meta\":[]}",
        "{\"topic\":\"x\",\"frame_id\":\"x\"}",
        "{\"topic\":\"x\",\"frame_id\":5}",
        "{\"ack\":\"\"}",
        "{\"ack\":\"\\ud800\"}",
        "{\"ack\":{}}",
        "{\"topic\":\".x\"}",
    };
    for (size_t i = 0; i < COUNT(lines); i++) {
        struct taker taker = {0};
        run(&taker, &automatic, span_str(lines[i]), SIZE_MAX);
        if (strncmp(buf_cstr(&taker.seen), "bad 1: ", 7) != 0)
            fail_msg("%s: %s", lines[i], buf_cstr(&taker.seen));
        buf_finish(&taker.seen);
    }
}

static void test_raw(void **state)
{
    (void)state;
    static const struct setting raw = {OUTPUT_RAW, TARGET_CONTENT, false};
    check(&raw, "a\n\n{\"topic\":\"x\"}\n{\"topic\":5}",
          "frame content[1]=a\nframe\nframe content[13]={\"topic\":\"x\"}\n"
          "frame content[11]={\"topic\":5}\n");
}

static void test_frames(void **state)
{
    (void)state;
    static const struct setting frames = {OUTPUT_FRAMES, TARGET_CONTENT, false};
    static const char no[] =
        ": with output \"frames\" a line must be a JSON object with topic, content, content_base64, "
        "meta or ack, and no keys but those, ttl and frame_id\n";
    char expected[1000];
    snprintf(expected, sizeof(expected), "bad 1%sbad 2%sframe topic=x\nbad 4%s", no, no, no);
    check(&frames, "a\n\n{\"topic\":\"x\"}\n{\"other\":1}\n", expected);
    check(&frames, "{\"meta\":1}", "bad 1: \"meta\" must be a JSON object\n");
}

static void test_meta_target(void **state)
{
    (void)state;
    static const struct setting meta = {OUTPUT_AUTO, TARGET_META, false};
    static const struct setting raw = {OUTPUT_RAW, TARGET_META, false};
    check(&meta, "{ \"a\": 1.50 }\n{\"topic\":\"x\"}\nplain\n\n",
          "frame meta={\"a\":1.50}\nframe topic=x\n"
          "bad 3: with target \"meta\" a line must be a JSON object\n"
          "bad 4: with target \"meta\" a line must be a JSON object\n");
    check(&meta, "{\"a\":}", "bad 1: not JSON: no value at byte 6\n");
    check(&raw, "{\"topic\":\"x\"}\n", "frame meta={\"topic\":\"x\"}\n");
}

/* --- sizes ------------------------------------------------------------------------------------ */

static struct buf repeated(size_t before, const char *after)
{
    struct buf text = BUF_INIT;
    assert_int_equal(buf_reserve(&text, before), 0);
    memset(text.ptr, 'x', before);
    text.len = before;
    assert_int_equal(buf_add_str(&text, after), 0);
    return text;
}

static void check_long(size_t length, const char *after, size_t piece, const char *expected)
{
    struct taker taker = {0};
    struct buf text = repeated(length, after);
    run(&taker, &automatic, buf_span(&text), piece);
    if (strcmp(buf_cstr(&taker.seen), expected) != 0)
        fail_msg("%zu in pieces of %zu: %.80s", length, piece, (const char *)taker.seen.ptr);
    buf_finish(&text);
    buf_finish(&taker.seen);
}

static void test_long_lines(void **state)
{
    (void)state;
    static const size_t pieces[] = {SIZE_MAX, 65536, 65537, 1048577, 1048576, 4095};
    for (size_t i = 0; i < COUNT(pieces); i++) {
        const char *longer = "bad 1: the line is longer than 1048576 bytes\nframe content[1]=a\n";
        check_long(OUTPUT_LINE_MAX + 1, "\na\n", pieces[i], longer);
        check_long(OUTPUT_LINE_MAX * 5 + 3, "\na", pieces[i], longer);
        check_long(OUTPUT_LINE_MAX + 1, "", pieces[i],
                   "bad 1: the line is longer than 1048576 bytes\n");
    }
}

static void test_longest_line(void **state)
{
    (void)state;
    static const size_t pieces[] = {SIZE_MAX, 65536, 4095};
    for (size_t i = 0; i < COUNT(pieces); i++) {
        struct taker taker = {0};
        struct buf text = repeated(OUTPUT_LINE_MAX, "\na\n");
        run(&taker, &automatic, buf_span(&text), pieces[i]);
        assert_memory_equal(taker.seen.ptr, "frame content[1048576]=xxx", 26);
        assert_memory_equal(taker.seen.ptr + taker.seen.len - 19, "frame content[1]=a\n", 19);
        buf_finish(&text);
        buf_finish(&taker.seen);
    }
}

static void test_large_meta(void **state)
{
    (void)state;
    CLEAN_BUF text = BUF_INIT;
    struct taker taker = {0};
    struct buf filler = repeated(META_MAX, "");
    buf_addf(&text, "{\"meta\":{\"x\":\"%.*s\"}}\n{\"meta\":{}}\n", SPAN_ARG(buf_span(&filler)));
    run(&taker, &automatic, buf_span(&text), 65536);
    assert_string_equal(buf_cstr(&taker.seen),
                        "bad 1: \"meta\": 262152 bytes, at most 262144 are allowed\n"
                        "frame meta={}\n");
    buf_finish(&filler);
    buf_finish(&taker.seen);
}

static void test_deep_meta(void **state)
{
    (void)state;
    struct taker taker = {0};
    CLEAN_BUF text = BUF_INIT;
    buf_add_str(&text, "{\"meta\":{\"a\":");
    for (int i = 0; i < META_DEPTH; i++)
        buf_add_str(&text, "[");
    for (int i = 0; i < META_DEPTH; i++)
        buf_add_str(&text, "]");
    buf_add_str(&text, "}}\n");
    run(&taker, &automatic, buf_span(&text), SIZE_MAX);
    assert_non_null(strstr(buf_cstr(&taker.seen), "bad 1: JSON nested more than"));
    buf_finish(&taker.seen);
}

static void test_binary(void **state)
{
    (void)state;
    static const struct setting binary = {OUTPUT_AUTO, TARGET_CONTENT, true};
    struct taker taker = {0};
    check(&binary, "a\nb", "frame content[3]=a\nb\n");
    check(&binary, "", "");
    check(&binary, "{\"topic\":\"x\"}\n", "frame content[14]={\"topic\":\"x\"}\n\n");
    struct buf text = repeated(2 * OUTPUT_CHUNK + 1, "");
    run(&taker, &binary, buf_span(&text), SIZE_MAX);
    size_t heads = strlen("frame content[65536]=\n") * 2 + strlen("frame content[1]=\n");
    assert_int_equal(taker.seen.len, heads + text.len);
    buf_finish(&text);
    buf_finish(&taker.seen);
}

/* --- cut anywhere, refused at any time -------------------------------------------------------- */

static struct buf everything(void)
{
    struct buf text = BUF_INIT;
    for (size_t i = 0; i < COUNT(automatic_cases); i++) {
        buf_add_str(&text, automatic_cases[i].text);
        buf_add_str(&text, i % 3 == 0 ? "\n" : "\n\n");
    }
    buf_add_str(&text, "the last, without newline");
    return text;
}

static void test_cut_anywhere(void **state)
{
    (void)state;
    static const struct setting settings[] = {
        {OUTPUT_AUTO, TARGET_CONTENT, false},
        {OUTPUT_RAW, TARGET_CONTENT, false},
        {OUTPUT_FRAMES, TARGET_CONTENT, false},
        {OUTPUT_AUTO, TARGET_META, false},
    };
    struct buf text = everything();
    for (size_t i = 0; i < COUNT(settings); i++) {
        struct taker whole = {0};
        run(&whole, &settings[i], buf_span(&text), SIZE_MAX);
        for (size_t piece = 1; piece < text.len; piece += piece < 100 ? 1 : 37) {
            for (unsigned refuse = 0; refuse <= 3; refuse++) {
                struct taker taker = {.refuse = refuse};
                run(&taker, &settings[i], buf_span(&text), piece);
                assert_true(span_eq(buf_span(&taker.seen), buf_span(&whole.seen)));
                buf_finish(&taker.seen);
            }
        }
        buf_finish(&whole.seen);
    }
    buf_finish(&text);
}

/* A long line whose refusal is itself not taken at first. */
static void test_refused_refusal(void **state)
{
    (void)state;
    struct taker taker = {.refuse = 4};
    struct buf text = repeated(OUTPUT_LINE_MAX + 10, "\na\n");
    run(&taker, &automatic, buf_span(&text), 65536);
    assert_string_equal(buf_cstr(&taker.seen),
                        "bad 1: the line is longer than 1048576 bytes\nframe content[1]=a\n");
    buf_finish(&text);
    buf_finish(&taker.seen);
}

static void test_frame_line(void **state)
{
    (void)state;
    CLEAN_BUF scratch = BUF_INIT;
    struct printed frame;
    struct err err = ERR_INIT;
    buf_add_str(&scratch, "kept");
    assert_int_equal(output_frame_line(&frame, span_str("{\"topic\":\"a\",\"content\":\"\\u0062\"}"),
                                       &scratch, &err),
                     1);
    assert_true(span_is(frame.topic, "a") && span_is(frame.content, "b"));
    assert_memory_equal(scratch.ptr, "kept", 4);
    assert_int_equal(output_frame_line(&frame, span_str("x"), &scratch, &err), 0);
    assert_int_equal(output_frame_line(&frame, span_str(""), &scratch, &err), 0);
    assert_int_equal(output_frame_line(&frame, span_str("{\"topic\":1}"), &scratch, &err),
                     ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_automatic),    cmocka_unit_test(test_bad_values),
        cmocka_unit_test(test_raw),          cmocka_unit_test(test_frames),
        cmocka_unit_test(test_meta_target),  cmocka_unit_test(test_long_lines),
        cmocka_unit_test(test_longest_line), cmocka_unit_test(test_large_meta),
        cmocka_unit_test(test_deep_meta),    cmocka_unit_test(test_binary),
        cmocka_unit_test(test_cut_anywhere), cmocka_unit_test(test_refused_refusal),
        cmocka_unit_test(test_frame_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
