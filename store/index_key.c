/*
 * Idempotency keys, and the order of their age.
 */
#include "base/bytes.h"
#include "store/index_impl.h"
#include "store/record.h"

#define KEY_VALUE 60
#define KEY_HEAD 4
#define AGE_HEAD 8
#define KEEP_KEYS 1000000

static size_t key_bytes(uint8_t out[static INDEX_KEY_MAX], uint32_t no, struct span key)
{
    put_be32(out, no);
    memcpy(out + KEY_HEAD, key.ptr, key.len);
    return KEY_HEAD + key.len;
}

/* The key in key_age of what has `key` in keys. */
static struct span age_key(uint8_t out[static INDEX_KEY_MAX], uint64_t time_ms, struct span key)
{
    put_be64(out, time_ms);
    memcpy(out + AGE_HEAD, key.ptr, key.len);
    return span_of(out, AGE_HEAD + key.len);
}

static bool key_fits(struct span key)
{
    return key.len > 0 && key.len <= INDEX_KEY_MAX - AGE_HEAD - KEY_HEAD;
}

static bool key_get(struct index_txn *txn, struct span key, struct index_key *out)
{
    struct span value;
    if (!index_txn_get(txn, TABLE_KEYS, key, &value))
        return false;
    if (value.len != KEY_VALUE) {
        index_txn_damaged(txn, TABLE_KEYS, key, "has another length");
        return false;
    }
    const uint8_t *p = value.ptr;
    out->time_ms = get_be64(p);
    memcpy(out->digest, p + 8, DIGEST_SIZE);
    out->first = id_get(p + 40);
    out->count = get_be32(p + 56);
    return true;
}

void index_key_put(struct index_txn *txn, const struct op *op)
{
    uint8_t bytes[INDEX_KEY_MAX], age[INDEX_KEY_MAX], value[KEY_VALUE];
    struct index_key old;
    if (!key_fits(op->text)) {
        index_txn_fail(txn, ERR_DAMAGED, "operation key: a key of %zu bytes", op->text.len);
        return;
    }
    struct span key = span_of(bytes, key_bytes(bytes, op->topic_no, op->text));
    if (key_get(txn, key, &old))
        index_txn_del(txn, TABLE_KEY_AGE, age_key(age, old.time_ms, key));
    put_be64(value, op->time_ms);
    memcpy(value + 8, op->digest, DIGEST_SIZE);
    id_put(value + 40, op->id);
    put_be32(value + 56, op->count);
    index_txn_put(txn, TABLE_KEYS, key, span_of(value, sizeof value), 0);
    index_txn_put(txn, TABLE_KEY_AGE, age_key(age, op->time_ms, key), (struct span){0}, 0);
}

void index_key_sweep(struct index_txn *txn, uint64_t before_ms, uint64_t *dropped)
{
    MDB_stat stat;
    struct span found, value;
    uint8_t age[INDEX_KEY_MAX];
    if (txn->rc != 0 ||
        index_txn_note(txn, mdb_stat(txn->mdb, txn->index->dbi[TABLE_KEY_AGE], &stat), "stat") != 0)
        return;
    for (size_t left = stat.ms_entries; left > KEEP_KEYS; left--) {
        if (!index_txn_seek(txn, TABLE_KEY_AGE, (struct span){0}, 0, &found, &value) ||
            found.len <= AGE_HEAD || get_be64(found.ptr) >= before_ms)
            return;
        size_t len = found.len;
        memcpy(age, found.ptr, len);
        index_txn_del(txn, TABLE_KEY_AGE, span_of(age, len));
        if (index_txn_del(txn, TABLE_KEYS, span_of(age + AGE_HEAD, len - AGE_HEAD)))
            (*dropped)++;
    }
}

void index_key_purge(struct index_txn *txn, uint32_t no, size_t *left)
{
    uint8_t prefix[KEY_HEAD], bytes[INDEX_KEY_MAX], age[INDEX_KEY_MAX];
    struct span found, value;
    put_be32(prefix, no);
    for (; *left > 0; --*left) {
        if (!index_txn_seek(txn, TABLE_KEYS, span_of(prefix, KEY_HEAD), KEY_HEAD, &found, &value))
            return;
        if (value.len != KEY_VALUE || found.len > INDEX_KEY_MAX - AGE_HEAD) {
            index_txn_damaged(txn, TABLE_KEYS, found, "has another length");
            return;
        }
        uint64_t time_ms = get_be64(value.ptr);
        struct span key = span_of(bytes, found.len);
        memcpy(bytes, found.ptr, found.len);
        index_txn_del(txn, TABLE_KEYS, key);
        index_txn_del(txn, TABLE_KEY_AGE, age_key(age, time_ms, key));
    }
}

int index_key(struct index_snap *snap, uint32_t topic_no, struct span key, struct index_key *out,
              struct err *err)
{
    struct index_txn txn = index_snap_txn(snap, err);
    uint8_t bytes[INDEX_KEY_MAX];
    if (key_fits(key) && key_get(&txn, span_of(bytes, key_bytes(bytes, topic_no, key)), out))
        return 0;
    return index_txn_fail(&txn, ERR_NOT_FOUND, "no such idempotency key");
}
