/* weir list: the programs and stores of a store. */
#include "cmd/list.h"

#include "cmd/table.h"
#include "cmd/which.h"

enum { ALL = 1 };

static const struct option_row options[] = {
    {.id = ALL,
     .letter = 'a',
     .name = "all",
     .help = "also those that ended, and those of the seed words: reads the whole log"},
    {.name = NULL},
};

#define NEWER "xs.service.*,xs.actor.*,xs.action.*,xs.store.*"

/* Only what can say something is read: in the newer words that is a few prefixes, and of one name a few topics. */
static int list(const struct call *call, struct weir *w, const struct which *which)
{
    struct err err = ERR_INIT;
    struct lives lives = {0};
    CLEAN_BUF patterns = BUF_INIT;
    const struct list_choice choice = {.kind = which->kind, .name = which->name, .ended = call_has(call, ALL) || which->name};
    size_t count = 0;
    int rc = which->name ? which_patterns(&patterns, which) : buf_add_str(&patterns, NEWER);
    if (rc == 0 && which->name && which->kind < 0)
        rc = life_patterns(&patterns, LIFE_STORE, which->name);
    const char *text = rc == 0 ? buf_cstr(&patterns) : NULL;
    rc = text ? lives_read(&lives, w, call_has(call, ALL) && !which->name ? NULL : text, &err) : -1;
    rc = rc == 0 ? list_print(call, &lives, &choice, &count) : call_fail(call, &err);
    lives_finish(&lives);
    if (rc == 0 && count == 0 && which->name)
        return call_failf(call, "no program or store %s", call_operand(call, 0));
    return rc;
}

static int exec(struct call *call)
{
    struct weir *w = NULL;
    struct which which = {.kind = -1};
    int rc = which_operands(call, 0, 1);
    if (rc == 0 && call->operand_count == 1)
        rc = which_parse(call, &which, call_operand(call, 0));
    if (rc == 0)
        rc = call_open(call, &w);
    if (rc == 0)
        rc = list(call, w, &which);
    weir_close(w);
    return rc;
}

const struct cmd cmd_list = {
    .name = "list",
    .group = GROUP_RUN,
    .summary = "list programs and stores, and their state",
    .operands = "[NAME | KIND/NAME]",
    .about = "Lists services, handlers, actions and stores: since when they are in which state,\n"
             "and the id of their definition. Programs that were defined in the seed words\n"
             "(NAME.spawn ...) are found by NAME or with --all.\n",
    .options = options,
    .takes = TAKES_ADDR | TAKES_JSON,
    .complete = COMPLETE_PROGRAMS,
    .exec = exec,
};
