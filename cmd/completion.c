/* weir completion: scripts for shells, made from the option tables. */
#include <stdio.h>
#include <string.h>

#include "cmd/call.h"
#include "cmd/table.h"

/* Walks a verb's own options and then the shared ones it takes. */
static const struct option_row *next_option(const struct cmd *cmd, const struct option_row *row)
{
    const struct option_row *next = !row ? cmd->options : row->id < OPT_SHARED ? row + 1 : NULL;
    if (next && next->name)
        return next;
    return cmd_shared_next(cmd, row && row->id >= OPT_SHARED ? row : NULL);
}

/* A command that prints the names of programs, one a line: of the store that is meant without ADDR, if its daemon runs. */
#define NAMES(program) "WEIR_NO_AUTOSTART=1 " program " list --json 2>/dev/null | sed -n 's/.*\"name\":\"\\([^\"]*\\)\".*/\\1/p'"

static bool takes_files(enum complete complete, unsigned takes)
{
    return complete == COMPLETE_FILE || complete == COMPLETE_DIR || (takes & TAKES_ADDR);
}

/* --- bash ------------------------------------------------------------------------------------- */

static void bash_value(const struct option_row *r)
{
    printf("        --%s", r->name);
    if (r->letter)
        printf(" | -%c", r->letter);
    printf(")\n");
    if (r->complete == COMPLETE_FILE || r->complete == COMPLETE_DIR)
        printf("            mapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n");
    else if (r->complete == COMPLETE_WORDS) {
        printf("            mapfile -t COMPREPLY < <(compgen -W '");
        for (size_t i = 0; r->words[i]; i++)
            printf("%s%s", i ? " " : "", r->words[i]);
        printf("' -- \"$cur\")\n");
    }
    printf("            return ;;\n");
}

static void bash_verb(const struct cmd *cmd)
{
    bool values = false;
    printf("    %s)\n", cmd->name);
    for (const struct option_row *r = next_option(cmd, NULL); r; r = next_option(cmd, r))
        values = values || r->arg;
    if (values) {
        printf("        case $prev in\n");
        for (const struct option_row *r = next_option(cmd, NULL); r; r = next_option(cmd, r)) {
            if (r->arg)
                bash_value(r);
        }
        printf("        esac\n");
    }
    printf("        flags='");
    for (const struct option_row *r = next_option(cmd, NULL); r; r = next_option(cmd, r))
        printf("%s--%s", r == next_option(cmd, NULL) ? "" : " ", r->name);
    printf("'\n        words='");
    for (size_t i = 0; cmd->words && cmd->words[i]; i++)
        printf("%s%s", i ? " " : "", cmd->words[i]);
    printf("'\n        files=%s\n        names=%s ;;\n", takes_files(cmd->complete, cmd->takes) ? "yes" : "",
           cmd->complete == COMPLETE_PROGRAMS ? "yes" : "");
}

static void bash_script(const char *program)
{
    printf("# bash completion for %s; made by `%s completion bash'\n\n_%s()\n{\n", program, program,
           program);
    printf("    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} flags words "
           "files names\n"
           "    COMPREPLY=()\n    if ((COMP_CWORD == 1)); then\n        mapfile -t COMPREPLY < "
           "<(compgen -W '");
    for (size_t i = 0; cmd_table[i]; i++)
        printf("%s ", cmd_table[i]->name);
    printf("help --help --version' -- \"$cur\")\n        return\n    fi\n    case ${COMP_WORDS[1]} "
           "in\n");
    for (size_t i = 0; cmd_table[i]; i++)
        bash_verb(cmd_table[i]);
    printf("    esac\n    if [[ $cur == -* ]]; then\n"
           "        mapfile -t COMPREPLY < <(compgen -W \"$flags\" -- \"$cur\")\n        return\n  "
           "  fi\n"
           "    [[ $names ]] && words=$(" NAMES("%s") ")\n"
           "    mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\"; [[ $files ]] && "
           "compgen -f -- \"$cur\")\n"
           "}\n\ncomplete -o filenames -F _%s %s\n",
           program, program, program);
}

/* --- zsh
 * -----------------------------------------------------------------------------------------------
 */

/* Text inside single quotes; `special` characters get a backslash. */
static void put_quoted(const char *text, const char *special)
{
    for (; *text; text++) {
        if (*text == '\'')
            printf("'\\''");
        else if (strchr(special, *text))
            printf("\\%c", *text);
        else
            putchar(*text);
    }
}

static void zsh_action(enum complete complete, const char *const *words)
{
    if (complete == COMPLETE_FILE)
        printf("_files");
    else if (complete == COMPLETE_DIR)
        printf("_files -/");
    else if (complete == COMPLETE_WORDS) {
        printf("(");
        for (size_t i = 0; words[i]; i++)
            printf("%s%s", i ? " " : "", words[i]);
        printf(")");
    }
}

static void zsh_option(const struct option_row *r)
{
    printf(" \\\n                ");
    if (r->letter)
        printf("{-%c,--%s}", r->letter, r->name);
    else
        printf("--%s", r->name);
    printf("'[");
    put_quoted(r->help, "[]:\\");
    printf("]");
    if (r->arg) {
        printf(":%s:", r->arg);
        zsh_action(r->complete, r->words);
    }
    printf("'");
}

/* Words of the verb's own stand beside files. */
static void zsh_operands(const char *program, const struct cmd *cmd)
{
    bool files = takes_files(cmd->complete, cmd->takes);
    printf(" \\\n                '*:operand:");
    if (cmd->complete == COMPLETE_PROGRAMS)
        printf("{ compadd -- ${(f)\"$(_%s_names)\"}; _files }'", program);
    else if (files && cmd->words) {
        printf("{ compadd --");
        for (size_t i = 0; cmd->words[i]; i++)
            printf(" %s", cmd->words[i]);
        printf("; _files }'");
    } else {
        if (files)
            printf("_files");
        else
            zsh_action(cmd->complete, cmd->words);
        printf("'");
    }
}

static void zsh_verb(const char *program, const struct cmd *cmd)
{
    printf("            (%s)\n                _arguments -s", cmd->name);
    for (const struct option_row *r = next_option(cmd, NULL); r; r = next_option(cmd, r))
        zsh_option(r);
    if (takes_files(cmd->complete, cmd->takes) || cmd->complete == COMPLETE_WORDS)
        zsh_operands(program, cmd);
    printf("\n                ;;\n");
}

static void zsh_script(const char *program)
{
    printf("#compdef %s\n# made by `%s completion zsh'\n\n_%s_names() {\n    " NAMES("%s") "\n}\n\n_%s() {\n    local line state\n    local "
           "-a verbs\n    verbs=(\n",
           program, program, program, program, program);
    for (size_t i = 0; cmd_table[i]; i++) {
        printf("        '%s:", cmd_table[i]->name);
        put_quoted(cmd_table[i]->summary, "");
        printf("'\n");
    }
    printf("        'help:explain a verb'\n    )\n"
           "    _arguments -C '--help[help]' '--version[version]' '1:verb:->verb' "
           "'*::operand:->rest'\n"
           "    case $state in\n    (verb) _describe verb verbs ;;\n    (rest)\n        case "
           "${line[1]} in\n");
    for (size_t i = 0; cmd_table[i]; i++)
        zsh_verb(program, cmd_table[i]);
    /* Autoloaded from $fpath the file is the function's first call; sourced it only declares it. */
    printf("        esac\n        ;;\n    esac\n}\n\n"
           "if [[ $funcstack[1] == _%s ]]; then\n    _%s \"$@\"\nelse\n    compdef _%s %s\nfi\n",
           program, program, program, program);
}

/* --- fish ------------------------------------------------------------------------------------- */

static void fish_option(const char *program, const struct cmd *cmd, const struct option_row *r)
{
    printf("complete -c %s -n '__fish_seen_subcommand_from %s' -l %s", program, cmd->name, r->name);
    if (r->letter)
        printf(" -s %c", r->letter);
    if (r->arg)
        printf(r->complete == COMPLETE_FILE || r->complete == COMPLETE_DIR ? " -r -F" : " -x");
    if (r->complete == COMPLETE_WORDS) {
        printf(" -a '");
        for (size_t i = 0; r->words[i]; i++)
            printf("%s%s", i ? " " : "", r->words[i]);
        printf("'");
    }
    printf(" -d '");
    put_quoted(r->help, "");
    printf("'\n");
}

static void fish_verb(const char *program, const struct cmd *cmd)
{
    printf("complete -c %s -n __fish_use_subcommand -f -a %s -d '", program, cmd->name);
    put_quoted(cmd->summary, "");
    printf("'\n");
    for (size_t i = 0; cmd->words && cmd->words[i]; i++)
        printf("complete -c %s -n '__fish_seen_subcommand_from %s' -a %s\n", program, cmd->name,
               cmd->words[i]);
    if (cmd->complete == COMPLETE_PROGRAMS)
        printf("complete -c %s -n '__fish_seen_subcommand_from %s' -a '(__%s_names)'\n", program, cmd->name, program);
    if (!takes_files(cmd->complete, cmd->takes))
        printf("complete -c %s -n '__fish_seen_subcommand_from %s' -f\n", program, cmd->name);
    for (const struct option_row *r = next_option(cmd, NULL); r; r = next_option(cmd, r))
        fish_option(program, cmd, r);
}

static void fish_script(const char *program)
{
    printf("# fish completion for %s; made by `%s completion fish'\n\nfunction __%s_names\n    env " NAMES("%s") "\nend\n",
           program, program, program, program);
    for (size_t i = 0; cmd_table[i]; i++)
        fish_verb(program, cmd_table[i]);
    printf("complete -c %s -n __fish_use_subcommand -f -a help -d 'explain a verb'\n", program);
    printf("complete -c %s -n __fish_use_subcommand -l version -d 'print the version'\n", program);
}

/* --- the verb --------------------------------------------------------------------------------- */

static int exec(struct call *call)
{
    static const struct {
        const char *shell;
        void (*script)(const char *program);
    } shells[] = {{"bash", bash_script}, {"zsh", zsh_script}, {"fish", fish_script}};
    if (call->operand_count != 1)
        return call_usage(call, "name one shell: bash, zsh or fish");
    for (size_t i = 0; i < sizeof(shells) / sizeof(shells[0]); i++) {
        if (strcmp(shells[i].shell, call->operands[0]) == 0) {
            shells[i].script(call->program);
            return 0;
        }
    }
    return call_usage(call, "`%s' is none of bash, zsh, fish", call->operands[0]);
}

static const char *const words[] = {"bash", "zsh", "fish", NULL};

const struct cmd cmd_completion = {
    .name = "completion",
    .group = GROUP_LOCAL,
    .summary = "print a completion script for a shell",
    .operands = "bash|zsh|fish",
    .about = "Prints a script that completes verbs, options and paths:\n"
             "  weir completion bash > ~/.local/share/bash-completion/completions/weir\n"
             "  weir completion fish > ~/.config/fish/completions/weir.fish\n"
             "  weir completion zsh > DIR/_weir     (DIR one of $fpath, before compinit)\n",
    .complete = COMPLETE_WORDS,
    .words = words,
    .exec = exec,
};
