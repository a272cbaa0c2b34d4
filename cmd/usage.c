/* Help texts, made from the tables. */
#include <string.h>

#include "cmd/options.h"

void usage_line(FILE *out, const struct call *call)
{
    const struct cmd *cmd = call->cmd;
    fprintf(out, "usage: %s %s", call->program, cmd->name);
    if (cmd->options)
        fprintf(out, " [OPTION]...");
    if (cmd->takes & TAKES_ADDR)
        fprintf(out, call->as_xs ? " ADDR" : " [ADDR]");
    fprintf(out, "%s%s\n", cmd->operands[0] ? " " : "", cmd->operands);
}

static void option_line(FILE *out, const struct option_row *row)
{
    char left[64];
    int len = row->letter ? snprintf(left, sizeof(left), "-%c, --%s", row->letter, row->name)
                          : snprintf(left, sizeof(left), "    --%s", row->name);
    if (row->arg && len > 0 && (size_t)len < sizeof(left))
        snprintf(left + len, sizeof(left) - (size_t)len, " %s", row->arg);
    fprintf(out, "  %-24s %s\n", left, row->help);
}

void usage_verb(FILE *out, const struct call *call)
{
    const struct cmd *cmd = call->cmd;
    usage_line(out, call);
    fprintf(out, "\n%s\n", cmd->about);
    for (const struct option_row *r = cmd->options; r && r->name; r++)
        option_line(out, r);
    for (const struct option_row *r = cmd_shared_next(cmd, NULL); r; r = cmd_shared_next(cmd, r)) {
        if (!(call->as_xs && r->id != OPT_HELP))
            option_line(out, r);
    }
    if (!(cmd->takes & TAKES_ADDR))
        return;
    fprintf(out, "\nADDR: a store directory or socket (a path with / or a leading . or ~), :PORT, "
                 "HOST:PORT\n"
                 "or http://HOST[:PORT].");
    fprintf(out, call->as_xs ? "\n" : " Without it: $WEIR_ADDR, $XS_ADDR, your default store.\n");
}

/* `weir --help` is to fit a screen, so the groups stand in the margin. */
void usage_program(FILE *out, const char *program)
{
    bool as_xs = strcmp(program, "xs") == 0;
    fprintf(out, "usage: %s VERB [OPTION]... %s [OPERAND]...\n", program,
            as_xs ? "ADDR" : "[ADDR]");
    enum cmd_group group = GROUP_COUNT;
    for (size_t i = 0; cmd_table[i]; i++) {
        const struct cmd *cmd = cmd_table[i];
        const char *label = cmd->group == group ? "" : cmd_group_names[cmd->group];
        group = cmd->group;
        fprintf(out, "  %-9s %-11s %s\n", label, cmd->name, cmd->summary);
    }
    fprintf(out, "`%s VERB --help' explains a verb; `%s --version' prints the version.\n", program,
            program);
    fprintf(out, "Exit status: 0 ok, 1 failed or not found, 2 wrong usage.\n");
}
