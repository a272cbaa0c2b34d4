/*
 * weird's command line.
 */
#ifndef DAEMON_OPTIONS_H
#define DAEMON_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#define OPTIONS_EXPOSE_MAX 16
#define OPTIONS_HTTP_MAX 4

struct options {
    const char *path; /**< the store's directory */
    const char *expose[OPTIONS_EXPOSE_MAX];
    unsigned expose_count;
    const char *http[OPTIONS_HTTP_MAX + 1]; /**< where HTTP goes through frames; NULL-terminated */
    unsigned http_count;
    bool http_durable;
    unsigned http_timeout_s; /**< 0 = the default */
    uint64_t http_body_max;  /**< bytes; 0 = the default */
    const char *host;
    const char *cors;
    unsigned idle_exit_s;    /**< 0 = never */
    unsigned idle_timeout_s; /**< 0 = the default */
    unsigned store_idle_s;   /**< an attached store that nobody uses is closed after so long */
    const char *log;         /**< NULL = standard error */
    int ready_fd;            /**< -1 = none */
    int supervisor_fd; /**< -1 = none; else we are to supervise programs for the daemon at its other
                          end */
    bool verify;
    bool repair;
};

/** What parsing came to: go on, or end with status 0 or 2 (its text is written). */
enum options_result { OPTIONS_RUN, OPTIONS_END, OPTIONS_USAGE };

/** Texts borrow from argv. */
enum options_result options_parse(struct options *out, int argc, char **argv);

#endif
