/*
 * Lines (or one object) as frames, on the pool.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/s2/names.h"
#include "base/text.h"
#include "daemon/cursor_mark.h"
#include "daemon/intake.h"

/* --- contents
 * ---------------------------------------------------------------------------------------- */

static int put_blob(struct intake *in, struct store_frame *frame, struct span bytes)
{
    struct cas *cas = in->x.site->cas;
    struct cas_put *put;
    uint64_t size;
    int rc = buf_reserve(&in->group.pinned, DIGEST_SIZE);
    if (rc == 0)
        rc = cas_put_begin(cas, &put, &in->err);
    if (rc < 0)
        return rc;
    rc = cas_put_write(put, bytes, &in->err);
    if (rc < 0) {
        cas_put_drop(put);
        return rc;
    }
    rc = cas_put_finish(put, frame->digest, &size, &in->err);
    return rc == 0 ? buf_add(&in->group.pinned, frame->digest, DIGEST_SIZE) : rc;
}

int intake_content(struct intake *in, struct store_frame *frame, struct span bytes)
{
    frame->has_hash = bytes.len > 0;
    frame->content_size = bytes.len;
    if (bytes.len == 0)
        return 0;
    if (bytes.len > INLINE_MAX)
        return put_blob(in, frame, bytes);
    cas_digest(frame->digest, bytes);
    frame->has_content = true;
    frame->content = bytes;
    return 0;
}

/* Small content is copied into the frame, so that it lives as long as the frame does. */
static int copy_content(struct intake *in, struct store_frame *frame, struct buf *bytes)
{
    frame->has_content = true;
    frame->content = buf_span(bytes);
    frame->content_size = bytes->len;
    in->group.notes[in->group.count - 1].copy = bytes->ptr;
    *bytes = BUF_INIT; /* the note has it now */
    return 0;
}

static int find_blob(struct intake *in, struct store_frame *frame)
{
    struct site *d = in->x.site;
    int rc = buf_reserve(&in->group.pinned, DIGEST_SIZE);
    if (rc == 0)
        rc = cas_pin(d->cas, frame->digest);
    if (rc < 0)
        return rc;
    buf_add(&in->group.pinned, frame->digest, DIGEST_SIZE);
    return cas_stat(d->cas, frame->digest, &frame->content_size);
}

/* Naming a content is a way to read it; but what the same body brought is known to who sent it. */
static bool came_along(const struct intake *in, const uint8_t digest[static DIGEST_SIZE])
{
    const struct buf *pinned = &in->group.pinned;
    for (size_t at = 0; at < pinned->len; at += DIGEST_SIZE)
        if (memcmp(pinned->ptr + at, digest, DIGEST_SIZE) == 0)
            return true;
    return false;
}

int intake_named(struct intake *in, struct store_frame *frame, bool allow_missing)
{
    CLEAN_BUF bytes = BUF_INIT;
    enum store_place place;
    char hash[SRI_TEXT_LEN + 1];
    frame->has_hash = true;
    int rc = exchange_is_narrow(&in->x) && !came_along(in, frame->digest) ? exchange_shows(&in->x, frame->digest, &in->err) : 0;
    if (rc == ERR_NOT_FOUND)
        return err_set(&in->err, ERR_CONFLICT, "the content is not here, or not for your access token to see; send it along");
    if (rc == 0)
        rc = find_blob(in, frame);
    if (rc != ERR_NOT_FOUND)
        return rc;
    rc = store_content(in->x.site->store, frame->digest, &place, &bytes, &in->err);
    if (rc == 0 && place == STORE_INLINE)
        return copy_content(in, frame, &bytes);
    if (rc < 0 && rc != ERR_NOT_FOUND)
        return rc;
    if (allow_missing)
        return 0;
    sri_format(hash, frame->digest);
    return err_set(&in->err, ERR_CONFLICT,
                   "the content %s is not here; send it along or post it first", hash);
}

static int set_content(struct intake *in, struct store_frame *frame, const struct frame_in *f)
{
    if (f->has_hash)
        memcpy(frame->digest, f->digest, DIGEST_SIZE);
    if (!f->has_content)
        return f->has_hash ? intake_named(in, frame, in->allow_missing) : 0;
    int rc = intake_content(in, frame, f->content);
    if (rc == 0 && f->has_hash &&
        (!frame->has_hash || memcmp(frame->digest, f->digest, DIGEST_SIZE) != 0))
        return err_set(&in->err, ERR_INVALID, "the content does not fit the hash");
    return rc;
}

/* --- one frame
 * ------------------------------------------------------------------------------------------ */

static int check_line(struct intake *in, const struct frame_in *f)
{
    if (f->topic.len == 0)
        return err_set(&in->err, ERR_INVALID, "\"topic\" is missing");
    if (in->kind == STORE_IMPORT && !f->has_id)
        return err_set(&in->err, ERR_INVALID, "\"id\" is missing");
    int rc = f->stream ? s2_stream_name(f->topic, &in->err) : topic_check(f->topic, &in->err);
    return rc == 0 ? exchange_check_append(&in->x, in->authority, f->topic, &in->err) : rc;
}

/* A token that sees some topics only has the cursors of such names. What the mark points to has room in scratch: less than what the line
 * itself was given. */
static int take_cursor(struct intake *in, const struct frame_in *f)
{
    const struct cursor_mark cursor = {.name = f->cursor, .position = f->position, .time_ms = time_now_ms()};
    if (in->form == INTAKE_LINES && !in->x.query.cursors)
        return err_set(&in->err, ERR_INVALID, "a cursor goes with an atomic batch, or with stream=cursors");
    int rc = cursor_mark_check(&cursor, &in->err);
    if (rc == 0)
        rc = exchange_check(&in->x, AUTH_APPEND, cursor.name, &in->err);
    if (rc < 0)
        return rc;
    struct store_mark *mark = intake_add_mark(in);
    in->cursor_ms = cursor.time_ms;
    return mark ? cursor_mark_set(mark, &cursor, &in->scratch) : -ENOMEM;
}

static int too_much(struct intake *in)
{
    return err_set(&in->err, ERR_TOO_LARGE, "over %d frames or 8 MiB without a cursor's line behind them", INTAKE_FRAMES_MAX);
}

static int check_count(struct intake *in)
{
    size_t count = in->group.count;
    if (in->form == INTAKE_BATCH && count == INTAKE_FRAMES_MAX)
        return err_set(&in->err, ERR_TOO_LARGE,
                       "over %d frames; use ?stream (append --batch without --atomic), which commits in groups", INTAKE_FRAMES_MAX);
    return in->x.query.cursors && count - in->unit.frames == INTAKE_FRAMES_MAX ? too_much(in) : 0;
}

static int take_line(struct intake *in, struct span line)
{
    bool import = in->kind == STORE_IMPORT;
    struct frame_in f;
    int rc = frame_in_parse(&f, line, &in->scratch, import, &in->err);
    if (rc == 0 && f.is_cursor)
        return take_cursor(in, &f);
    if (rc == 0)
        rc = check_count(in);
    if (rc == 0)
        rc = check_line(in, &f);
    if (rc < 0)
        return rc;
    struct store_frame *frame = intake_add(in);
    if (!frame)
        return -ENOMEM;
    frame->topic = f.topic;
    frame->meta = f.meta;
    frame->ttl = f.has_ttl || import ? f.ttl : (struct ttl){.kind = TTL_FOREVER};
    frame->id = f.id;
    frame->has_stamp = f.has_stamp;
    frame->stamp = f.stamp;
    rc = set_content(in, frame, &f);
    if (rc < 0) {
        free(in->group.notes[in->group.count - 1].copy);
        in->group.count--;
    }
    return rc;
}

static bool is_blank(struct span line)
{
    for (size_t i = 0; i < line.len; i++)
        if (!memchr(" \t\r\n", line.ptr[i], 4))
            return false;
    return true;
}

/* The next line of what is left, without its newline; false when it is not complete. */
static bool next_line(const struct intake *in, struct span *line, size_t *next)
{
    struct span rest = span_of(in->part.ptr + in->taken, in->part.len - in->taken);
    const uint8_t *newline =
        rest.len > 0 && in->form != INTAKE_ONE ? memchr(rest.ptr, '\n', rest.len) : NULL;
    if (rest.len == 0 || (!newline && in->form == INTAKE_LINES && !in->final))
        return false;
    *line = newline ? span_of(rest.ptr, (size_t)(newline - rest.ptr)) : rest;
    *next = in->taken + line->len + (newline != NULL);
    return true;
}

/* --- the group --------------------------------------------------------------------------------------- */

/* What is all or nothing has its bounds: a batch, and what comes with a cursor. */
static int check_bytes(struct intake *in, struct span line)
{
    if (in->form == INTAKE_BATCH && in->kind == STORE_APPEND && in->group.mark_count > 0)
        return err_set(&in->err, ERR_INVALID, "a cursor is the last line of an atomic batch");
    if (!in->x.query.cursors)
        return 0;
    in->unit_bytes += line.len + 1;
    return in->unit_bytes > INTAKE_BODY_MAX ? too_much(in) : 0;
}

static int take_one(struct intake *in, struct span line)
{
    in->lines++;
    if (line.len > INTAKE_BODY_MAX)
        return err_set(&in->err, ERR_TOO_LARGE, "the line is over 8 MiB");
    if (is_blank(line) && in->form != INTAKE_ONE)
        return 0;
    int rc = check_bytes(in, line);
    if (rc == 0)
        rc = take_line(in, line);
    if (rc < 0 && in->err.code != rc)
        err_set(&in->err, rc, "%s", err_code_text(rc));
    return rc;
}

/* Everything up to here may be stored. */
static void end_unit(struct intake *in)
{
    in->unit = (struct intake_unit){in->taken, in->group.count, in->group.mark_count, in->lines};
    in->unit_bytes = 0;
}

/* Goes back to the last cursor's line, or to nothing. What comes behind it is read again with what ends it. */
static void back_to_unit(struct intake *in)
{
    struct intake_group *g = &in->group;
    while (g->count > in->unit.frames)
        free(g->notes[--g->count].copy);
    g->mark_count = in->unit.marks;
}

/* The part is at its end, or the group full, or a line was bad. */
static void close_units(struct intake *in, int rc)
{
    bool some = in->unit.frames + in->unit.marks > 0;
    if (rc == 0 && in->final && !in->part_left)
        end_unit(in);
    else if (rc == 0 && !some)
        in->gathering = true;
    else
        back_to_unit(in);
    if (rc == 0 && some && !(in->final && !in->part_left)) {
        in->part_left = in->part_left || in->taken > in->unit.taken;
        in->taken = in->unit.taken;
        in->lines = in->unit.lines;
        in->unit_bytes = 0;
    }
}

static bool group_is_full(const struct intake *in)
{
    if (in->form != INTAKE_LINES || in->group.count < INTAKE_GROUP)
        return false;
    return !in->x.query.cursors || in->unit.frames == in->group.count;
}

void intake_decode_lines(struct intake *in)
{
    struct span line = {0};
    size_t next = 0, marks = in->group.mark_count;
    bool more = false;
    /* Room for all that the lines can be decoded to, so that spans into it stay good. */
    int rc = buf_reserve(&in->scratch, 2 * (in->part.len - in->taken) + 1);
    in->gathering = false;
    in->unit = (struct intake_unit){0};
    while (rc == 0 && (more = next_line(in, &line, &next)) && !group_is_full(in)) {
        rc = take_one(in, line);
        if (rc == 0)
            in->taken = next;
        if (rc == 0 && in->x.query.cursors && in->group.mark_count > marks) {
            marks = in->group.mark_count;
            end_unit(in);
        }
    }
    in->part_left = more && rc == 0;
    in->bad_line = in->lines;
    if (in->x.query.cursors && in->form == INTAKE_LINES)
        close_units(in, rc);
    if (in->form == INTAKE_ONE && rc == 0 && in->group.count == 0)
        rc = err_set(&in->err, ERR_INVALID, "the body is empty; a frame is needed");
    in->result = rc;
}
