#include "daemon/s2/append_input.h"

#include <errno.h>
#include <stdlib.h>

#include "base/s2/proto.h"
#include "base/text.h"
#include "daemon/s2/append.h"

int append_input_create(struct append_input **out, struct append_session *session, const struct s2s_frame *frame)
{
    struct append_input *input = calloc(1, sizeof(*input));
    if (!input || buf_add_span(&input->raw, frame->payload) < 0) {
        free(input);
        return -ENOMEM;
    }
    input->session = session;
    input->coding = frame->coding;
    input->taken_us = time_mono_us();
    *out = input;
    return 0;
}

void append_input_destroy(struct append_input *input)
{
    if (!input)
        return;
    append_batch_finish(&input->batch);
    buf_finish(&input->raw);
    free(input);
}

bool append_input_is_large(const struct append_input *input)
{
    return input->coding != CODING_NONE || input->raw.len > APPEND_INLINE;
}

void append_input_read(struct append_input *input, const struct append_stream *stream)
{
    const struct s2s_frame frame = {.coding = input->coding, .payload = buf_span(&input->raw)};
    struct append_batch *batch = &input->batch;
    struct span message;
    int rc = s2s_message(&message, &frame, &batch->message, &input->err);
    if (rc == 0)
        rc = s2_proto_read_input(&batch->input, message, &input->err);
    if (rc == 0)
        rc = append_batch_check(batch, &input->err);
    if (rc == 0)
        rc = append_batch_frames(batch, stream, &input->err);
    input->result = rc;
}
