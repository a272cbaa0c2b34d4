/*
 * weird's command line.
 */
#ifndef DAEMON_OPTIONS_H
#define DAEMON_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#define OPTIONS_EXPOSE_MAX 16
#define OPTIONS_HTTP_MAX 4
#define OPTIONS_BASIN "weir-root" /**< the basin's name where --basin gives none */

struct init_file;

struct options {
    const char *path; /**< the store's directory; with memory it may be NULL, and is a link to be made */
    const char *basin;     /**< the store's name as a basin; NULL = the default */
    const char *init_path; /**< a file of basins and streams to have; NULL = none */
    const struct init_file *init; /**< what is in it: set by main */
    const char *expose[OPTIONS_EXPOSE_MAX];
    unsigned expose_count;
    const char *http[OPTIONS_HTTP_MAX + 1]; /**< where HTTP goes through frames; NULL-terminated */
    unsigned http_count;
    bool http_durable;
    unsigned http_timeout_s; /**< 0 = the default */
    uint64_t http_body_max;  /**< bytes; 0 = the default */
    const char *host;
    const char *cors;
    const char *tls_cert, *tls_key; /**< files; both or neither */
    bool tls_self;                  /**< a certificate of our own making */
    bool plain;                     /**< exposed beyond loopback without TLS */
    bool require_token;      /**< requests over TCP need an access token also on loopback, root token or not */
    unsigned idle_exit_s;    /**< 0 = never */
    unsigned idle_timeout_s; /**< 0 = the default */
    uint64_t append_inflight; /**< bytes of S2 appends that are not durable yet; 0 = the default */
    unsigned store_idle_s;   /**< an attached store that nobody uses is closed after so long */
    const char *log;         /**< NULL = standard error */
    int ready_fd;            /**< -1 = none */
    int supervisor_fd; /**< -1 = none; else we are to supervise programs for the daemon at its other
                          end */
    bool memory; /**< the store ends with its daemon */
    bool verify;
    bool repair;
};

/** What parsing came to: go on, or end with status 0 or 2 (its text is written). */
enum options_result { OPTIONS_RUN, OPTIONS_END, OPTIONS_USAGE };

/** Whether addresses that are not loopback may be exposed. */
static inline bool options_anywhere(const struct options *o)
{
    return o->tls_cert || o->tls_self || o->plain;
}

/** Texts borrow from argv. */
enum options_result options_parse(struct options *out, int argc, char **argv);

#endif
