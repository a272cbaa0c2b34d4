#include "cmd/which.h"

#include <string.h>

#include "base/topic.h"
#include "cmd/address.h"

/* The kind before the slash; -1: there is none. */
static int kind_of(const char *text)
{
    const char *slash = strchr(text, '/');
    int kind = slash ? life_kind_of(span_of(text, (size_t)(slash - text))) : -1;
    return kind < LIFE_PROGRAMS ? kind : -1;
}

/* KIND/NAME has a slash, as addresses have. */
int which_operands(struct call *call, size_t min, size_t max)
{
    const char *first = call_operand(call, 0);
    int rc = first && kind_of(first) >= 0 ? address_take_counted(call, max) : address_take(call, max);
    return rc == 0 ? address_check_count(call, min, max) : rc;
}

int which_parse(const struct call *call, struct which *out, const char *text)
{
    struct err err = ERR_INIT;
    *out = (struct which){.kind = kind_of(text), .name = text};
    if (out->kind >= 0)
        out->name = strchr(text, '/') + 1;
    else if (strchr(text, '/'))
        return call_usage(call, "`%s' is none of service/NAME, handler/NAME, action/NAME", text);
    if (topic_check(span_str(out->name), &err) != 0)
        return call_usage(call, "`%s' is no name: %s", out->name, err.text);
    return 0;
}

int which_patterns(struct buf *out, const struct which *which)
{
    int rc = 0;
    for (int kind = 0; rc == 0 && kind < LIFE_PROGRAMS; kind++) {
        if (which->kind < 0 || which->kind == kind)
            rc = life_patterns(out, (enum life_kind)kind, which->name);
    }
    return rc;
}
