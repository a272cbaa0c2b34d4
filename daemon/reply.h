/*
 * Errors as answers: a code's HTTP status and its JSON body.
 */
#ifndef DAEMON_REPLY_H
#define DAEMON_REPLY_H

#include "base/buf.h"
#include "daemon/http/http.h"

/** HTTP status of an error code. */
int reply_status(int code);
/** Its name in the JSON body: "invalid", "conflict" ... */
const char *reply_code_name(int code);

/**
 * Answers with an error: {"error":CODE,"message":TEXT EXTRA} where extra is further JSON members,
 * each with a comma in front, or NULL. A 404 has no body.
 */
void reply_err(struct http_req *req, int code, const struct err *err, const char *extra);
/** The same under another name than the code's. */
void reply_named(struct http_req *req, int code, const char *name, const struct err *err,
                 const char *extra);
/** 404, 405 (with Allow): no body but 405's. */
void reply_not_found(struct http_req *req);
void reply_not_allowed(struct http_req *req, const char *allow);
/** 200 with a JSON text. */
void reply_json(struct http_req *req, struct span body);

#endif
