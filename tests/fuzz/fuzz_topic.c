/*
 * A pattern list, a newline, and topics one a line: no crash, and a copy matches alike.
 */
#include <stdlib.h>

#include "base/topic.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool holds)
{
    if (!holds)
        abort();
}

static bool has_element(struct span list)
{
    for (size_t i = 0; i < list.len; i++) {
        if (list.ptr[i] != ',' && list.ptr[i] != ' ' && list.ptr[i] != '\t')
            return true;
    }
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *newline = size > 0 ? memchr(data, '\n', size) : NULL;
    struct span text = span_of(data, newline ? (size_t)(newline - data) : size);
    struct span topic = newline ? span_of(newline + 1, size - text.len - 1) : text;
    struct pattern_list list;
    struct pattern_list copy;
    struct err err = ERR_INIT;
    bool is_topic = topic_check(topic, &err) == 0;
    demand(is_topic || err.code == ERR_INVALID);
    if (pattern_parse(&list, text, &err) < 0) {
        /* A topic is always a pattern as well. */
        demand(topic_check(text, NULL) < 0);
        return 0;
    }
    demand(has_element(text));
    demand(pattern_dup(&copy, &list) == 0);
    demand(pattern_match(&list, topic) == pattern_match(&copy, topic));
    demand(!list.all || pattern_match(&list, topic));
    for (size_t i = 0; i < list.count; i++)
        demand(list.items[i].prefix || pattern_match(&copy, list.items[i].text));
    pattern_finish(&list);
    pattern_finish(&copy);
    return 0;
}
