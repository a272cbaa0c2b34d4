#include "cmd/program.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clean.h"
#include "base/topic.h"
#include "cmd/address.h"
#include "cmd/await.h"
#include "cmd/bulk.h"
#include "cmd/frames.h"
#include "cmd/word.h"

#define NAME_BYTES_MAX 200
#define HEAD_BYTES 4

const char *const program_words[] = {"add", NULL};
const char *const program_outputs[] = {"auto", "raw", "frames", NULL};
const char *const program_targets[] = {"cas", "meta", NULL};

/* --- what is to be defined ---------------------------------------------------------------------------- */


/* A word for sh, whatever is in it. */
static int put_quoted(struct buf *out, const char *word)
{
    int rc = buf_add_str(out, " '");
    for (; rc == 0 && *word; word++)
        rc = *word == '\'' ? buf_add_str(out, "'\\''") : buf_add(out, word, 1);
    return rc == 0 ? buf_add_str(out, "'") : rc;
}

/* The program runs elsewhere: what is found by a path is named from the root. */
static int put_command(struct buf *out, const char *command)
{
    char path[PATH_MAX];
    bool relative = command[0] != '/' && strchr(command, '/');
    return put_quoted(out, relative && realpath(command, path) ? path : command);
}

/* An action's arguments stand behind those that are given here. */
static int make_script(struct buf *out, const struct call *call, enum life_kind kind)
{
    int rc = buf_add_str(out, "#!/bin/sh\nexec");
    for (size_t i = 1; rc == 0 && i < call->operand_count; i++)
        rc = i == 1 ? put_command(out, call->operands[i]) : put_quoted(out, call->operands[i]);
    return rc == 0 ? buf_add_str(out, kind == LIFE_ACTION ? " \"$@\"\n" : "\n") : rc;
}

/* Looks at the first bytes, which `head` keeps. */
static int read_head(const struct call *call, int fd, const char *name, struct buf *head)
{
    if (buf_reserve(head, HEAD_BYTES) != 0)
        return call_failf(call, "out of memory");
    while (head->len < HEAD_BYTES) {
        ssize_t n = read(fd, head->ptr + head->len, HEAD_BYTES - head->len);
        if (n == 0)
            break;
        if (n < 0 && errno != EINTR)
            return call_failf(call, "read %s: %s", name, strerror(errno));
        head->len += n > 0 ? (size_t)n : 0;
    }
    if (head->len == 0)
        return call_failf(call, "%s is empty", name);
    if (memcmp(head->ptr, "#!", head->len < 2 ? head->len : 2) != 0 &&
        (head->len < 4 || memcmp(head->ptr, "\177ELF", 4) != 0))
        call_note(call, "%s does not begin with #! : /bin/sh runs it", name);
    return 0;
}

/* A program's file, or a script for the words behind the dashes. */
static int open_program(const struct call *call, enum life_kind kind, struct bulk_source *source, struct buf *head)
{
    if (call->dashed) {
        source->fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
        if (make_script(head, call, kind) != 0 || source->fd < 0)
            return call_failf(call, "out of memory");
    } else {
        const char *name = call_operand(call, 1);
        bool is_stdin = strcmp(name, "-") == 0;
        source->fd = is_stdin ? dup(STDIN_FILENO) : open(name, O_RDONLY | O_CLOEXEC);
        if (source->fd < 0)
            return call_failf(call, "open %s: %s", name, strerror(errno));
        int rc = read_head(call, source->fd, is_stdin ? "standard input" : name, head);
        if (rc != 0)
            return rc;
    }
    source->ahead = buf_span(head);
    return 0;
}

/* --- defining it -------------------------------------------------------------------------------------- */

static int check_name(const struct call *call, enum life_kind kind, const char *name)
{
    struct err err = ERR_INIT;
    CLEAN_BUF topic = BUF_INIT;
    if (life_topic(&topic, kind, name, "create") != 0)
        return call_failf(call, "out of memory");
    if (topic_check(span_str(name), &err) != 0 || topic_check(buf_span(&topic), &err) != 0)
        return call_usage(call, "`%s' is no name: %s", name, err.text);
    if (strlen(name) > NAME_BYTES_MAX)
        return call_usage(call, "a name has at most %d bytes", NAME_BYTES_MAX);
    return 0;
}

/* Appends the definition; `json` gets its frame. */
static int append(const struct call *call, struct weir *w, enum life_kind kind, char **json)
{
    struct err err = ERR_INIT;
    CLEAN_BUF topic = BUF_INIT;
    CLEAN_BUF meta = BUF_INIT;
    CLEAN_BUF head = BUF_INIT;
    struct bulk_source source = {.fd = -1};
    int rc = program_meta(call, &meta);
    if (rc == 0)
        rc = open_program(call, kind, &source, &head);
    if (rc == 0 && life_topic(&topic, kind, call_operand(call, 0), "create") != 0)
        rc = call_failf(call, "out of memory");
    struct weir_append a = {.topic = buf_cstr(&topic),
                            .meta = meta.len > 0 ? buf_cstr(&meta) : NULL,
                            .read = bulk_read,
                            .read_arg = &source};
    if (rc == 0 && weir_append(w, &a, json, &err) != 0)
        rc = call_fail(call, &err);
    if (source.fd >= 0)
        close(source.fd);
    return rc;
}

/* ADDR NAME FILE, or ADDR NAME -- CMD ARG... */
static int take_operands(struct call *call)
{
    size_t count = call->dashed ? 1 + call->behind_dash : 2;
    if (word_take(call, program_words) < 0)
        return call_usage(call, "say what is to be done: add");
    if (call->dashed && call->behind_dash == 0)
        return call_usage(call, "no command stands behind --");
    int rc = address_take(call, count);
    if (rc == 0)
        rc = address_check_count(call, count, count);
    return rc;
}

static int define(const struct call *call, struct weir *w, enum life_kind kind)
{
    CLEAN_FREE char *json = NULL;
    struct frame_parts frame;
    char id[ID_TEXT_LEN + 1] = "";
    int rc = append(call, w, kind, &json);
    if (rc != 0)
        return rc;
    if (call_has(call, P_NO_WAIT))
        return frames_print(call, span_str(json));
    if (!frame_parts_take(&frame, span_str(json)))
        return call_failf(call, "the daemon's answer is no frame");
    memcpy(id, frame.id.ptr, ID_TEXT_LEN);
    return program_await(call, w, kind, call_operand(call, 0), id);
}

int program_exec(struct call *call, enum life_kind kind)
{
    struct weir *w = NULL;
    uint64_t wait_ms;
    int rc = take_operands(call);
    if (rc == 0)
        rc = check_name(call, kind, call_operand(call, 0));
    if (rc == 0)
        rc = await_option(call, P_WAIT, 0, &wait_ms);
    if (rc == 0)
        rc = call_open(call, &w);
    if (rc == 0)
        rc = define(call, w, kind);
    weir_close(w);
    return rc;
}
