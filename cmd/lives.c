#include "cmd/lives.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/target.h"

static const char *const state_names[] = {
    [STATE_UNKNOWN] = "unknown",   [STATE_STARTING] = "starting", [STATE_ACTIVE] = "active",
    [STATE_RETRYING] = "retrying", [STATE_STOPPING] = "stopping", [STATE_STOPPED] = "stopped",
    [STATE_FAILED] = "failed",     [STATE_FINISHED] = "finished", [STATE_ENDED] = "ended",
};

const char *life_state_name(enum life_state state)
{
    return state_names[state];
}

const char *life_definition(const struct life *life)
{
    bool newer = !life->confirmed && strcmp(life->asked, life->running) > 0;
    return life->running[0] && !newer ? life->running : life->asked;
}

bool life_is_on(const struct life *life)
{
    return life->state == STATE_STARTING || life->state == STATE_ACTIVE ||
           life->state == STATE_RETRYING || life->state == STATE_STOPPING ||
           life->state == STATE_STOPPED;
}

/* --- finding ------------------------------------------------------------------------------------------ */

static struct life *find(const struct lives *lives, enum life_kind kind, struct span name)
{
    for (size_t i = 0; i < lives->count; i++) {
        struct life *life = &lives->items[i];
        if (life->kind == kind && span_eq(buf_span(&life->name), name))
            return life;
    }
    return NULL;
}

const struct life *lives_find(const struct lives *lives, enum life_kind kind, const char *name)
{
    return find(lives, kind, span_str(name));
}

static struct life *add(struct lives *lives, enum life_kind kind, struct span name)
{
    if (lives->count == lives->room) {
        size_t room = lives->room ? lives->room * 2 : 16;
        struct life *items = realloc(lives->items, room * sizeof(*items));
        if (!items)
            return NULL;
        lives->items = items;
        lives->room = room;
    }
    struct life *life = &lives->items[lives->count];
    *life = (struct life){.kind = kind};
    if (buf_add_span(&life->name, name) != 0)
        return NULL;
    lives->count++;
    return life;
}

static bool is_known(const struct life *life, struct span id)
{
    for (size_t at = life->known.len; at >= ID_TEXT_LEN; at -= ID_TEXT_LEN) {
        if (memcmp(life->known.ptr + at - ID_TEXT_LEN, id.ptr, ID_TEXT_LEN) == 0)
            return true;
    }
    return false;
}

/* --- one frame ---------------------------------------------------------------------------------------- */

static void set_id(char into[static ID_TEXT_LEN + 1], struct span id)
{
    memcpy(into, id.ptr, ID_TEXT_LEN);
    into[ID_TEXT_LEN] = '\0';
}

static void set_state(struct life *life, enum life_state state, const struct frame_parts *frame)
{
    life->state = state;
    set_id(life->since, frame->id);
    buf_reset(&life->error);
    meta_text(frame->meta, "error", &life->error);
}

/* A frame in the seed words may be anything, until it is answered. */
static int take_create(struct lives *lives, struct life *life, const struct life_words *words,
                       const struct frame_parts *frame)
{
    if (!life && !(life = add(lives, words->kind, words->name)))
        return -ENOMEM;
    if (buf_add_span(&life->known, frame->id) != 0)
        return -ENOMEM;
    if (words->seed)
        return 0;
    life->pending = true;
    set_id(life->asked, frame->id);
    if (!life->confirmed)
        set_state(life, STATE_STARTING, frame);
    return 0;
}

static void take_active(struct life *life, const struct life_words *words,
                        const struct frame_parts *frame)
{
    life->confirmed = true;
    life->pending = life->pending && memcmp(life->asked, words->of.ptr, ID_TEXT_LEN) != 0;
    set_id(life->running, words->of);
    set_state(life, STATE_ACTIVE, frame);
    buf_reset(&life->path);
    meta_text(frame->meta, "path", &life->path);
}

/* What runs goes on beside a definition that proved no good. */
static void take_invalid(struct life *life, const struct life_words *words,
                         const struct frame_parts *frame)
{
    bool newest = memcmp(life->asked, words->of.ptr, ID_TEXT_LEN) == 0;
    life->pending = life->pending && !newest;
    if (life->confirmed && memcmp(life->running, words->of.ptr, ID_TEXT_LEN) != 0)
        return;
    set_id(life->asked, words->of);
    if (!life->pending)
        set_state(life, STATE_FAILED, frame);
}

static void take_end(struct life *life, enum life_state state, const struct frame_parts *frame)
{
    life->confirmed = life->pending = false;
    set_state(life, state, frame);
}

/* A newer one that was asked for while this one was on its way out is still to come. */
static void take_fin_term(struct life *life, const struct life_words *words,
                          const struct frame_parts *frame)
{
    bool newer = life->pending && memcmp(life->asked, words->of.ptr, ID_TEXT_LEN) > 0;
    take_end(life, newer ? STATE_STARTING : STATE_ENDED, frame);
    life->pending = newer;
    if (newer)
        buf_reset(&life->error);
}

static void take_answer(struct life *life, const struct life_words *words,
                        const struct frame_parts *frame)
{
    switch (words->event) {
    case LIFE_ACTIVE:
        take_active(life, words, frame);
        break;
    case LIFE_INVALID:
        take_invalid(life, words, frame);
        break;
    case LIFE_FIN_OK:
        take_end(life, STATE_FINISHED, frame);
        break;
    case LIFE_FIN_ERROR:
        take_end(life, STATE_FAILED, frame);
        break;
    case LIFE_FIN_TERM:
    case LIFE_FIN_DELETED:
        take_fin_term(life, words, frame);
        break;
    case LIFE_STOPPED:
        set_state(life, STATE_STOPPED, frame);
        break;
    case LIFE_RETRY:
        set_state(life, STATE_RETRYING, frame);
        break;
    default:
        break;
    }
}

int lives_take(struct lives *lives, struct span json)
{
    struct frame_parts frame;
    struct life_words words;
    if (!frame_parts_take(&frame, json) || span_is(frame.authority, "none") || !life_read(&words, &frame))
        return 0; /* what anybody may append counts for nothing */
    struct life *life = find(lives, words.kind, words.name);
    if (words.event == LIFE_CREATE)
        return take_create(lives, life, &words, &frame);
    if (!life)
        return 0;
    if (words.event == LIFE_TERM || words.event == LIFE_DELETE) {
        if (life_is_on(life))
            take_end(life, STATE_STOPPING, &frame);
    } else if (words.of.len > 0 && is_known(life, words.of)) {
        take_answer(life, &words, &frame);
    }
    return 0;
}

/* --- many --------------------------------------------------------------------------------------------- */

static int take_line(void *arg, struct span line)
{
    return lives_take(arg, line);
}

int lives_read(struct lives *lives, struct weir *w, const char *patterns, struct err *err)
{
    CLEAN_BUF target = BUF_INIT;
    if (buf_add_str(&target, "/") != 0 || target_add(&target, "with-authority", "true") != 0 ||
        (patterns && target_add(&target, "topic", patterns) != 0))
        return err_set(err, -ENOMEM, "out of memory");
    int rc = weir_each_line(w, target_text(&target), take_line, lives, err);
    return rc == -ENOMEM ? err_set(err, rc, "out of memory") : rc;
}

void lives_finish(struct lives *lives)
{
    for (size_t i = 0; i < lives->count; i++) {
        struct life *life = &lives->items[i];
        buf_finish(&life->name);
        buf_finish(&life->error);
        buf_finish(&life->path);
        buf_finish(&life->known);
    }
    free(lives->items);
    *lives = (struct lives){0};
}
