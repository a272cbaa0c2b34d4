/* weir s2 read and tail: records become lines. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/clean.h"
#include "base/text.h"
#include "cmd/s2/config.h"
#include "cmd/s2/format.h"
#include "cmd/s2/meter.h"

enum {
    SEQ_NUM = 1,
    TIMESTAMP,
    AGO,
    TAIL_OFFSET,
    COUNT,
    BYTES,
    CLAMP,
    UNTIL,
    WAIT,
    FORMAT,
    OUTPUT,
    MESSAGES,
    LINES,
    FOLLOW
};

static const struct option_row options[] = {
    {.id = SEQ_NUM, .letter = 's', .name = "seq-num", .arg = "N", .help = "from this seq_num on"},
    {.id = TIMESTAMP, .name = "timestamp", .arg = "MS", .help = "from this timestamp on"},
    {.id = AGO, .name = "ago", .arg = "TIME", .help = "from so long ago on: 1h, 30s"},
    {.id = TAIL_OFFSET,
     .name = "tail-offset",
     .arg = "N",
     .help = "from N records before the tail on"},
    {.id = COUNT, .letter = 'n', .name = "count", .arg = "N", .help = "so many records at most"},
    {.id = BYTES,
     .letter = 'b',
     .name = "bytes",
     .arg = "N",
     .help = "so many metered bytes at most"},
    {.id = CLAMP, .name = "clamp", .help = "a start behind the tail is the tail"},
    {.id = UNTIL, .name = "until", .arg = "MS", .help = "only records with a smaller timestamp"},
    {.id = WAIT,
     .name = "wait",
     .arg = "SECONDS",
     .help = "with a limit: wait at the tail for more"},
    {.id = FORMAT, .name = "format", .arg = "FORMAT", .help = line_format_help},
    {.id = OUTPUT,
     .letter = 'o',
     .name = "output",
     .arg = "FILE",
     .help = "lines go there (standard output)"},
    {.id = MESSAGES, .name = "messages", .help = "join what `append --messages' cut; a line each"},
    {.name = NULL},
};

static const struct option_row tail_options[] = {
    {.id = LINES, .letter = 'n', .name = "lines", .arg = "N", .help = "the last N records (10)"},
    {.id = FOLLOW, .letter = 'f', .name = "follow", .help = "go on with what comes"},
    {.id = FORMAT, .name = "format", .arg = "FORMAT", .help = line_format_help},
    {.id = OUTPUT,
     .letter = 'o',
     .name = "output",
     .arg = "FILE",
     .help = "lines go there (standard output)"},
    {.name = NULL},
};

struct job {
    const struct args *args;
    enum line_format format;
    int fd;
    bool gone; /* nobody reads the output */
    struct buf text;
    struct weir_s2_assembler *assembler;
    struct meter meter;
};

static int put_message(struct job *job, const struct s2_record *record)
{
    struct weir_s2_message message;
    int rc = weir_s2_assembler_push(job->assembler, record, &message, NULL);
    if (rc <= 0)
        return rc;
    rc = buf_add_span(&job->text, message.body);
    return rc == 0 ? buf_add(&job->text, "\n", 1) : rc;
}

static int put_record(struct job *job, const struct s2_record *record)
{
    struct span command;
    CLEAN_BUF safe = BUF_INIT;
    job->meter.records++;
    job->meter.bytes += record->body.len;
    if (job->assembler)
        return put_message(job, record);
    int rc = line_put(&job->text, record, job->format, &command);
    if (rc == 0 && command.ptr && text_neutralise(&safe, command) == 0)
        fprintf(stderr, "command record %llu: %.*s\n", (unsigned long long)record->seq_num,
                SPAN_ARG(buf_span(&safe)));
    return rc;
}

static int write_out(struct job *job)
{
    struct span rest = buf_span(&job->text);
    while (rest.len > 0) {
        ssize_t n = write(job->fd, rest.ptr, rest.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EPIPE) {
            job->gone = true;
            break;
        }
        if (n < 0)
            return args_failf(job->args, "write: %s", err_code_text(-errno));
        rest = span_of(rest.ptr + n, rest.len - (size_t)n);
    }
    buf_reset(&job->text);
    meter_tick(&job->meter);
    return 0;
}

static int put_batch(struct job *job, const struct weir_s2_batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        if (put_record(job, &batch->records[i]) != 0)
            return args_failf(job->args, "out of memory");
    }
    return write_out(job);
}

static int copy(struct job *job, struct weir_s2_reader *reader)
{
    struct weir_s2_err err = WEIR_S2_ERR_INIT;
    struct weir_s2_batch batch;
    int rc = 0;
    meter_begin(&job->meter, "read");
    while (rc == 0 && !job->gone) {
        rc = weir_s2_reader_next(reader, &batch, -1, &err);
        if (rc == 0)
            rc = put_batch(job, &batch);
        else if (rc != ERR_END) {
            meter_end(&job->meter);
            return args_fail(job->args, &err);
        }
    }
    meter_end(&job->meter);
    return rc == ERR_END ? 0 : rc;
}

static int open_output(const struct args *args, int *fd)
{
    const char *path = args_value(args, OUTPUT);
    *fd = -1;
    if (!path || strcmp(path, "-") == 0)
        return 0;
    *fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    return *fd < 0 ? args_failf(args, "%s: %s", path, err_code_text(-errno)) : 0;
}

static int run(struct args *args, struct weir_s2_stream of, const struct weir_s2_read *what,
               enum line_format format)
{
    struct weir_s2_err err = WEIR_S2_ERR_INIT;
    struct weir_s2_reader *reader = NULL;
    struct job job = {.args = args, .format = format, .fd = STDOUT_FILENO};
    CLEAN_FD int fd = -1;
    int rc = open_output(args, &fd);
    if (fd >= 0)
        job.fd = fd;
    if (rc == 0 && args_has(args, MESSAGES) &&
        weir_s2_assembler_open(&job.assembler, NULL, &err) != 0)
        rc = args_fail(args, &err);
    if (rc == 0 && weir_s2_reader_open(&reader, args->s2, of, what, &err) != 0)
        rc = args_fail(args, &err);
    if (rc == 0)
        rc = copy(&job, reader);
    weir_s2_reader_close(reader);
    weir_s2_assembler_close(job.assembler);
    buf_finish(&job.text);
    return rc;
}

static int take_start(const struct args *args, struct weir_s2_read *what)
{
    uint64_t ago = 0;
    bool seq, stamp, has_ago, offset;
    int rc = args_u64(args, SEQ_NUM, &what->start, &seq);
    if (rc == 0)
        rc = args_u64(args, TIMESTAMP, &what->start, &stamp);
    if (rc == 0)
        rc = args_u64(args, TAIL_OFFSET, &what->start, &offset);
    if (rc == 0)
        rc = args_duration(args, AGO, &ago, &has_ago);
    if (rc != 0)
        return rc;
    if (seq + stamp + has_ago + offset > 1)
        return args_usage(args, "one start alone: --seq-num, --timestamp, --ago or --tail-offset");
    if (has_ago)
        what->start = time_now_ms() > ago ? time_now_ms() - ago : 0;
    what->from = stamp || has_ago ? WEIR_S2_FROM_TIMESTAMP
                 : seq            ? WEIR_S2_FROM_SEQ_NUM
                                  : WEIR_S2_FROM_TAIL_OFFSET;
    return 0;
}

static int take_limits(const struct args *args, struct weir_s2_read *what)
{
    int rc = args_u64(args, COUNT, &what->count, &what->has_count);
    if (rc == 0)
        rc = args_u64(args, BYTES, &what->bytes, &what->has_bytes);
    if (rc == 0)
        rc = args_u64(args, UNTIL, &what->until, &what->has_until);
    if (rc == 0)
        rc = args_u64(args, WAIT, &what->wait_s, &what->has_wait);
    what->clamp = args_has(args, CLAMP);
    return rc;
}

static int exec_read(struct args *args)
{
    struct weir_s2_read what = {0};
    struct weir_s2_stream of;
    enum line_format format = LINE_TEXT;
    CLEAN_BUF room = BUF_INIT;
    CLEAN_BUF config = BUF_INIT;
    int rc = args_stream(args, args_operand(args, 0), &room, &of);
    if (rc == 0)
        rc = take_start(args, &what);
    if (rc == 0)
        rc = take_limits(args, &what);
    if (rc == 0)
        rc = line_format_of(args, FORMAT, &format);
    if (rc == 0)
        rc = stream_config_put(args, &config);
    if (rc == 0)
        rc = args_open(args, config.len > 2 ? buf_cstr(&config) : NULL);
    return rc == 0 ? run(args, of, &what, format) : rc;
}

static int exec_tail(struct args *args)
{
    struct weir_s2_read what = {.from = WEIR_S2_FROM_TAIL_OFFSET, .start = 10};
    struct weir_s2_stream of;
    enum line_format format = LINE_TEXT;
    CLEAN_BUF room = BUF_INIT;
    int rc = args_stream(args, args_operand(args, 0), &room, &of);
    if (rc == 0)
        rc = args_u64(args, LINES, &what.start, NULL);
    if (rc == 0)
        rc = line_format_of(args, FORMAT, &format);
    if (rc == 0)
        rc = args_open(args, NULL);
    if (rc != 0)
        return rc;
    what.has_count = !args_has(args, FOLLOW);
    what.count = what.start;
    if (what.has_count && what.count == 0)
        return 0;
    /* Of an empty stream there is nothing to show, and that is no failure. */
    struct s2_position tail;
    struct weir_s2_err err = WEIR_S2_ERR_INIT;
    if (what.has_count && weir_s2_tail(args->s2, of, &tail, &err) != 0)
        return args_fail(args, &err);
    return what.has_count && tail.seq_num == 0 ? 0 : run(args, of, &what, format);
}

const struct verb verb_read = {
    .name = "read",
    .operands = "s2://BASIN/STREAM",
    .about = "print the records of a stream, and follow it\n"
             "Starts where it is told, without a start at the tail. Without --count, --bytes and "
             "--until it\n"
             "follows the stream, and comes back by itself when the connection breaks.\n",
    .options = options,
    .options2 = stream_config_options,
    .min = 1,
    .max = 1,
    .exec = exec_read,
};

const struct verb verb_tail = {
    .name = "tail",
    .operands = "s2://BASIN/STREAM",
    .about = "print the last records of a stream\n",
    .options = tail_options,
    .min = 1,
    .max = 1,
    .exec = exec_tail,
};
