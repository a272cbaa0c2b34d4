#include "base/text.h"

#include <stdlib.h>
#include <time.h>

#define DAY_MS UINT64_C(86400000)

#define HOUR_MS 3600000

uint64_t time_now_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return ts.tv_sec < 0 ? 0 : (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

uint64_t time_mono_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

int time_left_ms(uint64_t deadline_us)
{
    if (deadline_us == UINT64_MAX)
        return -1;
    uint64_t now = time_mono_us();
    if (now >= deadline_us)
        return 0;
    uint64_t ms = (deadline_us - now + 999) / 1000;
    return ms > HOUR_MS ? HOUR_MS : (int)ms;
}

/* --- writing -------------------------------------------------------------------------------------
 */

struct date {
    uint64_t year;
    unsigned month; /* 1-12 */
    unsigned day;   /* 1-31 */
};

/* Days since 1970-01-01 to a date, counted in years that begin in March so that the leap day is
 * last. */
static struct date date_of_days(uint64_t days)
{
    uint64_t shifted = days + 719468; /* days since 0000-03-01 */
    uint64_t era = shifted / 146097;
    unsigned day_of_era = (unsigned)(shifted % 146097);
    unsigned year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    unsigned day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    unsigned month_from_march = (5 * day_of_year + 2) / 153;
    struct date d = {
        .year = era * 400 + year_of_era,
        .month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9,
        .day = day_of_year - (153 * month_from_march + 2) / 5 + 1,
    };
    d.year += d.month <= 2;
    return d;
}

static uint64_t days_of_date(struct date d)
{
    uint64_t year = d.year - (d.month <= 2);
    uint64_t era = year / 400;
    uint64_t year_of_era = year % 400;
    unsigned month_from_march = d.month > 2 ? d.month - 3 : d.month + 9;
    uint64_t day_of_year = (153 * month_from_march + 2) / 5 + d.day - 1;
    uint64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

static char *put_two(char *p, unsigned v, char before)
{
    p[0] = before;
    p[1] = (char)('0' + v / 10);
    p[2] = (char)('0' + v % 10);
    return p + 3;
}

static char *put_year(char *p, uint64_t year)
{
    if (year > 9999) {
        *p++ = '+'; /* as ISO 8601 writes expanded years */
        return p + text_format_u64(p, year);
    }
    p[0] = (char)('0' + year / 1000);
    p[1] = (char)('0' + year / 100 % 10);
    p[2] = (char)('0' + year / 10 % 10);
    p[3] = (char)('0' + year % 10);
    return p + 4;
}

void time_format(char out[static TIME_TEXT_MAX], uint64_t ms)
{
    struct date d = date_of_days(ms / DAY_MS);
    unsigned second = (unsigned)(ms % DAY_MS / 1000);
    unsigned fraction = (unsigned)(ms % 1000);
    char *p = put_year(out, d.year);
    p = put_two(p, d.month, '-');
    p = put_two(p, d.day, '-');
    p = put_two(p, second / 3600, 'T');
    p = put_two(p, second / 60 % 60, ':');
    p = put_two(p, second % 60, ':');
    if (fraction > 0) {
        p[0] = '.';
        p[1] = (char)('0' + fraction / 100);
        p[2] = (char)('0' + fraction / 10 % 10);
        p[3] = (char)('0' + fraction % 10);
        p += 4;
    }
    memcpy(p, "+00:00", 7);
}

/* --- durations
 * ------------------------------------------------------------------------------------ */

static size_t count_digits(struct span s)
{
    size_t n = 0;
    while (n < s.len && s.ptr[n] >= '0' && s.ptr[n] <= '9')
        n++;
    return n;
}

static struct span take(struct span *rest, size_t n)
{
    struct span front = {rest->ptr, n};
    if (n > 0)
        *rest = (struct span){rest->ptr + n, rest->len - n};
    return front;
}

static uint64_t unit_ms(struct span unit)
{
    static const struct {
        const char *name;
        uint64_t ms;
    } units[] = {{"ms", 1},          {"s", 1000},   {"m", 60000},
                 {"h", 3600 * 1000}, {"d", DAY_MS}, {"w", 7 * DAY_MS}};
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (span_is(unit, units[i].name))
            return units[i].ms;
    }
    return 0;
}

/* Takes "90s" off the rest; false when that is not what stands there, or it is too long. */
static bool take_step(struct span *rest, uint64_t *total)
{
    uint64_t count;
    if (text_u64(take(rest, count_digits(*rest)), &count) < 0)
        return false;
    size_t letters = 0;
    while (letters < rest->len && rest->ptr[letters] >= 'a' && rest->ptr[letters] <= 'z')
        letters++;
    uint64_t unit = unit_ms(take(rest, letters));
    uint64_t step;
    return unit > 0 && !__builtin_mul_overflow(count, unit, &step) &&
           !__builtin_add_overflow(*total, step, total);
}

int time_parse_duration(struct span text, uint64_t *out_ms, struct err *err)
{
    struct span rest = text;
    uint64_t total = 0;
    do {
        if (!take_step(&rest, &total))
            return err_set(err, ERR_INVALID,
                           "\"%.*s\" is no duration: such as 500ms, 90s, 10m, 1h30m, 2d, 1w",
                           (int)(text.len < 60 ? text.len : 60), (const char *)text.ptr);
    } while (rest.len > 0);
    *out_ms = total;
    return 0;
}

/* --- moments
 * -------------------------------------------------------------------------------------- */

struct clock_text {
    struct date date;
    unsigned hour;
    unsigned minute;
    unsigned second;
    unsigned ms;
    bool has_offset;
    int offset_min; /* minutes east of Greenwich */
};

/* Takes exactly n digits whose number lies in low..high. */
static bool take_number(struct span *rest, size_t n, unsigned low, unsigned high, unsigned *out)
{
    uint64_t value;
    if (rest->len < n || text_u64(take(rest, n), &value) < 0 || value < low || value > high)
        return false;
    *out = (unsigned)value;
    return true;
}

static bool take_any(struct span *rest, const char *set)
{
    if (rest->len == 0 || *rest->ptr == '\0' || !strchr(set, *rest->ptr))
        return false;
    take(rest, 1);
    return true;
}

/* ".123456": digits after the third are cut. */
static bool take_fraction(struct span *rest, unsigned *ms)
{
    *ms = 0;
    if (!take_any(rest, "."))
        return true;
    struct span digits = take(rest, count_digits(*rest));
    if (digits.len == 0)
        return false;
    for (size_t i = 0; i < 3; i++)
        *ms = *ms * 10 + (i < digits.len ? digits.ptr[i] - (unsigned)'0' : 0);
    return true;
}

static unsigned days_in_month(unsigned year, unsigned month)
{
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return month == 2 && leap ? 29 : days[month - 1];
}

static bool take_date(struct span *rest, struct date *d)
{
    unsigned year;
    if (!take_number(rest, 4, 1969, 9999, &year) || !take_any(rest, "-") ||
        !take_number(rest, 2, 1, 12, &d->month) || !take_any(rest, "-") ||
        !take_number(rest, 2, 1, days_in_month(year, d->month), &d->day))
        return false;
    d->year = year;
    return true;
}

static bool take_offset(struct span *rest, struct clock_text *c)
{
    if (rest->len == 0)
        return true;
    c->has_offset = true;
    if (take_any(rest, "Zz"))
        return true;
    bool west = *rest->ptr == '-';
    unsigned hours;
    unsigned minutes;
    if (!take_any(rest, "+-") || !take_number(rest, 2, 0, 23, &hours) || !take_any(rest, ":") ||
        !take_number(rest, 2, 0, 59, &minutes))
        return false;
    c->offset_min = (int)(hours * 60 + minutes) * (west ? -1 : 1);
    return true;
}

static bool parse_clock(struct span text, struct clock_text *c)
{
    struct span rest = text;
    if (!take_date(&rest, &c->date))
        return false;
    if (rest.len == 0)
        return true;
    if (!take_any(&rest, "Tt ") || !take_number(&rest, 2, 0, 23, &c->hour) ||
        !take_any(&rest, ":") || !take_number(&rest, 2, 0, 59, &c->minute))
        return false;
    /* 60 is a leap second, which Unix time does not have: it counts as the second after. */
    if (take_any(&rest, ":") &&
        (!take_number(&rest, 2, 0, 60, &c->second) || !take_fraction(&rest, &c->ms)))
        return false;
    return take_offset(&rest, c) && rest.len == 0;
}

static bool local_seconds(const struct clock_text *c, int64_t *out)
{
    struct tm tm = {
        .tm_year = (int)c->date.year - 1900,
        .tm_mon = (int)c->date.month - 1,
        .tm_mday = (int)c->date.day,
        .tm_hour = (int)c->hour,
        .tm_min = (int)c->minute,
        .tm_sec = (int)c->second,
        .tm_isdst = -1,
    };
    *out = mktime(&tm);
    return *out >= 0;
}

static bool clock_ms(const struct clock_text *c, uint64_t *out_ms)
{
    int64_t seconds;
    if (!c->has_offset) {
        if (!local_seconds(c, &seconds))
            return false;
    } else {
        int64_t days = (int64_t)days_of_date(c->date);
        seconds = days * 86400 + c->hour * 3600 + c->minute * 60 + c->second;
        seconds -= (int64_t)c->offset_min * 60;
        if (seconds < 0)
            return false;
    }
    *out_ms = (uint64_t)seconds * 1000 + c->ms;
    return true;
}

/* "1700000000" or "1700000000.5", after the @. */
static bool parse_seconds(struct span text, uint64_t *out_ms)
{
    struct span rest = text;
    uint64_t seconds;
    unsigned ms;
    if (text_u64(take(&rest, count_digits(rest)), &seconds) < 0 || !take_fraction(&rest, &ms) ||
        rest.len > 0 || seconds > UINT64_MAX / 1000 - 1)
        return false;
    *out_ms = seconds * 1000 + ms;
    return true;
}

int time_parse_moment(struct span text, uint64_t now_ms, uint64_t *out_ms, struct err *err)
{
    uint64_t value;
    struct clock_text c = {0};
    if (span_is(text, "now")) {
        *out_ms = now_ms;
        return 0;
    }
    if (text.len > 0 && text.ptr[0] == '@') {
        if (parse_seconds((struct span){text.ptr + 1, text.len - 1}, out_ms))
            return 0;
    } else if (time_parse_duration(text, &value, NULL) == 0) {
        *out_ms = value < now_ms ? now_ms - value : 0;
        return 0;
    } else if (parse_clock(text, &c) && clock_ms(&c, out_ms)) {
        return 0;
    }
    return err_set(err, ERR_INVALID,
                   "\"%.*s\" is no moment: such as 10m (ago), now, 2026-01-31, "
                   "2026-01-31T12:00:00Z or @1700000000",
                   (int)(text.len < 60 ? text.len : 60), (const char *)text.ptr);
}
