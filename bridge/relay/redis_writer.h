/*
 * The Redis sink's inside: end_redis_sink.c (what goes where), redis_writer.c (commands and their replies).
 */
#ifndef BRIDGE_RELAY_REDIS_WRITER_H
#define BRIDGE_RELAY_REDIS_WRITER_H

#include "bridge/io/redis_conn.h"
#include "bridge/relay/redis_flight.h"

struct redis_writer {
    struct redis_conn *conn;
    struct redis_flights flights;
    struct redis_outlets outlets;
    struct span field;
    uint64_t max_len; /**< 0: nothing is trimmed */
    struct buf words; /**< struct span: the words of a command with many fields */
    uint64_t there;   /**< entries that stood there already */
    bool said_back;   /**< that a time goes back was said */
};

/** Adds `count` messages as one entry: kind ADD, TIMED or EXACT. Sends when much waits. */
int redis_writer_add(struct redis_writer *w, enum redis_flight_kind kind, struct redis_outlet *to, struct redis_id id,
                     const struct ss_message *messages, size_t count, struct err *err);
/** Says once that a message gets a later time than its own. */
void redis_say_back(struct redis_writer *w, const struct redis_outlet *to);
/** Sends everything and takes all replies. The first refusal is the error; it names the stream. */
int redis_writer_drain(struct redis_writer *w, struct err *err);
/** Trims a stream in which something was added. */
int redis_writer_trim(struct redis_writer *w, struct redis_outlet *to, struct err *err);
void redis_writer_finish(struct redis_writer *w);

#endif
