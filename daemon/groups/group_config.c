#include "daemon/groups/group_config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/clean.h"
#include "base/json.h"
#include "base/text.h"

#define CONFIG_TEXT_MAX (60 * 1024) /* of patterns; with the rest it fits into a mark */

/* --- names ------------------------------------------------------------------------------------ */

int group_name_check(struct span name, struct err *err)
{
    int rc = topic_check(name, err);
    if (rc < 0) {
        err_prefix(err, "a group's name is written as a topic");
        return rc;
    }
    if (name.len > GROUP_NAME_MAX)
        return err_set(err, ERR_INVALID, "a group's name has at most %d bytes", GROUP_NAME_MAX);
    if (name.len >= 3 && memcmp(name.ptr, "xs.", 3) == 0)
        return err_set(err, ERR_INVALID, "names of groups do not begin with xs.");
    return 0;
}

static bool is_member_byte(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c && strchr("_-.:@", c));
}

int group_member_check(struct span name, struct err *err)
{
    bool fits = name.len > 0 && name.len <= GROUP_MEMBER_MAX;
    for (size_t i = 0; fits && i < name.len; i++)
        fits = is_member_byte(name.ptr[i]);
    return fits ? 0
                : err_set(err, ERR_INVALID,
                          "a member's name has 1 to %d of the characters a-z A-Z 0-9 _ - . : @",
                          GROUP_MEMBER_MAX);
}

/* --- topics ----------------------------------------------------------------------------------- */

static int by_text(const void *a, const void *b)
{
    const struct pattern *p = a, *q = b;
    size_t len = p->text.len < q->text.len ? p->text.len : q->text.len;
    int order = memcmp(p->text.ptr, q->text.ptr, len);
    return order ? order : (p->text.len > q->text.len) - (p->text.len < q->text.len);
}

/* The same set of patterns is the same text. */
static int write_patterns(struct pattern_list *list, struct buf *out)
{
    int rc = list->all ? buf_add_str(out, "*") : 0;
    if (list->count > 0)
        qsort(list->items, list->count, sizeof(*list->items), by_text);
    for (size_t i = 0; rc == 0 && i < list->count; i++) {
        const struct pattern *p = &list->items[i];
        if (i > 0 && by_text(p, p - 1) == 0)
            continue;
        if (out->len > 0)
            rc = buf_add_str(out, ",");
        if (rc == 0)
            rc = buf_add_span(out, p->text);
        if (rc == 0 && p->prefix)
            rc = buf_add_str(out, "*");
    }
    return rc;
}

int group_config_topics(struct group_config *config, struct span patterns, struct err *err)
{
    struct pattern_list list;
    struct buf text = BUF_INIT;
    if (patterns.len > CONFIG_TEXT_MAX)
        return err_set(err, ERR_TOO_LARGE, "patterns of a group have at most %d bytes together",
                       CONFIG_TEXT_MAX);
    int rc = pattern_parse(&list, patterns, err);
    if (rc < 0)
        return rc;
    rc = write_patterns(&list, &text);
    if (rc < 0) {
        pattern_finish(&list);
        buf_finish(&text);
        return err_set(err, rc, "no memory for the patterns");
    }
    pattern_finish(&config->topics);
    buf_finish(&config->text);
    config->topics = list;
    config->text = text;
    config->given |= GROUP_TOPICS;
    return 0;
}

/* --- one setting each ------------------------------------------------------------------------- */

static int set_order(struct group_config *config, struct span value, struct err *err)
{
    if (!span_is(value, "topic") && !span_is(value, "none"))
        return err_set(err, ERR_INVALID, "neither topic nor none");
    config->rules.by_topic = span_is(value, "topic");
    config->given |= GROUP_ORDER;
    return 0;
}

static int set_max(struct group_config *config, struct span value, struct err *err)
{
    if (text_u64(value, &config->rules.max) < 0)
        return err_set(err, ERR_INVALID, "not a number; 0 is no bound");
    config->given |= GROUP_MAX;
    return 0;
}

static int set_timeout(struct group_config *config, struct span value, struct err *err)
{
    uint64_t ms;
    if (text_u64(value, &ms) < 0 || ms < GROUP_TIMEOUT_MIN_MS || ms > GROUP_TIMEOUT_MAX_MS)
        return err_set(err, ERR_INVALID, "not a number of milliseconds from %d to %" PRIu64,
                       GROUP_TIMEOUT_MIN_MS, GROUP_TIMEOUT_MAX_MS);
    config->rules.timeout_ms = ms;
    config->given |= GROUP_TIMEOUT;
    return 0;
}

int group_config_init(struct group_config *config)
{
    *config = (struct group_config){
        .topics = PATTERN_ALL,
        .rules = {.max = GROUP_ATTEMPTS, .timeout_ms = GROUP_TIMEOUT_MS}};
    return buf_add_str(&config->text, "*");
}

void group_config_finish(struct group_config *config)
{
    pattern_finish(&config->topics);
    buf_finish(&config->text);
}

/* --- JSON ------------------------------------------------------------------------------------- */

/* A text, or an array of texts put together with commas. */
static int take_topics(struct group_config *config, struct json_value value, struct err *err)
{
    CLEAN_BUF text = BUF_INIT;
    struct json_iter it;
    struct json_value element;
    int rc = 0;
    if (value.type == JSON_STRING) {
        rc = json_string_decode(value.raw, &text, err);
        return rc == 0 ? group_config_topics(config, buf_span(&text), err) : rc;
    }
    if (value.type != JSON_ARRAY || json_iter_init(&it, value.raw) < 0)
        return err_set(err, ERR_INVALID, "neither a text nor an array of texts");
    while (rc == 0 && json_iter_next(&it, NULL, &element)) {
        if (element.type != JSON_STRING)
            return err_set(err, ERR_INVALID, "neither a text nor an array of texts");
        rc = json_string_decode(element.raw, &text, err);
        if (rc == 0)
            rc = buf_add_str(&text, ",");
    }
    return rc == 0 ? group_config_topics(config, buf_span(&text), err) : rc;
}

static int take_order(struct group_config *config, struct json_value value, struct err *err)
{
    CLEAN_BUF text = BUF_INIT;
    if (value.type == JSON_NULL)
        return set_order(config, span_str("none"), err);
    if (value.type != JSON_STRING)
        return err_set(err, ERR_INVALID, "not a text");
    int rc = json_string_decode(value.raw, &text, err);
    return rc == 0 ? set_order(config, buf_span(&text), err) : rc;
}

static int take_at(struct group_place *place, struct json_value value, struct err *err)
{
    CLEAN_BUF text = BUF_INIT;
    if (!place)
        return err_set(err, ERR_INVALID, "is not known");
    if (value.type != JSON_STRING)
        return err_set(err, ERR_INVALID, "neither first, new nor an id");
    int rc = json_string_decode(value.raw, &text, err);
    if (rc < 0)
        return rc;
    *place = (struct group_place){.start = GROUP_START_BEHIND};
    if (span_is(buf_span(&text), "first"))
        place->start = GROUP_START_FIRST;
    else if (span_is(buf_span(&text), "new"))
        place->start = GROUP_START_NEW;
    else
        rc = id_parse(&place->id, buf_span(&text), err);
    return rc;
}

static int take_member(struct group_config *config, struct span key, struct json_value value,
                       struct group_place *place, struct err *err)
{
    if (json_string_is(key, "topics"))
        return take_topics(config, value, err);
    if (json_string_is(key, "order"))
        return take_order(config, value, err);
    if (json_string_is(key, "max"))
        return set_max(config, value.raw, err);
    if (json_string_is(key, "timeout_ms"))
        return set_timeout(config, value.raw, err);
    if (json_string_is(key, "at"))
        return take_at(place, value, err);
    return err_set(err, ERR_INVALID, "is none of topics, order, max, timeout_ms, at");
}

int group_config_parse(struct group_config *config, struct span json, struct group_place *place,
                       struct err *err)
{
    struct json_iter it;
    struct json_value value;
    struct span key;
    int rc = json_validate(json, 3, NULL, err);
    if (rc < 0)
        return rc;
    if (json_type_of(json) != JSON_OBJECT || json_iter_init(&it, json) < 0)
        return err_set(err, ERR_INVALID, "the settings of a group are an object");
    while (rc == 0 && json_iter_next(&it, &key, &value)) {
        rc = take_member(config, key, value, place, err);
        if (rc < 0)
            err_prefix(err, "%.*s", key.len < 64 ? (int)key.len : 64, (const char *)key.ptr);
    }
    return rc;
}

int group_config_json(const struct group_config *config, struct buf *out)
{
    const struct delivery_rules *rules = &config->rules;
    int rc = buf_add_str(out, "\"topics\":");
    if (rc == 0)
        rc = json_put_string(out, buf_span(&config->text));
    if (rc == 0)
        rc = buf_addf(out, ",\"order\":%s,\"max\":%" PRIu64 ",\"timeout_ms\":%" PRIu64,
                      rules->by_topic ? "\"topic\"" : "null", rules->max, rules->timeout_ms);
    return rc;
}

/* --- two of them ------------------------------------------------------------------------------ */

int group_config_fits(const struct group_config *have, const struct group_config *asked,
                      struct err *err)
{
    const struct delivery_rules *a = &have->rules, *b = &asked->rules;
    unsigned given = asked->given;
    if (given & GROUP_TOPICS && !span_eq(buf_span(&have->text), buf_span(&asked->text)))
        return err_set(err, ERR_CONFLICT, "the group's topics are %.*s, not %.*s",
                       have->text.len < 80 ? (int)have->text.len : 80, (const char *)have->text.ptr,
                       asked->text.len < 80 ? (int)asked->text.len : 80,
                       (const char *)asked->text.ptr);
    if (given & GROUP_ORDER && a->by_topic != b->by_topic)
        return err_set(err, ERR_CONFLICT, "the group's order is %s",
                       a->by_topic ? "topic" : "none");
    if (given & GROUP_MAX && a->max != b->max)
        return err_set(err, ERR_CONFLICT, "the group's max is %" PRIu64, a->max);
    if (given & GROUP_TIMEOUT && a->timeout_ms != b->timeout_ms)
        return err_set(err, ERR_CONFLICT, "the group's timeout_ms is %" PRIu64, a->timeout_ms);
    return 0;
}

int group_config_apply(struct group_config *have, const struct group_config *asked)
{
    struct delivery_rules *a = &have->rules;
    if (asked->given & GROUP_TOPICS) {
        int rc = group_config_topics(have, buf_span(&asked->text), NULL);
        if (rc < 0)
            return rc;
    }
    a->by_topic = asked->given & GROUP_ORDER ? asked->rules.by_topic : a->by_topic;
    a->max = asked->given & GROUP_MAX ? asked->rules.max : a->max;
    a->timeout_ms = asked->given & GROUP_TIMEOUT ? asked->rules.timeout_ms : a->timeout_ms;
    return 0;
}

/* --- queries ---------------------------------------------------------------------------------- */

static int ask_group(struct group_ask *ask, struct span value, struct err *err)
{
    int rc = group_name_check(value, err);
    return rc == 0 ? buf_add_span(&ask->group, value) : rc;
}

static int ask_member(struct group_ask *ask, struct span value, struct err *err)
{
    int rc = group_member_check(value, err);
    return rc == 0 ? buf_add_span(&ask->member, value) : rc;
}

static int ask_topic(struct group_ask *ask, struct span value, struct err *err)
{
    return group_config_topics(&ask->config, value, err);
}

static int ask_order(struct group_ask *ask, struct span value, struct err *err)
{
    return set_order(&ask->config, value, err);
}

static int ask_max(struct group_ask *ask, struct span value, struct err *err)
{
    return set_max(&ask->config, value, err);
}

static int ask_timeout(struct group_ask *ask, struct span value, struct err *err)
{
    return set_timeout(&ask->config, value, err);
}

static int ask_ack(struct group_ask *ask, struct span value, struct err *err)
{
    ask->by_hand = span_is(value, "manual");
    return ask->by_hand || span_is(value, "auto")
               ? 0
               : err_set(err, ERR_INVALID, "neither manual nor auto");
}

static int ask_window(struct group_ask *ask, struct span value, struct err *err)
{
    if (text_u64(value, &ask->window) < 0 || ask->window < 1 || ask->window > GROUP_WINDOW_MAX)
        return err_set(err, ERR_INVALID, "not a number from 1 to %d", GROUP_WINDOW_MAX);
    return 0;
}

static int ask_grace(struct group_ask *ask, struct span value, struct err *err)
{
    if (text_u64(value, &ask->grace_ms) < 0 || ask->grace_ms > GROUP_TIMEOUT_MAX_MS)
        return err_set(err, ERR_INVALID, "not a number of milliseconds");
    return 0;
}

static int ask_upto(struct group_ask *ask, struct span value, struct err *err)
{
    ask->has_upto = true;
    return id_parse(&ask->upto, value, err);
}

static const struct {
    const char *name;
    int (*take)(struct group_ask *ask, struct span value, struct err *err);
} keys[] = {{"group", ask_group},   {"member", ask_member}, {"topic", ask_topic},
            {"order", ask_order},   {"max", ask_max},       {"timeout_ms", ask_timeout},
            {"ack", ask_ack},       {"window", ask_window}, {"grace_ms", ask_grace},
            {"upto", ask_upto}};

#define KEYS (sizeof(keys) / sizeof(keys[0]))

static int take_pair(struct group_ask *ask, struct span key, struct span raw, unsigned *seen,
                     struct err *err)
{
    CLEAN_BUF text = BUF_INIT;
    size_t i = 0;
    int rc = uri_decode(&text, key, true, err);
    while (rc == 0 && i < KEYS && !span_is(buf_span(&text), keys[i].name))
        i++;
    if (rc < 0 || i == KEYS)
        return rc;
    if (*seen & 1u << i)
        return err_set(err, ERR_INVALID, "%s: is there twice", keys[i].name);
    *seen |= 1u << i;
    buf_reset(&text);
    rc = uri_decode(&text, raw, true, err);
    if (rc == 0)
        rc = keys[i].take(ask, buf_span(&text), err);
    if (rc < 0)
        err_prefix(err, "%s", keys[i].name);
    return rc;
}

int group_ask_parse(struct group_ask *out, struct span raw, struct err *err)
{
    struct group_ask ask = {.window = GROUP_WINDOW, .grace_ms = GROUP_GRACE_MS};
    struct span key, value;
    bool has_value;
    unsigned seen = 0;
    int rc = group_config_init(&ask.config);
    while (rc == 0 && uri_query_next(&raw, &key, &value, &has_value))
        rc = take_pair(&ask, key, value, &seen, err);
    if (rc < 0) {
        group_ask_finish(&ask);
        return rc;
    }
    *out = ask;
    return 0;
}

void group_ask_finish(struct group_ask *ask)
{
    group_config_finish(&ask->config);
    buf_finish(&ask->group);
    buf_finish(&ask->member);
}
