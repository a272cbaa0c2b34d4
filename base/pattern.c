#include "base/text.h"
#include "base/topic.h"

#include <errno.h>
#include <stdlib.h>

static size_t count_commas(struct span text)
{
    size_t n = 0;
    for (size_t i = 0; i < text.len; i++)
        n += text.ptr[i] == ',';
    return n;
}

/* Takes the next element, blanks trimmed, off the rest. */
static struct span next_element(struct span *rest)
{
    const uint8_t *comma = memchr(rest->ptr, ',', rest->len);
    size_t len = comma ? (size_t)(comma - rest->ptr) : rest->len;
    struct span element = {rest->ptr, len};
    size_t used = comma ? len + 1 : len;
    *rest = (struct span){rest->ptr + used, rest->len - used};
    return text_trim(element);
}

static int add_element(struct pattern_list *list, struct span element, struct err *err)
{
    if (element.len == 0)
        return 0;
    if (span_is(element, "*")) {
        list->all = true;
        return 0;
    }
    bool prefix = element.len > 2 && memcmp(element.ptr + element.len - 2, ".*", 2) == 0;
    struct span topic = {element.ptr, prefix ? element.len - 2 : element.len};
    if (topic_check(topic, err) < 0) {
        err_prefix(err, "a pattern is a topic, PREFIX.* or *");
        return ERR_INVALID;
    }
    struct span kept = {element.ptr, prefix ? element.len - 1 : element.len};
    list->items[list->count++] = (struct pattern){kept, prefix};
    return 0;
}

static int add_elements(struct pattern_list *list, struct span rest, struct err *err)
{
    while (rest.len > 0) {
        int rc = add_element(list, next_element(&rest), err);
        if (rc < 0)
            return rc;
    }
    if (!list->all && list->count == 0)
        return err_set(err, ERR_INVALID,
                       "the pattern list is empty: name a topic, PREFIX.* or * for everything");
    return 0;
}

int pattern_parse(struct pattern_list *out, struct span text, struct err *err)
{
    struct pattern_list list = {
        .text = malloc(text.len + 1),
        .items = calloc(count_commas(text) + 1, sizeof(*list.items)),
    };
    int rc = -ENOMEM;
    if (!list.text || !list.items) {
        err_set(err, rc, "no memory for a pattern list of %zu bytes", text.len);
        goto fail;
    }
    if (text.len > 0)
        memcpy(list.text, text.ptr, text.len);
    list.text[text.len] = '\0';
    rc = add_elements(&list, span_of(list.text, text.len), err);
    if (rc < 0)
        goto fail;
    if (list.all) {
        pattern_finish(&list);
        list = PATTERN_ALL;
    }
    *out = list;
    return 0;
fail:
    pattern_finish(&list);
    return rc;
}

bool pattern_match(const struct pattern_list *list, struct span topic)
{
    if (list->all)
        return true;
    for (size_t i = 0; i < list->count; i++) {
        const struct pattern *p = &list->items[i];
        bool fits = p->prefix ? topic.len > p->text.len : topic.len == p->text.len;
        if (fits && (p->text.len == 0 || memcmp(topic.ptr, p->text.ptr, p->text.len) == 0))
            return true;
    }
    return false;
}

int pattern_dup(struct pattern_list *out, const struct pattern_list *list)
{
    size_t bytes = 0;
    for (size_t i = 0; i < list->count; i++)
        bytes += list->items[i].text.len;
    struct pattern_list copy = {
        .all = list->all,
        .count = list->count,
        .text = malloc(bytes + 1),
        .items = calloc(list->count + 1, sizeof(*copy.items)),
    };
    if (!copy.text || !copy.items) {
        pattern_finish(&copy);
        return -ENOMEM;
    }
    char *at = copy.text;
    for (size_t i = 0; i < list->count; i++) {
        struct span s = list->items[i].text;
        if (s.len > 0)
            memcpy(at, s.ptr, s.len);
        copy.items[i] = (struct pattern){span_of(at, s.len), list->items[i].prefix};
        at += s.len;
    }
    *at = '\0';
    *out = copy;
    return 0;
}

void pattern_finish(struct pattern_list *list)
{
    free(list->items);
    free(list->text);
    *list = (struct pattern_list){0};
}
