/*
 * A server thread for client tests that plays a script: what to read, what to answer, when to hang
 * up. In a header, so that a test stays one program of one file.
 */
#ifndef TESTS_SCRIPT_SERVER_H
#define TESTS_SCRIPT_SERVER_H

#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/buf.h"

enum act {
    STOP = 0,
    READ_REQUEST, /* head and body */
    READ_HEAD,    /* only up to the empty line */
    SEND,         /* the text */
    SEND_BYTES,   /* the text, one send a byte */
    HANG_UP,      /* closes; the next step that needs a connection accepts one */
    DRAIN,        /* reads until the client closes */
};

struct step {
    enum act act;
    const char *text;
};

struct server {
    char dir[256];
    char addr[512]; /* for weir_addr_parse */
    int listener;
    int accepts;
    int requests;
    struct buf seen; /* all requests as they came */
    const struct step *steps;
    pthread_t thread;
};

static bool server_receive(struct server *s, int fd)
{
    uint8_t bytes[65536];
    ssize_t n = recv(fd, bytes, sizeof(bytes), 0);

    return n > 0 && buf_add(&s->seen, bytes, (size_t)n) == 0;
}

/* Reads until `text` stands somewhere behind `from`; where it ends, or 0. */
static size_t server_receive_until(struct server *s, int fd, size_t from, const char *text)
{
    for (;;) {
        const uint8_t *at = s->seen.len > from
                                ? memmem(s->seen.ptr + from, s->seen.len - from, text, strlen(text))
                                : NULL;
        if (at)
            return (size_t)(at - s->seen.ptr) + strlen(text);
        if (!server_receive(s, fd))
            return 0;
    }
}

static void server_read_request(struct server *s, int fd, bool body)
{
    size_t from = s->seen.len;
    size_t head_end = server_receive_until(s, fd, from, "\r\n\r\n");
    const char *head, *length;

    if (head_end == 0)
        return;
    s->requests++;
    if (!body || !buf_cstr(&s->seen))
        return;
    head = (const char *)s->seen.ptr + from;
    length = strstr(head, "Content-Length: ");
    if (strstr(head, "Transfer-Encoding: chunked")) {
        server_receive_until(s, fd, head_end - 2, "\r\n0\r\n\r\n");
    } else if (length) {
        size_t want = head_end + strtoul(length + 16, NULL, 10);
        while (s->seen.len < want && server_receive(s, fd))
            ;
    }
}

static void server_send(int fd, const char *text, size_t step)
{
    for (size_t at = 0, len = strlen(text); at < len; at += step) {
        size_t n = len - at < step ? len - at : step;
        if (send(fd, text + at, n, MSG_NOSIGNAL) < 0)
            return;
    }
}

static void server_play(struct server *s, int fd, const struct step *step)
{
    if (step->act == READ_REQUEST || step->act == READ_HEAD)
        server_read_request(s, fd, step->act == READ_REQUEST);
    else if (step->act == SEND)
        server_send(fd, step->text, strlen(step->text));
    else if (step->act == SEND_BYTES)
        server_send(fd, step->text, 1);
    else if (step->act == DRAIN)
        while (server_receive(s, fd))
            ;
}

static void *server_run(void *arg)
{
    struct server *s = arg;
    int fd = -1;

    for (const struct step *step = s->steps; step->act != STOP; step++) {
        if (fd < 0) {
            fd = accept(s->listener, NULL, NULL);
            s->accepts++;
        }
        server_play(s, fd, step);
        if (step->act == HANG_UP) {
            close(fd);
            fd = -1;
        }
    }
    if (fd >= 0)
        close(fd);
    return NULL;
}

static void server_listen(struct server *s, const struct sockaddr *to, socklen_t len)
{
    s->listener = socket(to->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (s->listener < 0 || bind(s->listener, to, len) < 0 || listen(s->listener, 8) < 0) {
        perror("test server");
        abort();
    }
}

static void server_start(struct server *s, const struct step *steps)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};

    *s = (struct server){.steps = steps};
    snprintf(s->dir, sizeof(s->dir), "/tmp/weir-client-XXXXXX");
    if (!mkdtemp(s->dir))
        abort();
    snprintf(s->addr, sizeof(s->addr), "%s/sock", s->dir);
    memcpy(to.sun_path, s->addr, strlen(s->addr) + 1);
    server_listen(s, (struct sockaddr *)&to, sizeof(to));
    pthread_create(&s->thread, NULL, server_run, s);
}

static inline void server_start_tcp(struct server *s, const struct step *steps)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(to);

    *s = (struct server){.steps = steps};
    server_listen(s, (struct sockaddr *)&to, sizeof(to));
    if (getsockname(s->listener, (struct sockaddr *)&to, &len) < 0)
        abort();
    snprintf(s->addr, sizeof(s->addr), ":%u", (unsigned)ntohs(to.sin_port));
    pthread_create(&s->thread, NULL, server_run, s);
}

/* Waits for the script's end; afterwards seen, accepts and requests may be looked at. */
static void server_join(struct server *s)
{
    pthread_join(s->thread, NULL);
    close(s->listener);
    if (!buf_cstr(&s->seen))
        abort();
}

static void server_finish(struct server *s)
{
    if (s->dir[0]) {
        unlink(s->addr);
        rmdir(s->dir);
    }
    buf_finish(&s->seen);
}

#endif
