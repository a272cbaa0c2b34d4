/* weir handler: programs that are given frames. */
#include "cmd/program.h"
#include "cmd/table.h"

static const char *const modes[] = {"stream", "each", NULL};
static const char *const starts[] = {"new", "first", "resume", NULL};
static const char *const rules[] = {"skip", "retry", "stop", NULL};

static const struct option_row options[] = {
    {.id = P_TOPICS, .letter = 'T', .name = "topics", .arg = "PATTERNS", .help = "only these frames: a,b.*,*"},
    {.id = P_MODE,
     .name = "mode",
     .arg = "MODE",
     .help = "one process for all (stream), or one for each frame",
     .complete = COMPLETE_WORDS,
     .words = modes},
    {.id = P_START,
     .name = "start",
     .arg = "WHERE",
     .help = "new, first, resume (where it was), or behind an ID",
     .complete = COMPLETE_WORDS,
     .words = starts},
    {.id = P_CONTENT, .name = "content", .help = "give contents along with the frames"},
    {.id = P_PULSE, .name = "pulse", .arg = "MS", .help = "give a frame xs.pulse every MS"},
    {.id = P_ON_ERROR,
     .name = "on-error",
     .arg = "RULE",
     .help = "skip, retry, retry:TIMES or stop",
     .complete = COMPLETE_WORDS,
     .words = rules},
    {.id = P_TIMEOUT, .name = "timeout", .arg = "TIME", .help = "with --mode each: for one frame"},
    PROGRAM_OPTIONS,
    {.name = NULL},
};

static int exec(struct call *call)
{
    return program_exec(call, LIFE_HANDLER);
}

const struct cmd cmd_handler = {
    .name = "handler",
    .group = GROUP_RUN,
    .summary = "add a program that is given frames",
    .operands = "add NAME FILE|-  or  add NAME -- CMD [ARG]...",
    .about = "Has the daemon give frames to a program, one JSON object a line of its standard\n"
             "input; each line it prints becomes a frame NAME.out. The program is FILE's text\n"
             "(- is standard input), or a command line behind --. Waits until it runs, or says\n"
             "why it does not. `weir stop' ends it.\n"
             "  weir handler add count -T orders -- awk '{ print NR; fflush() }'\n",
    .options = options,
    .takes = TAKES_ADDR | TAKES_JSON,
    .complete = COMPLETE_FILE,
    .words = program_words,
    .exec = exec,
};
