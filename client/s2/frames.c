#include "client/s2/frames.h"

#include "base/bytes.h"

static bool take_number(uint64_t *out, struct span value)
{
    if (value.len != 8)
        return false;
    *out = get_be64(value.ptr);
    return true;
}

bool s2c_chunk_header(struct span name)
{
    return span_is(name, CHUNK_RECORDS) || span_is(name, CHUNK_BYTES) || span_is(name, CHUNK_SEQ) ||
           span_is(name, CHUNK_WRITER);
}

void s2c_chunk_of(struct s2c_chunk *out, const struct s2_record *record)
{
    bool has_records = false, has_bytes = false;
    *out = (struct s2c_chunk){0};
    for (size_t i = 0; i < record->header_count; i++) {
        const struct s2_header *h = &record->headers[i];
        if (span_is(h->name, CHUNK_RECORDS))
            has_records = take_number(&out->records, h->value);
        else if (span_is(h->name, CHUNK_BYTES))
            has_bytes = take_number(&out->bytes, h->value);
        else if (span_is(h->name, CHUNK_SEQ))
            out->has_seq = take_number(&out->seq, h->value);
        else if (span_is(h->name, CHUNK_WRITER))
            out->writer = h->value;
        else
            out->own++;
    }
    out->first = has_records && has_bytes;
}
