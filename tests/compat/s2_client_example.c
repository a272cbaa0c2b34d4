/*
 * libweir-s2 from outside: makes a stream, produces records once each, sends a message larger than
 * a record, reads all of it back.
 *
 *   cc s2_client_example.c $(pkg-config --cflags --libs weir-s2) -o s2_client_example
 *   ./s2_client_example ENDPOINT BASIN
 *
 * ENDPOINT is a weir store (its directory), http://HOST:PORT or https://HOST; a token is taken from
 * S2_ACCESS_TOKEN.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weir/s2.h>

#define COUNT 1000
#define LARGE (3 * 1024 * 1024)

static int fail(const char *what, const struct weir_s2_err *err)
{
    fprintf(stderr, "s2_client_example: %s: %s (%s%s)\n", what, err->err.text,
            weir_s2_code_name(err->what), err->retryable ? ", may succeed later" : "");
    return 1;
}

static void on_ack(void *arg, uint64_t record, uint64_t seq_num)
{
    uint64_t *last = arg;
    (void)record;
    *last = seq_num;
}

/* Records, then one message that is cut into several. */
static int produce(struct weir_s2_producer *p, struct weir_s2_err *err)
{
    struct weir_s2_writer *writer;
    struct s2_header kind = {span_str("kind"), span_str("count")};
    char text[32], *large;
    int rc = 0;

    for (int i = 0; rc == 0 && i < COUNT; i++) {
        snprintf(text, sizeof(text), "record %d", i);
        struct s2_record record = {.headers = &kind, .header_count = 1, .body = span_str(text)};
        rc = weir_s2_producer_append(p, &record, NULL, err);
    }
    if (rc == 0)
        rc = weir_s2_writer_open(&writer, p, NULL, err);
    if (rc != 0)
        return rc;
    large = malloc(LARGE);
    if (large) {
        memset(large, 'x', LARGE);
        rc = weir_s2_writer_put(writer, span_of(large, LARGE), NULL, 0, NULL, err);
    }
    free(large);
    weir_s2_writer_close(writer);
    return rc == 0 ? weir_s2_producer_flush(p, err) : rc;
}

static int write_all(struct weir_s2 *s2, struct weir_s2_stream to, uint64_t *last,
                     struct weir_s2_err *err)
{
    struct weir_s2_producer_options options = WEIR_S2_PRODUCER_INIT;
    struct weir_s2_producer *p;
    int rc;

    options.acked = on_ack;
    options.arg = last;
    rc = weir_s2_producer_open(&p, s2, to, &options, err);
    if (rc != 0)
        return rc;
    rc = produce(p, err);
    weir_s2_producer_close(p);
    return rc;
}

/* A read session comes back by itself when the connection breaks. */
static int read_all(struct weir_s2 *s2, struct weir_s2_stream of, uint64_t count,
                    struct weir_s2_err *err)
{
    struct weir_s2_read what = {.from = WEIR_S2_FROM_SEQ_NUM, .has_count = true, .count = count};
    struct weir_s2_assembler *assembler;
    struct weir_s2_reader *reader;
    struct weir_s2_message message;
    struct s2_record record;
    int rc = weir_s2_assembler_open(&assembler, NULL, err);

    if (rc != 0)
        return rc;
    rc = weir_s2_reader_open(&reader, s2, of, &what, err);
    while (rc >= 0 && (rc = weir_s2_reader_record(reader, &record, -1, err)) == 0) {
        rc = weir_s2_assembler_push(assembler, &record, &message, err);
        if (rc == 1)
            printf("a message of %zu bytes in records %llu to %llu\n", message.body.len,
                   (unsigned long long)message.first_seq_num,
                   (unsigned long long)message.last_seq_num);
    }
    weir_s2_reader_close(reader);
    weir_s2_assembler_close(assembler);
    return rc == ERR_END ? 0 : rc;
}

static int run(struct weir_s2 *s2, const char *basin)
{
    struct weir_s2_err err = WEIR_S2_ERR_INIT;
    struct weir_s2_stream stream = {basin, "example/greetings"};
    struct s2_position tail;
    uint64_t last = 0;

    if (weir_s2_basin_ensure(s2, basin, NULL, &err) != 0)
        return fail("make the basin", &err);
    if (weir_s2_stream_ensure(s2, basin, stream.stream, "{\"retention_policy\":{\"age\":86400}}",
                              &err) != 0)
        return fail("make the stream", &err);
    if (write_all(s2, stream, &last, &err) != 0)
        return fail("append", &err);
    if (weir_s2_tail(s2, stream, &tail, &err) != 0)
        return fail("tail", &err);
    printf("durable up to %llu, the tail is %llu\n", (unsigned long long)last,
           (unsigned long long)tail.seq_num);
    if (read_all(s2, stream, tail.seq_num, &err) != 0)
        return fail("read", &err);
    return 0;
}

int main(int argc, char **argv)
{
    struct weir_s2_options options = WEIR_S2_OPTIONS_INIT;
    struct weir_s2_err err = WEIR_S2_ERR_INIT;
    struct weir_s2 *s2;
    int rc;

    if (argc != 3) {
        fprintf(stderr, "usage: s2_client_example ENDPOINT BASIN\n");
        return 2;
    }
    if (weir_s2_options_env(&options, &err) != 0)
        return fail("environment", &err);
    options.account = options.basin = argv[1];
    if (weir_s2_open(&s2, &options, &err) != 0)
        return fail("endpoint", &err);
    rc = run(s2, argv[2]);
    weir_s2_close(s2);
    return rc;
}
