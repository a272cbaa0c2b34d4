#include "daemon/held.h"

#include <errno.h>

#include "base/bytes.h"

#define ENTRY (8 + DIGEST_SIZE)

void held_init(struct held_pins *pins, struct cas *cas)
{
    *pins = (struct held_pins){.cas = cas};
    pthread_mutex_init(&pins->lock, NULL);
}

void held_finish(struct held_pins *pins)
{
    held_indexed(pins, UINT64_MAX);
    buf_finish(&pins->held);
    pthread_mutex_destroy(&pins->lock);
}

int held_keep(struct held_pins *pins, uint64_t number, const uint8_t digest[static DIGEST_SIZE])
{
    uint8_t entry[ENTRY];
    put_be64(entry, number);
    memcpy(entry + 8, digest, DIGEST_SIZE);
    pthread_mutex_lock(&pins->lock);
    int rc = buf_add(&pins->held, entry, sizeof(entry));
    pthread_mutex_unlock(&pins->lock);
    return rc;
}

void held_indexed(struct held_pins *pins, uint64_t number)
{
    pthread_mutex_lock(&pins->lock);
    size_t kept = 0;
    for (size_t at = 0; at < pins->held.len; at += ENTRY) {
        uint8_t *entry = pins->held.ptr + at;
        if (get_be64(entry) <= number) {
            cas_unpin(pins->cas, entry + 8);
        } else {
            memmove(pins->held.ptr + kept, entry, ENTRY);
            kept += ENTRY;
        }
    }
    pins->held.len = kept;
    pthread_mutex_unlock(&pins->lock);
}

int held_remove_unnamed(struct held_pins *pins, struct store *store,
                        const uint8_t digest[static DIGEST_SIZE], struct err *err)
{
    return held_remove_uncounted(pins, store, digest, NULL, NULL, err);
}

int held_remove_uncounted(struct held_pins *pins, struct store *store,
                          const uint8_t digest[static DIGEST_SIZE],
                          bool (*counts)(void *arg, const struct frame *frame), void *arg,
                          struct err *err)
{
    pthread_mutex_lock(&pins->lock);
    int rc = store_names(store, digest, counts, arg, err);
    if (rc == ERR_NOT_FOUND)
        rc = cas_remove(pins->cas, digest, err);
    pthread_mutex_unlock(&pins->lock);
    return rc == -EBUSY ? 0 : rc;
}
