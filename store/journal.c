/*
 * The journal: the log as a directory of segment files NNNNNNNNNNNNNNNN.wj (16 hex digits, a serial
 * number that says nothing about order; NAME.new is one whose making was cut short).
 *
 * Segment header, at offset 0, in a sector of its own; integers big-endian:
 *   offset  size  field
 *   0       8     magic "WEIRJRN\n"
 *   8       4     version = 1
 *   12      4     zero
 *   16      16    store uuid
 *   32      8     generation: rises with every use of any segment; 0 = never used
 *   40      8     number of the first record; 0 = never used
 *   48      8     size of the file in bytes
 *   56      8     checksum of the record before the first (its field at 40); 0 = none known
 *   64      8     XXH3-64 of the 64 bytes before
 *
 * Records follow from offset 512 on, each at a multiple of 8:
 *   offset  size  field
 *   0       4     magic "WREC"
 *   4       4     payload length n
 *   8       8     number, dense from 1
 *   16      8     generation of the segment
 *   24      8     checksum of the record before (its field at 40); 0 for the first of all
 *   32      8     XXH3-64 of the 32 bytes before and the store uuid
 *   40      8     XXH3-64 of the payload, seeded with the field before: covers head, uuid and
 * payload 48      n     payload 48+n    .     zeros up to a multiple of 8
 *
 * Invariants: 1. A segment's first use as well as every later one begins with a synced header of a
 * generation above all before it; what an earlier use left behind has lower generations and lower
 * numbers. 2. A segment is begun only when every record before its first is durable. 3. Record n+1
 * is written only when n is durable. 4. A segment is used anew or deleted only when all its records
 * are released. 5. After a failed write or sync nothing is written until the journal is opened
 * anew.
 * 6. At most one record is torn (inv 3); its bytes are zeroed before the log goes on.
 *
 * Recovery walks from the segment with record `released` + 1 on. Replay ends at the first record
 * that does not fit: magic, number, generation, predecessor's checksum, own checksums. It is a torn
 * end unless something proves that the log once went on: a whole record of this generation and a
 * higher number behind it, a segment that begins with a higher number (inv 2), or such a record in
 * a file whose header is broken. With proof it is damage: nothing is changed and the journal is
 * read-only.
 *
 * Version rule: a change of either table takes a new version in the header; a reader refuses
 * versions above its own before it changes anything.
 */
#include "store/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/clean.h"
#include "store/journal_recover.h"
#include "store/segment_reader.h"

#define START_DEFAULT (64 * 1024)
#define MAX_DEFAULT (16 * 1024 * 1024)
#define PAGE 4096
#define SPARES 2

struct journal {
    struct engine engine;
    int dirfd;
    uint8_t uuid[16];
    uint64_t segment_max;

    /* The writer's own. */
    int fd;         /* of the segment in use, the last of `live`; -1 = none yet */
    uint64_t chain; /* checksum of record `last` */

    pthread_mutex_t mutex;    /* over all below; never held during a write or sync */
    struct segment_list live; /* in order; the last is in use if fd >= 0 */
    struct segment spares[SPARES];
    size_t spare_count;
    uint64_t target; /* size of the next segment to make */
    uint64_t last;
    uint64_t released;
    uint64_t generation;
    uint64_t serial;
    bool making;   /* prepare is at work */
    bool refusing; /* every append is refused, for the reason below */
    char reason[ERR_TEXT_SIZE];
};

static struct journal *of_engine(struct engine *engine)
{
    return (struct journal *)engine;
}

/* --- spares; all under the mutex -------------------------------------------------------------- */

/* Keeps a segment for later use. The serial of the one to delete instead, 0 = none. */
static uint64_t keep_spare(struct journal *j, const struct segment *segment)
{
    if (segment->size < j->target || segment->size > j->segment_max)
        return segment->serial;
    if (j->spare_count < SPARES) {
        j->spares[j->spare_count++] = *segment;
        return 0;
    }
    for (size_t i = 0; i < SPARES; i++) {
        if (j->spares[i].size < segment->size) {
            uint64_t dropped = j->spares[i].serial;
            j->spares[i] = *segment;
            return dropped;
        }
    }
    return segment->serial;
}

static bool take_spare(struct journal *j, uint64_t size, struct segment *out)
{
    for (size_t i = 0; i < j->spare_count; i++) {
        if (j->spares[i].size >= size) {
            *out = j->spares[i];
            j->spares[i] = j->spares[--j->spare_count];
            return true;
        }
    }
    return false;
}

/* Takes 0 for nothing to do. A file that stays is found again at the next open. */
static void delete_segment(struct journal *j, uint64_t serial)
{
    char name[SEGMENT_NAME_SIZE];
    if (serial == 0)
        return;
    segment_name(name, serial);
    unlinkat(j->dirfd, name, 0);
}

static void put_back(struct journal *j, const struct segment *segment)
{
    pthread_mutex_lock(&j->mutex);
    uint64_t dropped = keep_spare(j, segment);
    pthread_mutex_unlock(&j->mutex);
    delete_segment(j, dropped);
}

/* --- append ----------------------------------------------------------------------------------- */

/* From now on every append is refused with `why` (inv 5). */
static void refuse(struct journal *j, const struct err *why)
{
    pthread_mutex_lock(&j->mutex);
    if (!j->refusing) {
        j->refusing = true;
        memcpy(j->reason, why->text, sizeof j->reason);
    }
    pthread_mutex_unlock(&j->mutex);
}

static int check_append(struct journal *j, struct span record, uint64_t expect_last,
                        struct err *err)
{
    int rc = 0;
    pthread_mutex_lock(&j->mutex);
    if (j->refusing)
        rc = err_set(err, ERR_UNAVAILABLE, "the journal takes no writes: %s", j->reason);
    else if (expect_last != j->last)
        rc = err_set(err, ERR_CONDITION,
                     "the journal's last record is %" PRIu64 ", not %" PRIu64
                     ": another writer was there",
                     j->last, expect_last);
    else if (record.len > SEGMENT_RECORD_MAX)
        rc = err_set(err, ERR_TOO_LARGE, "journal record of %zu bytes: at most %u fit", record.len,
                     SEGMENT_RECORD_MAX);
    pthread_mutex_unlock(&j->mutex);
    return rc;
}

/* A spare with room for `size` record bytes, made now when none is ready. */
static int get_segment(struct journal *j, uint64_t size, struct segment *out, struct err *err)
{
    uint64_t whole = (SEGMENT_HEAD + size + PAGE - 1) / PAGE * PAGE;
    pthread_mutex_lock(&j->mutex);
    bool ready = take_spare(j, SEGMENT_HEAD + size, out);
    if (!ready)
        *out =
            (struct segment){.serial = ++j->serial, .size = whole > j->target ? whole : j->target};
    pthread_mutex_unlock(&j->mutex);
    if (ready)
        return 0;
    struct err why = ERR_INIT;
    int rc = segment_create(j->dirfd, out->serial, out->size, j->uuid, &why);
    if (rc == ERR_UNAVAILABLE)
        refuse(j, &why);
    return rc == 0 ? 0 : err_set(err, rc, "%s", why.text);
}

/* Makes a fresh segment the one in use. */
static void use_segment(struct journal *j, const struct segment *segment, int fd)
{
    uint64_t dropped = 0, doubled = segment->size * 2;
    pthread_mutex_lock(&j->mutex);
    if (doubled > j->target)
        j->target = doubled < j->segment_max ? doubled : j->segment_max;
    size_t count = j->live.count;
    if (count > 0 && j->live.items[count - 1].first == segment->first) {
        /* The one in use was still empty, and too small. */
        dropped = keep_spare(j, &j->live.items[count - 1]);
        segment_list_remove(&j->live, count - 1);
    }
    j->live.items[j->live.count++] = *segment; /* its room was reserved */
    pthread_mutex_unlock(&j->mutex);
    delete_segment(j, dropped);
    if (j->fd >= 0)
        close(j->fd);
    j->fd = fd;
}

static int reserve_live(struct journal *j, struct err *err)
{
    pthread_mutex_lock(&j->mutex);
    struct segment empty = {0};
    int rc = segment_list_add(&j->live, &empty);
    if (rc == 0)
        j->live.count--;
    pthread_mutex_unlock(&j->mutex);
    return rc == 0 ? 0 : err_sys(err, ENOMEM, "begin a journal segment");
}

/* Begins a segment with room for a record of `size` bytes. */
static int begin_segment(struct journal *j, uint64_t size, struct err *err)
{
    struct segment segment;
    int fd;
    int rc = reserve_live(j, err);
    if (rc == 0)
        rc = get_segment(j, size, &segment, err);
    if (rc != 0)
        return rc;
    pthread_mutex_lock(&j->mutex);
    segment.generation = ++j->generation;
    segment.first = j->last + 1;
    pthread_mutex_unlock(&j->mutex);
    segment.chain = j->chain;
    segment.begin = segment.end = SEGMENT_HEAD;
    struct err why = ERR_INIT;
    rc = segment_activate(&fd, j->dirfd, &segment, j->uuid, &why);
    if (rc == ERR_UNKNOWN)
        refuse(j, &why);
    else if (rc != 0)
        put_back(j, &segment);
    else
        use_segment(j, &segment, fd);
    return rc == 0 ? 0 : err_set(err, rc, "%s", why.text);
}

static struct segment *in_use(struct journal *j)
{
    return &j->live.items[j->live.count - 1];
}

/* Whether the segment in use has room. */
static bool has_room(struct journal *j, uint64_t size)
{
    if (j->fd < 0)
        return false;
    pthread_mutex_lock(&j->mutex);
    bool room = in_use(j)->end + size <= in_use(j)->size;
    pthread_mutex_unlock(&j->mutex);
    return room;
}

static int journal_append(struct engine *engine, struct span record, uint64_t expect_last,
                          uint64_t *number, struct err *err)
{
    struct journal *j = of_engine(engine);
    uint64_t size = segment_record_size(record.len);
    int rc = check_append(j, record, expect_last, err);
    if (rc == 0 && !has_room(j, size))
        rc = begin_segment(j, size, err);
    if (rc != 0)
        return rc;
    pthread_mutex_lock(&j->mutex);
    struct segment segment = *in_use(j);
    pthread_mutex_unlock(&j->mutex);
    struct segment_record head = {.number = expect_last + 1, .chain = j->chain};
    struct err why = ERR_INIT;
    rc = segment_append(j->fd, &segment, j->uuid, &head, record, &why);
    if (rc != 0) {
        refuse(j, &why);
        return err_set(err, rc, "%s", why.text);
    }
    j->chain = head.check;
    pthread_mutex_lock(&j->mutex);
    j->last = head.number;
    in_use(j)->end += size;
    pthread_mutex_unlock(&j->mutex);
    *number = head.number;
    return 0;
}

/* --- release, prepare, stat ------------------------------------------------------------------- */

/* Takes the oldest segment off if all its records are released (inv 4); never the one in use. */
static bool retire_segment(struct journal *j, uint64_t *dropped)
{
    if (j->refusing || j->live.count < 2 || j->live.items[1].first - 1 > j->released)
        return false;
    *dropped = keep_spare(j, &j->live.items[0]);
    segment_list_remove(&j->live, 0);
    return true;
}

static void journal_release(struct engine *engine, uint64_t upto)
{
    struct journal *j = of_engine(engine);
    bool more = true;
    while (more) {
        uint64_t dropped = 0;
        pthread_mutex_lock(&j->mutex);
        if (upto > j->last)
            upto = j->last;
        if (upto > j->released)
            j->released = upto;
        more = retire_segment(j, &dropped);
        pthread_mutex_unlock(&j->mutex);
        delete_segment(j, dropped);
    }
}

/* Whether a spare will be needed soon and none is ready: an idle store keeps no second file. */
static bool wants_spare(const struct journal *j)
{
    if (j->refusing || j->making)
        return false;
    for (size_t i = 0; i < j->spare_count; i++)
        if (j->spares[i].size >= j->target)
            return false;
    if (j->live.count == 0)
        return true;
    const struct segment *used = &j->live.items[j->live.count - 1];
    return used->end > used->size / 2;
}

static int journal_prepare(struct engine *engine, struct err *err)
{
    struct journal *j = of_engine(engine);
    struct segment segment = {0};
    struct err why = ERR_INIT;
    pthread_mutex_lock(&j->mutex);
    bool wanted = wants_spare(j);
    if (wanted) {
        j->making = true;
        segment.serial = ++j->serial;
        segment.size = j->target;
    }
    pthread_mutex_unlock(&j->mutex);
    if (!wanted)
        return 0;
    int rc = segment_create(j->dirfd, segment.serial, segment.size, j->uuid, &why);
    if (rc == 0)
        put_back(j, &segment);
    else if (rc == ERR_UNAVAILABLE)
        refuse(j, &why);
    pthread_mutex_lock(&j->mutex);
    j->making = false;
    pthread_mutex_unlock(&j->mutex);
    return rc == 0 ? 0 : err_set(err, rc, "%s", why.text);
}

static void journal_stat(struct engine *engine, struct engine_stat *out)
{
    struct journal *j = of_engine(engine);
    struct engine_stat stat = {0};
    pthread_mutex_lock(&j->mutex);
    stat.last = j->last;
    stat.first = j->live.count > 0 ? j->live.items[0].first : j->last + 1;
    stat.segments = j->live.count + j->spare_count;
    for (size_t i = 0; i < j->live.count; i++)
        stat.bytes += j->live.items[i].size;
    for (size_t i = 0; i < j->spare_count; i++)
        stat.bytes += j->spares[i].size;
    pthread_mutex_unlock(&j->mutex);
    *out = stat;
}

/* --- read ------------------------------------------------------------------------------------- */

/* What a read walks with: where the caller's function is, and what comes next. */
struct pass {
    uint64_t from;
    uint64_t number;
    int (*each)(void *arg, uint64_t number, struct span record);
    void *arg;
};

static int read_segment(struct journal *j, const struct segment *segment, struct pass *pass,
                        struct err *err)
{
    CLEAN_READER reader = SEGMENT_READER_NONE;
    int rc = segment_reader_open(&reader, j->dirfd, segment, j->uuid, err);
    uint64_t at = segment->begin;
    while (rc == 0 && at < segment->end) {
        struct segment_record head;
        struct span payload;
        rc = segment_reader_get(&reader, at, &head, &payload, err);
        if (rc == ERR_DAMAGED ||
            (rc == 0 && (head.number != pass->number || head.generation != segment->generation)))
            return err_set(err, ERR_DAMAGED,
                           "journal record %" PRIu64
                           " no longer fits its checksum: run weir repair",
                           pass->number);
        if (rc == 0 && head.number >= pass->from)
            rc = pass->each(pass->arg, head.number, payload);
        at += segment_record_size(head.len);
        pass->number++;
    }
    return rc;
}

static int journal_read(struct engine *engine, uint64_t from,
                        int (*each)(void *arg, uint64_t number, struct span record), void *arg,
                        struct err *err)
{
    struct journal *j = of_engine(engine);
    struct engine_stat stat;
    journal_stat(engine, &stat);
    if (from < stat.first)
        return err_set(err, ERR_NOT_FOUND,
                       "journal record %" PRIu64 " is gone: the oldest held is %" PRIu64, from,
                       stat.first);
    struct pass pass = {from, stat.first, each, arg};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < j->live.count; i++) {
        bool below = i + 1 < j->live.count && j->live.items[i + 1].first <= from;
        if (below)
            pass.number = j->live.items[i + 1].first;
        else
            rc = read_segment(j, &j->live.items[i], &pass, err);
    }
    return rc;
}

/* --- open and close --------------------------------------------------------------------------- */

static void journal_close(struct engine *engine)
{
    struct journal *j = of_engine(engine);
    if (!j)
        return;
    if (j->fd >= 0)
        close(j->fd);
    if (j->dirfd >= 0)
        close(j->dirfd);
    segment_list_finish(&j->live);
    pthread_mutex_destroy(&j->mutex);
    free(j);
}

static const struct engine_ops journal_ops = {
    .append = journal_append,
    .read = journal_read,
    .release = journal_release,
    .prepare = journal_prepare,
    .stat = journal_stat,
    .close = journal_close,
};

static struct journal *create(const struct journal_options *options)
{
    struct journal *j = calloc(1, sizeof *j);
    if (!j)
        return NULL;
    j->engine.ops = &journal_ops;
    j->dirfd = j->fd = -1;
    memcpy(j->uuid, options->uuid, sizeof j->uuid);
    j->segment_max = options->segment_max ? options->segment_max : MAX_DEFAULT;
    j->target = options->segment_start ? options->segment_start : START_DEFAULT;
    if (j->target > j->segment_max)
        j->target = j->segment_max;
    j->released = options->released;
    pthread_mutex_init(&j->mutex, NULL);
    return j;
}

static int open_directory(int *out, int dirfd, const char *name, struct err *err)
{
    if (mkdirat(dirfd, name, 0700) != 0 && errno != EEXIST)
        return err_sys(err, errno, "create directory %s", name);
    /* Also when it was there: its maker may have died before this. */
    int rc = segment_sync_directory(dirfd, err);
    if (rc != 0)
        return rc;
    int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return err_sys(err, errno, "open directory %s", name);
    *out = fd;
    return 0;
}

static void refuse_damaged(struct journal *j, const struct journal_report *report)
{
    struct err why = ERR_INIT;
    err_set(&why, ERR_DAMAGED,
            "record %" PRIu64 " is damaged (%s at %" PRIu64 ") though %" PRIu64
            " follows; the store is read-only: run weir repair",
            report->first_bad, report->segment[0] ? report->segment : "segment missing",
            report->offset, report->next_good);
    refuse(j, &why);
}

/*
 * Makes what was found durable: header and last record may have been written by a process that
 * died, or failed, before its sync. Clears what a torn record left behind (inv 6).
 */
static int settle(struct journal *j, const struct segment *last, uint64_t last_at, struct err *err)
{
    int rc = segment_rewrite(j->fd, 0, SEGMENT_HEAD, err);
    if (rc == 0 && last_at != 0)
        rc = segment_rewrite(j->fd, last_at, last->end, err);
    if (rc == 0)
        rc = segment_clear(j->fd, last->end, last->size, err);
    if (rc == 0)
        rc = segment_sync(j->fd, err);
    if (rc == 0)
        rc = segment_sync_directory(j->dirfd, err);
    return rc;
}

/* Holds the last segment open for more. */
static void continue_last(struct journal *j, uint64_t last_at)
{
    char name[SEGMENT_NAME_SIZE];
    struct err why = ERR_INIT;
    if (j->live.count == 0)
        return;
    struct segment *last = in_use(j);
    segment_name(name, last->serial);
    uint64_t doubled = last->size * 2;
    if (doubled > j->target)
        j->target = doubled < j->segment_max ? doubled : j->segment_max;
    j->fd = openat(j->dirfd, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    int rc = j->fd < 0 ? err_sys(&why, errno, "open journal segment %s", name)
                       : settle(j, last, last_at, &why);
    if (rc != 0)
        refuse(j, &why);
}

/* Takes over what recovery found. */
static void adopt(struct journal *j, struct recovery *found)
{
    j->live = found->live;
    found->live = (struct segment_list){0};
    j->last = found->last;
    j->chain = found->chain;
    j->generation = found->generation;
    j->serial = found->serial;
    if (found->report.damaged) {
        refuse_damaged(j, &found->report);
        return;
    }
    continue_last(j, found->last_at);
    if (j->refusing)
        return;
    recovery_sweep(j->dirfd);
    for (size_t i = 0; i < found->broken.count; i++)
        delete_segment(j, found->broken.items[i].serial);
    for (size_t i = 0; i < found->spare.count; i++)
        delete_segment(j, keep_spare(j, &found->spare.items[i]));
}

int journal_open(struct engine **out, int dirfd, const char *name,
                 const struct journal_options *options, struct journal_report *report,
                 struct err *err)
{
    struct recovery found = {0};
    struct journal *j = create(options);
    if (!j)
        return err_sys(err, ENOMEM, "open the journal");
    int rc = open_directory(&j->dirfd, dirfd, name, err);
    if (rc == 0)
        rc = recovery_scan(&found, j->dirfd, options, err);
    if (rc == 0) {
        adopt(j, &found);
        if (report)
            *report = found.report;
        *out = &j->engine;
    } else {
        journal_close(&j->engine);
    }
    recovery_finish(&found);
    return rc;
}
