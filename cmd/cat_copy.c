#include "cmd/cat_copy.h"

#include <errno.h>
#include <string.h>

#include "cmd/human.h"

static bool begins_with(struct span line, const char *text)
{
    size_t len = strlen(text);
    return line.len >= len && memcmp(line.ptr, text, len) == 0;
}

static int count_line(void *arg, struct span line, struct buf *text)
{
    struct cat_copy *c = arg;
    (void)text;
    if (begins_with(line, "data: "))
        line = span_of(line.ptr + 6, line.len - 6);
    c->frames += begins_with(line, "{") && !begins_with(line, "{\"topic\":\"xs.threshold\"") &&
                 !begins_with(line, "{\"topic\":\"xs.pulse\"");
    return 0;
}

static int show_line(void *arg, struct span line, struct buf *text)
{
    struct cat_copy *c = arg;
    count_line(arg, line, text);
    if (!c->events)
        return human_frame(text, line);
    return human_bytes(text, line) != 0 ? -ENOMEM : buf_add_str(text, "\n");
}

static int copy_counted(void *arg, struct span bytes, struct err *err)
{
    struct cat_copy *c = arg;
    int rc = output_write(bytes, err);
    return rc != 0 ? rc : output_each_line(&c->lines, bytes, err);
}

/* Pipes get the bytes as they come, with a look at the lines only where the end must be explained. */
int cat_copy(struct cat_copy *c, struct weir *w, struct err *err)
{
    int rc;
    c->lines = (struct output_lines){.line = c->people ? show_line : count_line, .arg = c};
    if (c->people)
        rc = output_copy(w, output_each_line, &c->lines, err);
    else
        rc = c->counts ? output_copy(w, copy_counted, c, err) : output_copy(w, NULL, NULL, err);
    output_lines_finish(&c->lines);
    return rc;
}
