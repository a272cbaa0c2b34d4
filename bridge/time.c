/*
 * Times of the SeaStreamer dialect. Written for speed: every line has one. Neighbours mostly share their day, so each thread keeps
 * the last one that it wrote and the last one that it read.
 */
#include "base/text.h"
#include "bridge/message.h"

#define DAY_S 86400
#define DATE_LEN 10  /* YYYY-MM-DD */
#define CLOCK_LEN 19 /* YYYY-MM-DDTHH:MM:SS */
#define YEAR_MIN 1970

static const char pairs[] = "0001020304050607080910111213141516171819202122232425262728293031323334353637383940414243444546474849"
                            "5051525354555657585960616263646566676869707172737475767778798081828384858687888990919293949596979899";

static inline char *put_two(char *p, unsigned v)
{
    memcpy(p, pairs + (size_t)v * 2, 2);
    return p + 2;
}

/* --- writing ---------------------------------------------------------------------------------- */

/* The date of a day since 1970-01-01, counted in years that begin in March so that the leap day is last. */
static void write_date(char *p, unsigned day)
{
    unsigned shifted = day + 719468; /* days since 0000-03-01 */
    unsigned era = shifted / 146097;
    unsigned of_era = shifted % 146097;
    unsigned year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    unsigned of_year = of_era - (365 * year + year / 4 - year / 100);
    unsigned from_march = (5 * of_year + 2) / 153;
    unsigned month = from_march < 10 ? from_march + 3 : from_march - 9;
    year += era * 400 + (month <= 2);
    p = put_two(p, year / 100);
    p = put_two(p, year % 100);
    *p++ = '-';
    p = put_two(p, month);
    *p++ = '-';
    put_two(p, of_year - (153 * from_march + 2) / 5 + 1);
}

struct day_text {
    unsigned day;
    char text[DATE_LEN];
};

static char *write_clock(char *p, uint64_t seconds)
{
    static _Thread_local struct day_text last = {0, "1970-01-01"};
    unsigned day = (unsigned)(seconds / DAY_S);
    unsigned rest = (unsigned)(seconds % DAY_S);
    if (day != last.day) {
        write_date(last.text, day);
        last.day = day;
    }
    memcpy(p, last.text, DATE_LEN);
    p += DATE_LEN;
    *p++ = 'T';
    p = put_two(p, rest / 3600);
    *p++ = ':';
    p = put_two(p, rest / 60 % 60);
    *p++ = ':';
    return put_two(p, rest % 60);
}

/* The fraction without zeros at its end; at least one digit. */
static char *write_fraction(char *p, unsigned ms, unsigned ns)
{
    *p++ = '.';
    *p++ = (char)('0' + ms / 100);
    put_two(p, ms % 100);
    char *end = p + 2;
    if (ns > 0) {
        end = put_two(end, ns / 10000);
        end = put_two(end, ns / 100 % 100);
        end = put_two(end, ns % 100);
    }
    while (end > p && end[-1] == '0')
        end--;
    return end;
}

static uint64_t within(uint64_t ms)
{
    return ms < SS_TIME_MAX ? ms : SS_TIME_MAX;
}

size_t ss_time_write(char out[static SS_TIME_TEXT], uint64_t ms, uint32_t ns)
{
    ms = within(ms);
    char *p = write_clock(out, ms / 1000);
    return (size_t)(write_fraction(p, (unsigned)(ms % 1000), ns % 1000000) - out);
}

size_t ss_time_write_seconds(char out[static SS_TIME_TEXT], uint64_t ms)
{
    return (size_t)(write_clock(out, within(ms) / 1000) - out);
}

/* --- reading ---------------------------------------------------------------------------------- */

/* Two digits as a number; above 99 when they are none. */
static inline unsigned two(const uint8_t *p)
{
    unsigned high = (unsigned)p[0] - '0';
    unsigned low = (unsigned)p[1] - '0';
    return high <= 9 && low <= 9 ? high * 10 + low : 100;
}

static unsigned days_in_month(unsigned year, unsigned month)
{
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return month == 2 && leap ? 29 : days[month - 1];
}

static unsigned day_of_date(unsigned year, unsigned month, unsigned day)
{
    year -= month <= 2;
    unsigned era = year / 400;
    unsigned of_era = year % 400;
    unsigned from_march = month > 2 ? month - 3 : month + 9;
    unsigned of_year = (153 * from_march + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

/* The day that YYYY-MM-DD names. */
static bool read_date(const uint8_t *p, unsigned *out)
{
    static _Thread_local struct day_text last = {0, "1970-01-01"};
    if (memcmp(p, last.text, DATE_LEN) == 0) {
        *out = last.day;
        return true;
    }
    unsigned century = two(p);
    unsigned of_century = two(p + 2);
    unsigned year = century * 100 + of_century;
    unsigned month = two(p + 5);
    unsigned day = two(p + 8);
    if (century > 99 || of_century > 99 || year < YEAR_MIN || p[4] != '-' || p[7] != '-' || month < 1 || month > 12 || day < 1 ||
        day > days_in_month(year, month))
        return false;
    last.day = day_of_date(year, month, day);
    memcpy(last.text, p, DATE_LEN);
    *out = last.day;
    return true;
}

/* What follows the seconds: nothing, or a dot and digits, of which nine count. */
static bool read_fraction(struct span text, uint32_t *out)
{
    uint32_t value = 0;
    *out = 0;
    if (text.len == 0)
        return true;
    if (text.len == 1 || text.ptr[0] != '.')
        return false;
    for (size_t i = 1; i < text.len || i <= 9; i++) {
        unsigned digit = i < text.len ? (unsigned)text.ptr[i] - '0' : 0;
        if (digit > 9)
            return false;
        if (i <= 9)
            value = value * 10 + digit;
    }
    *out = value;
    return true;
}

int ss_time_parse(struct span text, uint64_t *ms, uint32_t *ns)
{
    unsigned day;
    uint32_t fraction;
    if (text.len > 0 && text.ptr[0] == '+')
        text = span_of(text.ptr + 1, text.len - 1);
    const uint8_t *p = text.ptr;
    if (text.len < CLOCK_LEN || p[10] != 'T' || p[13] != ':' || p[16] != ':')
        return ERR_INVALID;
    unsigned hour = two(p + 11);
    unsigned minute = two(p + 14);
    unsigned second = two(p + 17);
    if (hour > 23 || minute > 59 || second > 59 || !read_date(p, &day) ||
        !read_fraction(span_of(p + CLOCK_LEN, text.len - CLOCK_LEN), &fraction))
        return ERR_INVALID;
    *ms = ((uint64_t)day * DAY_S + hour * 3600 + minute * 60 + second) * 1000 + fraction / 1000000;
    *ns = fraction % 1000000;
    return 0;
}

int ss_time_parse_moment(struct span text, uint64_t now_ms, uint64_t *ms, struct err *err)
{
    uint32_t ns;
    return ss_time_parse(text, ms, &ns) == 0 ? 0 : time_parse_moment(text, now_ms, ms, err);
}
