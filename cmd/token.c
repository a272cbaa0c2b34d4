/* weir token: who may come in over exposed addresses, and what for. */
#include <stdio.h>
#include <string.h>

#include "base/clean.h"
#include "base/json.h"
#include "cmd/output.h"
#include "cmd/table.h"
#include "cmd/target.h"
#include "cmd/token.h"
#include "cmd/word.h"

#define ANSWER_MAX ((size_t)256 << 20)

static const struct option_row options[] = {
    {.id = TOKEN_BASIN, .name = "basin", .arg = "NAME", .help = "issue: for this basin, or for all that begin so: PREFIX* (*)"},
    {.id = TOKEN_STREAM, .name = "stream", .arg = "NAME", .help = "issue: for this stream (topic), or PREFIX* (*)"},
    {.id = TOKEN_TOKEN, .name = "token", .arg = "ID", .help = "issue: may deal with tokens of this id, or PREFIX* (none)"},
    {.id = TOKEN_READ, .letter = 'r', .name = "read", .help = "issue: all that only looks"},
    {.id = TOKEN_WRITE, .letter = 'w', .name = "write", .help = "issue: append, trim, fence, make and change streams"},
    {.id = TOKEN_OP, .name = "op", .arg = "OP,...", .help = "issue: these operations, by the names of the S2 API (repeatable)"},
    {.id = TOKEN_EXEC, .name = "exec", .help = "issue: define and run programs"},
    {.id = TOKEN_EXPIRES, .name = "expires", .arg = "WHEN", .help = "issue: after a time (30d) or at a moment (2030-01-31)"},
    {.id = TOKEN_AUTO_PREFIX, .name = "auto-prefix", .help = "issue: put the prefix of --stream before names in S2 requests"},
    {.name = NULL},
};

enum { ROOT, ISSUE, LIST, REVOKE };
static const char *const words[] = {"root", "issue", "list", "revoke", NULL};

static int print_secret(const struct call *call, struct weir *w, const struct weir_response *res)
{
    struct err err = ERR_INIT;
    CLEAN_FREE char *json = NULL;
    CLEAN_BUF secret = BUF_INIT;
    struct json_iter it;
    struct json_value value;
    struct span key;
    size_t len = 0;
    int rc = weir_check(w, res, &err);
    if (rc == 0)
        rc = weir_read_all(w, &json, &len, ANSWER_MAX, &err);
    if (rc != 0)
        return call_fail(call, &err);
    struct span text = span_of(json, len);
    if (json_validate(text, 4, NULL, NULL) == 0 && json_iter_init(&it, text) == 0)
        while (json_iter_next(&it, &key, &value))
            if (json_string_is(key, "access_token") && value.type == JSON_STRING)
                rc = json_string_decode(value.raw, &secret, NULL);
    if (rc != 0 || secret.len == 0)
        return call_failf(call, "the daemon's answer has no token");
    return output_line(call, call_has(call, OPT_JSON) ? text : buf_span(&secret));
}

static int make(const struct call *call, struct weir *w, struct span body)
{
    struct err err = ERR_INIT;
    struct weir_response res;
    const struct weir_request req = {.method = "POST", .target = "/tokens", .body = body, .has_body = true};
    if (weir_request(w, &req, &res, &err) != 0)
        return call_fail(call, &err);
    return print_secret(call, w, &res);
}

static int make_root(const struct call *call, struct weir *w)
{
    int rc = make(call, w, span_str("{\"root\":true}"));
    if (rc == 0)
        call_note(call, "this is the root token; it is not shown again. From now on exposed addresses need a token");
    return rc;
}

static int issue(const struct call *call, struct weir *w)
{
    CLEAN_BUF body = BUF_INIT;
    int rc = token_ask(&body, call, call_operand(call, 0));
    return rc == 0 ? make(call, w, buf_span(&body)) : rc;
}

static int revoke_one(const struct call *call, struct weir *w)
{
    struct err err = ERR_INIT;
    struct weir_response res;
    CLEAN_BUF target = BUF_INIT;
    const char *id = call_operand(call, 0);
    if (buf_add_str(&target, "/tokens/") != 0 || target_segment(&target, id) != 0)
        return call_failf(call, "out of memory");
    const struct weir_request req = {.method = "DELETE", .target = target_text(&target), .replay_safe = true};
    int rc = weir_request(w, &req, &res, &err);
    if (rc == 0 && res.status == 404)
        rc = err_set(&err, ERR_NOT_FOUND, "no token %s", id);
    if (rc == 0)
        rc = weir_check(w, &res, &err);
    return rc == 0 ? 0 : call_fail(call, &err);
}

/* Options say what is to be issued, and nothing of the other words. */
static int check_options(const struct call *call, int word)
{
    for (size_t i = 0; word != ISSUE && i < call->given_count; i++)
        if (call->given[i].option->id < OPT_SHARED)
            return call_usage(call, "--%s is for `issue'", call->given[i].option->name);
    return 0;
}

static int exec(struct call *call)
{
    struct weir *w = NULL;
    int word = word_take(call, words);
    if (word < 0)
        return call_usage(call, "say what is to be done: root, issue, list or revoke");
    size_t operands = word == ISSUE || word == REVOKE;
    int rc = call_operands(call, operands, operands);
    if (rc == 0)
        rc = check_options(call, word);
    if (rc == 0)
        rc = call_open(call, &w);
    if (rc == 0)
        rc = word == ROOT    ? make_root(call, w)
             : word == ISSUE ? issue(call, w)
             : word == LIST  ? listing_print(call, w, &token_listing)
                             : revoke_one(call, w);
    weir_close(w);
    return rc;
}

const struct cmd cmd_token = {
    .name = "token",
    .group = GROUP_DAEMON,
    .summary = "make, list or revoke access tokens",
    .operands = "root | issue ID | list | revoke ID",
    .about = "Access tokens say who may do what over exposed addresses; a store's own socket\n"
             "needs none. `root' makes the root token, or another one instead: from then on\n"
             "every request needs a token. `issue' prints one that may do what the options say,\n"
             "and no more than your own; `revoke' ends one, and what is open with it.\n"
             "A client sends what WEIR_TOKEN holds.\n",
    .options = options,
    .takes = TAKES_ADDR | TAKES_JSON,
    .complete = COMPLETE_WORDS,
    .words = words,
    .exec = exec,
};
