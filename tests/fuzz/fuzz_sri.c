/*
 * Any text as a content hash: what is accepted is printed as an entry of the text.
 */
#include <stdlib.h>

#include "base/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool holds)
{
    if (!holds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t digest[32];
    uint8_t again[32];
    char text[SRI_TEXT_LEN + 1];
    struct err err = ERR_INIT;
    int rc = sri_parse(digest, span_of(data, size), &err);
    if (rc < 0) {
        demand((rc == ERR_INVALID || rc == ERR_NOT_FOUND) && err.code == rc);
        return 0;
    }
    sri_format(text, digest);
    demand(memmem(data, size, text, SRI_TEXT_LEN) != NULL);
    demand(sri_parse(again, span_of(text, SRI_TEXT_LEN), NULL) == 0);
    demand(memcmp(digest, again, sizeof(digest)) == 0);
    return 0;
}
