/*
 * libweir: the log from C, over its Unix socket or TCP, HTTP/1.1. What the command line is written
 * with.
 *
 * Blocking; one connection per `struct weir`, kept alive and opened again when the server closed it
 * while idle. Thread rule: one thread at a time per connection. Every call may block on the socket.
 */
#ifndef WEIR_CLIENT_H
#define WEIR_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include <weir/err.h>
#include <weir/frame.h>
#include <weir/span.h>

struct weir;

/** Where a store is: parsed from the address forms of weir(1). */
enum weir_kind { WEIR_UNIX, WEIR_TCP };
struct weir_addr {
    enum weir_kind kind;
    char *path;       /**< Unix: the socket's path (a store directory has "/sock" added) */
    char *host;       /**< TCP */
    char port[6];     /**< TCP */
    char *basic_auth; /**< "USER:PASS" of a URL, or NULL */
    char *token;      /**< TCP: access token that requests carry (Authorization: Bearer), or NULL */
    char *shown; /**< the address as the user wrote it, for messages; a password is shown as *** */
};

/**
 * Parses: a path starting with / . or ~ (a directory means its `sock`), :PORT, HOST, HOST:PORT,
 * http://[USER[:PASS]@]HOST[:PORT][/]. https:// is refused with a message until TLS is there. The access token for TCP is what
 * WEIR_TOKEN of the environment holds, unless the URL names a user. ERR_INVALID, -ENOMEM.
 */
int weir_addr_parse(struct weir_addr *out, const char *text, struct err *err);
void weir_addr_finish(struct weir_addr *addr);

/**
 * Prepares a connection (dup of addr); dials at first use. Socket paths over 107 bytes are reached
 * through /proc/self/fd. Dialling a path without a listener gives -ENOENT or -ECONNREFUSED with a
 * text that names the address and says how to start a daemon.
 */
int weir_open(struct weir **out, const struct weir_addr *addr, struct err *err);
void weir_close(struct weir *w);

/* --- one request ------------------------------------------------------------------------------ */

struct weir_header {
    const char *name;
    const char *value;
};

/** One request. Body: none, the span, or what `read` gives (sent chunked). */
struct weir_request {
    const char *method;
    const char *target; /**< encoded path and query */
    const struct weir_header *headers;
    size_t header_count;
    struct span body;
    bool has_body;                                    /**< send Content-Length even when 0 */
    long (*read)(void *arg, void *into, size_t room); /**< bytes, 0 at the end, negative errno */
    void *read_arg;
    bool replay_safe; /**< may be sent again when a kept connection turns out dead before any
                         answer; never with `read` */
};

/** Answer's head. Text members live until the next request. */
struct weir_response {
    int status;
    const char *content_type; /**< "" when absent */
    bool has_length;
    uint64_t length;
};

/**
 * Sends the request and reads the answer's head; the body is then taken with weir_read. An unread
 * rest closes the connection at the next request. A server that answers early ends the upload
 * (noticed when the socket is full and after each piece that `read` gave). Errors: ERR_INVALID for
 * a target or header with control bytes; ERR_CUT when the connection ended before the answer's
 * head; ERR_UNKNOWN instead when the request was sent whole, was neither GET nor HEAD and not
 * replay_safe; -EPROTO when it is no HTTP; what `read` returned; as weir_open says for dialling.
 */
int weir_request(struct weir *w, const struct weir_request *req, struct weir_response *out,
                 struct err *err);
/** A header of the last answer, NULL when absent. */
const char *weir_response_header(struct weir *w, const char *name);
/**
 * A trailer field, which the server sent behind the last byte of a chunked body: NULL when absent, and before
 * the body is at its end. Lives until the next request.
 */
const char *weir_response_trailer(struct weir *w, const char *name);
/** Body bytes into `into`: >0, 0 at the proper end, ERR_CUT when the connection ended before it,
 * -errno. */
long weir_read(struct weir *w, void *into, size_t room, struct err *err);
/** The connection's descriptor, to poll for data beside other things; -1 when there is none. */
int weir_fd(const struct weir *w);
/** Whether weir_read answers without waiting: bytes are here, or the end is. Poll weir_fd only
 * while false. */
bool weir_ready(const struct weir *w);
/** Whole body appended to a malloc'd text (NUL added, caller frees), at most `max` bytes, else
 * ERR_TOO_LARGE. */
int weir_read_all(struct weir *w, char **out, size_t *len, size_t max, struct err *err);
/** Turns a status that is not 2xx into an error with the server's text; reads its body. 0 for 2xx.
 */
int weir_check(struct weir *w, const struct weir_response *res, struct err *err);

/* --- the log ---------------------------------------------------------------------------------- */

struct weir_append {
    const char *topic;
    bool stream;      /**< the topic is any name a stream may have; else the rule of topics holds */
    const char *meta; /**< JSON text or NULL; any size up to META_MAX */
    const char *ttl;  /**< or NULL */
    bool with_timestamp;
    bool with_seq;
    struct span content;                              /**< or */
    long (*read)(void *arg, void *into, size_t room); /**< streamed content; NULL for the span */
    void *read_arg;
    const char *expect_seq;  /**< or NULL: expected next seq of the topic */
    const char *expect_last; /**< or NULL: expected newest id of the store */
    const char *key;         /**< or NULL: idempotency key */
};

/** Appends one frame; `json` gets the frame's JSON (malloc'd, no newline, caller frees). */
int weir_append(struct weir *w, const struct weir_append *a, char **json, struct err *err);

/** Calls `line` for each NDJSON line (without newline) of GET `target`; a nonzero return ends the
 * read with it. */
int weir_each_line(struct weir *w, const char *target, int (*line)(void *arg, struct span text),
                   void *arg, struct err *err);

/** One frame by id: its JSON, or ERR_NOT_FOUND. */
int weir_get(struct weir *w, const char *id, char **json, struct err *err);
/** Removes a frame; 0 also when it was not there. */
int weir_remove(struct weir *w, const char *id, struct err *err);
/** Stores content; writes its hash text (SRI_TEXT_LEN + NUL = 52 bytes). */
int weir_cas_post(struct weir *w, struct span bytes, char hash[static 52], struct err *err);

/* --- cursors: positions of readers that live elsewhere, kept by name ------------------------------ */

/** A cursor as it is kept. */
struct weir_cursor {
    char *position; /**< malloc'd, with a NUL behind its `len` bytes; the caller frees */
    size_t len;
    char time[48]; /**< when it was set, RFC 3339 */
};
/**
 * The position kept under a name of 1 to 255 bytes. ERR_NOT_FOUND. What is appended with POST /append and a cursor's line is stored in one
 * record with it.
 */
int weir_cursor_get(struct weir *w, const char *name, struct weir_cursor *out, struct err *err);
/** Sets it, UTF-8 of up to 65527 bytes; durable when it returns 0. */
int weir_cursor_put(struct weir *w, const char *name, struct span position, struct err *err);
/** Forgets it. ERR_NOT_FOUND. */
int weir_cursor_remove(struct weir *w, const char *name, struct err *err);

#endif
