/*
 * Any text as a ttl: what parses is printed in one form that parses to the same.
 */
#include <stdlib.h>

#include "base/topic.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool holds)
{
    if (!holds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ttl ttl;
    struct ttl again;
    struct err err = ERR_INIT;
    char text[TTL_TEXT_MAX];
    if (ttl_parse(&ttl, span_of(data, size), true, &err) < 0) {
        demand(ttl_parse(&ttl, span_of(data, size), false, NULL) == ERR_INVALID);
        return 0;
    }
    demand(ttl.kind != TTL_LAST || (ttl.value >= 1 && ttl.value <= UINT32_MAX));
    size_t len = ttl_format(text, ttl);
    demand(len < sizeof(text) && text[len] == '\0');
    demand(ttl_parse(&again, span_of(text, len), false, NULL) == 0);
    demand(again.kind == ttl.kind && again.value == ttl.value);
    return 0;
}
