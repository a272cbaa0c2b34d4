/*
 * Beacons: what stands at every multiple of the interval.
 */
#include <inttypes.h>

#include "base/bytes.h"

#include "bridge/ss_parts.h"

/* Room that an item may take at most, with a key and a half more than any has; real writers reckon so. */
#define ITEM_ROOM 282

unsigned ss_beacon_max(uint32_t interval)
{
    if (interval < SS_BEACON_EMPTY)
        return 0;
    uint32_t fit = (interval - SS_BEACON_EMPTY) / ITEM_ROOM;
    return (fit < SS_BEACON_ITEMS ? fit : SS_BEACON_ITEMS) / 2;
}

int ss_check_key(struct span key, uint64_t offset, struct err *err)
{
    if (ss_key_check(key, err) == 0)
        return 0;
    if (err)
        err->code = ERR_FORMAT;
    err_prefix(err, "offset %" PRIu64 ": a bad key", offset);
    return ERR_FORMAT;
}

int ss_check_time(uint64_t ms, uint64_t offset, struct err *err)
{
    if (ms <= SS_TIME_MAX)
        return 0;
    return err_set(err, ERR_FORMAT, "offset %" PRIu64 ": a timestamp of %" PRIu64 " ms is behind the year 9999", offset,
                   ms);
}

static void take_item(struct ss_item *item, const uint8_t *p)
{
    size_t len = p[0];
    const uint8_t *behind = p + 1 + len;
    item->key_len = (uint8_t)len;
    memcpy(item->key, p + 1, len);
    item->shard = get_be64(behind);
    item->seq = get_be64(behind + 8);
    item->time_ms = get_be64(behind + 16);
    item->running = get_be16(behind + 24);
}

/* One item at `at`: its size; with SS_MORE, when it goes on behind `bytes`, what it has at least. */
static int walk_item(struct span bytes, size_t at, struct ss_item *item, size_t *size, struct err *err)
{
    *size = SS_ITEM_FIXED + 1;
    if (at >= bytes.len)
        return SS_MORE;
    const uint8_t *p = bytes.ptr + at;
    size_t len = p[0];
    if (len == 0 || len > SS_KEY_MAX)
        return err_set(err, ERR_FORMAT, "a key of %zu bytes in a beacon", len);
    *size = SS_ITEM_FIXED + len;
    if (bytes.len - at < *size)
        return SS_MORE;
    int rc = ss_key_check(span_of(p + 1, len), err);
    if (rc < 0)
        return err_set(err, ERR_FORMAT, "a bad key in a beacon");
    if (get_be64(p + 1 + len + 16) > SS_TIME_MAX)
        return err_set(err, ERR_FORMAT, "a timestamp behind the year 9999 in a beacon");
    if (item)
        take_item(item, p);
    return 0;
}

/* What the rest takes at least when `left` items are to come behind `at`. */
static int more(size_t at, size_t left, size_t *size)
{
    *size = at + left * (SS_ITEM_FIXED + 1) + 1;
    return SS_MORE;
}

static int walk_items(struct span bytes, struct ss_beacon *out, size_t *size, struct err *err)
{
    size_t count = bytes.ptr[5], at = SS_BEACON_HEAD;
    for (size_t i = 0; i < count; i++) {
        size_t item;
        int rc = walk_item(bytes, at, out ? &out->items[i] : NULL, &item, err);
        if (rc < 0)
            return rc;
        at += item;
        if (rc == SS_MORE)
            return more(at, count - i - 1, size);
    }
    if (at >= bytes.len)
        return more(at, 0, size);
    if (bytes.ptr[at] != SS_MARK)
        return err_set(err, ERR_FORMAT, "a beacon does not end with 0D");
    *size = at + 1;
    return 0;
}

int ss_beacon_walk(struct span bytes, uint32_t interval, struct ss_beacon *out, size_t *size, struct err *err)
{
    if (bytes.len > 0 && bytes.ptr[0] != SS_MARK)
        return err_set(err, ERR_FORMAT, "a beacon is due, but 0D does not stand there");
    if (bytes.len < SS_BEACON_HEAD)
        return more(SS_BEACON_HEAD, 0, size);
    int rc = walk_items(bytes, out, size, err);
    if (rc >= 0 && interval > 0 && *size >= interval)
        return err_set(err, ERR_FORMAT, "a beacon of %zu bytes fills its interval of %u", *size, interval);
    if (rc == 0 && out) {
        out->remaining = get_be32(bytes.ptr + 1);
        out->count = bytes.ptr[5];
        out->size = *size;
    }
    return rc;
}

int ss_beacon_read(struct ss_beacon *out, struct span bytes, struct err *err)
{
    size_t size;
    return ss_beacon_walk(bytes, 0, out, &size, err);
}

int ss_beacon_size(struct span bytes, size_t *size, struct err *err)
{
    size_t found = 0;
    int rc = ss_beacon_walk(bytes, 0, NULL, &found, err);
    if (rc == 0)
        *size = found;
    return rc;
}
