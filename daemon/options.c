#include "daemon/options.h"

#include <getopt.h>
#include <stdint.h>
#include <stdio.h>

#include "base/text.h"

enum {
    OPTION_EXPOSE = 256,
    OPTION_HOST,
    OPTION_CORS,
    OPTION_IDLE_EXIT,
    OPTION_IDLE_TIMEOUT,
    OPTION_LOG,
    OPTION_READY_FD,
    OPTION_VERIFY,
    OPTION_REPAIR,
};

static const struct option table[] = {
    {"expose", required_argument, NULL, OPTION_EXPOSE},
    {"host", required_argument, NULL, OPTION_HOST},
    {"cors", required_argument, NULL, OPTION_CORS},
    {"idle-exit", required_argument, NULL, OPTION_IDLE_EXIT},
    {"idle-timeout", required_argument, NULL, OPTION_IDLE_TIMEOUT},
    {"log", required_argument, NULL, OPTION_LOG},
    {"ready-fd", required_argument, NULL, OPTION_READY_FD},
    {"verify", no_argument, NULL, OPTION_VERIFY},
    {"repair", no_argument, NULL, OPTION_REPAIR},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, 'V'},
    {NULL, 0, NULL, 0},
};

static const char usage[] = "usage: weird PATH [OPTION]...\n";

static const char help[] =
    "Serves the store in directory PATH, which is made when missing, until SIGINT or SIGTERM.\n"
    "\n"
    "  --expose ADDR       listen there too: :PORT, HOST:PORT or a socket path (repeatable)\n"
    "  --host NAME         a further name browsers may call us by\n"
    "  --cors ORIGIN       let pages of ORIGIN (or *) use the exposed addresses\n"
    "  --idle-exit S       end after S seconds without a connection\n"
    "  --idle-timeout S    drop requests that make no progress for S seconds (30)\n"
    "  --log FILE          log there instead of to standard error\n"
    "  --ready-fd N        write one byte to descriptor N when listening\n"
    "  --verify            check everything in the store and end\n"
    "  --repair            set damaged parts of the journal aside and end\n"
    "  -h, --help          this text\n"
    "  -V, --version       the version\n";

static bool parse_number(unsigned *out, const char *name, const char *text, unsigned max)
{
    uint64_t value;
    if (text_u64(span_str(text), &value) < 0 || value > max) {
        fprintf(stderr, "weird: --%s: `%s' is not a number from 0 to %u\n", name, text, max);
        return false;
    }
    *out = (unsigned)value;
    return true;
}

static bool add_expose(struct options *o, const char *address)
{
    if (o->expose_count == OPTIONS_EXPOSE_MAX) {
        fprintf(stderr, "weird: --expose: at most %d addresses\n", OPTIONS_EXPOSE_MAX);
        return false;
    }
    o->expose[o->expose_count++] = address;
    return true;
}

static bool take(struct options *o, int option, const char *value)
{
    unsigned number = 0;
    switch (option) {
    case OPTION_EXPOSE:
        return add_expose(o, value);
    case OPTION_HOST:
        o->host = value;
        return true;
    case OPTION_CORS:
        o->cors = value;
        return true;
    case OPTION_IDLE_EXIT:
        return parse_number(&o->idle_exit_s, "idle-exit", value, 1000000000);
    case OPTION_IDLE_TIMEOUT:
        return parse_number(&o->idle_timeout_s, "idle-timeout", value, 1000000);
    case OPTION_LOG:
        o->log = value;
        return true;
    case OPTION_READY_FD:
        if (!parse_number(&number, "ready-fd", value, 1000000))
            return false;
        o->ready_fd = (int)number;
        return true;
    case OPTION_VERIFY:
        return o->verify = true;
    case OPTION_REPAIR:
        return o->repair = true;
    default:
        return false;
    }
}

enum options_result options_parse(struct options *out, int argc, char **argv)
{
    int option;
    *out = (struct options){.ready_fd = -1};
    while ((option = getopt_long(argc, argv, "hV", table, NULL)) != -1) {
        if (option == 'h') {
            printf("%s%s", usage, help);
            return OPTIONS_END;
        }
        if (option == 'V') {
            printf("weird %s\n", WEIR_VERSION);
            return OPTIONS_END;
        }
        if (!take(out, option, optarg)) {
            fputs(usage, stderr);
            return OPTIONS_USAGE;
        }
    }
    if (optind != argc - 1 || argv[optind][0] == '\0') {
        fprintf(stderr, "weird: %s\n%s",
                optind < argc - 1 ? "one operand too many" : "the store's PATH is missing", usage);
        return OPTIONS_USAGE;
    }
    out->path = argv[optind];
    return OPTIONS_RUN;
}
