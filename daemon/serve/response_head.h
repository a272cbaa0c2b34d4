/*
 * What an `http.response` frame's meta says: {"request_id":ID, "status":200, "headers":{..}, "more":false}.
 *
 * Headers are an object of strings or lists of strings. Those that belong to the connection and Content-Length are left out; the rest goes
 * to the client as given. Pure; any thread.
 */
#ifndef DAEMON_SERVE_RESPONSE_HEAD_H
#define DAEMON_SERVE_RESPONSE_HEAD_H

#include <weir/frame.h>

#include "base/buf.h"
#include "daemon/http/http.h"

/** What every frame of an answer says. */
struct response_tag {
    struct frame_id request;
    uint64_t claim; /**< stands for who made it: its origin, else the definition that its meta points at, else 0 */
    bool more;
};

/** False: it answers no request (no request_id, or none that is an id). */
bool response_tag(struct response_tag *out, const struct frame *frame);

struct response_head {
    unsigned status;           /**< 200 to 599 */
    struct http_field *fields; /**< ends with a NULL name; Content-Type is always among them */
    char *text;                /**< what they point into */
};

/** Reads the head of an answer. ERR_INVALID says what is wrong with it; -ENOMEM. On failure nothing needs to be finished. */
int response_head_parse(struct response_head *out, struct span meta, struct err *err);
void response_head_finish(struct response_head *head);

#endif
