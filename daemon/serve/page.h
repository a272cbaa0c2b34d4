/*
 * The live page: what a person sees on a public listener while nobody would answer there. It shows the store's frames as they come.
 *
 * Only on a loopback address over TCP, and only to a browser that came by the one-time URL that was written to standard error: the URL's key is
 * used up and becomes a cookie, good as long as the daemon runs. Everybody else gets 503 without a byte of body.
 *
 *   /            the page; /_weir/page.css, /_weir/page.js   its parts
 *   /_weir/events   text/event-stream: the newest 100 frames, `event: live`, then frames as they come
 *   /_weir/cas/HASH the first 64 KiB of a content; header weir-size: how long it is
 *
 * Loop thread.
 */
#ifndef DAEMON_SERVE_PAGE_H
#define DAEMON_SERVE_PAGE_H

#include "daemon/serve/visit.h"

/** Makes a listener's key, where it may show the page, and tells the URL. -errno. */
int page_open(struct way *way, struct err *err);
/** Answers a request that nobody else would. */
void page_begin(struct way *way, struct http_req *req);

/** A part of the page, held in the program. */
struct page_asset {
    const char *path;
    const char *type;
    const uint8_t *begin, *end;
};
/** By its path; NULL. */
const struct page_asset *page_asset(struct span path);

/* --- page_view.c --- */

/** Answers with the stream of frames. */
void page_events(struct way *way, struct http_req *req, const struct http_field *fields);
/** Answers with the beginning of a content; `hash` is percent-encoded. */
void page_content(struct way *way, struct http_req *req, struct span hash,
                  const struct http_field *fields);

#endif
