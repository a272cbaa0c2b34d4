/*
 * From an append to the last of many followers: N followers of one stream over server-sent events, and appends one after the other
 * on a connection of their own. Prints p50 and p99 of the time from sending the append until every follower has its event.
 *
 * sse_bench --port N --basin NAME --stream NAME [--followers N] [--appends N]
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <netinet/in.h>
#include <netinet/tcp.h>

#define WAIT_MS 30000

struct follower {
    int fd;
    unsigned matched; /* bytes of the mark that were seen last, over the ends of reads */
};

struct bench {
    unsigned port, followers, appends;
    const char *basin, *stream;
    struct follower *all;
    int epoll, writer;
};

static double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static int dial(unsigned port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0) {
        perror("sse_bench: connect");
        exit(1);
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    return fd;
}

static void send_all(int fd, const char *text, size_t len)
{
    while (len > 0) {
        ssize_t n = send(fd, text, len, MSG_NOSIGNAL);
        if (n <= 0) {
            perror("sse_bench: send");
            exit(1);
        }
        text += n;
        len -= (size_t)n;
    }
}

/* How often the mark stands in what is read now. */
static unsigned count_marks(struct follower *f, const char *mark)
{
    static char in[65536];
    unsigned found = 0, len = (unsigned)strlen(mark);
    ssize_t n = recv(f->fd, in, sizeof(in), MSG_DONTWAIT);
    if (n == 0) {
        fprintf(stderr, "sse_bench: a follower's answer ended\n");
        exit(1);
    }
    for (ssize_t i = 0; i < n; i++) {
        f->matched = in[i] == mark[f->matched] ? f->matched + 1 : in[i] == mark[0];
        if (f->matched == len) {
            found++;
            f->matched = 0;
        }
    }
    return found;
}

/* Until so many marks came in, over all followers. */
static void await_marks(struct bench *b, const char *mark, unsigned wanted)
{
    struct epoll_event events[256];
    for (unsigned seen = 0; seen < wanted;) {
        int n = epoll_wait(b->epoll, events, 256, WAIT_MS);
        if (n <= 0) {
            fprintf(stderr, "sse_bench: %u of %u came\n", seen, wanted);
            exit(1);
        }
        for (int i = 0; i < n; i++)
            seen += count_marks(events[i].data.ptr, mark);
    }
}

static void follow(struct bench *b, struct follower *f)
{
    char head[1024];
    int len = snprintf(head, sizeof(head),
                       "GET /v1/streams/%s/records?tail_offset=0 HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer bench\r\n"
                       "s2-basin: %s\r\naccept: text/event-stream\r\n\r\n",
                       b->stream, b->basin);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = f};
    f->fd = dial(b->port);
    send_all(f->fd, head, (size_t)len);
    epoll_ctl(b->epoll, EPOLL_CTL_ADD, f->fd, &event);
}

static void append(struct bench *b)
{
    static const char body[] = "{\"records\":[{\"body\":\"0123456789012345678901234567890123456789\"}]}";
    char text[1024];
    int len = snprintf(text, sizeof(text),
                       "POST /v1/streams/%s/records HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer bench\r\ns2-basin: %s\r\n"
                       "content-type: application/json\r\ncontent-length: %zu\r\n\r\n%s",
                       b->stream, b->basin, sizeof(body) - 1, body);
    send_all(b->writer, text, (size_t)len);
}

static void take_answer(struct bench *b)
{
    char in[4096] = "";
    ssize_t n = recv(b->writer, in, sizeof(in) - 1, 0);
    if (n <= 0 || strncmp(in, "HTTP/1.1 200", 12) != 0) {
        fprintf(stderr, "sse_bench: append: %.100s\n", in);
        exit(1);
    }
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void run(struct bench *b)
{
    double *times = calloc(b->appends, sizeof(*times));
    b->all = calloc(b->followers, sizeof(*b->all));
    b->epoll = epoll_create1(EPOLL_CLOEXEC);
    b->writer = dial(b->port);
    if (!times || !b->all || b->epoll < 0)
        exit(1);
    for (unsigned i = 0; i < b->followers; i++)
        follow(b, &b->all[i]);
    await_marks(b, "event: ping", b->followers);
    for (unsigned i = 0; i < b->appends; i++) {
        double start = now_ms();
        append(b);
        await_marks(b, "event: batch", b->followers);
        times[i] = now_ms() - start;
        take_answer(b);
    }
    qsort(times, b->appends, sizeof(*times), compare);
    printf("%u followers, %u appends: p50 %.3f ms, p99 %.3f ms\n", b->followers, b->appends, times[b->appends / 2],
           times[b->appends * 99 / 100]);
    free(times);
    free(b->all);
}

int main(int argc, char **argv)
{
    static const struct option longs[] = {{"port", 1, NULL, 'p'},      {"basin", 1, NULL, 'b'},   {"stream", 1, NULL, 's'},
                                          {"followers", 1, NULL, 'f'}, {"appends", 1, NULL, 'a'}, {0}};
    struct bench b = {.followers = 1000, .appends = 200};
    int c;
    while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
        switch (c) {
        case 'p': b.port = (unsigned)atoi(optarg); break;
        case 'b': b.basin = optarg; break;
        case 's': b.stream = optarg; break;
        case 'f': b.followers = (unsigned)atoi(optarg); break;
        case 'a': b.appends = (unsigned)atoi(optarg); break;
        default: return 2;
        }
    }
    if (!b.port || !b.basin || !b.stream || !b.followers || !b.appends) {
        fprintf(stderr, "usage: sse_bench --port N --basin NAME --stream NAME [--followers N] [--appends N]\n");
        return 2;
    }
    run(&b);
    return 0;
}
