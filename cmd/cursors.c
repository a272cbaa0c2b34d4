/* weir cursors: positions of readers that live elsewhere. */
#include "cmd/listing.h"
#include "cmd/table.h"

enum { FORGET = 1 };

static const struct option_row options[] = {
    {.id = FORGET, .name = "forget", .arg = "NAME", .help = "forget the cursor of that name"},
    {.name = NULL},
};

static const struct listing_column columns[] = {{"name", "CURSOR", 24}, {"time", "SET", 30}, {"position", "POSITION", 0}};

static const struct listing listing = {
    .target = "/cursors", .what = "cursors", .columns = columns, .count = sizeof(columns) / sizeof(columns[0])};

static int exec(struct call *call)
{
    struct err err = ERR_INIT;
    struct weir *w = NULL;
    const char *name = call_value(call, FORGET);
    int rc = call_operands(call, 0, 0);
    if (rc == 0 && name && !name[0])
        rc = call_usage(call, "--forget needs a name");
    if (rc == 0)
        rc = call_open(call, &w);
    if (rc == 0 && name)
        rc = weir_cursor_remove(w, name, &err) < 0 ? call_fail(call, &err) : 0;
    else if (rc == 0)
        rc = listing_print(call, w, &listing);
    weir_close(w);
    return rc;
}

const struct cmd cmd_cursors = {
    .name = "cursors",
    .group = GROUP_READ,
    .summary = "list or forget cursors of relays",
    .operands = "",
    .about = "Lists the positions that are kept in the store by name: how far a `relay --cursor'\n"
             "came, or what another client put there. A position is its reader's own text.\n",
    .options = options,
    .takes = TAKES_ADDR | TAKES_JSON,
    .exec = exec,
};
