/* One run of a program with its pipes, and the lines of its stderr: real programs through a real runner. */
#include "spawn_fixture.h"

#include "daemon/run/process.h"
#include "daemon/run/tail_lines.h"

/* One process and all it told. */
struct told {
    struct process *process;
    unsigned started, failed, ended, rooms, deafs;
    pid_t pid;
    struct err err;
    struct process_end end;
    struct buf out, lines, last;
    size_t take;        /* bytes of output taken at a time; 0 = all */
    bool closed;        /* takes no output */
    bool checksum_only; /* counts output and keeps none */
    uint64_t bytes;
    const char *destroy_in;
    size_t written, to_write; /* by on_room */
};

static struct told told;

static void told_finish(void)
{
    process_destroy(told.process);
    buf_finish(&told.out);
    buf_finish(&told.lines);
    buf_finish(&told.last);
    told = (struct told){0};
}

static void maybe_destroy(const char *where)
{
    if (told.destroy_in && strcmp(told.destroy_in, where) == 0) {
        process_destroy(told.process);
        told.process = NULL;
    }
}

/* After a destroy nothing may be told. */
#define told_alive() assert_true(told.process && !told.failed && !told.ended)

static void on_started(void *arg, pid_t pid, const char *notes)
{
    told_alive();
    assert_ptr_equal(arg, &told);
    assert_non_null(notes);
    told.started++;
    told.pid = pid;
    maybe_destroy("started");
}

static void on_failed(void *arg, const struct err *err)
{
    (void)arg;
    told_alive();
    told.failed++;
    told.err = *err;
    maybe_destroy("failed");
}

static size_t on_output(void *arg, struct span bytes)
{
    (void)arg;
    told_alive();
    assert_int_equal(told.started, 1);
    size_t len = told.closed ? 0 : told.take && told.take < bytes.len ? told.take : bytes.len;
    told.bytes += len;
    if (!told.checksum_only)
        assert_int_equal(buf_add(&told.out, bytes.ptr, len), 0);
    maybe_destroy("output");
    return len;
}

static void on_line(void *arg, struct span line)
{
    (void)arg;
    told_alive();
    assert_int_equal(told.started, 1);
    assert_true(line.len <= 4096);
    buf_add_span(&told.lines, line);
    buf_add_str(&told.lines, "|");
    maybe_destroy("line");
}

static void write_on(void)
{
    static uint8_t block[300000];
    while (told.process && told.written < told.to_write) {
        size_t left = told.to_write - told.written;
        size_t len = left < sizeof(block) ? left : sizeof(block);
        size_t taken = process_write(told.process, span_of(block, len));
        told.written += taken;
        if (taken < len)
            return;
    }
    if (told.process && told.to_write > 0)
        process_end_input(told.process);
}

static void on_room(void *arg)
{
    (void)arg;
    told_alive();
    told.rooms++;
    maybe_destroy("room");
    write_on();
}

static void on_deaf(void *arg)
{
    (void)arg;
    told_alive();
    told.deafs++;
    maybe_destroy("deaf");
}

static void on_ended(void *arg, const struct process_end *end)
{
    (void)arg;
    told_alive();
    told.ended++;
    told.end = *end;
    buf_add_span(&told.last, end->last_stderr);
    maybe_destroy("ended");
}

static struct process_options options_for(const char *script)
{
    static char variable[80], path[] = "PATH=/usr/bin:/bin";
    static char *environment[] = {variable, path, NULL};
    static char sh[] = "sh", dash_c[] = "-c";
    static char *argv[] = {sh, dash_c, NULL, NULL};
    snprintf(variable, sizeof(variable), "MARK=%s", mark);
    argv[2] = (char *)(uintptr_t)script;
    return (struct process_options){.runner = runner,
                                    .loop = &loop,
                                    .program = "/bin/sh",
                                    .argv = argv,
                                    .envp = environment,
                                    .directory = "/",
                                    .started = on_started,
                                    .failed = on_failed,
                                    .output = on_output,
                                    .error_line = on_line,
                                    .room = on_room,
                                    .deaf = on_deaf,
                                    .ended = on_ended,
                                    .arg = &told};
}

static void start(const struct process_options *options)
{
    struct err err = ERR_INIT;
    if (process_start(&told.process, options, &err) != 0)
        fail_msg("%s", err.text);
    assert_int_equal(told.started + told.failed, 0);
}

static void start_with_input(const char *script)
{
    struct process_options options = options_for(script);
    options.input = true;
    start(&options);
}

static void start_shell(const char *script)
{
    struct process_options options = options_for(script);
    start(&options);
}

static void wait_end(int exit_code)
{
    wait_until(told.ended || told.failed);
    assert_int_equal(told.failed, 0);
    assert_int_equal(told.started, 1);
    assert_false(told.end.child.signalled || told.end.child.lost || told.end.timed_out);
    assert_int_equal(told.end.child.code, exit_code);
}

static const char *text_of(struct buf *buf)
{
    return buf->len ? buf_cstr(buf) : "";
}

/* --- stdout --------------------------------------------------------------------------------------- */

static void test_output(void **state)
{
    (void)state;
    start_shell("cat; printf 'one\\n'; printf two; exit 3");
    wait_end(3); /* without input cat is at its end at once */
    assert_string_equal(text_of(&told.out), "one\ntwo");
    assert_int_equal(told.last.len, 0);
    told_finish();
}

static void test_name_and_arguments(void **state)
{
    (void)state;
    struct process_options options = options_for("");
    options.program = "/bin/sh";
    options.argv = NULL;
    options.name = "/bin/sh";
    options.input = true;
    start(&options);
    static const char script[] = "echo $0 $#";
    assert_int_equal(process_write(told.process, span_str(script)), strlen(script));
    process_end_input(told.process);
    wait_end(0);
    assert_string_equal(text_of(&told.out), "/bin/sh 0\n");
    told_finish();
}

/* What it wrote as its last act is not lost, and what its children wrote neither. */
static void test_all_is_given(void **state)
{
    (void)state;
    told.checksum_only = true;
    start_shell("head -c 3000000 /dev/zero; (head -c 60000 /dev/zero; echo err >&2) & wait");
    wait_end(0);
    assert_int_equal(told.bytes, 3060000);
    assert_string_equal(text_of(&told.last), "err");
    told_finish();
}

static void test_nobody_wants_output(void **state)
{
    (void)state;
    struct process_options options = options_for("head -c 3000000 /dev/zero; exit 4");
    options.output = NULL;
    options.error_line = NULL;
    start(&options);
    wait_end(4);
    told_finish();
}

/* While nothing is taken the program waits: it never comes to its second word. */
static void test_paused_output(void **state)
{
    (void)state;
    told.closed = true;
    start_shell("head -c 1000000 /dev/zero; echo through >&2");
    wait_until(told.started);
    for (int i = 0; i < 20; i++) {
        uv_run(&loop, UV_RUN_NOWAIT);
        usleep(1000);
    }
    assert_int_equal(told.lines.len, 0);
    assert_int_equal(told.bytes, 0);
    told.closed = false;
    process_resume(told.process);
    assert_int_equal(told.bytes, 0); /* not from within */
    wait_end(0);
    assert_int_equal(told.bytes, 1000000);
    assert_string_equal(text_of(&told.lines), "through|");
    told_finish();
}

static void test_output_in_bites(void **state)
{
    (void)state;
    told.take = 777;
    start_shell("i=0; while [ $i -lt 3000 ]; do echo $i; i=$((i+1)); done");
    while (!told.ended) {
        process_resume(told.process);
        uv_run(&loop, UV_RUN_ONCE);
    }
    CLEAN_BUF want = BUF_INIT;
    for (int i = 0; i < 3000; i++)
        buf_addf(&want, "%d\n", i);
    assert_int_equal(told.out.len, want.len);
    assert_memory_equal(told.out.ptr, want.ptr, want.len);
    told_finish();
}

/* The program is long gone; its end is told when its words are through. The loop sleeps meanwhile. */
static void test_paused_at_the_end(void **state)
{
    (void)state;
    told.closed = true;
    start_shell("echo last; exit 5");
    wait_until(told.started);
    wait_until(kill(told.pid, 0) < 0);
    for (int i = 0; i < 20; i++) {
        uv_run(&loop, UV_RUN_NOWAIT);
        usleep(1000);
    }
    assert_int_equal(told.ended, 0);
    unsigned turns = 0;
    uv_timer_t timer;
    uv_timer_init(&loop, &timer);
    uv_timer_start(&timer, wake_up, 100, 0);
    for (uint64_t until = time_mono_us() + 50000; time_mono_us() < until; turns++)
        uv_run(&loop, UV_RUN_ONCE);
    assert_true(turns < 20);
    uv_close((uv_handle_t *)&timer, NULL);
    uv_run(&loop, UV_RUN_NOWAIT);
    told.closed = false;
    process_resume(told.process);
    wait_end(5);
    assert_string_equal(text_of(&told.out), "last\n");
    told_finish();
}

/* Somebody outside of the tree has the pipe open: the end comes all the same. */
static void test_pipe_held_outside(void **state)
{
    (void)state;
    char path[64];
    start_with_input("echo there; read line; exit 6");
    wait_until(told.out.len > 0);
    snprintf(path, sizeof(path), "/proc/%d/fd/1", (int)told.pid);
    int held = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(held >= 0);
    process_end_input(told.process);
    wait_end(6);
    close(held);
    told_finish();
}

/* --- stdin ------------------------------------------------------------------------------------------ */

static void test_input(void **state)
{
    (void)state;
    start_with_input("while read line; do echo \"<$line>\"; done; echo end");
    for (int i = 0; i < 3; i++) {
        size_t before = told.out.len;
        assert_int_equal(process_write(told.process, span_str("a b\n")), 4);
        wait_until(told.out.len > before);
    }
    process_end_input(told.process);
    process_end_input(told.process);
    wait_end(0);
    assert_string_equal(text_of(&told.out), "<a b>\n<a b>\n<a b>\nend\n");
    assert_int_equal(told.deafs, 0);
    told_finish();
}

/* With room a whole MiB is taken; then nothing, until it is through. */
static void test_bounded_input(void **state)
{
    (void)state;
    static uint8_t block[2 * 1024 * 1024];
    size_t much = 1024 * 1024;
    start_with_input("read line; cat | wc -c");
    assert_int_equal(process_write(told.process, span_of(block, much)), much);
    assert_int_equal(process_write(told.process, span_of(block, 1)), 0);
    assert_int_equal(process_write(told.process, span_of(block, much)), 0);
    assert_int_equal(told.rooms, 0);
    wait_until(told.started);
    uv_run(&loop, UV_RUN_NOWAIT);
    told_finish();
    start_with_input("cat | wc -c");
    assert_int_equal(process_write(told.process, span_of(block, sizeof(block))), much);
    wait_until(told.rooms > 0);
    assert_int_equal(process_write(told.process, span_of(block, much)), much);
    process_end_input(told.process);
    wait_end(0);
    assert_int_equal(atoi(text_of(&told.out)), 2 * much);
    told_finish();
}

/* Also the figure: what a program that only reads can take. */
static void test_speed(void **state)
{
    (void)state;
    told.to_write = 256 * 1024 * 1024;
    start_with_input("exec cat >/dev/null");
    wait_until(told.started);
    uint64_t start_us = time_mono_us();
    write_on();
    wait_end(0);
    uint64_t us = time_mono_us() - start_us;
    assert_int_equal(told.written, told.to_write);
    print_message("stdin: %.0f MB/s\n", (double)told.to_write / (double)us);
    told_finish();
}

static void test_echo_of_much(void **state)
{
    (void)state;
    told.to_write = 8 * 1024 * 1024;
    told.checksum_only = true;
    start_with_input("exec cat");
    write_on();
    wait_end(0);
    assert_int_equal(told.bytes, told.to_write);
    assert_true(told.rooms > 0);
    told_finish();
}

static void test_deaf(void **state)
{
    (void)state;
    start_with_input("exec <&-; echo closed; while [ ! -e /proc/self/none ]; do read x </dev/null; sleep 0.01; done");
    wait_until(told.deafs == 1); /* without a write */
    assert_int_equal(process_write(told.process, span_str("lost")), 4);
    assert_int_equal(told.ended, 0);
    process_stop(told.process, 1000);
    wait_until(told.ended);
    assert_int_equal(told.deafs, 1);
    told_finish();
    told.to_write = 64 * 1024 * 1024;
    start_with_input("head -c 100000 | wc -c; exit 2");
    write_on();
    wait_end(2);
    assert_string_equal(text_of(&told.out), "100000\n");
    assert_true(told.written < told.to_write || told.deafs == 1);
    told_finish();
}

/* --- stderr -------------------------------------------------------------------------------------------- */

static void test_error_lines(void **state)
{
    (void)state;
    start_shell("printf 'one\\n\\ntw' >&2; printf 'o\\n' >&2; printf 'a\\377b' >&2; exit 1");
    wait_end(1);
    assert_string_equal(text_of(&told.lines), "one||two|a\xef\xbf\xbd" "b|");
    assert_string_equal(text_of(&told.last), "one\n\ntwo\na\xef\xbf\xbd" "b");
    told_finish();
}

/* A flood of stderr does not hold the program up while its stdout is not taken. */
static void test_error_flood(void **state)
{
    (void)state;
    told.closed = true;
    struct process_options options =
        options_for("echo out; head -c 1000000 /dev/zero | tr '\\0' x >&2; echo >&2; "
                    "i=0; while [ $i -lt 30 ]; do echo line $i >&2; i=$((i+1)); done; echo through >&2");
    start(&options);
    wait_until(strstr(text_of(&told.lines), "|through|"));
    told.closed = false;
    process_resume(told.process);
    wait_end(0);
    assert_true(told.last.len < 4096);
    assert_non_null(strstr(text_of(&told.last), "line 11\n"));
    assert_null(strstr(text_of(&told.last), "line 10\n"));
    told_finish();
}

static void gather(void *arg, struct span line)
{
    buf_add_span(arg, line);
    buf_add_str(arg, "|");
}

/* The same lines however the bytes come. */
static void check_lines(struct span text, const char *lines, const char *kept)
{
    for (size_t step = 1; step <= text.len; step++) {
        CLEAN_BUF got = BUF_INIT;
        struct tail_lines tail = {.line = gather, .arg = &got};
        for (size_t at = 0; at < text.len; at += step)
            tail_lines_take(&tail, span_of(text.ptr + at, text.len - at < step ? text.len - at : step));
        tail_lines_end(&tail);
        assert_string_equal(buf_cstr(&got), lines);
        assert_true(span_is(tail_lines_kept(&tail), kept));
    }
}

#define FFFD "\xef\xbf\xbd"

static void test_tail_characters(void **state)
{
    (void)state;
    static const struct {
        const char *text, *lines, *kept;
    } cases[] = {
        {"a\nb", "a|b|", "a\nb"},
        {"a\n", "a|", "a"},
        {"\n\n", "||", "\n"},
        {"gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80\n", "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80|",
         "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80"},
        {"\xff\xfe", FFFD FFFD "|", FFFD FFFD},
        {"\xc3(\n", FFFD "(|", FFFD "("},
        {"\xe2\x82\n.", FFFD FFFD "|.|", FFFD FFFD "\n."},
        {"\xe2\x82", FFFD FFFD "|", FFFD FFFD},
        {"\xc0\xaf", FFFD FFFD "|", FFFD FFFD},
        {"\xed\xa0\x80", FFFD FFFD FFFD "|", FFFD FFFD FFFD},
        {"\xf0\x9f\xc3\xa9", FFFD FFFD "\xc3\xa9|", FFFD FFFD "\xc3\xa9"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        check_lines(span_str(cases[i].text), cases[i].lines, cases[i].kept);
}

static void test_tail_bounds(void **state)
{
    (void)state;
    CLEAN_BUF got = BUF_INIT;
    CLEAN_BUF text = BUF_INIT;
    struct tail_lines tail = {.line = gather, .arg = &got};
    for (int i = 0; i < 5000; i++)
        buf_add_str(&text, "\xc3\xa4"); /* 10000 bytes: 4096, 4096, 1808 */
    buf_add_str(&text, "\nshort\n");
    tail_lines_take(&tail, buf_span(&text));
    assert_int_equal(got.len, 10000 + 3 + 6);
    assert_int_equal(got.ptr[4096], '|');
    assert_int_equal(got.ptr[2 * 4096 + 1], '|');
    assert_int_equal(tail_lines_kept(&tail).len, 1808 + 1 + 5);
    for (int i = 0; i < 30; i++)
        tail_lines_take(&tail, span_str("0123456789\n"));
    assert_int_equal(tail_lines_kept(&tail).len, 20 * 11 - 1);
    buf_reset(&text);
    for (int i = 0; i < 4096; i++)
        buf_add_str(&text, "z");
    buf_add_str(&text, "\n"); /* a whole part and nothing behind it: one line */
    buf_reset(&got);
    tail_lines_take(&tail, buf_span(&text));
    tail_lines_end(&tail);
    assert_int_equal(got.len, 4097);
    assert_int_equal(tail_lines_kept(&tail).len, 4096);
}

/* --- ends ------------------------------------------------------------------------------------------------- */

static void test_failed(void **state)
{
    (void)state;
    struct process_options options = options_for("");
    options.program = "/nonexistent/program";
    start(&options);
    wait_until(told.failed || told.ended);
    assert_int_equal(told.failed, 1);
    assert_int_equal(told.started, 0);
    assert_int_equal(told.err.code, -ENOENT);
    process_stop(told.process, 10); /* of one that never was */
    told_finish();
}

static void test_timeout(void **state)
{
    (void)state;
    struct process_options options = options_for("echo begun; exec sleep 60");
    options.timeout_ms = 200;
    uint64_t start_us = time_mono_us();
    start(&options);
    wait_until(told.ended);
    assert_true(time_mono_us() - start_us < 5000000);
    assert_true(told.end.timed_out);
    assert_true(told.end.child.signalled);
    assert_int_equal(told.end.child.code, SIGTERM);
    assert_string_equal(text_of(&told.out), "begun\n");
    told_finish();
}

static void test_in_time(void **state)
{
    (void)state;
    struct process_options options = options_for("exit 0");
    options.timeout_ms = 60000;
    start(&options);
    wait_end(0);
    told_finish();
}

static void test_stop(void **state)
{
    (void)state;
    start_shell("trap 'echo stubborn' TERM; echo ready; while :; do sleep 0.01; done");
    wait_until(told.out.len > 0);
    process_stop(told.process, 100);
    wait_until(told.ended);
    assert_true(told.end.child.signalled);
    assert_int_equal(told.end.child.code, SIGKILL);
    assert_false(told.end.timed_out);
    process_stop(told.process, 100); /* too late does no harm */
    process_resume(told.process);
    told_finish();
}

/* Destroyed at any time: nothing more is told, and nothing is left (see spawn_tear_down). */
static void test_destroy_in(void **state)
{
    static const struct {
        const char *where, *script;
    } cases[] = {
        {"started", "sleep 60"},
        {"output", "head -c 3000000 /dev/zero; sleep 60"},
        {"line", "echo one >&2; echo two >&2; sleep 60"},
        {"line", "printf 'no newline' >&2; exit 0"},
        {"room", "sleep 0.05; cat >/dev/null; sleep 60"},
        {"deaf", "exec <&-; sleep 60"},
        {"ended", "echo x; exit 1"},
        {"failed", NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct process_options options = options_for(cases[i].script);
        options.input = true;
        options.program = cases[i].script ? options.program : "/nonexistent";
        told.destroy_in = cases[i].where;
        told.to_write = strcmp(cases[i].where, "room") == 0 ? 10000000 : 0;
        start(&options);
        write_on();
        wait_until(!told.process);
        for (int turn = 0; turn < 10; turn++)
            uv_run(&loop, UV_RUN_NOWAIT);
        told_finish();
    }
}

/* At once, and with everything under way. */
static void test_destroy_early(void **state)
{
    (void)state;
    start_with_input("cat");
    told_finish();
    process_destroy(NULL);
    told.closed = true;
    start_with_input("echo out; echo err >&2; cat");
    process_write(told.process, span_str("some"));
    wait_until(told.lines.len > 0);
    process_resume(told.process);
    told_finish();
}

int main(int argc, char **argv)
{
    spawn_test_main(argc, argv);
    const struct CMUnitTest tests[] = {
        spawn_test(test_output),
        spawn_test(test_name_and_arguments),
        spawn_test(test_all_is_given),
        spawn_test(test_nobody_wants_output),
        spawn_test(test_paused_output),
        spawn_test(test_output_in_bites),
        spawn_test(test_paused_at_the_end),
        spawn_test(test_pipe_held_outside),
        spawn_test(test_input),
        spawn_test(test_bounded_input),
        spawn_test(test_speed),
        spawn_test(test_echo_of_much),
        spawn_test(test_deaf),
        spawn_test(test_error_lines),
        spawn_test(test_error_flood),
        cmocka_unit_test(test_tail_characters),
        cmocka_unit_test(test_tail_bounds),
        spawn_test(test_failed),
        spawn_test(test_timeout),
        spawn_test(test_in_time),
        spawn_test(test_stop),
        spawn_test(test_destroy_in),
        spawn_test(test_destroy_early),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
