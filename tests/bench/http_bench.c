/*
 * How many small requests a second the daemon answers: N keep-alive connections over its Unix
 * socket or a port on 127.0.0.1, each sending the next POST (or GET) when the last is answered.
 * Prints rate, p50, p99 and the worst in microseconds.
 *
 * http_bench --sock PATH | --port N [--conns N] [--seconds S] [--body BYTES] [--target /append/t] [--get]
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <netinet/in.h>
#include <netinet/tcp.h>

#include "base/buf.h"

#define BUCKETS 4096
#define ANSWER_MAX 65536

struct client {
    int fd;
    uint64_t sent_us;
    size_t got;
    char in[4096];
};

struct bench {
    const char *sock;
    unsigned port; /* instead of sock */
    bool get;
    const char *target;
    unsigned conns;
    unsigned seconds;
    size_t body;
    struct buf request;
    uint64_t answers;
    uint64_t failures;
    uint64_t worst_us;
    uint64_t histogram[BUCKETS]; /* 16 buckets an octave */
};

static uint64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static unsigned bucket_of(uint64_t us)
{
    if (us < 16)
        return (unsigned)us;
    unsigned octave = 63 - (unsigned)__builtin_clzll(us);
    return (octave - 3) * 16 + (unsigned)(us >> (octave - 4) & 15);
}

static uint64_t bucket_start(unsigned b)
{
    return b < 16 ? b : (uint64_t)(16 + b % 16) << (b / 16 - 1);
}

static uint64_t percentile(const struct bench *b, double part)
{
    uint64_t wanted = (uint64_t)((double)b->answers * part);
    uint64_t seen = 0;
    for (unsigned i = 0; i < BUCKETS; i++) {
        seen += b->histogram[i];
        if (seen > wanted)
            return bucket_start(i);
    }
    return b->worst_us;
}

static int dial(const char *path)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(to.sun_path)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(to.sun_path, path, strlen(path));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static int dial_port(unsigned port)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0) {
        close(fd);
        return -1;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    return fd;
}

static int ask(struct bench *b, struct client *c)
{
    c->sent_us = now_us();
    c->got = 0;
    ssize_t n = send(c->fd, b->request.ptr, b->request.len, MSG_NOSIGNAL);
    return n == (ssize_t)b->request.len ? 0 : -1;
}

/* 1: the answer is whole; 0: not yet; -1: not an answer one can go on after. */
static int whole(struct client *c)
{
    c->in[c->got] = '\0';
    char *end = strstr(c->in, "\r\n\r\n");
    if (!end)
        return c->got + 1 < sizeof(c->in) ? 0 : -1;
    char *length = strcasestr(c->in, "content-length:");
    size_t body = length && length < end ? strtoul(length + 15, NULL, 10) : 0;
    size_t all = (size_t)(end + 4 - c->in) + body;
    if (all >= sizeof(c->in))
        return -1;
    return c->got >= all;
}

static int on_readable(struct bench *b, struct client *c)
{
    ssize_t n = recv(c->fd, c->in + c->got, sizeof(c->in) - 1 - c->got, 0);
    if (n <= 0)
        return -1;
    c->got += (size_t)n;
    int done = whole(c);
    if (done <= 0)
        return done;
    uint64_t us = now_us() - c->sent_us;
    b->answers++;
    b->failures += strncmp(c->in, "HTTP/1.1 200", 12) != 0;
    b->histogram[bucket_of(us)]++;
    if (us > b->worst_us)
        b->worst_us = us;
    return ask(b, c);
}

static int run(struct bench *b, struct client *clients, int ep)
{
    struct epoll_event ready[256];
    uint64_t end = now_us() + (uint64_t)b->seconds * 1000000;
    while (now_us() < end) {
        int n = epoll_wait(ep, ready, 256, 100);
        for (int i = 0; i < n; i++)
            if (on_readable(b, &clients[ready[i].data.u32]) < 0) {
                fprintf(stderr, "http_bench: connection %u ended or answered too much\n",
                        ready[i].data.u32);
                return -1;
            }
    }
    return 0;
}

static int make_request(struct bench *b)
{
    if (b->get)
        return buf_addf(&b->request, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", b->target);
    int rc =
        buf_addf(&b->request, "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %zu\r\n\r\n",
                 b->target, b->body);
    for (size_t i = 0; rc == 0 && i < b->body; i++)
        rc = buf_add(&b->request, "x", 1);
    return rc;
}

static int start(struct bench *b, struct client *clients, int ep)
{
    for (unsigned i = 0; i < b->conns; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = i};
        clients[i].fd = b->sock ? dial(b->sock) : dial_port(b->port);
        if (clients[i].fd < 0 || epoll_ctl(ep, EPOLL_CTL_ADD, clients[i].fd, &event) < 0 ||
            ask(b, &clients[i]) < 0) {
            fprintf(stderr, "http_bench: connection %u to %s: %s\n", i, b->sock ? b->sock : "the port",
                    strerror(errno));
            return -1;
        }
    }
    return 0;
}

static int parse(struct bench *b, int argc, char **argv)
{
    static const struct option options[] = {{"sock", 1, NULL, 's'},    {"conns", 1, NULL, 'c'},
                                            {"seconds", 1, NULL, 't'}, {"body", 1, NULL, 'b'},
                                            {"target", 1, NULL, 'u'},
                                            {"port", 1, NULL, 'p'},    {"get", 0, NULL, 'g'},
                                            {NULL, 0, NULL, 0}};
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 's')
            b->sock = optarg;
        else if (option == 'u')
            b->target = optarg;
        else if (option == 'p')
            b->port = (unsigned)strtoul(optarg, NULL, 10);
        else if (option == 'g')
            b->get = true;
        else if (option == 'c')
            b->conns = (unsigned)strtoul(optarg, NULL, 10);
        else if (option == 't')
            b->seconds = (unsigned)strtoul(optarg, NULL, 10);
        else if (option == 'b')
            b->body = strtoul(optarg, NULL, 10);
        else
            return -1;
    }
    return (b->sock || b->port) && b->conns > 0 && b->body <= ANSWER_MAX ? 0 : -1;
}

int main(int argc, char **argv)
{
    static struct bench b = {.target = "/append/t", .conns = 64, .seconds = 5, .body = 100};
    if (parse(&b, argc, argv) < 0) {
        fprintf(stderr, "usage: http_bench --sock PATH | --port N [--conns N] [--seconds S] "
                        "[--body BYTES] [--target /append/t] [--get]\n");
        return 2;
    }
    struct client *clients = calloc(b.conns, sizeof(*clients));
    int ep = epoll_create1(EPOLL_CLOEXEC);
    if (!clients || ep < 0 || make_request(&b) < 0 || start(&b, clients, ep) < 0)
        return 1;
    int rc = run(&b, clients, ep);
    printf("%u connections, %u s, %zu bytes: %.0f requests/s, p50 %llu us, p99 %llu us, worst %llu "
           "us, "
           "%llu failed\n",
           b.conns, b.seconds, b.body, (double)b.answers / b.seconds,
           (unsigned long long)percentile(&b, 0.5), (unsigned long long)percentile(&b, 0.99),
           (unsigned long long)b.worst_us, (unsigned long long)b.failures);
    free(clients);
    buf_finish(&b.request);
    close(ep);
    return rc < 0 || b.failures > 0;
}
