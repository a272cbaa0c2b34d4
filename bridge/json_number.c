#include "bridge/json_number.h"

#include <errno.h>

#include <weir/err.h>

#include "bridge/double.h"

/* A number as that library gathers it: further digits are dropped when 64 bits are full. */
struct number {
    const uint8_t *at, *end;
    uint64_t digits;
    int64_t exponent;
    bool negative, real, zero; /* zero: the exponent alone says so */
};

static bool take(struct number *n, uint8_t c)
{
    if (n->at == n->end || *n->at != c)
        return false;
    n->at++;
    return true;
}

static bool next_digit(const struct number *n, unsigned *digit)
{
    if (n->at == n->end || (uint8_t)(*n->at - '0') > 9)
        return false;
    *digit = (unsigned)*n->at - '0';
    return true;
}

static bool add_digit(uint64_t *digits, unsigned digit)
{
    uint64_t more;
    if (__builtin_mul_overflow(*digits, UINT64_C(10), &more) || __builtin_add_overflow(more, (uint64_t)digit, &more))
        return false;
    *digits = more;
    return true;
}

/* The digits before the point. */
static int whole_part(struct number *n)
{
    unsigned digit;
    if (!next_digit(n, &digit))
        return ERR_INVALID;
    if (digit == 0) {
        n->at++;
        return next_digit(n, &digit) ? ERR_INVALID : 0;
    }
    for (; next_digit(n, &digit) && add_digit(&n->digits, digit); n->at++)
        ;
    for (; next_digit(n, &digit); n->at++) {
        n->exponent++;
        n->real = true;
    }
    return 0;
}

static int fraction(struct number *n)
{
    unsigned digit;
    if (!take(n, '.'))
        return 0;
    n->real = true;
    if (!next_digit(n, &digit))
        return ERR_INVALID;
    for (; next_digit(n, &digit) && add_digit(&n->digits, digit); n->at++)
        n->exponent--;
    while (next_digit(n, &digit))
        n->at++;
    return 0;
}

static int exponent(struct number *n)
{
    unsigned digit;
    int64_t e = 0;
    if (!take(n, 'e') && !take(n, 'E'))
        return 0;
    n->real = true;
    bool negative = take(n, '-');
    if (!negative)
        take(n, '+');
    if (!next_digit(n, &digit))
        return ERR_INVALID;
    for (; next_digit(n, &digit); n->at++)
        e = e > INT32_MAX ? e : e * 10 + digit;
    if (e > INT32_MAX && !negative && n->digits != 0)
        return ERR_INVALID;
    n->zero = e > INT32_MAX;
    n->exponent += negative ? -e : e;
    return 0;
}

static int put_real(const struct number *n, struct buf *out)
{
    char text[DOUBLE_TEXT];
    size_t len;
    if (!double_again(text, &len, n->negative, n->zero ? 0 : n->digits, n->exponent))
        return ERR_INVALID;
    int rc = buf_reserve(out, len + (size_t)(n->end - n->at));
    return rc == 0 ? buf_add(out, text, len) : rc;
}

int json_number_again(const uint8_t **at, const uint8_t *end, struct buf *out)
{
    struct number n = {.at = *at, .end = end};
    n.negative = take(&n, '-');
    int rc = whole_part(&n);
    if (rc == 0)
        rc = fraction(&n);
    if (rc == 0)
        rc = exponent(&n);
    if (rc != 0)
        return rc;
    /* Minus zero and integers below 64 bits are doubles there. */
    if (n.negative && (n.digits == 0 || n.digits > UINT64_C(1) << 63))
        n.real = true;
    rc = n.real ? put_real(&n, out) : buf_add(out, *at, (size_t)(n.at - *at));
    *at = n.at;
    return rc;
}
