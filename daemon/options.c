#include "daemon/options.h"

#include <getopt.h>
#include <stdint.h>
#include <stdio.h>

#include "base/text.h"

enum {
    OPTION_EXPOSE = 256,
    OPTION_HTTP,
    OPTION_HTTP_DURABLE,
    OPTION_HTTP_TIMEOUT,
    OPTION_HTTP_BODY_MAX,
    OPTION_HOST,
    OPTION_CORS,
    OPTION_IDLE_EXIT,
    OPTION_IDLE_TIMEOUT,
    OPTION_STORE_IDLE,
    OPTION_LOG,
    OPTION_READY_FD,
    OPTION_VERIFY,
    OPTION_REPAIR,
    OPTION_SUPERVISOR,
};

static const struct option table[] = {
    {"expose", required_argument, NULL, OPTION_EXPOSE},
    {"http", required_argument, NULL, OPTION_HTTP},
    {"http-durable", no_argument, NULL, OPTION_HTTP_DURABLE},
    {"http-timeout", required_argument, NULL, OPTION_HTTP_TIMEOUT},
    {"http-body-max", required_argument, NULL, OPTION_HTTP_BODY_MAX},
    {"host", required_argument, NULL, OPTION_HOST},
    {"cors", required_argument, NULL, OPTION_CORS},
    {"idle-exit", required_argument, NULL, OPTION_IDLE_EXIT},
    {"idle-timeout", required_argument, NULL, OPTION_IDLE_TIMEOUT},
    {"store-idle", required_argument, NULL, OPTION_STORE_IDLE},
    {"log", required_argument, NULL, OPTION_LOG},
    {"ready-fd", required_argument, NULL, OPTION_READY_FD},
    {"verify", no_argument, NULL, OPTION_VERIFY},
    {"repair", no_argument, NULL, OPTION_REPAIR},
    {"supervisor", required_argument, NULL,
     OPTION_SUPERVISOR}, /* by the daemon itself; not in the help */
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, 'V'},
    {NULL, 0, NULL, 0},
};

static const char usage[] = "usage: weird PATH [OPTION]...\n";

static const char help[] =
    "Serves the store in directory PATH, which is made when missing, until SIGINT or SIGTERM.\n"
    "\n"
    "  --expose ADDR       listen there too: :PORT, HOST:PORT or a socket path (repeatable)\n"
    "  --http ADDR         answer HTTP there by frames http.request and http.response "
    "(repeatable)\n"
    "  --http-durable      keep the requests' frames\n"
    "  --http-timeout S    wait S seconds for an answer (30)\n"
    "  --http-body-max N   take request bodies up to N bytes; also 64K, 8M, 1G (8M)\n"
    "  --host NAME         a further name browsers may call us by\n"
    "  --cors ORIGIN       let pages of ORIGIN (or *) use the exposed addresses\n"
    "  --idle-exit S       end after S seconds without a connection\n"
    "  --idle-timeout S    drop requests that make no progress for S seconds (30)\n"
    "  --store-idle S      close an attached store that nobody uses for S seconds (10)\n"
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

static bool add_http(struct options *o, const char *address)
{
    if (o->http_count == OPTIONS_HTTP_MAX) {
        fprintf(stderr, "weird: --http: at most %d addresses\n", OPTIONS_HTTP_MAX);
        return false;
    }
    o->http[o->http_count++] = address;
    return true;
}

/* Bytes, also with K, M or G behind; up to a TiB. */
static bool parse_size(uint64_t *out, const char *name, const char *text)
{
    static const char units[] = "KMG";
    struct span digits = span_str(text);
    const char *unit = digits.len > 1 ? strchr(units, text[digits.len - 1]) : NULL;
    unsigned shift = unit ? (unsigned)(unit - units + 1) * 10 : 0;
    uint64_t value;
    digits.len -= unit != NULL;
    if (text_u64(digits, &value) < 0 || value == 0 || value > UINT64_C(1) << (40 - shift)) {
        fprintf(stderr, "weird: --%s: `%s' is no size from 1 to 1024G\n", name, text);
        return false;
    }
    *out = value << shift;
    return true;
}

static bool take(struct options *o, int option, const char *value)
{
    unsigned number = 0;
    switch (option) {
    case OPTION_EXPOSE:
        return add_expose(o, value);
    case OPTION_HTTP:
        return add_http(o, value);
    case OPTION_HTTP_DURABLE:
        return o->http_durable = true;
    case OPTION_HTTP_TIMEOUT:
        return parse_number(&o->http_timeout_s, "http-timeout", value, 1000000);
    case OPTION_HTTP_BODY_MAX:
        return parse_size(&o->http_body_max, "http-body-max", value);
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
    case OPTION_STORE_IDLE:
        return parse_number(&o->store_idle_s, "store-idle", value, 1000000);
    case OPTION_LOG:
        o->log = value;
        return true;
    case OPTION_READY_FD:
        if (!parse_number(&number, "ready-fd", value, 1000000))
            return false;
        o->ready_fd = (int)number;
        return true;
    case OPTION_SUPERVISOR:
        if (!parse_number(&number, "supervisor", value, 1000000))
            return false;
        o->supervisor_fd = (int)number;
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
    *out = (struct options){.ready_fd = -1, .store_idle_s = 10, .supervisor_fd = -1};
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
    if (out->supervisor_fd >= 0)
        return OPTIONS_RUN;
    if (optind != argc - 1 || argv[optind][0] == '\0') {
        fprintf(stderr, "weird: %s\n%s",
                optind < argc - 1 ? "one operand too many" : "the store's PATH is missing", usage);
        return OPTIONS_USAGE;
    }
    out->path = argv[optind];
    return OPTIONS_RUN;
}
