/*
 * libweir from outside: appends a frame, follows the log until it comes by, reads its content back.
 *
 *   cc client_example.c $(pkg-config --cflags --libs --static weir) -o client_example
 *   ./client_example ADDR
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* memmem */
#endif

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weir/client.h>

#define TOPIC "example.greeting"
#define GREETING "hello from C\n"

static int fail(const char *what, const struct err *err)
{
    fprintf(stderr, "client_example: %s: %s\n", what, err->text);
    return 1;
}

/* The text of "NAME":"..." in a frame's JSON. Hashes and ids hold nothing that JSON escapes. */
static int member(struct span json, const char *name, char *out, size_t room)
{
    char key[32];
    int len = snprintf(key, sizeof(key), "\"%s\":\"", name);
    const char *start = memmem(json.ptr, json.len, key, (size_t)len);
    const char *end = (const char *)json.ptr + json.len;
    const char *stop;

    if (!start)
        return -1;
    start += len;
    stop = memchr(start, '"', (size_t)(end - start));
    if (!stop || (size_t)(stop - start) >= room)
        return -1;
    memcpy(out, start, (size_t)(stop - start));
    out[stop - start] = '\0';
    return 0;
}

struct search {
    const char *id;
    char hash[64];
};

/* A frame of the follow: 1 ends it. */
static int look_at(void *arg, struct span line)
{
    struct search *s = arg;
    char id[ID_TEXT_LEN + 1];

    printf("frame %.*s\n", SPAN_ARG(line));
    if (member(line, "id", id, sizeof(id)) < 0 || strcmp(id, s->id) != 0)
        return 0;
    return member(line, "hash", s->hash, sizeof(s->hash)) < 0 ? ERR_INVALID : 1;
}

static int read_content(struct weir *w, const char *hash, struct err *err)
{
    char target[80];
    struct weir_request req = {.method = "GET", .target = target, .replay_safe = true};
    struct weir_response res;
    char *content;
    size_t len;
    int rc;

    snprintf(target, sizeof(target), "/cas/%s", hash);
    rc = weir_request(w, &req, &res, err);
    if (rc == 0)
        rc = weir_check(w, &res, err);
    if (rc == 0)
        rc = weir_read_all(w, &content, &len, 1024 * 1024, err);
    if (rc < 0)
        return rc;
    printf("content %s", content);
    rc = len == strlen(GREETING) && memcmp(content, GREETING, len) == 0 ? 0 : ERR_DAMAGED;
    free(content);
    return rc;
}

static int run(struct weir *w, struct err *err)
{
    struct weir_append a = {
        .topic = TOPIC,
        .meta = "{\"language\":\"C\"}",
        .content = span_str(GREETING),
    };
    char id[ID_TEXT_LEN + 1];
    struct search search = {.id = id};
    char *json;
    int rc = weir_append(w, &a, &json, err);

    if (rc < 0)
        return fail("append", err);
    rc = member(span_str(json), "id", id, sizeof(id));
    free(json);
    if (rc < 0)
        return fail("the answer has no id", err);
    rc = weir_each_line(w, "/?follow&topic=" TOPIC, look_at, &search, err);
    if (rc != 1)
        return fail("follow", err);
    rc = read_content(w, search.hash, err);
    return rc < 0 ? fail("read the content", err) : 0;
}

int main(int argc, char **argv)
{
    struct err err = ERR_INIT;
    struct weir_addr addr;
    struct weir *w;
    int rc;

    if (argc != 2) {
        fprintf(stderr, "usage: client_example ADDR\n");
        return 2;
    }
    if (weir_addr_parse(&addr, argv[1], &err) < 0)
        return fail("address", &err);
    rc = weir_open(&w, &addr, &err);
    weir_addr_finish(&addr);
    if (rc < 0)
        return fail("open", &err);
    rc = run(w, &err);
    weir_close(w);
    return rc;
}
