/* weir decode --verify and --repair. */
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/clean.h"
#include "base/json.h"
#include "bridge/io/ss_file.h"
#include "cmd/decode.h"
#include "cmd/human.h"
#include "cmd/output.h"
#include "cmd/progress.h"

#define REPAIR_PASSES 3

/* What is gathered while the file is read. */
struct looking {
    const struct decode *d;
    struct progress progress;
    uint64_t size;
    struct buf faults; /* lines for people, or the elements of a JSON array */
    bool failed;       /* no memory */
};

/* --- meanwhile -------------------------------------------------------------------------------- */

static int add_fault(struct looking *l, uint64_t offset, const char *text)
{
    struct buf *out = &l->faults;
    if (l->d->people)
        return buf_addf(out, "  offset %" PRIu64 ": %s\n", offset, text);
    int rc = buf_addf(out, "%s{\"offset\":%" PRIu64 ",\"fault\":", out->len > 0 ? "," : "", offset);
    if (rc == 0)
        rc = json_put_string(out, span_str(text));
    return rc == 0 ? buf_add_str(out, "}") : rc;
}

static void on_fault(void *arg, uint64_t offset, const char *text)
{
    struct looking *l = arg;
    if (add_fault(l, offset, text) != 0)
        l->failed = true;
}

static void on_tick(void *arg, uint64_t bytes)
{
    struct looking *l = arg;
    if (bytes > l->size)
        l->progress.total = l->size * REPAIR_PASSES;
    l->progress.bytes = bytes;
    progress_tick(&l->progress);
}

static void begin(struct looking *l, const char *what)
{
    struct stat st;
    l->size = stat(l->d->path, &st) == 0 && st.st_size > 0 ? (uint64_t)st.st_size : 0;
    progress_begin(&l->progress, what, l->size);
}

/* --- JSON ------------------------------------------------------------------------------------- */

static int put_members(struct buf *out, const struct ss_report *r)
{
    const struct {
        const char *name;
        uint64_t value;
    } numbers[] = {{"bytes", r->size},         {"messages", r->messages},   {"streams", r->streams},
                   {"beacons", r->beacons},    {"good_bytes", r->good},     {"lost_bytes", r->lost},
                   {"torn_bytes", r->torn},    {"behind_bytes", r->behind}, {"odd_items", r->odd_items}};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < sizeof(numbers) / sizeof(numbers[0]); i++)
        rc = buf_addf(out, ",\"%s\":%" PRIu64, numbers[i].name, numbers[i].value);
    return rc == 0 ? buf_addf(out, ",\"ended\":%s", r->ended ? "true" : "false") : rc;
}

/* `kept`: NULL, or the old file's new name. */
static int put_json(struct buf *out, const struct looking *l, const struct ss_report *r, bool repair, const char *kept)
{
    int rc = buf_add_str(out, "{\"file\":");
    if (rc == 0)
        rc = json_put_string(out, span_str(l->d->path));
    if (rc == 0)
        rc = put_members(out, r);
    if (rc == 0 && repair)
        rc = buf_addf(out, ",\"changed\":%s", kept ? "true" : "false");
    if (rc == 0 && kept) {
        rc = buf_add_str(out, ",\"kept\":");
        if (rc == 0)
            rc = json_put_string(out, span_str(kept));
    }
    if (rc == 0)
        rc = buf_add_str(out, ",\"faults\":[");
    if (rc == 0)
        rc = buf_add_span(out, buf_span(&l->faults));
    return rc == 0 ? buf_add_str(out, "]}") : rc;
}

/* --- for people ------------------------------------------------------------------------------- */

static int put_count(struct buf *out, uint64_t n, const char *what)
{
    int rc = human_count(out, n);
    return rc == 0 ? buf_addf(out, " %s%s", what, n == 1 ? "" : "s") : rc;
}

static int put_note(struct buf *out, uint64_t n, const char *what, const char *text)
{
    if (n == 0)
        return 0;
    int rc = buf_add_str(out, "  note: ");
    if (rc == 0)
        rc = put_count(out, n, what);
    return rc == 0 ? buf_addf(out, " %s\n", text) : rc;
}

static int put_notes(struct buf *out, const struct ss_report *r)
{
    int rc = put_note(out, r->torn, "byte", "of an incomplete message at the end");
    if (rc == 0 && r->faults == 0)
        rc = put_note(out, r->behind, "byte", "behind the end mark, which nobody reads");
    if (rc == 0)
        rc = put_note(out, r->odd_items, "item",
                      "of beacons that do not fit; some writers make such ones when they reopen a file");
    return rc;
}

static int put_text(struct buf *out, const struct looking *l, const struct ss_report *r)
{
    int rc = buf_addf(out, "%s: ", l->d->path);
    if (rc == 0)
        rc = put_count(out, r->messages, "message");
    if (rc == 0)
        rc = buf_add_str(out, " in ");
    if (rc == 0)
        rc = put_count(out, r->streams, "stream");
    if (rc == 0)
        rc = buf_add_str(out, ", ");
    if (rc == 0)
        rc = put_count(out, r->beacons, "beacon");
    if (rc == 0)
        rc = buf_add_str(out, ", ");
    if (rc == 0)
        rc = put_count(out, r->size, "byte");
    if (rc == 0)
        rc = buf_add_str(out, r->ended ? ", ended\n" : ", not ended\n");
    if (rc == 0)
        rc = buf_add_span(out, buf_span(&l->faults));
    if (rc == 0)
        rc = put_notes(out, r);
    return rc == 0 && r->faults == 0 ? buf_add_str(out, "  no damage\n") : rc;
}

/* --- the two ---------------------------------------------------------------------------------- */

static int print(const struct looking *l, const struct ss_report *r, bool repair, const char *kept)
{
    struct err err = ERR_INIT;
    CLEAN_BUF text = BUF_INIT;
    CLEAN_BUF safe = BUF_INIT;
    const struct call *call = l->d->call;
    int rc = l->d->people ? put_text(&text, l, r) : put_json(&text, l, r, repair, kept);
    if (rc != 0 || l->failed || (l->d->people && human_bytes(&safe, buf_span(&text)) != 0))
        return call_failf(call, "out of memory");
    if (!l->d->people)
        return output_line(call, buf_span(&text));
    return output_write(buf_span(&safe), &err) < 0 ? call_fail(call, &err) : 0;
}

int decode_verify(const struct decode *d)
{
    struct err err = ERR_INIT;
    struct ss_report report;
    struct looking l = {.d = d};
    const struct ss_looker looker = {on_fault, on_tick, &l};
    begin(&l, "verify");
    int rc = ss_file_verify(d->path, &report, &looker, &err);
    progress_end(&l.progress);
    int status = rc == 0 ? print(&l, &report, false, NULL) : call_fail(d->call, &err);
    if (rc == 0 && status == 0 && report.faults > 0)
        status = call_failf(d->call, "%s is damaged; `%s decode --repair' saves what can be read", d->path, d->call->program);
    buf_finish(&l.faults);
    return status;
}

int decode_repair(const struct decode *d)
{
    struct err err = ERR_INIT;
    struct ss_report report;
    struct looking l = {.d = d};
    const struct ss_looker looker = {on_fault, on_tick, &l};
    CLEAN_FREE char *kept = NULL;
    bool changed;
    begin(&l, "repair");
    int rc = ss_file_repair(d->path, &changed, &kept, &report, &looker, &err);
    progress_end(&l.progress);
    int status = rc == 0 ? print(&l, &report, true, kept) : call_fail(d->call, &err);
    if (rc == 0 && changed)
        call_note(d->call, "%s holds %" PRIu64 " messages now; the old file is %s", d->path, report.messages, kept);
    buf_finish(&l.faults);
    return status;
}
