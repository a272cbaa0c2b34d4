/*
 * Dialling: from an address to a connected socket.
 */
#ifndef CLIENT_CONN_H
#define CLIENT_CONN_H

#include <weir/client.h>

/**
 * Connects. `out` gets a blocking O_CLOEXEC socket the caller closes. Nobody listening gives
 * -ENOENT or -ECONNREFUSED with a text that names the address and says how to start a daemon;
 * -EHOSTUNREACH when the host's name is not known; else -errno. May block as long as the system
 * takes to connect.
 */
int conn_dial(int *out, const struct weir_addr *addr, struct err *err);

/** Whether a kept connection is still open and silent, as far as this end knows. Does not block. */
bool conn_is_alive(int fd);

#endif
