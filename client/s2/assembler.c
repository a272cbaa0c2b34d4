/* Records back into messages: one message a writer at a time, duplicates left out. */
#include <errno.h>
#include <stdlib.h>

#include "base/buf.h"
#include "client/s2/fault.h"
#include "client/s2/frames.h"

#define MESSAGE_BYTES ((uint64_t)64 * 1024 * 1024)
#define WRITERS 1024

/* What is known of one writer. */
struct source {
    struct source *next; /* most recently heard of first */
    struct buf id;
    bool has_last;
    uint64_t last_seq;
    bool open; /* a message is begun */
    uint64_t records_left, bytes;
    uint64_t first_seq_num;
    struct buf body;
    struct buf heads; /* header_count pairs, as struct s2_header into text */
    struct buf text;
    size_t header_count;
};

struct weir_s2_assembler {
    struct weir_s2_assembler_options limits;
    struct source *sources;
    size_t count;
    uint64_t behind; /* the last record pushed */
    struct weir_s2_dropped dropped;
};

int weir_s2_assembler_open(struct weir_s2_assembler **out,
                           const struct weir_s2_assembler_options *options, struct weir_s2_err *err)
{
    struct weir_s2_assembler *m = calloc(1, sizeof(*m));
    if (!m)
        return s2c_no_memory(err);
    if (options)
        m->limits = *options;
    if (m->limits.message_bytes == 0)
        m->limits.message_bytes = MESSAGE_BYTES;
    if (m->limits.writers == 0)
        m->limits.writers = WRITERS;
    *out = m;
    return 0;
}

static void free_source(struct source *s)
{
    buf_finish(&s->id);
    buf_finish(&s->body);
    buf_finish(&s->heads);
    buf_finish(&s->text);
    free(s);
}

void weir_s2_assembler_close(struct weir_s2_assembler *m)
{
    if (!m)
        return;
    while (m->sources) {
        struct source *s = m->sources;
        m->sources = s->next;
        free_source(s);
    }
    free(m);
}

/* The message begun, if any, will not become whole. */
static void give_up(struct weir_s2_assembler *m, struct source *s)
{
    if (s->open)
        m->dropped.cut++;
    s->open = false;
    buf_reset(&s->body);
    buf_trim(&s->body);
}

static void forget_oldest(struct weir_s2_assembler *m)
{
    struct source **at = &m->sources;
    while (*at && (*at)->next)
        at = &(*at)->next;
    if (!*at)
        return;
    give_up(m, *at);
    free_source(*at);
    *at = NULL;
    m->count--;
}

/* The writer's state, moved to the front; made when it is new. NULL without memory. */
static struct source *source_of(struct weir_s2_assembler *m, struct span id)
{
    struct source *s = NULL;
    for (struct source **at = &m->sources; *at; at = &(*at)->next) {
        if (!span_eq(buf_span(&(*at)->id), id))
            continue;
        s = *at;
        *at = s->next;
        s->next = m->sources;
        m->sources = s;
        return s;
    }
    s = calloc(1, sizeof(*s));
    if (!s || buf_add_span(&s->id, id) != 0) {
        free(s);
        return NULL;
    }
    if (m->count == m->limits.writers)
        forget_oldest(m);
    s->next = m->sources;
    m->sources = s;
    m->count++;
    return s;
}

static int add_header(struct source *s, const struct s2_header *h)
{
    struct s2_header copy = {.name = {NULL, h->name.len}, .value = {NULL, h->value.len}};
    int rc = buf_add_span(&s->text, h->name);
    if (rc == 0)
        rc = buf_add_span(&s->text, h->value);
    s->header_count++;
    return rc == 0 ? buf_add(&s->heads, &copy, sizeof(copy)) : rc;
}

static int begin(struct weir_s2_assembler *m, struct source *s, const struct s2_record *record,
                 const struct s2c_chunk *chunk)
{
    give_up(m, s);
    if (chunk->bytes > m->limits.message_bytes || chunk->records == 0) {
        m->dropped.cut++;
        return 0;
    }
    s->open = true;
    s->records_left = chunk->records;
    s->bytes = chunk->bytes;
    s->first_seq_num = record->seq_num;
    s->header_count = 0;
    buf_reset(&s->heads);
    buf_reset(&s->text);
    for (size_t i = 0; i < record->header_count; i++) {
        if (!s2c_chunk_header(record->headers[i].name) && add_header(s, &record->headers[i]) != 0)
            return -ENOMEM;
    }
    return 0;
}

/* The caller's headers get their places now that the text stands still. */
static const struct s2_header *headers_of(struct source *s)
{
    struct s2_header *heads = (struct s2_header *)(void *)s->heads.ptr;
    const uint8_t *at = s->text.ptr;
    for (size_t i = 0; i < s->header_count; i++) {
        heads[i].name.ptr = at;
        heads[i].value.ptr = at + heads[i].name.len;
        at += heads[i].name.len + heads[i].value.len;
    }
    return heads;
}

/* Takes the chunk's body. 1: the message is whole. */
static int add_chunk(struct weir_s2_assembler *m, struct source *s, const struct s2_record *record,
                     struct weir_s2_message *out)
{
    if (s->body.len + record->body.len > s->bytes) {
        give_up(m, s);
        return 0;
    }
    if (buf_add_span(&s->body, record->body) != 0)
        return -ENOMEM;
    if (--s->records_left > 0)
        return 0;
    if (s->body.len != s->bytes) {
        give_up(m, s);
        return 0;
    }
    s->open = false;
    *out = (struct weir_s2_message){
        .body = buf_span(&s->body),
        .headers = headers_of(s),
        .header_count = s->header_count,
        .writer = buf_span(&s->id),
        .first_seq_num = s->first_seq_num,
        .last_seq_num = record->seq_num,
    };
    return 1;
}

/* A message that was handed out is emptied at the next record of its writer. */
static void clear(struct source *s)
{
    if (!s->open && s->body.len > 0) {
        buf_reset(&s->body);
        buf_trim(&s->body);
    }
}

static int push(struct weir_s2_assembler *m, struct source *s, const struct s2_record *record,
                const struct s2c_chunk *chunk, struct weir_s2_message *out)
{
    clear(s);
    if (chunk->has_seq && s->has_last && chunk->seq <= s->last_seq) {
        m->dropped.duplicates++;
        return 0;
    }
    /* A chunk that is missing in the middle, as after a trim, spoils its message. */
    if (chunk->has_seq && s->has_last && chunk->seq != s->last_seq + 1)
        give_up(m, s);
    s->has_last = s->has_last || chunk->has_seq;
    s->last_seq = chunk->has_seq ? chunk->seq : s->last_seq;
    int rc = chunk->first ? begin(m, s, record, chunk) : 0;
    if (rc != 0)
        return rc;
    if (!s->open) {
        m->dropped.strays += !chunk->first;
        return 0;
    }
    return add_chunk(m, s, record, out);
}

int weir_s2_assembler_push(struct weir_s2_assembler *m, const struct s2_record *record,
                           struct weir_s2_message *out, struct weir_s2_err *err)
{
    struct s2c_chunk chunk;
    s2c_chunk_of(&chunk, record);
    m->behind = record->seq_num + 1;
    if (!chunk.first && !chunk.has_seq && chunk.writer.len == 0 && !m->sources) {
        m->dropped.strays++;
        return 0;
    }
    struct source *s = source_of(m, chunk.writer);
    int rc = s ? push(m, s, record, &chunk, out) : -ENOMEM;
    return rc == -ENOMEM ? s2c_no_memory(err) : rc;
}

uint64_t weir_s2_assembler_resume(const struct weir_s2_assembler *m)
{
    uint64_t from = m->behind;
    for (const struct source *s = m->sources; s; s = s->next) {
        if (s->open && s->first_seq_num < from)
            from = s->first_seq_num;
    }
    return from;
}

struct weir_s2_dropped weir_s2_assembler_dropped(const struct weir_s2_assembler *m)
{
    return m->dropped;
}
