/*
 * Reading a segment's records through a bounded window.
 */
#include "store/segment_reader.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define WINDOW (256 * 1024)

int segment_reader_open(struct segment_reader *reader, int dirfd, const struct segment *segment,
                        const uint8_t uuid[static 16], struct err *err)
{
    char name[SEGMENT_NAME_SIZE];
    segment_name(name, segment->serial);
    int fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return err_sys(err, errno, "open journal segment %s", name);
    *reader = (struct segment_reader){.fd = fd, .size = segment->size, .uuid = uuid};
    return 0;
}

void segment_reader_close(struct segment_reader *reader)
{
    if (reader->fd >= 0)
        close(reader->fd);
    buf_finish(&reader->window);
    *reader = SEGMENT_READER_NONE;
}

/* Fills the window from `offset` on with at least `len` bytes unless the file ends. */
static int fill(struct segment_reader *r, uint64_t offset, size_t len, struct err *err)
{
    uint64_t left = r->size - offset;
    size_t want = len > WINDOW ? len : left < WINDOW ? (size_t)left : WINDOW;
    buf_reset(&r->window);
    r->at = offset;
    if (buf_reserve(&r->window, want) != 0)
        return err_sys(err, ENOMEM, "read the journal");
    while (r->window.len < want) {
        ssize_t n = segment_calls.pread(r->fd, r->window.ptr + r->window.len, want - r->window.len,
                                        (off_t)(offset + r->window.len));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_sys(err, errno, "read the journal");
        if (n == 0)
            break;
        r->window.len += (size_t)n;
    }
    return 0;
}

/* Points *out at `len` bytes from `offset`. ERR_DAMAGED when the file has not so many. */
static int look(struct segment_reader *r, uint64_t offset, size_t len, const uint8_t **out,
                struct err *err)
{
    if (offset > r->size || len > r->size - offset)
        return ERR_DAMAGED;
    if (offset < r->at || offset + len > r->at + r->window.len) {
        int rc = fill(r, offset, len, err);
        if (rc != 0)
            return rc;
        if (r->window.len < len)
            return ERR_DAMAGED;
    }
    *out = r->window.ptr + (offset - r->at);
    return 0;
}

int segment_reader_get(struct segment_reader *reader, uint64_t offset, struct segment_record *head,
                       struct span *payload, struct err *err)
{
    const uint8_t *p;
    *head = (struct segment_record){0};
    int rc = look(reader, offset, SEGMENT_RECORD_HEAD, &p, err);
    if (rc != 0)
        return rc;
    if (!segment_get_record(head, p, reader->uuid))
        return ERR_DAMAGED;
    /* One look for head and payload: a second could move the window away from the first. */
    rc = look(reader, offset, SEGMENT_RECORD_HEAD + (size_t)head->len, &p, err);
    if (rc != 0)
        return rc;
    *payload = span_of(p + SEGMENT_RECORD_HEAD, head->len);
    return segment_check(p, *payload) == head->check ? 0 : ERR_DAMAGED;
}

/* Reads just the head at `offset`. ERR_DAMAGED when none stands there. */
static int peek(struct segment_reader *reader, uint64_t offset, struct segment_record *head,
                struct err *err)
{
    const uint8_t *p;
    int rc = look(reader, offset, SEGMENT_RECORD_HEAD, &p, err);
    if (rc != 0)
        return rc;
    return segment_get_record(head, p, reader->uuid) ? 0 : ERR_DAMAGED;
}

int segment_reader_find(struct segment_reader *reader, uint64_t offset, uint64_t generation,
                        uint64_t least, struct segment_record *head, uint64_t *found,
                        struct err *err)
{
    while (offset + SEGMENT_RECORD_HEAD <= reader->size) {
        struct segment_record seen;
        struct span payload;
        int rc = peek(reader, offset, &seen, err);
        if (rc != 0 && rc != ERR_DAMAGED)
            return rc;
        if (rc != 0 || (generation != 0 && seen.generation != generation)) {
            offset += 8; /* also for a head of an earlier use: its length is history */
            continue;
        }
        rc = segment_reader_get(reader, offset, &seen, &payload, err);
        if (rc != 0 && rc != ERR_DAMAGED)
            return rc;
        if (rc == 0 && seen.number >= least) {
            *head = seen;
            *found = offset;
            return 0;
        }
        /* The head's checksum holds, so its length does: what lies inside is payload and may look
           like anything. */
        offset += segment_record_size(seen.len);
    }
    return ERR_NOT_FOUND;
}
