/* weir clock: ticks as lines of the SeaStreamer dialect. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "base/clean.h"
#include "base/json.h"
#include "base/text.h"
#include "bridge/line.h"
#include "cmd/output.h"
#include "cmd/table.h"

#define SECOND_NS UINT64_C(1000000000)
#define PIPE_ROOM 4096 /* what can be written at once where poll says that there is room */

enum { STREAM = 1, INTERVAL, COUNT };

static const struct option_row options[] = {
    {.id = STREAM, .name = "stream", .arg = "KEY", .help = "the stream key of the lines (needed)"},
    {.id = INTERVAL, .name = "interval", .arg = "D", .help = "from tick to tick: 1s, 5m, 500ms, 250us, 100ns (needed)"},
    {.id = COUNT, .name = "count", .arg = "N", .help = "end after N ticks"},
    {.name = NULL},
};

/* --- options ---------------------------------------------------------------------------------- */

static uint64_t unit_ns(struct span unit)
{
    static const struct {
        const char *name;
        uint64_t ns;
    } units[] = {{"s", SECOND_NS}, {"m", 60 * SECOND_NS}, {"ms", 1000000}, {"us", 1000}, {"ns", 1}};
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (span_is(unit, units[i].name))
            return units[i].ns;
    }
    return 0;
}

static int read_interval(const struct call *call, const char *text, uint64_t *out)
{
    size_t digits = strspn(text, "0123456789");
    uint64_t unit = unit_ns(span_str(text + digits));
    uint64_t count;
    if (unit == 0 || text_u64(span_of(text, digits), &count) != 0 || __builtin_mul_overflow(count, unit, out))
        return call_usage(call, "`%s' is no interval: whole digits and one of s, m, ms, us, ns, such as 1s or 500ms", text);
    return *out > 0 ? 0 : call_usage(call, "an interval of 0 is none: at least 1ns");
}

struct ticking {
    struct span key;
    uint64_t interval, due; /* ns, monotonic */
    uint64_t count;
    int signals;
};

static int read_options(const struct call *call, struct ticking *t)
{
    struct err err = ERR_INIT;
    const char *key = call_value(call, STREAM);
    const char *interval = call_value(call, INTERVAL);
    if (!key || !interval)
        return call_usage(call, key ? "--interval is missing" : "--stream is missing");
    if (call->operand_count > 0)
        return call_usage(call, "it has no operands: `%s'", call->operands[0]);
    t->key = span_str(key);
    if (ss_key_check(t->key, &err) != 0)
        return call_usage(call, "--stream: %s", err.text);
    t->count = UINT64_MAX;
    int rc = call_check_number(call, COUNT);
    if (rc == 0 && call_has(call, COUNT))
        text_u64(span_str(call_value(call, COUNT)), &t->count);
    return rc == 0 ? read_interval(call, interval, &t->interval) : rc;
}

/* --- waiting ---------------------------------------------------------------------------------- */

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * SECOND_NS + (uint64_t)now.tv_nsec;
}

/* Waits for room in stdout, or, without `room`, until the next tick is due. OUTPUT_GONE: its reader went away, or a signal asked to
 * end. */
static int wait(const struct ticking *t, bool room)
{
    struct pollfd fds[2] = {{.fd = t->signals, .events = POLLIN}, {.fd = STDOUT_FILENO, .events = room ? POLLOUT : 0}};
    for (;;) {
        uint64_t now = now_ns();
        uint64_t left = t->due > now ? t->due - now : 0;
        struct timespec pause = {(time_t)(left / SECOND_NS), (long)(left % SECOND_NS)};
        int n = ppoll(fds, 2, room ? NULL : &pause, NULL);
        if (n > 0 && (fds[0].revents || (fds[1].revents & (POLLERR | POLLHUP))))
            return OUTPUT_GONE;
        if (n > 0 || (n == 0 && !room && left == 0))
            return 0;
    }
}

/* --- ticks ------------------------------------------------------------------------------------ */

static int add_tick(const struct ticking *t, uint64_t tick, struct buf *out, struct err *err)
{
    char payload[16 + U64_TEXT_MAX] = "{ \"tick\": ";
    size_t len = strlen(payload);
    len += text_format_u64(payload + len, tick);
    memcpy(payload + len, " }", 2);
    const struct ss_message m = {.key = t->key, .seq = tick, .time_ms = time_now_ms(), .payload = {(uint8_t *)payload, len + 2}};
    return ss_line_write(out, &m, (struct ss_line_form){.exact = false}, err);
}

/* All ticks that are due, as many as a pipe with room takes at once. What was held up is made up for, so that no tick is lost. */
static int add_due(struct ticking *t, uint64_t *tick, struct buf *out, struct err *err)
{
    uint64_t now = now_ns();
    int rc = 0;
    while (rc == 0 && *tick < t->count && t->due <= now && out->len < PIPE_ROOM - 512) {
        rc = add_tick(t, *tick, out, err);
        ++*tick;
        if (__builtin_add_overflow(t->due, t->interval, &t->due))
            t->due = UINT64_MAX;
    }
    return rc;
}

static int run(struct ticking *t, struct err *err)
{
    CLEAN_BUF out = BUF_INIT;
    uint64_t tick = 0;
    int rc = 0;
    t->due = now_ns();
    while (rc == 0 && tick < t->count) {
        rc = wait(t, false);
        if (rc == 0)
            rc = add_due(t, &tick, &out, err);
        if (rc == 0)
            rc = wait(t, true);
        if (rc == 0)
            rc = output_write(buf_span(&out), err);
        buf_reset(&out);
    }
    return rc;
}

static int exec(struct call *call)
{
    struct err err = ERR_INIT;
    struct ticking t = {.signals = -1};
    sigset_t ends;
    int rc = read_options(call, &t);
    if (rc != 0)
        return rc;
    sigemptyset(&ends);
    sigaddset(&ends, SIGINT);
    sigaddset(&ends, SIGTERM);
    sigprocmask(SIG_BLOCK, &ends, NULL);
    CLEAN_FD int signals = signalfd(-1, &ends, SFD_CLOEXEC);
    if (signals < 0)
        return call_failf(call, "signalfd: %s", strerror(errno));
    t.signals = signals;
    return run(&t, &err) < 0 ? call_fail(call, &err) : 0;
}

const struct cmd cmd_clock = {
    .name = "clock",
    .group = GROUP_LOCAL,
    .summary = "print ticks at a steady rate, as lines of SeaStreamer",
    .operands = "",
    .about =
        "Prints a line `[TIME | KEY | N] { \"tick\": N }' each interval, N from 0, the first\n"
        "at once. The rate does not drift, and a reader that was slow gets all ticks. It\n"
        "ends when its reader goes away, on SIGINT and on SIGTERM, with status 0.\n",
    .options = options,
    .exec = exec,
};
