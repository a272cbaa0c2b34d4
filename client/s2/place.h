/*
 * Where an endpoint is.
 */
#ifndef CLIENT_S2_PLACE_H
#define CLIENT_S2_PLACE_H

#include <weir/client.h>
#include <weir/err.h>

struct s2c_place {
    struct weir_addr addr; /**< its host may hold {basin} */
    bool tls;
    bool templated; /**< {basin} stands in the host */
    char *path;     /**< "/v1", without a slash at its end */
};

/** Parses the forms of struct weir_s2_options. ERR_INVALID, -ENOMEM. */
int s2c_place_parse(struct s2c_place *out, const char *text, struct err *err);
/** With the basin's name in its host. `basin` may be NULL where it is not templated. ERR_INVALID,
 * -ENOMEM. */
int s2c_place_for(struct s2c_place *out, const struct s2c_place *place, const char *basin,
                  struct err *err);
bool s2c_place_same(const struct s2c_place *a, const struct s2c_place *b);
void s2c_place_finish(struct s2c_place *place);

#endif
