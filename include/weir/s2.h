/*
 * libweir-s2: streams of the S2 API from C, of weir and of any other S2 endpoint. HTTP/2, also over
 * TLS and Unix sockets.
 *
 * Blocking; no threads and no signals of its own. What is under way goes on only while a call of
 * this header runs: a program that does other things polls the descriptor a session names and calls
 * its _turn.
 *
 * Thread rule: a handle, a session, a producer, an assembler is used by one thread at a time.
 * Sessions have connections of their own and only read the handle they were opened with, so each
 * may be used in another thread; the handle outlives them.
 *
 * Errors: 0 or a negative code of weir/err.h; what kind of failure it is stands in the caller's
 * struct weir_s2_err, which may be NULL.
 */
#ifndef WEIR_S2_H
#define WEIR_S2_H

#include <weir/err.h>
#include <weir/s2_record.h>

/* --- errors ----------------------------------------------------------------------------------- */

/** What failed. From WEIR_S2_BAD_HEADER on: the code of the server's answer. */
enum weir_s2_code {
    WEIR_S2_OK = 0,
    WEIR_S2_LOCAL,     /**< not sent at all: bad argument, no memory, over a limit, handle closed */
    WEIR_S2_CONNECT,   /**< nobody there: refused, unknown host, time over before a connection stood
                        */
    WEIR_S2_TLS,       /**< handshake or certificate */
    WEIR_S2_TRANSPORT, /**< the connection broke, or the answer was none of HTTP */
    WEIR_S2_TIMEOUT,   /**< no answer, no ack or no heartbeat in time */
    WEIR_S2_UNKNOWN_OUTCOME, /**< an append that may or may not be in the stream and may not be sent
                                again */
    WEIR_S2_SEQ_NUM_MISMATCH, /**< 412; seq_num is the next one of the stream */
    WEIR_S2_TOKEN_MISMATCH,   /**< 412; token is the stream's fencing token */
    WEIR_S2_OUT_OF_RANGE,     /**< 416; tail is set */
    WEIR_S2_BAD_HEADER,
    WEIR_S2_BAD_JSON,
    WEIR_S2_BAD_PATH,
    WEIR_S2_BAD_PROTO,
    WEIR_S2_BAD_QUERY,
    WEIR_S2_BAD_FRAME,
    WEIR_S2_DECRYPTION_FAILED,
    WEIR_S2_AUTHN,
    WEIR_S2_PERMISSION_DENIED,
    WEIR_S2_QUOTA_EXHAUSTED,
    WEIR_S2_BASIN_NOT_FOUND,
    WEIR_S2_STREAM_NOT_FOUND,
    WEIR_S2_ACCESS_TOKEN_NOT_FOUND,
    WEIR_S2_REQUEST_TIMEOUT,
    WEIR_S2_ALREADY_EXISTS,
    WEIR_S2_BASIN_DELETION_PENDING,
    WEIR_S2_STREAM_DELETION_PENDING,
    WEIR_S2_TRANSACTION_CONFLICT,
    WEIR_S2_INVALID,
    WEIR_S2_RATE_LIMITED,
    WEIR_S2_CLIENT_HANGUP,
    WEIR_S2_STORAGE,
    WEIR_S2_OTHER,
    WEIR_S2_NOT_IMPLEMENTED,
    WEIR_S2_HOT_SERVER,
    WEIR_S2_UNAVAILABLE,
    WEIR_S2_SERVER_DRAINING,
    WEIR_S2_UPSTREAM_TIMEOUT,
    WEIR_S2_SERVER /**< an answer with a status and no code that is known */
};

struct weir_s2_err {
    struct err err; /**< code and text, one line for people */
    enum weir_s2_code what;
    int status;              /**< HTTP status; 0: there was no answer */
    bool retryable;          /**< the same again may succeed later */
    bool no_effect;          /**< it is certain that nothing was appended */
    uint64_t retry_after_ms; /**< the server's wish; 0: none */
    uint64_t seq_num;        /**< of WEIR_S2_SEQ_NUM_MISMATCH */
    char token[37];          /**< of WEIR_S2_TOKEN_MISMATCH */
    struct s2_position tail; /**< of WEIR_S2_OUT_OF_RANGE */
};
#define WEIR_S2_ERR_INIT ((struct weir_s2_err){0})

/** The wire's name of a code ("stream_not_found"), or a word of ours ("transport"). Static. */
const char *weir_s2_code_name(enum weir_s2_code what);

/* --- the endpoint ----------------------------------------------------------------------------- */

enum weir_s2_compression { WEIR_S2_PLAIN, WEIR_S2_ZSTD, WEIR_S2_GZIP };

/** Which appends are sent again when it is not known what became of them. */
enum weir_s2_retry {
    WEIR_S2_RETRY_ALL,    /**< all: without match_seq_num a record may then be there twice */
    WEIR_S2_RETRY_CERTAIN /**< only what certainly had no effect, or has a match_seq_num */
};

/**
 * How to reach it. Texts are copied. An endpoint is http://HOST[:PORT][/PATH], https://...,
 * unix:PATH, or an address of weir(1): a path (a store directory or its socket), :PORT, HOST:PORT.
 * PATH defaults to /v1. "{basin}" in a host becomes the basin's name; otherwise the header s2-basin
 * says it.
 */
struct weir_s2_options {
    const char *account;        /**< endpoint; NULL: the basins' */
    const char *basin;          /**< endpoint; NULL: the account's */
    const char *token;          /**< access token, or NULL */
    const char *encryption_key; /**< base64, or NULL: sent with appends and reads */
    const char *stream_config;  /**< JSON: configures streams that an append or a read makes by the
                                   way; NULL */
    const char *ca_file;        /**< PEM, instead of the system's authorities; NULL */
    bool insecure;              /**< no check of the server's certificate */
    enum weir_s2_compression
        compression;     /**< of bodies and frames sent; answers come as the server likes */
    unsigned connect_ms; /**< 3000 */
    unsigned request_ms; /**< 5000; a read's `wait` comes on top */
    unsigned
        ack_ms; /**< 5000: without any ack while one is owed, an append session connects anew */
    unsigned silence_ms;     /**< 20000: the same for a read session that hears nothing */
    unsigned attempts;       /**< 3, the first one counted; progress of a session begins anew */
    unsigned backoff_ms;     /**< 100: waits are random, up to this, doubled each time, */
    unsigned backoff_max_ms; /**< 1000, up to this */
    enum weir_s2_retry retry;
};
#define WEIR_S2_OPTIONS_INIT                                                                       \
    ((struct weir_s2_options){.connect_ms = 3000,                                                  \
                              .request_ms = 5000,                                                  \
                              .ack_ms = 5000,                                                      \
                              .silence_ms = 20000,                                                 \
                              .attempts = 3,                                                       \
                              .backoff_ms = 100,                                                   \
                              .backoff_max_ms = 1000})

/**
 * Sets what the environment says: S2_ACCOUNT_ENDPOINT, S2_BASIN_ENDPOINT, S2_ACCESS_TOKEN,
 * S2_ENCRYPTION_KEY, S2_COMPRESSION (gzip, zstd), S2_SSL_NO_VERIFY (anything but "", 0, false). The
 * texts are those of the environment. ERR_INVALID for an unknown compression.
 */
int weir_s2_options_env(struct weir_s2_options *options, struct weir_s2_err *err);

struct weir_s2;
/** Prepares; dials at first use. ERR_INVALID for an endpoint that cannot be understood or none at
 * all; -ENOMEM. */
int weir_s2_open(struct weir_s2 **out, const struct weir_s2_options *options,
                 struct weir_s2_err *err);
/** Takes NULL. */
void weir_s2_close(struct weir_s2 *s2);

/* --- basins, streams, tokens: JSON as it is --------------------------------------------------- */

/** A request of the control plane. */
struct weir_s2_request {
    const char *method;     /**< GET, POST, PUT, PATCH, DELETE */
    const char *collection; /**< "basins", "streams", "access-tokens", "metrics", "locations" */
    const char *name;       /**< one path segment as it is, or NULL; encoded here */
    const char *name2;      /**< a segment behind it, or NULL */
    const char *query;      /**< encoded, without "?", or NULL */
    const char *basin;      /**< of streams; NULL: the account's endpoint is asked */
    const char *json;       /**< body, or NULL */
    const char
        *request_token; /**< makes a POST safe to repeat. NULL: a random one is sent with POST */
};

struct weir_s2_answer {
    char *body; /**< NUL added; never NULL after success */
    size_t len;
    int status;
    char provision[16]; /**< created, updated, noop; "" when the server did not say */
};

/** Sends it, repeats what is retryable. 0 for 2xx: the caller calls weir_s2_answer_finish. Any
 * other status is an error. */
int weir_s2_call(struct weir_s2 *s2, const struct weir_s2_request *request,
                 struct weir_s2_answer *out, struct weir_s2_err *err);
void weir_s2_answer_finish(struct weir_s2_answer *answer);

/** `config`: JSON, or NULL for the defaults. Making what is there with the same config is no error.
 */
int weir_s2_basin_ensure(struct weir_s2 *s2, const char *basin, const char *config,
                         struct weir_s2_err *err);
int weir_s2_basin_delete(struct weir_s2 *s2, const char *basin, struct weir_s2_err *err);
int weir_s2_stream_ensure(struct weir_s2 *s2, const char *basin, const char *stream,
                          const char *config, struct weir_s2_err *err);
int weir_s2_stream_delete(struct weir_s2 *s2, const char *basin, const char *stream,
                          struct weir_s2_err *err);

/* --- one append, one read --------------------------------------------------------------------- */

/** A stream's name. Texts are borrowed for the call that gets it. */
struct weir_s2_stream {
    const char *basin;
    const char *stream;
};

/** One batch: all of its records or none become part of the stream. 1 to 1000 records, up to 1 MiB
 * metered. */
struct weir_s2_input {
    const struct s2_record *records;
    size_t count;
    bool has_match;
    uint64_t match_seq_num; /**< the seq_num the first record must get */
    const char *token;      /**< fencing token; NULL: not checked, "" is one */
};

/** Metered size: 8 + 2 per header + names, values and body. */
uint64_t weir_s2_metered(const struct s2_record *record);

/**
 * Appends one batch; answers when it is durable. With a match_seq_num the outcome of an attempt
 * whose answer was lost is found out by reading. ERR_CONDITION for a mismatch.
 */
int weir_s2_append(struct weir_s2 *s2, struct weir_s2_stream to, const struct weir_s2_input *input,
                   struct s2_ack *out, struct weir_s2_err *err);

int weir_s2_tail(struct weir_s2 *s2, struct weir_s2_stream of, struct s2_position *out,
                 struct weir_s2_err *err);

/** A fence command: later appends with another token fail. Up to 36 bytes, "" ends fencing.
 * `token`: that of now, or NULL. */
int weir_s2_fence(struct weir_s2 *s2, struct weir_s2_stream of, const char *token, const char *next,
                  struct s2_ack *out, struct weir_s2_err *err);
/** A trim command: records below `seq_num` go. */
int weir_s2_trim(struct weir_s2 *s2, struct weir_s2_stream of, uint64_t seq_num, const char *token,
                 struct s2_ack *out, struct weir_s2_err *err);

enum weir_s2_from { WEIR_S2_FROM_SEQ_NUM, WEIR_S2_FROM_TIMESTAMP, WEIR_S2_FROM_TAIL_OFFSET };

/** What to read. Zeroed: the whole stream from seq_num 0 on. */
struct weir_s2_read {
    enum weir_s2_from from;
    uint64_t start;
    bool clamp; /**< a start behind the tail is the tail */
    bool has_count, has_bytes, has_until, has_wait;
    uint64_t count, bytes; /**< bytes are metered */
    uint64_t until;        /**< only records with a smaller timestamp */
    uint64_t wait_s;       /**< seconds to wait at the tail for more */
};

/** Records and spans live in one block that weir_s2_batch_finish frees. */
struct weir_s2_batch {
    const struct s2_record *records;
    size_t count;
    bool has_tail; /**< the reader was at the tail, which was this */
    struct s2_position tail;
    void *held;
};
/** Takes a zeroed one. */
void weir_s2_batch_finish(struct weir_s2_batch *batch);

/** One answer of at most 1000 records and 1 MiB. ERR_RANGE with the tail when the start is there
 * and nothing may follow. */
int weir_s2_read(struct weir_s2 *s2, struct weir_s2_stream of, const struct weir_s2_read *what,
                 struct weir_s2_batch *out, struct weir_s2_err *err);

/* --- append sessions -------------------------------------------------------------------------- */

struct weir_s2_appender;

struct weir_s2_appender_options {
    uint64_t inflight_bytes; /**< metered bytes without an ack: submit waits above; 0: 5 MiB */
    size_t inflight_batches; /**< 0: no limit but the bytes */
    bool never_block;        /**< submit returns -EAGAIN instead of waiting */
};

/**
 * Opens a session; connects at the first submit. After a disconnect batches without an ack are sent
 * again where the handle's retry policy lets them; one with a match_seq_num that was sent before is
 * looked up in the stream when the server refuses it, so that it is there exactly once. After any
 * other failure the session is spoiled: no later batch is appended and every call returns that
 * failure.
 */
int weir_s2_appender_open(struct weir_s2_appender **out, struct weir_s2 *s2,
                          struct weir_s2_stream to, const struct weir_s2_appender_options *options,
                          struct weir_s2_err *err);
/**
 * Takes a batch (copied) and numbers it, from 0. Waits while the limits are reached: back-pressure.
 * -EAGAIN with never_block; ERR_INVALID for what breaks the limits of a batch, which spoils
 * nothing.
 */
int weir_s2_appender_submit(struct weir_s2_appender *a, const struct weir_s2_input *input,
                            uint64_t *ticket, struct weir_s2_err *err);
/** The next ack, in order of submission; each is handed out once. Waits up to `wait_ms`, negative:
 * without end. -EAGAIN; ERR_END when nothing is owed. */
int weir_s2_appender_ack(struct weir_s2_appender *a, uint64_t *ticket, struct s2_ack *out,
                         int wait_ms, struct weir_s2_err *err);
/** Waits until everything has its ack. */
int weir_s2_appender_flush(struct weir_s2_appender *a, struct weir_s2_err *err);
/** Sends and receives what can be without waiting longer than this for something to happen. */
int weir_s2_appender_turn(struct weir_s2_appender *a, int wait_ms, struct weir_s2_err *err);
/** To poll for reading, and for writing when that is wanted; -1 while there is no connection. */
int weir_s2_appender_fd(const struct weir_s2_appender *a, bool *wants_write);
/** Batches and metered bytes without an ack. */
void weir_s2_appender_inflight(const struct weir_s2_appender *a, size_t *batches, uint64_t *bytes);
/** Ends it; what has no ack is given up, so flush first. Takes NULL. */
void weir_s2_appender_close(struct weir_s2_appender *a);

/* --- read sessions ---------------------------------------------------------------------------- */

struct weir_s2_reader;

/** Opens a session; connects at the first next. It comes back by itself behind the last record it
 * gave, limits reduced accordingly. */
int weir_s2_reader_open(struct weir_s2_reader **out, struct weir_s2 *s2, struct weir_s2_stream of,
                        const struct weir_s2_read *what, struct weir_s2_err *err);
/**
 * The next batch; it lives until the next call. count 0: a heartbeat, only the tail is set. Waits
 * up to `wait_ms`, negative: without end. -EAGAIN; ERR_END when all that was asked for came;
 * ERR_RANGE when the start is behind the tail.
 */
int weir_s2_reader_next(struct weir_s2_reader *r, struct weir_s2_batch *out, int wait_ms,
                        struct weir_s2_err *err);
/** One record at a time; heartbeats are passed over. The record lives until the next call. */
int weir_s2_reader_record(struct weir_s2_reader *r, struct s2_record *out, int wait_ms,
                          struct weir_s2_err *err);
/** The seq_num a new session would have to start from to go on. False: nothing came yet. */
bool weir_s2_reader_position(const struct weir_s2_reader *r, uint64_t *seq_num);
/** To poll for reading; -1 while there is no connection. Poll only after -EAGAIN. */
int weir_s2_reader_fd(const struct weir_s2_reader *r);
/** Takes NULL. */
void weir_s2_reader_close(struct weir_s2_reader *r);

/* --- producer --------------------------------------------------------------------------------- */

struct weir_s2_producer;

struct weir_s2_producer_options {
    size_t batch_records; /**< 0: 1000 */
    uint64_t batch_bytes; /**< metered; 0: 1 MiB */
    unsigned linger_ms;   /**< a batch that is not full is sent so long after its first record; seen
                             in calls. 5 with the _INIT */
    bool idempotent; /**< batches carry match_seq_num, one behind the other: the producer must be
                        the only writer. True with the _INIT */
    bool has_match;  /**< where it begins; otherwise at the tail as the first batch finds it */
    uint64_t match_seq_num;
    const char *token; /**< fencing token of every batch, or NULL */
    struct weir_s2_appender_options session;
    /** Called in calls of the producer for every record that is durable, in order. */
    void (*acked)(void *arg, uint64_t record, uint64_t seq_num);
    void *arg;
};
#define WEIR_S2_PRODUCER_INIT                                                                      \
    ((struct weir_s2_producer_options){.linger_ms = 5, .idempotent = true})

/** Single records in, batches out. Idempotent: a batch whose ack was lost is sent again and is in
 * the stream once. */
int weir_s2_producer_open(struct weir_s2_producer **out, struct weir_s2 *s2,
                          struct weir_s2_stream to, const struct weir_s2_producer_options *options,
                          struct weir_s2_err *err);
/** Takes a record (copied) and numbers it, from 0. Waits as weir_s2_appender_submit does. */
int weir_s2_producer_append(struct weir_s2_producer *p, const struct s2_record *record,
                            uint64_t *number, struct weir_s2_err *err);
/** Sends what lingered long enough, takes acks; waits for them up to `wait_ms`. To be called now
 * and then when appends are rare. */
int weir_s2_producer_turn(struct weir_s2_producer *p, int wait_ms, struct weir_s2_err *err);
/** Sends the batch begun and waits until all records are durable. */
int weir_s2_producer_flush(struct weir_s2_producer *p, struct weir_s2_err *err);
/** As weir_s2_appender_fd. */
int weir_s2_producer_fd(const struct weir_s2_producer *p, bool *wants_write);
/** Milliseconds until _turn has something to send; -1: nothing waits. */
int weir_s2_producer_due(const struct weir_s2_producer *p);
/** Records that are durable: those with a smaller number. */
uint64_t weir_s2_producer_durable(const struct weir_s2_producer *p);
/** Ends it; what has no ack is given up, so flush first. Takes NULL. */
void weir_s2_producer_close(struct weir_s2_producer *p);

/* --- messages of any size --------------------------------------------------------------------- */

/*
 * A message is cut into chunks, a record each. Numbers are 8 bytes, big-endian. These headers are
 * those of the S2 patterns package for TypeScript, which reads what is written here and the
 * reverse:
 *
 *   _frame_records  first chunk: number of chunks      _dedupe_seq  every chunk: its number at this
 * writer _frame_bytes    first chunk: bytes of all chunks   _writer_id   every chunk: the writer
 *
 * A reader drops a chunk whose number it had from that writer, and puts together what belongs to
 * one writer, however writers mix.
 */
struct weir_s2_writer;

struct weir_s2_writer_options {
    const char *writer_id; /**< NULL: a random one of 12 letters. Up to 64 bytes */
    uint64_t
        next_seq; /**< of the first chunk: behind the last of an earlier run with this id, else 0 */
    size_t chunk_bytes; /**< body of a chunk at most; 0: what a record holds */
};

/** Writes through a producer, which the caller keeps and which outlives it. */
int weir_s2_writer_open(struct weir_s2_writer **out, struct weir_s2_producer *producer,
                        const struct weir_s2_writer_options *options, struct weir_s2_err *err);
/** Takes a message of any size, with headers of its own (on its first chunk) or none. `last`, may
 * be NULL: the producer's number of its last record; the message is durable when that is. */
int weir_s2_writer_put(struct weir_s2_writer *w, struct span message,
                       const struct s2_header *headers, size_t header_count, uint64_t *last,
                       struct weir_s2_err *err);
const char *weir_s2_writer_id(const struct weir_s2_writer *w);
uint64_t weir_s2_writer_next_seq(const struct weir_s2_writer *w);
void weir_s2_writer_close(struct weir_s2_writer *w);

struct weir_s2_assembler;

struct weir_s2_assembler_options {
    uint64_t message_bytes; /**< larger ones are dropped; 0: 64 MiB */
    size_t writers;         /**< remembered at a time, the longest silent ones go; 0: 1024 */
};

/** A whole message; spans live until the next push. */
struct weir_s2_message {
    struct span body;
    const struct s2_header *headers; /**< of its own */
    size_t header_count;
    struct span writer;
    uint64_t first_seq_num, last_seq_num; /**< of its records */
};

/** What an assembler left out. */
struct weir_s2_dropped {
    uint64_t duplicates; /**< records */
    uint64_t strays;     /**< records that belong to no message whose beginning was seen */
    uint64_t cut;        /**< messages that never became whole, or were too large */
};

int weir_s2_assembler_open(struct weir_s2_assembler **out,
                           const struct weir_s2_assembler_options *options,
                           struct weir_s2_err *err);
/** Takes the next record of the stream. 1: *out is a whole message; 0: not yet; negative: -ENOMEM.
 */
int weir_s2_assembler_push(struct weir_s2_assembler *m, const struct s2_record *record,
                           struct weir_s2_message *out, struct weir_s2_err *err);
/**
 * Where to read from after a restart, so that no message which was begun is lost: the first record
 * of the oldest one that is not whole, or behind the last record pushed. What was whole since then
 * comes again.
 */
uint64_t weir_s2_assembler_resume(const struct weir_s2_assembler *m);
struct weir_s2_dropped weir_s2_assembler_dropped(const struct weir_s2_assembler *m);
void weir_s2_assembler_close(struct weir_s2_assembler *m);

#endif
