/*
 * Check and repair of a store that nobody serves.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clean.h"
#include "store/index.h"
#include "store/journal.h"
#include "store/place.h"

#include <weir/store.h>

/* Directory, lock and index: what both need. */
struct bench {
    struct place place;
    struct index *index;
    struct journal_options journal;
};

static void bench_finish(struct bench *bench)
{
    index_close(bench->index);
    place_close(&bench->place);
}

static int bench_init(struct bench *bench, const char *path, struct err *err)
{
    struct index_options options = {0};
    struct index_snap *snap;
    CLEAN_FREE char *format = NULL;
    *bench = (struct bench){.place = {.dirfd = -1, .lockfd = -1}};
    if (asprintf(&format, "%s/format", path) < 0)
        return err_set(err, -ENOMEM, "no memory");
    if (access(format, F_OK) != 0) /* place_open would make one */
        return err_set(err, ERR_NOT_FOUND, "there is no store at %s", path);
    int r = place_open(&bench->place, path, err);
    if (r != 0)
        return r;
    memcpy(options.uuid, bench->place.uuid, sizeof options.uuid);
    memcpy(bench->journal.uuid, bench->place.uuid, sizeof bench->journal.uuid);
    r = index_open(&bench->index, bench->place.dirfd, "index", &options, err);
    if (r == 0)
        r = index_snap_begin(bench->index, &snap, err);
    if (r == 0) {
        bench->journal.released = index_snap_number(snap);
        index_snap_end(snap);
    } else {
        bench_finish(bench);
    }
    return r;
}

static int count_record(void *arg, uint64_t number, struct span record)
{
    (void)number;
    (void)record;
    ++*(uint64_t *)arg;
    return 0;
}

static int verify_journal(struct bench *bench, void (*fault)(void *arg, const char *text), void *arg,
                          uint64_t *checked, struct err *err)
{
    struct journal_report report = {0};
    struct engine_stat stat;
    struct engine *engine;
    char text[ERR_TEXT_SIZE];
    int r = journal_open(&engine, bench->place.dirfd, "journal", &bench->journal, &report, err);
    if (r != 0)
        return r;
    if (report.damaged) {
        snprintf(text, sizeof text,
                 "journal: record %" PRIu64 " does not fit (%s at %" PRIu64 "), later ones do; weird --repair sets them aside",
                 report.first_bad, report.segment, report.offset);
        fault(arg, text);
    }
    engine->ops->stat(engine, &stat);
    if (stat.last > bench->journal.released)
        r = engine->ops->read(engine, bench->journal.released + 1, count_record, checked, err);
    engine->ops->close(engine);
    return r;
}

int store_verify(const char *path, void (*fault)(void *arg, const char *text), void *arg, uint64_t *checked,
                 struct err *err)
{
    struct bench bench;
    *checked = 0;
    int r = bench_init(&bench, path, err);
    if (r != 0)
        return r;
    r = index_verify(bench.index, fault, arg, checked, err);
    if (r == 0)
        r = verify_journal(&bench, fault, arg, checked, err);
    bench_finish(&bench);
    return r;
}

int store_repair(const char *path, struct store_repair *out, struct err *err)
{
    struct journal_report report = {0};
    struct bench bench;
    int r = bench_init(&bench, path, err);
    if (r != 0)
        return r;
    r = journal_repair(bench.place.dirfd, "journal", &bench.journal, &report, err);
    if (r == 0)
        *out = (struct store_repair){.damaged = report.damaged,
                                     .kept = report.first_bad ? report.first_bad - 1 : bench.journal.released,
                                     .next_good = report.next_good};
    bench_finish(&bench);
    return r;
}
