/* weir relay: opens both ends, runs the pump, shows how far it is. */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/text.h"
#include "bridge/relay/pump.h"
#include "cmd/human.h"
#include "cmd/progress.h"
#include "cmd/relay/parts.h"
#include "cmd/relay/verbs.h"
#include "cmd/relay_options.h"

#define TRIES 3 /* of a cursor that moved */

static int open_source(struct relay_source **out, const struct relay_parts *p, struct err *err)
{
    switch (p->input.protocol) {
    case SS_STDIO:
        return relay_stdio_source(out, &p->input, &p->options, err);
    case SS_FILE:
        return relay_file_source(out, &p->input, &p->options, err);
    case SS_REDIS:
    case SS_REDISS:
        return relay_redis_source(out, &p->input, &p->options, err);
    case SS_WEIR:
        return relay_weir_source(out, &p->input, &p->options, err);
    case SS_S2:
        return relay_s2_source(out, &p->input, &p->options, err);
    default:
        return err_set(err, ERR_INVALID, "unknown protocol %s", p->input.scheme);
    }
}

static int open_sink(struct relay_sink **out, const struct relay_parts *p, struct err *err)
{
    switch (p->output.protocol) {
    case SS_STDIO:
        return relay_stdio_sink(out, &p->output, &p->options, err);
    case SS_FILE:
        return relay_file_sink(out, &p->output, &p->options, err);
    case SS_REDIS:
    case SS_REDISS:
        return relay_redis_sink(out, &p->output, &p->options, err);
    case SS_WEIR:
        return relay_weir_sink(out, &p->output, &p->options, err);
    case SS_S2:
        return relay_s2_sink(out, &p->output, &p->options, err);
    default:
        return err_set(err, ERR_INVALID, "unknown protocol %s", p->output.scheme);
    }
}

/* --- what people see ----------------------------------------------------------------------------- */

static void on_tick(void *arg, const struct relay_result *r, const struct relay_source *s)
{
    struct progress *progress = arg;
    (void)s;
    progress->frames = r->messages;
    progress->bytes = r->bytes;
    progress_tick(progress);
}

static void summary(const struct relay_result *r, uint64_t took_us)
{
    CLEAN_BUF line = BUF_INIT;
    (void)buf_add_str(&line, "relay: ");
    (void)human_count(&line, r->messages);
    (void)buf_addf(&line, " message%s, ", r->messages == 1 ? "" : "s");
    (void)human_size(&line, r->bytes);
    (void)buf_addf(&line, " in %llu.%llu s", (unsigned long long)(took_us / 1000000),
                   (unsigned long long)(took_us / 100000 % 10));
    if (took_us > 0 && r->messages > 0) {
        (void)buf_add_str(&line, ", ");
        (void)human_count(&line, (uint64_t)((double)r->messages * 1e6 / (double)took_us));
        (void)buf_add_str(&line, "/s");
    }
    if (r->stopped)
        (void)buf_add_str(&line, "; stopped");
    const char *text = buf_cstr(&line);
    fprintf(stderr, "%s\n", text ? text : "");
}

/* --- the relay ----------------------------------------------------------------------------------- */

static int status_of(const struct call *call, const struct relay_parts *p, const struct relay_result *r)
{
    if (r->refused > 0)
        return call_failf(call, "%llu message%s did not go over", (unsigned long long)r->refused, r->refused == 1 ? "" : "s");
    if (r->bad > 0 && p->options.strict)
        return call_failf(call, "%llu bad %s%s skipped", (unsigned long long)r->bad,
                          p->input.protocol == SS_STDIO ? "line" : "message", r->bad == 1 ? " was" : "s were");
    return 0;
}

static int pump(const struct call *call, const struct relay_parts *p, struct relay_source *source, struct relay_sink *sink,
                struct err *err)
{
    struct relay_result result = {0};
    struct progress progress;
    uint64_t began_us = time_mono_us();
    progress_begin(&progress, "relay", source->total);
    progress.unit = "messages";
    int rc = relay_run(source, sink, &p->options, on_tick, &progress, &result, err);
    progress_end(&progress);
    if (rc != 0)
        return rc;
    if (isatty(STDERR_FILENO))
        summary(&result, time_mono_us() - began_us);
    return status_of(call, p, &result);
}

/* An exit status, or a negative code with its text. */
static int relay_once(const struct call *call, const struct relay_parts *p, struct err *err)
{
    struct relay_source *source = NULL;
    struct relay_sink *sink = NULL;
    int rc = open_source(&source, p, err);
    if (rc == 0)
        rc = open_sink(&sink, p, err);
    if (rc == 0)
        rc = pump(call, p, source, sink, err);
    if (sink)
        sink->ops->close(sink);
    if (source)
        source->ops->close(source);
    return rc;
}

/* A store says that the cursor moved when a relay that was killed had left a batch on its way. Nothing of ours went over then,
 * so it begins where that one ended; more than a few times means that another relay runs. */
static int relay(const struct call *call, const struct relay_parts *p)
{
    struct err err = ERR_INIT;
    int rc = relay_stop_begin(&err);
    for (int tries = 0; rc == 0 && tries < TRIES; tries++) {
        err = ERR_INIT;
        rc = relay_once(call, p, &err);
        if (rc != ERR_CONFLICT || !p->options.cursor || relay_stopped())
            break;
        rc = tries + 1 < TRIES ? 0 : rc;
    }
    if (rc == ERR_CONFLICT && p->options.cursor && relay_stopped())
        return 0;
    if (rc == -EINTR)
        return call_failf(call, "stopped before all was stored (%s); a cursor stands behind what was", err.text);
    return rc < 0 ? call_fail(call, &err) : rc;
}

static int exec(struct call *call)
{
    struct relay_parts parts = {0};
    int rc = call_operands(call, 0, 0);
    if (rc == 0)
        rc = parts_options(&parts, call);
    if (rc == 0)
        rc = parts_places(&parts, call);
    if (rc == 0)
        rc = relay(call, &parts);
    parts_finish(&parts);
    return rc;
}

const struct cmd verb_relay = {
    .name = "relay",
    .group = GROUP_MOVE,
    .summary = RELAY_SUMMARY,
    .operands = RELAY_OPERANDS,
    .about = RELAY_ABOUT,
    .options = relay_rows,
    .exec = exec,
};
