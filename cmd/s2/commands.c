/* weir s2 check-tail, trim, fence. */
#include "base/s2/json.h"
#include "base/text.h"
#include "cmd/s2/verb.h"

enum { FENCE = 1 };

static const struct option_row fenced[] = {
    {.id = FENCE,
     .letter = 'f',
     .name = "fencing-token",
     .arg = "TOKEN",
     .help = "only while this is the stream's"},
    {.name = NULL},
};

static int open_stream(struct args *args, struct buf *room, struct weir_s2_stream *of)
{
    int rc = args_stream(args, args_operand(args, 0), room, of);
    return rc == 0 ? args_open(args, NULL) : rc;
}

static int check_tail(struct args *args)
{
    CLEAN_BUF room = BUF_INIT;
    CLEAN_BUF out = BUF_INIT;
    struct weir_s2_err err = WEIR_S2_ERR_INIT;
    struct weir_s2_stream of;
    struct s2_position tail;
    int rc = open_stream(args, &room, &of);
    if (rc != 0)
        return rc;
    if (weir_s2_tail(args->s2, of, &tail, &err) != 0)
        return args_fail(args, &err);
    if (s2_json_put_position(&out, &tail) != 0 || buf_add(&out, "\n", 1) != 0)
        return args_failf(args, "out of memory");
    return args_print(args, buf_span(&out));
}

static int print_ack(struct args *args, const struct s2_ack *ack)
{
    CLEAN_BUF out = BUF_INIT;
    if (s2_json_put_ack(&out, ack) != 0 || buf_add(&out, "\n", 1) != 0)
        return args_failf(args, "out of memory");
    return args_print(args, buf_span(&out));
}

static int trim(struct args *args)
{
    CLEAN_BUF room = BUF_INIT;
    struct weir_s2_err err = WEIR_S2_ERR_INIT;
    struct weir_s2_stream of;
    struct s2_ack ack;
    uint64_t seq_num;
    if (text_u64(span_str(args_operand(args, 1)), &seq_num) != 0)
        return args_usage(args, "`%s' is not a number from 0 to 18446744073709551615",
                          args_operand(args, 1));
    int rc = open_stream(args, &room, &of);
    if (rc != 0)
        return rc;
    if (weir_s2_trim(args->s2, of, seq_num, args_value(args, FENCE), &ack, &err) != 0)
        return args_fail(args, &err);
    return print_ack(args, &ack);
}

static int fence(struct args *args)
{
    CLEAN_BUF room = BUF_INIT;
    struct weir_s2_err err = WEIR_S2_ERR_INIT;
    struct weir_s2_stream of;
    struct s2_ack ack;
    int rc = open_stream(args, &room, &of);
    if (rc != 0)
        return rc;
    if (weir_s2_fence(args->s2, of, args_value(args, FENCE), args_operand(args, 1), &ack, &err) !=
        0)
        return args_fail(args, &err);
    return print_ack(args, &ack);
}

const struct verb verb_check_tail = {
    .name = "check-tail",
    .operands = "s2://BASIN/STREAM",
    .about = "print the tail of a stream: its next seq_num, its last timestamp\n",
    .min = 1,
    .max = 1,
    .exec = check_tail,
};

const struct verb verb_trim = {
    .name = "trim",
    .operands = "s2://BASIN/STREAM SEQ_NUM",
    .about = "remove the records below a seq_num\n",
    .options = fenced,
    .min = 2,
    .max = 2,
    .exec = trim,
};

const struct verb verb_fence = {
    .name = "fence",
    .operands = "s2://BASIN/STREAM TOKEN",
    .about = "set the fencing token of a stream\n"
             "From then on an append that says another one fails. The empty TOKEN ends that.\n",
    .options = fenced,
    .min = 2,
    .max = 2,
    .exec = fence,
};
