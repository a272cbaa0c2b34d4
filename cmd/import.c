/* weir import: frames from a dump, a file or standard input. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clean.h"
#include "base/json.h"
#include "cmd/address.h"
#include "cmd/bulk.h"
#include "cmd/dump_dir.h"
#include "cmd/frames.h"
#include "cmd/table.h"
#include "cmd/target.h"

#define AHEAD_MAX ((size_t)1 << 20)

enum { ALLOW_MISSING = 1 };

static const struct option_row options[] = {
    {.id = ALLOW_MISSING,
     .name = "allow-missing",
     .help = "accept frames whose content is nowhere"},
    {.name = NULL},
};

/* --- what is to be imported ------------------------------------------------------------------- */

enum kind { KIND_ONE, KIND_LINES, KIND_DUMP, KIND_EMPTY };

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static struct span without_blanks(struct span text)
{
    while (text.len > 0 && is_blank(text.ptr[0]))
        text = span_of(text.ptr + 1, text.len - 1);
    while (text.len > 0 && is_blank(text.ptr[text.len - 1]))
        text.len--;
    return text;
}

/* Whether a second line has begun behind a first that is a whole JSON object. */
static bool has_lines(struct span text)
{
    const uint8_t *end = text.len > 0 ? memchr(text.ptr, '\n', text.len) : NULL;
    if (!end)
        return false;
    struct span first = span_of(text.ptr, (size_t)(end - text.ptr));
    return json_validate(first, META_DEPTH + 1, NULL, NULL) == 0;
}

/* Reads ahead until it is clear what comes: a JSON object alone is one frame, maybe over several
 * lines; objects line by line are a stream; what does not begin like an object is a dump. */
static int look(const struct call *call, int fd, struct buf *ahead, enum kind *kind)
{
    struct bulk_source source = {.fd = fd};
    for (;;) {
        if (buf_reserve(ahead, 65536) != 0)
            return call_failf(call, "out of memory");
        long n = bulk_read(&source, ahead->ptr + ahead->len, 65536);
        if (n < 0)
            return call_failf(call, "read the input: %s", err_code_text((int)n));
        ahead->len += (size_t)n;
        struct span text = without_blanks(buf_span(ahead));
        bool ended = n == 0;
        *kind = KIND_LINES;
        if (text.len == 0)
            *kind = KIND_EMPTY;
        else if (text.ptr[0] != '{' && text.ptr[0] != '[')
            *kind = KIND_DUMP;
        else if (ended && json_validate(text, META_DEPTH + 1, NULL, NULL) == 0)
            *kind = KIND_ONE;
        else if (!ended && !has_lines(text) && ahead->len < AHEAD_MAX)
            continue;
        if (ended || *kind != KIND_EMPTY)
            return 0;
    }
}

/* --- sending ---------------------------------------------------------------------------------- */

static int make_target(const struct call *call, enum kind kind, struct buf *target)
{
    int rc = buf_add_str(target, "/import");
    if (rc == 0 && kind == KIND_LINES)
        rc = target_add(target, "stream", NULL);
    if (rc == 0)
        rc = target_option(target, call, ALLOW_MISSING, "allow-missing");
    return rc == 0 ? 0 : call_failf(call, "out of memory");
}

static int send_one(const struct call *call, struct weir *w, struct weir_request *req,
                    struct span json)
{
    struct err err = ERR_INIT;
    struct weir_response res;
    req->body = json;
    int rc = weir_request(w, req, &res, &err);
    if (rc == 0)
        rc = weir_check(w, &res, &err);
    return rc == 0 ? frames_body(call, w) : call_fail(call, &err);
}

static const char *const types[] = {[KIND_ONE] = "application/json",
                                    [KIND_LINES] = "application/x-ndjson",
                                    [KIND_DUMP] = "application/x-weir-dump"};

static int import_stream(const struct call *call, struct weir *w, int fd, uint64_t size)
{
    struct progress progress;
    CLEAN_BUF ahead = BUF_INIT;
    CLEAN_BUF target = BUF_INIT;
    enum kind kind = KIND_EMPTY;
    int rc = look(call, fd, &ahead, &kind);
    if (rc == 0 && kind == KIND_EMPTY)
        return call_failf(call, "there is nothing to import");
    if (rc == 0)
        rc = make_target(call, kind, &target);
    if (rc != 0)
        return rc;
    struct bulk_source source = {.ahead = buf_span(&ahead), .fd = fd, .progress = &progress};
    const struct weir_header type = {"Content-Type", types[kind]};
    struct weir_request req = {.method = "POST",
                               .target = target_text(&target),
                               .headers = &type,
                               .header_count = 1,
                               .has_body = true};
    if (kind == KIND_ONE)
        return send_one(call, w, &req, without_blanks(buf_span(&ahead)));
    req.read = bulk_read;
    req.read_arg = &source;
    progress_begin(&progress, "import", size);
    return bulk_send(call, w, &req, &progress, "imported");
}

static int import_dir(const struct call *call, struct weir *w, int dirfd)
{
    CLEAN_BUF target = BUF_INIT;
    int rc = make_target(call, KIND_LINES, &target);
    return rc == 0 ? dump_dir_import(call, w, target_text(&target), dirfd) : rc;
}

static int import_path(const struct call *call, struct weir *w, const char *path)
{
    struct stat st;
    if (!path || strcmp(path, "-") == 0)
        return import_stream(call, w, STDIN_FILENO, 0);
    CLEAN_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0)
        return call_failf(call, "%s: %s", path, strerror(errno));
    if (S_ISDIR(st.st_mode))
        return import_dir(call, w, fd);
    return import_stream(call, w, fd, S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0);
}

/* --- operands --------------------------------------------------------------------------------- */

/* Whether a lone operand is what to import rather than where to: a file, or a directory with
 * frames. */
static bool is_source(const char *text)
{
    struct stat st;
    char frames[4096];
    int len = snprintf(frames, sizeof(frames), "%s/frames.jsonl", text);
    if (strcmp(text, "-") == 0)
        return true;
    if (stat(text, &st) != 0)
        return false;
    return S_ISREG(st.st_mode) || (S_ISDIR(st.st_mode) && len > 0 && (size_t)len < sizeof(frames) &&
                                   access(frames, F_OK) == 0);
}

static int take_operands(struct call *call)
{
    bool lone = call->operand_count == 1 && !call->as_xs && !call_has(call, OPT_ADDR);
    size_t max = lone && !is_source(call->operands[0]) ? 0 : 1;
    int rc = address_take_counted(call, max);
    return rc == 0 ? address_check_count(call, 0, 1) : rc;
}

static int exec(struct call *call)
{
    struct weir *w = NULL;
    int rc = take_operands(call);
    if (rc == 0)
        rc = call_open(call, &w);
    if (rc == 0)
        rc = import_path(call, w, call_operand(call, 0));
    weir_close(w);
    return rc;
}

const struct cmd cmd_import = {
    .name = "import",
    .group = GROUP_MOVE,
    .summary = "take in frames as they are: a dump, lines, a frame",
    .operands = "[PATH]",
    .about =
        "Stores frames with the ids they have. PATH is a dump made by `export' (a file, or a "
        "directory\n"
        "with frames.jsonl and cas/), or a file of frames, one JSON object a line; without it\n"
        "standard input is read. A lone frame is printed. Frames that are there are passed over.\n",
    .options = options,
    .takes = TAKES_ADDR | TAKES_JSON,
    .complete = COMPLETE_FILE,
    .exec = exec,
};
