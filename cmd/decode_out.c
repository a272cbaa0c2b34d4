/* What `weir decode` prints, on its way out. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "cmd/decode.h"
#include "cmd/human.h"
#include "cmd/output.h"

#define MUCH ((size_t)256 * 1024)

static bool is_wished(const struct decode *d, struct span key)
{
    for (size_t i = 0; i < d->stream_count; i++) {
        if (span_is(key, d->streams[i]))
            return true;
    }
    return d->stream_count == 0;
}

int decode_header(struct decode_out *o, const struct ss_header *h)
{
    return ss_show_header(&o->text, o->d->form, h);
}

int decode_message(struct decode_out *o, const struct ss_message *m)
{
    if (!is_wished(o->d, m->key))
        return 0;
    o->shown++;
    return ss_show_message(&o->text, o->d->form, m, o->d->header_only);
}

int decode_beacon(struct decode_out *o, const struct ss_beacon *b)
{
    return o->d->stream_count == 0 ? ss_show_beacon(&o->text, o->d->form, b) : 0;
}

/* On a terminal nothing that stands in a message may steer it. */
static int write_harmless(struct span text, struct err *err)
{
    CLEAN_BUF safe = BUF_INIT;
    if (human_bytes(&safe, text) != 0)
        return err_set(err, -ENOMEM, "out of memory");
    return output_write(buf_span(&safe), err);
}

int decode_flush(struct decode_out *o, struct err *err)
{
    if (o->text.len == 0)
        return 0;
    int rc = o->d->people ? write_harmless(buf_span(&o->text), err) : output_write(buf_span(&o->text), err);
    buf_reset(&o->text);
    return rc;
}

int decode_flush_much(struct decode_out *o, struct err *err)
{
    return o->text.len >= MUCH ? decode_flush(o, err) : 0;
}

void decode_out_finish(struct decode_out *o)
{
    buf_finish(&o->text);
}

const char *decode_name(const struct decode *d)
{
    return d->path ? d->path : "standard input";
}

int decode_status(const struct decode *d, int rc, struct err *err)
{
    if (rc == 0 || rc == OUTPUT_GONE || rc == ERR_END)
        return EXIT_SUCCESS;
    return call_fail(d->call, err);
}

void decode_say_torn(const struct decode *d, uint64_t bytes)
{
    call_note(d->call, "%s ends in the middle of a message: %" PRIu64 " bytes of it are there%s", decode_name(d), bytes,
              d->path ? " (--verify tells whether that is damage)" : "");
}
