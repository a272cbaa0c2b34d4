#include "daemon/s2/read_plan.h"

#include "base/text.h"

int read_check(const struct read_asked *asked, struct err *err)
{
    if (asked->has_seq + asked->has_stamp + asked->has_offset > 1)
        return err_set(err, ERR_INVALID, "only one of seq_num, timestamp and tail_offset can say where to start");
    if (asked->has_stamp && asked->has_until && asked->stamp >= asked->until)
        return err_set(err, ERR_INVALID, "the start timestamp has to be below until");
    return 0;
}

/* --- going on where an event stream was ---------------------------------------------------------------------- */

static struct span take_part(struct span *rest)
{
    const uint8_t *comma = rest->len ? memchr(rest->ptr, ',', rest->len) : NULL;
    size_t len = comma ? (size_t)(comma - rest->ptr) : rest->len;
    struct span part = span_of(rest->ptr, len);
    size_t skip = comma ? len + 1 : len;
    *rest = span_of(rest->ptr + skip, rest->len - skip);
    return part;
}

int read_place_parse(struct read_place *out, struct span text)
{
    struct read_place place;
    struct span rest = text;
    if (text_u64(take_part(&rest), &place.seq) < 0 || text_u64(take_part(&rest), &place.count) < 0)
        return ERR_INVALID;
    if (text_u64(rest, &place.bytes) < 0)
        return ERR_INVALID;
    *out = place;
    return 0;
}

static uint64_t less(uint64_t from, uint64_t what)
{
    return from > what ? from - what : 0;
}

void read_resume(struct read_asked *asked, const struct read_place *place)
{
    asked->has_stamp = asked->has_offset = false;
    asked->has_seq = true;
    asked->seq = place->seq == UINT64_MAX ? UINT64_MAX : place->seq + 1;
    asked->count = less(asked->count, place->count);
    asked->bytes = less(asked->bytes, place->bytes);
}

/* --- limits -------------------------------------------------------------------------------------------------- */

enum read_fit read_fit(const struct read_limits *limits, const struct read_caps *caps, size_t count, uint64_t bytes, uint64_t stamp,
                       uint64_t metered)
{
    if (limits->count == 0 || metered > limits->bytes || (limits->has_until && stamp >= limits->until))
        return READ_OVER;
    if (count > 0 && (count >= caps->count || metered > less(caps->bytes, bytes)))
        return READ_NEXT_BATCH;
    return READ_FITS;
}

void read_took(struct read_limits *limits, uint64_t count, uint64_t bytes)
{
    if (limits->count != UINT64_MAX)
        limits->count = less(limits->count, count);
    if (limits->bytes != UINT64_MAX)
        limits->bytes = less(limits->bytes, bytes);
}

bool read_spent(const struct read_limits *limits)
{
    return limits->count == 0 || limits->bytes == 0;
}

bool read_limited(const struct read_limits *limits)
{
    return limits->count != UINT64_MAX || limits->bytes != UINT64_MAX || limits->has_until;
}

static struct read_limits limits_of(const struct read_asked *asked)
{
    return (struct read_limits){.count = asked->has_count ? asked->count : UINT64_MAX,
                                .bytes = asked->has_bytes ? asked->bytes : UINT64_MAX,
                                .has_until = asked->has_until,
                                .until = asked->until};
}

/* --- the start ----------------------------------------------------------------------------------------------- */

/* Where to start; true: beyond everything there ever was. */
static bool find_start(struct read_plan *plan, const struct read_asked *asked, const struct s2_position *tail)
{
    plan->begin = READ_FROM_SEQ;
    if (asked->has_seq) {
        plan->from = asked->seq;
        return asked->seq > tail->seq_num;
    }
    if (asked->has_stamp) {
        plan->begin = READ_FROM_STAMP;
        plan->from = asked->stamp;
        return asked->stamp > tail->timestamp;
    }
    plan->from = less(tail->seq_num, asked->offset);
    return false;
}

/* True: the read has no end of its own, so it may begin where nothing is yet. */
static bool set_follow(struct read_plan *plan, const struct read_asked *asked, bool unary)
{
    uint64_t wait_s = unary && asked->wait_s > READ_WAIT_MAX_S ? READ_WAIT_MAX_S : asked->wait_s;
    plan->has_wait = wait_s > 0;
    plan->wait_ms = wait_s > UINT64_MAX / 1000 ? UINT64_MAX : wait_s * 1000;
    bool bounded = unary || asked->has_count || asked->has_bytes || asked->has_until;
    plan->follow = plan->has_wait || (!bounded && !asked->has_wait);
    return plan->follow || !bounded;
}

struct read_plan read_resolve(const struct read_asked *asked, const struct s2_position *tail, bool unary)
{
    struct read_plan plan = {.limits = limits_of(asked)};
    bool endless = set_follow(&plan, asked, unary);
    bool beyond = find_start(&plan, asked, tail);
    bool at_tail = beyond || tail->seq_num == 0 || (plan.begin == READ_FROM_SEQ && plan.from == tail->seq_num);
    if (at_tail) {
        plan.begin = READ_FROM_SEQ;
        plan.from = tail->seq_num;
    }
    if (read_spent(&plan.limits))
        plan.begin = READ_NOTHING;
    else if ((beyond && !asked->clamp) || (at_tail && !endless))
        plan.begin = READ_OUT_OF_RANGE;
    else if (at_tail && !plan.follow)
        plan.begin = READ_NOTHING;
    return plan;
}
