/*
 * Any bytes as an .ss file: all of it can be shown in every form, JSON forms are JSON, and the exact one gives the payload back.
 */
#include <stdlib.h>

#include "base/json.h"
#include "base/text.h"
#include "bridge/show.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool holds)
{
    if (!holds)
        abort();
}

/* One line, and JSON. */
static struct span json_line(const struct buf *out)
{
    demand(out->len > 0 && out->ptr[out->len - 1] == '\n');
    struct span line = span_of(out->ptr, out->len - 1);
    demand(!memchr(line.ptr, '\n', line.len));
    demand(json_validate(line, 130, NULL, NULL) == 0);
    return line;
}

static void check_exact(struct span line, struct span payload)
{
    struct json_iter it;
    struct span key;
    struct json_value value;
    CLEAN_BUF text = BUF_INIT;
    CLEAN_BUF bytes = BUF_INIT;
    demand(json_iter_init(&it, line) == 0);
    demand(json_iter_next(&it, &key, &value) && json_iter_next(&it, &key, &value));
    demand(value.type == JSON_STRING && json_string_decode(value.raw, &text, NULL) == 0);
    bool coded = json_string_is(key, "payload_base64");
    demand(coded ? b64_decode(&bytes, buf_span(&text), NULL) == 0 : json_string_is(key, "payload"));
    demand(span_eq(coded ? buf_span(&bytes) : buf_span(&text), payload));
}

static void show(const struct ss_message *m)
{
    for (int form = SS_SHOW_LOG; form <= SS_SHOW_EXACT; form++) {
        CLEAN_BUF out = BUF_INIT;
        demand(ss_show_message(&out, (enum ss_show)form, m, true) == 0);
        buf_reset(&out);
        demand(ss_show_message(&out, (enum ss_show)form, m, false) == 0);
        if (form == SS_SHOW_LOG)
            continue;
        struct span line = json_line(&out);
        if (form == SS_SHOW_EXACT)
            check_exact(line, m->payload);
    }
}

static void show_beacon(const struct ss_beacon *b)
{
    CLEAN_BUF out = BUF_INIT;
    demand(ss_show_beacon(&out, SS_SHOW_LOG, b) == 0);
    demand(out.len > 3 && json_validate(span_of(out.ptr + 2, out.len - 3), 4, NULL, NULL) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ss_header h;
    struct ss_scan scan;
    struct ss_message m;
    size_t at = SS_HEADER_SIZE, used = 0;
    CLEAN_BUF out = BUF_INIT;
    if (ss_header_read(&h, span_of(data, size), NULL) != 0)
        return 0;
    demand(ss_show_header(&out, SS_SHOW_LOG, &h) == 0);
    demand(json_validate(span_of(out.ptr + 2, out.len - 3), 2, NULL, NULL) == 0);
    demand(ss_scan_begin(&scan, h.interval, SS_HEADER_SIZE, true) == 0);
    while (ss_scan_next(&scan, span_of(data + at, size - at), &m, &used, NULL, NULL) == 0) {
        show(&m);
        if (scan.has_beacon)
            show_beacon(scan.beacon);
        at += used;
    }
    ss_scan_finish(&scan);
    return 0;
}
