#include "cmd/progress.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "cmd/human.h"

#define REDRAW_US 100000u

void progress_begin(struct progress *p, const char *what, uint64_t total)
{
    const char *term = getenv("TERM");
    *p = (struct progress){.what = what, .total = total};
    p->started_us = p->shown_us = time_mono_us();
    p->on = isatty(STDERR_FILENO) && !(term && strcmp(term, "dumb") == 0);
}

static void draw(const struct progress *p, uint64_t now_us)
{
    CLEAN_BUF line = BUF_INIT;
    uint64_t elapsed_us = now_us - p->started_us;
    buf_addf(&line, "\r%s: ", p->what);
    if (p->frames > 0) {
        human_count(&line, p->frames);
        buf_addf(&line, " %s, ", p->unit ? p->unit : "frames");
    }
    human_size(&line, p->bytes);
    if (p->total > 0)
        buf_addf(&line, " (%u%%)",
                 (unsigned)(p->bytes >= p->total ? 100 : p->bytes * 100 / p->total));
    if (elapsed_us > 0) {
        buf_add_str(&line, ", ");
        human_size(&line, (uint64_t)((double)p->bytes * 1e6 / (double)elapsed_us));
        buf_add_str(&line, "/s");
    }
    /* To the end of the line, so that a longer one before leaves nothing behind. */
    buf_add_str(&line, "\033[K");
    if (write(STDERR_FILENO, line.ptr, line.len) < 0)
        return;
}

void progress_tick(struct progress *p)
{
    if (!p->on)
        return;
    uint64_t now_us = time_mono_us();
    if (now_us - p->shown_us < REDRAW_US)
        return;
    p->shown_us = now_us;
    draw(p, now_us);
}

void progress_end(struct progress *p)
{
    if (p->on && p->shown_us != p->started_us)
        fputs("\r\033[K", stderr);
    p->on = false;
}
