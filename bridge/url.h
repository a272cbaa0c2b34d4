/*
 * Streamer URIs and stream URLs: PROTOCOL://NODE[,NODE].../[KEY[,KEY]...]
 *
 * Unlike a general URL parser: nothing is lower-cased or resolved; %XX is decoded in paths of files.
 */
#ifndef BRIDGE_URL_H
#define BRIDGE_URL_H

#include <weir/err.h>
#include <weir/span.h>

enum ss_protocol { SS_STDIO, SS_FILE, SS_REDIS, SS_REDISS, SS_KAFKA, SS_IGGY, SS_WEIR, SS_S2, SS_OTHER };

/** A parsed stream URL. Texts are its own. */
struct ss_url {
    enum ss_protocol protocol;
    char *scheme;       /**< as written, lower case; for messages */
    char **nodes;       /**< each without "PROTOCOL://"; "." when the list was empty */
    size_t node_count;  /**< at least 1 */
    char **keys;
    size_t key_count;
};

/**
 * Parses a stream URL: scheme cut at the first "://", node list and keys at the last '/'. Keys are checked (weir and s2: any
 * name that is not empty). ERR_INVALID with the reason: no ending slash, protocol required, a bad key. An unknown protocol is
 * SS_OTHER and no error. -ENOMEM.
 */
int ss_url_parse(struct ss_url *out, const char *text, struct err *err);
/** Takes a zeroed one. */
void ss_url_finish(struct ss_url *url);

/** A copy of the URL's keys; *out is never NULL after success, and ss_keys_free takes it. -ENOMEM. */
int ss_keys_copy(char ***out, const struct ss_url *url);
/** Whether `key` is one of these. */
bool ss_keys_have(char *const *keys, size_t count, struct span key);
/** Takes NULL. */
void ss_keys_free(char **keys, size_t count);

/** The path of a file URL's first node: as written, without a '/' at its end, %XX decoded. malloc'd. ERR_INVALID, -ENOMEM. */
int ss_url_path(const struct ss_url *url, char **out, struct err *err);

/** Parts of a redis node "[USER[:PASSWORD]@]HOST[:PORT][/DB]". Texts are its own; user and password percent-decoded. */
struct ss_redis_node {
    char *user, *password; /**< or NULL; a password alone is ":PASSWORD@" */
    char *host;            /**< without the brackets of an IPv6 address */
    char port[6];          /**< default 6379 */
    unsigned db;
    bool tls;
};
/** Parses node `i`. ERR_INVALID, -ENOMEM. The password never stands in an error's text. */
int ss_url_redis(const struct ss_url *url, size_t i, struct ss_redis_node *out, struct err *err);
void ss_redis_node_finish(struct ss_redis_node *node);

#endif
