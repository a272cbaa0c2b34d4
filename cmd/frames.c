#include "cmd/frames.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clean.h"
#include "base/text.h"
#include "cmd/human.h"
#include "cmd/output.h"
#include "cmd/target.h"

int frames_print(const struct call *call, struct span json)
{
    struct err err = ERR_INIT;
    CLEAN_BUF text = BUF_INIT;
    if (!call_for_people(call))
        return output_line(call, json);
    if (human_frame(&text, json) != 0)
        return call_failf(call, "out of memory");
    return output_write(buf_span(&text), &err) < 0 ? call_fail(call, &err) : 0;
}

struct printer {
    bool people;
    size_t frames;
};

static int print_line(void *arg, struct span line, struct buf *text)
{
    struct printer *p = arg;
    if (line.len == 0)
        return 0;
    p->frames++;
    if (p->people)
        return human_frame(text, line);
    return buf_add_span(text, line) != 0 ? -ENOMEM : buf_add_str(text, "\n");
}

/* Prints the frames of the answer's body; `count` gets how many. 0, OUTPUT_GONE or a negative code.
 */
static int print_body(const struct call *call, struct weir *w, size_t *count, struct err *err)
{
    struct printer p = {.people = call_for_people(call)};
    struct output_lines lines = {.line = print_line, .arg = &p};
    int rc = output_copy(w, output_each_line, &lines, err);
    /* One object comes without a newline. */
    if (rc == 0)
        rc = output_last_line(&lines, err);
    output_lines_finish(&lines);
    *count = p.frames;
    return rc;
}

int frames_get(const struct call *call, struct weir *w, const char *target, bool follow,
               const char *none)
{
    struct err err = ERR_INIT;
    struct weir_response res;
    size_t count = 0;
    int rc = call_get(w, target, &res, &err);
    if (rc == 0)
        rc = print_body(call, w, &count, &err);
    weir_close(w);
    if (rc == ERR_NOT_FOUND || (rc == 0 && count == 0))
        return call_failf(call, "%s", none);
    if (rc == 0 && follow)
        call_note(call, "the daemon stopped; the stream ended in order");
    return rc < 0 ? call_fail(call, &err) : 0;
}

int frames_body(const struct call *call, struct weir *w)
{
    struct err err = ERR_INIT;
    size_t count;
    return print_body(call, w, &count, &err) < 0 ? call_fail(call, &err) : 0;
}

/* Topics begin with a letter or _, so digits alone are meant as a count, also too many of them. */
static bool is_number(const char *text)
{
    return text[0] && text[strspn(text, "0123456789")] == '\0';
}

static int check_count(const struct call *call, const char *text)
{
    uint64_t n;
    if (!text || (text_u64(span_str(text), &n) == 0 && n > 0))
        return 0;
    return call_usage(call, "`%s' is no count: 1 to %" PRIu64, text, UINT64_MAX);
}

/* How many operands other than ADDR the verb can use, given what they look like. */
static size_t operand_max(const struct call *call)
{
    for (size_t i = 0; i < call->operand_count; i++) {
        if (is_number(call->operands[i]))
            return 2;
    }
    return 1;
}

/* A topic pattern and a count, in any order. 0 or an exit status. */
static int read_operands(const struct call *call, const char **pattern, const char **count)
{
    for (size_t i = 0; i < call->operand_count; i++) {
        const char *text = call->operands[i];
        const char **into = is_number(text) ? count : pattern;
        if (*into)
            return call_usage(
                call, into == count ? "two counts: `%s' and `%s'" : "two topics: `%s' and `%s'",
                *into, text);
        *into = text;
    }
    int rc = check_count(call, *count);
    return rc == 0 ? call_check_pattern(call, *pattern) : rc;
}

int frames_verb(struct call *call,
                int (*make_target)(const struct call *call, const char *pattern, const char *count,
                                   struct buf *target),
                bool follow)
{
    struct weir *w = NULL;
    CLEAN_BUF target = BUF_INIT;
    const char *pattern = NULL;
    const char *count = NULL;
    int rc = call_operands(call, 0, operand_max(call));
    if (rc == 0)
        rc = read_operands(call, &pattern, &count);
    if (rc == 0)
        rc = make_target(call, pattern, count, &target);
    if (rc == 0)
        rc = call_open(call, &w);
    if (rc != 0)
        return rc;
    return frames_get(call, w, target_text(&target), follow,
                      pattern ? "no frame on that topic" : "the store holds no frame");
}
