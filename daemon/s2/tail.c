/*
 * GET /v1/streams/{stream}/records/tail: the next seq_num and the newest timestamp.
 */
#include "daemon/s2/s2.h"

static void looked(struct s2_request *s, const struct store_topic *topic)
{
    CLEAN_BUF body = BUF_INIT;
    struct s2_position tail = {topic->next_seq, topic->last_stamp};
    s2_count_op(s, AUTH_CHECK_TAIL);
    if (s2_json_put_tail(&body, &tail) < 0)
        s2_fail(s, S2_OTHER, "no memory for the answer");
    else
        s2_reply(s, 200, "application/json", buf_span(&body), NULL);
}

static void entered(struct s2_request *s)
{
    s2_look(s, S2_AUTO_READ, looked);
}

static int begin(struct exchange *x, struct err *err)
{
    (void)err;
    return s2_enter((struct s2_request *)x, S2_NEED_BASIN | S2_NEED_STREAM, AUTH_CHECK_TAIL, entered);
}

static void finish(struct exchange *x)
{
    s2_finish((struct s2_request *)x);
}

const struct route s2_route_tail = {.size = sizeof(struct s2_request), .begin = begin, .finish = finish};
