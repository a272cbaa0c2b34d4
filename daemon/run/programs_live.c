/*
 * Frames as they are appended: those that define and end programs, what was said of them, and calls.
 */
#include "daemon/run/registry.h"

/* The name of NAME.call; empty for other topics. */
static struct span called_name(struct span topic)
{
    bool call = topic.len > 5 && memcmp(topic.ptr + topic.len - 5, ".call", 5) == 0;
    return span_of(topic.ptr, call ? topic.len - 5 : 0);
}

static bool wanted(void *arg, const struct frame *frame)
{
    struct words words;
    (void)arg;
    return called_name(frame->topic).len > 0 || words_parse(&words, frame->topic);
}

/* Whether it defines something, as far as can be said at once: in seed words a large content is looked at later. */
static bool may_define(struct programs *all, const struct words *words, const struct frame *frame)
{
    bool later = frame->has_hash && !frame->has_content;
    return frame->authority == AUTHORITY_EXEC &&
           (words->words == WORDS_NEW || later || candidate_defines(all->site, words->words, frame));
}

static void created(struct programs *all, const struct words *words, const struct frame *frame)
{
    if (!may_define(all, words, frame))
        return;
    struct program *p = programs_get(all, words->kind, words->name);
    if (!p) {
        log_say(all->site->daemon->log, LOG_ERROR, "program", "topic=%.*s error=\"no memory\"", SPAN_ARG(frame->topic));
        return;
    }
    if (words->words == WORDS_NEW || frame->has_content)
        program_learn(p, words, frame, true);
    program_define(p, words, frame);
}

/* An end that came with somebody's exec authority (an import): what a start would not run does not run on either. */
static bool ends(const struct words *words, const struct frame *frame)
{
    enum program_event event = words->event;
    if (words->words == WORDS_SEED && event == EVENT_FIN_OK)
        event = words_end(frame->meta);
    return frame->authority == AUTHORITY_EXEC &&
           (event == EVENT_FIN_OK || event == EVENT_FIN_ERROR || event == EVENT_FIN_TERM);
}

static void said(struct programs *all, const struct words *words, const struct frame *frame)
{
    struct program *p = programs_find(all, words->kind, words->name);
    struct slots before = p ? p->slots : (struct slots){0};
    if (!p || !program_learn(p, words, frame, false))
        return;
    if (words->event == EVENT_TERM)
        program_term(p, words, frame->id, &before);
    else if (ends(words, frame))
        program_term(p, words, frame->id, &(struct slots){0});
}

static bool take(void *arg, const struct frame *frame)
{
    struct programs *all = arg;
    struct words words;
    struct span called = called_name(frame->topic);
    if (!all->begun)
        return false; /* first what history says */
    if (called.len > 0)
        program_call(all, programs_find(all, PROGRAM_ACTION, called), called, frame);
    else if (!words_parse(&words, frame->topic))
        return true;
    else if (words.event == EVENT_CREATE)
        created(all, &words, frame);
    else
        said(all, &words, frame);
    return true;
}

static void lost(void *arg, uint64_t count)
{
    struct programs *all = arg;
    log_say(all->site->daemon->log, LOG_WARN, "program", "lost_ephemeral=%llu", (unsigned long long)count);
}

static void ended(void *arg, const struct err *err)
{
    struct programs *all = arg;
    if (err)
        log_say(all->site->daemon->log, LOG_ERROR, "program", "deaf_to_definitions=\"%s\"", err->text);
}

int programs_follow(struct programs *all, struct err *err)
{
    const struct pump_options options = {.site = all->site,
                                         .query = {.skip_history = true, .follow = true},
                                         .contents = true,
                                         .filter = wanted,
                                         .frame = take,
                                         .lost = lost,
                                         .ended = ended,
                                         .arg = all};
    return pump_create(&all->pump, &options, err);
}
