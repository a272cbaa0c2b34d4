/* weir ack, weir nack: tell a group which of its frames are done, or are not to be waited for. */
#include <errno.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include "cmd/acks.h"
#include "cmd/human.h"
#include "cmd/output.h"
#include "cmd/table.h"

#define READ_SIZE ((size_t)64 * 1024)

enum { MEMBER = 1, UPTO };

static const struct option_row ack_options[] = {
    {.id = MEMBER, .name = "member", .arg = "M", .help = "with --upto: whose frames"},
    {.id = UPTO, .name = "upto", .arg = "ID", .help = "all that the member has, up to ID"},
    {.name = NULL},
};

static const struct option_row nack_options[] = {
    {.id = MEMBER, .name = "member", .arg = "M", .help = "only frames that this member has"},
    {.name = NULL},
};

static int add_operands(const struct call *call, struct acks *acks)
{
    struct err err = ERR_INIT;
    for (size_t i = 1; i < call->operand_count; i++)
        if (acks_add(acks, span_str(call->operands[i]), &err) != 0)
            return call_fail(call, &err);
    return 0;
}

/* Complete lines of the buffer; at the end of input the rest as well. */
static int add_lines(struct acks *acks, struct buf *input, bool ended, struct err *err)
{
    size_t at = 0;
    int rc = 0;
    while (rc == 0 && at < input->len) {
        const uint8_t *end = memchr(input->ptr + at, '\n', input->len - at);
        size_t len = end ? (size_t)(end - input->ptr) - at : input->len - at;
        if (!end && !ended)
            break;
        if (len > 0)
            rc = acks_add(acks, span_of(input->ptr + at, len), err);
        at += end ? len + 1 : len;
    }
    buf_consume(input, at);
    return rc;
}

/* Lines of standard input, acknowledged as they come. */
static int send_lines(struct acks *acks, struct weir *w, struct err *err)
{
    CLEAN_BUF input = BUF_INIT;
    ssize_t n = 1;
    int rc = 0;
    while (rc == 0 && n != 0) {
        if (buf_reserve(&input, READ_SIZE) != 0)
            return err_set(err, -ENOMEM, "out of memory");
        n = read(STDIN_FILENO, input.ptr + input.len, READ_SIZE);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_sys(err, errno, "read standard input");
        input.len += (size_t)n;
        struct err bad = ERR_INIT;
        int line = add_lines(acks, &input, n == 0, &bad);
        rc = acks_send(acks, w, err); /* what stood before a bad line counts */
        if (rc == 0 && (rc = line) < 0 && err)
            *err = bad;
    }
    return rc;
}

static int print_counts(const struct call *call, const struct acks *acks)
{
    char text[96];
    snprintf(text, sizeof(text), "{\"%s\":%" PRIu64 ",\"unknown\":%" PRIu64 "}",
             strcmp(acks->verb, "ack") == 0 ? "acked" : "nacked", acks->done, acks->unknown);
    int rc = output_line(call, span_str(text));
    if (rc == 0 && acks->unknown > 0)
        rc = call_failf(call, "%" PRIu64 " of the ids are not open in the group", acks->unknown);
    return rc;
}

static int check(const struct call *call)
{
    int rc = call_check_id(call, "--upto", call_value(call, UPTO));
    if (rc == 0 && call_has(call, UPTO) && !call_has(call, MEMBER))
        rc = call_usage(call, "--upto needs --member: whose frames are meant");
    return rc;
}

static int exec(struct call *call)
{
    struct err err = ERR_INIT;
    struct weir *w = NULL;
    struct acks acks = {.verb = call->cmd->name};
    int rc = call_operands(call, 1, SIZE_MAX);
    acks.group = call_operand(call, 0);
    acks.member = call_value(call, MEMBER);
    acks.upto = call_value(call, UPTO);
    if (rc == 0)
        rc = check(call);
    if (rc == 0)
        rc = add_operands(call, &acks);
    if (rc == 0)
        rc = call_open(call, &w);
    if (rc == 0) {
        bool lines = call->operand_count == 1 && !acks.upto;
        int sent = lines ? send_lines(&acks, w, &err) : acks_send(&acks, w, &err);
        rc = sent == 0 ? print_counts(call, &acks) : call_fail(call, &err);
    }
    weir_close(w);
    acks_finish(&acks);
    return rc;
}

const struct cmd cmd_ack = {
    .name = "ack",
    .group = GROUP_READ,
    .summary = "frames of a group are done",
    .operands = "GROUP [ID...]",
    .about =
        "Tells a group that these frames are done: nobody gets them again. Without IDs they are\n"
        "read from standard input, one a line; frames as cat prints them will do.\n",
    .options = ack_options,
    .takes = TAKES_ADDR,
    .exec = exec,
};

const struct cmd cmd_nack = {
    .name = "nack",
    .group = GROUP_READ,
    .summary = "frames of a group go to somebody else",
    .operands = "GROUP [ID...]",
    .about =
        "Hands open frames of a group back: somebody else gets them at once, until they were\n"
        "handed out too often. IDs as for ack.\n",
    .options = nack_options,
    .takes = TAKES_ADDR,
    .exec = exec,
};
