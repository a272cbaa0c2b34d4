#include "base/s2/frame.h"

#include <errno.h>

#include "base/bytes.h"

/*
 *   0  3  length of what follows, big-endian, 1 .. S2S_LENGTH_MAX
 *   3  1  flags
 *   4     payload; of a terminal frame two bytes of status, big-endian, and JSON
 */
#define LENGTH_SIZE 3
#define TERMINAL 0x80
#define CODING_SHIFT 5
#define CODING_MASK 3
#define RECONNECT 0x10
#define STATUS_SIZE 2
#define MESSAGE_MAX ((size_t)S2S_LENGTH_MAX - 1)

/* The flags are known before the payload is there, so what is wrong with them is said at once. */
static int read_head(struct s2s_frame *out, size_t length, uint8_t flags, struct err *err)
{
    unsigned coding = flags >> CODING_SHIFT & CODING_MASK;
    if (coding > CODING_GZIP)
        return err_set(err, ERR_FORMAT, "a frame with unknown compression %u", coding);
    bool terminal = flags & TERMINAL;
    if (terminal && length < 1 + STATUS_SIZE)
        return err_set(err, ERR_FORMAT, "a terminal frame without status");
    *out = (struct s2s_frame){
        .terminal = terminal,
        .reconnect = !terminal && flags & RECONNECT,
        .coding = terminal ? CODING_NONE : (enum coding)coding,
    };
    return 0;
}

int s2s_next(struct s2s_frame *out, struct span *rest, struct err *err)
{
    if (rest->len < LENGTH_SIZE)
        return ERR_END;
    size_t length = (size_t)rest->ptr[0] << 16 | (size_t)rest->ptr[1] << 8 | rest->ptr[2];
    if (length == 0 || length > S2S_LENGTH_MAX)
        return err_set(err, ERR_FORMAT, "a frame of %zu bytes (it has 1 to %d)", length,
                       S2S_LENGTH_MAX);
    if (rest->len < S2S_HEAD)
        return ERR_END;
    struct s2s_frame frame;
    int rc = read_head(&frame, length, rest->ptr[LENGTH_SIZE], err);
    if (rc < 0)
        return rc;
    if (rest->len < LENGTH_SIZE + length)
        return ERR_END;
    frame.payload = span_of(rest->ptr + S2S_HEAD, length - 1);
    *rest = span_of(rest->ptr + LENGTH_SIZE + length, rest->len - LENGTH_SIZE - length);
    if (frame.terminal) {
        frame.status = get_be16(frame.payload.ptr);
        frame.payload = span_of(frame.payload.ptr + STATUS_SIZE, frame.payload.len - STATUS_SIZE);
    }
    *out = frame;
    return 0;
}

int s2s_message(struct span *out, const struct s2s_frame *frame, struct buf *room, struct err *err)
{
    if (frame->coding == CODING_NONE) {
        *out = frame->payload;
        return 0;
    }
    buf_reset(room);
    int rc = coding_unpack(room, frame->coding, frame->payload, MESSAGE_MAX, err);
    if (rc == ERR_TOO_LARGE)
        return err_set(err, ERR_FORMAT, "a frame unpacks to more than %zu bytes", MESSAGE_MAX);
    if (rc == 0)
        *out = buf_span(room);
    return rc;
}

static void put_head(uint8_t *at, size_t length, unsigned flags)
{
    at[0] = (uint8_t)(length >> 16);
    at[1] = (uint8_t)(length >> 8);
    at[2] = (uint8_t)length;
    at[LENGTH_SIZE] = (uint8_t)flags;
}

/* Appends room for the head, and the payload; *coding falls to none where packing gains nothing. */
static int put_payload(struct buf *out, struct span message, enum coding *coding)
{
    int rc = buf_reserve(out, S2S_HEAD + message.len);
    if (rc < 0)
        return rc;
    out->len += S2S_HEAD;
    size_t start = out->len;
    if (message.len < S2S_PACK_FROM)
        *coding = CODING_NONE;
    if (*coding != CODING_NONE) {
        rc = coding_pack(out, *coding, message);
        if (rc < 0 || out->len - start < message.len)
            return rc;
        out->len = start;
        *coding = CODING_NONE;
    }
    return buf_add_span(out, message);
}

int s2s_put(struct buf *out, struct span message, enum coding coding, bool reconnect)
{
    size_t before = out->len;
    if (message.len > MESSAGE_MAX)
        return ERR_TOO_LARGE;
    int rc = put_payload(out, message, &coding);
    if (rc < 0) {
        out->len = before;
        return rc;
    }
    put_head(out->ptr + before, out->len - before - LENGTH_SIZE,
             (unsigned)coding << CODING_SHIFT | (reconnect ? RECONNECT : 0));
    return 0;
}

int s2s_put_terminal(struct buf *out, unsigned status, struct span json)
{
    size_t length = 1 + STATUS_SIZE + json.len;
    if (length > S2S_LENGTH_MAX)
        return ERR_TOO_LARGE;
    int rc = buf_reserve(out, LENGTH_SIZE + length);
    if (rc < 0)
        return rc;
    uint8_t *at = out->ptr + out->len;
    put_head(at, length, TERMINAL);
    put_be16(at + S2S_HEAD, (uint16_t)status);
    out->len += S2S_HEAD + STATUS_SIZE;
    return buf_add_span(out, json); /* there is room */
}
