/*
 * Any bytes as frames of a session, however they are cut: they are taken whole or not at all,
 * nothing unpacks to more than is allowed, and what unpacks goes into a frame again.
 */
#include <stdlib.h>

#include "base/s2/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool holds)
{
    if (!holds)
        abort();
}

/* The first `part` bytes decide nothing that the rest decides otherwise. */
static void demand_steady(struct span whole, int rc, size_t part)
{
    struct s2s_frame frame;
    struct span rest = span_of(whole.ptr, part);
    int early = s2s_next(&frame, &rest, NULL);
    demand(early == rc || early == ERR_END);
    demand(early == 0 || rest.len == part);
}

static void try_message(const struct s2s_frame *frame, struct buf *room)
{
    struct span message;
    CLEAN_BUF out = BUF_INIT;
    int rc = s2s_message(&message, frame, room, NULL);
    demand(rc == 0 || (rc == ERR_FORMAT && frame->coding != CODING_NONE));
    if (rc < 0)
        return;
    demand(message.len < S2S_LENGTH_MAX);
    for (enum coding coding = CODING_NONE; coding <= CODING_GZIP; coding++) {
        struct s2s_frame again;
        struct span unpacked;
        CLEAN_BUF more = BUF_INIT;
        buf_reset(&out);
        demand(s2s_put(&out, message, coding, frame->reconnect) == 0);
        struct span rest = buf_span(&out);
        demand(s2s_next(&again, &rest, NULL) == 0 && rest.len == 0 &&
               again.reconnect == frame->reconnect);
        demand(s2s_message(&unpacked, &again, &more, NULL) == 0 && span_eq(unpacked, message));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span rest = span_of(data, size);
    CLEAN_BUF room = BUF_INIT;
    for (;;) {
        struct s2s_frame frame;
        struct err err = ERR_INIT;
        struct span whole = rest;
        int rc = s2s_next(&frame, &rest, &err);
        for (size_t part = 0; part < whole.len && part < 8; part++)
            demand_steady(whole, rc, part);
        if (rc < 0) {
            demand(rest.len == whole.len &&
                   (rc == ERR_END || (rc == ERR_FORMAT && err.text[0] != '\0')));
            return 0;
        }
        demand(rest.len < whole.len && frame.payload.ptr >= data &&
               frame.payload.ptr + frame.payload.len <= rest.ptr);
        if (!frame.terminal)
            try_message(&frame, &room);
    }
}
