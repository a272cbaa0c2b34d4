/*
 * Inside HTTP through frames: one request on its way to a frame and back, and what all of them share.
 *
 *   head -> body -> (submitted) -> waiting -> claimed by the first http.response -> over
 *
 * A visit lives as long as its request, and longer while an operation or a job started for it still holds it. `waiting` lists those
 * that were submitted and are not claimed, oldest first: the list keeps the deadline and what the store must not forget.
 */
#ifndef DAEMON_SERVE_VISIT_H
#define DAEMON_SERVE_VISIT_H

#include "daemon/emit.h"
#include "daemon/pump.h"
#include "daemon/serve/blob.h"
#include "daemon/serve/serve.h"
#include "daemon/upload.h"

#define VISIT_QUEUE_MAX (4u * 1024 * 1024)       /**< bytes of an answer that its client has not taken */
#define VISIT_QUEUE_HELD (1u * 1024 * 1024)      /**< above it the program that answers is held back */
#define VISIT_HELD_MS 10000                      /**< and then the client has so long to take half of that */
#define VISIT_QUEUES_MAX (32u * 1024 * 1024)     /**< of all */

struct way;

/** Who handles a request: set as the request's state, first member of the handler's struct. */
struct caller {
    size_t (*body)(struct caller *caller, struct span bytes);
    void (*end)(struct caller *caller);
    void (*gone)(struct caller *caller, bool complete);
};

struct visit_list {
    struct visit *first, *last;
};

struct serve {
    struct site *site;
    bool durable, ending, destroyed;
    uint64_t timeout_ms, body_max;
    size_t request_max;
    size_t open;   /* visits whose request is there */
    size_t queued; /* bytes in all their queues */
    size_t holds;  /* of this struct: visits, pages, handles, and its owner */
    struct visit **buckets; /* by id of the request's frame */
    size_t bucket_mask;
    struct visit_list waiting;
    struct visit_list holding; /* those that hold their program back */
    uv_timer_t patience;       /* with the oldest of holding */
    struct store_hold kept; /* from the oldest of waiting on */
    bool keeping;
    struct store_hold unread; /* while answers are streamed: from the newest looked at on, so that none is lost */
    bool streaming;           /* it is held */
    struct pump *responses;
    struct frame_id seen; /* the newest response */
    struct emit *emit;
    uv_timer_t clock; /* the oldest's deadline */
    struct way *ways;
    size_t way_count;
};

#define WAY_SECRET 32 /* hexadecimal digits: 128 bits */

/** A public listener. */
struct way {
    struct http_door door; /* its arg is this */
    struct serve *serve;
    struct listener *listener;
    bool page;                   /* it may show the live page: loopback over TCP */
    char key[WAY_SECRET + 1];    /* of the page's URL; empty once it was used */
    char cookie[WAY_SECRET + 1]; /* what the browser that used it shows from then on */
};

/** One piece of an answer that its client has not taken yet. */
struct part {
    struct part *next;
    bool blob;
    bool ephemeral; /* a blob that is removed when it is sent */
    uint8_t digest[DIGEST_SIZE];
    struct frame_id id; /* of its frame */
    size_t len, at;
    uint8_t bytes[];
};

struct visit {
    struct caller caller;
    struct serve *serve;
    struct http_req *req; /* NULL once the request is over */
    unsigned holds;
    bool answered;

    struct buf meta;
    struct upload upload;
    struct store_frame frame;
    struct submission submission;
    bool pinned;  /* the content's blob, by us: until the frame is submitted, an ephemeral one's to the end */
    bool listed;  /* in waiting */
    bool known;   /* the frame is there; id is valid */
    bool in_table;
    struct frame_id id, floor; /* floor: not above the frame's id */
    uint64_t deadline_ms;      /* loop time */
    struct visit *prev, *next; /* of waiting, then of holding */
    struct visit *chain;       /* of the bucket */

    bool claimed, ended; /* ended: no more frames of this answer */
    uint64_t claim;
    char *program;           /* its origin text; NULL: it is none */
    bool holding;            /* its program back, */
    struct frame_id program_id; /* of this definition */
    uint64_t patience_ms;    /* until then; loop time */
    struct part *parts, **parts_end;
    struct frame_id pushed; /* the newest frame that became a part */
    size_t queued;
    bool sending_blob;
    struct blob blob;
    struct part *left; /* the blob that was being sent when the visit was over */
};

/* --- visit.c --- */

/** A request's head is there. Answers it, or makes a visit of it. */
void visit_begin(struct serve *serve, struct http_req *req);
/** Answers with {"error":NAME,"message":TEXT}; nothing when that is no longer possible. The program is told. */
void visit_fail(struct visit *visit, int status, const char *name, const char *text);
/** Takes it out of waiting: claimed, or over. */
void visit_unlist(struct visit *visit);
struct visit *visit_find(struct serve *serve, struct frame_id id);
void visit_drop(struct visit *visit);
/** Ends all: unanswered ones get 503, the others are cut. */
void visit_end_all(struct serve *serve);

/* --- response.c --- */

/** A frame of the topic http.response. As pump_options.frame; its arg is the serve. */
bool response_frame(void *arg, const struct frame *frame);
/** The visit is over: gives up what its answer holds. May keep it held for a while. */
void response_stop(struct visit *visit);
/** Nothing uses the visit any more: frees what response_stop left. */
void response_finish(struct visit *visit);

/** Cuts the client's connection; the log says why. */
void response_cut(struct visit *visit, const char *why);

/* --- brake.c --- */

/** The answer's first frame is there: whose program it is. */
void brake_claim(struct visit *visit, const struct frame *frame);
/** Its queue grew or shrank: holds the program back, or lets it go on. */
void brake_look(struct visit *visit);
/** The visit is over. */
void brake_release(struct visit *visit);
/** patience ran out. */
void brake_tick(uv_timer_t *timer);

/* --- serve.c --- */

void serve_hold(struct serve *serve);
void serve_drop(struct serve *serve);

#endif
