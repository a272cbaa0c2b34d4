#include <errno.h>
#include <stdlib.h>

#include "daemon/share_impl.h"

void share_note_fresh(struct share *share, struct frame_id id)
{
    if (share->fresh_count == share->fresh_cap) {
        size_t cap = share->fresh_cap ? share->fresh_cap * 2 : 16;
        struct frame_id *fresh =
            share->record_all ? NULL : realloc(share->fresh, cap * sizeof(*fresh));
        if (!fresh) {
            share->record_all = true;
            return;
        }
        share->fresh = fresh;
        share->fresh_cap = cap;
    }
    share->fresh[share->fresh_count++] = id;
}

bool share_dirty(const struct share *share, bool moved)
{
    return share->fresh_count > 0 || share->record_all ||
           (moved && id_cmp(share->low, share->recorded) > 0);
}

static void add_done(struct share_record *out, struct frame_id id)
{
    if (id_cmp(id, out->low) > 0)
        out->done[out->count++] = id;
}

int share_record(struct share *share, struct share_record *out)
{
    size_t room = share->record_all ? share->end - share->first : share->fresh_count;
    struct share_record record = {.low = share->low};
    record.done = malloc((room + 1) * sizeof(*record.done));
    if (!record.done)
        return -ENOMEM;
    for (size_t i = share->first; share->record_all && i < share->end; i++)
        if (share->frames[i]->state == SHARE_DONE)
            add_done(&record, share->frames[i]->id);
    for (size_t i = 0; !share->record_all && i < share->fresh_count; i++)
        add_done(&record, share->fresh[i]);
    share->fresh_count = 0;
    share->record_all = false;
    share->recorded = share->low;
    *out = record;
    return 0;
}

void share_record_failed(struct share *share)
{
    share->record_all = true;
}
