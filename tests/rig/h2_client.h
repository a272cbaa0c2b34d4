/*
 * A client of HTTP/2 over one socket: nghttp2's own client side, moved by hand. One thread.
 */
#ifndef TESTS_H2_CLIENT_H
#define TESTS_H2_CLIENT_H

#include <nghttp2/nghttp2.h>

#include "base/buf.h"

struct client {
    int fd;
    nghttp2_session *session;
    struct buf out;
    bool deaf; /**< reads nothing */
    bool over; /**< the server ended the connection */
    unsigned pongs, settings, goaways;
    int32_t last_id;
    uint32_t goaway_code;
};

/** A request and what came for it. */
struct call {
    int32_t id;
    int status;
    bool continued; /**< there was a 100 */
    bool ended;     /**< whole */
    bool closed;
    uint32_t code;  /**< why it closed; 0: well */
    struct buf head, body, trailers; /**< "name: value" lines */
    bool hold;      /**< its window is left to shut */
    size_t held;
    struct buf upload;
    size_t uploaded;
    bool upload_ends;
};

/** Takes ownership of the socket. */
struct client *client_open(int fd);
void client_close(struct client *client);
/** Moves bytes until `reached`; false after 5 s, or when the connection ends before. */
bool client_until(struct client *client, bool (*reached)(struct client *client, void *arg), void *arg);
/** Until the server has worked off what was sent. */
bool client_settles(struct client *client);
/** Until the server ends the connection. */
bool client_ends(struct client *client);

/** Sends a call whose upload is set; fields: name, value, ..., NULL. */
void call_start(struct client *client, struct call *call, const char *method, const char *path, const char *const *fields);
void call_get(struct client *client, struct call *call, const char *path);
void call_post(struct client *client, struct call *call, const char *path, const void *bytes, size_t len);
void call_more(struct client *client, struct call *call, const void *bytes, size_t len, bool ends);
/** Opens a held window again. */
void call_release(struct client *client, struct call *call);
bool call_closes(struct client *client, struct call *call);
/** Waits for the whole answer, checks it and frees the call's memory. body NULL: any. */
void call_expect(struct client *client, struct call *call, int status, const char *body);
void call_finish(struct call *call);

#endif
