/*
 * Appends, in arrival order inside the forming group: key, conditions, ids, seqs, ttl. And removals, and loose contents.
 */
#define XXH_STATIC_LINKING_ONLY /* for a hash state on the stack */
#include <inttypes.h>
#include <xxhash.h>

#include "base/bytes.h"
#include "store/group.h"
#include "store/record.h"

/* --- limits: what would be refused by the record's form, or by the index when it is too late --- */

#define KEY_MAX 64

/* What a frame may bring with itself: a record of a stream more than others, and so an import, which may be one. */
struct limits {
    size_t meta, content;
};

static int check_content(const struct store_frame *frame, const struct limits *limits, struct err *err)
{
    if (frame->content.len > limits->content)
        return err_set(err, ERR_TOO_LARGE,
                       "content of %zu bytes does not travel in its frame, the most is %zu",
                       frame->content.len, limits->content);
    if (!frame->has_hash || frame->content_size != frame->content.len)
        return err_set(err, ERR_INVALID,
                       "content without its hash, or of another size than it says");
    return 0;
}

static int check_frame(const struct store_frame *frame, const struct limits *limits, struct err *err)
{
    if (frame->topic.len == 0 || frame->topic.len > TOPIC_MAX)
        return err_set(err, ERR_INVALID, "a topic has 1 to %d bytes, this has %zu", TOPIC_MAX,
                       frame->topic.len);
    if (frame->meta.len > limits->meta)
        return err_set(err, ERR_TOO_LARGE, "meta has %zu bytes, more than %zu", frame->meta.len,
                       limits->meta);
    if (frame->ttl.kind == TTL_LAST && frame->ttl.value == 0)
        return err_set(err, ERR_INVALID, "ttl last:0 would keep nothing; the least is last:1");
    return frame->has_content ? check_content(frame, limits, err) : 0;
}

static int check_frames(struct store_op *op)
{
    bool wide = op->stream || op->kind == STORE_IMPORT;
    const struct limits limits = {wide ? RECORD_META_MAX : META_MAX, wide ? RECORD_CONTENT_MAX : INLINE_MAX};
    int r = 0;
    if (op->key.len > KEY_MAX)
        return err_set(&op->err, ERR_INVALID, "a key has 1 to %d bytes, this has %zu", KEY_MAX,
                       op->key.len);
    for (size_t i = 0; i < op->count && r == 0; i++)
        r = check_frame(&op->frames[i], &limits, &op->err);
    return r == 0 ? group_check_marks(op) : r;
}

/* --- ids ---------------------------------------------------------------------------------- */

static struct frame_id next_id(struct group *group)
{
    struct store *store = group->store;
    pthread_mutex_lock(&store->gen_lock);
    struct frame_id id = id_gen_next(&store->gen, group->now_ms);
    if (id_is_zero(store->inflight))
        store->inflight = id;
    pthread_mutex_unlock(&store->gen_lock);
    return id;
}

/* Ids of a keyed batch follow from its first: one step of the counters each, same entropy. */
#define KEYED_STEP (1ull << 32)

static struct frame_id keyed_id(struct frame_id first, uint64_t index)
{
    struct frame_id id = {first.hi, first.lo + index * KEYED_STEP};
    if (id.lo < first.lo)
        id.hi++;
    return id;
}

struct frame_id judge_id(struct group *group, const struct store_op *op, size_t i)
{
    if (i == 0 || op->key.len == 0)
        return next_id(group);
    struct frame_id id = keyed_id(op->frames[0].id, i);
    pthread_mutex_lock(&group->store->gen_lock);
    id_gen_raise(&group->store->gen, id);
    pthread_mutex_unlock(&group->store->gen_lock);
    return id;
}

/* --- idempotency keys --------------------------------------------------------------------- */

static void digest_span(XXH3_state_t *state, struct span s)
{
    uint8_t len[8];
    put_be64(len, s.len);
    XXH3_128bits_update(state, len, sizeof len);
    XXH3_128bits_update(state, s.ptr, s.len);
}

/* What makes two requests the same: topics, metas, ttls, contents, timestamps that a client chose. */
static void request_digest(uint8_t out[static DIGEST_SIZE], const struct store_op *op)
{
    XXH3_state_t state;
    memset(out, 0, DIGEST_SIZE);
    XXH3_128bits_reset(&state);
    for (size_t i = 0; i < op->count; i++) {
        const struct store_frame *frame = &op->frames[i];
        uint8_t ttl[16];
        put_be64(ttl, frame->ttl.kind);
        put_be64(ttl + 8, frame->ttl.value);
        digest_span(&state, frame->topic);
        digest_span(&state, frame->meta);
        digest_span(&state, span_of(ttl, sizeof ttl));
        digest_span(&state, span_of(frame->digest, frame->has_hash ? DIGEST_SIZE : 0));
        if (frame->has_stamp) {
            put_be64(ttl, frame->stamp);
            digest_span(&state, span_of(ttl, 8));
        }
    }
    XXH128_hash_t hash = XXH3_128bits_digest(&state);
    XXH128_canonicalFromHash((XXH128_canonical_t *)out, hash);
}

static int repeat(struct group *group, struct store_op *op, const uint8_t *was, const uint8_t *now,
                  struct frame_id first, uint32_t count)
{
    struct frame frame;
    if (memcmp(was, now, DIGEST_SIZE) != 0 || count != op->count)
        return err_set(&op->err, ERR_CONFLICT,
                       "key %.*s was used for another append; take a new key", SPAN_ARG(op->key));
    for (uint32_t i = 0; i < count; i++) {
        struct store_frame *out = &op->frames[i];
        out->id = keyed_id(first, i);
        out->has_seq = group_find(group, out->id, &frame, NULL) == 0 && frame.has_seq;
        out->seq = out->has_seq ? frame.seq : 0;
    }
    op->repeated = true;
    return 0;
}

int judge_key(struct group *group, struct store_op *op, const struct head *head,
              uint8_t digest[static DIGEST_SIZE])
{
    struct index_snap *snap;
    struct index_key known;
    request_digest(digest, op);
    if (head->no == 0)
        return 0;
    const struct key_entry *recent = keys_find(&group->store->keys, head->no, op->key);
    if (recent) {
        op->result = repeat(group, op, recent->digest, digest, recent->first, recent->count);
        return 1;
    }
    int r = group_snap(group, &snap, &op->err);
    if (r == 0)
        r = index_key(snap, head->no, op->key, &known, &op->err);
    if (r == ERR_NOT_FOUND)
        return 0;
    op->result = r == 0 ? repeat(group, op, known.digest, digest, known.first, known.count) : r;
    return 1;
}

int judge_keep_key(struct group *group, struct store_op *op, struct head *head,
                   const uint8_t digest[static DIGEST_SIZE])
{
    struct frame_id first = op->frames[0].id;
    uint32_t count = (uint32_t)op->count;
    int r = group_number_topic(group, head); /* an ephemeral frame did not */
    if (r != 0)
        return r;
    r = op_put_key(&group->ops, head->no, op->key, group->now_ms, digest, first, count);
    return r == 0 ? keys_add(&group->store->keys, group->number, head->no, op->key, digest, first,
                             count)
                  : r;
}

/* --- conditions --------------------------------------------------------------------------- */

/* What speaks of the first frame's topic needs a frame. */
static int check_frameless(struct store_op *op)
{
    if (op->count > 0 || (op->key.len == 0 && !op->has_expect_seq && !op->has_expect_token && !op->stream))
        return 0;
    return err_set(&op->err, ERR_INVALID, "a key and the condition of a seq or token need a frame");
}

/* Whether the token is the one in force. */
static bool judge_token(struct store_op *op, const struct head *head)
{
    struct span token = head ? span_of(head->token, head->token_len) : (struct span){0};
    if (span_eq(token, op->expect_token))
        return true;
    op->fenced = true;
    if (token.len > 0)
        memcpy(op->actual_token, token.ptr, token.len);
    op->actual_token[token.len] = '\0';
    return false;
}

int judge_conditions(struct group *group, struct store_op *op, const struct head *head)
{
    struct frame_id last = group->store->last_stored;
    op->actual_seq = head ? head->next_seq : 0;
    op->actual_last = last;
    if (op->has_expect_token && !judge_token(op, head))
        return err_set(&op->err, ERR_CONDITION, "the topic's fencing token is another one");
    if (op->has_expect_seq && op->expect_seq != op->actual_seq)
        return err_set(&op->err, ERR_CONDITION,
                       "the next seq of the topic is %" PRIu64 ", not %" PRIu64, op->actual_seq,
                       op->expect_seq);
    if (op->has_expect_last && id_cmp(op->expect_last, last) != 0) {
        char text[ID_TEXT_LEN + 1];
        id_format(text, last);
        return err_set(&op->err, ERR_CONDITION, "the newest frame of the store is %s", text);
    }
    return 0;
}

/* --- frames ------------------------------------------------------------------------------- */

uint64_t judge_deadline(struct ttl ttl, uint64_t born_ms)
{
    if (ttl.kind != TTL_TIME)
        return 0;
    uint64_t deadline = born_ms + ttl.value;
    return deadline < born_ms ? UINT64_MAX : deadline;
}

void judge_frame(struct frame *out, const struct store_frame *in, const struct store_op *op)
{
    *out = (struct frame){.id = in->id,
                          .topic = in->topic,
                          .meta = in->meta,
                          .ttl = in->ttl,
                          .authority = op->authority,
                          .has_hash = in->has_hash,
                          .has_content = in->has_content,
                          .content_size = in->content_size,
                          .content = in->content,
                          .has_seq = in->has_seq,
                          .seq = in->seq,
                          .command = in->command != COMMAND_NONE,
                          .origin = in->origin,
                          .stamp = in->has_stamp ? in->stamp : id_time_ms(in->id),
                          .deadline_ms = in->has_stamp ? in->deadline_ms
                                                       : judge_deadline(in->ttl, id_time_ms(in->id))};
    if (in->has_hash)
        memcpy(out->digest, in->digest, DIGEST_SIZE);
}

/* Counts a frame that gets `seq` or none into its topic's head. */
int judge_take(struct group *group, struct head *head, struct frame *frame)
{
    head->changed = group->number;
    head->live++;
    if (head->created_ms == 0)
        head->created_ms = id_time_ms(frame->id);
    if (id_cmp(frame->id, head->last_id) > 0)
        head->last_id = frame->id;
    if (!frame->has_seq)
        return 0;
    if (frame->stamp < head->last_stamp)
        frame->stamp = head->last_stamp;
    head->last_stamp = frame->stamp;
    head->next_seq = frame->seq + 1;
    head->live_seq++;
    if (head->recent_at + head->recent_count == head->recent_cap)
        head_drop_recent(head, group->snap ? index_snap_number(group->snap)
                                           : atomic_load(&group->store->indexed));
    return head_push_recent(head, frame->id, frame->seq, group->number);
}

/* The client's timestamp, as far as the topic's rules let it. The ttl counts from the frame's own time all the same. */
static void choose_stamp(const struct group *group, struct frame *frame, const struct store_frame *in, const struct topic_rules *rules)
{
    frame->stamp = judge_stamp(rules, in, group->now_ms);
    frame->deadline_ms = judge_deadline(in->ttl, id_time_ms(in->id));
}

static int append_frame(struct group *group, struct store_op *op, size_t i)
{
    struct store_frame *in = &op->frames[i];
    struct head *head;
    struct frame frame;
    int r = group_head(group, in->topic, &head, &op->err);
    in->has_seq = in->ttl.kind != TTL_EPHEMERAL;
    if (r == 0 && in->has_seq)
        r = group_number_topic(group, head);
    if (r != 0)
        return r;
    in->id = judge_id(group, op, i);
    in->seq = in->has_seq ? head->next_seq : 0;
    judge_frame(&frame, in, op);
    frame.topic_no = head->no;
    if (in->has_stamp)
        choose_stamp(group, &frame, in, &head->rules);
    if (in->has_seq) {
        r = judge_take(group, head, &frame);
        group->store->last_stored = in->id;
    }
    in->stamp = frame.stamp;
    if (r == 0)
        r = group_add_frame(group, &frame, false);
    if (r == 0 && in->ttl.kind == TTL_LAST)
        r = cut_topic(group, head, in->ttl.value, &op->err);
    return r;
}

bool judge_limits(struct store_op *op)
{
    op->fenced = false;
    op->result = check_frames(op);
    if (op->result == 0)
        op->result = check_frameless(op);
    return op->result == 0;
}

int judge_append(struct group *group, struct store_op *op)
{
    uint8_t digest[DIGEST_SIZE];
    struct head *head = NULL;
    if (op->stream)
        return judge_stream(group, op);
    if (!judge_limits(op))
        return 0;
    for (size_t i = op->count;
         i-- > 0;) { /* load all before anything changes; ends with the first frame's */
        op->result = group_head(group, op->frames[i].topic, &head, &op->err);
        if (op->result != 0)
            return 0;
    }
    if (op->key.len && judge_key(group, op, head, digest))
        return 0;
    op->result = judge_conditions(group, op, head);
    if (op->result != 0)
        return 0;
    for (size_t i = 0; i < op->count; i++) {
        int r = append_frame(group, op, i);
        if (r != 0)
            return r;
    }
    int r = op->key.len ? judge_keep_key(group, op, head, digest) : 0;
    return r == 0 ? group_put_marks(group, op) : r;
}

/* --- removals and contents ---------------------------------------------------------------- */

/* A negative return gives the whole group up; what concerns this frame alone goes into op->result.
 */
static int remove_one(struct group *group, struct store_op *op, struct frame_id id)
{
    struct frame frame;
    struct head *head;
    int r = group_find(group, id, &frame, &op->err);
    if (r == ERR_NOT_FOUND)
        return 0;
    if (r == ERR_DAMAGED) { /* it goes all the same; of its topic's head nothing is known until the
                               index has moved */
        op->found = group->store->resync = true;
        return group_put_remove(group, id);
    }
    if (r == 0)
        r = group_head(group, frame.topic, &head, &op->err);
    if (r != 0) {
        op->result = r;
        return 0;
    }
    op->found = true;
    return group_remove(group, head, &frame);
}

int judge_remove(struct group *group, struct store_op *op)
{
    op->found = false;
    op->result = 0;
    if (!op->ids)
        return remove_one(group, op, op->id);
    for (size_t i = 0; i < op->count; i++) {
        int r = remove_one(group, op, op->ids[i]);
        if (r != 0)
            return r;
    }
    return 0;
}

int judge_content(struct group *group, struct store_op *op)
{
    op->result = 0;
    if (op->content.len > INLINE_MAX) {
        op->result =
            err_set(&op->err, ERR_TOO_LARGE,
                    "content of %zu bytes lies in the content directory, the most here is %d",
                    op->content.len, INLINE_MAX);
        return 0;
    }
    group->deferred = true;
    return op_put_content(&group->ops, op->digest, group->now_ms, op->content);
}
