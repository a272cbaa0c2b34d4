#include "daemon/run/handler_hold.h"

#include <errno.h>
#include <stdlib.h>

/* A printed frame; its spans are offsets into `bytes`. */
struct held {
    struct printed printed;
    struct frame_id due; /* the frame it waits for */
};

/* --- frames given --------------------------------------------------------------------------------- */

static struct frame_id *given_at(const struct hold *hold, size_t i)
{
    return &hold->given[(hold->first + i) & (hold->given_cap - 1)];
}

static int grow_given(struct hold *hold)
{
    size_t cap = hold->given_cap ? hold->given_cap * 2 : 64;
    struct frame_id *given = malloc(cap * sizeof(*given));
    if (!given)
        return -ENOMEM;
    for (size_t i = 0; i < hold->given_count; i++)
        given[i] = *given_at(hold, i);
    free(hold->given);
    hold->given = given;
    hold->given_cap = cap;
    hold->first = 0;
    return 0;
}

int hold_give(struct hold *hold, struct frame_id id)
{
    if (hold->given_count == HOLD_GIVEN_MAX)
        hold->more = true;
    if (!hold->more) {
        int rc = hold->given_count == hold->given_cap ? grow_given(hold) : 0;
        if (rc < 0)
            return rc;
        *given_at(hold, hold->given_count++) = id;
    }
    hold->newest = hold->line = id;
    return 0;
}

void hold_give_line(struct hold *hold, struct frame_id id)
{
    hold->line = id;
}

bool hold_open(const struct hold *hold)
{
    return hold->given_count > 0 || hold->more;
}

struct frame_id hold_oldest(const struct hold *hold)
{
    return hold->given_count > 0 ? *given_at(hold, 0) : hold->newest;
}

/* --- what was printed ----------------------------------------------------------------------------- */

static struct frame_id due_of(const struct hold *hold, const struct printed *printed)
{
    if (printed->has_cause && id_cmp(printed->cause, hold->low) > 0 &&
        id_cmp(printed->cause, hold->newest) <= 0)
        return printed->cause;
    if (printed->has_ack && !printed->has_cause && id_cmp(printed->ack, hold->line) <= 0)
        return id_cmp(printed->ack, hold->newest) < 0 ? printed->ack : hold->newest;
    return hold_oldest(hold);
}

/* Room was reserved. */
static struct span keep(struct buf *bytes, struct span span)
{
    struct span kept = {(const uint8_t *)(uintptr_t)bytes->len, span.len};
    if (span.len > 0)
        buf_add_span(bytes, span);
    return kept;
}

static void keep_spans(struct buf *bytes, struct printed *printed)
{
    printed->topic = keep(bytes, printed->topic);
    printed->content = keep(bytes, printed->content);
    printed->meta = keep(bytes, printed->meta);
}

static struct span placed(const struct buf *bytes, struct span kept)
{
    return (struct span){kept.len > 0 ? bytes->ptr + (uintptr_t)kept.ptr : NULL, kept.len};
}

static void place_spans(const struct buf *bytes, struct printed *printed)
{
    printed->topic = placed(bytes, printed->topic);
    printed->content = placed(bytes, printed->content);
    printed->meta = placed(bytes, printed->meta);
}

static size_t bytes_of(const struct printed *printed)
{
    return printed->topic.len + printed->content.len + printed->meta.len;
}

static int grow_items(struct hold *hold)
{
    size_t cap = hold->cap ? hold->cap * 2 : 16;
    struct held *items = realloc(hold->items, cap * sizeof(*items));
    if (!items)
        return -ENOMEM;
    hold->items = items;
    hold->cap = cap;
    return 0;
}

int hold_add(struct hold *hold, const struct printed *printed)
{
    size_t len = bytes_of(printed);
    if (hold->bytes.len + len + (hold->count + 1) * HOLD_OVERHEAD > HOLD_MAX)
        return ERR_TOO_LARGE;
    int rc = hold->count == hold->cap ? grow_items(hold) : 0;
    if (rc == 0)
        rc = buf_reserve(&hold->bytes, len);
    if (rc < 0)
        return rc;
    struct held *held = &hold->items[hold->count++];
    *held = (struct held){.printed = *printed, .due = due_of(hold, printed)};
    keep_spans(&hold->bytes, &held->printed);
    if (!held->printed.has_cause && !id_is_zero(held->due)) {
        held->printed.has_cause = true;
        held->printed.cause = held->due;
    }
    return 0;
}

/* --- acknowledging ---------------------------------------------------------------------------------- */

int hold_ack(const struct hold *hold, struct frame_id id, struct frame_id *upto, struct err *err)
{
    char text[ID_TEXT_LEN + 1];
    id_format(text, id);
    if (id_cmp(id, hold->low) < 0)
        return err_set(err, ERR_INVALID, "ack of frame %s, which was acknowledged long ago", text);
    if (id_cmp(id, hold->low) > 0 && id_cmp(id, hold->line) > 0)
        return err_set(err, ERR_INVALID, "ack of frame %s, which was not given yet", text);
    *upto = id_cmp(id, hold->newest) < 0 ? id : hold->newest;
    if (id_cmp(*upto, hold->low) < 0)
        *upto = hold->low;
    return 0;
}

static bool is_due(const struct held *held, struct frame_id upto)
{
    return id_cmp(held->due, upto) <= 0;
}

int hold_due(struct hold *hold, struct frame_id upto, struct printed **out, size_t *count)
{
    size_t n = 0;
    if (hold->due_cap < hold->count) {
        struct printed *due = realloc(hold->due, hold->cap * sizeof(*due));
        if (!due)
            return -ENOMEM;
        hold->due = due;
        hold->due_cap = hold->cap;
    }
    for (size_t i = 0; i < hold->count; i++) {
        if (!is_due(&hold->items[i], upto))
            continue;
        hold->due[n] = hold->items[i].printed;
        place_spans(&hold->bytes, &hold->due[n++]);
    }
    *out = hold->due;
    *count = n;
    return 0;
}

static void shift(struct span *kept, size_t back)
{
    kept->ptr = (const uint8_t *)((uintptr_t)kept->ptr - back);
}

/* Keeps what is not due. Bytes only move towards the front, so one buffer will do. */
static void forget_due(struct hold *hold, struct frame_id upto)
{
    uint8_t *bytes = hold->bytes.ptr;
    size_t kept = 0;
    hold->bytes.len = 0;
    for (size_t i = 0; i < hold->count; i++) {
        struct held held = hold->items[i];
        if (is_due(&held, upto))
            continue;
        size_t len = bytes_of(&held.printed);
        size_t from = (size_t)(uintptr_t)held.printed.topic.ptr;
        size_t back = from - hold->bytes.len;
        if (len > 0)
            memmove(bytes + hold->bytes.len, bytes + from, len);
        shift(&held.printed.topic, back);
        shift(&held.printed.content, back);
        shift(&held.printed.meta, back);
        hold->bytes.len += len;
        hold->items[kept++] = held;
    }
    hold->count = kept;
}

void hold_settle(struct hold *hold, struct frame_id upto)
{
    forget_due(hold, upto);
    if (id_cmp(upto, hold->low) > 0)
        hold->low = upto;
    while (hold->given_count > 0 && id_cmp(*given_at(hold, 0), hold->low) <= 0) {
        hold->first = (hold->first + 1) & (hold->given_cap - 1);
        hold->given_count--;
    }
    if (id_cmp(hold->low, hold->newest) >= 0)
        hold->more = false;
}

void hold_reset(struct hold *hold)
{
    hold->count = hold->given_count = hold->first = 0;
    hold->bytes.len = 0;
    hold->more = false;
    hold->newest = hold->line = ID_MIN;
}

void hold_finish(struct hold *hold)
{
    free(hold->given);
    free(hold->items);
    free(hold->due);
    buf_finish(&hold->bytes);
    *hold = (struct hold){0};
}
