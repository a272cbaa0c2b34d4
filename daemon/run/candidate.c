#include "daemon/run/candidate.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clean.h"
#include "base/fd.h"
#include "daemon/run/program_env.h"
#include "daemon/run/program_file.h"
#include "daemon/run/run_dir.h"

#define BLOCK (256 * 1024)

/* --- contents --------------------------------------------------------------------------------------- */

/* A content as it is read: bytes in memory, or a blob. */
struct source {
    struct span bytes;
    struct buf fetched;
    struct cas_reader *blob;
};

static void source_finish(struct source *source)
{
    cas_reader_close(source->blob);
    buf_finish(&source->fetched);
}

static int source_open(struct source *source, struct site *site, const struct frame *frame, struct err *err)
{
    enum store_place place = STORE_BLOB;
    *source = (struct source){.bytes = frame->has_content ? frame->content : (struct span){0}};
    if (frame->has_content || !frame->has_hash)
        return 0;
    int rc = frame->content_size > INLINE_MAX
                 ? 0
                 : store_content(site->store, frame->digest, &place, &source->fetched, err);
    source->bytes = buf_span(&source->fetched);
    if (rc == ERR_NOT_FOUND || (rc == 0 && place == STORE_BLOB))
        rc = cas_reader_open(site->cas, &source->blob, frame->digest, err);
    if (rc < 0)
        err_prefix(err, "the program's content");
    return rc;
}

/* Reads from `offset`; 0 bytes at the end. What is in memory comes at once. */
static int source_read(struct source *source, uint64_t offset, uint8_t *block, struct span *out, struct err *err)
{
    size_t got = 0;
    if (!source->blob) {
        *out = offset < source->bytes.len ? source->bytes : (struct span){0};
        return 0;
    }
    int rc = cas_reader_read(source->blob, offset, block, BLOCK, &got, err);
    *out = span_of(block, got);
    return rc;
}

/* --- writing the program ------------------------------------------------------------------------------- */

static int copy_program(struct source *source, int fd, uint8_t *block, struct err *err)
{
    struct span part;
    for (uint64_t at = 0;; at += part.len) {
        int rc = source_read(source, at, block, &part, err);
        if (rc < 0 || part.len == 0)
            return rc;
        rc = fd_write_all(fd, part);
        if (rc < 0)
            return err_sys(err, -rc, "write the program's file");
    }
}

static int name_files(struct candidate *c, struct err *err)
{
    char id[ID_TEXT_LEN + 1];
    id_format(id, c->id);
    if (asprintf(&c->directory, "%s/run/%s", c->site->path, id) < 0)
        c->directory = NULL;
    if (!c->directory || asprintf(&c->file, "%s/" RUN_DIR_PROGRAM, c->directory) < 0)
        c->file = NULL;
    return c->file ? 0 : err_set(err, -ENOMEM, "no memory for the program's path");
}

static int write_program(struct candidate *c, struct source *source, uint8_t *block, struct err *err)
{
    int fd;
    int rc = name_files(c, err);
    if (rc == 0)
        rc = run_dir_open(&c->dirfd, store_dirfd(c->site->store), c->id, err);
    if (rc == 0)
        rc = run_dir_begin_program(&fd, c->dirfd, err);
    if (rc < 0)
        return rc;
    rc = copy_program(source, fd, block, err);
    int end = run_dir_end_program(c->dirfd, fd, rc < 0 ? NULL : err);
    return rc < 0 ? rc : end;
}

/* --- preparing ---------------------------------------------------------------------------------------------- */

static int parse(struct candidate *c, struct err *err)
{
    struct words words;
    if (!words_parse(&words, c->frame->frame.topic))
        return err_set(err, ERR_INVALID, "the frame defines nothing");
    int rc = definition_parse(&c->def, &words, &c->frame->frame, err);
    c->parsed = rc == 0;
    return rc;
}

static int check(struct candidate *c, enum program_form form, struct span head, struct err *err)
{
    CLEAN_FREE char *path = program_path(&c->def);
    c->shell = form == FORM_OTHER;
    return program_check(form, head, path, err);
}

static int prepare_content(struct candidate *c, struct source *source, struct err *err)
{
    struct span head;
    CLEAN_FREE uint8_t *block = source->blob ? malloc(BLOCK) : NULL;
    if (source->blob && !block)
        return err_set(err, -ENOMEM, "no memory to read the program");
    int rc = source_read(source, 0, block, &head, err);
    if (rc < 0)
        return rc;
    if (head.len > PROGRAM_HEAD)
        head.len = PROGRAM_HEAD;
    enum program_form form = definition_form(head);
    c->defines = c->words == WORDS_NEW || form == FORM_SCRIPT || form == FORM_ELF;
    if (!c->defines)
        return 0;
    rc = parse(c, err);
    if (rc == 0)
        rc = check(c, form, head, err);
    return rc == 0 ? write_program(c, source, block, err) : rc;
}

static long keep(void *arg, const struct store_item *item)
{
    struct candidate *c = arg;
    c->frame = kept_frame(item->frame);
    return c->frame ? 1 : -ENOMEM;
}

static int prepare(struct candidate *c, struct err *err)
{
    struct source source;
    int rc = c->frame ? 0 : store_get(c->site->store, c->id, keep, c, err);
    if (rc < 0)
        return rc;
    struct words words;
    if (words_parse(&words, c->frame->frame.topic))
        c->words = words.words;
    rc = source_open(&source, c->site, &c->frame->frame, err);
    if (rc == 0)
        rc = prepare_content(c, &source, err);
    source_finish(&source);
    return rc;
}

static bool is_our_fault(int code)
{
    return code < 0 && code != ERR_INVALID && code != ERR_NOT_FOUND && code != ERR_TOO_LARGE && code != ERR_DAMAGED;
}

void candidate_prepare(struct candidate *c)
{
    c->err = ERR_INIT;
    c->result = prepare(c, &c->err);
    c->our_fault = is_our_fault(c->result);
    free(c->frame); /* the definition has what is needed of it */
    c->frame = NULL;
}

static void work(struct job *job)
{
    candidate_prepare(candidate_of(job));
}

void candidate_submit(struct candidate *c, void (*after)(struct job *job))
{
    c->state = CANDIDATE_PREPARING;
    c->supposed = c->defines;
    c->job = (struct job){.work = work, .after = after};
    pool_submit(c->site->daemon->loop, &c->job);
}

/* --- life ------------------------------------------------------------------------------------------------------ */

struct candidate *candidate_create(struct site *site, struct frame_id id, const struct frame *frame)
{
    struct candidate *c = calloc(1, sizeof(*c));
    if (!c)
        return NULL;
    *c = (struct candidate){.site = site, .id = id, .dirfd = -1};
    if (frame && !(c->frame = kept_frame(frame))) {
        free(c);
        return NULL;
    }
    return c;
}

void candidate_destroy(struct candidate *c)
{
    if (!c)
        return;
    if (c->parsed)
        definition_finish(&c->def);
    if (c->dirfd >= 0)
        close(c->dirfd);
    free(c->frame);
    free(c->directory);
    free(c->file);
    free(c);
}

bool candidate_defines(struct site *site, enum program_words words, const struct frame *frame)
{
    uint8_t head[16];
    struct source source;
    if (words == WORDS_NEW)
        return true;
    if (frame->has_content || !frame->has_hash) {
        enum program_form form = definition_form(frame->has_content ? frame->content : (struct span){0});
        return form == FORM_SCRIPT || form == FORM_ELF;
    }
    size_t got = 0;
    int rc = source_open(&source, site, frame, NULL);
    struct span first = source.bytes;
    if (rc == 0 && source.blob) {
        rc = cas_reader_read(source.blob, 0, head, sizeof(head), &got, NULL);
        first = span_of(head, got);
    }
    enum program_form form = rc == 0 ? definition_form(first) : FORM_NONE;
    source_finish(&source);
    return form == FORM_SCRIPT || form == FORM_ELF;
}
