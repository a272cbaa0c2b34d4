#include "base/text.h"
#include "base/s2/coding.h"

#define ZLIB_CONST /* its input is const */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <strings.h>
#include <zlib.h>
#include <zstd.h>

#define LEVEL_ZSTD 1 /* bodies are packed on their way, so speed counts */
#define LEVEL_GZIP 1
#define GZIP_BITS (15 + 16) /* a gzip head and tail around it */
#define WINDOW_LOG_MAX 23   /* of zstd input: more memory than 8 MiB is not kept for it */
#define UNPACK_FIRST ((size_t)16 * 1024)

/* --- names
 * ------------------------------------------------------------------------------------------------
 */

bool coding_parse(enum coding *out, struct span text)
{
    text = text_trim(text);
    if (text.len == 0 || text_is_word(text, "identity"))
        *out = CODING_NONE;
    else if (text_is_word(text, "zstd"))
        *out = CODING_ZSTD;
    else if (text_is_word(text, "gzip") || text_is_word(text, "x-gzip"))
        *out = CODING_GZIP;
    else
        return false;
    return true;
}

const char *coding_name(enum coding coding)
{
    static const char *const names[] = {
        [CODING_NONE] = NULL, [CODING_ZSTD] = "zstd", [CODING_GZIP] = "gzip"};
    return names[coding];
}

/* Takes what stands before the next `mark` off the rest. */
static struct span take(struct span *rest, char mark)
{
    const uint8_t *end = rest->len > 0 ? memchr(rest->ptr, mark, rest->len) : NULL;
    struct span found = {rest->ptr, end ? (size_t)(end - rest->ptr) : rest->len};
    size_t used = end ? found.len + 1 : found.len;
    *rest = used > 0 ? span_of(rest->ptr + used, rest->len - used) : *rest;
    return text_trim(found);
}

/* A quality of 0, 0. or 0.000. */
static bool is_zero(struct span weight)
{
    bool zero = weight.len > 0;
    for (size_t i = 0; i < weight.len; i++)
        zero = zero && (weight.ptr[i] == '0' || (weight.ptr[i] == '.' && i == 1));
    return zero;
}

static bool is_refused(struct span parameters)
{
    while (parameters.len > 0) {
        struct span weight = take(&parameters, ';');
        struct span name = take(&weight, '=');
        if (text_is_word(name, "q") && is_zero(text_trim(weight)))
            return true;
    }
    return false;
}

enum coding coding_choose(struct span accept)
{
    bool gzip = false;
    while (accept.len > 0) {
        struct span entry = take(&accept, ',');
        struct span name = take(&entry, ';');
        enum coding coding;
        if (name.len == 0 || !coding_parse(&coding, name) || is_refused(entry))
            continue;
        if (coding == CODING_ZSTD)
            return coding;
        gzip = gzip || coding == CODING_GZIP;
    }
    return gzip ? CODING_GZIP : CODING_NONE;
}

/* --- the working memory of a thread: made when it is first needed, freed with the thread ------ */

struct works {
    ZSTD_CCtx *zstd_out;
    ZSTD_DCtx *zstd_in;
    z_stream gzip_out, gzip_in;
    bool has_gzip_out, has_gzip_in;
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t key;
static bool has_key;

static void works_free(void *arg)
{
    struct works *works = arg;
    ZSTD_freeCCtx(works->zstd_out);
    ZSTD_freeDCtx(works->zstd_in);
    if (works->has_gzip_out)
        deflateEnd(&works->gzip_out);
    if (works->has_gzip_in)
        inflateEnd(&works->gzip_in);
    free(works);
}

static void make_key(void)
{
    has_key = pthread_key_create(&key, works_free) == 0;
}

static struct works *works_get(void)
{
    pthread_once(&once, make_key);
    if (!has_key)
        return NULL;
    struct works *works = pthread_getspecific(key);
    if (works)
        return works;
    works = calloc(1, sizeof(*works));
    if (works && pthread_setspecific(key, works) != 0) {
        free(works);
        works = NULL;
    }
    return works;
}

static ZSTD_CCtx *zstd_out(struct works *works)
{
    if (!works->zstd_out)
        works->zstd_out = ZSTD_createCCtx();
    return works->zstd_out;
}

static ZSTD_DCtx *zstd_in(struct works *works)
{
    if (!works->zstd_in) {
        works->zstd_in = ZSTD_createDCtx();
        if (works->zstd_in)
            ZSTD_DCtx_setParameter(works->zstd_in, ZSTD_d_windowLogMax, WINDOW_LOG_MAX);
    }
    if (works->zstd_in)
        ZSTD_DCtx_reset(works->zstd_in, ZSTD_reset_session_only);
    return works->zstd_in;
}

static z_stream *gzip_out(struct works *works)
{
    if (works->has_gzip_out)
        return deflateReset(&works->gzip_out) == Z_OK ? &works->gzip_out : NULL;
    works->has_gzip_out = deflateInit2(&works->gzip_out, LEVEL_GZIP, Z_DEFLATED, GZIP_BITS, 8,
                                       Z_DEFAULT_STRATEGY) == Z_OK;
    return works->has_gzip_out ? &works->gzip_out : NULL;
}

static z_stream *gzip_in(struct works *works)
{
    if (works->has_gzip_in)
        return inflateReset(&works->gzip_in) == Z_OK ? &works->gzip_in : NULL;
    works->has_gzip_in = inflateInit2(&works->gzip_in, GZIP_BITS) == Z_OK;
    return works->has_gzip_in ? &works->gzip_in : NULL;
}

/* --- packing
 * -----------------------------------------------------------------------------------------------
 */

static int pack_zstd(struct buf *out, struct works *works, struct span bytes)
{
    ZSTD_CCtx *context = zstd_out(works);
    size_t room = ZSTD_compressBound(bytes.len);
    if (!context || buf_reserve(out, room) < 0)
        return -ENOMEM;
    size_t len =
        ZSTD_compressCCtx(context, out->ptr + out->len, room, bytes.ptr, bytes.len, LEVEL_ZSTD);
    if (ZSTD_isError(len))
        return -ENOMEM; /* with all the room it can need nothing else fails */
    out->len += len;
    return 0;
}

static int pack_gzip(struct buf *out, struct works *works, struct span bytes)
{
    z_stream *stream = gzip_out(works);
    size_t room = stream && bytes.len < UINT32_MAX / 2 ? deflateBound(stream, bytes.len) : 0;
    if (room == 0 || buf_reserve(out, room) < 0)
        return -ENOMEM;
    stream->next_in = bytes.len > 0 ? bytes.ptr : out->ptr;
    stream->avail_in = (unsigned)bytes.len;
    stream->next_out = out->ptr + out->len;
    stream->avail_out = (unsigned)room;
    if (deflate(stream, Z_FINISH) != Z_STREAM_END)
        return -ENOMEM;
    out->len += room - stream->avail_out;
    return 0;
}

int coding_pack(struct buf *out, enum coding coding, struct span bytes)
{
    if (coding == CODING_NONE)
        return buf_add_span(out, bytes);
    struct works *works = works_get();
    if (!works)
        return -ENOMEM;
    return coding == CODING_ZSTD ? pack_zstd(out, works, bytes) : pack_gzip(out, works, bytes);
}

/* --- unpacking -------------------------------------------------------------------------------- */

/* What unpacks, a step at a time. */
struct unpacking {
    ZSTD_DCtx *zstd; /* or */
    z_stream *gzip;
    struct span rest; /* input not yet taken */
    bool ended;       /* the input's own end came */
};

static int step_zstd(struct unpacking *u, uint8_t *into, size_t room, size_t *made)
{
    ZSTD_inBuffer in = {u->rest.ptr, u->rest.len, 0};
    ZSTD_outBuffer out = {into, room, 0};
    size_t rc = ZSTD_decompressStream(u->zstd, &out, &in);
    if (ZSTD_isError(rc))
        return ERR_FORMAT;
    u->rest = span_of(u->rest.ptr + in.pos, u->rest.len - in.pos);
    u->ended = rc == 0;
    *made = out.pos;
    return 0;
}

static int step_gzip(struct unpacking *u, uint8_t *into, size_t room, size_t *made)
{
    size_t given = u->rest.len < UINT32_MAX ? u->rest.len : UINT32_MAX;
    z_stream *stream = u->gzip;
    stream->next_in = u->rest.ptr;
    stream->avail_in = (unsigned)given;
    stream->next_out = into;
    stream->avail_out = (unsigned)room;
    int rc = inflate(stream, Z_NO_FLUSH);
    if (rc == Z_MEM_ERROR)
        return -ENOMEM;
    if (rc != Z_OK && rc != Z_STREAM_END && rc != Z_BUF_ERROR)
        return ERR_FORMAT;
    size_t used = given - stream->avail_in;
    u->rest = span_of(u->rest.ptr + used, u->rest.len - used);
    u->ended = rc == Z_STREAM_END;
    *made = room - stream->avail_out;
    return 0;
}

static int step(struct unpacking *u, uint8_t *into, size_t room, size_t *made)
{
    return u->zstd ? step_zstd(u, into, room, made) : step_gzip(u, into, room, made);
}

/* All room is used: a byte more than it is too much. */
static int step_over(struct unpacking *u, bool *stuck)
{
    uint8_t byte;
    size_t made;
    size_t before = u->rest.len;
    int rc = step(u, &byte, 1, &made);
    *stuck = rc == 0 && u->rest.len == before;
    return rc < 0 ? rc : made > 0 ? ERR_TOO_LARGE : 0;
}

/* Room for the next step: it doubles with what came out so far, whatever the input says of itself.
 */
static size_t next_room(size_t made, size_t max)
{
    size_t room = made < UNPACK_FIRST ? UNPACK_FIRST : made;
    if (room > UINT32_MAX / 2)
        room = UINT32_MAX / 2;
    return room < max - made ? room : max - made;
}

static int unpack(struct buf *out, struct unpacking *u, size_t max)
{
    size_t begun = out->len;
    while (!u->ended) {
        size_t room = next_room(out->len - begun, max);
        size_t made = 0;
        size_t before = u->rest.len;
        bool stuck;
        int rc;
        if (room == 0) {
            rc = step_over(u, &stuck);
        } else {
            if (buf_reserve(out, room) < 0)
                return -ENOMEM;
            rc = step(u, out->ptr + out->len, room, &made);
            out->len += made;
            stuck = made == 0 && u->rest.len == before;
        }
        if (rc < 0)
            return rc;
        if (stuck && !u->ended)
            return ERR_FORMAT; /* cut */
    }
    return u->rest.len > 0 ? ERR_FORMAT : 0;
}

static int unpack_plain(struct buf *out, struct span bytes, size_t max)
{
    return bytes.len > max ? ERR_TOO_LARGE : buf_add_span(out, bytes);
}

static int unpack_coded(struct buf *out, enum coding coding, struct span bytes, size_t max)
{
    struct works *works = works_get();
    struct unpacking u = {.rest = bytes};
    if (!works)
        return -ENOMEM;
    if (coding == CODING_ZSTD)
        u.zstd = zstd_in(works);
    else
        u.gzip = gzip_in(works);
    if (!u.zstd && !u.gzip)
        return -ENOMEM;
    return bytes.len > 0 ? unpack(out, &u, max) : ERR_FORMAT;
}

int coding_unpack(struct buf *out, enum coding coding, struct span bytes, size_t max,
                  struct err *err)
{
    size_t before = out->len;
    int rc = coding == CODING_NONE ? unpack_plain(out, bytes, max)
                                   : unpack_coded(out, coding, bytes, max);
    if (rc == 0)
        return 0;
    out->len = before;
    if (rc == ERR_TOO_LARGE)
        return err_set(err, rc, "more than the %zu bytes that are allowed", max);
    if (rc == ERR_FORMAT)
        return err_set(err, rc, "not %s, damaged, cut, or with bytes behind its end",
                       coding_name(coding));
    return err_set(err, rc, "no memory to unpack");
}
