#include "daemon/options.h"

#include <getopt.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/s2/names.h"
#include "base/text.h"

enum {
    OPTION_EXPOSE = 256,
    OPTION_HTTP,
    OPTION_HTTP_DURABLE,
    OPTION_HTTP_TIMEOUT,
    OPTION_HTTP_BODY_MAX,
    OPTION_HOST,
    OPTION_CORS,
    OPTION_TLS_CERT,
    OPTION_TLS_KEY,
    OPTION_TLS_SELF,
    OPTION_PLAIN,
    OPTION_REQUIRE_TOKEN,
    OPTION_IDLE_EXIT,
    OPTION_IDLE_TIMEOUT,
    OPTION_STORE_IDLE,
    OPTION_APPEND_INFLIGHT,
    OPTION_BASIN,
    OPTION_INIT_FILE,
    OPTION_MEMORY,
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
    {"tls-cert", required_argument, NULL, OPTION_TLS_CERT},
    {"tls-key", required_argument, NULL, OPTION_TLS_KEY},
    {"tls-self", no_argument, NULL, OPTION_TLS_SELF},
    {"plain", no_argument, NULL, OPTION_PLAIN},
    {"require-token", no_argument, NULL, OPTION_REQUIRE_TOKEN},
    {"idle-exit", required_argument, NULL, OPTION_IDLE_EXIT},
    {"idle-timeout", required_argument, NULL, OPTION_IDLE_TIMEOUT},
    {"store-idle", required_argument, NULL, OPTION_STORE_IDLE},
    {"append-inflight-bytes", required_argument, NULL, OPTION_APPEND_INFLIGHT},
    {"basin", required_argument, NULL, OPTION_BASIN},
    {"init-file", required_argument, NULL, OPTION_INIT_FILE},
    {"memory", no_argument, NULL, OPTION_MEMORY},
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

static const char usage[] = "usage: weird PATH [OPTION]...\n       weird --memory [LINK] [OPTION]...\n";

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
    "  --tls-cert FILE     exposed addresses of TCP speak TLS with this certificate (PEM)\n"
    "  --tls-key FILE      its key\n"
    "  --tls-self          the same with a certificate of our own making, kept in PATH/tls\n"
    "  --plain             expose beyond loopback without TLS: somebody else encrypts\n"
    "  --require-token     exposed addresses need an access token (weir token), also on loopback\n"
    "  --idle-exit S       end after S seconds without a connection\n"
    "  --idle-timeout S    drop requests that make no progress for S seconds (30)\n"
    "  --store-idle S      close an attached store that nobody uses for S seconds (10)\n"
    "  --append-inflight-bytes N  take up to N bytes of S2 appends ahead of the disk; also 64K, 8M, 1G (128M)\n"
    "  --basin NAME        the store's name as a basin of the S2 API (" OPTIONS_BASIN ")\n"
    "  --init-file FILE    have these basins and streams, as s2 lite and s2 apply do\n"
    "  --memory            a store that ends with its daemon; LINK becomes a link to it\n"
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

static bool parse_basin(struct options *o, const char *name)
{
    struct err err = ERR_INIT;
    if (s2_basin_name(span_str(name), &err) < 0) {
        fprintf(stderr, "weird: --basin: %s\n", err.text);
        return false;
    }
    o->basin = name;
    return true;
}

/* The file that is asked for: by option, else by the environment. */
static void default_init_file(struct options *o)
{
    static const char *const names[] = {"WEIR_INIT_FILE", "S2LITE_INIT_FILE"};
    for (size_t i = 0; i < 2 && !o->init_path; i++) {
        const char *given = getenv(names[i]);
        o->init_path = given && given[0] ? given : NULL;
    }
}

/* One way of encrypting, whole. */
static bool tls_is_clear(const struct options *o)
{
    const char *why = NULL;
    if (!o->tls_cert != !o->tls_key)
        why = "--tls-cert and --tls-key belong together";
    else if (o->tls_cert && o->tls_self)
        why = "--tls-self makes a certificate: there is no use for --tls-cert";
    else if (o->plain && options_anywhere(&(struct options){.tls_cert = o->tls_cert, .tls_self = o->tls_self}))
        why = "--plain is for a daemon without TLS";
    if (why)
        fprintf(stderr, "weird: %s\n%s", why, usage);
    return !why;
}

/* The one operand; without it only a store in memory is served. */
static bool take_path(struct options *o, int count, char **operands)
{
    if (count == 0 && o->memory)
        return true;
    if (count == 1 && operands[0][0] && !(o->memory && (o->verify || o->repair))) {
        o->path = operands[0];
        return true;
    }
    fprintf(stderr, "weird: %s\n%s",
            count > 1    ? "one operand too many"
            : count == 1 && operands[0][0] ? "a store in memory is made anew: there is nothing to check"
                         : "the store's PATH is missing",
            usage);
    return false;
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
    case OPTION_REQUIRE_TOKEN:
        return o->require_token = true;
    case OPTION_TLS_CERT:
        o->tls_cert = value;
        return true;
    case OPTION_TLS_KEY:
        o->tls_key = value;
        return true;
    case OPTION_TLS_SELF:
        return o->tls_self = true;
    case OPTION_PLAIN:
        return o->plain = true;
    case OPTION_IDLE_EXIT:
        return parse_number(&o->idle_exit_s, "idle-exit", value, 1000000000);
    case OPTION_IDLE_TIMEOUT:
        return parse_number(&o->idle_timeout_s, "idle-timeout", value, 1000000);
    case OPTION_STORE_IDLE:
        return parse_number(&o->store_idle_s, "store-idle", value, 1000000);
    case OPTION_APPEND_INFLIGHT:
        return parse_size(&o->append_inflight, "append-inflight-bytes", value);
    case OPTION_BASIN:
        return parse_basin(o, value);
    case OPTION_INIT_FILE:
        o->init_path = value;
        return true;
    case OPTION_MEMORY:
        return o->memory = true;
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
    default_init_file(out);
    if (!tls_is_clear(out))
        return OPTIONS_USAGE;
    return take_path(out, argc - optind, argv + optind) ? OPTIONS_RUN : OPTIONS_USAGE;
}
