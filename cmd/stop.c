/* weir stop: end a program. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/clean.h"
#include "base/text.h"
#include "cmd/await.h"
#include "cmd/frames.h"
#include "cmd/output.h"
#include "cmd/table.h"
#include "cmd/which.h"

#define WAIT_MS 30000
#define ENDED 1

enum { WAIT = 1, NO_WAIT };

static const struct option_row options[] = {
    {.id = WAIT, .name = "wait", .arg = "TIME", .help = "for its end, at most so long (30s)"},
    {.id = NO_WAIT, .name = "no-wait", .help = "do not wait; print the frame that ends it"},
    {.name = NULL},
};

struct stop {
    const struct call *call;
    const struct life *life;
    const char *name;
    int status;
};

/* --- which -------------------------------------------------------------------------------------------- */

static int choose(const struct call *call, const struct lives *lives, const struct which *which, const struct life **out)
{
    const struct life *seen = NULL;
    CLEAN_BUF choices = BUF_INIT;
    size_t count = 0;
    for (int kind = 0; kind < LIFE_PROGRAMS; kind++) {
        const struct life *life = lives_find(lives, (enum life_kind)kind, which->name);
        if (!life || life->state == STATE_UNKNOWN || (which->kind >= 0 && which->kind != kind))
            continue;
        seen = life;
        if (!life_is_on(life))
            continue;
        *out = life;
        if (buf_addf(&choices, "%s%s/%s", count++ ? ", " : "", life_kind_name(life->kind), which->name) != 0)
            return call_failf(call, "out of memory");
    }
    if (count > 1)
        return call_usage(call, "`%s' means several; say which: %s", which->name, buf_cstr(&choices));
    if (count == 1)
        return 0;
    if (seen)
        return call_failf(call, "%s %s does not run: %s", life_kind_name(seen->kind), which->name, life_state_name(seen->state));
    return call_failf(call, "no program %s; `weir list' shows what there is", call_operand(call, 0));
}

/* --- ending it ---------------------------------------------------------------------------------------- */

static int tell(const struct stop *stop, struct span json)
{
    struct err err = ERR_INIT;
    CLEAN_BUF line = BUF_INIT;
    if (!call_for_people(stop->call))
        return output_line(stop->call, json);
    if (buf_addf(&line, "%s %s is stopped\n", life_kind_name(stop->life->kind), stop->name) != 0)
        return call_failf(stop->call, "out of memory");
    return output_write(buf_span(&line), &err) < 0 ? call_fail(stop->call, &err) : 0;
}

static int take_line(void *arg, struct span line)
{
    struct stop *stop = arg;
    struct frame_parts frame;
    struct life_words words;
    if (!frame_parts_take(&frame, line) || !life_read(&words, &frame) || words.kind != stop->life->kind ||
        !span_is(words.name, stop->name))
        return 0;
    if (words.event < LIFE_FIN_OK || words.event > LIFE_FIN_TERM)
        return 0;
    stop->status = tell(stop, line);
    return ENDED;
}

static int await_end(const struct call *call, struct weir *w, struct stop *stop, const char *after, uint64_t wait_ms)
{
    struct err err = ERR_INIT;
    CLEAN_BUF topics = BUF_INIT;
    int rc = life_patterns(&topics, stop->life->kind, stop->name) == 0 ? await_behind(w, buf_span(&topics), after, &err)
                                                                       : err_set(&err, -ENOMEM, "out of memory");
    if (rc == 0)
        rc = await_lines(w, wait_ms, take_line, stop, &err);
    if (rc == ENDED)
        return stop->status;
    if (rc == -ETIMEDOUT)
        return call_failf(call, "%s %s did not end within %" PRIu64 " ms; it is on its way", life_kind_name(stop->life->kind),
                          stop->name, wait_ms);
    if (rc == 0)
        return call_failf(call, "the daemon stopped; the order to end %s stands", stop->name);
    return call_fail(call, &err);
}

static int append_term(const struct call *call, struct weir *w, const struct stop *stop, char **json)
{
    struct err err = ERR_INIT;
    CLEAN_BUF topic = BUF_INIT;
    if (life_topic(&topic, stop->life->kind, stop->name, "term") != 0)
        return call_failf(call, "out of memory");
    const struct weir_append a = {.topic = buf_cstr(&topic)};
    return weir_append(w, &a, json, &err) == 0 ? 0 : call_fail(call, &err);
}

static int end(const struct call *call, struct weir *w, struct stop *stop, uint64_t wait_ms)
{
    CLEAN_FREE char *json = NULL;
    struct frame_parts frame;
    char id[ID_TEXT_LEN + 1] = "";
    int rc = append_term(call, w, stop, &json);
    if (rc != 0)
        return rc;
    if (call_has(call, NO_WAIT))
        return frames_print(call, span_str(json));
    if (!frame_parts_take(&frame, span_str(json)))
        return call_failf(call, "the daemon's answer is no frame");
    memcpy(id, frame.id.ptr, ID_TEXT_LEN);
    return await_end(call, w, stop, id, wait_ms);
}

static int stop_one(const struct call *call, struct weir *w, const struct which *which, uint64_t wait_ms)
{
    struct err err = ERR_INIT;
    struct lives lives = {0};
    struct stop stop = {.call = call, .name = which->name};
    CLEAN_BUF patterns = BUF_INIT;
    const char *text = which_patterns(&patterns, which) == 0 ? buf_cstr(&patterns) : NULL;
    int rc = text ? lives_read(&lives, w, text, &err) : err_set(&err, -ENOMEM, "out of memory");
    rc = rc == 0 ? choose(call, &lives, which, &stop.life) : call_fail(call, &err);
    if (rc == 0)
        rc = end(call, w, &stop, wait_ms);
    lives_finish(&lives);
    return rc;
}

static int exec(struct call *call)
{
    struct weir *w = NULL;
    struct which which = {.kind = -1};
    uint64_t wait_ms;
    int rc = which_operands(call, 1, 1);
    if (rc == 0)
        rc = which_parse(call, &which, call_operand(call, 0));
    if (rc == 0)
        rc = await_option(call, WAIT, WAIT_MS, &wait_ms);
    if (rc == 0)
        rc = call_open(call, &w);
    if (rc == 0)
        rc = stop_one(call, w, &which, wait_ms);
    weir_close(w);
    return rc;
}

const struct cmd cmd_stop = {
    .name = "stop",
    .group = GROUP_RUN,
    .summary = "end a service, handler or action",
    .operands = "NAME | KIND/NAME",
    .about = "Ends a program and waits until it is gone: SIGTERM, and SIGKILL when it does not\n"
             "heed that. It does not come back with the daemon; `weir KIND add' brings it back.\n"
             "KIND is service, handler or action, where several have that name.\n",
    .options = options,
    .takes = TAKES_ADDR | TAKES_JSON,
    .complete = COMPLETE_PROGRAMS,
    .exec = exec,
};
