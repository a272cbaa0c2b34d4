/*
 * A connection to a Redis server: our own socket, TLS by GnuTLS, hiredis as codec. Commands are gathered and sent together;
 * replies come in order.
 *
 * Blocking unless said otherwise; one thread at a time.
 */
#ifndef BRIDGE_IO_REDIS_CONN_H
#define BRIDGE_IO_REDIS_CONN_H

#include "bridge/redis.h"
#include "bridge/url.h"

struct redis_conn;
struct redisReply;

struct redis_options {
    const char *ca_file; /**< PEM, instead of the system's authorities; NULL */
    bool insecure;       /**< no check of the server's certificate */
    unsigned connect_ms; /**< 0: 3000 */
    unsigned reply_ms;   /**< 0: 5000; what a command blocks comes on top */
    /** How it waits for events of a descriptor (-1: only time): 1, 0 after wait_ms, -EINTR: give up. NULL: poll. */
    int (*wait)(int fd, short events, int wait_ms);
};

/**
 * Connects, TLS, AUTH, SELECT, PING. ERR_AUTH for wrong credentials and certificates, ERR_FORMAT: what answers is no Redis server, -errno
 * with a text that says where and what to look at, -EINTR. No text holds a credential.
 */
int redis_conn_open(struct redis_conn **out, const struct ss_redis_node *node, const struct redis_options *options, struct err *err);
/** Takes NULL. */
void redis_conn_close(struct redis_conn *c);
/** From now on it waits by poll alone: for what must still be done after a signal. */
void redis_conn_wait_plainly(struct redis_conn *c);
/** Tells the server that nothing more will be asked: what it has sent can still be read, then ERR_CUT. */
void redis_conn_shut(struct redis_conn *c);
/** Whether the server ended a connection on which no reply is due. */
bool redis_conn_gone(struct redis_conn *c);
/** HOST:PORT, for messages. */
const char *redis_conn_name(const struct redis_conn *c);
/** Adds a command to those that go out together. -ENOMEM. */
int redis_conn_add(struct redis_conn *c, const struct span *words, size_t count);
/** Bytes gathered and not sent. */
size_t redis_conn_waiting(const struct redis_conn *c);
/** Sends what was gathered; also reads replies meanwhile, so that both sides never wait for each other. ERR_CUT, -EINTR, -ETIMEDOUT. */
int redis_conn_send(struct redis_conn *c, struct err *err);
/**
 * The next reply (the caller frees it with freeReplyObject), in the order of commands. Waits up to `wait_ms` (negative: reply_ms):
 * -EAGAIN; ERR_CUT when the server went away, -ETIMEDOUT when reply_ms was meant. An error reply is a reply.
 */
int redis_conn_reply(struct redis_conn *c, int wait_ms, struct redisReply **out, struct err *err);
/** To poll; a TLS record may be buffered: call redis_conn_reply with wait_ms 0 first. */
int redis_conn_fd(const struct redis_conn *c);
/** Bytes that came in so far. */
uint64_t redis_conn_bytes(const struct redis_conn *c);
/** add, send, reply; no other reply may be due. An error reply is what redis_refused says. `out` may be NULL. */
int redis_conn_do(struct redis_conn *c, const struct span *words, size_t count, struct redisReply **out, struct err *err);

#endif
