/*
 * The protobuf encoding: tags, varints, fields with a length.
 *
 * A reader walks a message field by field; a writer is a pointer into room that its caller made
 * after counting. Numbers are those of the protobuf encoding guide. Thread rule: any.
 */
#ifndef BASE_S2_WIRE_H
#define BASE_S2_WIRE_H

#include <weir/span.h>

enum wire_type {
    WIRE_VARINT = 0,
    WIRE_64 = 1,
    WIRE_BYTES = 2,
    WIRE_GROUP = 3,
    WIRE_GROUP_END = 4,
    WIRE_32 = 5
};

/** A field as it came. */
struct wire_field {
    uint32_t number;
    enum wire_type type;
    uint64_t value;    /**< WIRE_VARINT */
    struct span bytes; /**< WIRE_BYTES: points into the message */
};

/**
 * Takes the next field off `rest`; groups are passed over whole. 1: a field; 0: the message ends;
 * ERR_FORMAT.
 */
int wire_next(struct wire_field *out, struct span *rest);

static inline bool wire_is(const struct wire_field *field, uint32_t number, enum wire_type type)
{
    return field->number == number && field->type == type;
}

/** Bytes of a varint. */
static inline size_t wire_size_u64(uint64_t value)
{
    return ((unsigned)(63 - __builtin_clzll(value | 1)) * 9 + 73) / 64;
}

/** Bytes of a field of `len` bytes with a number below 16. */
static inline size_t wire_size_bytes(size_t len)
{
    return 1 + wire_size_u64(len) + len;
}

/** Bytes of a number field with a number below 16; a zero is left out. */
static inline size_t wire_size_number(uint64_t value)
{
    return value ? 1 + wire_size_u64(value) : 0;
}

static inline uint8_t *wire_put_u64(uint8_t *at, uint64_t value)
{
    while (value >= 0x80) {
        *at++ = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    *at++ = (uint8_t)value;
    return at;
}

static inline uint8_t *wire_put_tag(uint8_t *at, unsigned number, enum wire_type type)
{
    *at++ = (uint8_t)(number << 3 | type);
    return at;
}

/** A number field, also when it is zero. */
static inline uint8_t *wire_put_number(uint8_t *at, unsigned number, uint64_t value)
{
    return wire_put_u64(wire_put_tag(at, number, WIRE_VARINT), value);
}

/** Tag and length of what follows. */
static inline uint8_t *wire_put_head(uint8_t *at, unsigned number, size_t len)
{
    return wire_put_u64(wire_put_tag(at, number, WIRE_BYTES), len);
}

/** A field of bytes, also when it is empty. */
static inline uint8_t *wire_put_bytes(uint8_t *at, unsigned number, struct span bytes)
{
    at = wire_put_head(at, number, bytes.len);
    if (bytes.len > 0)
        memcpy(at, bytes.ptr, bytes.len);
    return at + bytes.len;
}

#endif
