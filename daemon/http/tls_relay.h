/*
 * TLS before the protocols: a relay stands between a client's socket and one end of a socket pair, whose other end is the connection that the
 * protocols get. Nothing is kept but one record's bytes each way, so a slow side slows the other down. An end of one side is passed on
 * as the end of that side alone; a client that goes without saying so is gone for the protocols, too.
 *
 * Thread rule: the loop thread.
 */
#ifndef DAEMON_TLS_RELAY_H
#define DAEMON_TLS_RELAY_H

#include "daemon/http/http.h"

struct http_server;
struct tls_relay;

/** All of a server's. Zeroed memory has none. */
struct tls_relays {
    struct tls_relay *all;
    size_t count;       /**< each has two descriptors beside the connection's */
    size_t handshaking; /**< of them not yet connections */
    size_t sending;     /**< of them with something for their client to come, if only the end */
};

/** Takes over a connected, non-blocking descriptor; when its client has shaken hands it becomes a connection of the door. -ENOMEM. */
int relay_begin(struct http_server *server, int fd, struct http_door *door);
/** Ends those whose time is over. True: there is one whose time runs. */
bool relay_tick(struct http_server *server, uint64_t now_ms);
/** Ends those that still shake hands: of the door, NULL: all. */
void relay_cut(struct http_server *server, const struct http_door *door);
void relay_end_all(struct http_server *server);

#endif
