#include "cmd/options.h"

#include <stdlib.h>
#include <string.h>

static bool allowed(const struct call *call, const struct option_row *row)
{
    /* As xs the address is always the first operand. */
    return !(call->as_xs && row->id == OPT_ADDR);
}

/* Walks the verb's own options, then the shared ones it takes. */
static const struct option_row *next_row(const struct cmd *cmd, const struct option_row *row)
{
    if (row && row->id >= OPT_SHARED)
        return cmd_shared_next(cmd, row);
    if (cmd->options) {
        const struct option_row *next = row ? row + 1 : cmd->options;
        if (next->name)
            return next;
    }
    return cmd_shared_next(cmd, NULL);
}

static bool is_name(const char *name, const char *text, size_t len)
{
    return name && strlen(name) == len && memcmp(name, text, len) == 0;
}

static const struct option_row *find_long(const struct call *call, const char *text, size_t len)
{
    for (const struct option_row *r = next_row(call->cmd, NULL); r; r = next_row(call->cmd, r)) {
        if (allowed(call, r) && (is_name(r->name, text, len) || is_name(r->old, text, len)))
            return r;
    }
    return NULL;
}

static const struct option_row *find_letter(const struct call *call, char letter)
{
    for (const struct option_row *r = next_row(call->cmd, NULL); r; r = next_row(call->cmd, r)) {
        if (allowed(call, r) && letter && (r->letter == letter || r->old_letter == letter))
            return r;
    }
    return NULL;
}

static void add(struct call *call, const struct option_row *row, const char *value)
{
    call->given[call->given_count++] = (struct given){.option = row, .value = value};
}

/* Takes the option at argv[*at], and its value from the next argument where it needs one. */
static int take_long(struct call *call, int argc, char *const argv[], int *at)
{
    const char *text = argv[*at] + 2;
    const char *equals = strchr(text, '=');
    size_t len = equals ? (size_t)(equals - text) : strlen(text);
    const struct option_row *row = find_long(call, text, len);
    if (!row) {
        const char *near = suggest_option(call->cmd, text);
        if (near)
            return call_usage(call, "unknown option `--%.*s'; did you mean `--%s'?", (int)len, text,
                              near);
        return call_usage(call, "unknown option `--%.*s'", (int)len, text);
    }
    if (!row->arg && equals)
        return call_usage(call, "--%s takes no value", row->name);
    const char *value = equals ? equals + 1 : NULL;
    if (row->arg && !value) {
        if (*at + 1 >= argc)
            return call_usage(call, "--%s needs a value: %s", row->name, row->arg);
        value = argv[++*at];
    }
    add(call, row, value);
    return 0;
}

/* Letters in one argument: flags in a row, the last of which may take the rest, or the next, as
 * value. */
static int take_letters(struct call *call, int argc, char *const argv[], int *at)
{
    for (const char *p = argv[*at] + 1; *p; p++) {
        const struct option_row *row = find_letter(call, *p);
        if (!row)
            return call_usage(call, "unknown option `-%c'", *p);
        if (!row->arg) {
            add(call, row, NULL);
            continue;
        }
        if (!p[1] && *at + 1 >= argc)
            return call_usage(call, "-%c needs a value: %s", *p, row->arg);
        add(call, row, p[1] ? p + 1 : argv[++*at]);
        return 0;
    }
    return 0;
}

/* Every argument can hold at most as many options as it has bytes. */
static size_t option_room(int argc, char *const argv[])
{
    size_t room = 1;
    for (int i = 0; i < argc; i++)
        room += argv[i][0] == '-' ? strlen(argv[i]) : 0;
    return room;
}

int call_parse(struct call *call, int argc, char *const argv[])
{
    call->given = calloc(option_room(argc, argv), sizeof(*call->given));
    call->operand_store = calloc((size_t)argc + 1, sizeof(*call->operand_store));
    call->operands = call->operand_store;
    if (!call->given || !call->operands)
        return call_failf(call, "out of memory");
    bool ended = false;
    for (int i = 0; i < argc; i++) {
        int rc = 0;
        if (ended || argv[i][0] != '-' || !argv[i][1]) {
            call->operand_store[call->operand_count++] = argv[i];
            call->behind_dash += ended;
        } else if (strcmp(argv[i], "--") == 0)
            call->dashed = ended = true;
        else
            rc = argv[i][1] == '-' ? take_long(call, argc, argv, &i)
                                   : take_letters(call, argc, argv, &i);
        if (rc != 0)
            return rc;
    }
    return 0;
}

void call_finish(struct call *call)
{
    free(call->given);
    free(call->operand_store);
    call->given = NULL;
    call->operands = call->operand_store = NULL;
}
