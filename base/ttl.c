#include "base/topic.h"

#include "base/text.h"

/* Takes `word` off the front. */
static bool starts(struct span text, const char *word, struct span *rest)
{
    size_t len = strlen(word);
    if (text.len < len || memcmp(text.ptr, word, len) != 0)
        return false;
    *rest = (struct span){text.ptr + len, text.len - len};
    return true;
}

static int invalid(struct span text, struct err *err)
{
    return err_set(err, ERR_INVALID,
                   "ttl \"%.*s\" is not understood: forever, ephemeral, time:MILLISECONDS or "
                   "last:N with N from 1 to 4294967295",
                   (int)(text.len < 40 ? text.len : 40), (const char *)text.ptr);
}

int ttl_parse(struct ttl *out, struct span text, bool old_words, struct err *err)
{
    struct span digits;
    struct ttl ttl = {.kind = TTL_FOREVER};
    if (span_is(text, "ephemeral")) {
        ttl.kind = TTL_EPHEMERAL;
    } else if (starts(text, "time:", &digits)) {
        ttl.kind = TTL_TIME;
        if (text_u64(digits, &ttl.value) < 0)
            return invalid(text, err);
    } else if (starts(text, "last:", &digits) || (old_words && starts(text, "head:", &digits))) {
        ttl.kind = TTL_LAST;
        if (text_u64(digits, &ttl.value) < 0 || ttl.value == 0 || ttl.value > UINT32_MAX)
            return invalid(text, err);
    } else if (!span_is(text, "forever")) {
        return invalid(text, err);
    }
    *out = ttl;
    return 0;
}

static const char *word_of(enum ttl_kind kind)
{
    switch (kind) {
    case TTL_NULL:
        return "null";
    case TTL_FOREVER:
        return "forever";
    case TTL_EPHEMERAL:
        return "ephemeral";
    case TTL_TIME:
        return "time:";
    case TTL_LAST:
        return "last:";
    }
    return "null";
}

size_t ttl_format(char out[static TTL_TEXT_MAX], struct ttl ttl)
{
    const char *word = word_of(ttl.kind);
    size_t len = strlen(word);
    memcpy(out, word, len);
    if (ttl.kind == TTL_TIME || ttl.kind == TTL_LAST)
        len += text_format_u64(out + len, ttl.value);
    out[len] = '\0';
    return len;
}
