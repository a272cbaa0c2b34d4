#include "daemon/intake.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/text.h"
#include "daemon/groups/groups.h"

static void pump(struct intake *in);

/* --- the group
 * ------------------------------------------------------------------------------------- */

struct store_frame *intake_add(struct intake *in)
{
    struct intake_group *g = &in->group;
    if (g->count == g->cap) {
        size_t cap = g->cap ? g->cap * 2 : 16;
        struct store_frame *frames = realloc(g->frames, cap * sizeof(*frames));
        if (frames)
            g->frames = frames;
        struct intake_note *notes = realloc(g->notes, cap * sizeof(*notes));
        if (notes)
            g->notes = notes;
        if (!frames || !notes)
            return NULL;
        g->cap = cap;
    }
    g->frames[g->count] = (struct store_frame){.origin = in->origin};
    g->notes[g->count] = (struct intake_note){.line = in->lines};
    return &g->frames[g->count++];
}

struct store_mark *intake_add_mark(struct intake *in)
{
    struct intake_group *g = &in->group;
    if (g->mark_count == g->mark_cap) {
        size_t cap = g->mark_cap ? g->mark_cap * 2 : 16;
        struct store_mark *marks = realloc(g->marks, cap * sizeof(*marks));
        if (!marks)
            return NULL;
        g->marks = marks;
        g->mark_cap = cap;
    }
    return &g->marks[g->mark_count++];
}

struct store_topic *intake_add_topic(struct intake *in)
{
    struct intake_group *g = &in->group;
    if (g->topic_count == g->topic_cap) {
        size_t cap = g->topic_cap ? g->topic_cap * 2 : 16;
        struct store_topic *topics = realloc(g->topics, cap * sizeof(*topics));
        if (!topics)
            return NULL;
        g->topics = topics;
        g->topic_cap = cap;
    }
    return &g->topics[g->topic_count++];
}

static void group_clear(struct intake_group *g)
{
    g->topic_count = 0;
    for (size_t i = 0; i < g->mark_count; i++)
        free((void *)(uintptr_t)g->marks[i].acked);
    g->mark_count = 0;
    for (size_t i = 0; i < g->count; i++)
        free(g->notes[i].copy);
    g->count = 0;
}

/* Pins are kept until the record is indexed; without one nothing names the blobs. */
static void pass_pins_on(struct intake *in, uint64_t number)
{
    struct site *d = in->x.site;
    struct buf *pinned = &in->group.pinned;
    if (in->form == INTAKE_DUMP && in->x.holds > 0)
        return; /* a frame further on may name them; imports are in the index when they are answered
                 */
    for (size_t at = 0; at < pinned->len; at += DIGEST_SIZE) {
        if (number > 0)
            held_keep(&d->held, number, pinned->ptr + at);
        else
            cas_unpin(d->cas, pinned->ptr + at);
    }
    buf_reset(pinned);
}

/* --- answers
 * ---------------------------------------------------------------------------------------- */

static int put_id(struct buf *out, const char *name, struct frame_id id, bool any)
{
    char text[ID_TEXT_LEN + 1];
    id_format(text, id);
    return any ? buf_addf(out, ",\"%s\":\"%s\"", name, text) : buf_addf(out, ",\"%s\":null", name);
}

/* When the cursors were set, as GET /cursors says it. */
static int put_cursor_time(struct buf *out, uint64_t ms)
{
    char text[TIME_TEXT_MAX];
    time_format(text, ms);
    return buf_addf(out, ",\"time\":\"%s\"", text);
}

static const struct http_field *repeat_field(const struct intake *in)
{
    static const struct http_field repeat[] = {{"weir-repeat", "1"}, {NULL, NULL}};
    return in->submission.op.repeated ? repeat : NULL;
}

static void answer_summary(struct intake *in)
{
    CLEAN_BUF body = BUF_INIT;
    int rc = buf_addf(&body, "{\"frames\":%" PRIu64, in->frames);
    if (rc == 0 && in->kind == STORE_IMPORT)
        rc = buf_addf(&body, ",\"existing\":%" PRIu64, in->existing);
    if (rc == 0 && in->marks > 0)
        rc = buf_addf(&body, ",\"%s\":%" PRIu64, in->kind == STORE_IMPORT ? "marks" : "cursors", in->marks);
    if (rc == 0 && in->cursor_ms > 0)
        rc = put_cursor_time(&body, in->cursor_ms);
    if (rc == 0)
        rc = put_id(&body, "first", in->first, in->frames > 0);
    if (rc == 0)
        rc = put_id(&body, "last", in->last, in->frames > 0);
    if (rc == 0)
        rc = buf_add_str(&body, "}");
    if (rc < 0)
        exchange_fail(&in->x, ERR_UNKNOWN, NULL, NULL);
    else
        exchange_reply(&in->x, 200, "application/json", buf_span(&body), repeat_field(in));
}

static struct frame frame_of(const struct store_frame *f)
{
    struct frame frame = {.id = f->id,
                          .topic = f->topic,
                          .meta = f->meta,
                          .ttl = f->ttl,
                          .has_hash = f->has_hash,
                          .has_seq = f->has_seq,
                          .seq = f->seq};
    memcpy(frame.digest, f->digest, DIGEST_SIZE);
    return frame;
}

/* The frames themselves: one object, or lines. */
static void answer_frames(struct intake *in)
{
    CLEAN_BUF body = BUF_INIT;
    bool one = in->form == INTAKE_ONE;
    unsigned flags = (in->x.query.with_timestamp ? FRAME_JSON_TIMESTAMP : 0) |
                     (in->x.query.with_seq ? FRAME_JSON_SEQ : 0);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < in->group.count; i++) {
        struct frame frame = frame_of(&in->group.frames[i]);
        rc = frame_json(&body, &frame, flags);
        if (rc == 0 && !one)
            rc = buf_add_str(&body, "\n");
    }
    if (rc < 0)
        exchange_fail(&in->x, ERR_UNKNOWN, NULL, NULL);
    else
        exchange_reply(&in->x, 200, one ? "application/json" : "application/x-ndjson",
                       buf_span(&body), repeat_field(in));
}

static void answer_fault(struct intake *in)
{
    char extra[96] = "";
    if (in->form == INTAKE_BATCH || in->form == INTAKE_LINES)
        snprintf(extra, sizeof(extra), ",\"line\":%" PRIu64 ",\"committed\":%" PRIu64, in->bad_line,
                 in->frames);
    else if (in->form == INTAKE_DUMP)
        snprintf(extra, sizeof(extra), ",\"committed\":%" PRIu64, in->frames);
    exchange_fail(&in->x, in->result, &in->err, extra);
}

static void fail(struct intake *in, int code, const char *text)
{
    in->result = err_set(&in->err, code, "%s", text);
    in->bad_line = in->lines + 1;
    answer_fault(in);
}

/* --- committing
 * ---------------------------------------------------------------------------------------- */

static struct intake *intake_of(struct submission *submission)
{
    return (struct intake *)((char *)submission - offsetof(struct intake, submission));
}

static void count_frames(struct intake *in, const struct store_op *op)
{
    for (size_t i = 0; i < op->count; i++) {
        if (in->frames++ == 0)
            in->first = op->frames[i].id;
        in->last = op->frames[i].id;
        in->existing += op->frames[i].existed;
    }
    for (size_t i = 0; i < op->mark_count; i++)
        in->marks += op->marks[i].kind == STORE_MARK_SET;
    if (op->mark_count > 0 && in->kind == STORE_IMPORT) {
        groups_refresh(in->x.site->groups);
        if (in->x.site == in->x.daemon->root)
            auth_refresh(in->x.daemon->auth);
    }
}

static void committed(struct submission *submission);

static void submit(struct intake *in, size_t first, size_t count)
{
    struct store_op *op = &in->submission.op;
    op->kind = in->kind;
    op->authority = in->authority;
    op->frames = in->group.frames + first;
    op->count = count;
    /* With the last frames; not when the dump is damaged behind them. Cursors go with theirs in any case. */
    op->marks = in->group.marks;
    bool last = first + count == in->group.count && (in->result == 0 || in->kind == STORE_APPEND);
    op->mark_count = last ? in->group.mark_count : 0;
    op->topics = in->group.topics;
    op->topic_count = last ? in->group.topic_count : 0;
    in->submission.after = committed;
    in->busy = true;
    exchange_hold(&in->x);
    submit_op(&in->x.site->source, &in->submission);
}

/* Frames of the group point into the part, and the next one is worked on before they are stored. */
static int keep_part(struct intake *in)
{
    struct intake_kept *kept = malloc(sizeof(*kept));
    if (!kept)
        return -ENOMEM;
    *kept = (struct intake_kept){in->part, in->scratch, in->kept};
    in->kept = kept;
    in->part = in->scratch = BUF_INIT;
    in->taken = 0;
    return 0;
}

static void drop_kept(struct intake *in)
{
    while (in->kept) {
        struct intake_kept *kept = in->kept;
        in->kept = kept->next;
        buf_finish(&kept->part);
        buf_finish(&kept->scratch);
        free(kept);
    }
}

/* The group is done with, well or not. */
static void settle(struct intake *in)
{
    bool atomic = in->form == INTAKE_ONE || in->form == INTAKE_BATCH;
    if (in->result < 0)
        answer_fault(in);
    else if (atomic && in->x.query.brief)
        answer_summary(in);
    else if (atomic)
        answer_frames(in);
    group_clear(&in->group);
    drop_kept(in);
    buf_reset(&in->scratch);
    if (!atomic && in->result == 0)
        pump(in);
}

/* One frame of a stream's group was refused: the others before it are to be kept. What has cursors is stored with them or not at all. */
static bool try_singly(struct intake *in, const struct store_op *op)
{
    bool stream = (in->form == INTAKE_LINES && !in->x.query.cursors) || in->form == INTAKE_DUMP;
    if (op->result < 0 && !in->one_by_one && stream && op->count > 1) {
        in->one_by_one = true;
        in->single = 0;
    } else if (op->result == 0 && in->one_by_one) {
        count_frames(in, op);
        in->single++;
    } else {
        return false;
    }
    if (in->single == in->group.count)
        return in->one_by_one = false;
    submit(in, in->single, 1);
    return true;
}

static void recalled(struct recall *recall)
{
    struct intake *in = (struct intake *)((char *)recall - offsetof(struct intake, recall));
    in->busy = false;
    settle(in);
    exchange_drop(&in->x);
}

/* True: the answer waits for the seqs that the first one had. */
static bool must_recall(struct intake *in, const struct store_op *op)
{
    if (op->result < 0 || !op->repeated || !in->x.query.with_seq || in->x.query.brief)
        return false;
    in->busy = true;
    in->recall = (struct recall){.store = in->x.site->store,
                                 .frames = in->group.frames,
                                 .count = in->group.count,
                                 .done = recalled};
    recall_start(&in->recall, in->x.daemon->loop);
    return true;
}

static void note_refusal(struct intake *in, const struct store_op *op)
{
    if (in->form == INTAKE_BATCH) {
        exchange_refuse(&in->x, op);
        return;
    }
    in->result = op->result;
    in->err = op->err;
    if (in->group.count > 0)
        in->bad_line = in->group.notes[in->one_by_one ? in->single : 0].line;
}

static void committed(struct submission *submission)
{
    struct intake *in = intake_of(submission);
    struct store_op *op = &submission->op;
    in->busy = false;
    bool single = in->one_by_one;
    if (op->number > in->record)
        in->record = op->number;
    if (!try_singly(in, op)) {
        pass_pins_on(in, in->record);
        if (op->result == 0 && !single)
            count_frames(in, op);
        if (op->result < 0)
            note_refusal(in, op);
        if (must_recall(in, op))
            return;
        settle(in);
    }
    exchange_drop(&in->x);
}

/* --- decoding
 * ------------------------------------------------------------------------------------------- */

static struct intake *intake_of_job(struct job *job)
{
    return (struct intake *)((char *)job - offsetof(struct intake, job));
}

static void work(struct job *job)
{
    struct intake *in = intake_of_job(job);
    if (in->form == INTAKE_DUMP)
        intake_decode_dump(in);
    else
        intake_decode_lines(in);
}

/* What the jobs left of the part, less than a line or an item, stands before what came in meanwhile. */
static int put_back(struct intake *in)
{
    size_t left = in->part.len - in->taken;
    if (left == 0 || in->result < 0 || in->part_left)
        return 0;
    CLEAN_BUF rest = BUF_INIT;
    int rc = buf_add(&rest, in->part.ptr + in->taken, left);
    if (rc == 0)
        rc = buf_add_span(&rest, buf_span(&in->input));
    if (rc < 0)
        return rc;
    struct buf was = in->input;
    in->input = rest;
    rest = was;
    if (in->complete > 0 || memrchr(in->input.ptr, '\n', left))
        in->complete =
            (size_t)((uint8_t *)memrchr(in->input.ptr, '\n', in->input.len) - in->input.ptr) + 1;
    return 0;
}

/* A batch's conditions speak of one topic. */
static int check_conditions(struct intake *in)
{
    const struct intake_group *g = &in->group;
    for (size_t i = 1; in->submission.op.has_expect_seq && i < g->count; i++)
        if (!span_eq(g->frames[i].topic, g->frames[0].topic))
            return err_set(&in->err, ERR_INVALID, "expect-seq needs all frames on one topic");
    return 0;
}

/* The cursor's line is further on. */
static void gather(struct intake *in)
{
    int rc = in->result == 0 ? keep_part(in) : in->result;
    if (rc == 0) {
        pump(in);
    } else {
        in->result = in->err.code == rc ? rc : err_set(&in->err, rc, "no memory for the body");
        pass_pins_on(in, 0);
        settle(in);
    }
    exchange_drop(&in->x);
}

static void decoded(struct job *job)
{
    struct intake *in = intake_of_job(job);
    bool whole = in->form == INTAKE_ONE || in->form == INTAKE_BATCH;
    in->busy = false;
    int rc = put_back(in);
    if (rc < 0 && in->result == 0)
        in->result = err_set(&in->err, rc, "no memory for the body");
    if (in->gathering) {
        gather(in);
        return;
    }
    if (in->result == 0 && whole)
        in->result = check_conditions(in);
    size_t rest = in->group.mark_count + in->group.topic_count;
    bool nothing = in->group.count == 0 && (rest == 0 || in->result < 0);
    bool drop = nothing || (in->result < 0 && whole) || !exchange_open(&in->x);
    if (!drop) {
        submit(in, 0, in->group.count);
    } else {
        pass_pins_on(in, 0);
        if (in->result < 0 || in->x.req)
            settle(in);
    }
    exchange_drop(&in->x);
}

static void take_part(struct intake *in)
{
    struct buf was = in->part;
    in->part = in->input;
    in->input = was;
    buf_reset(&in->input);
    in->taken = 0;
    in->complete = 0;
    in->final = in->ended;
}

static void start_job(struct intake *in)
{
    if (!in->part_left)
        take_part(in);
    in->busy = true;
    exchange_hold(&in->x);
    in->job = (struct job){.work = work, .after = decoded};
    exchange_job(&in->x, &in->job);
}

/* Bytes of a dump that are worth a job: a part, or the whole item at the front where that is larger. */
static size_t dump_part(const struct intake *in)
{
    size_t at = in->dump ? 0 : DUMP_HEAD, len = 0;
    if (in->input.len >= at + DUMP_ITEM_HEAD)
        len = get_be32(in->input.ptr + at + 1);
    len = at + DUMP_ITEM_HEAD + (len > DUMP_BODY_MAX ? 0 : len);
    return len > DUMP_PART ? len : DUMP_PART;
}

static bool has_work(const struct intake *in)
{
    switch (in->form) {
    case INTAKE_ONE:
    case INTAKE_BATCH:
        return in->ended;
    case INTAKE_LINES:
        return in->part_left || in->complete > 0 || (in->ended && (in->input.len > 0 || in->gathering));
    default:
        return in->input.len >= dump_part(in) || (in->ended && in->input.len > 0);
    }
}

static void finish_stream(struct intake *in)
{
    if (in->form == INTAKE_DUMP && (!in->dump || !dump_ended(in->dump)))
        fail(in, ERR_INVALID, "the dump ends before its end: it was cut");
    else
        answer_summary(in);
}

/* Goes on with what is there: the one place that decides what comes next. */
static void pump(struct intake *in)
{
    if (in->busy || !exchange_open(&in->x))
        return;
    bool stuck = in->form == INTAKE_DUMP && in->ended && in->taken == 0 && in->input.len > 0 &&
                 in->input.len == in->part.len;
    if (has_work(in) && !stuck)
        start_job(in);
    else if (in->ended)
        finish_stream(in);
    if (!in->ended && in->x.req)
        http_resume_body(in->x.req);
}

/* --- the body
 * --------------------------------------------------------------------------------------------- */

static bool too_long(struct intake *in)
{
    if (in->input.len <= INTAKE_BODY_MAX)
        return false;
    fail(in, ERR_TOO_LARGE,
         in->form == INTAKE_LINES
             ? "a line is over 8 MiB; post large content with POST /cas (weir cas-post) and name its hash"
             : "the body is over 8 MiB; use ?stream (append --batch without --atomic), which commits in groups");
    return true;
}

size_t intake_body(struct exchange *x, struct span bytes)
{
    struct intake *in = (struct intake *)x;
    size_t max = in->busy || in->form == INTAKE_DUMP ? INTAKE_WAITING : INTAKE_BODY_MAX + 1;
    if (!in->busy && in->form == INTAKE_DUMP && dump_part(in) > max)
        max = dump_part(in);
    size_t room = in->input.len < max ? max - in->input.len : 0;
    size_t len = bytes.len < room ? bytes.len : room;
    if (buf_add(&in->input, bytes.ptr, len) < 0) {
        fail(in, -ENOMEM, "no memory for the body");
        return bytes.len;
    }
    const uint8_t *newline = len > 0 ? memrchr(bytes.ptr, '\n', len) : NULL;
    if (newline)
        in->complete = in->input.len - len + (size_t)(newline - bytes.ptr) + 1;
    if (!in->busy && has_work(in))
        start_job(in);
    else if (!in->busy && in->complete == 0 && too_long(in))
        return bytes.len;
    else if (in->form == INTAKE_BATCH && too_long(in))
        return bytes.len;
    return len;
}

void intake_end(struct exchange *x)
{
    struct intake *in = (struct intake *)x;
    in->ended = true;
    pump(in);
}

/* --- life
 * ---------------------------------------------------------------------------------------------------
 */

void intake_begin(struct intake *in, enum intake_form form, enum store_op_kind kind)
{
    in->form = form;
    in->kind = kind;
    in->authority = exchange_authority(&in->x);
    in->allow_missing = in->x.query.allow_missing;
    exchange_conditions(&in->x, &in->submission.op);
}

struct put_drop {
    struct job job;
    struct cas_put *put;
};

static void drop_work(struct job *job)
{
    cas_put_drop(((struct put_drop *)job)->put);
}

static void drop_after(struct job *job)
{
    free(job);
}

static void drop_put(struct intake *in)
{
    struct put_drop *drop = in->put ? calloc(1, sizeof(*drop)) : NULL;
    if (drop) {
        drop->put = in->put;
        drop->job = (struct job){.work = drop_work, .after = drop_after};
        pool_submit(in->x.daemon->loop, &drop->job);
    } else {
        cas_put_drop(in->put);
    }
}

void intake_finish(struct exchange *x)
{
    struct intake *in = (struct intake *)x;
    drop_put(in);
    pass_pins_on(in, 0);
    dump_reader_destroy(in->dump);
    group_clear(&in->group);
    drop_kept(in);
    free(in->group.frames);
    free(in->group.notes);
    free(in->group.marks);
    free(in->group.topics);
    buf_finish(&in->group.pinned);
    buf_finish(&in->input);
    buf_finish(&in->part);
    buf_finish(&in->scratch);
}
