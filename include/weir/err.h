/*
 * Errors: one set of codes for every room, and a caller-owned text that says what went wrong.
 *
 * A function that can fail returns 0 or a negative code: `-errno` for what the system said, an
 * `ERR_...` below -1000 for what weir itself says. Results go through `out` parameters, which stay
 * untouched on failure. A `struct err *` may be NULL everywhere.
 */
#ifndef WEIR_ERR_H
#define WEIR_ERR_H

/** Codes of our own. One switch each maps them to an HTTP status (daemon) and an exit status (cmd). */
enum err_code {
    ERR_INVALID = -1001,     /**< the caller's input is malformed (400, exit 1; usage faults exit 2) */
    ERR_NOT_FOUND = -1002,   /**< no such frame, content or topic (404) */
    ERR_TOO_LARGE = -1003,   /**< over a stated limit (413) */
    ERR_CONFLICT = -1004,    /**< another value stands there: same id other bytes, key reused (409) */
    ERR_CONDITION = -1005,   /**< an append condition does not hold (412) */
    ERR_FORBIDDEN = -1006,   /**< not allowed for this caller (403) */
    ERR_RANGE = -1007,       /**< a byte range or position outside (416) */
    ERR_DAMAGED = -1008,     /**< stored bytes do not fit their checksum or name (500) */
    ERR_FULL = -1009,        /**< no room: disk or quota (507) */
    ERR_UNAVAILABLE = -1010, /**< refuses for now: read-only after a sync error, shutting down (503) */
    ERR_UNKNOWN = -1011,     /**< outcome unknown: may or may not have happened (500) */
    ERR_LOCKED = -1012,      /**< another process owns the store */
    ERR_FORMAT = -1013,      /**< made by a newer weir, or not a weir store */
    ERR_END = -1014,         /**< nothing more: end of an iteration; never shown to users */
    ERR_CUT = -1015,         /**< the stream ended before its proper end (client) */
    ERR_AUTH = -1017,        /**< no valid credentials (401) */
    ERR_REMOTE = -1016,      /**< the other side answered with an error; text is its text (client) */
};

#define ERR_TEXT_SIZE 256

/** What went wrong, for people. Never allocates. Owned by the caller; valid until set again. */
struct err {
    int code;                 /**< 0 or the negative code that was returned */
    char text[ERR_TEXT_SIZE]; /**< one line, no newline, NUL-terminated; names the fault and the remedy */
};

#define ERR_INIT ((struct err){0})

/**
 * Sets code and text (printf form; cut at ERR_TEXT_SIZE). Returns `code`, so that one can write
 * `return err_set(err, ERR_INVALID, "...")`. With err NULL only returns the code.
 */
int err_set(struct err *err, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/**
 * Sets code -errnum and text "WHAT: strerror". `errnum` is a positive errno. Returns -errnum.
 */
int err_sys(struct err *err, int errnum, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/**
 * Puts "PREFIX: " before the text that is there. For context known only further up; keeps the code.
 */
void err_prefix(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/** A short general text for a code: "not found", or strerror for an errno. Static storage. */
const char *err_code_text(int code);

#endif
