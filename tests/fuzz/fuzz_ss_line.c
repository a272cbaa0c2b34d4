/*
 * Any text as lines; what is read is written and read alike.
 */
#include <stdlib.h>

#include "base/utf8.h"
#include "bridge/line.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool holds)
{
    if (!holds)
        abort();
}

static bool is_within(struct span part, struct span whole)
{
    return part.len == 0 || (part.ptr >= whole.ptr && part.ptr + part.len <= whole.ptr + whole.len);
}

/* The payload but for white space in front, which readers drop where text follows. */
static bool is_payload(struct span read, struct span written)
{
    return read.len <= written.len && span_eq(read, span_of(written.ptr + written.len - read.len, read.len)) &&
           ss_line_blank(span_of(written.ptr, written.len - read.len));
}

static void write_and_read(const struct ss_message *m)
{
    CLEAN_BUF out = BUF_INIT;
    struct ss_message again;
    demand(ss_line_write(&out, m, (struct ss_line_form){.exact = true}, NULL) == 0);
    demand(out.len > 0 && out.ptr[out.len - 1] == '\n' && !memchr(out.ptr, '\n', out.len - 1));
    demand(ss_line_parse(&again, span_of(out.ptr, out.len - 1), NULL) == 0);
    demand(span_eq(again.key, m->key) && again.seq == m->seq && again.shard == m->shard && again.time_ms == m->time_ms &&
           again.time_ns == m->time_ns && is_payload(again.payload, m->payload));
}

static void write_odd(struct span payload)
{
    static const enum ss_line_odd odd[] = {SS_ODD_REFUSE, SS_ODD_RAW, SS_ODD_JSON};
    const struct ss_message m = {.key = span_str("k"), .payload = payload};
    bool holds = utf8_valid(payload) && !(payload.len > 0 && memchr(payload.ptr, '\n', payload.len));
    for (size_t i = 0; i < 3; i++) {
        CLEAN_BUF out = BUF_INIT;
        struct ss_message again;
        int rc = ss_line_write(&out, &m, (struct ss_line_form){.exact = true, .odd = odd[i]}, NULL);
        demand(rc == 0 ? out.len > 0 : rc == ERR_INVALID && out.len == 0 && !holds && odd[i] == SS_ODD_REFUSE);
        if (odd[i] == SS_ODD_JSON)
            demand(ss_line_parse(&again, span_of(out.ptr, out.len - 1), NULL) == 0 && (again.payload.len > 0) == (payload.len > 0));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ss_counters counters = {.slots = NULL};
    struct span rest = span_of(data, size);
    while (rest.len > 0) {
        const uint8_t *end = memchr(rest.ptr, '\n', rest.len);
        struct span line = span_of(rest.ptr, end ? (size_t)(end - rest.ptr) : rest.len);
        struct ss_message m;
        struct err err = ERR_INIT;
        int rc = ss_line_parse(&m, line, &err);
        demand(rc == 0 || (rc == ERR_INVALID && err.text[0]));
        demand(utf8_valid(line) || rc == ERR_INVALID);
        if (rc == 0) {
            demand(is_within(m.payload, line) && (m.no_key || is_within(m.key, line)));
            demand(ss_counters_give(&counters, &m, NULL) == 0);
            write_and_read(&m);
        }
        rest = end ? span_of(end + 1, rest.len - line.len - 1) : span_of(NULL, 0);
    }
    write_odd(span_of(data, size));
    ss_counters_finish(&counters);
    return 0;
}
