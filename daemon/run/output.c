#include "daemon/run/output.h"

#include <errno.h>
#include <stdlib.h>

#include "base/json.h"

struct output {
    struct output_options options;
    struct buf line;    /* the beginning of a line that has no end yet */
    struct buf scratch; /* decoded values of the line being read */
    uint64_t lines;     /* that ended */
    bool too_long;      /* what comes up to the next newline is of a line that was refused */
};

int output_create(struct output **out, const struct output_options *options)
{
    struct output *output = calloc(1, sizeof(*output));
    if (!output)
        return -ENOMEM;
    output->options = *options;
    *out = output;
    return 0;
}

void output_destroy(struct output *output)
{
    if (!output)
        return;
    buf_finish(&output->line);
    buf_finish(&output->scratch);
    free(output);
}

/* --- one line -------------------------------------------------------------------------------- */

static bool hand_content(struct output *output, struct span bytes)
{
    struct printed frame = {
        .has_frame = true,
        .has_content = bytes.len > 0,
        .content = bytes,
    };
    return output->options.frame(output->options.arg, &frame) == 0;
}

static bool refuse(struct output *output, const struct err *why)
{
    return output->options.bad(output->options.arg, output->lines + 1, why) == 0;
}

static int read_meta(struct output *output, struct span line, struct printed *out, struct err *err)
{
    if (json_type_of(line) != JSON_OBJECT)
        return err_set(err, ERR_INVALID, "with target \"meta\" a line must be a JSON object");
    int rc = json_validate(line, META_DEPTH, &output->scratch, err);
    if (rc < 0)
        return rc;
    if (output->scratch.len > META_MAX)
        return err_set(err, ERR_TOO_LARGE, "the meta has %zu bytes, at most %d are allowed",
                       output->scratch.len, META_MAX);
    *out = (struct printed){.has_frame = true, .meta = buf_span(&output->scratch)};
    return 0;
}

/* As output_frame_line, for what is no plain content. */
static int read_line(struct output *output, struct span line, struct printed *out, struct err *err)
{
    const struct output_options *options = &output->options;
    int rc = 0;
    buf_reset(&output->scratch);
    if (options->form != OUTPUT_RAW)
        rc = output_frame_line(out, line, &output->scratch, err);
    if (rc != 0)
        return rc;
    if (options->form == OUTPUT_FRAMES)
        return err_set(err, ERR_INVALID,
                       "with output \"frames\" a line must be a JSON object with topic, content, "
                       "content_base64, meta or ack, and no keys but those, ttl and frame_id");
    if (options->target != TARGET_META)
        return 0;
    rc = read_meta(output, line, out, err);
    return rc < 0 ? rc : 1;
}

static bool is_plain(const struct output_options *options, struct span line)
{
    return options->target == TARGET_CONTENT && options->form != OUTPUT_FRAMES &&
           (options->form == OUTPUT_RAW || json_type_of(line) != JSON_OBJECT);
}

/* A whole line, without its newline. False: not now. */
static bool hand_line(struct output *output, struct span line)
{
    if (is_plain(&output->options, line))
        return hand_content(output, line);
    struct printed frame;
    struct err err = ERR_INIT;
    int rc = read_line(output, line, &frame, &err);
    if (rc == 0)
        return hand_content(output, line);
    if (rc < 0)
        return refuse(output, &err);
    return output->options.frame(output->options.arg, &frame) == 0;
}

/* --- bytes into lines ------------------------------------------------------------------------ */

static bool refuse_long(struct output *output)
{
    struct err err = ERR_INIT;
    err_set(&err, ERR_TOO_LARGE, "the line is longer than %d bytes", OUTPUT_LINE_MAX);
    return refuse(output, &err);
}

static bool refuse_unkept(struct output *output)
{
    struct err err = ERR_INIT;
    err_set(&err, -ENOMEM, "no memory for the line");
    return refuse(output, &err);
}

static void line_ended(struct output *output)
{
    output->lines++;
    output->too_long = false;
    buf_reset(&output->line);
    if (output->line.cap > OUTPUT_CHUNK)
        buf_finish(&output->line);
}

/* A line that cannot be kept is refused; its rest is thrown away. */
static bool give_up_line(struct output *output, bool refused)
{
    if (!refused)
        return false;
    output->too_long = true;
    buf_finish(&output->line);
    return true;
}

/* The part of a line up to its newline. */
static bool end_line(struct output *output, struct span part)
{
    size_t before = output->line.len;
    bool taken;
    if (output->too_long)
        taken = true;
    else if (before + part.len > OUTPUT_LINE_MAX)
        taken = refuse_long(output);
    else if (before == 0)
        taken = hand_line(output, part);
    else if (buf_add_span(&output->line, part) < 0)
        taken = refuse_unkept(output);
    else
        taken = hand_line(output, buf_span(&output->line));
    if (!taken) {
        output->line.len = before;
        return false;
    }
    line_ended(output);
    return true;
}

/* A part of a line that goes on. */
static bool keep_part(struct output *output, struct span part)
{
    if (output->too_long)
        return true;
    if (output->line.len + part.len > OUTPUT_LINE_MAX)
        return give_up_line(output, refuse_long(output));
    if (buf_add_span(&output->line, part) < 0)
        return give_up_line(output, refuse_unkept(output));
    return true;
}

static size_t take_lines(struct output *output, struct span bytes)
{
    size_t taken = 0;
    while (taken < bytes.len) {
        struct span rest = {bytes.ptr + taken, bytes.len - taken};
        const uint8_t *newline = memchr(rest.ptr, '\n', rest.len);
        if (!newline)
            return keep_part(output, rest) ? bytes.len : taken;
        rest.len = (size_t)(newline - rest.ptr);
        if (!end_line(output, rest))
            return taken;
        taken += rest.len + 1;
    }
    return taken;
}

static size_t take_chunks(struct output *output, struct span bytes)
{
    size_t taken = 0;
    while (taken < bytes.len) {
        size_t left = bytes.len - taken;
        struct span chunk = {bytes.ptr + taken, left < OUTPUT_CHUNK ? left : OUTPUT_CHUNK};
        if (!hand_content(output, chunk))
            return taken;
        taken += chunk.len;
    }
    return taken;
}

size_t output_take(struct output *output, struct span bytes)
{
    return output->options.binary ? take_chunks(output, bytes) : take_lines(output, bytes);
}

bool output_end(struct output *output)
{
    if (output->line.len == 0 && !output->too_long)
        return true;
    return end_line(output, (struct span){NULL, 0});
}
