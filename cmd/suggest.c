/* What a mistyped verb or option was probably meant to be. */
#include <string.h>

#include "cmd/options.h"

#define NAME_MAX_LEN 31

static size_t min3(size_t a, size_t b, size_t c)
{
    size_t m = a < b ? a : b;
    return m < c ? m : c;
}

/* Edit distance with swaps of neighbours as one edit; names longer than NAME_MAX_LEN are far from
 * all. */
static size_t distance(const char *a, const char *b)
{
    size_t la = strlen(a);
    size_t lb = strlen(b);
    size_t d[NAME_MAX_LEN + 1][NAME_MAX_LEN + 1];
    if (la > NAME_MAX_LEN || lb > NAME_MAX_LEN)
        return NAME_MAX_LEN;
    for (size_t i = 0; i <= la; i++)
        d[i][0] = i;
    for (size_t j = 0; j <= lb; j++)
        d[0][j] = j;
    for (size_t i = 1; i <= la; i++) {
        for (size_t j = 1; j <= lb; j++) {
            size_t cost = a[i - 1] != b[j - 1];
            d[i][j] = min3(d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + cost);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                d[i - 2][j - 2] + 1 < d[i][j])
                d[i][j] = d[i - 2][j - 2] + 1;
        }
    }
    return d[la][lb];
}

/* Keeps `name` when it is nearer to `text` than what is kept, and near enough to be a slip. */
static void consider(const char *text, const char *name, const char **best, size_t *least)
{
    size_t n = name ? distance(text, name) : NAME_MAX_LEN;
    if (n < *least && n <= 1 + strlen(text) / 4) {
        *best = name;
        *least = n;
    }
}

const char *suggest_verb(const char *name)
{
    const char *best = NULL;
    size_t least = NAME_MAX_LEN;
    for (size_t i = 0; cmd_table[i]; i++)
        consider(name, cmd_table[i]->name, &best, &least);
    return best;
}

const char *suggest_option(const struct cmd *cmd, const char *name)
{
    const char *best = NULL;
    size_t least = NAME_MAX_LEN;
    for (const struct option_row *r = cmd->options; r && r->name; r++)
        consider(name, r->name, &best, &least);
    for (const struct option_row *r = cmd_shared_next(cmd, NULL); r; r = cmd_shared_next(cmd, r))
        consider(name, r->name, &best, &least);
    return best;
}
