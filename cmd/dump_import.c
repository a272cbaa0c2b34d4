#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clean.h"
#include "base/json.h"
#include "base/text.h"
#include "cmd/bulk.h"
#include "cmd/dump_dir.h"

#define NAME_LEN 68      /* base64 of the 51 characters of a hash text */
#define OUT_WANTED 65536 /* lines are gathered to this before they are sent */

/* A content of the dump. */
struct content {
    uint8_t digest[32];
    uint64_t size;
    bool sent; /* by itself or inside a line */
};

struct dump {
    const struct call *call;
    struct weir *w;
    int casfd;                /* -1 when there is no cas/ */
    struct content *contents; /* sorted by digest */
    size_t count;
    size_t room;
    FILE *frames;
    char *line; /* getline's */
    size_t line_room;
    struct buf out; /* lines ready to be sent, from out_at on */
    size_t out_at;
    struct progress progress;
    struct err err; /* why the reader gave up */
};

/* --- the list of contents --------------------------------------------------------------------- */

static int by_digest(const void *a, const void *b)
{
    return memcmp(((const struct content *)a)->digest, ((const struct content *)b)->digest, 32);
}

static int digest_of_name(uint8_t digest[static 32], const char *name)
{
    CLEAN_BUF text = BUF_INIT;
    int rc = b64_decode(&text, span_str(name), NULL);
    if (rc == 0 && (text.len != SRI_TEXT_LEN || strlen(name) != NAME_LEN))
        rc = ERR_INVALID;
    return rc == 0 ? sri_parse(digest, buf_span(&text), NULL) : rc;
}

static int name_of_digest(struct buf *name, const uint8_t digest[static 32])
{
    char hash[SRI_TEXT_LEN + 1];
    sri_format(hash, digest);
    buf_reset(name);
    return b64_encode(name, span_str(hash)) == 0 && buf_cstr(name) ? 0 : -ENOMEM;
}

static int add_content(struct dump *d, const char *name)
{
    struct stat st;
    struct content c = {.sent = false};
    if (digest_of_name(c.digest, name) != 0)
        return call_failf(d->call, "cas/%s: the name is not the base64 of a sha256 hash text",
                          name);
    if (fstatat(d->casfd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return call_failf(d->call, "cas/%s: %s", name, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return call_failf(d->call, "cas/%s is not a file", name);
    if (d->count == d->room) {
        size_t room = d->room ? d->room * 2 : 256;
        struct content *more = realloc(d->contents, room * sizeof(*more));
        if (!more)
            return call_failf(d->call, "out of memory");
        d->contents = more;
        d->room = room;
    }
    c.size = (uint64_t)st.st_size;
    d->progress.total += c.size;
    d->contents[d->count++] = c;
    return 0;
}

static int list_contents(struct dump *d, int dirfd)
{
    d->casfd = openat(dirfd, "cas", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (d->casfd < 0)
        return errno == ENOENT ? 0 : call_failf(d->call, "cas: %s", strerror(errno));
    int copy = openat(d->casfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CLEAN_DIR DIR *dir = copy >= 0 ? fdopendir(copy) : NULL;
    if (!dir)
        return call_failf(d->call, "cas: %s", strerror(errno));
    struct dirent *e;
    errno = 0;
    while ((e = readdir(dir)) != NULL) {
        int rc = e->d_name[0] == '.' ? 0 : add_content(d, e->d_name);
        if (rc != 0)
            return rc;
        errno = 0;
    }
    if (errno != 0)
        return call_failf(d->call, "cas: %s", strerror(errno));
    if (d->count > 0)
        qsort(d->contents, d->count, sizeof(*d->contents), by_digest);
    return 0;
}

static struct content *find_content(const struct dump *d, const uint8_t digest[static 32])
{
    struct content key = {.sent = false};
    memcpy(key.digest, digest, 32);
    return d->count ? bsearch(&key, d->contents, d->count, sizeof(key), by_digest) : NULL;
}

/* --- contents by themselves ------------------------------------------------------------------- */

static int open_content(const struct dump *d, const struct content *c, struct err *err)
{
    CLEAN_BUF name = BUF_INIT;
    if (name_of_digest(&name, c->digest) != 0)
        return err_set(err, -ENOMEM, "out of memory");
    int fd = openat(d->casfd, buf_cstr(&name), O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    return fd >= 0 ? fd : err_sys(err, errno, "cas/%s", buf_cstr(&name));
}

/* The answer names the content the daemon has: it must be the one the file's name promises. */
static int compare_answer(const struct dump *d, const struct content *c, struct span answer)
{
    char want[SRI_TEXT_LEN + 1];
    sri_format(want, c->digest);
    while (answer.len > 0 && answer.ptr[answer.len - 1] == '\n')
        answer.len--;
    if (span_is(answer, want))
        return 0;
    return call_failf(d->call, "the content in the file for %s is another: %.*s", want,
                      SPAN_ARG(answer));
}

static int post_content(struct dump *d, struct content *c)
{
    struct err err = ERR_INIT;
    struct weir_response res;
    CLEAN_FREE char *hash = NULL;
    size_t len;
    CLEAN_FD int fd = open_content(d, c, &err);
    if (fd < 0)
        return call_fail(d->call, &err);
    struct bulk_source source = {.fd = fd, .progress = &d->progress};
    struct weir_request req = {.method = "POST",
                               .target = "/cas",
                               .has_body = true,
                               .read = bulk_read,
                               .read_arg = &source};
    int rc = weir_request(d->w, &req, &res, &err);
    if (rc == 0)
        rc = weir_check(d->w, &res, &err);
    if (rc == 0)
        rc = weir_read_all(d->w, &hash, &len, 4096, &err);
    if (rc != 0)
        return call_fail(d->call, &err);
    c->sent = true;
    return compare_answer(d, c, span_of(hash, len));
}

/* Before the frames, those too large for a line; after them, those that no frame named. */
static int post_contents(struct dump *d, bool large_only)
{
    for (size_t i = 0; i < d->count; i++) {
        struct content *c = &d->contents[i];
        if (c->sent || c->size == 0 || (large_only && c->size <= DUMP_INLINE_MAX))
            continue;
        int rc = post_content(d, c);
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* --- the lines -------------------------------------------------------------------------------- */

/* The content that a frame's line names and the dump has, when it is to travel in the line. */
static struct content *line_content(const struct dump *d, struct span line)
{
    struct json_iter it;
    struct span key;
    struct json_value value;
    uint8_t digest[32];
    struct content *found = NULL;
    if (json_validate(line, META_DEPTH + 1, NULL, NULL) != 0 || json_type_of(line) != JSON_OBJECT ||
        json_iter_init(&it, line) != 0)
        return NULL;
    while (json_iter_next(&it, &key, &value)) {
        if (json_string_is(key, "content") || json_string_is(key, "content_base64"))
            return NULL;
        if (!json_string_is(key, "hash") || value.type != JSON_STRING || value.raw.len < 2)
            continue;
        CLEAN_BUF hash = BUF_INIT;
        if (json_string_decode(value.raw, &hash, NULL) == 0 &&
            sri_parse(digest, buf_span(&hash), NULL) == 0)
            found = find_content(d, digest);
    }
    return found && found->size > 0 && found->size <= DUMP_INLINE_MAX ? found : NULL;
}

static int read_content(struct dump *d, const struct content *c, struct buf *into)
{
    CLEAN_FD int fd = open_content(d, c, &d->err);
    struct bulk_source source = {.fd = fd};
    long n = 1;
    if (fd < 0)
        return fd;
    /* One byte more than is expected, so that a file that grew meanwhile is noticed by its hash. */
    while (n > 0 && into->len <= DUMP_INLINE_MAX) {
        if (buf_reserve(into, c->size + 1) != 0)
            return err_set(&d->err, -ENOMEM, "out of memory");
        n = bulk_read(&source, into->ptr + into->len, into->cap - into->len);
        into->len += n > 0 ? (size_t)n : 0;
    }
    return n < 0 ? err_sys(&d->err, (int)-n, "read a content") : 0;
}

/* Puts the content in: {...} becomes {...,"content_base64":"..."}. */
static int add_inline(struct dump *d, struct span line, struct content *c)
{
    CLEAN_BUF bytes = BUF_INIT;
    int rc = read_content(d, c, &bytes);
    if (rc != 0)
        return rc;
    while (line.len > 0 && line.ptr[line.len - 1] != '}')
        line.len--;
    line.len--;
    if (buf_add_span(&d->out, line) != 0 || buf_add_str(&d->out, ",\"content_base64\":\"") != 0 ||
        b64_encode(&d->out, buf_span(&bytes)) != 0 || buf_add_str(&d->out, "\"}\n") != 0)
        return err_set(&d->err, -ENOMEM, "out of memory");
    if (!c->sent)
        d->progress.bytes += c->size;
    c->sent = true;
    return 0;
}

/* Makes the next line ready. 1 when there is one, 0 at the end. */
static int next_line(struct dump *d)
{
    errno = 0;
    ssize_t n = getline(&d->line, &d->line_room, d->frames);
    if (n < 0)
        return errno == 0 || feof(d->frames) ? 0 : err_sys(&d->err, errno, "read frames.jsonl");
    struct span line = span_of(d->line, (size_t)n);
    d->progress.frames++;
    d->progress.bytes += line.len;
    progress_tick(&d->progress);
    struct content *c = line_content(d, line);
    if (c) {
        int rc = add_inline(d, line, c);
        return rc == 0 ? 1 : rc;
    }
    /* A line that is no frame goes out as it stands: the daemon names it in its refusal. */
    bool ended = line.ptr[line.len - 1] == '\n';
    if (buf_add_span(&d->out, line) != 0 || (!ended && buf_add_str(&d->out, "\n") != 0))
        return err_set(&d->err, -ENOMEM, "out of memory");
    return 1;
}

static long read_lines(void *arg, void *into, size_t room)
{
    struct dump *d = arg;
    if (d->out_at == d->out.len) {
        int more = 1;
        buf_reset(&d->out);
        d->out_at = 0;
        while (more > 0 && d->out.len < OUT_WANTED)
            more = next_line(d);
        if (more < 0)
            return more;
    }
    size_t n = d->out.len - d->out_at < room ? d->out.len - d->out_at : room;
    if (n > 0)
        memcpy(into, d->out.ptr + d->out_at, n);
    d->out_at += n;
    return (long)n;
}

static int send_lines(struct dump *d, const char *target)
{
    const struct weir_header type = {"Content-Type", "application/x-ndjson"};
    struct weir_request req = {.method = "POST",
                               .target = target,
                               .headers = &type,
                               .header_count = 1,
                               .has_body = true,
                               .read = read_lines,
                               .read_arg = d};
    struct progress shown = d->progress;
    int rc = bulk_send(d->call, d->w, &req, &d->progress, "imported");
    d->progress.on = shown.on;
    return rc;
}

static void finish(struct dump *d)
{
    progress_end(&d->progress);
    if (d->frames)
        fclose(d->frames);
    if (d->casfd >= 0)
        close(d->casfd);
    free(d->line);
    free(d->contents);
    buf_finish(&d->out);
}

static int open_frames(struct dump *d, int dirfd)
{
    struct stat st;
    int fd = openat(dirfd, "frames.jsonl", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return call_failf(d->call, "no dump: frames.jsonl: %s", strerror(errno));
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
        d->progress.total += (uint64_t)st.st_size;
    d->frames = fdopen(fd, "r");
    if (d->frames)
        return 0;
    close(fd);
    return call_failf(d->call, "out of memory");
}

int dump_dir_import(const struct call *call, struct weir *w, const char *target, int dirfd)
{
    struct dump d = {.call = call, .w = w, .casfd = -1};
    progress_begin(&d.progress, "import", 0);
    int rc = open_frames(&d, dirfd);
    if (rc == 0)
        rc = list_contents(&d, dirfd);
    if (rc == 0)
        rc = post_contents(&d, true);
    if (rc == 0)
        rc = send_lines(&d, target);
    if (rc == 0)
        rc = post_contents(&d, false);
    finish(&d);
    return rc;
}
