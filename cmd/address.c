#include "cmd/address.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "client/autostart.h"
#include "cmd/options.h"

bool address_looks(const char *text)
{
    struct frame_id id;
    if (id_parse(&id, span_str(text), NULL) == 0 || strncmp(text, "sha256-", 7) == 0)
        return false;
    return text[0] == '.' || text[0] == '~' || strpbrk(text, "/:") != NULL;
}

static void take_first(struct call *call)
{
    call->addr = call->operands[0];
    call->operands++;
    call->operand_count--;
}

static int take(struct call *call, size_t max, bool by_looks)
{
    call->addr = call_value(call, OPT_ADDR);
    if (call->addr)
        return 0;
    if (call->as_xs && call->operand_count == 0)
        return call_usage(call, "ADDR is missing");
    if (call->as_xs || call->operand_count > max ||
        (by_looks && call->operand_count > 0 && address_looks(call->operands[0])))
        take_first(call);
    return 0;
}

int address_take(struct call *call, size_t max)
{
    return take(call, max, true);
}

int address_take_counted(struct call *call, size_t max)
{
    return take(call, max, false);
}

int address_check_count(const struct call *call, size_t min, size_t max)
{
    if (call->operand_count < min)
        return call_usage(call, "an operand is missing");
    if (call->operand_count > max)
        return call_usage(call, "one operand too many: `%s'", call->operands[max]);
    return 0;
}

/* By the address forms a path begins with /, . or ~, and any other word is a host name. But no host
 * name holds a /, and a store directory of that name beside us is far more likely meant. */
static bool is_local_path(const char *text, const char *sock)
{
    struct stat st;
    if (!text[0] || strchr("/.~", text[0]) || strchr(text, ':'))
        return false;
    return strchr(text, '/') || stat(sock, &st) == 0;
}

static int parse(const struct call *call, const char *text, struct weir_addr *out, struct err *err)
{
    char local[4096];
    int len = snprintf(local, sizeof(local), "./%s/sock", text);
    if (!call->as_xs && len > 0 && (size_t)len < sizeof(local) && is_local_path(text, local)) {
        local[(size_t)len - strlen("/sock")] = '\0';
        return weir_addr_parse(out, local, err);
    }
    return weir_addr_parse(out, text, err);
}

int address_resolve(const struct call *call, struct weir_addr *out, struct err *err)
{
    static const char *const names[] = {"WEIR_ADDR", "XS_ADDR"};
    if (call->addr)
        return parse(call, call->addr, out, err);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const char *text = getenv(names[i]);
        if (!text || !text[0])
            continue;
        int rc = parse(call, text, out, err);
        if (rc != 0)
            err_prefix(err, "%s", names[i]);
        return rc;
    }
    return autostart_default(out, err);
}
