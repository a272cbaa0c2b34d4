/*
 * Headers that make records chunks of messages; the layout is in weir/s2.h.
 */
#ifndef CLIENT_S2_FRAMES_H
#define CLIENT_S2_FRAMES_H

#include <weir/s2.h>

#define CHUNK_RECORDS "_frame_records"
#define CHUNK_BYTES "_frame_bytes"
#define CHUNK_SEQ "_dedupe_seq"
#define CHUNK_WRITER "_writer_id"
#define CHUNK_WRITER_MAX 64

/** What the headers of a record say of it as a chunk. */
struct s2c_chunk {
    bool first; /**< a message begins: both numbers are there */
    uint64_t records, bytes;
    bool has_seq;
    uint64_t seq;
    struct span writer; /**< empty when it was not said */
    size_t own;         /**< headers that are none of these */
};

/** Reads them; numbers that are not 8 bytes long are as if they were not there. */
void s2c_chunk_of(struct s2c_chunk *out, const struct s2_record *record);
/** Whether the header is one of the four. */
bool s2c_chunk_header(struct span name);

#endif
