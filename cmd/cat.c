/* weir cat: read the log, then optionally follow it. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clean.h"
#include "base/json.h"
#include "base/text.h"
#include "cmd/cat_copy.h"
#include "cmd/cat_group.h"
#include "cmd/cat_lines.h"
#include "cmd/output.h"
#include "cmd/table.h"
#include "cmd/target.h"

enum {
    FOLLOW = 1,
    PULSE,
    NEW,
    AFTER,
    FROM,
    BEFORE,
    SINCE,
    UNTIL,
    REVERSE,
    COUNT,
    LIMIT,
    LAST,
    TOPIC,
    STREAM,
    TIMESTAMP,
    SEQ,
    CONTENT,
    SSE,
    GROUP,
    MEMBER,
    ACK,
    ORDER,
    MAX,
    TIMEOUT,
    WINDOW,
    FORMAT,
    SEQUENCE,
    ODD
};

static const char *const ack_words[] = {"auto", "manual", NULL};
static const char *const order_words[] = {"topic", "none", NULL};
static const char *const format_words[] = {"json", "ss", NULL};
static const char *const sequence_words[] = {"kept", "store", NULL};
static const char *const odd_words[] = {"refuse", "raw", "json", NULL}; /* as enum ss_line_odd */

static const struct option_row options[] = {
    {.id = FOLLOW, .letter = 'f', .name = "follow", .help = "stay, and print what is appended"},
    {.id = PULSE,
     .letter = 'p',
     .name = "pulse",
     .arg = "MS",
     .help = "follow with a heartbeat every MS (from 10)"},
    {.id = NEW,
     .letter = 'n',
     .name = "new",
     .help = "skip what is there already",
     .old = "tail",
     .old_letter = 't'},
    {.id = TOPIC,
     .letter = 'T',
     .name = "topic",
     .arg = "PATTERNS",
     .help = "only these topics: a,b.*,*"},
    {.id = STREAM, .name = "stream", .arg = "NAME", .help = "only the topic of exactly this name"},
    {.id = AFTER,
     .letter = 'a',
     .name = "after",
     .arg = "ID",
     .help = "start behind ID",
     .old = "last-id",
     .old_letter = 'l'},
    {.id = FROM, .name = "from", .arg = "ID", .help = "start at ID; wins over --after"},
    {.id = BEFORE, .name = "before", .arg = "ID", .help = "end before ID"},
    {.id = SINCE,
     .name = "since",
     .arg = "MOMENT",
     .help = "start there: 10m (ago), 2026-01-02, 2026-01-02T03:04Z"},
    {.id = UNTIL, .name = "until", .arg = "MOMENT", .help = "end there, inclusive"},
    {.id = LIMIT, .name = "limit", .arg = "N", .help = "end after N frames"},
    {.id = LAST, .name = "last", .arg = "N", .help = "only the N newest of the history"},
    {.id = REVERSE, .name = "reverse", .help = "newest first"},
    {.id = COUNT, .name = "count", .help = "print how many instead"},
    {.id = TIMESTAMP, .name = "with-timestamp", .help = "add \"timestamp\" to each frame"},
    {.id = SEQ, .name = "with-seq", .help = "add \"seq\" to each frame"},
    {.id = CONTENT, .name = "with-content", .help = "add \"content\" to each frame, \"size\" when it is over 1 MiB"},
    {.id = SSE, .name = "sse", .help = "as server-sent events"},
    {.id = FORMAT,
     .name = "format",
     .arg = "FORM",
     .help = "ss: lines as SeaStreamer has them; json: frames",
     .complete = COMPLETE_WORDS,
     .words = format_words},
    {.id = SEQUENCE,
     .name = "sequence",
     .arg = "WHICH",
     .help = "with ss: kept, the message's own if any, or store",
     .complete = COMPLETE_WORDS,
     .words = sequence_words},
    {.id = ODD,
     .name = "odd",
     .arg = "HOW",
     .help = "with ss, payloads no line holds: refuse, raw, json",
     .complete = COMPLETE_WORDS,
     .words = odd_words},
    {.id = GROUP,
     .letter = 'g',
     .name = "group",
     .arg = "GROUP",
     .help = "share the frames with the group's other members"},
    {.id = MEMBER, .name = "member", .arg = "M", .help = "the name to go by in the group"},
    {.id = ACK,
     .name = "ack",
     .arg = "HOW",
     .help = "auto: done when printed; manual: by `ack'",
     .complete = COMPLETE_WORDS,
     .words = ack_words},
    {.id = ORDER,
     .name = "order",
     .arg = "HOW",
     .help = "topic: one frame of a topic at a time",
     .complete = COMPLETE_WORDS,
     .words = order_words},
    {.id = MAX, .name = "max", .arg = "N", .help = "handed out N times a frame is dead (5)"},
    {.id = TIMEOUT,
     .name = "timeout-ms",
     .arg = "MS",
     .help = "not done by then: somebody else gets it (60000)"},
    {.id = WINDOW, .name = "window", .arg = "N", .help = "frames open at once (100)"},
    {.name = NULL},
};

static bool follows(const struct call *call)
{
    return call_has(call, FOLLOW) || call_has(call, PULSE);
}

static int check_group(const struct call *call)
{
    static const int odd[] = {PULSE, BEFORE, UNTIL, REVERSE, COUNT, LAST, STREAM};
    static const int own[] = {MEMBER, ACK, ORDER, MAX, TIMEOUT, WINDOW};
    const char *ack = call_value(call, ACK);
    bool group = call_has(call, GROUP);
    for (size_t i = 0; group && i < sizeof(odd) / sizeof(odd[0]); i++)
        if (call_has(call, odd[i]))
            return call_usage(call, "--group does not go with --pulse, --before, --until, "
                                    "--reverse, --count, --last or --stream");
    for (size_t i = 0; !group && i < sizeof(own) / sizeof(own[0]); i++)
        if (call_has(call, own[i]))
            return call_usage(call, "--member, --ack, --order, --max, --timeout-ms and --window "
                                    "go with --group");
    if (ack && strcmp(ack, "auto") != 0 && strcmp(ack, "manual") != 0)
        return call_usage(call, "--ack is auto or manual");
    return 0;
}

/* Which of the words it is; the first when it was not given; -1: none of them. */
static int word_of(const struct call *call, int id, const char *const *words)
{
    const char *given = call_value(call, id);
    int i = 0;
    while (given && words[i] && strcmp(words[i], given) != 0)
        i++;
    return words[i] ? i : -1;
}

static bool as_lines(const struct call *call)
{
    return word_of(call, FORMAT, format_words) == 1;
}

static int check_format(const struct call *call)
{
    static const int other[] = {OPT_JSON, SSE, COUNT, TIMESTAMP, SEQ, CONTENT};
    if (word_of(call, FORMAT, format_words) < 0)
        return call_usage(call, "--format is json or ss");
    if (word_of(call, SEQUENCE, sequence_words) < 0)
        return call_usage(call, "--sequence is kept or store");
    if (word_of(call, ODD, odd_words) < 0)
        return call_usage(call, "--odd is refuse, raw or json");
    if (!as_lines(call) && (call_has(call, SEQUENCE) || call_has(call, ODD)))
        return call_usage(call, "--sequence and --odd go with --format ss");
    for (size_t i = 0; as_lines(call) && i < sizeof(other) / sizeof(other[0]); i++)
        if (call_has(call, other[i]))
            return call_usage(call, "--format ss does not go with --json, --sse, --count, --with-timestamp, "
                                    "--with-seq or --with-content");
    return 0;
}

static int check(const struct call *call)
{
    static const int numbers[] = {PULSE, LIMIT, LAST, MAX, TIMEOUT, WINDOW};
    int rc = call_check_pattern(call, call_value(call, TOPIC));
    for (size_t i = 0; rc == 0 && i < sizeof(numbers) / sizeof(numbers[0]); i++)
        rc = call_check_number(call, numbers[i]);
    if (rc == 0 && follows(call) && (call_has(call, REVERSE) || call_has(call, COUNT)))
        rc = call_usage(call, "--reverse and --count do not go with --follow");
    if (rc == 0)
        rc = check_group(call);
    if (rc == 0)
        rc = check_format(call);
    if (rc == 0 && call_has(call, TOPIC) && call_has(call, STREAM))
        rc = call_usage(call, "give --topic or --stream, not both");
    if (rc == 0)
        rc = call_check_id(call, "--after", call_value(call, AFTER));
    if (rc == 0)
        rc = call_check_id(call, "--from", call_value(call, FROM));
    return rc == 0 ? call_check_id(call, "--before", call_value(call, BEFORE)) : rc;
}

static bool by_hand(const struct call *call)
{
    const char *ack = call_value(call, ACK);
    return ack && strcmp(ack, "manual") == 0;
}

static int make_target(const struct call *call, struct buf *target)
{
    static const struct {
        int id;
        const char *key;
    } plain[] = {{NEW, "new"},
                 {AFTER, "after"},
                 {FROM, "from"},
                 {BEFORE, "before"},
                 {LIMIT, "limit"},
                 {LAST, "last"},
                 {TOPIC, "topic"},
                 {STREAM, "stream"},
                 {REVERSE, "reverse"},
                 {COUNT, "count"},
                 {TIMESTAMP, "with-timestamp"},
                 {SEQ, "with-seq"},
                 {CONTENT, "with-content"},
                 {GROUP, "group"},
                 {MEMBER, "member"},
                 {ORDER, "order"},
                 {MAX, "max"},
                 {TIMEOUT, "timeout_ms"},
                 {WINDOW, "window"}};
    int rc = buf_add_str(target, "/");
    if (rc == 0 && follows(call))
        rc = target_add(target, "follow", call_has(call, PULSE) ? call_value(call, PULSE) : "true");
    for (size_t i = 0; rc == 0 && i < sizeof(plain) / sizeof(plain[0]); i++)
        rc = target_option(target, call, plain[i].id, plain[i].key);
    if (rc == 0 && call_has(call, GROUP)) /* auto: this program acknowledges what it has written */
        rc = target_add(target, "ack", "manual");
    if (rc == 0 && call_has(call, GROUP) && !by_hand(call))
        rc = target_add(target, "grace_ms", "0");
    if (rc == 0 && as_lines(call))
        rc = cat_lines_query(target);
    if (rc != 0)
        return call_failf(call, "out of memory");
    rc = target_moment(target, call, SINCE, "since");
    return rc == 0 ? target_moment(target, call, UNTIL, "until") : rc;
}

static int end(const struct call *call, int rc, const struct err *err, uint64_t frames)
{
    const char *limit = call_value(call, LIMIT);
    if (rc < 0)
        return call_fail(call, err);
    if (rc == 0 && follows(call) && (!limit || frames < strtoull(limit, NULL, 10)))
        call_note(call, "the daemon stopped; the stream ended in order");
    return 0;
}

static int copy(const struct call *call, struct weir *w)
{
    struct err err = ERR_INIT;
    struct cat_copy c = {
        .people = call_for_people(call), .events = call_has(call, SSE), .counts = follows(call) && call_has(call, LIMIT)};
    int rc = cat_copy(&c, w, &err);
    return end(call, rc, &err, c.frames);
}

static int copy_group(const struct call *call, struct weir *w, struct cat_lines *lines)
{
    struct err err = ERR_INIT;
    struct cat_group g = {.group = call_value(call, GROUP),
                          .by_hand = by_hand(call),
                          .events = call_has(call, SSE),
                          .lines = lines};
    if (call_has(call, WINDOW))
        text_u64(span_str(call_value(call, WINDOW)), &g.window);
    int rc = cat_group_copy(call, w, &g, &err);
    return end(call, rc, &err, g.frames);
}

static int copy_lines(const struct call *call, struct weir *w)
{
    struct err err = ERR_INIT;
    struct cat_lines lines = {.call = call,
                              .people = call_for_people(call),
                              .odd = (enum ss_line_odd)word_of(call, ODD, odd_words),
                              .store_seq = word_of(call, SEQUENCE, sequence_words) == 1};
    int rc;
    if (call_has(call, GROUP)) {
        rc = copy_group(call, w, &lines);
    } else {
        rc = cat_lines_copy(&lines, w, &err);
        rc = end(call, rc, &err, lines.frames);
    }
    if (rc == 0 && lines.refused > 0)
        rc = call_failf(call, "%" PRIu64 " frame%s not printed; --odd says what else may be done", lines.refused,
                        lines.refused == 1 ? " was" : "s were");
    cat_lines_finish(&lines);
    return rc;
}

static int print_count(const struct call *call, struct weir *w)
{
    struct err err = ERR_INIT;
    CLEAN_FREE char *text = NULL;
    size_t len;
    if (weir_read_all(w, &text, &len, 4096, &err) != 0)
        return call_fail(call, &err);
    while (len > 0 && text[len - 1] == '\n')
        len--;
    if (!call_for_people(call))
        return output_line(call, span_of(text, len));
    struct json_iter it;
    struct span key;
    struct json_value value;
    if (json_validate(span_of(text, len), 2, NULL, NULL) != 0 ||
        json_iter_init(&it, span_of(text, len)) != 0 || !json_iter_next(&it, &key, &value))
        return call_failf(call, "the daemon's answer is no count");
    return output_line(call, value.raw);
}

static int exec(struct call *call)
{
    struct err err = ERR_INIT;
    struct weir *w = NULL;
    CLEAN_BUF target = BUF_INIT;
    struct weir_response res;
    const struct weir_header sse = {"Accept", "text/event-stream"};
    int rc = call_operands(call, 0, 0);
    if (rc == 0)
        rc = check(call);
    if (rc == 0)
        rc = make_target(call, &target);
    if (rc == 0)
        rc = call_open(call, &w);
    if (rc != 0)
        return rc;
    struct weir_request req = {
        .method = "GET", .target = target_text(&target), .replay_safe = true};
    if (call_has(call, SSE)) {
        req.headers = &sse;
        req.header_count = 1;
    }
    rc = weir_request(w, &req, &res, &err);
    if (rc == 0)
        rc = weir_check(w, &res, &err);
    if (rc != 0)
        rc = call_fail(call, &err);
    else if (as_lines(call))
        rc = copy_lines(call, w);
    else if (call_has(call, GROUP))
        rc = copy_group(call, w, NULL);
    else
        rc = call_has(call, COUNT) ? print_count(call, w) : copy(call, w);
    weir_close(w);
    return rc;
}

const struct cmd cmd_cat = {
    .name = "cat",
    .group = GROUP_READ,
    .summary = "print frames, and follow the log",
    .operands = "",
    .about =
        "Prints frames in order, one JSON object a line; for people on a terminal. With --follow\n"
        "it stays: a frame xs.threshold separates history from what is new.\n"
        "With --group each frame goes to one of the group's members and is not given again once\n"
        "it is done. The first read makes the group: from the beginning, unless --new, --after,\n"
        "--from or --since say otherwise.\n"
        "With --format ss each frame is a line [TIME | KEY | SEQUENCE | SHARD] PAYLOAD as\n"
        "SeaStreamer reads it: what the message brought along, else the frame's own time\n"
        "and seq (0 for ephemeral frames). A payload that no line can hold is told on\n"
        "stderr and the exit status is 1, unless --odd is raw, or json: a JSON string, or\n"
        "an array of bytes for what is no UTF-8.\n",
    .options = options,
    .takes = TAKES_ADDR | TAKES_JSON,
    .exec = exec,
};
