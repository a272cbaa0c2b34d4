#include <weir/id.h>

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#include "base/bytes.h"

typedef unsigned __int128 u128;

#define TS_MAX ((UINT64_C(1) << 48) - 1)
#define COUNTER_MAX UINT32_C(0xffffff)
#define COUNTER_HI_PERIOD_MS 1000

#define POW36_6 UINT32_C(2176782336)
#define POW36_12 UINT64_C(4738381338321616896)
#define POW3_24 UINT64_C(282429536481) /* 36^12 = 3^24 << 24 */

struct frame_id id_succ(struct frame_id id)
{
    id.lo++;
    if (id.lo == 0)
        id.hi++;
    return id;
}

struct frame_id id_pred(struct frame_id id)
{
    if (id.lo == 0)
        id.hi--;
    id.lo--;
    return id;
}

struct frame_id id_at_time(uint64_t ts_ms)
{
    if (ts_ms > TS_MAX)
        return ID_MAX;
    return (struct frame_id){ts_ms << 16, 0};
}

/* --- text form ------------------------------------------------------------------------------ */

static unsigned digit_value(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    unsigned letter = (c | 0x20u) - 'a';
    return letter < 26 ? letter + 10 : 36;
}

int id_parse(struct frame_id *out, struct span text, struct err *err)
{
    if (text.len != ID_TEXT_LEN)
        return err_set(err, ERR_INVALID, "an id has %d characters, this has %zu", ID_TEXT_LEN,
                       text.len);
    u128 value = 0;
    for (size_t i = 0; i < ID_TEXT_LEN; i++) {
        unsigned digit = digit_value(text.ptr[i]);
        if (digit > 35)
            return err_set(err, ERR_INVALID,
                           "an id has only 0-9 and a-z, not the byte 0x%02x at %zu", text.ptr[i],
                           i + 1);
        if (__builtin_mul_overflow(value, (u128)36, &value) ||
            __builtin_add_overflow(value, (u128)digit, &value))
            return err_set(err, ERR_INVALID,
                           "the id %.*s is above the largest, f5lxx1zz5pnorynqglhzmsp33",
                           SPAN_ARG(text));
    }
    *out = (struct frame_id){(uint64_t)(value >> 64), (uint64_t)value};
    return 0;
}

#define ROW(a)                                                                                     \
    a "0" a "1" a "2" a "3" a "4" a "5" a "6" a "7" a "8" a "9" a "a" a "b" a "c" a "d" a "e" a    \
      "f" a "g" a "h" a "i" a "j" a "k" a "l" a "m" a "n" a "o" a "p" a "q" a "r" a "s" a "t" a    \
      "u" a "v" a "w" a "x" a "y" a "z"

/* The two digits of every number below 36 * 36. */
static const char pairs[] = ROW("0") ROW("1") ROW("2") ROW("3") ROW("4") ROW("5") ROW("6") ROW("7")
    ROW("8") ROW("9") ROW("a") ROW("b") ROW("c") ROW("d") ROW("e") ROW("f") ROW("g") ROW("h")
        ROW("i") ROW("j") ROW("k") ROW("l") ROW("m") ROW("n") ROW("o") ROW("p") ROW("q") ROW("r")
            ROW("s") ROW("t") ROW("u") ROW("v") ROW("w") ROW("x") ROW("y") ROW("z");

static inline void put_six(char *out, uint32_t v)
{
    uint32_t high = v / (1296 * 1296);
    uint32_t rest = v % (1296 * 1296);
    memcpy(out, pairs + 2 * high, 2);
    memcpy(out + 2, pairs + 2 * (rest / 1296), 2);
    memcpy(out + 4, pairs + 2 * (rest % 1296), 2);
}

static inline void put_twelve(char *out, uint64_t v)
{
    put_six(out, (uint32_t)(v / POW36_6));
    put_six(out + 6, (uint32_t)(v % POW36_6));
}

/*
 * Divides by 36^12 without a 128-bit division: the factor 2^24 is a shift, and the 104 bits left
 * are divided by 3^24 (39 bits) in three steps of 64-bit divisions by a constant, 25 bits brought
 * down at each. The quotient has up to 66 bits, of which its lowest 64 (`quotient`) and, by its own
 * division, the first of the 25 digits (`first`) are enough.
 */
static inline void split(struct frame_id id, unsigned *first, uint64_t *middle, uint64_t *low)
{
    const uint64_t mask25 = (UINT64_C(1) << 25) - 1;
    uint64_t x_hi = id.hi >> 10; /* bits 50 and up of the value shifted right by 24 */
    uint64_t x_lo = (id.hi << 40) | (id.lo >> 24);

    uint64_t q0 = x_hi / POW3_24;
    uint64_t step = (x_hi % POW3_24) << 25 | (x_lo >> 25 & mask25);
    uint64_t q1 = step / POW3_24;
    step = (step % POW3_24) << 25 | (x_lo & mask25);
    uint64_t q2 = step / POW3_24;

    *low = (step % POW3_24) << 24 | (id.lo & COUNTER_MAX);
    uint64_t quotient_high = q0 << 26 | q1 << 1 | q2 >> 24; /* quotient >> 24 */
    uint64_t quotient = q0 << 50 | q1 << 25 | q2;           /* its low 64 bits */
    *first = (unsigned)(quotient_high / POW3_24);
    *middle = quotient - *first * POW36_12;
}

void id_format(char out[static ID_TEXT_LEN + 1], struct frame_id id)
{
    unsigned first;
    uint64_t middle;
    uint64_t low;
    split(id, &first, &middle, &low);
    out[0] = pairs[2 * first + 1];
    put_twelve(out + 1, middle);
    put_twelve(out + 13, low);
    out[ID_TEXT_LEN] = '\0';
}

/* --- bytes and fields ---------------------------------------------------------------------------
 */

void id_put(uint8_t out[static ID_SIZE], struct frame_id id)
{
    put_be64(out, id.hi);
    put_be64(out + 8, id.lo);
}

struct frame_id id_get(const uint8_t in[static ID_SIZE])
{
    return (struct frame_id){get_be64(in), get_be64(in + 8)};
}

struct id_fields id_unpack(struct frame_id id)
{
    return (struct id_fields){
        .ts_ms = id.hi >> 16,
        .counter_hi = (uint32_t)((id.hi & 0xffff) << 8 | id.lo >> 56),
        .counter_lo = (uint32_t)(id.lo >> 32) & COUNTER_MAX,
        .entropy = (uint32_t)id.lo,
    };
}

static struct frame_id join(const struct id_fields *f)
{
    return (struct frame_id){
        .hi = f->ts_ms << 16 | f->counter_hi >> 8,
        .lo = (uint64_t)f->counter_hi << 56 | (uint64_t)f->counter_lo << 32 | f->entropy,
    };
}

int id_pack(struct frame_id *out, const struct id_fields *fields, struct err *err)
{
    if (fields->ts_ms > TS_MAX)
        return err_set(err, ERR_INVALID, "ts_ms is above 2^48-1");
    if (fields->counter_hi > COUNTER_MAX)
        return err_set(err, ERR_INVALID, "counter_hi is above 2^24-1");
    if (fields->counter_lo > COUNTER_MAX)
        return err_set(err, ERR_INVALID, "counter_lo is above 2^24-1");
    *out = join(fields);
    return 0;
}

/* --- generator -----------------------------------------------------------------------------------
 */

void id_gen_init(struct id_gen *gen, struct frame_id newest)
{
    gen->last = newest;
    gen->ts_counter_hi = 0;
    gen->left = 0;
}

static void fill_pool(struct id_gen *gen)
{
    size_t have = 0;
    while (have < sizeof(gen->pool)) {
        ssize_t n = getrandom(gen->pool + have, sizeof(gen->pool) - have, 0);
        if (n < 0 && errno != EINTR)
            abort(); /* fails only on kernels older than 3.17, where nothing of weir runs */
        if (n > 0)
            have += (size_t)n;
    }
    gen->left = have;
}

static uint32_t random32(struct id_gen *gen)
{
    if (gen->left < 4)
        fill_pool(gen);
    gen->left -= 4;
    return get_be32(gen->pool + gen->left);
}

static uint32_t random24(struct id_gen *gen)
{
    return random32(gen) & COUNTER_MAX;
}

/* The clock stood still or went back: the counters carry on from the last id. */
static void count_up(struct id_gen *gen, struct id_fields *f)
{
    f->counter_lo = (f->counter_lo + 1) & COUNTER_MAX;
    if (f->counter_lo != 0)
        return;
    f->counter_hi = (f->counter_hi + 1) & COUNTER_MAX;
    if (f->counter_hi != 0)
        return;
    f->ts_ms++;
    f->counter_lo = random24(gen);
}

struct frame_id id_gen_next(struct id_gen *gen, uint64_t now_ms)
{
    struct id_fields f = id_unpack(gen->last);
    uint64_t before = f.ts_ms;
    if (now_ms > TS_MAX)
        now_ms = TS_MAX;
    if (now_ms > f.ts_ms) {
        f.ts_ms = now_ms;
        f.counter_lo = random24(gen);
    } else {
        count_up(gen, &f);
    }
    /* Only a timestamp that rose leaves counter_hi free to change: otherwise a new one could be
     * lower. */
    if (f.ts_ms > before &&
        (gen->ts_counter_hi == 0 || f.ts_ms - gen->ts_counter_hi >= COUNTER_HI_PERIOD_MS)) {
        gen->ts_counter_hi = f.ts_ms;
        f.counter_hi = random24(gen);
    }
    f.entropy = random32(gen);
    /* At the end of the 48-bit age (year 10889) the last ids are used up one by one. */
    gen->last = f.ts_ms > TS_MAX ? id_succ(gen->last) : join(&f);
    return gen->last;
}

void id_gen_raise(struct id_gen *gen, struct frame_id seen)
{
    if (id_cmp(seen, gen->last) > 0)
        gen->last = seen;
}
