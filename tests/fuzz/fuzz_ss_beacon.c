/*
 * Any bytes as a beacon: its size is the same with and without items, the bytes before decide nothing that the rest decides
 * otherwise, and no item has a key that is none. The same bytes as a header.
 */
#include <stdlib.h>

#include "bridge/ss.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

static void try_prefixes(struct span whole, int rc, size_t beacon)
{
    for (size_t len = 0; len < whole.len && len < 600; len++) {
        size_t size = 0;
        uint8_t *part = malloc(len ? len : 1);
        must(part != NULL);
        memcpy(part, whole.ptr, len);
        int early = ss_beacon_size(span_of(part, len), &size, NULL);
        must(early == SS_MORE || early == rc);
        must(early != 0 || (size == beacon && len >= size));
        free(part);
    }
}

static void try_beacon(struct span bytes)
{
    static struct ss_beacon beacon;
    struct err err = ERR_INIT;
    size_t size = 0;
    int rc = ss_beacon_read(&beacon, bytes, &err);
    must(rc == ss_beacon_size(bytes, &size, NULL));
    must(rc == 0 || rc == SS_MORE || (rc == ERR_FORMAT && err.text[0] != '\0'));
    if (rc == 0) {
        must(size == beacon.size && size <= bytes.len && beacon.count <= SS_BEACON_ITEMS);
        for (size_t i = 0; i < beacon.count; i++) {
            const struct ss_item *item = &beacon.items[i];
            must(ss_key_check(span_of(item->key, item->key_len), NULL) == 0 && item->time_ms <= SS_TIME_MAX);
        }
    }
    try_prefixes(bytes, rc, size);
}

static void try_header(struct span bytes)
{
    struct ss_header h, again;
    struct err err = ERR_INIT;
    uint8_t out[SS_HEADER_SIZE];
    int rc = ss_header_read(&h, bytes, &err);
    must(rc == 0 || (rc == ERR_FORMAT && err.text[0] != '\0'));
    if (rc == 0) {
        ss_header_write(out, &h);
        must(ss_header_read(&again, span_of(out, sizeof out), NULL) == 0);
        must(again.interval == h.interval && again.created_ms == h.created_ms && again.name_len == h.name_len);
        must(memcmp(again.name, h.name, h.name_len + 1) == 0);
    }
    must(ss_header_name(&h, bytes) <= SS_NAME_MAX);
    h.interval = SS_INTERVAL_MIN;
    h.created_ms = 0;
    ss_header_write(out, &h);
    must(ss_header_read(&again, span_of(out, sizeof out), NULL) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    try_beacon(span_of(data, size));
    try_header(span_of(data, size));
    return 0;
}
