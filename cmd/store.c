/* weir store: more stores beside the one a daemon was started for. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clean.h"
#include "base/json.h"
#include "base/topic.h"
#include "cmd/await.h"
#include "cmd/list.h"
#include "cmd/output.h"
#include "cmd/table.h"
#include "cmd/word.h"

#define WAIT_MS 30000
#define ANSWERED 1

enum { YES = 1, WAIT, ALL };

static const struct option_row options[] = {
    {.id = YES, .letter = 'y', .name = "yes", .help = "delete without asking"},
    {.id = ALL, .letter = 'a', .name = "all", .help = "list those that were removed, too"},
    {.id = WAIT, .name = "wait", .arg = "TIME", .help = "for the answer, at most so long (30s)"},
    {.name = NULL},
};

enum { ADD, REMOVE, DELETE, LIST };
static const char *const words[] = {"add", "remove", "delete", "list", NULL};

struct change {
    const struct call *call;
    int word;
    const char *name;
    char id[ID_TEXT_LEN + 1]; /* of the frame that asks for it */
    uint64_t wait_ms;
    int status;
};

/* --- the answer --------------------------------------------------------------------------------------- */

static int tell_path(const struct change *c, struct span json, struct span meta)
{
    CLEAN_BUF path = BUF_INIT;
    if (call_has(c->call, OPT_JSON))
        return output_line(c->call, json);
    if (!meta_text(meta, "path", &path))
        return call_failf(c->call, "the daemon's answer has no path");
    return output_line(c->call, buf_span(&path));
}

static int tell_invalid(const struct change *c, struct span meta)
{
    CLEAN_BUF error = BUF_INIT;
    meta_text(meta, "error", &error);
    return call_failf(c->call, "%s: %.*s", c->name, SPAN_ARG(buf_span(&error)));
}

static int tell_gone(const struct change *c, struct span json)
{
    return call_has(c->call, OPT_JSON) ? output_line(c->call, json) : 0;
}

static int take_line(void *arg, struct span line)
{
    struct change *c = arg;
    struct frame_parts frame;
    struct life_words said;
    if (!frame_parts_take(&frame, line) || !life_read(&said, &frame) || said.kind != LIFE_STORE)
        return 0;
    bool ours = c->word == ADD ? span_is(said.of, c->id) : meta_is(frame.meta, "frame_id", c->id);
    if (!ours)
        return 0;
    if (said.event == LIFE_ACTIVE)
        c->status = tell_path(c, line, frame.meta);
    else if (said.event == LIFE_INVALID)
        c->status = tell_invalid(c, frame.meta);
    else
        c->status = c->word == ADD ? call_failf(c->call, "%s was ended before it was active", c->name) : tell_gone(c, line);
    return ANSWERED;
}

static int await_answer(struct change *c, struct weir *w)
{
    struct err err = ERR_INIT;
    CLEAN_BUF topics = BUF_INIT;
    int rc = life_topic(&topics, LIFE_STORE, c->name, "*") == 0 ? await_behind(w, buf_span(&topics), c->id, &err)
                                                                : err_set(&err, -ENOMEM, "out of memory");
    if (rc == 0)
        rc = await_lines(w, c->wait_ms, take_line, c, &err);
    if (rc == ANSWERED)
        return c->status;
    if (rc == -ETIMEDOUT)
        return call_failf(c->call, "no answer within %" PRIu64 " ms; what was asked for stands", c->wait_ms);
    return rc < 0 ? call_fail(c->call, &err) : call_failf(c->call, "the daemon stopped before it answered");
}

/* --- asking for it ------------------------------------------------------------------------------------ */

static int change(struct change *c, struct weir *w, const char *meta)
{
    static const char *const asks[] = {"create", "term", "delete"};
    struct err err = ERR_INIT;
    CLEAN_FREE char *json = NULL;
    CLEAN_BUF topic = BUF_INIT;
    struct frame_parts frame;
    if (life_topic(&topic, LIFE_STORE, c->name, asks[c->word]) != 0)
        return call_failf(c->call, "out of memory");
    const struct weir_append a = {.topic = buf_cstr(&topic), .meta = meta};
    if (weir_append(w, &a, &json, &err) != 0)
        return call_fail(c->call, &err);
    if (!frame_parts_take(&frame, span_str(json)))
        return call_failf(c->call, "the daemon's answer is no frame");
    memcpy(c->id, frame.id.ptr, ID_TEXT_LEN);
    return await_answer(c, w);
}

/* The daemon has a working directory of its own. */
static int put_path(struct buf *out, const char *path)
{
    CLEAN_FREE char *here = path[0] == '/' ? NULL : getcwd(NULL, 0);
    CLEAN_BUF whole = BUF_INIT;
    while (path[0] == '.' && path[1] == '/')
        path += 2;
    if (path[0] != '/' && (!here || buf_addf(&whole, "%s/", here) != 0))
        return -1;
    if (buf_add_str(&whole, path) != 0 || buf_add_str(out, "{\"path\":") != 0)
        return -1;
    return json_put_string(out, buf_span(&whole)) == 0 ? buf_add_str(out, "}") : -1;
}

static int add(struct change *c, struct weir *w)
{
    CLEAN_BUF meta = BUF_INIT;
    const char *path = call_operand(c->call, 1);
    if (path && put_path(&meta, path) != 0)
        return call_failf(c->call, "cannot tell what %s is: %s", path, strerror(errno));
    return change(c, w, path ? buf_cstr(&meta) : NULL);
}

/* Nobody answers for a store that is not there. */
static int look_for(const struct change *c, struct weir *w, struct buf *path)
{
    struct err err = ERR_INIT;
    struct lives lives = {0};
    int rc = lives_read(&lives, w, "xs.store.*", &err);
    const struct life *life = rc == 0 ? lives_find(&lives, LIFE_STORE, c->name) : NULL;
    bool there = life && life_is_on(life);
    if (there && buf_add_span(path, buf_span(&life->path)) != 0)
        rc = err_set(&err, -ENOMEM, "out of memory");
    lives_finish(&lives);
    if (rc != 0)
        return call_fail(c->call, &err);
    return there ? 0 : call_failf(c->call, "no store %s; `weir store list' shows what there is", c->name);
}

static int ask(const struct change *c, const struct buf *path)
{
    char line[16];
    if (call_has(c->call, YES))
        return 0;
    if (!isatty(STDIN_FILENO))
        return call_usage(c->call, "to delete without being asked, give --yes");
    fprintf(stderr, "delete the store %s with all that is in %.*s? [y/N] ", c->name, SPAN_ARG(buf_span(path)));
    if (fgets(line, sizeof(line), stdin) && (line[0] == 'y' || line[0] == 'Y'))
        return 0;
    return call_failf(c->call, "nothing was deleted");
}

static int take_away(struct change *c, struct weir *w)
{
    CLEAN_BUF path = BUF_INIT;
    int rc = look_for(c, w, &path);
    if (rc == 0 && c->word == DELETE)
        rc = ask(c, &path);
    return rc == 0 ? change(c, w, NULL) : rc;
}

static int list(const struct call *call, struct weir *w)
{
    struct err err = ERR_INIT;
    struct lives lives = {0};
    const struct list_choice choice = {.kind = LIFE_STORE, .ended = call_has(call, ALL)};
    int rc = lives_read(&lives, w, "xs.store.*", &err);
    rc = rc == 0 ? list_print(call, &lives, &choice, NULL) : call_fail(call, &err);
    lives_finish(&lives);
    return rc;
}

/* A topic's, but it may begin with a digit. */
static int name_check(const char *name, struct err *err)
{
    CLEAN_FREE char *text = strdup(name);
    if (!text)
        return err_set(err, -ENOMEM, "out of memory");
    if (text[0] >= '0' && text[0] <= '9')
        text[0] = '_';
    return topic_check(span_str(text), err);
}

static int check(struct call *call, struct change *c)
{
    static const size_t most[] = {2, 1, 1, 0};
    struct err err = ERR_INIT;
    c->word = word_take(call, words);
    if (c->word < 0)
        return call_usage(call, "say what is to be done: add, remove, delete or list");
    int rc = call_operands(call, c->word == LIST ? 0 : 1, most[c->word]);
    if (rc == 0)
        rc = await_option(call, WAIT, WAIT_MS, &c->wait_ms);
    c->name = call_operand(call, 0);
    if (rc == 0 && c->name && name_check(c->name, &err) != 0)
        rc = call_usage(call, "`%s' is no name: %s", c->name, err.text);
    return rc;
}

static int exec(struct call *call)
{
    struct weir *w = NULL;
    struct change c = {.call = call};
    int rc = check(call, &c);
    if (rc == 0)
        rc = call_open(call, &w);
    if (rc == 0)
        rc = c.word == LIST ? list(call, w) : c.word == ADD ? add(&c, w) : take_away(&c, w);
    weir_close(w);
    return rc;
}

const struct cmd cmd_store = {
    .name = "store",
    .group = GROUP_RUN,
    .summary = "add, remove, delete or list stores",
    .operands = "add NAME [PATH] | remove NAME | delete NAME | list",
    .about = "One daemon serves many stores. `add' makes or takes in a store and prints its\n"
             "path, which is its address; without PATH it lies below the one that it is added\n"
             "to. `remove' lets go of it and leaves it on the disk; `delete' removes it there.\n",
    .options = options,
    .takes = TAKES_ADDR | TAKES_JSON,
    .complete = COMPLETE_WORDS,
    .words = words,
    .exec = exec,
};
