/*
 * Any bytes as what a program prints: cut in pieces and refused at times they give the same frames
 * as whole.
 *
 * The first byte says the form, the second the length of the pieces.
 */
#include <stdlib.h>

#include "base/json.h"
#include "daemon/run/output.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool holds)
{
    if (!holds)
        abort();
}

struct taker {
    struct buf seen;
    bool reluctant; /* says no every second time */
    bool refused;
};

static bool refuses(struct taker *taker)
{
    taker->refused = taker->reluctant && !taker->refused;
    return taker->refused;
}

static int take_frame(void *arg, const struct printed *frame)
{
    struct taker *taker = arg;
    if (refuses(taker))
        return -1;
    demand(frame->has_frame || frame->has_ack);
    demand(frame->topic.len == 0 || topic_check(frame->topic, NULL) == 0);
    demand(frame->meta.len == 0 || (json_type_of(frame->meta) == JSON_OBJECT &&
                                    json_validate(frame->meta, META_DEPTH, NULL, NULL) == 0));
    demand(frame->meta.len <= META_MAX && frame->has_content == (frame->content.len > 0));
    struct printed flat = *frame;
    flat.topic.ptr = flat.content.ptr = flat.meta.ptr = NULL;
    demand(buf_add(&taker->seen, &flat.topic.len, sizeof(flat.topic.len)) == 0);
    demand(buf_add_span(&taker->seen, frame->topic) == 0);
    demand(buf_add(&taker->seen, &flat.content.len, sizeof(flat.content.len)) == 0);
    demand(buf_add_span(&taker->seen, frame->content) == 0);
    demand(buf_add_span(&taker->seen, frame->meta) == 0);
    demand(buf_addf(&taker->seen, "%d %d %ju %d %jx %d %jx\n", frame->has_ttl, frame->ttl.kind,
                    (uintmax_t)frame->ttl.value, frame->has_cause, (uintmax_t)frame->cause.lo,
                    frame->has_ack, (uintmax_t)frame->ack.lo) == 0);
    return 0;
}

static int take_bad(void *arg, uint64_t line, const struct err *why)
{
    struct taker *taker = arg;
    if (refuses(taker))
        return -1;
    demand(why->text[0] != '\0' && line > 0);
    demand(buf_addf(&taker->seen, "%ju %s\n", (uintmax_t)line, why->text) == 0);
    return 0;
}

static void run(struct taker *taker, unsigned form, struct span bytes, size_t piece)
{
    struct output_options options = {
        .form = (enum output_form)(form % 3),
        .target = form & 4 ? TARGET_META : TARGET_CONTENT,
        .frame = take_frame,
        .bad = take_bad,
        .arg = taker,
    };
    struct output *output;
    demand(output_create(&output, &options) == 0);
    while (bytes.len > 0) {
        size_t len = bytes.len < piece ? bytes.len : piece;
        size_t taken = output_take(output, span_of(bytes.ptr, len));
        demand(taken == len || (taken < len && taker->refused));
        bytes = span_of(bytes.ptr + taken, bytes.len - taken);
    }
    while (!output_end(output))
        demand(taker->refused);
    output_destroy(output);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    struct span bytes = span_of(data + 2, size - 2);
    struct taker whole = {.reluctant = false};
    struct taker cut = {.reluctant = true};
    run(&whole, data[0], bytes, SIZE_MAX);
    run(&cut, data[0], bytes, (size_t)data[1] + 1);
    demand(span_eq(buf_span(&whole.seen), buf_span(&cut.seen)));
    buf_finish(&whole.seen);
    buf_finish(&cut.seen);
    return 0;
}
