/*
 * HTTP/2 with prior knowledge, by nghttp2: what daemon/http has of it. Its requests are those of daemon/http/http.h.
 *
 * Thread rule: the loop thread.
 */
#ifndef DAEMON_H2_H
#define DAEMON_H2_H

#include "daemon/http/http_base.h"

struct h2_server;

/** What an HTTP/2 connection begins with. */
#define H2_PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#define H2_PREFACE_LEN 24

/** idle_ms: a body that makes no progress for so long gets 408. -ENOMEM. */
int h2_create(struct h2_server **out, uv_loop_t *loop, uint64_t idle_ms);
/** Ends every connection; `closed` is called when nothing of it is left, in a later turn of the loop. */
void h2_destroy(struct h2_server *server, void (*closed)(void *arg), void *arg);

/** Takes over a connected, non-blocking descriptor whose unread bytes begin with the preface. Takes ownership also on failure. peer: who
 * it is, or NULL: the socket says. -ENOMEM. */
int h2_take(struct h2_server *server, int fd, struct http_door *door, const struct http_peer *peer);
/** Does what is due and sends. True: there is more to do in the next turn. */
bool h2_run(struct h2_server *server);

/** Open connections; those that only wait for their client's end, too, in `all`. */
size_t h2_count(const struct h2_server *server);
size_t h2_count_all(const struct h2_server *server);

/** Lets connections that came in by this door end, NULL: all: no new requests, each ends with its last answer. */
void h2_end(struct h2_server *server, const struct http_door *door);
/** Ends them now; their requests' gone comes with the next h2_run. */
void h2_cut(struct h2_server *server, const struct http_door *door);

#endif
