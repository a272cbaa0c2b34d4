/* weir decode: what an .ss file holds. Needs no daemon. */
#include "cmd/decode.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "cmd/table.h"

enum { FILE_NAME = 1, FORMAT, HEADER_ONLY, STREAM, OFFSET, FOLLOW, VERIFY, REPAIR };

static const char *const forms[] = {"log", "ndjson", "plain", "exact", NULL};

static const char *const places[] = {"start", "end", NULL};

static const struct option_row options[] = {
    {.id = FILE_NAME, .name = "file", .arg = "FILE", .help = "the file, as operand or so", .complete = COMPLETE_FILE},
    {.id = FORMAT,
     .name = "format",
     .arg = "FORM",
     .help = "log (default), ndjson, plain or exact",
     .complete = COMPLETE_WORDS,
     .words = forms},
    {.id = HEADER_ONLY, .name = "header-only", .help = "without payloads"},
    {.id = STREAM, .letter = 's', .name = "stream", .arg = "KEY", .help = "only messages of this stream; may be repeated"},
    {.id = OFFSET,
     .name = "offset",
     .arg = "WHERE",
     .help = "start (default), end, a sequence, or behind a time, with one --stream",
     .complete = COMPLETE_WORDS,
     .words = places},
    {.id = FOLLOW, .letter = 'f', .name = "follow", .help = "then wait for more, until the end mark comes"},
    {.id = VERIFY, .name = "verify", .help = "print no messages; look for damage"},
    {.id = REPAIR, .name = "repair", .help = "mend damage; the old file is kept as FILE.damaged"},
    {.name = NULL},
};

/* --- what was asked --------------------------------------------------------------------------- */

static int take_form(struct decode *d)
{
    static const enum ss_show values[] = {SS_SHOW_LOG, SS_SHOW_NDJSON, SS_SHOW_PLAIN, SS_SHOW_EXACT};
    const char *text = call_value(d->call, FORMAT);
    for (size_t i = 0; forms[i]; i++) {
        if (!text || strcmp(text, forms[i]) == 0) {
            d->form = values[i];
            return 0;
        }
    }
    return call_usage(d->call, "--format: `%s' is none of log, ndjson, plain, exact", text);
}

static int take_streams(struct decode *d)
{
    struct err err = ERR_INIT;
    const struct call *call = d->call;
    d->streams = calloc(call->given_count + 1, sizeof(*d->streams));
    if (!d->streams)
        return call_failf(call, "out of memory");
    for (size_t i = 0; i < call->given_count; i++) {
        if (call->given[i].option->id != STREAM)
            continue;
        if (ss_key_check(span_str(call->given[i].value), &err) != 0)
            return call_usage(call, "--stream: %s", err.text);
        d->streams[d->stream_count++] = call->given[i].value;
    }
    return 0;
}

/* `-', or no name where something is piped in, is standard input. */
static int take_file(struct decode *d)
{
    const struct call *call = d->call;
    const char *option = call_value(call, FILE_NAME), *operand = call_operand(call, 0);
    if (call->operand_count > (option ? 0 : 1))
        return call_usage(call, "one file at a time");
    d->path = option ? option : operand;
    if (!d->path && isatty(STDIN_FILENO))
        return call_usage(call, "which FILE? (`-' is standard input)");
    if (d->path && strcmp(d->path, "-") == 0)
        d->path = NULL;
    return 0;
}

static int take_place(struct decode *d)
{
    const char *text = call_value(d->call, OFFSET);
    d->follow = call_has(d->call, FOLLOW);
    d->placed = text && strcmp(text, "start") != 0;
    if (!d->placed)
        return 0;
    bool end = strcmp(text, "end") == 0, seq = text_u64(span_str(text), &d->value) == 0;
    if (!end && !seq && ss_time_parse_moment(span_str(text), time_now_ms(), &d->value, NULL) != 0)
        return call_usage(d->call, "--offset is start, end, a sequence or a time, not `%s'", text);
    d->from = end ? SS_FROM_END : seq ? SS_FROM_SEQ : SS_FROM_TIME;
    if (end && !d->follow)
        return call_usage(d->call, "--offset end needs --follow");
    if (!end && d->stream_count != 1)
        return call_usage(d->call, "--offset with a sequence or a time needs one --stream");
    return d->path ? 0 : call_usage(d->call, "--offset needs a FILE");
}

static int check_together(const struct decode *d)
{
    const struct call *call = d->call;
    bool verify = call_has(call, VERIFY), repair = call_has(call, REPAIR);
    if (verify && repair)
        return call_usage(call, "--verify or --repair");
    if ((verify || repair) && (d->stream_count > 0 || call_has(call, FORMAT) || call_has(call, HEADER_ONLY) ||
                               call_has(call, FOLLOW) || call_has(call, OFFSET)))
        return call_usage(call, "--%s looks at the whole file and prints no messages", verify ? "verify" : "repair");
    if ((verify || repair) && !d->path)
        return call_usage(call, "--%s needs a FILE", verify ? "verify" : "repair");
    return 0;
}

static int run(const struct decode *d)
{
    if (call_has(d->call, VERIFY))
        return decode_verify(d);
    if (call_has(d->call, REPAIR))
        return decode_repair(d);
    /* What comes out of a pipe is followed anyway. */
    return (d->follow || d->placed) && d->path ? decode_follow(d) : decode_print(d);
}

static int exec(struct call *call)
{
    struct decode d = {.call = call, .header_only = call_has(call, HEADER_ONLY), .people = call_for_people(call)};
    int rc = take_file(&d);
    if (rc == 0)
        rc = take_form(&d);
    if (rc == 0)
        rc = take_streams(&d);
    if (rc == 0)
        rc = take_place(&d);
    if (rc == 0)
        rc = check_together(&d);
    if (rc == 0)
        rc = run(&d);
    free(d.streams);
    return rc;
}

const struct cmd cmd_decode = {
    .name = "decode",
    .group = GROUP_LOCAL,
    .summary = "print, verify or mend an .ss file",
    .operands = "[FILE]",
    .about = "Prints the messages of a SeaStreamer file: with --format log or ndjson as ss-decode does, with\n"
             "header and beacons as comments; plain is the second without comments. exact is JSON without\n"
             "loss: `payload' is the text as it is or, when it is no text, `payload_base64' its bytes.\n"
             "\n"
             "FILE may be a pipe; `-', or none when something is piped in, is standard input. What is\n"
             "there is printed at once. A file that ends in the middle of a message is no failure.\n"
             "\n"
             "--verify says what is wrong with the whole file, JSON also on a terminal with --json, and\n"
             "exits with 1 when there is damage. --repair writes every message that can still be read into\n"
             "a new file, which takes the place of the old one; that is kept as FILE.damaged.\n",
    .options = options,
    .takes = TAKES_JSON,
    .complete = COMPLETE_FILE,
    .exec = exec,
};
