/*
 * A subcommand as data: its name, texts, option table and function. Parser, help and shell
 * completion are all made from these tables; a new subcommand is a file with one `struct cmd` and a
 * row in cmd_table (cmd/table.c).
 */
#ifndef CMD_CMD_H
#define CMD_CMD_H

#include <stdbool.h>
#include <stddef.h>

struct call;

/** What a shell offers for an option's value or a verb's operands; COMPLETE_PROGRAMS, for operands: names that `weir list' knows. */
enum complete { COMPLETE_NONE, COMPLETE_FILE, COMPLETE_DIR, COMPLETE_WORDS, COMPLETE_PROGRAMS };

/** One option. A table ends with an entry whose name is NULL. */
struct option_row {
    int id;           /**< the verb's own enum, from 1; shared options have ids from OPT_SHARED */
    char letter;      /**< short form, or 0 */
    const char *name; /**< long form without the dashes */
    const char *arg;  /**< name of its value in help texts; NULL: a flag */
    const char *help;
    const char *old;          /**< a former long form that is still understood, or NULL */
    char old_letter;          /**< the same for a short form, or 0 */
    enum complete complete;   /**< how a value is completed */
    const char *const *words; /**< for COMPLETE_WORDS: the words, NULL at the end */
};

/** Ids of the options that several verbs share. */
enum { OPT_SHARED = 100, OPT_HELP = OPT_SHARED, OPT_ADDR, OPT_JSON };

/** Which shared options a verb takes. --help is always there. */
enum { TAKES_ADDR = 1, TAKES_JSON = 2 };

enum cmd_group {
    GROUP_DAEMON,
    GROUP_WRITE,
    GROUP_READ,
    GROUP_CONTENT,
    GROUP_RUN,
    GROUP_MOVE,
    GROUP_LOCAL,
    GROUP_COUNT
};

struct cmd {
    const char *name;
    const char *alias; /**< a former name that is still understood, or NULL */
    enum cmd_group group;
    const char *summary;  /**< a few words, for the list of verbs */
    const char *operands; /**< operands after ADDR, as shown in the usage line; "" when none */
    const char
        *about; /**< a paragraph for --help; lines of at most 80 columns, newline at the end */
    const struct option_row *options;
    unsigned takes;
    enum complete complete;   /**< how operands are completed */
    const char *const *words; /**< for COMPLETE_WORDS */
    /** Runs it; the result is the exit status. */
    int (*exec)(struct call *call);
    /** Instead of that: gets the arguments behind the verb as they are. */
    int (*exec_raw)(const char *program, int argc, char *const argv[]);
};

/** All verbs, in the order of the help text; the table ends with NULL. */
extern const struct cmd *const cmd_table[];

/** The verb of that name or alias, or NULL. */
const struct cmd *cmd_find(const char *name);

/** Short names of the groups, by enum cmd_group. */
extern const char *const cmd_group_names[GROUP_COUNT];

/** The shared option after `row` that `cmd` takes (first with NULL); NULL at the end. */
const struct option_row *cmd_shared_next(const struct cmd *cmd, const struct option_row *row);

#endif
