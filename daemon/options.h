/*
 * weird's command line.
 */
#ifndef DAEMON_OPTIONS_H
#define DAEMON_OPTIONS_H

#include <stdbool.h>

#define OPTIONS_EXPOSE_MAX 16

struct options {
    const char *path; /**< the store's directory */
    const char *expose[OPTIONS_EXPOSE_MAX];
    unsigned expose_count;
    const char *host;
    const char *cors;
    unsigned idle_exit_s;    /**< 0 = never */
    unsigned idle_timeout_s; /**< 0 = the default */
    const char *log;         /**< NULL = standard error */
    int ready_fd;            /**< -1 = none */
    bool verify;
    bool repair;
};

/** What parsing came to: go on, or end with status 0 or 2 (its text is written). */
enum options_result { OPTIONS_RUN, OPTIONS_END, OPTIONS_USAGE };

/** Texts borrow from argv. */
enum options_result options_parse(struct options *out, int argc, char **argv);

#endif
