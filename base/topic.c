#include "base/topic.h"

#define XS_TOPIC_MAX 255

static bool is_letter(uint8_t c)
{
    return (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
}

static bool is_topic_byte(uint8_t c)
{
    return is_letter(c) || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.';
}

int topic_check(struct span topic, struct err *err)
{
    if (topic.len == 0)
        return err_set(err, ERR_INVALID, "the topic is empty");
    if (topic.len > XS_TOPIC_MAX)
        return err_set(err, ERR_INVALID, "the topic has %zu bytes, at most %d are allowed",
                       topic.len, XS_TOPIC_MAX);
    for (size_t i = 0; i < topic.len; i++) {
        uint8_t c = topic.ptr[i];
        if (!is_topic_byte(c))
            return err_set(err, ERR_INVALID,
                           "topic \"%.*s\": byte 0x%02x at %zu; only a-z A-Z 0-9 _ - . are allowed",
                           SPAN_ARG(topic), c, i + 1);
        if (c == '.' && i + 1 < topic.len && topic.ptr[i + 1] == '.')
            return err_set(err, ERR_INVALID, "topic \"%.*s\": two dots in a row", SPAN_ARG(topic));
    }
    if (!is_letter(topic.ptr[0]) && topic.ptr[0] != '_')
        return err_set(err, ERR_INVALID, "topic \"%.*s\" must start with a letter or _",
                       SPAN_ARG(topic));
    if (topic.ptr[topic.len - 1] == '.')
        return err_set(err, ERR_INVALID, "topic \"%.*s\" must not end with a dot", SPAN_ARG(topic));
    return 0;
}
