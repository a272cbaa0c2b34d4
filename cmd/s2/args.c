#include "cmd/s2/verb.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/json.h"
#include "base/text.h"

static const struct option_row shared[] = {
    {.id = S2_OPT_ENDPOINT,
     .name = "endpoint",
     .arg = "ADDR",
     .help = "http[s]://HOST[:PORT], unix:PATH, a store's directory"},
    {.id = S2_OPT_COMPRESSION,
     .name = "compression",
     .arg = "zstd|gzip",
     .help = "of what is sent"},
    {.id = S2_OPT_CA,
     .name = "ca-file",
     .arg = "FILE",
     .help = "certificates to trust instead of the system's"},
    {.id = S2_OPT_INSECURE, .name = "insecure", .help = "do not check the server's certificate"},
    {.id = S2_OPT_ATTEMPTS,
     .name = "attempts",
     .arg = "N",
     .help = "tries of what may succeed later (3)"},
    {.id = S2_OPT_HELP, .letter = 'h', .name = "help", .help = "this text"},
    {.name = NULL},
};

const struct verb *verb_find(const char *name)
{
    for (size_t i = 0; verb_table[i]; i++) {
        if (strcmp(verb_table[i]->name, name) == 0 ||
            (verb_table[i]->alias && strcmp(verb_table[i]->alias, name) == 0))
            return verb_table[i];
    }
    return NULL;
}

/* --- messages ------------------------------------------------------------------------------------
 */

__attribute__((format(printf, 2, 0))) static void say(const struct args *args, const char *fmt,
                                                      va_list list)
{
    char text[2048];
    CLEAN_BUF safe = BUF_INIT;
    vsnprintf(text, sizeof(text), fmt, list);
    /* Bytes from the command line or a server reach the terminal as one harmless line. */
    const char *shown = text_neutralise(&safe, span_str(text)) == 0 ? buf_cstr(&safe) : NULL;
    fprintf(stderr, "weir s2 %s: %s\n", args->verb->name, shown ? shown : "out of memory");
}

int args_failf(const struct args *args, const char *fmt, ...)
{
    va_list list;
    va_start(list, fmt);
    say(args, fmt, list);
    va_end(list);
    return EXIT_FAILURE;
}

int args_fail(const struct args *args, const struct weir_s2_err *err)
{
    return args_failf(args, "%s", err->err.text[0] ? err->err.text : err_code_text(err->err.code));
}

int args_usage(const struct args *args, const char *fmt, ...)
{
    va_list list;
    va_start(list, fmt);
    say(args, fmt, list);
    va_end(list);
    fprintf(stderr, "usage: weir s2 %s [OPTION]... %s\n", args->verb->name, args->verb->operands);
    return EXIT_WRONG_USAGE;
}

static void option_lines(FILE *out, const struct option_row *row)
{
    for (; row && row->name; row++) {
        char left[64];
        int len = row->letter ? snprintf(left, sizeof(left), "-%c, --%s", row->letter, row->name)
                              : snprintf(left, sizeof(left), "    --%s", row->name);
        if (row->arg && len > 0 && (size_t)len < sizeof(left))
            snprintf(left + len, sizeof(left) - (size_t)len, " %s", row->arg);
        fprintf(out, "  %-34s %s\n", left, row->help);
    }
}

void usage_of_verb(FILE *out, const struct verb *verb)
{
    fprintf(out, "usage: weir s2 %s [OPTION]... %s\n\n%s", verb->name, verb->operands, verb->about);
    option_lines(out, verb->options);
    option_lines(out, verb->options2);
    option_lines(out, shared);
}

void usage_of_all(FILE *out)
{
    fprintf(out, "usage: weir s2 VERB [OPTION]... [OPERAND]...\n");
    for (size_t i = 0; verb_table[i]; i++) {
        const char *about = verb_table[i]->about;
        fprintf(out, "  %-20s %.*s\n", verb_table[i]->name, (int)strcspn(about, "\n"), about);
    }
    fprintf(out,
            "`weir s2 VERB --help' explains a verb. The endpoint: --endpoint, $S2_ACCOUNT_ENDPOINT "
            "and\n"
            "$S2_BASIN_ENDPOINT, $WEIR_ADDR, your default store. The token: $S2_ACCESS_TOKEN.\n"
            "Exit status: 0 ok, 1 failed or not found, 2 wrong usage.\n");
}

/* --- options
 * -------------------------------------------------------------------------------------- */

typedef bool match_row(const struct option_row *row, const void *arg);

static const struct option_row *find(const struct verb *verb, match_row *matches, const void *arg)
{
    const struct option_row *tables[] = {verb->options, verb->options2, shared};
    for (size_t t = 0; t < 3; t++) {
        for (const struct option_row *r = tables[t]; r && r->name; r++) {
            if (matches(r, arg))
                return r;
        }
    }
    return NULL;
}

static bool is_letter(const struct option_row *row, const void *arg)
{
    return row->letter && row->letter == *(const char *)arg;
}

static bool is_long(const struct option_row *row, const void *arg)
{
    const struct span *name = arg;
    return span_is(*name, row->name) || (row->old && span_is(*name, row->old));
}

static void add(struct args *args, const struct option_row *row, const char *value)
{
    args->given[args->given_count++] = (struct s2_given){row, value};
}

static int take_long(struct args *args, int argc, char *const argv[], int *at)
{
    const char *text = argv[*at] + 2;
    const char *equals = strchr(text, '=');
    struct span name = span_of(text, equals ? (size_t)(equals - text) : strlen(text));
    const struct option_row *row = find(args->verb, is_long, &name);
    if (!row)
        return args_usage(args, "unknown option `--%.*s'", SPAN_ARG(name));
    if (!row->arg && equals)
        return args_usage(args, "--%s takes no value", row->name);
    if (row->arg && !equals && *at + 1 >= argc)
        return args_usage(args, "--%s needs a value: %s", row->name, row->arg);
    add(args, row, equals ? equals + 1 : row->arg ? argv[++*at] : NULL);
    return 0;
}

static int take_letters(struct args *args, int argc, char *const argv[], int *at)
{
    for (const char *p = argv[*at] + 1; *p; p++) {
        const struct option_row *row = find(args->verb, is_letter, p);
        if (!row)
            return args_usage(args, "unknown option `-%c'", *p);
        if (!row->arg) {
            add(args, row, NULL);
            continue;
        }
        if (!p[1] && *at + 1 >= argc)
            return args_usage(args, "-%c needs a value: %s", *p, row->arg);
        add(args, row, p[1] ? p + 1 : argv[++*at]);
        return 0;
    }
    return 0;
}

static size_t option_room(int argc, char *const argv[])
{
    size_t room = 1;
    for (int i = 0; i < argc; i++)
        room += argv[i][0] == '-' ? strlen(argv[i]) : 0;
    return room;
}

static int check_count(const struct args *args)
{
    if (args_has(args, S2_OPT_HELP))
        return 0;
    if (args->operand_count < args->verb->min)
        return args_usage(args, "an operand is missing");
    if (args->operand_count > args->verb->max)
        return args_usage(args, "one operand too many: `%s'", args->operands[args->verb->max]);
    return 0;
}

int args_parse(struct args *args, int argc, char *const argv[])
{
    bool ended = false;
    args->given = calloc(option_room(argc, argv), sizeof(*args->given));
    args->operands = calloc((size_t)argc + 1, sizeof(*args->operands));
    if (!args->given || !args->operands)
        return args_failf(args, "out of memory");
    for (int i = 0; i < argc; i++) {
        int rc = 0;
        if (ended || argv[i][0] != '-' || !argv[i][1])
            args->operands[args->operand_count++] = argv[i];
        else if (strcmp(argv[i], "--") == 0)
            ended = true;
        else
            rc = argv[i][1] == '-' ? take_long(args, argc, argv, &i)
                                   : take_letters(args, argc, argv, &i);
        if (rc != 0)
            return rc;
    }
    return check_count(args);
}

void args_finish(struct args *args)
{
    weir_s2_close(args->s2);
    free(args->given);
    free(args->operands);
}

const char *args_value(const struct args *args, int id)
{
    for (size_t i = args->given_count; i > 0; i--) {
        if (args->given[i - 1].row->id == id)
            return args->given[i - 1].value;
    }
    return NULL;
}

bool args_has(const struct args *args, int id)
{
    for (size_t i = 0; i < args->given_count; i++) {
        if (args->given[i].row->id == id)
            return true;
    }
    return false;
}

const char *args_operand(const struct args *args, size_t i)
{
    return i < args->operand_count ? args->operands[i] : NULL;
}

static const char *name_of(const struct args *args, int id)
{
    for (size_t i = 0; i < args->given_count; i++) {
        if (args->given[i].row->id == id)
            return args->given[i].row->name;
    }
    return "";
}

int args_u64(const struct args *args, int id, uint64_t *out, bool *has)
{
    const char *text = args_value(args, id);
    if (has)
        *has = text != NULL;
    if (!text || text_u64(span_str(text), out) == 0)
        return 0;
    return args_usage(args, "--%s: `%s' is not a number from 0 to 18446744073709551615",
                      name_of(args, id), text);
}

int args_duration(const struct args *args, int id, uint64_t *out_ms, bool *has)
{
    struct err err = ERR_INIT;
    const char *text = args_value(args, id);
    if (has)
        *has = text != NULL;
    if (!text || time_parse_duration(span_str(text), out_ms, &err) == 0)
        return 0;
    return args_usage(args, "--%s: %s", name_of(args, id), err.text);
}

/* --- operands and answers
 * --------------------------------------------------------------------------- */

static const char *without_scheme(const char *text)
{
    return strncmp(text, "s2://", 5) == 0 ? text + 5 : text;
}

int args_basin(const struct args *args, const char *text, struct buf *room, const char **basin,
               const char **rest)
{
    const char *name = without_scheme(text);
    size_t len = strcspn(name, "/");
    *rest = name[len] ? name + len + 1 : "";
    if (len == 0)
        return args_usage(args, "`%s' names no basin", text);
    if (buf_add(room, name, len) != 0 || !(*basin = buf_cstr(room)))
        return args_failf(args, "out of memory");
    return 0;
}

int args_stream(const struct args *args, const char *text, struct buf *room,
                struct weir_s2_stream *out)
{
    int rc = args_basin(args, text, room, &out->basin, &out->stream);
    if (rc == 0 && !out->stream[0])
        return args_usage(args, "`%s' names no stream; s2://BASIN/STREAM does", text);
    return rc;
}

int args_print(const struct args *args, struct span bytes)
{
    while (bytes.len > 0) {
        ssize_t n = write(STDOUT_FILENO, bytes.ptr, bytes.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EPIPE)
            return 0;
        if (n < 0)
            return args_failf(args, "standard output: %s", err_code_text(-errno));
        bytes = span_of(bytes.ptr + n, bytes.len - (size_t)n);
    }
    return 0;
}

int args_call(struct args *args, const struct weir_s2_request *request)
{
    struct weir_s2_err err = WEIR_S2_ERR_INIT;
    struct weir_s2_answer answer = {0};
    if (weir_s2_call(args->s2, request, &answer, &err) != 0)
        return args_fail(args, &err);
    int rc = 0;
    if (answer.len > 0) {
        answer.body[answer.len] = '\n';
        rc = args_print(args, span_of(answer.body, answer.len + 1));
    }
    weir_s2_answer_finish(&answer);
    return rc;
}

int args_made(const struct args *args, struct buf *out, const char *key, const char *name,
              const struct buf *config)
{
    int rc = buf_addf(out, "{\"%s\":", key);
    if (rc == 0)
        rc = json_put_string(out, span_str(name));
    if (rc == 0)
        rc = buf_addf(out, ",\"config\":%.*s}", SPAN_ARG(buf_span(config)));
    return rc == 0 ? 0 : args_failf(args, "out of memory");
}
