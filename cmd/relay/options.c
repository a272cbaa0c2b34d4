/* The options of a relay, all but its two places. */
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "cmd/relay/parts.h"
#include "cmd/relay_options.h"

static int take_number(const struct call *call, enum relay_option id, uint64_t min, uint64_t max, uint64_t *out)
{
    const char *text = call_value(call, id);
    uint64_t value;
    if (!text)
        return 0;
    if (text_u64(span_str(text), &value) != 0 || value < min || value > max) {
        for (const struct option_row *r = relay_rows; r->name; r++) {
            if (r->id == (int)id)
                return call_usage(call, "--%s is a number from %llu to %llu, not `%s'", r->name, (unsigned long long)min,
                                  (unsigned long long)max, text);
        }
    }
    *out = value;
    return 0;
}

static int take_offset(struct relay_options *o, const struct call *call)
{
    struct err err = ERR_INIT;
    const char *text = call_value(call, RELAY_OFFSET);
    if (!text || strcmp(text, "end") == 0)
        return 0;
    if (strcmp(text, "start") == 0) {
        o->start = RELAY_START;
        return 0;
    }
    if (text_u64(span_str(text), &o->value) == 0) {
        o->start = RELAY_SEQ;
        return 0;
    }
    o->start = RELAY_TIME;
    return ss_time_parse_moment(span_str(text), time_now_ms(), &o->value, &err) == 0
               ? 0
               : call_usage(call, "--offset is start, end, a sequence or a time, not `%s'", text);
}

static int take_until(struct relay_options *o, const struct call *call)
{
    struct err err = ERR_INIT;
    const char *text = call_value(call, RELAY_UNTIL);
    if (!text)
        return 0;
    if (ss_time_parse_moment(span_str(text), time_now_ms(), &o->until_ms, &err) != 0)
        return call_usage(call, "--until: %s", err.text);
    o->has_until = true;
    return o->mode == SS_REALTIME ? 0 : call_usage(call, "--until cannot be used with --mode %s", call_value(call, RELAY_MODE));
}

static int take_share(struct relay_options *o, const struct call *call)
{
    const char *text = call_value(call, RELAY_SHARE);
    const char *slash = text ? strchr(text, '/') : NULL;
    uint64_t index, count;
    if (!text)
        return 0;
    if (!slash || text_u64(span_of(text, (size_t)(slash - text)), &index) != 0 || text_u64(span_str(slash + 1), &count) != 0 ||
        index >= count)
        return call_usage(call, "--share is I/N with I from 0 to N-1, not `%s'", text);
    o->share_index = (size_t)index;
    o->share_count = (size_t)count;
    return 0;
}

static int take_word(const struct call *call, enum relay_option id, const char *name, const char *const *words, unsigned *out)
{
    const char *text = call_value(call, id);
    for (unsigned i = 0; text && words[i]; i++) {
        if (strcmp(text, words[i]) == 0) {
            *out = i;
            return 0;
        }
    }
    if (!text)
        return 0;
    CLEAN_BUF list = BUF_INIT;
    for (size_t i = 0; words[i]; i++)
        (void)buf_addf(&list, "%s%s", i == 0 ? "" : words[i + 1] ? ", " : " or ", words[i]);
    const char *shown = buf_cstr(&list);
    return call_usage(call, "--%s is %s, not `%s'", name, shown ? shown : "another word", text);
}

static int take_words(struct relay_options *o, const struct call *call)
{
    unsigned mode = SS_REALTIME, commit = SS_COMMIT_DELAYED, odd = SS_ODD_REFUSE;
    int rc = take_word(call, RELAY_MODE, "mode", relay_mode_words, &mode);
    if (rc == 0)
        rc = take_word(call, RELAY_COMMIT, "commit", relay_commit_words, &commit);
    if (rc == 0)
        rc = take_word(call, RELAY_ODD, "odd", relay_odd_words, &odd);
    o->mode = (enum ss_mode)mode;
    o->commit = (enum ss_commit)commit;
    o->odd = (enum ss_line_odd)odd;
    o->has_commit = call_has(call, RELAY_COMMIT);
    return rc;
}

static int take_numbers(struct relay_options *o, const struct call *call)
{
    uint64_t interval = 0, shards = 0;
    int rc = take_number(call, RELAY_LIMIT, 1, UINT64_MAX, &o->limit);
    if (rc == 0)
        rc = take_number(call, RELAY_INTERVAL, 128, UINT32_MAX, &interval);
    if (rc == 0)
        rc = take_number(call, RELAY_SIZE_LIMIT, 128, UINT64_MAX, &o->size_limit);
    if (rc == 0)
        rc = take_number(call, RELAY_SHARDS, 1, 65536, &shards);
    if (rc == 0)
        rc = take_number(call, RELAY_MAX_LEN, 1, UINT64_MAX, &o->max_len);
    o->interval = (uint32_t)interval;
    o->shards = (unsigned)shards;
    return rc;
}

static int add_rename(struct relay_parts *p, const struct call *call, const char *text)
{
    const char *equals = strchr(text, '=');
    if (!equals || equals == text || !equals[1])
        return call_usage(call, "--rename is OLD=NEW, not `%s'", text);
    char *old = strndup(text, (size_t)(equals - text));
    if (!old)
        return call_failf(call, "out of memory");
    p->renames[p->options.rename_count][0] = old;
    p->renames[p->options.rename_count++][1] = equals + 1;
    return 0;
}

static int take_renames(struct relay_parts *p, const struct call *call)
{
    p->renames = calloc(call->given_count + 1, sizeof(*p->renames));
    if (!p->renames)
        return call_failf(call, "out of memory");
    p->options.rename = p->renames;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < call->given_count; i++) {
        if (call->given[i].option->id == RELAY_RENAME)
            rc = add_rename(p, call, call->given[i].value);
    }
    if (rc == 0 && p->options.rename_count > 0 && !p->options.preserve)
        rc = call_usage(call, "--rename needs --preserve: without it everything goes under the output's key");
    return rc;
}

static void take_texts(struct relay_options *o, const struct call *call)
{
    o->follow = !call_has(call, RELAY_NO_FOLLOW);
    o->preserve = call_has(call, RELAY_PRESERVE);
    o->strict = call_has(call, RELAY_STRICT);
    o->end_mark = call_has(call, RELAY_END_MARK);
    o->make_stream = call_has(call, RELAY_MAKE_STREAM);
    o->insecure = call_has(call, RELAY_INSECURE);
    o->cursor = call_value(call, RELAY_CURSOR);
    o->group = call_value(call, RELAY_GROUP);
    o->member = call_value(call, RELAY_CONSUMER);
    o->field = call_value(call, RELAY_FIELD);
    o->ca_file = call_value(call, RELAY_CA);
}

static int check(const struct relay_options *o, const struct call *call)
{
    if (call_has(call, RELAY_FOLLOW) && !o->follow)
        return call_usage(call, "--follow and --no-follow exclude each other");
    if (o->cursor && !o->cursor[0])
        return call_usage(call, "--cursor needs a name");
    return 0;
}

int parts_options(struct relay_parts *p, const struct call *call)
{
    struct relay_options *o = &p->options;
    take_texts(o, call);
    int rc = take_words(o, call);
    if (rc == 0)
        rc = take_numbers(o, call);
    if (rc == 0)
        rc = take_offset(o, call);
    if (rc == 0)
        rc = take_until(o, call);
    if (rc == 0)
        rc = take_share(o, call);
    if (rc == 0)
        rc = take_renames(p, call);
    return rc == 0 ? check(o, call) : rc;
}

void parts_finish(struct relay_parts *p)
{
    for (size_t i = 0; p->renames && i < p->options.rename_count; i++)
        free((char *)p->renames[i][0]);
    free(p->renames);
    ss_url_finish(&p->input);
    ss_url_finish(&p->output);
}
