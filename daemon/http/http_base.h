/*
 * A request as both protocols have it: what every one has, and the calls that each protocol answers in its own way. The request of
 * a protocol embeds struct http_req as its first member. Nothing here is for the routes.
 */
#ifndef DAEMON_HTTP_BASE_H
#define DAEMON_HTTP_BASE_H

#include "base/buf.h"
#include "daemon/http/http.h"

/** A head's fields together, each with HTTP_FIELD_COST. */
#define HTTP_HEAD_MAX (64u * 1024)
/** An unwanted body up to this is awaited before its answer is sent. */
#define HTTP_UNWANTED_BYTES (1024u * 1024)
/** A body of known length must bring this much in each idle timeout. */
#define HTTP_PROGRESS 1024

typedef long (*http_read_fn)(void *arg, struct http_req *req, uint8_t *into, size_t room);

/** The calls of http.h of the same names. */
struct http_ops {
    struct span (*header)(const struct http_req *req, const char *name);
    void (*each_header)(const struct http_req *req, void (*each)(void *arg, struct span name, struct span value), void *arg);
    bool (*peer)(const struct http_req *req, struct http_peer *out);
    bool (*client_ended)(const struct http_req *req); /**< may be NULL: never */
    void (*resume_body)(struct http_req *req);
    void (*reply)(struct http_req *req, int status, const char *content_type, struct span body,
                  const struct http_field *fields);
    void (*reply_stream)(struct http_req *req, int status, const char *content_type, uint64_t size, http_read_fn read,
                         const struct http_field *fields);
    void (*abort)(struct http_req *req);
    int (*add_trailer)(struct http_req *req, const char *name, const char *value);
    void (*wake)(struct http_req *req);
    bool duplex;
};

/** A field of whatever answer comes. */
struct http_extra {
    struct http_extra *next;
    char *value;
    char name[];
};

struct http_req {
    const struct http_ops *ops;
    struct http_door *door;
    void *state;
    enum http_method method;
    const char *method_text; /**< the protocol's, as long as the request */
    struct span target;      /**< likewise */
    struct span path;
    struct span query;
    uint64_t body_length;
    bool old; /**< HTTP/1.0 */
    struct http_extra *extras;
};

enum http_method http_method_of(const char *name);
/** Frees what the base owns, not the struct. */
void http_req_finish(struct http_req *req);

/** Who is at the other end of a TCP socket; false for others and where it is gone. */
bool http_peer_of(int fd, struct http_peer *out);

/** Fields that must not come twice, counted. */
struct http_counts {
    unsigned hosts, lengths, metas;
};
void http_count_field(struct http_counts *counts, struct span name);
/** What is wrong with such a head, or NULL. */
const char *http_head_fault(const struct http_counts *counts, bool chunked, bool host_needed);

/** An error's JSON in the form every route gives it. -ENOMEM. */
int http_error_body(struct buf *out, const char *code, const char *message);
/** Answers with it; cuts the request off without memory. */
void http_reply_error(struct http_req *req, int status, const char *code, const char *message);
/** Whether a trailer's value is one: not empty, no control bytes. */
bool http_fits_a_field(const char *value);

#endif
