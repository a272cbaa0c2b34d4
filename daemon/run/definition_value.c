#include "daemon/run/definition_value.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clean.h"
#include "base/text.h"

int value_bool(bool *out, struct json_value value, struct err *err)
{
    if (value.type != JSON_BOOL)
        return err_set(err, ERR_INVALID, "%.*s is not true or false", SHOWN(value.raw));
    *out = value.raw.ptr[0] == 't';
    return 0;
}

static int no_number(struct json_value value, const char *what, uint64_t min, uint64_t max,
                     struct err *err)
{
    char bounds[96] = "";
    if (max < VALUE_NUMBER_MAX)
        snprintf(bounds, sizeof(bounds), " from %ju to %ju", (uintmax_t)min, (uintmax_t)max);
    else if (min > 0)
        snprintf(bounds, sizeof(bounds), " of at least %ju", (uintmax_t)min);
    return err_set(err, ERR_INVALID, "%.*s is not a number of %s%s", SHOWN(value.raw), what,
                   bounds);
}

int value_number(uint64_t *out, struct json_value value, const char *what, uint64_t min,
                 uint64_t max, struct err *err)
{
    uint64_t number;
    if (value.type != JSON_NUMBER || json_u64(value.raw, &number) < 0 || number < min ||
        number > max)
        return no_number(value, what, min, max, err);
    *out = number;
    return 0;
}

/* --- sizes ----------------------------------------------------------------------------------- */

/* How far a unit shifts; -1 for none. */
static int shift_of(uint8_t unit)
{
    static const char units[] = "kmgt";
    const char *at = memchr(units, unit | 0x20, 4);
    return at ? 10 * (int)(at - units + 1) : -1;
}

static bool parse_size(struct span text, uint64_t *out)
{
    int shift = text.len > 0 ? shift_of(text.ptr[text.len - 1]) : -1;
    uint64_t number;
    if (shift > 0)
        text.len--;
    else
        shift = 0;
    if (text_u64(text, &number) < 0 || number == 0 || number > VALUE_NUMBER_MAX >> shift)
        return false;
    *out = number << shift;
    return true;
}

int value_size(uint64_t *out, struct json_value value, struct err *err)
{
    struct span text = value.raw;
    bool quoted = value.type == JSON_STRING;
    if (quoted)
        text = (struct span){text.ptr + 1, text.len - 2};
    if ((!quoted && value.type != JSON_NUMBER) || !parse_size(text, out))
        return err_set(err, ERR_INVALID, "%.*s is not a size such as 67108864 or \"64M\"",
                       SHOWN(value.raw));
    return 0;
}

/* --- texts ----------------------------------------------------------------------------------- */

static void put_words(char *out, size_t size, const char *const *words)
{
    size_t len = 0;
    for (size_t i = 0; words[i] && len < size; i++) {
        const char *between = i == 0 ? "" : words[i + 1] ? ", " : " or ";
        len += (size_t)snprintf(out + len, size - len, "%s%s", between, words[i]);
    }
}

int value_word(unsigned *out, struct json_value value, const char *const *words, struct err *err)
{
    for (unsigned i = 0; value.type == JSON_STRING && words[i]; i++) {
        if (json_string_is(value.raw, words[i])) {
            *out = i;
            return 0;
        }
    }
    char known[100] = "";
    put_words(known, sizeof(known), words);
    return err_set(err, ERR_INVALID, "%.*s is not %s", SHOWN(value.raw), known);
}

static int decode(struct buf *out, struct json_value value, struct err *err)
{
    if (value.type != JSON_STRING)
        return err_set(err, ERR_INVALID, "%.*s is not a text", SHOWN(value.raw));
    size_t before = out->len;
    int rc = json_string_decode(value.raw, out, err);
    if (rc == 0 && out->len > before && memchr(out->ptr + before, '\0', out->len - before))
        return err_set(err, ERR_INVALID, "%.*s has a NUL", SHOWN(value.raw));
    return rc;
}

int value_text(char **out, struct json_value value, struct err *err)
{
    struct buf text = BUF_INIT;
    int rc = decode(&text, value, err);
    if (rc == 0 && !buf_cstr(&text))
        rc = err_set(err, -ENOMEM, "no memory");
    if (rc < 0) {
        buf_finish(&text);
        return rc;
    }
    free(*out);
    *out = (char *)text.ptr;
    return 0;
}

/* --- patterns -------------------------------------------------------------------------------- */

static int join(struct buf *out, struct span list, struct err *err)
{
    struct json_iter it;
    struct json_value value;
    json_iter_init(&it, list);
    while (json_iter_next(&it, NULL, &value)) {
        int rc = decode(out, value, err);
        if (rc == 0 && buf_add(out, ",", 1) < 0)
            rc = err_set(err, -ENOMEM, "no memory");
        if (rc < 0)
            return rc;
    }
    return 0;
}

int value_patterns(struct pattern_list *out, struct json_value value, struct err *err)
{
    CLEAN_BUF text = BUF_INIT;
    struct pattern_list list;
    int rc;
    if (value.type == JSON_ARRAY)
        rc = join(&text, value.raw, err);
    else if (value.type == JSON_STRING)
        rc = decode(&text, value, err);
    else
        return err_set(err, ERR_INVALID, "%.*s is not a list of topics", SHOWN(value.raw));
    if (rc == 0)
        rc = pattern_parse(&list, buf_span(&text), err);
    if (rc < 0)
        return rc;
    pattern_finish(out);
    *out = list;
    return 0;
}

/* --- environment ----------------------------------------------------------------------------- */

void value_env_free(char **env)
{
    for (size_t i = 0; env && env[i]; i++)
        free(env[i]);
    free(env);
}

static int check_name(struct span name, struct err *err)
{
    if (name.len == 0 || memchr(name.ptr, '=', name.len))
        return err_set(err, ERR_INVALID, "\"%.*s\" is no name of a variable", SHOWN(name));
    if (name.len >= 5 && memcmp(name.ptr, "WEIR_", 5) == 0)
        return err_set(err, ERR_INVALID, "%.*s: names that begin with WEIR_ are the daemon's",
                       SHOWN(name));
    return 0;
}

/* "NAME=VALUE" of a member. */
static int make_variable(char **out, struct span key, struct json_value value, struct err *err)
{
    CLEAN_BUF text = BUF_INIT;
    int rc = decode(&text, (struct json_value){JSON_STRING, key}, err);
    if (rc == 0)
        rc = check_name(buf_span(&text), err);
    if (rc == 0 && buf_add(&text, "=", 1) < 0)
        rc = err_set(err, -ENOMEM, "no memory");
    if (rc == 0) {
        rc = decode(&text, value, err);
        if (rc < 0)
            err_prefix(err, "%.*s", SHOWN(key));
    }
    if (rc == 0 && !buf_cstr(&text))
        rc = err_set(err, -ENOMEM, "no memory");
    if (rc == 0) {
        *out = (char *)text.ptr;
        text = BUF_INIT;
    }
    return rc;
}

static size_t count_members(struct span object)
{
    struct json_iter it;
    struct json_value value;
    size_t count = 0;
    json_iter_init(&it, object);
    while (json_iter_next(&it, NULL, &value))
        count++;
    return count;
}

int value_env(char ***out, struct json_value value, struct err *err)
{
    struct json_iter it;
    struct span key;
    struct json_value member;
    if (value.type != JSON_OBJECT || json_iter_init(&it, value.raw) < 0)
        return err_set(err, ERR_INVALID, "%.*s is not an object of texts", SHOWN(value.raw));
    char **env = calloc(count_members(value.raw) + 1, sizeof(*env));
    if (!env)
        return err_set(err, -ENOMEM, "no memory");
    for (size_t i = 0; json_iter_next(&it, &key, &member); i++) {
        int rc = make_variable(&env[i], key, member, err);
        if (rc < 0) {
            value_env_free(env);
            return rc;
        }
    }
    value_env_free(*out);
    *out = env;
    return 0;
}
