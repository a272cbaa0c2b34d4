/*
 * What all parts of the client know of the endpoint they were opened with.
 */
#ifndef CLIENT_S2_HANDLE_H
#define CLIENT_S2_HANDLE_H

#include <weir/s2.h>

#include "base/s2/coding.h"
#include "client/s2/fault.h"
#include "client/s2/place.h"

/** The options, checked; does not change after weir_s2_open. */
struct s2c_settings {
    char *token, *encryption_key, *stream_config, *ca_file;
    bool insecure;
    enum coding coding;
    unsigned connect_ms, request_ms, ack_ms, silence_ms;
    unsigned attempts, backoff_ms, backoff_max_ms;
    enum weir_s2_retry retry;
};

struct s2c_conn;

/** A connection that is kept between requests, and where it leads. */
struct s2c_kept {
    struct s2c_conn *conn;
    struct s2c_place place;
};

struct weir_s2 {
    struct s2c_settings set;
    struct s2c_place account, basin;
    struct s2c_kept kept;
};

/** Where requests about that basin go (NULL: the account's). The caller finishes *out. */
int s2c_handle_place(const struct weir_s2 *s2, const char *basin, struct s2c_place *out,
                     struct weir_s2_err *err);

#endif
