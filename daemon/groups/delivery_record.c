#include <errno.h>
#include <stdlib.h>

#include "daemon/groups/delivery_impl.h"

void delivery_note_fresh(struct delivery *delivery, struct frame_id id)
{
    if (delivery->fresh_count == delivery->fresh_cap) {
        size_t cap = delivery->fresh_cap ? delivery->fresh_cap * 2 : 16;
        struct frame_id *fresh =
            delivery->record_all ? NULL : realloc(delivery->fresh, cap * sizeof(*fresh));
        if (!fresh) {
            delivery->record_all = true;
            return;
        }
        delivery->fresh = fresh;
        delivery->fresh_cap = cap;
    }
    delivery->fresh[delivery->fresh_count++] = id;
}

bool delivery_dirty(const struct delivery *delivery, bool moved)
{
    return delivery->fresh_count > 0 || delivery->record_all ||
           (moved && id_cmp(delivery->low, delivery->recorded) > 0);
}

static void add_done(struct delivery_record *out, struct frame_id id)
{
    if (id_cmp(id, out->low) > 0)
        out->done[out->count++] = id;
}

int delivery_record(struct delivery *delivery, struct delivery_record *out)
{
    size_t room = delivery->record_all ? delivery->end - delivery->first : delivery->fresh_count;
    struct delivery_record record = {.low = delivery->low};
    record.done = malloc((room + 1) * sizeof(*record.done));
    if (!record.done)
        return -ENOMEM;
    for (size_t i = delivery->first; delivery->record_all && i < delivery->end; i++)
        if (delivery->frames[i]->state == DELIVERY_DONE)
            add_done(&record, delivery->frames[i]->id);
    for (size_t i = 0; !delivery->record_all && i < delivery->fresh_count; i++)
        add_done(&record, delivery->fresh[i]);
    delivery->fresh_count = 0;
    delivery->record_all = false;
    delivery->recorded = delivery->low;
    *out = record;
    return 0;
}

void delivery_record_failed(struct delivery *delivery)
{
    delivery->record_all = true;
}
