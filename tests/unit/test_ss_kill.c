/*
 * A writer of a .ss file that dies in the middle of writing, again and again, with a reader that follows all the time.
 *
 * After each death the file goes on exactly behind its last whole frame, everything that a sync covered is there, and the reader has
 * every message once, in order. Deaths are of two kinds: SIGKILL at a random moment, and SIGXFSZ in the middle of a write, at a byte chosen
 * beforehand. With ROUNDS and SEED in the environment: more of it.
 */
#include "ss_file_fixture.h"

#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "base/text.h"

#define PAYLOAD_MAX (192 * 1024)

struct rig {
    struct ss_dir *dir;
    struct ss_reader *reader;
    _Atomic uint64_t *synced; /* the last sequence that a sync of the child covered */
    uint64_t seen, torn, at_once;
    uint64_t random;
    uint32_t interval;
};

static uint64_t draw(struct rig *rig, uint64_t below)
{
    rig->random = rig->random * 6364136223846793005u + 1442695040888963407u;
    return (rig->random >> 33) % below;
}

/* Payload and length of message `seq` are known from its number alone. */
static struct span payload_of(uint8_t *room, uint64_t seq)
{
    size_t len = seq % 97 == 0 ? (size_t)(seq * 7919 % PAYLOAD_MAX) : (size_t)(seq * 31 % 700);
    for (size_t i = 0; i < len; i++)
        room[i] = (uint8_t)(seq * 13 + i * 7 + (i >> 8));
    return span_of(room, len);
}

/* --- the writer, which dies ------------------------------------------------------------------- */

static void write_for_ever(struct rig *rig, struct ss_writer *w)
{
    static uint8_t room[PAYLOAD_MAX];
    struct ss_message m = {.key = span_str("log"), .time_ms = 1700000000000};
    uint64_t next = 0;
    for (;;) {
        for (uint64_t i = draw(rig, 400) + 1; i > 0; i--) {
            m.payload = payload_of(room, next ? next : rig->seen + 1);
            if (ss_writer_put(w, &m, true, NULL) != 0)
                _exit(1);
            if (next == 0 && m.seq != rig->seen + 1)
                _exit(2);
            next = m.seq + 1;
        }
        if (ss_writer_flush(w, true, NULL) != 0)
            _exit(3);
        atomic_store(rig->synced, next - 1);
    }
}

static pid_t start_writer(struct rig *rig, uint64_t size_limit)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid > 0)
        return pid;
    struct ss_writer_options o = {.interval = rig->interval};
    struct ss_writer *w;
    if (ss_writer_open(&w, rig->dir->path, &o, NULL) != 0)
        _exit(4);
    struct rlimit limit = {.rlim_cur = size_limit, .rlim_max = RLIM_INFINITY}, no_core = {0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
    if (size_limit && setrlimit(RLIMIT_FSIZE, &limit) != 0)
        _exit(5);
    write_for_ever(rig, w);
    return 0;
}

/* --- the reader, which follows ---------------------------------------------------------------- */

/* Takes what is there. */
static void follow(struct rig *rig)
{
    static uint8_t room[PAYLOAD_MAX];
    struct ss_message m;
    struct err err = ERR_INIT;
    int rc;
    while ((rc = ss_reader_next(rig->reader, &m, &err)) == 0) {
        assert_int_equal(m.seq, rig->seen + 1);
        assert_true(span_eq(m.payload, payload_of(room, m.seq)));
        rig->seen = m.seq;
    }
    if (rc != -EAGAIN)
        fail_msg("behind message %" PRIu64 ": %s", rig->seen, err.text);
}

static void follow_for(struct rig *rig, int ms)
{
    uint64_t until = time_mono_us() + (uint64_t)ms * 1000;
    for (uint64_t now; (now = time_mono_us()) < until;) {
        struct pollfd p = {.fd = ss_reader_fd(rig->reader), .events = POLLIN};
        follow(rig);
        poll(&p, 1, (int)((until - now + 999) / 1000));
    }
}

/* A reader from the beginning, which does not follow: every message once. Where the last whole one ends. */
static uint64_t check_all(struct rig *rig, uint64_t *end)
{
    struct ss_reader *r = ss_read(rig->dir->path, SS_FROM_START, false);
    struct ss_message m;
    uint64_t count = 0;
    *end = SS_HEADER_SIZE;
    while (ss_reader_next(r, &m, NULL) == 0) {
        assert_int_equal(m.seq, ++count);
        *end = ss_reader_offset(r);
    }
    ss_reader_close(r);
    return count;
}

/* --- rounds ----------------------------------------------------------------------------------- */

static void check_after(struct rig *rig)
{
    uint64_t end, again, before = ss_size(rig->dir->path);
    uint64_t count = check_all(rig, &end);
    assert_true(count >= atomic_load(rig->synced));
    follow(rig);
    assert_int_equal(rig->seen, count);
    struct ss_writer *w = ss_write(rig->dir->path, 0);
    uint64_t cut = ss_writer_cut(w, NULL), size = ss_size(rig->dir->path);
    assert_int_equal(size, before - cut);
    assert_true(size == end || (end % rig->interval == 0 && size > end && size < end + 100));
    rig->torn += cut > 0;
    ss_writer_close(w);
    assert_int_equal(check_all(rig, &again), count);
    follow(rig);
    assert_int_equal(rig->seen, count);
}

static void round_of(struct rig *rig, bool by_size)
{
    uint64_t size = ss_size(rig->dir->path);
    pid_t pid = start_writer(rig, by_size ? size + 1 + draw(rig, 600 * 1024) : 0);
    int status;
    if (by_size)
        follow_for(rig, 1);
    else {
        follow_for(rig, (int)draw(rig, 12));
        assert_int_equal(kill(pid, SIGKILL), 0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), by_size ? SIGXFSZ : SIGKILL);
    check_after(rig);
}

static uint64_t setting(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 10) : otherwise;
}

static void run(struct ss_dir *d, uint32_t interval)
{
    struct rig rig = {.dir = d, .interval = interval, .random = setting("SEED", (uint64_t)getpid())};
    uint64_t rounds = setting("ROUNDS", 12), seed = rig.random;
    rig.synced = mmap(NULL, sizeof *rig.synced, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(rig.synced != MAP_FAILED);
    ss_writer_close(ss_write(d->path, interval));
    rig.reader = ss_read(d->path, SS_FROM_START, true);
    for (uint64_t i = 0; i < rounds; i++)
        round_of(&rig, i % 2 == 0);
    print_message("seed %" PRIu64 ": %" PRIu64 " deaths, %" PRIu64 " in the middle of a frame, %" PRIu64 " messages\n", seed, rounds, rig.torn,
                  rig.seen);
    /* It proves nothing when no frame was ever torn. */
    assert_true(rig.torn > 0);
    ss_reader_close(rig.reader);
    munmap(rig.synced, sizeof *rig.synced);
}

static void test_many_beacons(void **state)
{
    run(*state, 1024);
}

static void test_few_beacons(void **state)
{
    run(*state, SS_INTERVAL_DEFAULT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_many_beacons, ss_dir_setup, ss_dir_teardown),
        cmocka_unit_test_setup_teardown(test_few_beacons, ss_dir_setup, ss_dir_teardown),
    };
    alarm(getenv("ROUNDS") ? 3000 : 100);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
