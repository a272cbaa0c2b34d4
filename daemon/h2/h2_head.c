#include "daemon/h2/h2_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static int more_fields(struct h2_head *head)
{
    size_t cap = head->cap ? head->cap * 2 : 16;
    struct h2_field *fields = realloc(head->fields, cap * sizeof(*fields));
    if (!fields)
        return -ENOMEM;
    head->fields = fields;
    head->cap = cap;
    return 0;
}

static uint32_t put_text(struct buf *text, struct span from, bool lower)
{
    uint32_t at = (uint32_t)text->len;
    for (size_t i = 0; i < from.len; i++) {
        uint8_t c = from.ptr[i];
        buf_put(text, lower && c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c);
    }
    buf_put(text, '\0');
    return at;
}

int h2_head_add(struct h2_head *head, struct span name, struct span value)
{
    if (head->count == head->cap && more_fields(head) < 0)
        return -ENOMEM;
    if (buf_reserve(&head->text, name.len + value.len + 2) < 0)
        return -ENOMEM;
    struct h2_field *field = &head->fields[head->count++];
    field->name = put_text(&head->text, name, true);
    field->name_len = (uint32_t)name.len;
    field->value = put_text(&head->text, value, false);
    field->value_len = (uint32_t)value.len;
    head->cost += name.len + value.len + H2_FIELD_COST;
    return 0;
}

struct span h2_head_name(const struct h2_head *head, size_t i)
{
    return span_of(head->text.ptr + head->fields[i].name, head->fields[i].name_len);
}

struct span h2_head_value(const struct h2_head *head, size_t i)
{
    return span_of(head->text.ptr + head->fields[i].value, head->fields[i].value_len);
}

struct span h2_head_find(const struct h2_head *head, const char *name)
{
    for (size_t i = 0; i < head->count; i++)
        if (strcasecmp((const char *)head->text.ptr + head->fields[i].name, name) == 0)
            return h2_head_value(head, i);
    return (struct span){NULL, 0};
}

nghttp2_nv *h2_head_nv(const struct h2_head *head)
{
    nghttp2_nv *nv = calloc(head->count + 1, sizeof(*nv));
    for (size_t i = 0; nv && i < head->count; i++) {
        nv[i].name = head->text.ptr + head->fields[i].name;
        nv[i].namelen = head->fields[i].name_len;
        nv[i].value = head->text.ptr + head->fields[i].value;
        nv[i].valuelen = head->fields[i].value_len;
    }
    return nv;
}

void h2_head_finish(struct h2_head *head)
{
    buf_finish(&head->text);
    free(head->fields);
    *head = (struct h2_head){0};
}
