/* weir append: one frame, or many from NDJSON or lines. */
#include <stdlib.h>
#include <unistd.h>

#include "base/clean.h"
#include "base/json.h"
#include "base/topic.h"
#include "cmd/address.h"
#include "cmd/append_lines.h"
#include "cmd/bulk.h"
#include "cmd/frames.h"
#include "cmd/table.h"
#include "cmd/target.h"

enum {
    META = 1,
    TTL,
    CONTENT,
    NO_CONTENT,
    STREAM,
    TIMESTAMP,
    SEQ,
    KEY,
    EXPECT_SEQ,
    EXPECT_LAST,
    BATCH,
    ATOMIC,
    FORMAT,
    STRICT
};

static const char *const format_words[] = {"json", "ss", NULL};

static const struct option_row options[] = {
    {.id = META, .name = "meta", .arg = "JSON", .help = "any JSON, kept as given"},
    {.id = TTL, .name = "ttl", .arg = "TTL", .help = "forever, ephemeral, time:MS or last:N"},
    {.id = CONTENT,
     .name = "content",
     .arg = "TEXT",
     .help = "the content, instead of standard input"},
    {.id = NO_CONTENT, .name = "no-content", .help = "none; standard input is left alone"},
    {.id = STREAM, .name = "stream", .arg = "NAME", .help = "the stream of exactly this name, instead of TOPIC"},
    {.id = TIMESTAMP, .name = "with-timestamp", .help = "add \"timestamp\" to the printed frame"},
    {.id = SEQ, .name = "with-seq", .help = "add \"seq\" to the printed frame"},
    {.id = KEY,
     .name = "key",
     .arg = "TEXT",
     .help = "idempotency key: a repeat answers the first frame"},
    {.id = EXPECT_SEQ,
     .name = "expect-seq",
     .arg = "N",
     .help = "only if the topic's next seq is N"},
    {.id = EXPECT_LAST,
     .name = "expect-last",
     .arg = "ID",
     .help = "only if the store's newest id is ID"},
    {.id = BATCH,
     .name = "batch",
     .help = "one frame a line of standard input, stored as they come"},
    {.id = ATOMIC, .name = "atomic", .help = "with --batch: all or none (10 000 frames, 8 MiB)"},
    {.id = FORMAT,
     .name = "format",
     .arg = "FORM",
     .help = "ss: lines as SeaStreamer has them; json: as without",
     .complete = COMPLETE_WORDS,
     .words = format_words},
    {.id = STRICT, .name = "strict", .help = "with --format ss: exit 1 when lines were bad"},
    {.name = NULL},
};

static int check_meta(const struct call *call)
{
    struct err err = ERR_INIT;
    const char *meta = call_value(call, META);
    if (!meta || json_validate(span_str(meta), META_DEPTH, NULL, &err) == 0)
        return 0;
    err_prefix(&err, "--meta");
    return call_fail(call, &err);
}

static int check_ttl(const struct call *call)
{
    struct err err = ERR_INIT;
    struct ttl ttl;
    const char *text = call_value(call, TTL);
    if (!text || ttl_parse(&ttl, span_str(text), false, &err) == 0)
        return 0;
    err_prefix(&err, "--ttl");
    return call_fail(call, &err);
}

static int check_shared(const struct call *call)
{
    int rc = call_check_number(call, EXPECT_SEQ);
    return rc == 0 ? call_check_id(call, "--expect-last", call_value(call, EXPECT_LAST)) : rc;
}

/* --- one frame -------------------------------------------------------------------------------- */

static int check_one(const struct call *call)
{
    int rc = 0;
    if (call_has(call, CONTENT) && call_has(call, NO_CONTENT))
        rc = call_usage(call, "give --content or --no-content, not both");
    if (rc == 0 && call_has(call, ATOMIC))
        rc = call_usage(call, "--atomic goes with --batch only");
    if (rc == 0 && !call_has(call, STREAM))
        rc = call_check_topic(call, call_operand(call, 0));
    if (rc == 0)
        rc = check_shared(call);
    if (rc == 0)
        rc = check_meta(call);
    return rc == 0 ? check_ttl(call) : rc;
}

static int append_one(const struct call *call, struct weir *w)
{
    struct err err = ERR_INIT;
    CLEAN_FREE char *json = NULL;
    struct bulk_source stdin_source = {.fd = STDIN_FILENO};
    struct weir_append a = {
        .topic = call_has(call, STREAM) ? call_value(call, STREAM) : call_operand(call, 0),
        .stream = call_has(call, STREAM),
        .meta = call_value(call, META),
        .ttl = call_value(call, TTL),
        .with_timestamp = call_has(call, TIMESTAMP),
        .with_seq = call_has(call, SEQ),
        .content = span_str(call_value(call, CONTENT)),
        .expect_seq = call_value(call, EXPECT_SEQ),
        .expect_last = call_value(call, EXPECT_LAST),
        .key = call_value(call, KEY),
    };
    /* On a terminal nobody expects to be asked for content. */
    if (!call_has(call, CONTENT) && !call_has(call, NO_CONTENT) && !isatty(STDIN_FILENO)) {
        a.read = bulk_read;
        a.read_arg = &stdin_source;
    }
    if (weir_append(w, &a, &json, &err) != 0)
        return call_fail(call, &err);
    return frames_print(call, span_str(json));
}

/* --- many ------------------------------------------------------------------------------------- */

static int check_batch(const struct call *call)
{
    static const int single[] = {META, TTL, CONTENT, NO_CONTENT, STREAM, TIMESTAMP, SEQ};
    for (size_t i = 0; i < sizeof(single) / sizeof(single[0]); i++) {
        if (call_has(call, single[i]))
            return call_usage(call,
                              "with --batch each line brings its own meta, ttl and content, and a "
                              "summary is printed");
    }
    if (!call_has(call, ATOMIC) && call_has(call, KEY))
        return call_usage(call, "with --batch a --key needs --atomic");
    return check_shared(call);
}

/* A word that is no address is a topic given by mistake. */
static int batch_operands(struct call *call)
{
    if (!call->as_xs && !call_has(call, OPT_ADDR) && call->operand_count == 1 &&
        !address_looks(call->operands[0]))
        return call_usage(call,
                          "with --batch each line names its own topic (an address: --addr %s)",
                          call->operands[0]);
    return call_operands(call, 0, 0);
}

static int batch_target(const struct call *call, struct buf *target)
{
    int rc = buf_add_str(target, "/append");
    if (rc == 0 && !call_has(call, ATOMIC))
        rc = target_add(target, "stream", NULL);
    if (rc == 0)
        rc = target_option(target, call, KEY, "key");
    if (rc == 0)
        rc = target_option(target, call, EXPECT_SEQ, "expect-seq");
    if (rc == 0)
        rc = target_option(target, call, EXPECT_LAST, "expect-last");
    return rc == 0 ? 0 : call_failf(call, "out of memory");
}

static int append_batch(struct call *call)
{
    struct weir *w = NULL;
    struct progress progress;
    CLEAN_BUF target = BUF_INIT;
    const struct weir_header type = {"Content-Type", "application/x-ndjson"};
    struct bulk_source source = {.fd = STDIN_FILENO, .progress = &progress};
    int rc = batch_operands(call);
    if (rc == 0)
        rc = check_batch(call);
    if (rc == 0)
        rc = batch_target(call, &target);
    if (rc == 0)
        rc = call_open(call, &w);
    if (rc != 0)
        return rc;
    struct weir_request req = {.method = "POST",
                               .target = target_text(&target),
                               .headers = &type,
                               .header_count = 1,
                               .has_body = true,
                               .read = bulk_read,
                               .read_arg = &source};
    progress_begin(&progress, "append", 0);
    rc = call_has(call, ATOMIC) ? bulk_send_atomic(call, w, &req, &progress)
                                : bulk_send(call, w, &req, &progress, "appended");
    weir_close(w);
    return rc;
}

/* --- lines of the SeaStreamer dialect ------------------------------------------------------------ */

static int check_lines(const struct call *call, const char *key)
{
    static const int other[] = {META, CONTENT, NO_CONTENT, TIMESTAMP, SEQ, KEY, BATCH, ATOMIC};
    struct err err = ERR_INIT;
    for (size_t i = 0; i < sizeof(other) / sizeof(other[0]); i++) {
        if (call_has(call, other[i]))
            return call_usage(call, "with --format ss each line is a frame, and a summary is printed: it goes with "
                                    "--stream, --ttl, --strict, --expect-seq and --expect-last only");
    }
    if (key && append_lines_check_key(span_str(key), &err) != 0)
        return call_usage(call, "%s", err.text);
    int rc = check_shared(call);
    return rc == 0 ? check_ttl(call) : rc;
}

static int append_ss(struct call *call)
{
    struct weir *w = NULL;
    CLEAN_BUF target = BUF_INIT;
    struct append_lines how = {.ttl = call_value(call, TTL), .strict = call_has(call, STRICT)};
    int rc = call_operands(call, 0, call_has(call, STREAM) ? 0 : 1);
    if (rc == 0) {
        how.key = call_has(call, STREAM) ? call_value(call, STREAM) : call_operand(call, 0);
        rc = check_lines(call, how.key);
    }
    if (rc == 0)
        rc = batch_target(call, &target);
    if (rc == 0)
        rc = call_open(call, &w);
    if (rc != 0)
        return rc;
    how.target = target_text(&target);
    rc = append_lines(call, w, &how);
    weir_close(w);
    return rc;
}

static int check_format(const struct call *call, bool *ss)
{
    const char *format = call_value(call, FORMAT);
    *ss = format && strcmp(format, "ss") == 0;
    if (format && !*ss && strcmp(format, "json") != 0)
        return call_usage(call, "--format is json or ss");
    return call_has(call, STRICT) && !*ss ? call_usage(call, "--strict goes with --format ss") : 0;
}

static int exec(struct call *call)
{
    struct weir *w = NULL;
    bool ss;
    int fault = check_format(call, &ss);
    if (fault != 0)
        return fault;
    if (ss)
        return append_ss(call);
    if (call_has(call, BATCH))
        return append_batch(call);
    size_t operands = call_has(call, STREAM) ? 0 : 1;
    int rc = call_operands(call, operands, operands);
    if (rc == 0)
        rc = check_one(call);
    if (rc == 0)
        rc = call_open(call, &w);
    if (rc == 0)
        rc = append_one(call, w);
    weir_close(w);
    return rc;
}

const struct cmd cmd_append = {
    .name = "append",
    .group = GROUP_WRITE,
    .summary = "append a frame; its content is standard input",
    .operands = "TOPIC",
    .about =
        "Appends a frame to TOPIC and prints it. Standard input is its content unless it is a\n"
        "terminal. With --batch there is no TOPIC: each line of standard input is an object\n"
        "{\"topic\", \"meta\", \"ttl\", \"content\" or \"content_base64\" or \"hash\"}.\n"
        "With --format ss each line is a message [TIME | KEY | SEQUENCE | SHARD] PAYLOAD as\n"
        "SeaStreamer has it, all in [...] optional. The key is the topic; TOPIC or --stream\n"
        "NAME is that of lines without one (else broadcast). What else a line names is kept\n"
        "in the frame's meta. Bad lines are told on stderr and skipped.\n",
    .options = options,
    .takes = TAKES_ADDR | TAKES_JSON,
    .exec = exec,
};
