/* weir export: the store, or part of it, into a dump. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clean.h"
#include "base/fd.h"
#include "cmd/address.h"
#include "cmd/destination.h"
#include "cmd/dump_dir.h"
#include "cmd/output.h"
#include "cmd/progress.h"
#include "cmd/table.h"
#include "cmd/target.h"

enum { FORMAT = 1, TOPIC, AFTER, UNTIL, ALLOW_MISSING };

static const char *const formats[] = {"weir", "xs", NULL};

static const struct option_row options[] = {
    {.id = FORMAT,
     .name = "format",
     .arg = "FORMAT",
     .help = "weir (one file, restores exactly) or xs (a directory)",
     .complete = COMPLETE_WORDS,
     .words = formats},
    {.id = TOPIC,
     .letter = 'T',
     .name = "topic",
     .arg = "PATTERNS",
     .help = "only these topics: a,b.*,*"},
    {.id = AFTER, .letter = 'a', .name = "after", .arg = "ID", .help = "only frames behind ID"},
    {.id = UNTIL,
     .name = "until",
     .arg = "MOMENT",
     .help = "only frames up to then: 10m (ago), 2026-01-02"},
    {.id = ALLOW_MISSING,
     .name = "allow-missing",
     .help = "xs: leave out contents that are missing"},
    {.name = NULL},
};

static int make_target(const struct call *call, const char *path, struct buf *target)
{
    int rc = buf_add_str(target, path);
    if (rc == 0)
        rc = target_option(target, call, TOPIC, "topic");
    if (rc == 0)
        rc = target_option(target, call, AFTER, "after");
    return rc == 0 ? target_moment(target, call, UNTIL, "until")
                   : call_failf(call, "out of memory");
}

/* --- one file --------------------------------------------------------------------------------- */

struct sink {
    int fd;
    struct progress progress;
};

static int write_chunk(struct sink *s, const uint8_t *bytes, size_t len, struct err *err)
{
    s->progress.bytes += len;
    progress_tick(&s->progress);
    int rc = fd_write_all(s->fd, span_of(bytes, len));
    if (rc < 0)
        return err_sys(err, -rc, "write the dump");
    return destination_interrupted() ? err_set(err, -EINTR, "interrupted") : 0;
}

static int copy_body(struct weir *w, struct sink *s, struct err *err)
{
    size_t room = 262144;
    CLEAN_FREE uint8_t *chunk = malloc(room);
    if (!chunk)
        return err_set(err, -ENOMEM, "out of memory");
    for (;;) {
        long n = weir_read(w, chunk, room, err);
        int rc = n > 0 ? write_chunk(s, chunk, (size_t)n, err) : (int)n;
        if (n <= 0 || rc != 0)
            return rc;
    }
}

static int export_stdout(const struct call *call, struct weir *w, const char *target)
{
    struct err err = ERR_INIT;
    struct weir_response res;
    struct sink sink = {.fd = STDOUT_FILENO};
    if (isatty(STDOUT_FILENO))
        return call_failf(call, "a dump is no text for a terminal; send it to a file or a pipe");
    int rc = call_get(w, target, &res, &err);
    if (rc == 0)
        rc = copy_body(w, &sink, &err);
    /* Unlike cat's, the reader of a dump needs all of it: its going away is a failure. */
    return rc == 0 ? 0 : call_fail(call, &err);
}

static int export_file(const struct call *call, struct weir *w, const char *target,
                       const char *path)
{
    struct err err = ERR_INIT;
    struct weir_response res;
    struct destination dest;
    int rc = destination_begin(&dest, path, false, &err);
    if (rc != 0)
        return call_fail(call, &err);
    struct sink sink = {.fd = dest.fd};
    progress_begin(&sink.progress, "export", 0);
    rc = call_get(w, target, &res, &err);
    if (rc == 0)
        rc = copy_body(w, &sink, &err);
    progress_end(&sink.progress);
    if (rc == 0)
        rc = destination_commit(&dest, &err);
    destination_finish(&dest);
    return rc == 0 ? 0 : call_fail(call, &err);
}

/* --- a directory ------------------------------------------------------------------------------ */

static int export_dir(const struct call *call, struct weir *w, const char *target, const char *path)
{
    struct err err = ERR_INIT;
    struct destination dest;
    if (strcmp(path, "-") == 0)
        return call_usage(call, "a directory cannot go to standard output");
    if (destination_begin(&dest, path, true, &err) != 0)
        return call_fail(call, &err);
    int rc = dump_dir_export(call, w, target, dest.fd, call_has(call, ALLOW_MISSING),
                             destination_interrupted);
    if (rc == 0 && destination_commit(&dest, &err) != 0)
        rc = call_fail(call, &err);
    destination_finish(&dest);
    return rc;
}

/* --- the verb --------------------------------------------------------------------------------- */

static int check(const struct call *call, bool *xs)
{
    const char *format = call_value(call, FORMAT);
    *xs = format ? strcmp(format, "xs") == 0 : false;
    if (format && !*xs && strcmp(format, "weir") != 0)
        return call_usage(call, "--format: `%s' is neither weir nor xs", format);
    int rc = call_check_pattern(call, call_value(call, TOPIC));
    return rc == 0 ? call_check_id(call, "--after", call_value(call, AFTER)) : rc;
}

static int exec(struct call *call)
{
    struct weir *w = NULL;
    CLEAN_BUF target = BUF_INIT;
    bool xs = false;
    int rc = address_take_counted(call, 1);
    if (rc == 0)
        rc = address_check_count(call, 1, 1);
    if (rc == 0)
        rc = check(call, &xs);
    if (rc == 0)
        rc = make_target(call, xs ? "/" : "/export", &target);
    if (rc == 0)
        rc = call_open(call, &w);
    if (rc != 0)
        return rc;
    const char *path = call_operand(call, 0);
    if (xs)
        rc = export_dir(call, w, target_text(&target), path);
    else if (strcmp(path, "-") == 0)
        rc = export_stdout(call, w, target_text(&target));
    else
        rc = export_file(call, w, target_text(&target), path);
    weir_close(w);
    return rc;
}

const struct cmd cmd_export = {
    .name = "export",
    .group = GROUP_MOVE,
    .summary = "write a dump of the store",
    .operands = "PATH",
    .about =
        "Writes frames and contents to PATH, which must not exist; `-' is standard output. The\n"
        "format weir is one file, which restores a store exactly; xs is a directory with\n"
        "frames.jsonl and cas/. A lone operand is PATH, whatever it looks like.\n",
    .options = options,
    .takes = TAKES_ADDR,
    .complete = COMPLETE_FILE,
    .exec = exec,
};
