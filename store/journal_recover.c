/*
 * Finding the end of a journal. The rules are in journal.c.
 */
#include "store/journal_recover.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "base/clean.h"
#include "store/segment_reader.h"

/* --- lists ------------------------------------------------------------------------------------ */

int segment_list_add(struct segment_list *list, const struct segment *segment)
{
    if (list->count == list->room) {
        size_t room = list->room ? list->room * 2 : 8;
        struct segment *items = realloc(list->items, room * sizeof *items);
        if (!items)
            return -ENOMEM;
        list->items = items;
        list->room = room;
    }
    list->items[list->count++] = *segment;
    return 0;
}

void segment_list_remove(struct segment_list *list, size_t index)
{
    list->count--;
    memmove(list->items + index, list->items + index + 1,
            (list->count - index) * sizeof *list->items);
}

void segment_list_finish(struct segment_list *list)
{
    free(list->items);
    *list = (struct segment_list){0};
}

void recovery_finish(struct recovery *recovery)
{
    segment_list_finish(&recovery->live);
    segment_list_finish(&recovery->later);
    segment_list_finish(&recovery->spare);
    segment_list_finish(&recovery->broken);
}

/* --- the directory ---------------------------------------------------------------------------- */

static DIR *open_list(int dirfd)
{
    int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    DIR *dir = fdopendir(fd);
    if (!dir)
        close(fd);
    return dir;
}

void recovery_sweep(int dirfd)
{
    CLEAN_DIR DIR *dir = open_list(dirfd);
    struct dirent *entry;
    while (dir && (entry = readdir(dir)))
        if (segment_is_unfinished(entry->d_name))
            unlinkat(dirfd, entry->d_name, 0);
}

/* Reads one file's header and puts it into its list: used ones into `used`, to be sorted out later.
 */
static int load_segment(struct recovery *r, struct segment_list *used, int dirfd, uint64_t serial,
                        const uint8_t *uuid, struct err *err)
{
    char name[SEGMENT_NAME_SIZE];
    struct segment segment = {.serial = serial};
    segment_name(name, serial);
    CLEAN_FD int fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return err_sys(err, errno, "open journal segment %s", name);
    struct err why = ERR_INIT;
    int rc = segment_read_head(&segment, fd, uuid, &why);
    if (rc != 0 && rc != ERR_DAMAGED)
        return err_set(err, rc, "%s", why.text);
    if (r->serial < serial)
        r->serial = serial;
    if (rc == 0 && r->generation < segment.generation)
        r->generation = segment.generation;
    struct segment_list *list = rc != 0 ? &r->broken : segment.first == 0 ? &r->spare : used;
    rc = segment_list_add(list, &segment);
    return rc == 0 ? 0 : err_sys(err, ENOMEM, "read the journal");
}

static int by_first(const void *a, const void *b)
{
    const struct segment *x = a, *y = b;
    if (x->first != y->first)
        return x->first < y->first ? -1 : 1;
    return x->generation < y->generation ? -1 : x->generation > y->generation;
}

static int load_directory(struct recovery *r, struct segment_list *used, int dirfd,
                          const uint8_t *uuid, struct err *err)
{
    CLEAN_DIR DIR *dir = open_list(dirfd);
    if (!dir)
        return err_sys(err, errno, "list the journal");
    for (;;) {
        uint64_t serial;
        errno = 0;
        struct dirent *entry = readdir(dir);
        if (!entry)
            break;
        if (!segment_parse_name(entry->d_name, &serial))
            continue;
        int rc = load_segment(r, used, dirfd, serial, uuid, err);
        if (rc != 0)
            return rc;
    }
    if (errno != 0)
        return err_sys(err, errno, "list the journal");
    if (used->count > 0)
        qsort(used->items, used->count, sizeof *used->items, by_first);
    return 0;
}

/* --- the records ------------------------------------------------------------------------------ */

/* The walk: the next record must have `number` and stand at `at` in used->items[index]. */
struct walk {
    struct recovery *r;
    const struct segment_list *used;
    struct segment_reader reader;
    int dirfd;
    const uint8_t *uuid;
    uint64_t released;
    size_t index;
    size_t start; /* index of the first segment that is kept */
    uint64_t number;
    uint64_t chain;
    uint64_t at;
};

static struct segment *here(struct walk *w)
{
    return &w->used->items[w->index];
}

static int enter(struct walk *w, size_t index, struct err *err)
{
    w->index = index;
    w->number = here(w)->first;
    w->chain = here(w)->chain;
    w->at = here(w)->begin;
    w->r->last_at = 0;
    segment_reader_close(&w->reader);
    return segment_reader_open(&w->reader, w->dirfd, here(w), w->uuid, err);
}

/* Walks over the records that fit. 0 at the first that does not. */
static int walk_records(struct walk *w, struct err *err)
{
    for (;;) {
        struct segment_record head;
        struct span payload;
        int rc = segment_reader_get(&w->reader, w->at, &head, &payload, err);
        bool fits = rc == 0 && head.number == w->number && head.chain == w->chain &&
                    head.generation == here(w)->generation;
        if (!fits)
            return rc == ERR_DAMAGED ? 0 : rc;
        w->r->last_at = w->at;
        w->at += segment_record_size(head.len);
        w->number++;
        w->chain = head.check;
        here(w)->end = w->at;
    }
}

/* Whether the next segment goes on exactly where this one ends. */
static bool goes_on(struct walk *w)
{
    if (w->index + 1 >= w->used->count)
        return false;
    const struct segment *next = here(w) + 1;
    return next->first == w->number && next->chain == w->chain;
}

/*
 * Damage in records that nobody needs any more: goes on at the first record behind it, if all that
 * was skipped is released. 1 when it does.
 */
static int skip_released(struct walk *w, struct err *err)
{
    struct segment_record head;
    uint64_t found;
    if (w->number > w->released)
        return 0;
    int rc =
        segment_reader_find(&w->reader, w->at, here(w)->generation, w->number, &head, &found, err);
    if (rc == ERR_NOT_FOUND || (rc == 0 && head.number > w->released + 1))
        return 0;
    if (rc != 0)
        return rc;
    w->number = here(w)->first = head.number;
    w->chain = here(w)->chain = head.chain;
    w->at = here(w)->begin = here(w)->end = found;
    return 1;
}

/* Finds a record from number `least` on in the files without a header. 0 in *number: none. */
static int find_in_broken(struct walk *w, uint64_t least, uint64_t *number, struct err *err)
{
    *number = 0;
    for (size_t i = 0; i < w->r->broken.count; i++) {
        struct segment_record head;
        uint64_t found;
        CLEAN_READER reader = SEGMENT_READER_NONE;
        int rc = segment_reader_open(&reader, w->dirfd, &w->r->broken.items[i], w->uuid, err);
        if (rc == 0)
            rc = segment_reader_find(&reader, SEGMENT_HEAD, 0, least, &head, &found, err);
        if (rc != 0 && rc != ERR_NOT_FOUND)
            return rc;
        if (rc == 0 && (*number == 0 || head.number < *number))
            *number = head.number;
    }
    return 0;
}

/* Finds what proves that the log once went on behind this place. 0 in *number: nothing does. */
static int find_later(struct walk *w, uint64_t least, uint64_t *number, struct err *err)
{
    int rc = find_in_broken(w, least, number, err);
    if (rc != 0 || w->used->count == 0)
        return rc;
    size_t next = w->reader.fd >= 0 ? w->index + 1 : 0;
    struct segment_record head;
    uint64_t found;
    rc = w->reader.fd < 0 ? ERR_NOT_FOUND
                          : segment_reader_find(&w->reader, w->at, here(w)->generation, least,
                                                &head, &found, err);
    if (rc != 0 && rc != ERR_NOT_FOUND)
        return rc;
    /* A segment is begun only when all before its first record is durable. */
    uint64_t other = rc == 0 ? head.number : next < w->used->count ? w->used->items[next].first : 0;
    if (other != 0 && (*number == 0 || other < *number))
        *number = other;
    return 0;
}

static void report_damage(struct walk *w, uint64_t first_bad, uint64_t next_good)
{
    struct journal_report *report = &w->r->report;
    char name[SEGMENT_NAME_SIZE] = "";
    if (w->reader.fd >= 0)
        segment_name(name, here(w)->serial);
    *report = (struct journal_report){true, first_bad, next_good, "", w->at};
    memcpy(report->segment, name, sizeof name);
}

/* Walks over all that fits, from segment to segment. */
static int walk_all(struct walk *w, struct err *err)
{
    for (;;) {
        int rc = walk_records(w, err);
        if (rc != 0)
            return rc;
        if (goes_on(w)) {
            rc = enter(w, w->index + 1, err);
        } else {
            rc = skip_released(w, err);
            if (rc == 0)
                return 0;
            rc = rc == 1 ? 0 : rc;
        }
        if (rc != 0)
            return rc;
    }
}

/* --- the result ------------------------------------------------------------------------------- */

/* The last segment that begins at or below the first needed record; count when there is none. */
static size_t find_start(const struct segment_list *used, uint64_t needed)
{
    size_t start = used->count;
    for (size_t i = 0; i < used->count && used->items[i].first <= needed; i++)
        start = i;
    return start;
}

static int add_range(struct segment_list *to, const struct segment_list *from, size_t begin,
                     size_t end)
{
    int rc = 0;
    for (size_t i = begin; rc == 0 && i < end; i++)
        rc = segment_list_add(to, &from->items[i]);
    return rc;
}

/* Sorts the used segments into the lists. `begin`..`end` hold the good records. */
static int sort_out(struct recovery *r, const struct segment_list *used, size_t begin, size_t end,
                    struct err *err)
{
    int rc = add_range(&r->spare, used, 0, begin);
    if (rc == 0)
        rc = add_range(&r->live, used, begin, end);
    if (rc == 0)
        rc = add_range(&r->later, used, end, used->count);
    return rc == 0 ? 0 : err_sys(err, ENOMEM, "read the journal");
}

static int walk_journal(struct walk *w, struct err *err)
{
    struct recovery *r = w->r;
    const struct segment_list *used = w->used;
    uint64_t needed = w->released + 1, later;
    size_t start = find_start(used, needed);
    bool some = start < used->count;
    int rc = 0;
    if (some) {
        rc = enter(w, start, err);
        if (rc == 0)
            rc = walk_all(w, err);
    }
    bool reached = some && w->number >= needed;
    r->last = reached ? w->number - 1 : w->released;
    r->chain = reached ? w->chain : 0;
    if (rc == 0)
        rc = find_later(w, r->last + 1, &later, err);
    if (rc != 0)
        return rc;
    if (later != 0)
        report_damage(w, r->last + 1, later);
    if (reached)
        return sort_out(r, used, start, w->index + 1, err);
    /* Nothing needed is there: what stands before is history, what stands behind proves a loss. */
    size_t old = some ? w->index + 1 : 0;
    return sort_out(r, used, old, old, err);
}

int recovery_scan(struct recovery *out, int dirfd, const struct journal_options *options,
                  struct err *err)
{
    struct segment_list used = {0};
    struct walk walk = {
        .r = out,
        .used = &used,
        .reader = SEGMENT_READER_NONE,
        .dirfd = dirfd,
        .uuid = options->uuid,
        .released = options->released,
    };
    *out = (struct recovery){0};
    int rc = load_directory(out, &used, dirfd, options->uuid, err);
    if (rc == 0)
        rc = walk_journal(&walk, err);
    segment_reader_close(&walk.reader);
    segment_list_finish(&used);
    return rc;
}
