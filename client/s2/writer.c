/* Messages of any size into records, through a producer. */
#include <errno.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/s2/record.h"
#include "client/s2/backoff.h"
#include "client/s2/fault.h"
#include "client/s2/frames.h"

#define OWN_HEADERS 4
#define RANDOM_ID 12

struct weir_s2_writer {
    struct weir_s2_producer *producer;
    char id[CHUNK_WRITER_MAX + 1];
    uint64_t next_seq;
    size_t chunk_bytes; /* 0: as many as fit */
};

int weir_s2_writer_open(struct weir_s2_writer **out, struct weir_s2_producer *producer,
                        const struct weir_s2_writer_options *options, struct weir_s2_err *err)
{
    const struct weir_s2_writer_options none = {0};
    options = options ? options : &none;
    if (options->writer_id &&
        (!options->writer_id[0] || strlen(options->writer_id) > CHUNK_WRITER_MAX))
        return s2c_fail(err, WEIR_S2_LOCAL, ERR_INVALID, "a writer's id has 1 to %d bytes",
                        CHUNK_WRITER_MAX);
    struct weir_s2_writer *w = calloc(1, sizeof(*w));
    if (!w)
        return s2c_no_memory(err);
    w->producer = producer;
    w->next_seq = options->next_seq;
    w->chunk_bytes = options->chunk_bytes;
    if (options->writer_id)
        memcpy(w->id, options->writer_id, strlen(options->writer_id));
    else
        s2c_random_name(w->id, RANDOM_ID);
    *out = w;
    return 0;
}

void weir_s2_writer_close(struct weir_s2_writer *w)
{
    free(w);
}

const char *weir_s2_writer_id(const struct weir_s2_writer *w)
{
    return w->id;
}

uint64_t weir_s2_writer_next_seq(const struct weir_s2_writer *w)
{
    return w->next_seq;
}

/* One message while it is cut. */
struct cut {
    struct span rest;
    uint64_t records, bytes;
    uint8_t numbers[3][8];
    struct s2_header *headers; /* the caller's first, then room for ours */
    size_t own;
};

static size_t add_number(struct cut *cut, size_t at, const char *name, size_t slot, uint64_t value)
{
    put_be64(cut->numbers[slot], value);
    cut->headers[at] = (struct s2_header){span_str(name), span_of(cut->numbers[slot], 8)};
    return at + 1;
}

static int put_chunk(struct weir_s2_writer *w, struct cut *cut, size_t len, bool first,
                     uint64_t *number, struct weir_s2_err *err)
{
    size_t count = first ? cut->own : 0;
    if (first) {
        count = add_number(cut, count, CHUNK_RECORDS, 0, cut->records);
        count = add_number(cut, count, CHUNK_BYTES, 1, cut->bytes);
    }
    /* The caller's are only on the first chunk, so ours may take their place on the others. */
    count = add_number(cut, count, CHUNK_SEQ, 2, w->next_seq);
    cut->headers[count++] = (struct s2_header){span_str(CHUNK_WRITER), span_str(w->id)};
    struct s2_record record = {
        .headers = cut->headers, .header_count = count, .body = span_of(cut->rest.ptr, len)};
    int rc = weir_s2_producer_append(w->producer, &record, number, err);
    if (rc != 0)
        return rc;
    cut->rest = span_of(len < cut->rest.len ? cut->rest.ptr + len : NULL, cut->rest.len - len);
    w->next_seq++;
    return 0;
}

/* Body bytes that fit beside the headers of the first chunk; later ones have fewer. */
static int room_of_chunk(const struct weir_s2_writer *w, const struct s2_header *headers,
                         size_t count, size_t *out, struct weir_s2_err *err)
{
    struct s2_record empty = {.headers = headers, .header_count = count};
    uint64_t used = s2_metered(&empty) + OWN_HEADERS * 2 + 3 * 8 +
                    strlen(CHUNK_RECORDS CHUNK_BYTES CHUNK_SEQ CHUNK_WRITER) + strlen(w->id);
    *out = 1;
    if (used >= S2_METERED_MAX)
        return s2c_fail(err, WEIR_S2_LOCAL, ERR_TOO_LARGE,
                        "the headers of a message must fit into a record");
    *out = (size_t)(S2_METERED_MAX - used);
    if (w->chunk_bytes > 0 && w->chunk_bytes < *out)
        *out = w->chunk_bytes;
    return 0;
}

int weir_s2_writer_put(struct weir_s2_writer *w, struct span message,
                       const struct s2_header *headers, size_t header_count, uint64_t *last,
                       struct weir_s2_err *err)
{
    size_t room = 0;
    uint64_t number = 0;
    struct cut cut = {.rest = message, .bytes = message.len, .own = header_count};
    int rc = room_of_chunk(w, headers, header_count, &room, err);
    if (rc != 0)
        return rc;
    cut.records = message.len == 0 ? 1 : (message.len + room - 1) / room;
    cut.headers = calloc(header_count + OWN_HEADERS, sizeof(*cut.headers));
    if (!cut.headers)
        return s2c_no_memory(err);
    for (size_t i = 0; i < header_count; i++)
        cut.headers[i] = headers[i];
    for (uint64_t i = 0; rc == 0 && i < cut.records; i++)
        rc = put_chunk(w, &cut, cut.rest.len < room ? cut.rest.len : room, i == 0, &number, err);
    free(cut.headers);
    if (rc == 0 && last)
        *last = number;
    return rc;
}
