/* weir scru128: make, take apart and put together ids. Needs no daemon. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/text.h"
#include "cmd/output.h"
#include "cmd/table.h"

#define INPUT_MAX 65536

static int print_id(const struct call *call, struct frame_id id)
{
    char text[ID_TEXT_LEN + 1];
    id_format(text, id);
    return output_line(call, span_str(text));
}

static int make(const struct call *call)
{
    struct id_gen gen;
    id_gen_init(&gen, ID_MIN);
    return print_id(call, id_gen_next(&gen, time_now_ms()));
}

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* All of stdin, without the blanks at its ends. 0 or an exit status. */
static int read_stdin(const struct call *call, struct buf *into, struct span *trimmed)
{
    ssize_t n = 1;
    while (n > 0 && into->len <= INPUT_MAX) {
        if (buf_reserve(into, 4096) != 0)
            return call_failf(call, "out of memory");
        n = read(STDIN_FILENO, into->ptr + into->len, into->cap - into->len);
        if (n < 0 && errno == EINTR)
            n = 1;
        else if (n > 0)
            into->len += (size_t)n;
    }
    if (n < 0)
        return call_failf(call, "read standard input: %s", strerror(errno));
    *trimmed = buf_span(into);
    while (trimmed->len > 0 && is_blank(trimmed->ptr[trimmed->len - 1]))
        trimmed->len--;
    while (trimmed->len > 0 && is_blank(trimmed->ptr[0]))
        *trimmed = span_of(trimmed->ptr + 1, trimmed->len - 1);
    return 0;
}

static int unpack(const struct call *call, const char *operand)
{
    struct err err = ERR_INIT;
    CLEAN_BUF input = BUF_INIT;
    struct span text = span_str(operand);
    struct frame_id id;
    char json[256];
    int rc = strcmp(operand, "-") == 0 ? read_stdin(call, &input, &text) : 0;
    if (rc != 0)
        return rc;
    if (id_parse(&id, text, &err) != 0)
        return call_fail(call, &err);
    struct id_fields f = id_unpack(id);
    snprintf(json, sizeof(json),
             "{\n  \"ts_ms\": %" PRIu64 ",\n  \"counter_hi\": %" PRIu32
             ",\n  \"counter_lo\": %" PRIu32 ",\n  \"node\": \"%08" PRIx32 "\"\n}",
             f.ts_ms, f.counter_hi, f.counter_lo, f.entropy);
    return output_line(call, span_str(json));
}

/* The key's value as a number up to `max`. */
static bool take_number(const struct json_value *value, uint64_t max, uint64_t *out)
{
    return value->type == JSON_NUMBER && json_u64(value->raw, out) == 0 && *out <= max;
}

/* "089af023", with its quotes. */
static bool take_node(const struct json_value *value, uint64_t *out)
{
    *out = 0;
    if (value->type != JSON_STRING || value->raw.len != 10)
        return false;
    for (size_t i = 1; i < 9; i++) {
        const char *digits = "0123456789abcdef";
        uint8_t c = value->raw.ptr[i];
        const char *at = strchr(digits, c >= 'A' && c <= 'F' ? c + 32 : c);
        if (c == 0 || !at)
            return false;
        *out = *out * 16 + (uint64_t)(at - digits);
    }
    return true;
}

enum { TS_MS, COUNTER_HI, COUNTER_LO, NODE, FIELDS };

static const char *const field_names[FIELDS] = {"ts_ms", "counter_hi", "counter_lo", "node"};
static const char *const field_rules[FIELDS] = {"a number of milliseconds below 2^48",
                                                "a number below 2^24", "a number below 2^24",
                                                "a text of 8 hex digits"};

static bool take_field(int i, const struct json_value *value, uint64_t *out)
{
    static const uint64_t max[FIELDS] = {(UINT64_C(1) << 48) - 1, (1u << 24) - 1, (1u << 24) - 1,
                                         0};
    return i == NODE ? take_node(value, out) : take_number(value, max[i], out);
}

static int take_fields(const struct call *call, struct span json, uint64_t out[static FIELDS])
{
    struct json_iter it;
    struct span key;
    struct json_value value;
    bool seen[FIELDS] = {false};
    if (json_iter_init(&it, json) != 0)
        return call_failf(call, "an object is needed, as unpack prints it");
    while (json_iter_next(&it, &key, &value)) {
        for (int i = 0; i < FIELDS; i++) {
            if (!json_string_is(key, field_names[i]))
                continue;
            if (!take_field(i, &value, &out[i]))
                return call_failf(call, "%s must be %s", field_names[i], field_rules[i]);
            seen[i] = true;
        }
    }
    for (int i = 0; i < FIELDS; i++) {
        if (!seen[i])
            return call_failf(call, "%s is missing", field_names[i]);
    }
    return 0;
}

static int pack(const struct call *call)
{
    struct err err = ERR_INIT;
    CLEAN_BUF input = BUF_INIT;
    struct span text = {NULL, 0};
    uint64_t v[FIELDS];
    struct frame_id id;
    int rc = read_stdin(call, &input, &text);
    if (rc != 0)
        return rc;
    if (json_validate(text, META_DEPTH, NULL, &err) != 0)
        return call_fail(call, &err);
    if (json_type_of(text) != JSON_OBJECT)
        return call_failf(call, "an object is needed, as unpack prints it");
    rc = take_fields(call, text, v);
    if (rc != 0)
        return rc;
    struct id_fields f = {.ts_ms = v[TS_MS],
                          .counter_hi = (uint32_t)v[COUNTER_HI],
                          .counter_lo = (uint32_t)v[COUNTER_LO],
                          .entropy = (uint32_t)v[NODE]};
    return id_pack(&id, &f, &err) == 0 ? print_id(call, id) : call_fail(call, &err);
}

static int exec(struct call *call)
{
    const char *action = call_operand(call, 0);
    if (!action)
        return make(call);
    if (strcmp(action, "pack") == 0 && call->operand_count == 1)
        return pack(call);
    if (strcmp(action, "unpack") == 0 && call->operand_count == 2)
        return unpack(call, call_operand(call, 1));
    return call_usage(call,
                      strcmp(action, "unpack") == 0 ? "unpack needs one ID" : "unknown operand");
}

static const char *const words[] = {"unpack", "pack", NULL};

const struct cmd cmd_scru128 = {
    .name = "scru128",
    .group = GROUP_LOCAL,
    .summary = "make an id; unpack or pack one",
    .operands = "[unpack ID | pack]",
    .about = "Prints a new id. `unpack ID' prints an id's fields as JSON (`-' reads the id from "
             "standard\n"
             "input); `pack' reads such an object from standard input and prints the id.\n",
    .complete = COMPLETE_WORDS,
    .words = words,
    .exec = exec,
};
