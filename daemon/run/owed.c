#include "daemon/run/owed.h"

int owed_take(struct owed *owed, struct frame_id id)
{
    if (id_cmp(id, owed->read) > 0)
        owed->read = id;
    int rc = id_set_add(&owed->calls, id);
    owed->stuck |= rc < 0;
    return rc;
}

bool owed_has(const struct owed *owed, struct frame_id id)
{
    return id_set_has(&owed->calls, id);
}

void owed_done(struct owed *owed, struct frame_id id)
{
    id_set_remove(&owed->calls, id);
}

struct frame_id owed_place(const struct owed *owed, struct frame_id id)
{
    const struct id_set *calls = &owed->calls;
    size_t first = calls->count > 0 && id_cmp(calls->ids[0], id) == 0 ? 1 : 0;
    struct frame_id place = first < calls->count ? id_pred(calls->ids[first]) : owed->read;
    return owed->stuck || id_cmp(place, owed->low) < 0 ? owed->low : place;
}

bool owed_next(const struct owed *owed, struct frame_id after, struct frame_id *id)
{
    size_t at = id_set_place(&owed->calls, id_succ(after));
    if (at == owed->calls.count)
        return false;
    *id = owed->calls.ids[at];
    return true;
}

void owed_finish(struct owed *owed)
{
    id_set_finish(&owed->calls);
}
