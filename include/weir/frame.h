/*
 * A frame: one event of the log, as a value that borrows its bytes.
 */
#ifndef WEIR_FRAME_H
#define WEIR_FRAME_H

#include <weir/err.h>
#include <weir/id.h>
#include <weir/span.h>

/** What a ttl says. TTL_NULL and TTL_FOREVER both keep; they print as null and "forever". */
enum ttl_kind {
    TTL_NULL = 0,      /**< frames the daemon makes itself, and imports without ttl */
    TTL_FOREVER = 1,   /**< "forever" */
    TTL_EPHEMERAL = 2, /**< "ephemeral": never stored */
    TTL_TIME = 3,      /**< "time:MS": value = milliseconds of life after the id's time */
    TTL_LAST = 4,      /**< "last:N": value = how many frames of the exact topic remain, 1..2^32-1 */
};

struct ttl {
    enum ttl_kind kind;
    uint64_t value;
};

/** Who made a frame; kept with it, outside meta, not settable by clients (stored as one byte). */
enum authority {
    AUTHORITY_NONE = 0,   /**< anybody: an exposed address */
    AUTHORITY_EXEC = 1,   /**< the Unix socket: may define programs */
    AUTHORITY_DAEMON = 2, /**< the daemon itself */
};

#define DIGEST_SIZE 32 /**< SHA-256 */

/** A frame as read. Every span borrows; what it borrows from is said where it comes from. */
struct frame {
    struct frame_id id;
    struct span topic;
    struct span meta;             /**< JSON without white space outside strings; len 0 = null */
    struct span origin;           /**< who appended through a program's address; len 0 = none */
    struct ttl ttl;
    enum authority authority;
    bool has_hash;                /**< content exists; digest and size are valid */
    bool has_content;             /**< content lies in the record: `content` is valid */
    bool has_seq;                 /**< false: ephemeral, or imported below its topic's newest */
    bool command;                 /**< an S2 command record */
    uint8_t digest[DIGEST_SIZE];  /**< SHA-256 of the content */
    uint64_t content_size;        /**< bytes */
    struct span content;          /**< the content, when it lies in the record */
    uint64_t seq;                 /**< dense per topic, from 0 */
    uint64_t stamp;               /**< S2 timestamp; the id's time unless a client chose another */
    uint64_t deadline_ms;         /**< wall clock ms at which it expires; 0 = never */
    uint32_t topic_no;            /**< the topic's number in this store */
};

#define TOPIC_MAX 512 /**< bytes; the xs dialect allows 255 */
#define META_MAX (256 * 1024)
#define META_DEPTH 128
#define INLINE_MAX (64 * 1024) /**< content up to this lies in its frame's record */
#define RECORD_CONTENT_MAX ((1024 + 64) * 1024) /**< a record of a stream keeps up to this with itself, whatever INLINE_MAX says: 1 MiB and what
                                                     encryption adds */
#define RECORD_META_MAX (2 * 1024 * 1024) /**< and so much of headers, in their form as meta */

#endif
