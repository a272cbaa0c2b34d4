#include "cmd/word.h"

#include <string.h>

static int find(const struct call *call, size_t i, const char *const *words)
{
    const char *operand = call_operand(call, i);
    for (int n = 0; operand && words[n]; n++) {
        if (strcmp(words[n], operand) == 0)
            return n;
    }
    return -1;
}

int word_take(struct call *call, const char *const *words)
{
    size_t at = 0;
    int word = find(call, 0, words);
    if (word < 0)
        word = find(call, at = 1, words);
    if (word < 0)
        return -1;
    memmove(&call->operands[at], &call->operands[at + 1],
            (call->operand_count - at - 1) * sizeof(*call->operands));
    call->operand_count--;
    return word;
}
