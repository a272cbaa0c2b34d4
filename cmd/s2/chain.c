#include "cmd/s2/chain.h"

#include "base/bytes.h"

/* Every bit of eight bytes changes what comes after; not meant against anybody. */
static uint64_t mix(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * 0xff51afd7ed558ccdu;
    return hash ^ (hash >> 32);
}

static uint64_t hash_of(uint64_t hash, const uint8_t *bytes, size_t len)
{
    uint64_t word;
    size_t at = 0;
    for (; at + 8 <= len; at += 8) {
        memcpy(&word, bytes + at, 8);
        hash = mix(hash, word);
    }
    for (; at < len; at++)
        hash = mix(hash, bytes[at]);
    return mix(hash, len);
}

static uint64_t next_number(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

void chain_make(struct chain *c, uint8_t *body, size_t len, uint64_t now_us)
{
    put_be64(body, c->hash);
    put_be64(body + 8, now_us);
    for (size_t at = CHAIN_HEAD; at < len; at += 8) {
        uint64_t n = next_number(&c->state);
        memcpy(body + at, &n, len - at < 8 ? len - at : 8);
    }
    c->hash = hash_of(c->hash, body, len);
    c->records++;
}

uint64_t chain_check(struct chain *c, struct span body)
{
    if (body.len < CHAIN_HEAD || get_be64(body.ptr) != c->hash) {
        c->broken = true;
        return 0;
    }
    c->hash = hash_of(c->hash, body.ptr, body.len);
    c->records++;
    return get_be64(body.ptr + 8);
}
