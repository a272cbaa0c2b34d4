/*
 * Single frames by id and contents by hash: the tail first, then the index.
 */
#include <errno.h>

#include "base/buf.h"
#include "base/frame_json.h"
#include "store/record.h"
#include "store/state.h"

static bool visible(struct store *store, const struct tail_pin *pin, const struct frame *frame)
{
    bool over = frame->deadline_ms != 0 && frame->deadline_ms <= store_now(store);
    return !over && !tail_hides(&store->tail, pin, frame);
}

static int give(store_sink sink, void *arg, const struct frame *frame)
{
    struct store_item item = {frame, {0}};
    long r = sink(arg, &item);
    return r < 0 ? (int)r : 0;
}

/* Under a pin. */
static int get_pinned(struct store *store, const struct tail_pin *pin, struct frame_id id,
                      store_sink sink, void *arg, struct err *err)
{
    struct span record;
    struct frame frame;
    bool ephemeral;
    if (tail_find(&store->tail, pin, id, &record, &ephemeral)) {
        if (ephemeral)
            return ERR_NOT_FOUND;
        int r = record_get_frame(&frame, record, err);
        if (r != 0)
            return r;
        return visible(store, pin, &frame) ? give(sink, arg, &frame) : ERR_NOT_FOUND;
    }
    struct index_snap *snap;
    int r = index_snap_begin(store->index, &snap, err);
    if (r != 0)
        return r;
    r = index_frame(snap, id, &frame, err);
    if (r == 0)
        r = visible(store, pin, &frame) ? give(sink, arg, &frame) : ERR_NOT_FOUND;
    index_snap_end(snap);
    return r;
}

int store_get(struct store *store, struct frame_id id, store_sink sink, void *arg, struct err *err)
{
    struct tail_pin pin;
    char text[ID_TEXT_LEN + 1];
    tail_pin(&store->tail, &pin);
    int r = get_pinned(store, &pin, id, sink, arg, err);
    tail_unpin(&store->tail, &pin);
    if (r == ERR_NOT_FOUND) {
        id_format(text, id);
        err_set(err, r, "there is no frame %s", text);
    }
    return r;
}

/* --- contents ----------------------------------------------------------------------------- */

struct content_search {
    struct store *store;
    const struct tail_pin *pin;
    enum store_place *place;
    struct buf *out; /* NULL: its bytes are not asked for */
    bool (*counts)(void *arg, const struct frame *frame); /* NULL: all do */
    void *arg;
    bool frames_only; /* a loose content does not count */
};

static int take_content(void *arg, const struct frame *frame)
{
    struct content_search *search = arg;
    if (search->counts && !search->counts(search->arg, frame))
        return 0;
    if (!visible(search->store, search->pin, frame))
        return 0;
    *search->place = frame->has_content ? STORE_INLINE : STORE_BLOB;
    if (search->out && frame->has_content && buf_add_span(search->out, frame->content) != 0)
        return -ENOMEM;
    return 1;
}

/* Whether a frame of the index that names the content is visible, and counts. */
struct name_search {
    struct store *store;
    const struct tail_pin *pin;
    struct index_snap *snap;
    const struct content_search *content;
    bool visible;
};

static int check_name(void *arg, struct frame_id id)
{
    struct name_search *search = arg;
    struct frame frame;
    int r = index_frame(search->snap, id, &frame, NULL);
    search->visible = r == 0 && visible(search->store, search->pin, &frame) &&
                      (!search->content->counts || search->content->counts(search->content->arg, &frame));
    return search->visible ? 1 : 0;
}

static int index_has(struct content_search *search, struct index_snap *snap,
                     const uint8_t digest[static DIGEST_SIZE], struct err *err)
{
    struct index_content content;
    int r = index_content(snap, digest, &content, err);
    if (r != 0)
        return r;
    if (!content.is_loose || search->frames_only) {
        struct name_search names = {search->store, search->pin, snap, search, false};
        r = index_content_frames(snap, digest, check_name, &names, err);
        if (r < 0 || !names.visible)
            return r < 0 ? r : ERR_NOT_FOUND;
    }
    *search->place = content.has_bytes ? STORE_INLINE : STORE_BLOB;
    return search->out && content.has_bytes ? buf_add_span(search->out, content.bytes) : 0;
}

static int content_pinned(struct content_search *search, const uint8_t digest[static DIGEST_SIZE],
                          struct err *err)
{
    struct store *store = search->store;
    struct index_snap *snap;
    int r = tail_content(&store->tail, search->pin, digest, take_content, search);
    if (r != 0)
        return r > 0 ? 0 : r;
    r = index_snap_begin(store->index, &snap, err);
    if (r != 0)
        return r;
    r = index_has(search, snap, digest, err);
    index_snap_end(snap);
    return r;
}

static int find_content(struct content_search *search, const uint8_t digest[static DIGEST_SIZE],
                        struct err *err)
{
    struct tail_pin pin;
    search->pin = &pin;
    tail_pin(&search->store->tail, &pin);
    int r = content_pinned(search, digest, err);
    tail_unpin(&search->store->tail, &pin);
    if (r == ERR_NOT_FOUND)
        err_set(err, r, "no frame names this content");
    return r;
}

int store_content(struct store *store, const uint8_t digest[static DIGEST_SIZE],
                  enum store_place *place, struct buf *out, struct err *err)
{
    struct content_search search = {.store = store, .place = place, .out = out};
    return find_content(&search, digest, err);
}

int store_names(struct store *store, const uint8_t digest[static DIGEST_SIZE],
                bool (*counts)(void *arg, const struct frame *frame), void *arg, struct err *err)
{
    enum store_place place;
    struct content_search search = {.store = store, .place = &place, .counts = counts, .arg = arg};
    return find_content(&search, digest, err);
}

int store_shows(struct store *store, const uint8_t digest[static DIGEST_SIZE],
                bool (*counts)(void *arg, const struct frame *frame), void *arg, struct err *err)
{
    enum store_place place;
    struct content_search search = {
        .store = store, .place = &place, .counts = counts, .arg = arg, .frames_only = true};
    return find_content(&search, digest, err);
}
