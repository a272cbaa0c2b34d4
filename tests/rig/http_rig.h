/*
 * A real HTTP server on a loop thread with a handler that does what its path says, and a raw
 * client.
 */
#ifndef TESTS_HTTP_RIG_H
#define TESTS_HTTP_RIG_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/buf.h"
#include "daemon/http/http.h"

struct rig {
    uv_loop_t loop;
    struct http_server *server;
    pthread_t thread;
    uv_async_t order;
    uv_timer_t later;
    pthread_mutex_t lock;
    pthread_cond_t moved;
    /* Under the lock. */
    unsigned begun, gone, whole, drained;
    bool gone_twice;
    char log[512]; /**< raw targets of the last begun request: "path?query" */
    size_t given;  /**< bytes that reads of /bytes gave */
    size_t room;   /**< the least room offered to a read of /bytes */
    enum { ORDER_NONE, ORDER_EVENT, ORDER_WAKE, ORDER_SHUTDOWN, ORDER_ADD, ORDER_END, ORDER_CUT, ORDER_STOP } wanted;
    unsigned done;
    int fd_to_add;
    struct http_door doors[2]; /* by via */
    enum http_via via_to_add;
    unsigned shutdown_ms;
    unsigned turns; /**< of the loop */
    /* Loop thread only. */
    unsigned events;
    struct task *tasks;
    uv_prepare_t count_turns;
};

/** Starts the server; idle_s and max as in http_options. */
struct rig *rig_start(unsigned idle_s, size_t max);
/** Ends loop and thread; every request must have been told it is gone, once. */
void rig_stop(struct rig *rig);
/** Has the loop thread do it and waits until it is done. */
void rig_order(struct rig *rig, int order);
/** The field `given`. */
size_t rig_given(struct rig *rig);
/** A client socket over a socketpair or loopback TCP. */
int rig_connect(struct rig *rig, enum http_via via);
/** Waits until *counter (a field under the lock) reaches n; false after 5 s. */
bool rig_reaches(struct rig *rig, const unsigned *counter, unsigned n);
/** What *counter (a field under the lock) is now. */
unsigned rig_now(struct rig *rig, const unsigned *counter);

struct answer {
    int status;
    bool chunked;
    bool close;
    bool ended; /**< whole by its framing */
    struct buf head;
    struct buf body;
    struct buf trailers; /**< lines, each with a newline */
};

void say(int fd, const char *text);
void say_bytes(int fd, const void *bytes, size_t len);
/** Reads one answer; `head_only` for HEAD. What came after it stays in `rest`. False on EOF or 5 s.
 */
bool hear(int fd, struct answer *out, struct buf *rest, bool head_only);
/** hear, and checks status and body; NULL body: any. */
void expect(int fd, struct buf *rest, int status, const char *body);
void answer_finish(struct answer *answer);
/** Waits for EOF or a reset, throwing bytes away; false after 5 s. */
bool hears_end(int fd);

#endif
