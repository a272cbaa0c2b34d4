/*
 * What the daemon says of programs: their lifecycle frames, with its own authority.
 */
#include "base/json.h"
#include "daemon/run/registry.h"

/* --- meta -------------------------------------------------------------------------------------------- */

static int put_key(struct buf *out, const char *key)
{
    return buf_addf(out, "%s\"%s\":", out->ptr[out->len - 1] == '{' ? "" : ",", key);
}

static int put_id(struct buf *out, const char *key, struct frame_id id)
{
    char text[ID_TEXT_LEN + 1];
    id_format(text, id);
    int rc = put_key(out, key);
    return rc == 0 ? buf_addf(out, "\"%s\"", text) : rc;
}

/* Members of a validated object, but for keys that are there already. */
static int put_members(struct buf *out, struct span object, const char *const *but)
{
    struct json_iter it;
    struct span key;
    struct json_value value;
    int rc = 0;
    if (object.len == 0 || json_iter_init(&it, object) < 0)
        return 0;
    while (rc == 0 && json_iter_next(&it, &key, &value)) {
        bool there = false;
        for (const char *const *one = but; *one; one++)
            there |= json_string_is(key, *one);
        if (there)
            continue;
        rc = buf_add_str(out, out->ptr[out->len - 1] == '{' ? "" : ",");
        if (rc == 0)
            rc = buf_add_span(out, key);
        if (rc == 0)
            rc = buf_add_str(out, ":");
        if (rc == 0)
            rc = buf_add_span(out, value.raw);
    }
    return rc;
}

int tell_meta(struct buf *out, enum program_kind kind, enum program_words words, struct frame_id of,
              const struct frame_id *cause, struct span own)
{
    const char *but[4] = {words_pointer(kind)};
    const char *further = words == WORDS_NEW ? words_pointer_new(kind) : NULL;
    size_t count = 1, before = out->len;
    int rc = buf_add_str(out, "{");
    if (rc == 0)
        rc = put_id(out, but[0], of);
    if (rc == 0 && further)
        rc = put_id(out, but[count++] = further, of);
    if (rc == 0 && cause)
        rc = put_id(out, but[count++] = "frame_id", *cause);
    if (rc == 0)
        rc = put_members(out, own, but);
    if (rc == 0)
        rc = buf_add_str(out, "}");
    if (rc < 0)
        out->len = before;
    return rc;
}

/* --- lifecycle frames ------------------------------------------------------------------------------------ */

/* Seed words have one topic for all ends: the meta says which. */
static const char *seed_reason(enum program_kind kind, enum program_event event)
{
    switch (event) {
    case EVENT_FIN_OK:
        return "finished";
    case EVENT_FIN_ERROR:
        return "error";
    case EVENT_FIN_TERM:
        return "term";
    case EVENT_REPLACED:
        return "replaced";
    case EVENT_STOPPED:
        return "shutdown";
    case EVENT_INVALID:
        return kind == PROGRAM_HANDLER ? "invalid" : NULL;
    default:
        return NULL;
    }
}

static int put_meta(struct buf *out, const struct telling *t)
{
    static const char *const none[] = {NULL};
    const char *reason = t->words == WORDS_SEED ? seed_reason(t->kind, t->event) : NULL;
    int rc = tell_meta(out, t->kind, t->words, t->of, t->cause, (struct span){0});
    if (rc < 0)
        return rc;
    out->len--; /* the brace */
    if (reason)
        rc = buf_addf(out, ",\"reason\":\"%s\"", reason);
    if (rc == 0 && t->update)
        rc = put_id(out, "update_id", *t->update);
    if (rc == 0)
        rc = put_members(out, t->own, none);
    return rc == 0 ? buf_add_str(out, "}") : rc;
}

static void told(void *arg, const struct emit_result *result)
{
    struct programs *all = arg;
    if (result->code < 0)
        log_say(all->site->daemon->log, LOG_ERROR, "program", "not_appended reason=\"%s\"",
                result->err ? result->err->text : err_code_text(result->code));
    all->telling--;
    programs_settle(all);
}

static int put(struct programs *all, const struct emit_frame *frame)
{
    int rc = emit_put(all->emit, frame, 1, NULL, told, all);
    if (rc == 0)
        all->telling++;
    return rc;
}

void programs_tell(struct programs *all, const struct telling *t)
{
    CLEAN_BUF topic = BUF_INIT;
    CLEAN_BUF meta = BUF_INIT;
    int rc = words_topic(&topic, t->kind, t->name, t->words, t->event);
    if (rc == ERR_NOT_FOUND)
        return; /* these words do not have it */
    if (rc == 0)
        rc = put_meta(&meta, t);
    struct emit_frame frame = {.topic = buf_span(&topic), .meta = buf_span(&meta), .ttl = t->ttl};
    if (rc == 0)
        rc = put(all, &frame);
    if (rc < 0)
        log_say(all->site->daemon->log, LOG_ERROR, "program", "name=%.*s not_told=\"%s\"", SPAN_ARG(t->name),
                err_code_text(rc));
}

void programs_tell_invalid(struct program *program, const struct candidate *c)
{
    CLEAN_BUF own = BUF_INIT;
    if (buf_add_str(&own, "{\"error\":") < 0 || json_put_string(&own, span_str(c->err.text)) < 0 ||
        buf_add_str(&own, "}") < 0)
        buf_reset(&own);
    log_say(program->all->site->daemon->log, LOG_WARN, words_kind(program->kind), "name=%s invalid=\"%s\"",
            program->name, c->err.text);
    programs_tell(program->all, &(struct telling){.kind = program->kind,
                                                  .name = span_str(program->name),
                                                  .words = c->words,
                                                  .event = EVENT_INVALID,
                                                  .of = c->id,
                                                  .own = buf_span(&own)});
}

/* The answer comes from whom the call came from, so that no circle of programs hides behind us. */
void programs_tell_uncalled(struct programs *all, struct span name, const struct frame *call, bool too_many)
{
    CLEAN_BUF topic = BUF_INIT;
    CLEAN_BUF meta = BUF_INIT;
    CLEAN_BUF text = BUF_INIT;
    char id[ID_TEXT_LEN + 1];
    id_format(id, call->id);
    int rc = buf_addf(&topic, "%.*s.error", SPAN_ARG(name));
    if (rc == 0)
        rc = buf_addf(&text, too_many ? "too many calls wait for the action %.*s" : "no action %.*s is defined",
                      SPAN_ARG(name));
    if (rc == 0)
        rc = buf_addf(&meta, "{\"frame_id\":\"%s\",\"error\":", id);
    if (rc == 0)
        rc = json_put_string(&meta, buf_span(&text));
    if (rc == 0)
        rc = buf_add_str(&meta, "}");
    struct emit_frame frame = {.topic = buf_span(&topic), .meta = buf_span(&meta), .origin = call->origin};
    if (rc == 0)
        rc = put(all, &frame);
    if (rc < 0)
        log_say(all->site->daemon->log, LOG_ERROR, "action", "call=%s not_answered=\"%s\"", id, err_code_text(rc));
}
