/*
 * Tokens as JSON: as the S2 API has them, and as the root store keeps them.
 *
 *   {"id":..,"scope":{"basins":{"exact":..}|{"prefix":..}|null,"streams":..,"access_tokens":..,"op_groups":{..}|null,"ops":[..]},
 *    "auto_prefix_streams":bool,"expires_at":RFC 3339|null}
 *
 * Thread rule: any; everything belongs to the caller.
 */
#ifndef DAEMON_AUTH_TOKEN_JSON_H
#define DAEMON_AUTH_TOKEN_JSON_H

#include "daemon/auth/auth.h"
#include "daemon/auth/grant.h"

/**
 * Reads what a token is asked to be; texts are decoded into `room` (empty at first), which must stay. exec: the operation of that name is
 * known. Members that are not known are passed over. ERR_FORMAT for what is no such JSON, also for a bad id, name or time; -ENOMEM.
 */
int token_read(struct auth_token *out, struct span json, struct buf *room, bool exec, struct err *err);
/** Appends it; without exec that operation is left out. -ENOMEM. */
int token_put(struct buf *out, const struct auth_token *token, bool exec);

/** Appends what the store keeps of a token. -ENOMEM. */
int token_record_put(struct buf *out, const struct grant *grant);
/** A grant from that; the hash is the token's. ERR_DAMAGED, -ENOMEM. */
int token_record_read(struct grant **out, struct span record, struct err *err);

#endif
