#include "base/s2/wire.h"

#include <weir/err.h>

#define GROUPS_MAX 100 /* groups within groups */
#define NUMBER_MAX ((UINT32_C(1) << 29) - 1)

static int take_u64(uint64_t *out, struct span *rest)
{
    if (rest->len > 0 && rest->ptr[0] < 0x80) {
        *out = rest->ptr[0];
        *rest = span_of(rest->ptr + 1, rest->len - 1);
        return 0;
    }
    uint64_t value = 0;
    for (size_t i = 0; i < rest->len && i < 10; i++) {
        uint64_t bits = rest->ptr[i] & 0x7f;
        if (i == 9 && bits > 1)
            return ERR_FORMAT;
        value |= bits << (7 * i);
        if (rest->ptr[i] < 0x80) {
            *out = value;
            *rest = span_of(rest->ptr + i + 1, rest->len - i - 1);
            return 0;
        }
    }
    return ERR_FORMAT;
}

static int take(struct span *out, size_t len, struct span *rest)
{
    if (len > rest->len)
        return ERR_FORMAT;
    *out = span_of(rest->ptr, len);
    *rest = span_of(rest->ptr + len, rest->len - len);
    return 0;
}

static int take_tag(struct wire_field *out, struct span *rest)
{
    uint64_t tag;
    if (take_u64(&tag, rest) < 0 || tag >> 3 == 0 || tag >> 3 > NUMBER_MAX || (tag & 7) > WIRE_32)
        return ERR_FORMAT;
    *out = (struct wire_field){.number = (uint32_t)(tag >> 3), .type = (enum wire_type)(tag & 7)};
    return 0;
}

/* What follows a tag; of groups nothing. */
static int take_value(struct wire_field *field, struct span *rest)
{
    uint64_t len;
    switch (field->type) {
    case WIRE_VARINT:
        return take_u64(&field->value, rest);
    case WIRE_64:
        return take(&field->bytes, 8, rest);
    case WIRE_32:
        return take(&field->bytes, 4, rest);
    case WIRE_BYTES:
        return take_u64(&len, rest) < 0 || len > rest->len ? ERR_FORMAT
                                                           : take(&field->bytes, (size_t)len, rest);
    case WIRE_GROUP:
    case WIRE_GROUP_END:
        break;
    }
    return 0;
}

/* Passes over a group whose tag was taken, up to its end. */
static int skip_group(uint32_t number, struct span *rest)
{
    uint32_t open[GROUPS_MAX];
    size_t depth = 1;
    open[0] = number;
    while (depth > 0) {
        struct wire_field field;
        if (take_tag(&field, rest) < 0 || take_value(&field, rest) < 0)
            return ERR_FORMAT;
        if (field.type == WIRE_GROUP) {
            if (depth == GROUPS_MAX)
                return ERR_FORMAT;
            open[depth++] = field.number;
        } else if (field.type == WIRE_GROUP_END && open[--depth] != field.number) {
            return ERR_FORMAT;
        }
    }
    return 0;
}

int wire_next(struct wire_field *out, struct span *rest)
{
    if (rest->len == 0)
        return 0;
    if (take_tag(out, rest) < 0 || out->type == WIRE_GROUP_END || take_value(out, rest) < 0)
        return ERR_FORMAT;
    if (out->type == WIRE_GROUP && skip_group(out->number, rest) < 0)
        return ERR_FORMAT;
    return 1;
}
