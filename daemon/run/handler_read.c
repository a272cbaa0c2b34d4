/*
 * What a handler is given of the log, and where it stands in it.
 */
#include "daemon/run/handler.h"

#include "base/json.h"
#include "daemon/run/hops.h"

#define SETTLE_MS 1000 /* a mark follows what was passed over at most so often */

/* --- which frames ---------------------------------------------------------------------------------- */

static bool names_us(const struct handler *h, struct span meta)
{
    struct json_iter it;
    struct span key;
    struct json_value value;
    if (meta.len < ID_TEXT_LEN || !memmem(meta.ptr, meta.len, h->id, ID_TEXT_LEN) ||
        json_iter_init(&it, meta) < 0)
        return false;
    while (json_iter_next(&it, &key, &value))
        if (value.type == JSON_STRING && json_string_is(value.raw, h->id) &&
            (json_string_is(key, "handler_id") || json_string_is(key, "actor_id")))
            return true;
    return false;
}

/* In seed words a topic like NAME.register is a definition only by its content. */
static bool defines(const struct words *words, const struct frame *frame)
{
    if (words->words == WORDS_NEW || !frame->has_hash)
        return words->words == WORDS_NEW;
    enum program_form form = frame->has_content ? definition_form(frame->content) : FORM_ELF;
    return form == FORM_SCRIPT || form == FORM_ELF;
}

static bool is_own_life(const struct handler *h, const struct frame *frame)
{
    struct words words;
    if (frame->authority == AUTHORITY_NONE || !words_parse(&words, frame->topic) ||
        words.kind != PROGRAM_HANDLER || !span_is(words.name, h->base.def.name))
        return false;
    if (words.event == EVENT_CREATE)
        return id_cmp(frame->id, h->base.def.id) <= 0 && defines(&words, frame);
    if (words.event == EVENT_TERM)
        return id_cmp(frame->id, h->base.def.id) <= 0;
    return true;
}

static bool is_wanted(const struct handler *h, const struct frame *frame)
{
    return !span_eq(frame->origin, h->own) && !is_own_life(h, frame) && !names_us(h, frame->meta);
}

/* --- hops ------------------------------------------------------------------------------------------ */

bool handler_hop(struct handler *h, const struct frame *frame)
{
    char text[ERR_TEXT_SIZE];
    if (hops_take(&h->base, &h->calm, frame, text))
        return true;
    if (text[0])
        handler_error(h, &(struct failure){.error = span_str(text), .has_frame = true, .frame = frame->id}, NULL);
    return false;
}

/* --- the mark follows what is passed over ------------------------------------------------------------ */

/* Where nothing is open the mark may move over frames that were not wanted: rarely, since each move is written. */
static void settle(uv_timer_t *timer)
{
    struct handler *h = timer->data;
    if (!h->pump || h->run.busy || hold_open(&h->hold) || h->hold.count > 0)
        return;
    struct frame_id position = pump_position(h->pump);
    if (id_cmp(position, h->hold.low) <= 0)
        return;
    hold_settle(&h->hold, position);
    handler_print(h, NULL, 0, NULL, &position);
    uv_timer_start(&h->settle, settle, SETTLE_MS, 0);
}

void handler_stir(struct handler *h)
{
    if (h->resumes && !h->ending && !uv_is_active((uv_handle_t *)&h->settle))
        uv_timer_start(&h->settle, settle, SETTLE_MS, 0);
}

/* --- reading --------------------------------------------------------------------------------------- */

static bool take_frame(void *arg, const struct frame *frame)
{
    struct handler *h = arg;
    handler_stir(h);
    return is_wanted(h, frame) ? h->way->frame(h, frame) : true;
}

static void threshold(void *arg)
{
    struct handler *h = arg;
    handler_stir(h);
    if (h->base.def.start != START_NEW)
        h->way->note(h, "xs.threshold", (struct span){0});
}

static void lost(void *arg, uint64_t count)
{
    char meta[64];
    int len = snprintf(meta, sizeof(meta), "{\"ephemeral\":%llu}", (unsigned long long)count);
    struct handler *h = arg;
    h->way->note(h, "xs.lost", span_of(meta, (size_t)len));
}

/* The site ends: the instance is stopped soon. Or the log cannot be read. */
static void read_ended(void *arg, const struct err *err)
{
    struct handler *h = arg;
    if (!err)
        return;
    h->fault = "the log could not be read";
    h->blind = true;
    if (h->process)
        process_stop(h->process, 0);
    else
        handler_end(h, INSTANCE_FIN_ERROR, &(struct failure){.error = span_str(err->text)});
}

static bool open_pump(struct handler *h, struct store_query *query)
{
    struct err err = ERR_INIT;
    const struct definition *def = &h->base.def;
    query->follow = true;
    query->topics = def->topics.all ? NULL : &def->topics;
    pump_destroy(h->pump);
    h->pump = NULL;
    struct pump_options options = {
        .site = h->base.site,
        .query = *query,
        .contents = def->content || def->mode == MODE_EACH || def->start != START_NEW,
        .frame = take_frame,
        .threshold = threshold,
        .lost = lost,
        .ended = read_ended,
        .arg = h,
    };
    if (pump_create(&h->pump, &options, &err) == 0)
        return true;
    handler_end(h, h->ran ? INSTANCE_FIN_ERROR : INSTANCE_INVALID,
                &(struct failure){.error = span_str(err.text)});
    return false;
}

bool handler_read_from(struct handler *h, struct frame_id after)
{
    return open_pump(h, &(struct store_query){.from = id_succ(after)});
}

bool handler_read_first(struct handler *h)
{
    switch (h->base.def.start) {
    case START_NEW:
        return open_pump(h, &(struct store_query){.skip_history = true});
    case START_FIRST:
        return open_pump(h, &(struct store_query){0});
    case START_AFTER:
        return handler_read_from(h, h->base.def.after);
    case START_RESUME:
        break;
    }
    return handler_read_from(h, h->hold.low);
}
