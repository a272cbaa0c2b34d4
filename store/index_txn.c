/*
 * Transactions over LMDB, and the seal of every value.
 */
#include "store/index_txn.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/bytes.h"
#include "store/index_impl.h"

/* A short write on a full disk reaches us as EIO. Less than this free is a full disk. */
#define FULL_BELOW (1u << 20)

const char *index_table_name(enum index_table table)
{
    static const char *const names[TABLES] = {
        [TABLE_META] = "meta",       [TABLE_FRAMES] = "frames",     [TABLE_TOPICS] = "topics",
        [TABLE_NAMES] = "names",     [TABLE_BY_TOPIC] = "by_topic", [TABLE_OLD] = "old",
        [TABLE_CONTENT] = "content", [TABLE_LOOSE] = "loose",       [TABLE_EXPIRY] = "expiry",
        [TABLE_KEYS] = "keys",       [TABLE_KEY_AGE] = "key_age",   [TABLE_MARKS] = "marks",
        [TABLE_ACKED] = "acked",     [TABLE_MARK_ROWS] = "mark_rows",
        [TABLE_PURGE] = "purge",
    };
    return names[table];
}

/* --- seal ------------------------------------------------------------------------------------- */

static uint64_t seal_of(enum index_table table, struct span key, const uint8_t *value, size_t len)
{
    return XXH3_64bits_withSeed(value, len, XXH3_64bits_withSeed(key.ptr, key.len, table));
}

bool index_unseal(enum index_table table, struct span key, struct span raw, struct span *value)
{
    if (raw.len < SEAL_SIZE)
        return false;
    size_t len = raw.len - SEAL_SIZE;
    if (get_be64(raw.ptr + len) != seal_of(table, key, raw.ptr, len))
        return false;
    *value = span_of(raw.ptr, len);
    return true;
}

/* --- errors ----------------------------------------------------------------------------------- */

int index_txn_fail(struct index_txn *txn, int code, const char *fmt, ...)
{
    if (txn->rc != 0)
        return txn->rc;
    char text[ERR_TEXT_SIZE];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    txn->rc = code;
    return err_set(txn->err, code, "%s", text);
}

int index_txn_damaged(struct index_txn *txn, enum index_table table, struct span key,
                      const char *what)
{
    if (table == TABLE_FRAMES && key.len == ID_SIZE) {
        char id[ID_TEXT_LEN + 1];
        id_format(id, id_get(key.ptr));
        return index_txn_fail(txn, ERR_DAMAGED, "frame %s is damaged: %s", id, what);
    }
    char hex[2 * 32 + 1] = "";
    for (size_t i = 0; i < key.len && i < 32; i++)
        snprintf(hex + 2 * i, 3, "%02x", key.ptr[i]);
    return index_txn_fail(txn, ERR_DAMAGED, "index table %s, key %s%s: %s", index_table_name(table),
                          hex, key.len > 32 ? "..." : "", what);
}

static bool disk_is_full(int fd)
{
    struct statvfs fs;
    if (fstatvfs(fd, &fs) != 0)
        return false;
    uint64_t blocks = geteuid() == 0 ? fs.f_bfree : fs.f_bavail;
    return blocks * fs.f_frsize < FULL_BELOW;
}

static int fail_stop(struct index_txn *txn, int mdb_rc, const char *what)
{
    txn->index->broken = true;
    return index_txn_fail(txn, ERR_UNAVAILABLE,
                          "index: %s: %s; nothing more is written until the store is opened anew",
                          what, mdb_strerror(mdb_rc));
}

/*
 * No room is no reason to stop: LMDB copies on write, so a transaction that failed so touched no
 * page of the committed tree, and the next one writes all its pages anew. If it was the meta page,
 * LMDB answers MDB_PANIC next.
 */
int index_txn_note(struct index_txn *txn, int mdb_rc, const char *what)
{
    if (mdb_rc == 0 || txn->rc != 0)
        return txn->rc;
    switch (mdb_rc) {
    case MDB_MAP_FULL:
        return txn->rc = INDEX_GROW;
    case ENOMEM:
        return index_txn_fail(txn, -ENOMEM, "index: %s: out of memory", what);
    case MDB_READERS_FULL:
        return index_txn_fail(txn, ERR_UNAVAILABLE, "index: %s: too many readers at once", what);
    case MDB_TXN_FULL:
        return index_txn_fail(txn, ERR_TOO_LARGE, "index: %s: too much for one transaction", what);
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_BAD_TXN:  /* a damaged page was met before in this transaction */
    case MDB_KEYEXIST: /* from an append below the newest key: the newest id does not fit the table
                        */
    case MDB_BAD_VALSIZE:
        return index_txn_fail(txn, ERR_DAMAGED, "index: %s: %s", what, mdb_strerror(mdb_rc));
    case EIO:
        if (!disk_is_full(txn->index->fd))
            return fail_stop(txn, mdb_rc, what);
        /* fallthrough */
    case ENOSPC:
    case EDQUOT:
        return index_txn_fail(txn, ERR_FULL, "index: %s: no room left on the disk; make some",
                              what);
    default: /* MDB_PANIC, and whatever a failed sync says */
        return fail_stop(txn, mdb_rc, what);
    }
}

/* --- begin and end ---------------------------------------------------------------------------- */

int index_txn_begin(struct index_txn *txn, struct index *index, struct err *err)
{
    *txn = (struct index_txn){.index = index, .err = err};
    if (index->broken || index->unmapped)
        return index_txn_fail(txn, ERR_UNAVAILABLE,
                              "index: a write failed before; open the store anew");
    return index_txn_note(txn, mdb_txn_begin(index->env, NULL, 0, &txn->mdb), "begin");
}

int index_txn_finish(struct index_txn *txn)
{
    for (int i = 0; i < TABLES; i++)
        if (txn->cursor[i]) {
            mdb_cursor_close(txn->cursor[i]);
            txn->cursor[i] = NULL;
        }
    return txn->rc;
}

int index_txn_end(struct index_txn *txn)
{
    index_txn_finish(txn);
    if (!txn->mdb)
        return txn->rc;
    if (txn->rc == 0)
        index_txn_note(txn, mdb_txn_commit(txn->mdb), "commit");
    else
        mdb_txn_abort(txn->mdb);
    txn->mdb = NULL;
    return txn->rc;
}

/* --- one key ---------------------------------------------------------------------------------- */

static MDB_val val_of(struct span s)
{
    return (MDB_val){s.len, (void *)s.ptr};
}

static struct span span_val(MDB_val v)
{
    return span_of(v.mv_data, v.mv_size);
}

/* A key LMDB cannot hold is a key that is not there. */
static bool raw_get(struct index_txn *txn, enum index_table table, struct span key, MDB_val *raw)
{
    MDB_val k = val_of(key);
    if (txn->rc != 0 || key.len == 0 || key.len > INDEX_KEY_MAX)
        return false;
    int rc = mdb_get(txn->mdb, txn->index->dbi[table], &k, raw);
    if (rc != MDB_NOTFOUND)
        index_txn_note(txn, rc, "read");
    return rc == 0;
}

bool index_txn_get(struct index_txn *txn, enum index_table table, struct span key,
                   struct span *value)
{
    MDB_val raw;
    if (!raw_get(txn, table, key, &raw))
        return false;
    if (index_unseal(table, key, span_val(raw), value))
        return true;
    index_txn_damaged(txn, table, key, "does not fit its checksum");
    return false;
}

bool index_txn_has(struct index_txn *txn, enum index_table table, struct span key)
{
    MDB_val raw;
    return raw_get(txn, table, key, &raw);
}

/* Consecutive keys lie on the same page, which a cursor that stays finds without a descent. */
static MDB_cursor *cursor_of(struct index_txn *txn, enum index_table table)
{
    if (txn->rc == 0 && !txn->cursor[table])
        index_txn_note(txn, mdb_cursor_open(txn->mdb, txn->index->dbi[table], &txn->cursor[table]),
                       "cursor");
    return txn->rc == 0 ? txn->cursor[table] : NULL;
}

void index_txn_put(struct index_txn *txn, enum index_table table, struct span key,
                   struct span value, unsigned flags)
{
    MDB_cursor *cursor = cursor_of(txn, table);
    MDB_val k = val_of(key), v = {value.len + SEAL_SIZE, NULL};
    if (!cursor ||
        index_txn_note(txn, mdb_cursor_put(cursor, &k, &v, flags | MDB_RESERVE), "write"))
        return;
    uint8_t *p = v.mv_data;
    if (value.len > 0)
        memcpy(p, value.ptr, value.len);
    put_be64(p + value.len, seal_of(table, key, p, value.len));
}

bool index_txn_del(struct index_txn *txn, enum index_table table, struct span key)
{
    MDB_val k = val_of(key);
    if (txn->rc != 0 || key.len == 0 || key.len > INDEX_KEY_MAX)
        return false;
    MDB_cursor *cursor = cursor_of(txn, table);
    if (!cursor)
        return false;
    int rc = mdb_cursor_get(cursor, &k, NULL, MDB_SET);
    if (rc == MDB_NOTFOUND || index_txn_note(txn, rc, "read") != 0)
        return false;
    return index_txn_note(txn, mdb_cursor_del(cursor, 0), "delete") == 0;
}

/* --- ranges ----------------------------------------------------------------------------------- */

static bool step(struct index_txn *txn, enum index_table table, MDB_cursor_op op, MDB_val *key,
                 struct span *value)
{
    MDB_val raw;
    MDB_cursor *cursor = cursor_of(txn, table);
    if (!cursor)
        return false;
    int rc = mdb_cursor_get(cursor, key, &raw, op);
    if (rc == MDB_NOTFOUND || index_txn_note(txn, rc, "read") != 0)
        return false;
    *value = span_val(raw);
    return true;
}

/* Whether what was found is still inside the prefix, and sound. */
static bool inside(struct index_txn *txn, enum index_table table, struct span prefix, MDB_val key,
                   struct span raw, struct span *found, struct span *value)
{
    if (key.mv_size < prefix.len ||
        (prefix.len > 0 && memcmp(key.mv_data, prefix.ptr, prefix.len) != 0))
        return false;
    *found = span_val(key);
    if (index_unseal(table, *found, raw, value))
        return true;
    index_txn_damaged(txn, table, *found, "does not fit its checksum");
    return false;
}

bool index_txn_seek(struct index_txn *txn, enum index_table table, struct span key,
                    size_t prefix_len, struct span *found, struct span *value)
{
    MDB_val k = val_of(key);
    struct span raw;
    MDB_cursor_op op = key.len > 0 ? MDB_SET_RANGE : MDB_FIRST;
    return step(txn, table, op, &k, &raw) &&
           inside(txn, table, span_of(key.ptr, prefix_len), k, raw, found, value);
}

bool index_txn_last(struct index_txn *txn, enum index_table table, struct span *found,
                    struct span *value)
{
    MDB_val k;
    struct span raw;
    return step(txn, table, MDB_LAST, &k, &raw) &&
           inside(txn, table, (struct span){0}, k, raw, found, value);
}

bool index_txn_next(struct index_txn *txn, enum index_table table, size_t prefix_len,
                    struct span *found, struct span *value)
{
    uint8_t prefix[INDEX_KEY_MAX];
    MDB_val k;
    struct span raw;
    if (found->len < prefix_len)
        return false;
    memcpy(prefix, found->ptr, prefix_len);
    return step(txn, table, MDB_NEXT, &k, &raw) &&
           inside(txn, table, span_of(prefix, prefix_len), k, raw, found, value);
}
