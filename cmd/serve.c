/* weir serve: becomes weird, the daemon, so that signals and exit status are the daemon's own. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clean.h"
#include "cmd/call.h"
#include "cmd/table.h"

enum { EXPOSE = 1, HTTP, HTTP_DURABLE, HTTP_TIMEOUT, HTTP_BODY_MAX, HOST, CORS, TLS_CERT, TLS_KEY, TLS_SELF, PLAIN, REQUIRE_TOKEN, IDLE_EXIT, IDLE_TIMEOUT, STORE_IDLE, APPEND_INFLIGHT, BASIN, INIT_FILE, MEMORY, LOG, VERIFY, REPAIR };

static const struct option_row options[] = {
    {.id = EXPOSE,
     .name = "expose",
     .arg = "ADDR",
     .help = "listen there too: :PORT, HOST:PORT, /PATH (repeatable)"},
    {.id = HTTP,
     .name = "http",
     .arg = "ADDR",
     .help = "answer HTTP there by frames http.request and http.response (repeatable)"},
    {.id = HTTP_DURABLE, .name = "http-durable", .help = "keep the requests' frames"},
    {.id = HTTP_TIMEOUT,
     .name = "http-timeout",
     .arg = "S",
     .help = "wait S seconds for an answer (30)"},
    {.id = HTTP_BODY_MAX,
     .name = "http-body-max",
     .arg = "N",
     .help = "take request bodies up to N bytes; also 64K, 8M, 1G (8M)"},
    {.id = HOST, .name = "host", .arg = "NAME", .help = "a further name browsers may call us by"},
    {.id = CORS,
     .name = "cors",
     .arg = "ORIGIN",
     .help = "let pages of ORIGIN (or *) read answers"},
    {.id = TLS_CERT,
     .name = "tls-cert",
     .arg = "FILE",
     .help = "exposed addresses of TCP speak TLS with this certificate (PEM)",
     .complete = COMPLETE_FILE},
    {.id = TLS_KEY, .name = "tls-key", .arg = "FILE", .help = "its key", .complete = COMPLETE_FILE},
    {.id = TLS_SELF, .name = "tls-self", .help = "the same with a certificate of our own making, kept in PATH/tls"},
    {.id = PLAIN, .name = "plain", .help = "expose beyond loopback without TLS: somebody else encrypts"},
    {.id = REQUIRE_TOKEN, .name = "require-token", .help = "exposed addresses need an access token, also on loopback"},
    {.id = IDLE_EXIT,
     .name = "idle-exit",
     .arg = "S",
     .help = "end after S seconds without a connection"},
    {.id = IDLE_TIMEOUT,
     .name = "idle-timeout",
     .arg = "S",
     .help = "drop requests without progress for S seconds (30)"},
    {.id = STORE_IDLE,
     .name = "store-idle",
     .arg = "S",
     .help = "close an attached store that nobody uses for S seconds (10)"},
    {.id = APPEND_INFLIGHT,
     .name = "append-inflight-bytes",
     .arg = "N",
     .help = "take N bytes of S2 appends ahead of the disk (128M)"},
    {.id = BASIN, .name = "basin", .arg = "NAME", .help = "the store's name as a basin of the S2 API (weir-root)"},
    {.id = INIT_FILE,
     .name = "init-file",
     .arg = "FILE",
     .help = "have these basins and streams, as s2 lite and s2 apply do",
     .complete = COMPLETE_FILE},
    {.id = MEMORY, .name = "memory", .help = "a store that ends with its daemon; PATH becomes a link to it"},
    {.id = LOG,
     .name = "log",
     .arg = "FILE",
     .help = "log there instead of to standard error",
     .complete = COMPLETE_FILE},
    {.id = VERIFY, .name = "verify", .help = "check everything in the store and end"},
    {.id = REPAIR, .name = "repair", .help = "set damaged parts of the journal aside and end"},
    {.name = NULL},
};

/* The store of those who name none; the same as weir's other verbs use. */
static char *default_store(void)
{
    const char *data = getenv("XDG_DATA_HOME");
    const char *home = getenv("HOME");
    char *path = NULL;
    int len = -1;
    if (data && data[0] == '/')
        len = asprintf(&path, "%s/weir", data);
    else if (home && home[0] == '/')
        len = asprintf(&path, "%s/.local/share/weir", home);
    return len < 0 ? NULL : path;
}

static void free_args(char **args)
{
    for (size_t i = 0; args && args[i]; i++)
        free(args[i]);
    free(args);
}

/* weird --NAME=VALUE ... -- PATH, in the order given; path may be NULL. NULL without memory. */
static char **make_args(const struct call *call, const char *path)
{
    char **args = calloc(call->given_count + 4, sizeof(*args));
    size_t n = 0;
    bool ok = args && (args[n++] = strdup("weird")) != NULL;
    for (size_t i = 0; ok && i < call->given_count; i++) {
        const struct given *g = &call->given[i];
        ok = asprintf(&args[n], "--%s%s%s", g->option->name, g->value ? "=" : "",
                      g->value ? g->value : "") >= 0;
        if (!ok)
            args[n] = NULL;
        n++;
    }
    ok = ok && (args[n++] = strdup("--")) != NULL && (!path || (args[n] = strdup(path)) != NULL);
    if (ok)
        return args;
    free_args(args);
    return NULL;
}

/* Beside this program, where an installation and a build tree both have it; else in PATH. */
static void run_daemon(char *const *args)
{
    char self[4096];
    CLEAN_FREE char *beside = NULL;
    ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
    if (len > 0) {
        self[len] = '\0';
        char *slash = strrchr(self, '/');
        if (slash && asprintf(&beside, "%.*s/weird", (int)(slash - self), self) >= 0)
            execv(beside, args);
    }
    execvp("weird", args);
}

static int exec(struct call *call)
{
    CLEAN_FREE char *fallback = NULL;
    if (call->operand_count > 1)
        return call_usage(call, "one operand too many: `%s'", call->operands[1]);
    if (call->operand_count == 0 && call->as_xs)
        return call_usage(call, "PATH is missing");
    if (call->operand_count == 0 && !call_has(call, MEMORY)) {
        fallback = default_store();
        if (!fallback)
            return call_failf(call, "neither XDG_DATA_HOME nor HOME is set; name the store");
    }
    char **args = make_args(call, call->operand_count > 0 ? call->operands[0] : fallback);
    if (!args)
        return call_failf(call, "out of memory");
    run_daemon(args);
    int why = errno;
    free_args(args);
    return call_failf(call, "cannot run weird, neither beside this program nor from PATH: %s",
                      strerror(why));
}

const struct cmd cmd_serve = {
    .name = "serve",
    .group = GROUP_DAEMON,
    .summary = "run the daemon of a store",
    .operands = "[PATH]",
    .about =
        "Serves the store in directory PATH, which is made when missing, until SIGINT or SIGTERM.\n"
        "Clients reach it by PATH. Without PATH it is your default store.\n"
        "With --memory the store is new and goes with its daemon; PATH, which must not be there,\n"
        "becomes a link to it. Without PATH clients come by --expose, or by what the log names.\n",
    .options = options,
    .complete = COMPLETE_DIR,
    .exec = exec,
};
