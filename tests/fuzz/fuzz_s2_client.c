/*
 * What the S2 client reads of others: endpoints, errors a server says, files of basins and streams,
 * chunks of messages. The first byte chooses.
 */
#include <stdlib.h>

#include <weir/s2.h>

#include "base/buf.h"
#include "client/s2/fault.h"
#include "client/s2/place.h"
#include "cmd/s2/spec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool holds)
{
    if (!holds)
        abort();
}

static void try_place(struct span text)
{
    CLEAN_BUF copy = BUF_INIT;
    struct s2c_place place, filled;
    struct err err = ERR_INIT;
    if (memchr(text.ptr, '\0', text.len) || buf_add_span(&copy, text) != 0 || !buf_cstr(&copy))
        return;
    if (s2c_place_parse(&place, (char *)copy.ptr, &err) != 0) {
        demand(err.code != 0 && err.text[0]);
        return;
    }
    demand(place.path && (place.addr.host || place.addr.path));
    if (s2c_place_for(&filled, &place, "a-basin-1", &err) == 0) {
        demand(place.templated || s2c_place_same(&place, &filled));
        s2c_place_finish(&filled);
    }
    s2c_place_finish(&place);
}

static void try_error(struct span text)
{
    static const int statuses[] = {400, 404, 412, 416, 500, 503, 599};
    struct weir_s2_err err;
    for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
        demand(s2c_fail_answer(&err, statuses[i], text, 0) < 0);
        demand(err.what != WEIR_S2_OK && err.err.text[0] && strlen(err.token) < sizeof(err.token));
        demand(weir_s2_code_name(err.what)[0]);
    }
}

static void try_spec(struct span text)
{
    struct spec spec = {0};
    struct err err = ERR_INIT;
    uint64_t seconds;
    if (spec_read(&spec, text, &err) == 0) {
        for (size_t i = 0; i < spec.count; i++)
            demand(spec.items[i].basin && spec.items[i].config.len >= 2);
    }
    spec_finish(&spec);
    (void)spec_age(text, &seconds);
}

/* Records of a byte of flags, a byte of sequence, a byte of length and a body. */
static void try_messages(struct span rest)
{
    static const char *const writers[] = {"", "a", "b", "c"};
    struct weir_s2_assembler *m;
    struct weir_s2_assembler_options o = {.message_bytes = 200, .writers = 2};
    uint64_t seq_num = 0;
    if (weir_s2_assembler_open(&m, &o, NULL) != 0)
        return;
    while (rest.len >= 3) {
        uint8_t numbers[3][8] = {{0}};
        struct weir_s2_message message;
        size_t len = rest.ptr[2] < rest.len - 3 ? rest.ptr[2] : rest.len - 3;
        unsigned flags = rest.ptr[0];
        numbers[0][7] = (uint8_t)(flags >> 5);
        numbers[1][7] = (uint8_t)(len * (flags >> 5));
        numbers[2][7] = rest.ptr[1];
        struct s2_header h[] = {{span_str("_writer_id"), span_str(writers[flags & 3])},
                                {span_str("_dedupe_seq"), span_of(numbers[2], flags & 4 ? 8 : 3)},
                                {span_str("_frame_records"), span_of(numbers[0], 8)},
                                {span_str("_frame_bytes"), span_of(numbers[1], 8)}};
        struct s2_record r = {.seq_num = seq_num++,
                              .headers = h,
                              .header_count = flags & 8 ? 4 : 2,
                              .body = span_of(rest.ptr + 3, len)};
        int rc = weir_s2_assembler_push(m, &r, &message, NULL);
        demand(rc == 0 || (rc == 1 && message.body.len <= o.message_bytes &&
                           message.last_seq_num == r.seq_num));
        demand(weir_s2_assembler_resume(m) <= seq_num);
        rest = span_of(rest.ptr + 3 + len, rest.len - 3 - len);
    }
    weir_s2_assembler_close(m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const tries[])(struct span) = {try_place, try_error, try_spec, try_messages};
    if (size > 0)
        tries[data[0] % 4](span_of(data + 1, size - 1));
    return 0;
}
