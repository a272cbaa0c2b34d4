/*
 * Opening, closing, growing; and the table `meta`:
 *
 *   key      value, integers big-endian
 *   format   version 4 (this row keeps its form for ever, so that any weir can refuse a newer
 * index) uuid     16 state    last record number 8, frames 8, topics 8, highest topic number 8,
 * bytes 8, newest id 16, entries of purge 8 (not in formats 1 and 2)
 *
 * LMDB's default flags are kept for durability: a commit is two syncs. MDB_NOTLS lets read
 * transactions be pooled. Read-ahead stays on: what reads much reads in order of ids, which is the
 * order of the pages.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "base/bytes.h"
#include "base/clean.h"
#include "store/index_impl.h"

#define MAP_START ((size_t)1 << 30)
#define READERS_MAX 254
#define PURGE_SLICE 1000
#define STATE_SIZE 64
#define STATE_SIZE_2 56 /* up to format 2 */

/* --- meta ------------------------------------------------------------------------------------- */

void index_state_get(struct index_txn *txn, struct index_state *out)
{
    struct span value;
    struct span key = span_str("state");
    if (!index_txn_get(txn, TABLE_META, key, &value)) {
        index_txn_damaged(txn, TABLE_META, key, "is missing");
        return;
    }
    if (value.len != STATE_SIZE && value.len != STATE_SIZE_2) {
        index_txn_damaged(txn, TABLE_META, key, "has another length");
        return;
    }
    const uint8_t *p = value.ptr;
    *out = (struct index_state){
        .number = get_be64(p),
        .frames = get_be64(p + 8),
        .topics = get_be64(p + 16),
        .topic_last = get_be64(p + 24),
        .bytes = get_be64(p + 32),
        .newest = id_get(p + 40),
        .purges = value.len == STATE_SIZE ? get_be64(p + 56) : 0,
    };
}

void index_state_put(struct index_txn *txn, const struct index_state *state)
{
    uint8_t p[STATE_SIZE];
    put_be64(p, state->number);
    put_be64(p + 8, state->frames);
    put_be64(p + 16, state->topics);
    put_be64(p + 24, state->topic_last);
    put_be64(p + 32, state->bytes);
    id_put(p + 40, state->newest);
    put_be64(p + 56, state->purges);
    index_txn_put(txn, TABLE_META, span_str("state"), span_of(p, sizeof p), 0);
}

/* Tells the format; one that is newer is refused. */
static int check_format(struct index_txn *txn, uint32_t *out)
{
    struct span value;
    if (!index_txn_get(txn, TABLE_META, span_str("format"), &value) || value.len < 4 ||
        get_be32(value.ptr) == 0)
        return index_txn_fail(txn, ERR_FORMAT, "index: no format version; this is no weir store");
    uint32_t format = get_be32(value.ptr);
    if (format > INDEX_FORMAT)
        return index_txn_fail(txn, ERR_FORMAT,
                              "index: format %u is of a newer weir, this one knows %d; update weir",
                              format, INDEX_FORMAT);
    *out = format;
    return txn->rc;
}

static int check_uuid(struct index_txn *txn, const uint8_t uuid[static 16])
{
    struct span value;
    if (!index_txn_get(txn, TABLE_META, span_str("uuid"), &value))
        return index_txn_fail(txn, ERR_DAMAGED, "index: the uuid is missing");
    if (!span_eq(value, span_of(uuid, 16)))
        return index_txn_fail(txn, ERR_FORMAT, "index: it belongs to another store (uuid differs)");
    return txn->rc;
}

static void put_format(struct index_txn *txn)
{
    uint8_t format[4];
    put_be32(format, INDEX_FORMAT);
    index_txn_put(txn, TABLE_META, span_str("format"), span_of(format, sizeof format), 0);
}

static void create_meta(struct index_txn *txn, const uint8_t uuid[static 16])
{
    index_txn_put(txn, TABLE_META, span_str("uuid"), span_of(uuid, 16), 0);
    index_state_put(txn, &(struct index_state){0});
}

/* Formats 1 and 2: the rows of topics, and the row `state`, had less. */
static void upgrade(struct index_txn *txn)
{
    struct index_state state;
    index_state_get(txn, &state);
    index_rows_upgrade(txn);
    if (txn->rc == 0)
        index_state_put(txn, &state);
}

/* --- opening ---------------------------------------------------------------------------------- */

static int refuse_network(int fd, struct err *err)
{
    struct statfs fs;
    if (fstatfs(fd, &fs) != 0)
        return err_sys(err, errno, "index: statfs");
    switch (fs.f_type) {
    case NFS_SUPER_MAGIC:
    case SMB_SUPER_MAGIC:
    case CIFS_SUPER_MAGIC:
    case SMB2_SUPER_MAGIC:
    case AFS_SUPER_MAGIC:
        return err_set(err, ERR_UNAVAILABLE,
                       "index: a network file system cannot hold a store; use a local disk");
    default:
        return 0;
    }
}

/* Made before LMDB does, for modes that no umask changes. */
static int make_file(int dir, const char *name, struct err *err)
{
    CLEAN_FD int fd = openat(dir, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 && errno == EEXIST)
        return 0;
    if (fd < 0 || fchmod(fd, 0600) != 0)
        return errno == ENOSPC || errno == EDQUOT ? err_set(err, ERR_FULL, "index: no room left")
                                                  : err_sys(err, errno, "index: make %s", name);
    return fsync(dir) == 0 ? 0 : err_sys(err, errno, "index: sync directory");
}

/* The descriptor is the caller's to close, also when something fails behind it. */
static int open_dir(int *out, int dirfd, const char *name, struct err *err)
{
    bool made = mkdirat(dirfd, name, 0700) == 0;
    if (!made && errno != EEXIST)
        return err_sys(err, errno, "index: make directory %s", name);
    /* Of a directory just made the mode may allow nothing until it is set. */
    if (made && fchmodat(dirfd, name, 0700, 0) != 0)
        return err_sys(err, errno, "index: mode of %s", name);
    int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return err_sys(err, errno, "index: open directory %s", name);
    *out = fd;
    if (made && fsync(dirfd) != 0)
        return err_sys(err, errno, "index: sync directory");
    int rc = refuse_network(fd, err);
    if (rc == 0)
        rc = make_file(fd, "data.mdb", err);
    return rc == 0 ? make_file(fd, "lock.mdb", err) : rc;
}

static int open_error(int rc, struct err *err)
{
    switch (rc) {
    case MDB_INVALID:
    case MDB_VERSION_MISMATCH:
        return err_set(err, ERR_FORMAT, "index: data.mdb is no LMDB file of a known version");
    case ENOSPC:
    case EDQUOT:
        return err_set(err, ERR_FULL, "index: no room left on the disk; make some");
    default:
        return rc > 0 ? err_sys(err, rc, "index: open")
                      : err_set(err, ERR_UNAVAILABLE, "index: open: %s", mdb_strerror(rc));
    }
}

/* Pages behind the end of the file would be SIGBUS. Filled with zeros they are damage that is
 * noticed. */
static int fill_tail(struct index *index)
{
    struct stat st;
    MDB_envinfo info;
    MDB_stat pages;
    mdb_env_info(index->env, &info);
    mdb_env_stat(index->env, &pages);
    off_t used = (off_t)((info.me_last_pgno + 1) * pages.ms_psize);
    if (fstat(index->fd, &st) != 0)
        return errno;
    return st.st_size < used && ftruncate(index->fd, used) != 0 ? errno : 0;
}

static int open_env(struct index *index, int dir, size_t map_size, struct err *err)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", dir);
    int rc = mdb_env_create(&index->env);
    if (rc != 0)
        return open_error(rc, err);
    mdb_env_set_maxdbs(index->env, TABLES);
    mdb_env_set_maxreaders(index->env, READERS_MAX);
    mdb_env_set_mapsize(index->env, map_size);
    rc = mdb_env_open(index->env, path, MDB_NOTLS, 0600);
    if (rc == 0)
        rc = mdb_env_get_fd(index->env, &index->fd);
    /* LMDB leaves this descriptor, alone among its three, open over exec. */
    if (rc == 0 && fcntl(index->fd, F_SETFD, FD_CLOEXEC) != 0)
        rc = errno;
    if (rc == 0)
        rc = fill_tail(index);
    return rc == 0 ? 0 : open_error(rc, err);
}

/* --- tables ----------------------------------------------------------------------------------- */

static void open_tables(struct index_txn *txn, unsigned flags)
{
    for (enum index_table t = 0; t < TABLES && txn->rc == 0; t++) {
        int rc = mdb_dbi_open(txn->mdb, index_table_name(t), flags, &txn->index->dbi[t]);
        if (rc == MDB_NOTFOUND || rc == MDB_INCOMPATIBLE)
            index_txn_fail(txn, ERR_DAMAGED, "index: table %s is missing", index_table_name(t));
        else
            index_txn_note(txn, rc, "open table");
    }
}

/* Makes the tables that are not there, which are all in a new index (`format` 0), and brings older
 * ones up. */
static int create_tables(struct index *index, uint32_t format, const uint8_t uuid[static 16],
                         struct err *err)
{
    struct index_txn txn;
    if (index_txn_begin(&txn, index, err) == 0) {
        open_tables(&txn, MDB_CREATE);
        put_format(&txn);
        if (format == 0)
            create_meta(&txn, uuid);
        else
            upgrade(&txn);
    }
    return index_txn_end(&txn);
}

/* Looks without writing: an index of a newer format stays byte for byte what it is. `format` 0: it
 * is empty. The tables of one of this format are open then. */
static int look(struct index *index, const uint8_t uuid[static 16], uint32_t *format,
                struct err *err)
{
    struct index_txn txn = {.index = index, .err = err};
    MDB_stat pages;
    index_txn_note(&txn, mdb_txn_begin(index->env, NULL, MDB_RDONLY, &txn.mdb), "begin");
    if (txn.rc != 0)
        return txn.rc;
    index_txn_note(&txn, mdb_env_stat(index->env, &pages), "stat");
    bool empty = pages.ms_entries == 0;
    int rc = mdb_dbi_open(txn.mdb, "meta", 0, &index->dbi[TABLE_META]);
    if (rc == MDB_NOTFOUND && !empty)
        index_txn_fail(&txn, ERR_FORMAT, "index: data.mdb was not made by weir");
    else if (rc != MDB_NOTFOUND)
        index_txn_note(&txn, rc, "open table");
    if (txn.rc == 0 && !empty && check_format(&txn, format) == 0 && check_uuid(&txn, uuid) == 0 &&
        *format == INDEX_FORMAT)
        open_tables(&txn, 0);
    return index_txn_end(&txn);
}

static int prepare_tables(struct index *index, const uint8_t uuid[static 16], struct err *err)
{
    uint32_t format = 0;
    int rc = look(index, uuid, &format, err);
    if (rc != 0 || format == INDEX_FORMAT)
        return rc;
    while ((rc = create_tables(index, format, uuid, err)) == INDEX_GROW)
        if ((rc = index_grow(index, err)) != 0)
            break;
    return rc;
}

static int look_for_purges(struct index *index, struct err *err)
{
    struct index_snap *snap;
    int rc = index_snap_begin(index, &snap, err);
    if (rc != 0)
        return rc;
    atomic_store(&index->purges, snap->state.purges > 0);
    index_snap_end(snap);
    return 0;
}

static void init_locks(struct index *index)
{
    pthread_rwlockattr_t attr;
    pthread_rwlockattr_init(&attr);
    /* Else readers that overlap without end would keep the map from growing for ever. */
    pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(&index->map_lock, &attr);
    pthread_rwlockattr_destroy(&attr);
    pthread_mutex_init(&index->pool_lock, NULL);
}

int index_open(struct index **out, int dirfd, const char *name, const struct index_options *options,
               struct err *err)
{
    CLEAN_FD int dir = -1;
    int rc = open_dir(&dir, dirfd, name, err);
    if (rc != 0)
        return rc;
    struct index *index = calloc(1, sizeof *index);
    if (!index)
        return err_sys(err, ENOMEM, "index");
    init_locks(index);
    index->purge_slice = options->purge_slice ? options->purge_slice : PURGE_SLICE;
    rc = open_env(index, dir, options->map_size ? options->map_size : MAP_START, err);
    if (rc == 0)
        rc = prepare_tables(index, options->uuid, err);
    if (rc == 0)
        rc = look_for_purges(index, err);
    if (rc != 0) {
        index_close(index);
        return rc;
    }
    *out = index;
    return 0;
}

void index_close(struct index *index)
{
    if (!index)
        return;
    while (index->pool) {
        struct index_snap *snap = index->pool;
        index->pool = snap->next;
        mdb_txn_abort(snap->mdb);
        free(snap);
    }
    if (index->env)
        mdb_env_close(index->env);
    pthread_rwlock_destroy(&index->map_lock);
    pthread_mutex_destroy(&index->pool_lock);
    free(index);
}

/* --- growing ---------------------------------------------------------------------------------- */

int index_grow(struct index *index, struct err *err)
{
    MDB_envinfo info;
    pthread_rwlock_wrlock(&index->map_lock);
    mdb_env_info(index->env, &info);
    int rc = mdb_env_set_mapsize(index->env, info.me_mapsize * 2);
    /* The old map is gone by now. Without either nothing can be read. */
    if (rc != 0 && mdb_env_set_mapsize(index->env, info.me_mapsize) != 0)
        index->unmapped = true;
    pthread_rwlock_unlock(&index->map_lock);
    if (rc == 0)
        return 0;
    return err_set(err, ERR_UNAVAILABLE, "index: no address space for a map of %zu bytes: %s",
                   info.me_mapsize * 2, mdb_strerror(rc));
}
