/*
 * Any JSON as the meta of a frame: what is taken from it and written again says the same.
 */
#include <stdlib.h>

#include "base/json.h"
#include "bridge/meta.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool holds)
{
    if (!holds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEAN_BUF meta = BUF_INIT;
    CLEAN_BUF scratch = BUF_INIT;
    CLEAN_BUF out = BUF_INIT;
    CLEAN_BUF scratch_again = BUF_INIT;
    struct ss_message m = {.no_seq = true, .no_time = true};
    struct ss_message again = m;
    if (json_validate(span_of(data, size), 64, &meta, NULL) != 0)
        return 0;
    demand(ss_meta_read(&m, buf_span(&meta), &scratch) == 0);
    demand(m.meta.len == 0 || json_validate(m.meta, 64, NULL, NULL) == 0);
    demand(ss_meta_write(&out, &m) == 0);
    demand(out.len == 0 || json_validate(buf_span(&out), 65, NULL, NULL) == 0);
    demand(ss_meta_read(&again, buf_span(&out), &scratch_again) == 0);
    demand(again.no_seq == m.no_seq && again.no_time == m.no_time && again.seq == m.seq && again.shard == m.shard &&
           again.time_ms == m.time_ms && again.time_ns == m.time_ns);
    return 0;
}
