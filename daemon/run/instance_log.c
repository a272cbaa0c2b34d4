/*
 * What a program writes to its stderr: lines of the daemon's log, and ephemeral frames NAME.log for who follows. A program that writes faster
 * than anybody reads has lines left out, and is told so.
 */
#include "base/text.h"
#include "daemon/run/registry.h"

#define LINES_A_SECOND 500
#define LINE_LOGGED 1024 /* bytes of a line in the daemon's log */

static bool may_say(struct instance_state *state, uint64_t now_ms)
{
    uint64_t second = now_ms / 1000;
    if (second != state->log_second) {
        state->log_second = second;
        state->log_lines = 0;
    }
    return state->log_lines < LINES_A_SECOND && !emit_full(state->log);
}

static void append(struct instance *i, struct span line)
{
    CLEAN_BUF topic = BUF_INIT;
    CLEAN_BUF meta = BUF_INIT;
    if (buf_addf(&topic, "%s.log", i->def.name) < 0 || instance_meta(i, &meta, NULL, (struct span){0}) < 0)
        return;
    const struct emit_frame frame = {.topic = buf_span(&topic),
                                     .meta = buf_span(&meta),
                                     .ttl = {.kind = TTL_EPHEMERAL},
                                     .has_content = true,
                                     .content = line,
                                     .origin = span_str(i->origin.text)};
    emit_put(i->state->log, &frame, 1, NULL, NULL, NULL);
}

static void say(struct instance *i, struct span line)
{
    CLEAN_BUF clean = BUF_INIT;
    struct span shown = span_of(line.ptr, line.len < LINE_LOGGED ? line.len : LINE_LOGGED);
    if (text_neutralise(&clean, shown) == 0)
        log_say(i->site->daemon->log, LOG_INFO, words_kind(i->def.kind), "name=%s stderr=\"%.*s\"", i->def.name,
                SPAN_ARG(buf_span(&clean)));
    append(i, line);
}

void instance_log_line(struct instance *i, struct span line)
{
    struct instance_state *state = i->state;
    char text[64];
    if (!may_say(state, uv_now(i->site->daemon->loop))) {
        state->log_left_out++;
        return;
    }
    state->log_lines++;
    if (state->log_left_out > 0) {
        int n = snprintf(text, sizeof(text), "(%llu lines were left out)", (unsigned long long)state->log_left_out);
        state->log_left_out = 0;
        say(i, span_of(text, (size_t)n));
    }
    say(i, line);
}
