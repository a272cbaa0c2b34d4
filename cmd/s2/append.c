/* weir s2 append: lines become records. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clean.h"
#include "cmd/s2/config.h"
#include "cmd/s2/format.h"
#include "cmd/s2/meter.h"

enum { FENCE = 1, MATCH, FORMAT, INPUT, LINGER, IDEMPOTENT, ACKS, MESSAGES };

#define READ_ROOM (256 * 1024)
#define LINE_MAX_BYTES ((size_t)64 * 1024 * 1024)

static const struct option_row options[] = {
    {.id = FENCE,
     .letter = 'f',
     .name = "fencing-token",
     .arg = "TOKEN",
     .help = "only while this is the stream's"},
    {.id = MATCH,
     .letter = 'm',
     .name = "match-seq-num",
     .arg = "N",
     .help = "the first record gets this seq_num, or none is appended"},
    {.id = FORMAT, .name = "format", .arg = "FORMAT", .help = line_format_help},
    {.id = INPUT,
     .letter = 'i',
     .name = "input",
     .arg = "FILE",
     .help = "lines to append (standard input)"},
    {.id = LINGER,
     .name = "linger",
     .arg = "TIME",
     .help = "how long a batch waits for more records (5ms)"},
    {.id = IDEMPOTENT,
     .name = "idempotent",
     .help = "as the only writer: a record whose ack was lost is there once"},
    {.id = ACKS, .name = "acks", .help = "print the seq_num of every record when it is durable"},
    {.id = MESSAGES,
     .name = "messages",
     .help = "lines of any size: cut into chunks, `read --messages' joins them"},
    {.name = NULL},
};

struct job {
    struct args *args;
    struct weir_s2_producer *producer;
    struct weir_s2_writer *writer;
    enum line_format format;
    struct line_record line;
    struct buf rest; /* a line begun */
    struct buf acks; /* numbers to print */
    bool print_acks;
    uint64_t first, next;
    struct meter meter;
};

static void on_ack(void *arg, uint64_t record, uint64_t seq_num)
{
    struct job *job = arg;
    if (record == 0)
        job->first = seq_num;
    job->next = seq_num + 1;
    job->meter.records++;
    if (job->print_acks)
        (void)buf_addf(&job->acks, "%llu\n", (unsigned long long)seq_num);
}

/* Numbers are printed as soon as they are known, so that a killed writer leaves what it was told.
 */
static int show_acks(struct job *job)
{
    int rc = args_print(job->args, buf_span(&job->acks));
    buf_reset(&job->acks);
    meter_tick(&job->meter);
    return rc;
}

static int add_line(struct job *job, struct span line)
{
    struct weir_s2_err err = WEIR_S2_ERR_INIT;
    struct err why = ERR_INIT;
    int rc;
    job->meter.bytes += line.len;
    if (job->writer) {
        rc = weir_s2_writer_put(job->writer, line, NULL, 0, NULL, &err);
    } else {
        rc = line_read(&job->line, line, job->format, &why);
        if (rc != 0)
            return args_failf(job->args, "%s", why.text);
        rc = weir_s2_producer_append(job->producer, &job->line.record, NULL, &err);
    }
    return rc == 0 ? show_acks(job) : args_fail(job->args, &err);
}

static int add_bytes(struct job *job, struct span bytes)
{
    for (;;) {
        const uint8_t *end = memchr(bytes.ptr, '\n', bytes.len);
        size_t len = end ? (size_t)(end - bytes.ptr) : bytes.len;
        struct span line = span_of(bytes.ptr, len);
        if (!end || job->rest.len > 0) {
            if (job->rest.len + len > LINE_MAX_BYTES)
                return args_failf(job->args, "a line is longer than %zu bytes", LINE_MAX_BYTES);
            if (buf_add_span(&job->rest, line) != 0)
                return args_failf(job->args, "out of memory");
            line = buf_span(&job->rest);
        }
        if (!end)
            return 0;
        int rc = add_line(job, line);
        buf_reset(&job->rest);
        if (rc != 0)
            return rc;
        bytes = span_of(end + 1, bytes.len - len - 1);
        if (bytes.len == 0)
            return 0;
    }
}

/* Waits for input; meanwhile sends what lingered and takes acks. 1: there is input. 0: turned. */
static int wait_for_input(struct job *job, int fd, struct weir_s2_err *err)
{
    bool wants_write = false;
    int due = weir_s2_producer_due(job->producer);
    int session = weir_s2_producer_fd(job->producer, &wants_write);
    struct pollfd p[2] = {{.fd = fd, .events = POLLIN},
                          {.fd = session, .events = (short)(POLLIN | (wants_write ? POLLOUT : 0))}};
    int n = poll(p, 2, due < 0 && session < 0 ? -1 : due < 0 ? 1000 : due);
    if (n < 0 && errno != EINTR)
        return err_sys(&err->err, errno, "poll");
    if (p[0].revents)
        return 1;
    return weir_s2_producer_turn(job->producer, 0, err);
}

static int copy_lines(struct job *job, int fd, uint8_t *room)
{
    for (;;) {
        struct weir_s2_err err = WEIR_S2_ERR_INIT;
        int ready = wait_for_input(job, fd, &err);
        if (ready < 0)
            return args_fail(job->args, &err);
        int rc = show_acks(job);
        if (rc != 0)
            return rc;
        if (ready == 0)
            continue;
        ssize_t n = read(fd, room, READ_ROOM);
        if (n < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (n < 0)
            return args_failf(job->args, "read: %s", err_code_text(-errno));
        if (n == 0)
            return job->rest.len > 0 ? add_line(job, buf_span(&job->rest)) : 0;
        rc = add_bytes(job, span_of(room, (size_t)n));
        if (rc != 0)
            return rc;
    }
}

static int copy_input(struct job *job, int fd)
{
    uint8_t *room = malloc(READ_ROOM);
    int rc = room ? copy_lines(job, fd, room) : args_failf(job->args, "out of memory");
    free(room);
    return rc;
}

static int finish(struct job *job, int rc)
{
    struct weir_s2_err err = WEIR_S2_ERR_INIT;
    if (rc == 0 && weir_s2_producer_flush(job->producer, &err) != 0)
        rc = args_fail(job->args, &err);
    (void)show_acks(job);
    meter_end(&job->meter);
    if (rc == 0 && !job->print_acks && job->meter.records > 0)
        printf("{\"start\":%llu,\"end\":%llu}\n", (unsigned long long)job->first,
               (unsigned long long)job->next);
    return rc;
}

static int open_input(const struct args *args, int *fd)
{
    const char *path = args_value(args, INPUT);
    *fd = -1;
    if (!path || strcmp(path, "-") == 0)
        return 0;
    *fd = open(path, O_RDONLY | O_CLOEXEC);
    return *fd < 0 ? args_failf(args, "%s: %s", path, err_code_text(-errno)) : 0;
}

static int take_options(struct args *args, struct job *job, struct weir_s2_producer_options *o)
{
    uint64_t linger = o->linger_ms;
    int rc = line_format_of(args, FORMAT, &job->format);
    if (rc == 0)
        rc = args_u64(args, MATCH, &o->match_seq_num, &o->has_match);
    if (rc == 0)
        rc = args_duration(args, LINGER, &linger, NULL);
    o->linger_ms = linger < 60000 ? (unsigned)linger : 60000;
    o->idempotent = args_has(args, IDEMPOTENT) || o->has_match;
    o->token = args_value(args, FENCE);
    o->acked = on_ack;
    o->arg = job;
    job->print_acks = args_has(args, ACKS);
    return rc;
}

static int run(struct args *args, struct weir_s2_stream to, struct job *job,
               const struct weir_s2_producer_options *o)
{
    struct weir_s2_err err = WEIR_S2_ERR_INIT;
    CLEAN_FD int fd = -1;
    int rc = open_input(args, &fd);
    if (rc != 0)
        return rc;
    if (weir_s2_producer_open(&job->producer, args->s2, to, o, &err) != 0)
        return args_fail(args, &err);
    if (args_has(args, MESSAGES) &&
        weir_s2_writer_open(&job->writer, job->producer, NULL, &err) != 0)
        return args_fail(args, &err);
    meter_begin(&job->meter, "append");
    return finish(job, copy_input(job, fd < 0 ? STDIN_FILENO : fd));
}

static int exec(struct args *args)
{
    struct job job = {.args = args};
    struct weir_s2_producer_options o = WEIR_S2_PRODUCER_INIT;
    struct weir_s2_stream to;
    CLEAN_BUF room = BUF_INIT;
    CLEAN_BUF config = BUF_INIT;
    int rc = args_stream(args, args_operand(args, 0), &room, &to);
    if (rc == 0)
        rc = take_options(args, &job, &o);
    if (rc == 0)
        rc = stream_config_put(args, &config);
    if (rc == 0)
        rc = args_open(args, config.len > 2 ? buf_cstr(&config) : NULL);
    if (rc == 0)
        rc = run(args, to, &job, &o);
    weir_s2_writer_close(job.writer);
    weir_s2_producer_close(job.producer);
    line_finish(&job.line);
    buf_finish(&job.rest);
    buf_finish(&job.acks);
    return rc;
}

const struct verb verb_append = {
    .name = "append",
    .operands = "s2://BASIN/STREAM",
    .about = "append lines to a stream\n"
             "Reads lines from standard input, or FILE, and appends each as a record, in batches. "
             "Prints\n"
             "the first seq_num and the one behind the last when all are durable.\n",
    .options = options,
    .options2 = stream_config_options,
    .min = 1,
    .max = 1,
    .exec = exec,
};
