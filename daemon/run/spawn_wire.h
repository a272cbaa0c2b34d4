/*
 * What daemon, supervisor and keepers say to each other: framed messages on a stream socketpair.
 *
 *   u32 size of what follows, u8 kind, u64 id, then by kind:
 *     spawn    u8 flags (1 confine), u64 memory, u64 cpu_s, u64 processes, u64 descriptors,
 *              text program, text directory, u32 count and texts: argv, u32 count and texts: envp;
 *              three descriptors travel with its first byte
 *     signal   u32 number
 *     stop     u32 grace in ms
 *     started  u32 pid, text notes
 *     failed   u32 -code, text
 *     ended    u8 flags (1 signalled, 2 lost), u32 code
 *   a text: u32 length without the NUL, the bytes, a NUL
 *
 * Integers are big-endian. Decoding is strict: exactly the bytes of the message, no other flags, no
 * NUL inside a text. Keepers speak the same over a socketpair of their own, one datagram a message.
 */
#ifndef DAEMON_RUN_SPAWN_WIRE_H
#define DAEMON_RUN_SPAWN_WIRE_H

#include <stdbool.h>
#include <stdint.h>

#include <weir/err.h>

#include "base/buf.h"
#include "daemon/run/spawn.h"

#define WIRE_FDS 3   /**< descriptors of a spawn */
#define WIRE_HEAD 13 /**< size, kind, id */
#define WIRE_MAX                                                                                   \
    (1024 *                                                                                        \
     1024) /**< bytes of a message; the kernel's own bound for arguments is about twice that */
#define WIRE_TEXT_MAX (128 * 1024 - 1) /**< bytes of one argument: the kernel's MAX_ARG_STRLEN */

enum wire_kind {
    WIRE_SPAWN = 1,
    WIRE_SIGNAL,
    WIRE_STOP,
    WIRE_STARTED,
    WIRE_FAILED,
    WIRE_ENDED,
};

/** The fields beyond `id` belong to the kinds named; the others are zero. */
struct wire {
    enum wire_kind kind;
    uint64_t id;
    const char *program, *directory; /**< spawn */
    char *const *argv, *const *envp; /**< spawn; decoded ones are owned by the message */
    struct spawn_limits limits;      /**< spawn */
    uint64_t descriptors;            /**< spawn: soft RLIMIT_NOFILE; 0 = 1024 */
    bool confine;                    /**< spawn */
    uint32_t number;                 /**< signal; stop: ms; started: pid */
    const char *text;                /**< started: notes; failed */
    int code;                        /**< failed: negative */
    struct child_end end;            /**< ended */
};

/** Appends a message. ERR_TOO_LARGE (names what), -ENOMEM; then `out` is unchanged. */
int wire_encode(struct buf *out, const struct wire *message, struct err *err);

/** The size of the message that begins at `bytes`; 0: not known yet; ERR_INVALID. */
long wire_size(const uint8_t *bytes, size_t len);

/**
 * Decodes one whole message. Texts borrow from `bytes`; the two arrays are allocated. ERR_INVALID,
 * -ENOMEM.
 */
int wire_decode(struct wire *out, const uint8_t *bytes, size_t size);
/** Frees what decoding allocated. */
void wire_finish(struct wire *message);

#endif
