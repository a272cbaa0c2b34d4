/*
 * How long a handler's answer takes: from an append until a follower sees what the handler answered, beside the append alone.
 *
 *   handler_latency STORE ECHO ROUNDS   (ECHO: the program handler_echo)
 *
 * Prints {"rounds":N,"append_p50_us":N,"answer_p50_us":N,"answer_p99_us":N}.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <weir/client.h>

#include "base/text.h"

static int seen; /* an eventfd: lines the follower saw */

static void die(const char *what, const struct err *err)
{
    fprintf(stderr, "handler_latency: %s: %s\n", what, err ? err->text : "");
    exit(1);
}

static struct weir *dial(const char *store)
{
    struct weir_addr addr;
    struct weir *w;
    struct err err = ERR_INIT;
    if (weir_addr_parse(&addr, store, &err) < 0 || weir_open(&w, &addr, &err) < 0)
        die(store, &err);
    weir_addr_finish(&addr);
    return w;
}

static int on_line(void *arg, struct span text)
{
    uint64_t one = 1;
    (void)arg;
    (void)text;
    return write(seen, &one, sizeof(one)) == sizeof(one) ? 0 : -1;
}

static void *follow(void *arg)
{
    struct err err = ERR_INIT;
    weir_each_line(dial(arg), "/?follow&topic=pong.out,xs.actor.pong.active", on_line, NULL, &err);
    return NULL;
}

static void wait_line(void)
{
    uint64_t lines;
    if (read(seen, &lines, sizeof(lines)) != sizeof(lines))
        die("eventfd", NULL);
}

static void append(struct weir *w, const char *topic, const char *meta, const char *content)
{
    struct err err = ERR_INIT;
    char *json = NULL;
    struct weir_append a = {
        .topic = topic, .meta = meta, .content = span_str(content)};
    if (weir_append(w, &a, &json, &err) < 0)
        die(topic, &err);
    free(json);
}

static int by_value(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

int main(int argc, char **argv)
{
    pthread_t thread;
    char program[4200];
    if (argc != 4)
        die("usage: handler_latency STORE ECHO ROUNDS", NULL);
    size_t rounds = (size_t)strtoul(argv[3], NULL, 10);
    uint64_t *appends = calloc(rounds, sizeof(*appends)), *answers = calloc(rounds, sizeof(*answers));
    struct weir *w = dial(argv[1]);
    seen = eventfd(0, EFD_SEMAPHORE);
    snprintf(program, sizeof(program), "#!/bin/sh\nexec '%s' answer\n", argv[2]);
    pthread_create(&thread, NULL, follow, argv[1]);
    wait_line(); /* xs.threshold: it follows */
    append(w, "xs.actor.pong.create", "{\"topics\":\"ping\"}", program);
    wait_line(); /* active */
    for (size_t i = 0; i < rounds; i++) {
        uint64_t begun = time_mono_us();
        append(w, "ping", NULL, "");
        appends[i] = time_mono_us() - begun;
        wait_line();
        answers[i] = time_mono_us() - begun;
    }
    qsort(appends, rounds, sizeof(*appends), by_value);
    qsort(answers, rounds, sizeof(*answers), by_value);
    printf("{\"rounds\":%zu,\"append_p50_us\":%llu,\"answer_p50_us\":%llu,\"answer_p99_us\":%llu}\n", rounds,
           (unsigned long long)appends[rounds / 2], (unsigned long long)answers[rounds / 2],
           (unsigned long long)answers[rounds * 99 / 100]);
    return 0;
}
