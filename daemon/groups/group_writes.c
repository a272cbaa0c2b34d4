/*
 * What a group records in the store: acknowledgements, its place, its settings.
 */
#include <errno.h>
#include <stdlib.h>

#include "daemon/groups/group_impl.h"

#define RETRY_DOUBLINGS 6
#define FLUSH_MS 60000 /* a place that moved without acknowledgements is recorded so often */

struct group_write {
    struct submission submission;
    struct store_mark mark;
    struct group_host *host;
    struct group_call *call;
    struct frame_id *done;
    struct buf config;
};

static void end_wait(struct group_host *host, int result, const struct err *err)
{
    struct group_call *call = host->waiting;
    host->making = false;
    host->waiting = NULL;
    while (call) {
        struct group_call *next = call->next;
        call->after(call, result, err);
        call = next;
    }
}

static void note_failure(struct group_host *host, const struct store_op *op)
{
    log_say(host->site->daemon->log, LOG_WARN, "group", "name=%.*s not_recorded=\"%s\"",
            SPAN_ARG(group_host_name(host)), op->err.text);
    delivery_record_failed(&host->delivery);
    if (op->marks->kind == STORE_MARK_DROP)
        host->dropped = false;
    else if (op->marks->kind == STORE_MARK_SET)
        host->set_again = true;
    host->retry_ms = group_host_now(host) + (uint64_t)GROUP_RETRY_MS * (1u << host->failures);
    if (host->failures < RETRY_DOUBLINGS)
        host->failures++;
}

static void written(struct submission *submission)
{
    struct group_write *write =
        (struct group_write *)((char *)submission - offsetof(struct group_write, submission));
    struct group_host *host = write->host;
    const struct store_op *op = &submission->op;
    host->writes--;
    if (op->result < 0)
        note_failure(host, op);
    else
        host->failures = 0;
    if (host->making && op->result < 0)
        host->dropped = true;
    if (host->making)
        end_wait(host, op->result, &op->err);
    if (write->call)
        write->call->after(write->call, op->result, &op->err);
    group_host_settle(host);
    buf_finish(&write->config);
    free(write->done);
    free(write);
    group_host_drop(host);
}

static struct group_write *new_write(struct group_host *host, enum store_mark_kind kind,
                                     struct group_call *call)
{
    struct group_write *write = calloc(1, sizeof(*write));
    if (!write)
        return NULL;
    write->host = host;
    write->call = call;
    write->mark = (struct store_mark){.kind = kind, .name = buf_span(&host->mark)};
    return write;
}

static void submit_write(struct group_write *write)
{
    struct group_host *host = write->host;
    write->submission = (struct submission){.op = {.kind = STORE_APPEND,
                                                   .authority = AUTHORITY_DAEMON,
                                                   .marks = &write->mark,
                                                   .mark_count = 1},
                                            .after = written};
    group_host_hold(host);
    host->writes++;
    host->flush_ms = 0;
    submit_op(&host->site->source, &write->submission);
}

/* What is to be recorded, into the mark. */
static int take_record(struct group_write *write)
{
    struct delivery_record record;
    int rc = delivery_record(&write->host->delivery, &record);
    if (rc < 0)
        return rc;
    write->done = record.done;
    write->mark.low = record.low;
    write->mark.acked = record.done;
    write->mark.acked_count = record.count;
    return 0;
}

static int write_now(struct group_host *host, struct group_call *call)
{
    struct group_write *write = new_write(host, STORE_MARK_ACK, call);
    int rc = write ? take_record(write) : -ENOMEM;
    if (rc < 0) {
        free(write);
        return rc;
    }
    submit_write(write);
    return 0;
}

bool group_host_record(struct group_host *host, struct group_call *call, int *result)
{
    *result = 0;
    if (host->dropped) {
        *result = ERR_NOT_FOUND;
        return false;
    }
    if (!delivery_dirty(&host->delivery, false) && host->writes == 0)
        return false;
    *result = write_now(host, call);
    return *result == 0;
}

static int write_config(struct group_write *write)
{
    int rc = buf_add_str(&write->config, "{");
    if (rc == 0)
        rc = group_config_json(&write->host->config, &write->config);
    if (rc == 0)
        rc = buf_add_str(&write->config, "}");
    write->mark.config = buf_span(&write->config);
    return rc;
}

int group_host_set(struct group_host *host, struct group_call *call)
{
    struct group_write *write = new_write(host, STORE_MARK_SET, call);
    int rc = write ? write_config(write) : -ENOMEM;
    host->delivery.record_all = true;
    if (rc == 0)
        rc = take_record(write);
    if (rc < 0) {
        if (write)
            buf_finish(&write->config);
        free(write);
        return rc;
    }
    host->set_again = false;
    submit_write(write);
    return 0;
}

int group_host_remove(struct group_host *host, struct group_call *call)
{
    struct group_write *write = new_write(host, STORE_MARK_DROP, call);
    if (!write)
        return -ENOMEM;
    host->dropped = true;
    host->bury.cancelled = true;
    group_host_close_seats(host, ERR_NOT_FOUND);
    submit_write(write);
    group_host_settle(host);
    return 0;
}

bool group_host_wait(struct group_host *host, struct group_call *call)
{
    struct group_call **at = &host->waiting;
    if (!host->making)
        return false;
    while (*at)
        at = &(*at)->next;
    call->next = NULL;
    *at = call;
    return true;
}

/* Acknowledgements that nobody waits for, and a place that moved. */
void group_host_record_soon(struct group_host *host)
{
    uint64_t now = group_host_now(host);
    bool moved = delivery_dirty(&host->delivery, true);
    if (!moved || host->writes > 0 || now < host->retry_ms)
        return;
    if (host->flush_ms == 0)
        host->flush_ms = now + FLUSH_MS;
    if (!delivery_dirty(&host->delivery, false) && host->connected > 0 && now < host->flush_ms)
        return;
    if ((host->set_again ? group_host_set : write_now)(host, NULL) < 0)
        host->retry_ms = now + GROUP_RETRY_MS;
}
