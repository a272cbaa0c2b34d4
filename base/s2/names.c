#include "base/s2/names.h"

#include "base/utf8.h"

#define BASIN_MIN 8
#define LOCATION_MAX 64

static bool is_letter_or_digit(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* a-z 0-9 and -, with no - in front. */
static bool is_basin_text(struct span text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (!is_letter_or_digit(text.ptr[i]) && (text.ptr[i] != '-' || i == 0))
            return false;
    }
    return true;
}

int s2_basin_name(struct span name, struct err *err)
{
    if (name.len < BASIN_MIN || name.len > S2_BASIN_MAX)
        return err_set(err, ERR_INVALID, "a basin's name has %d to %d characters, this one has %zu",
                       BASIN_MIN, S2_BASIN_MAX, name.len);
    if (!is_basin_text(name) || name.ptr[name.len - 1] == '-')
        return err_set(err, ERR_INVALID,
                       "a basin's name consists of a-z, 0-9 and -, with no - at its ends");
    return 0;
}

int s2_basin_prefix(struct span text, struct err *err)
{
    if (text.len > S2_BASIN_MAX)
        return err_set(err, ERR_INVALID,
                       "the beginning of a basin's name has at most %d characters", S2_BASIN_MAX);
    if (!is_basin_text(text))
        return err_set(
            err, ERR_INVALID,
            "the beginning of a basin's name consists of a-z, 0-9 and -, with no - in front");
    return 0;
}

/* UTF-8 without NUL, of at most `max` bytes. */
static int check_text(struct span text, size_t max, const char *what, struct err *err)
{
    if (text.len > max)
        return err_set(err, ERR_INVALID, "%s has at most %zu bytes, this one has %zu", what, max,
                       text.len);
    if (!utf8_valid(text) || (text.len > 0 && memchr(text.ptr, '\0', text.len)))
        return err_set(err, ERR_INVALID, "%s is UTF-8 without NUL", what);
    return 0;
}

static int check_name(struct span text, size_t max, const char *what, struct err *err)
{
    if (text.len == 0)
        return err_set(err, ERR_INVALID, "%s is not empty", what);
    if (span_is(text, ".") || span_is(text, ".."))
        return err_set(err, ERR_INVALID, "%s is not . or ..", what);
    return check_text(text, max, what, err);
}

int s2_stream_name(struct span name, struct err *err)
{
    return check_name(name, S2_STREAM_MAX, "a stream's name", err);
}

int s2_stream_prefix(struct span text, struct err *err)
{
    return check_text(text, S2_STREAM_MAX, "the beginning of a stream's name", err);
}

int s2_token_id(struct span id, struct err *err)
{
    return check_name(id, S2_TOKEN_ID_MAX, "an access token's id", err);
}

int s2_location_name(struct span name, struct err *err)
{
    if (name.len == 0 || name.len > LOCATION_MAX)
        return err_set(err, ERR_INVALID, "a location's name has 1 to %d characters", LOCATION_MAX);
    for (size_t i = 0; i < name.len; i++) {
        uint8_t c = name.ptr[i];
        if (!is_letter_or_digit(c) && (c < 'A' || c > 'Z') && c != ':' && c != '-' && c != '.')
            return err_set(err, ERR_INVALID,
                           "a location's name consists of letters, digits and : - .");
    }
    return 0;
}
