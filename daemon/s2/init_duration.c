/*
 * Durations as people write them: numbers with units, blanks between or not.
 */
#include "daemon/s2/init_file.h"

#define SECOND UINT64_C(1000)
#define DAY (86400 * SECOND)

static const struct {
    const char *names[6];
    uint64_t ms; /* 0: less than one */
} units[] = {
    {{"nanos", "nsec", "ns"}, 0},
    {{"usec", "us"}, 0},
    {{"millis", "msec", "ms"}, 1},
    {{"seconds", "second", "secs", "sec", "s"}, SECOND},
    {{"minutes", "minute", "mins", "min", "m"}, 60 * SECOND},
    {{"hours", "hour", "hrs", "hr", "h"}, 3600 * SECOND},
    {{"days", "day", "d"}, DAY},
    {{"weeks", "week", "wks", "wk", "w"}, 7 * DAY},
    {{"months", "month", "M"}, 2630016 * SECOND},           /* 30.44 days */
    {{"years", "year", "yrs", "yr", "y"}, 31557600 * SECOND}, /* 365.25 days */
};

static bool find_unit(struct span name, uint64_t *ms)
{
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
        for (size_t k = 0; k < 6 && units[i].names[k]; k++)
            if (span_is(name, units[i].names[k])) {
                *ms = units[i].ms;
                return true;
            }
    return false;
}

static size_t skip_blanks(struct span text, size_t at)
{
    while (at < text.len && (text.ptr[at] == ' ' || text.ptr[at] == '\t'))
        at++;
    return at;
}

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* One number with its unit. False: there is none, or it does not fit. */
static bool take_part(struct span text, size_t *at, uint64_t *sum)
{
    uint64_t number = 0, ms, part;
    size_t start = *at;
    for (; *at < text.len && is_digit(text.ptr[*at]); ++*at)
        if (__builtin_mul_overflow(number, 10, &number) ||
            __builtin_add_overflow(number, (uint64_t)(text.ptr[*at] - '0'), &number))
            return false;
    if (*at == start)
        return false;
    start = *at = skip_blanks(text, *at);
    while (*at < text.len && is_letter(text.ptr[*at]))
        ++*at;
    if (!find_unit(span_of(text.ptr + start, *at - start), &ms))
        return false;
    return !__builtin_mul_overflow(number, ms, &part) && !__builtin_add_overflow(*sum, part, sum);
}

int init_duration(struct span text, uint64_t *out_ms)
{
    uint64_t sum = 0;
    size_t at = skip_blanks(text, 0);
    if (at == text.len)
        return ERR_INVALID;
    while (at < text.len) {
        if (!take_part(text, &at, &sum))
            return ERR_INVALID;
        at = skip_blanks(text, at);
    }
    *out_ms = sum;
    return 0;
}
