/* Verbs by name, their groups, and the options they share. */
#include <string.h>

#include "cmd/cmd.h"

const char *const cmd_group_names[GROUP_COUNT] = {
    [GROUP_DAEMON] = "daemon",   [GROUP_WRITE] = "write", [GROUP_READ] = "read",
    [GROUP_CONTENT] = "content", [GROUP_RUN] = "run",     [GROUP_MOVE] = "move",
    [GROUP_LOCAL] = "local",
};

static const struct option_row shared[] = {
    {.id = OPT_JSON, .name = "json", .help = "JSON also on a terminal"},
    {.id = OPT_ADDR,
     .name = "addr",
     .arg = "ADDR",
     .help = "the store; wins over all other ways to name it",
     .complete = COMPLETE_FILE},
    {.id = OPT_HELP, .letter = 'h', .name = "help", .help = "this text"},
    {.name = NULL},
};

const struct cmd *cmd_find(const char *name)
{
    for (size_t i = 0; cmd_table[i]; i++) {
        const struct cmd *cmd = cmd_table[i];
        if (strcmp(cmd->name, name) == 0 || (cmd->alias && strcmp(cmd->alias, name) == 0))
            return cmd;
    }
    return NULL;
}

static bool takes(const struct cmd *cmd, int id)
{
    return id == OPT_HELP || (id == OPT_ADDR && (cmd->takes & TAKES_ADDR)) ||
           (id == OPT_JSON && (cmd->takes & TAKES_JSON));
}

const struct option_row *cmd_shared_next(const struct cmd *cmd, const struct option_row *row)
{
    for (const struct option_row *r = row ? row + 1 : shared; r->name; r++) {
        if (takes(cmd, r->id))
            return r;
    }
    return NULL;
}
