/*
 * What the control plane's requests and answers have in common: JSON bodies, infos, pages of lists.
 *
 * Thread rule: the loop thread.
 */
#ifndef DAEMON_S2_INFO_H
#define DAEMON_S2_INFO_H

#include "daemon/s2/basins.h"

#define S2_LOCATION "weir:local" /**< the one place there is */
#define S2_PAGE_MAX 1000

/**
 * The body as JSON; *out is empty where it is absent and need not be there. False: answered (bad_json: no JSON content-type, or
 * too long).
 */
bool s2_json_body(struct s2_request *s, bool needed, struct span *out);
/** Header s2-request-token, copied; *len 0 = none. False: answered (bad_header). While x.req is there. */
bool s2_request_token(struct s2_request *s, char out[static S2_TOKEN_MAX + 1], size_t *len);
/** Answers 200 with JSON. */
void s2_reply_json(struct s2_request *s, struct span json);
/** Answers with an info: 201 or 200 and s2-provision-result. `create`: a repeat is 201, too. */
void s2_reply_provision(struct s2_request *s, enum provision provision, bool create, struct span json);

/** "2026-01-02T03:04:05.678Z", with quotes; 0 is null. */
int s2_put_time(struct buf *out, uint64_t ms);
/** BasinInfo. */
int s2_put_basin(struct buf *out, const struct basin_info *info);

/** The part of a list that is asked for. */
struct s2_page {
    char prefix_room[S2_STREAM_MAX + 1], after_room[S2_STREAM_MAX + 1];
    struct span prefix, after;
    uint64_t limit; /**< 1 to S2_PAGE_MAX */
};
/** Reads prefix, start_after and limit; `check` is the rule of both texts. False: answered (bad_query). */
bool s2_page_read(struct s2_request *s, struct s2_page *page, int (*check)(struct span text, struct err *err));

#endif
