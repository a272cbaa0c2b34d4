/*
 * Many frames in one request: POST /append?stream, POST /import?stream, whole dumps.
 */
#ifndef CMD_BULK_H
#define CMD_BULK_H

#include "cmd/call.h"
#include "cmd/progress.h"

/** Where a body comes from: bytes read already, then a descriptor. */
struct bulk_source {
    struct span ahead; /**< sent first */
    int fd;
    struct progress *progress; /**< or NULL */
};

/** A weir_request.read over a struct bulk_source. */
long bulk_read(void *arg, void *into, size_t room);

/**
 * Sends the request and takes the answer: {"frames":N,...} is printed (for people in words,
 * beginning with `done`, "appended" or "imported"); a refusal names the line and what was stored
 * before it. Returns an exit status.
 */
int bulk_send(const struct call *call, struct weir *w, const struct weir_request *req,
              struct progress *progress, const char *done);

/** The same for an answer that is the frames themselves, as NDJSON. */
int bulk_send_atomic(const struct call *call, struct weir *w, const struct weir_request *req,
                     struct progress *progress);

#endif
