/*
 * Unary requests over the handle's kept connection, with their retries; heads of all requests.
 */
#ifndef CLIENT_S2_REQUEST_H
#define CLIENT_S2_REQUEST_H

#include "base/buf.h"
#include "client/s2/conn.h"

/** One request. Spans are borrowed. */
struct s2c_request {
    const char *method;
    const char *basin; /**< of streams, NULL: the account's */
    struct span path;  /**< encoded, behind the place's "/v1" */
    const char *content_type, *accept, *request_token;
    struct span body;
    bool has_body;
    bool of_records;  /**< sends the encryption key and the config of streams made by the way */
    bool careful;     /**< only what certainly had no effect is repeated */
    uint64_t more_ms; /**< on top of the usual time */
};

struct s2c_answer {
    int status;
    char provision[16];
    bool in_doubt; /**< an earlier attempt may have taken effect */
    struct buf body;
};

/** 0 for 2xx; the caller finishes `out` (zeroed before) in any case. `out->in_doubt` is also set on
 * failure. */
int s2c_request(struct weir_s2 *s2, const struct s2c_request *request, struct s2c_answer *out,
                struct weir_s2_err *err);
void s2c_answer_finish(struct s2c_answer *answer);

/** Appends "/streams/NAME/records" and what follows. */
int s2c_stream_path(struct buf *out, const char *stream, const char *tail);

/** What every request of the endpoint carries: token, basin. */
void s2c_common_fields(struct s2c_head *head, const struct weir_s2 *s2, const char *basin,
                       struct buf *bearer);

#endif
