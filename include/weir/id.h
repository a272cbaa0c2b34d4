/*
 * SCRU128 frame ids: 128 bits, big-endian, most significant field first.
 *
 *   bits  field       content
 *   48    timestamp   Unix time in milliseconds
 *   24    counter_hi  random start, renewed at most once a second
 *   24    counter_lo  random start per millisecond, then +1 per id
 *   32    entropy     fresh random per id
 *
 * Text form: exactly 25 base-36 digits, lower case when printed, any case when parsed.
 * Text order, byte order and numeric order are the same. Source: the SCRU128 specification.
 */
#ifndef WEIR_ID_H
#define WEIR_ID_H

#include <stdbool.h>
#include <stdint.h>

#include <weir/err.h>
#include <weir/span.h>

#define ID_SIZE 16     /**< bytes on disk */
#define ID_TEXT_LEN 25 /**< digits of the text form, without a NUL */

/** An id by value. hi holds timestamp and the top 16 bits of counter_hi; lo the rest. */
struct frame_id {
    uint64_t hi;
    uint64_t lo;
};

#define ID_MIN ((struct frame_id){0, 0})
#define ID_MAX ((struct frame_id){UINT64_MAX, UINT64_MAX})

/** The four fields, each in the low bits of its member. */
struct id_fields {
    uint64_t ts_ms;      /**< 48 bits, ms since the epoch */
    uint32_t counter_hi; /**< 24 bits */
    uint32_t counter_lo; /**< 24 bits */
    uint32_t entropy;    /**< 32 bits */
};

/** <0, 0, >0 as a is below, equal to, above b. */
static inline int id_cmp(struct frame_id a, struct frame_id b)
{
    if (a.hi != b.hi)
        return a.hi < b.hi ? -1 : 1;
    return a.lo < b.lo ? -1 : a.lo > b.lo;
}

static inline bool id_is_zero(struct frame_id a)
{
    return a.hi == 0 && a.lo == 0;
}

/** Milliseconds since the epoch, the id's time. */
static inline uint64_t id_time_ms(struct frame_id a)
{
    return a.hi >> 16;
}

/** The id one above / one below (wraps at the ends; callers check ID_MIN and ID_MAX). */
struct frame_id id_succ(struct frame_id id);
struct frame_id id_pred(struct frame_id id);

/** The lowest id whose time is ts_ms (all counters zero). ts_ms above 48 bits gives ID_MAX. */
struct frame_id id_at_time(uint64_t ts_ms);

/** Parses the 25-digit text. ERR_INVALID with a text that names the fault. */
int id_parse(struct frame_id *out, struct span text, struct err *err);

/** Writes the 25 digits and a NUL. */
void id_format(char out[static ID_TEXT_LEN + 1], struct frame_id id);

/** To and from 16 big-endian bytes. */
void id_put(uint8_t out[static ID_SIZE], struct frame_id id);
struct frame_id id_get(const uint8_t in[static ID_SIZE]);

/** Fields of an id, and an id of fields; ERR_INVALID names the field that is out of range. */
struct id_fields id_unpack(struct frame_id id);
int id_pack(struct frame_id *out, const struct id_fields *fields, struct err *err);

/**
 * Generator state. Never steps back: however far the clock goes back the timestamp is kept and the
 * counters rise. One owner; not thread-safe.
 */
struct id_gen {
    struct frame_id last;   /**< the newest id made or seen */
    uint64_t ts_counter_hi; /**< ms when counter_hi was renewed */
    uint8_t pool[512];      /**< random bytes not used yet */
    size_t left;            /**< how many of them */
};

/** Starts a generator whose first id is above `newest` (ID_MIN when there is none). */
void id_gen_init(struct id_gen *gen, struct frame_id newest);

/** The next id at wall clock now_ms: strictly above every id made or seen before. */
struct frame_id id_gen_next(struct id_gen *gen, uint64_t now_ms);

/** Takes note of a foreign id (an import): later ids are above it. Lower ids change nothing. */
void id_gen_raise(struct id_gen *gen, struct frame_id seen);

#endif
