/*
 * The 128 bytes at the front of an .ss file.
 *
 *   0 "Ss" · 2 version 01 · 3 n · 4 name (n) · 4+n created, ms (8) · 12+n interval (4) · zero · 127 0D
 */
#include "base/bytes.h"
#include "base/utf8.h"

#include "bridge/ss_parts.h"

#define VERSION 1
#define NAME_AT 4

size_t ss_header_name(struct ss_header *h, struct span name)
{
    size_t at = 0;
    h->name_len = 0;
    while (at < name.len) {
        size_t len = utf8_length(name.ptr + at, name.len - at), some = len > 0 ? len : 1;
        if (h->name_len + some > SS_NAME_MAX)
            break;
        if (len > 0)
            memcpy(h->name + h->name_len, name.ptr + at, len);
        else
            h->name[h->name_len] = '_';
        h->name_len += some;
        at += some;
    }
    h->name[h->name_len] = '\0';
    return h->name_len;
}

void ss_header_write(uint8_t out[static SS_HEADER_SIZE], const struct ss_header *h)
{
    size_t len = h->name_len < SS_NAME_MAX ? h->name_len : SS_NAME_MAX;
    memset(out, 0, SS_HEADER_SIZE);
    out[0] = 'S';
    out[1] = 's';
    out[2] = VERSION;
    out[3] = (uint8_t)len;
    memcpy(out + NAME_AT, h->name, len);
    put_be64(out + NAME_AT + len, h->created_ms);
    put_be32(out + NAME_AT + len + 8, h->interval);
    out[SS_HEADER_SIZE - 1] = SS_MARK;
}

static int check(struct span bytes, struct err *err)
{
    if (bytes.len >= 2 && memcmp(bytes.ptr, "Ss", 2) != 0)
        return err_set(err, ERR_FORMAT, "byte mark mismatch: no .ss file");
    if (bytes.len >= 3 && bytes.ptr[2] != VERSION)
        return err_set(err, ERR_FORMAT, "version mismatch: %u, known is %u", bytes.ptr[2], VERSION);
    if (bytes.len < SS_HEADER_SIZE)
        return err_set(err, ERR_FORMAT, "not enough bytes: a header has %u, here are %zu", SS_HEADER_SIZE, bytes.len);
    if (bytes.ptr[3] > SS_NAME_MAX)
        return err_set(err, ERR_FORMAT, "the name in the header has %u bytes, at most %u fit", bytes.ptr[3],
                       SS_NAME_MAX);
    if (!utf8_valid(span_of(bytes.ptr + NAME_AT, bytes.ptr[3])))
        return err_set(err, ERR_FORMAT, "the name in the header is not UTF-8");
    return 0;
}

int ss_header_read(struct ss_header *out, struct span bytes, struct err *err)
{
    int rc = check(bytes, err);
    if (rc < 0)
        return rc;
    size_t len = bytes.ptr[3];
    const uint8_t *behind = bytes.ptr + NAME_AT + len;
    uint32_t interval = get_be32(behind + 8);
    if (interval < SS_INTERVAL_MIN)
        return err_set(err, ERR_FORMAT, "a beacon interval of %u; the least is %u", interval, SS_INTERVAL_MIN);
    rc = ss_check_time(get_be64(behind), 0, err);
    if (rc < 0)
        return rc;
    memcpy(out->name, bytes.ptr + NAME_AT, len);
    out->name[len] = '\0';
    out->name_len = len;
    out->created_ms = get_be64(behind);
    out->interval = interval;
    return 0;
}
