#include "bridge/double.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

typedef unsigned __int128 u128;

/* --- reading ---------------------------------------------------------------------------------- */

#define POWER_MAX 308
/* Ten powers from one prefix of their literals. */
#define TEN(p) p##0, p##1, p##2, p##3, p##4, p##5, p##6, p##7, p##8, p##9

static const double powers[POWER_MAX + 1] = {
    TEN(1e),   TEN(1e1),  TEN(1e2),  TEN(1e3),  TEN(1e4),  TEN(1e5),  TEN(1e6),  TEN(1e7),  TEN(1e8),  TEN(1e9),
    TEN(1e10), TEN(1e11), TEN(1e12), TEN(1e13), TEN(1e14), TEN(1e15), TEN(1e16), TEN(1e17), TEN(1e18), TEN(1e19),
    TEN(1e20), TEN(1e21), TEN(1e22), TEN(1e23), TEN(1e24), TEN(1e25), TEN(1e26), TEN(1e27), TEN(1e28), TEN(1e29),
    1e300, 1e301, 1e302, 1e303, 1e304, 1e305, 1e306, 1e307, 1e308,
};

/* False when it is out of range. */
static bool double_read(double *out, uint64_t digits, int64_t exponent)
{
    double value = (double)digits;
    while (exponent < -POWER_MAX && value > 0) {
        value /= powers[POWER_MAX];
        exponent += POWER_MAX;
    }
    if (value > 0) {
        if (exponent > POWER_MAX)
            return false;
        value = exponent < 0 ? value / powers[-exponent] : value * powers[exponent];
        if (value > 0 && value - value != 0)
            return false;
    }
    *out = value;
    return true;
}

/* --- the digits ------------------------------------------------------------------------------- */

/* digits * 10^exponent, without zeros at the end. */
struct decimal {
    uint64_t digits;
    int exponent;
};

#define EXACT_DIGITS 17
#define EXACT_SCALE_MAX 21 /* 4 * 2^53 * 10^21 is below 2^128 */
#define TEN_16 UINT64_C(10000000000000000)
#define MANTISSA_BITS 52
#define SHORT_LIMIT UINT64_C(1000000000000000)
#define EXACT_POWER 22 /* 10^22 is a double, and no larger power */

static struct decimal trimmed(struct decimal d)
{
    while (d.digits >= 10 && d.digits % 10 == 0) {
        d.digits /= 10;
        d.exponent++;
    }
    return d;
}

static u128 power_of_ten(int n)
{
    u128 p = 1;
    for (; n >= 19; n -= 19)
        p *= UINT64_C(10000000000000000000);
    uint64_t rest = 1;
    while (n-- > 0)
        rest *= 10;
    return p * rest;
}

/* A double's neighbourhood, scaled so that its integer part has 17 digits: everything between low and high reads back as it.
 * All three are in units of 2^-shift. */
struct around {
    u128 low, at, high;
    int shift;
    bool even; /* the ends read back as well */
};

/* Of the multiples of `unit` beside the value the nearer one that lies within; equally near ones: the even. */
static uint64_t nearest(const struct around *a, uint64_t low, uint64_t high, uint64_t unit)
{
    uint64_t below = (uint64_t)(a->at >> a->shift) / unit;
    u128 down = a->at - ((u128)(below * unit) << a->shift);
    u128 up = ((u128)unit << a->shift) - down;
    bool can_down = below * unit >= low, can_up = (below + 1) * unit <= high;
    if (can_down && (!can_up || down < up || (down == up && below % 2 == 0)))
        return below;
    return below + 1;
}

/* The largest power of ten that has a multiple within gives the fewest digits. */
static struct decimal shortest_within(const struct around *a)
{
    u128 ones = ((u128)1 << a->shift) - 1;
    uint64_t low = (uint64_t)((a->low + (a->even ? ones : ones + 1)) >> a->shift);
    uint64_t high = (uint64_t)((a->high - (a->even ? 0 : 1)) >> a->shift);
    uint64_t unit = 1;
    int zeros = 0;
    while (unit < TEN_16 * 10 && high / (unit * 10) * (unit * 10) >= low) {
        unit *= 10;
        zeros++;
    }
    return (struct decimal){nearest(a, low, high, unit), zeros};
}

/* By whole numbers of 128 bits, for values from 1e-5 to below 1e17; false for others. */
static bool by_integers(struct decimal *out, double value)
{
    uint64_t bits;
    int scale = 0;
    if (!(value >= 1e-5 && value < 1e17))
        return false;
    while (scale < EXACT_SCALE_MAX && value * powers[scale] < 1e16)
        scale++;
    memcpy(&bits, &value, sizeof(bits));
    uint64_t mantissa = (bits & ((UINT64_C(1) << MANTISSA_BITS) - 1)) | UINT64_C(1) << MANTISSA_BITS;
    int exponent = (int)(bits >> MANTISSA_BITS) - 1023 - MANTISSA_BITS;
    /* Below a power of two doubles are twice as dense. */
    uint64_t down = mantissa == UINT64_C(1) << MANTISSA_BITS ? 1 : 2;
    u128 power = power_of_ten(scale);
    int up = exponent > 0 ? exponent : 0;
    struct around a = {
        .low = (u128)(mantissa * 4 - down) * power << up,
        .at = (u128)(mantissa * 4) * power << up,
        .high = (u128)(mantissa * 4 + 2) * power << up,
        .shift = 2 - (exponent - up),
        .even = mantissa % 2 == 0,
    };
    *out = shortest_within(&a);
    out->exponent -= scale;
    return true;
}

/* What printf says with `count` digits; with `up` one unit more. False when it does not read back. */
static bool by_printf(struct decimal *out, double value, int count, int up)
{
    char text[40];
    char back[64];
    char *e;
    uint64_t digits = 0;
    snprintf(text, sizeof(text), "%.*e", count - 1, value);
    for (e = text; *e != 'e'; e++) {
        if (*e != '.')
            digits = digits * 10 + (uint64_t)(*e - '0');
    }
    *out = (struct decimal){digits + (uint64_t)up, (int)strtol(e + 1, NULL, 10) - (count - 1)};
    snprintf(back, sizeof(back), "%llue%d", (unsigned long long)out->digits, out->exponent);
    return strtod(back, NULL) == value;
}

/* The rest, which is rare. Beside a power of two the nearest decimal may not read back where the one above it does. */
static struct decimal shortest(double value)
{
    struct decimal d;
    if (by_integers(&d, value))
        return d;
    for (int count = 1; count < EXACT_DIGITS; count++) {
        if (by_printf(&d, value, count, 0) || by_printf(&d, value, count, 1))
            return d;
    }
    by_printf(&d, value, EXACT_DIGITS, 0);
    return d;
}

/* --- the text --------------------------------------------------------------------------------- */

static char *put_zeros(char *p, int n)
{
    for (; n > 0; n--)
        *p++ = '0';
    return p;
}

static char *put(char *p, const char *bytes, int n)
{
    memcpy(p, bytes, (size_t)n);
    return p + n;
}

/* `point`: how many digits stand before the decimal point. */
static char *put_plain(char *p, const char *digits, int len, int point)
{
    if (point <= 0) {
        p = put(p, "0.", 2);
        return put(put_zeros(p, -point), digits, len);
    }
    if (point >= len) {
        p = put_zeros(put(p, digits, len), point - len);
        return put(p, ".0", 2);
    }
    p = put(p, digits, point);
    *p++ = '.';
    return put(p, digits + point, len - point);
}

static char *put_exponent(char *p, const char *digits, int len, int exponent)
{
    *p++ = digits[0];
    if (len > 1) {
        *p++ = '.';
        p = put(p, digits + 1, len - 1);
    }
    *p++ = 'e';
    *p++ = exponent < 0 ? '-' : '+';
    return p + text_format_u64(p, (uint64_t)abs(exponent));
}

static char *put_decimal(char *p, struct decimal d)
{
    char digits[U64_TEXT_MAX];
    int len = (int)text_format_u64(digits, d.digits);
    int point = len + d.exponent;
    return point > -5 && point <= 16 ? put_plain(p, digits, len, point) : put_exponent(p, digits, len, point - 1);
}

size_t double_write(char out[static DOUBLE_TEXT], double value)
{
    char *p = out;
    if (__builtin_signbit(value))
        *p++ = '-';
    value = __builtin_fabs(value);
    p = value == 0 ? put(p, "0.0", 3) : put_decimal(p, trimmed(shortest(value)));
    return (size_t)(p - out);
}

bool double_again(char out[static DOUBLE_TEXT], size_t *len, bool negative, uint64_t digits, int64_t exponent)
{
    double value;
    /* Up to 15 digits and an exact power: the double is the nearest one, and no shorter decimal gives it. */
    if (digits > 0 && digits < SHORT_LIMIT && exponent >= -EXACT_POWER && exponent <= EXACT_POWER) {
        out[0] = '-';
        *len = (size_t)(put_decimal(out + negative, trimmed((struct decimal){digits, (int)exponent})) - out);
        return true;
    }
    if (!double_read(&value, digits, exponent))
        return false;
    *len = double_write(out, negative ? -value : value);
    return true;
}
