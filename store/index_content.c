/*
 * Content: which frames name it, and content without a frame.
 *
 * The table `content` holds pairs (first 8 bytes of the digest, id); a lookup tries the candidates
 * and compares the whole digest in the frame's record.
 *
 * A frame that only names content which so far lies in another frame's record would lose it with
 * that frame. So the content is copied to `loose` when the naming frame arrives, and stays there as
 * long as a frame names it.
 */
#include "base/bytes.h"
#include "store/index_impl.h"

#define LOOSE_HEAD 8
/* Frames that name a content held elsewhere: looking at more of them for one that carries it is no
 * use. */
#define NAMING_MAX 64

/* --- candidates ------------------------------------------------------------------------------- */

/* A walk over the frames that name one content, oldest first. */
struct candidates {
    struct index_txn *txn;
    const uint8_t *digest;
    struct index_hidden *hidden; /* NULL: those that a purge is at count too */
    struct span key;
    bool started;
    bool damaged; /* a candidate could not be read */
};

static bool next_pair(struct candidates *c)
{
    struct span value;
    bool found = c->started ? index_txn_next(c->txn, TABLE_CONTENT, 8, &c->key, &value)
                            : index_txn_seek(c->txn, TABLE_CONTENT, span_of(c->digest, 8), 8,
                                             &c->key, &value);
    c->started = true;
    if (found && c->key.len != PAIR_KEY)
        index_txn_damaged(c->txn, TABLE_CONTENT, c->key, "has another length");
    return found && c->txn->rc == 0;
}

/* Damage in one candidate must not hide the others; it is told when none is left. A pair whose
 * frame is gone (its record was damaged when it was removed) names nothing; index_verify tells of
 * it. */
static bool next_candidate(struct candidates *c, struct frame *out)
{
    while (next_pair(c)) {
        struct index_txn probe = {.index = c->txn->index, .mdb = c->txn->mdb};
        if (index_frame_get(&probe, id_get(c->key.ptr + 8), out)) {
            if (out->has_hash && memcmp(out->digest, c->digest, DIGEST_SIZE) == 0 &&
                !(c->hidden && index_hides(c->txn, c->hidden, out)))
                return true;
        } else if (probe.rc == ERR_DAMAGED) {
            c->damaged = true;
        } else if (probe.rc != 0) {
            index_txn_fail(c->txn, probe.rc,
                           "index: a frame that names the content cannot be read");
        }
    }
    return false;
}

bool index_content_named(struct index_txn *txn, const uint8_t digest[static DIGEST_SIZE])
{
    struct candidates c = {.txn = txn, .digest = digest};
    struct frame frame;
    /* One that cannot be read may name it: keeping too much is the harmless error. */
    return next_candidate(&c, &frame) || c.damaged;
}

/* --- loose content ---------------------------------------------------------------------------- */

static bool loose_get(struct index_txn *txn, const uint8_t *digest, struct span *bytes)
{
    struct span value, key = span_of(digest, DIGEST_SIZE);
    if (!index_txn_get(txn, TABLE_LOOSE, key, &value))
        return false;
    if (value.len < LOOSE_HEAD) {
        index_txn_damaged(txn, TABLE_LOOSE, key, "has another length");
        return false;
    }
    *bytes = span_of(value.ptr + LOOSE_HEAD, value.len - LOOSE_HEAD);
    return true;
}

void index_loose_add(struct index_txn *txn, const uint8_t digest[static DIGEST_SIZE],
                     uint64_t time_ms, struct span bytes)
{
    struct span was, key = span_of(digest, DIGEST_SIZE);
    if (index_txn_get(txn, TABLE_LOOSE, key, &was) && was.len >= LOOSE_HEAD &&
        get_be64(was.ptr) >= time_ms)
        return;
    struct buf value = BUF_INIT;
    uint8_t head[LOOSE_HEAD];
    put_be64(head, time_ms);
    int rc = buf_add(&value, head, sizeof head);
    if (rc == 0)
        rc = buf_add_span(&value, bytes);
    if (rc == 0)
        index_txn_put(txn, TABLE_LOOSE, key, buf_span(&value), 0);
    else
        index_txn_fail(txn, rc, "index: out of memory");
    buf_finish(&value);
}

/* The first frame that carries the content; else *naming is set if one names it. */
static bool find_carrier(struct candidates *c, struct frame *out, bool *naming)
{
    struct frame frame;
    for (int i = 0; i < NAMING_MAX && next_candidate(c, &frame); i++) {
        if (frame.has_content || !*naming)
            *out = frame;
        if (frame.has_content)
            return true;
        *naming = true;
    }
    return false;
}

void index_content_keep(struct index_txn *txn, const uint8_t digest[static DIGEST_SIZE],
                        uint64_t time_ms)
{
    struct candidates c = {.txn = txn, .digest = digest};
    struct frame frame;
    bool naming = false;
    if (index_txn_has(txn, TABLE_LOOSE, span_of(digest, DIGEST_SIZE)))
        return;
    if (find_carrier(&c, &frame, &naming))
        index_loose_add(txn, digest, time_ms, frame.content);
}

/* Whether the loose content at key is of no use any more. */
static bool sweepable(struct index_txn *txn, struct span value, const uint8_t *digest,
                      uint64_t before_ms)
{
    return value.len >= LOOSE_HEAD && get_be64(value.ptr) < before_ms &&
           !index_content_named(txn, digest);
}

void index_loose_sweep(struct index_txn *txn, uint64_t before_ms, uint64_t *dropped)
{
    uint8_t at[DIGEST_SIZE] = {0};
    struct span key, value;
    while (index_txn_seek(txn, TABLE_LOOSE, span_of(at, sizeof at), 0, &key, &value)) {
        if (key.len != DIGEST_SIZE) {
            index_txn_damaged(txn, TABLE_LOOSE, key, "has another length");
            return;
        }
        memcpy(at, key.ptr, sizeof at);
        if (sweepable(txn, value, at, before_ms) &&
            index_txn_del(txn, TABLE_LOOSE, span_of(at, sizeof at)))
            (*dropped)++;
        size_t i = sizeof at;
        while (i > 0 && ++at[i - 1] == 0)
            i--;
        if (i == 0)
            return;
    }
}

/* --- reading ---------------------------------------------------------------------------------- */

static int find_content(struct index_txn *txn, struct index_hidden *hidden, const uint8_t *digest,
                        struct index_content *out)
{
    struct candidates c = {.txn = txn, .digest = digest, .hidden = hidden};
    struct frame frame = {0};
    struct span loose = {0};
    bool naming = false;
    bool is_loose = loose_get(txn, digest, &loose);
    bool carried = txn->rc == 0 && find_carrier(&c, &frame, &naming);
    if (txn->rc != 0)
        return txn->rc;
    if (!is_loose && !carried && !naming)
        return c.damaged ? index_txn_fail(txn, ERR_DAMAGED,
                                          "a frame that may hold the content is damaged")
                         : index_txn_fail(txn, ERR_NOT_FOUND, "no such content");
    *out = (struct index_content){
        .has_bytes = carried || is_loose,
        .bytes = carried    ? frame.content
                 : is_loose ? loose
                            : (struct span){0},
        .is_loose = is_loose,
        .is_blob = !carried && !is_loose,
        .size = carried || naming ? frame.content_size : loose.len,
        .id = carried || naming ? frame.id : ID_MIN,
    };
    return 0;
}

int index_content(struct index_snap *snap, const uint8_t digest[static DIGEST_SIZE],
                  struct index_content *out, struct err *err)
{
    struct index_txn txn = index_snap_txn(snap, err);
    find_content(&txn, &snap->hidden, digest, out);
    return index_txn_finish(&txn);
}

int index_content_frames(struct index_snap *snap, const uint8_t digest[static DIGEST_SIZE],
                         int (*each)(void *arg, struct frame_id id), void *arg, struct err *err)
{
    struct index_txn txn = index_snap_txn(snap, err);
    struct candidates c = {.txn = &txn, .digest = digest, .hidden = &snap->hidden};
    struct frame frame;
    int stop = 0;
    while (stop == 0 && next_candidate(&c, &frame))
        stop = each(arg, frame.id);
    if (stop == 0 && c.damaged)
        index_txn_fail(&txn, ERR_DAMAGED, "a frame that may name the content is damaged");
    index_txn_finish(&txn);
    return stop != 0 ? stop : txn.rc;
}
