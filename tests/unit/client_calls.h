/*
 * Short cuts of the client tests: a connection to a scripted server, requests, content by callback.
 * In a header, so that a test stays one program of one file.
 */
#ifndef TESTS_CLIENT_CALLS_H
#define TESTS_CLIENT_CALLS_H

#include <weir/client.h>

#include "tests/unit/script_server.h"

#define OK2 "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
#define FRAME "{\"topic\":\"t\"}"
#define OK_FRAME                                                                                   \
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 13\r\n\r\n" FRAME
#define HASH "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
#define ID "03d4q1qhbiv09ovtuhokw5yxv"

static inline struct weir *dial(const struct server *s)
{
    struct weir_addr addr;
    struct weir *w;

    assert_int_equal(weir_addr_parse(&addr, s->addr, NULL), 0);
    assert_int_equal(weir_open(&w, &addr, NULL), 0);
    weir_addr_finish(&addr);
    return w;
}

static inline int get(struct weir *w, const char *target, struct weir_response *res,
                      struct err *err)
{
    struct weir_request req = {.method = "GET", .target = target, .replay_safe = true};

    return weir_request(w, &req, res, err);
}

static inline int post(struct weir *w, const char *target, struct span body,
                       struct weir_response *res, struct err *err)
{
    struct weir_request req = {.method = "POST", .target = target, .body = body, .has_body = true};

    return weir_request(w, &req, res, err);
}

static inline void check_ok2(struct weir *w)
{
    char *body;
    size_t len;

    assert_int_equal(weir_read_all(w, &body, &len, 100, NULL), 0);
    assert_int_equal(len, 2);
    assert_string_equal(body, "ok");
    free(body);
}

static inline void end(struct server *s, struct weir *w)
{
    weir_close(w);
    server_join(s);
    server_finish(s);
}

static inline const char *seen(const struct server *s)
{
    return (const char *)s->seen.ptr;
}

/* Content by callback: `left` bytes of 'x', then the end, or `fail`. */
struct supply {
    size_t left;
    long fail;
    size_t given;
};

static inline long supply_read(void *arg, void *into, size_t room)
{
    struct supply *s = arg;
    size_t n = s->left < room ? s->left : room;

    if (n == 0)
        return s->fail;
    memset(into, 'x', n);
    s->left -= n;
    s->given += n;
    return (long)n;
}

#endif
