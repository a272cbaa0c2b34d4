#include "cmd/cat_lines.h"

#include <errno.h>

#include "base/json.h"
#include "base/text.h"
#include "bridge/meta.h"
#include "cmd/content.h"
#include "cmd/human.h"
#include "cmd/output.h"
#include "cmd/target.h"

#define FETCH_MAX ((size_t)1 << 30) /* of a content, which a line holds whole */

int cat_lines_query(struct buf *target)
{
    int rc = target_add(target, "with-content", NULL);
    if (rc == 0)
        rc = target_add(target, "with-stamp", NULL);
    return rc == 0 ? target_add(target, "with-seq", NULL) : rc;
}

/* --- a frame as it comes ---------------------------------------------------------------------- */

struct shown {
    struct span topic, id, hash, meta, seq, stamp, content, content_base64; /* raw JSON, or empty */
};

/* The daemon prints these names without escapes. */
static void take_member(struct shown *f, struct span key, struct span raw)
{
    static const struct {
        const char *name;
        size_t len, at;
    } members[] = {
#define MEMBER(text, member) {"\"" text "\"", sizeof(text) + 1, offsetof(struct shown, member)}
        MEMBER("topic", topic),
        MEMBER("id", id),
        MEMBER("hash", hash),
        MEMBER("meta", meta),
        MEMBER("seq", seq),
        MEMBER("stamp", stamp),
        MEMBER("content", content),
        MEMBER("content_base64", content_base64),
#undef MEMBER
    };
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        if (key.len == members[i].len && memcmp(key.ptr, members[i].name, key.len) == 0)
            *(struct span *)((char *)f + members[i].at) = raw;
    }
}

static bool take_frame(struct shown *f, struct span json)
{
    struct json_iter it;
    struct span key;
    struct json_value value;
    *f = (struct shown){.topic = {NULL, 0}};
    if (json.len == 0 || json.ptr[0] != '{' || json_iter_init(&it, json) != 0)
        return false;
    while (json_iter_next(&it, &key, &value))
        take_member(f, key, value.raw);
    return f->topic.len > 2 && f->id.len > 2;
}

/* Frames that no store holds: a reader made them. */
static bool is_synthetic(struct span topic)
{
    return span_is(topic, "\"xs.threshold\"") || span_is(topic, "\"xs.pulse\"") || span_is(topic, "\"xs.lost\"");
}

static struct span unquoted(struct span raw)
{
    return raw.len < 2 ? span_of(NULL, 0) : span_of(raw.ptr + 1, raw.len - 2);
}

/* A string's text: where it stands, or decoded into `room`. */
static int text_of(struct span raw, struct buf *room, struct span *out, struct err *err)
{
    *out = unquoted(raw);
    if (out->len == 0 || !memchr(out->ptr, '\\', out->len))
        return 0;
    buf_reset(room);
    int rc = json_string_decode(raw, room, err);
    *out = buf_span(room);
    return rc;
}

/* --- its content ------------------------------------------------------------------------------- */

static int fetch(struct cat_lines *c, struct span hash, struct err *err)
{
    buf_reset(&c->content);
    if (!c->fetch && call_open(c->call, &c->fetch) != 0)
        return err_set(err, -ENOTCONN, "no connection to fetch its content by");
    int rc = content_read(c->fetch, hash, FETCH_MAX, &c->content, err);
    if (rc < 0 && rc != ERR_NOT_FOUND) {
        /* Half an answer may be left in it. */
        weir_close(c->fetch);
        c->fetch = NULL;
    }
    return rc;
}

static int take_content(struct cat_lines *c, const struct shown *f, struct span *out, struct err *err)
{
    int rc = 0;
    if (f->content.len > 0)
        return text_of(f->content, &c->content, out, err);
    buf_reset(&c->content);
    if (f->content_base64.len > 0)
        rc = b64_decode(&c->content, unquoted(f->content_base64), err);
    else if (f->hash.len > 2 && f->hash.ptr[0] == '"')
        rc = fetch(c, unquoted(f->hash), err);
    *out = buf_span(&c->content);
    return rc;
}

/* --- its line ---------------------------------------------------------------------------------- */

static int take_message(struct cat_lines *c, const struct shown *f, struct ss_message *m, struct err *err)
{
    uint64_t seq = 0;
    *m = (struct ss_message){.no_seq = true, .no_time = true};
    json_u64(f->seq, &seq); /* null, of an ephemeral frame, leaves 0 */
    json_u64(f->stamp, &m->time_ms);
    m->seq = seq;
    if (ss_meta_read(m, f->meta, &c->scratch) != 0)
        return err_set(err, -ENOMEM, "out of memory");
    if (c->store_seq)
        m->seq = seq;
    int rc = text_of(f->topic, &c->key, &m->key, err);
    return rc == 0 ? take_content(c, f, &m->payload, err) : rc;
}

static int refuse(struct cat_lines *c, const struct shown *f, const struct err *err)
{
    c->refused++;
    call_note(c->call, "frame %.*s: %s", SPAN_ARG(unquoted(f->id)), err->text);
    return CAT_LINES_NONE;
}

/* Terminals get no bytes that steer them. */
static int write_line(struct cat_lines *c, const struct ss_message *m, struct buf *text, struct err *err)
{
    const struct ss_line_form form = {.exact = true, .odd = c->odd};
    if (!c->people)
        return ss_line_write(text, m, form, err);
    buf_reset(&c->line);
    int rc = ss_line_write(&c->line, m, form, err);
    return rc == 0 && human_bytes(text, buf_span(&c->line)) != 0 ? -ENOMEM : rc;
}

int cat_lines_add(struct cat_lines *c, struct span json, struct buf *text)
{
    struct shown f;
    struct ss_message m;
    struct err err = ERR_INIT;
    if (!take_frame(&f, json) || is_synthetic(f.topic))
        return CAT_LINES_NONE;
    c->frames++;
    int rc = take_message(c, &f, &m, &err);
    if (rc == 0)
        rc = write_line(c, &m, text, &err);
    return rc == 0 || rc == -ENOMEM ? rc : refuse(c, &f, &err);
}

/* --- the answer ---------------------------------------------------------------------------------- */

static int take_line(void *arg, struct span line, struct buf *text)
{
    int rc = cat_lines_add(arg, line, text);
    return rc == CAT_LINES_NONE ? 0 : rc;
}

int cat_lines_copy(struct cat_lines *c, struct weir *w, struct err *err)
{
    struct output_lines lines = {.line = take_line, .arg = c};
    int rc = output_copy(w, output_each_line, &lines, err);
    output_lines_finish(&lines);
    return rc;
}

void cat_lines_finish(struct cat_lines *c)
{
    weir_close(c->fetch);
    buf_finish(&c->key);
    buf_finish(&c->content);
    buf_finish(&c->scratch);
    buf_finish(&c->line);
}
