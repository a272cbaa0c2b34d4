/*
 * TLS as the options ask for it, for the exposed addresses of TCP.
 */
#ifndef DAEMON_TLS_OPEN_H
#define DAEMON_TLS_OPEN_H

#include "daemon/daemon.h"

/**
 * Reads the certificate that is asked for, or makes one (STORE/tls), and has the root store's TCP entrance speak TLS; after the listeners are
 * there, before a connection is taken in. Nothing is done where none is asked for. d->tls is to be destroyed also when it fails.
 */
int tls_open(struct daemon *d, struct err *err);

#endif
