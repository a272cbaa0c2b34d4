#include "cmd/s2/meter.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"

#define REDRAW_US 100000u

void meter_begin(struct meter *m, const char *what)
{
    const char *term = getenv("TERM");
    *m = (struct meter){.what = what};
    m->begun_us = m->shown_us = time_mono_us();
    /* Where records themselves go to the terminal there is nothing to add. */
    m->on = isatty(STDERR_FILENO) && !isatty(STDOUT_FILENO) && !(term && strcmp(term, "dumb") == 0);
}

void meter_tick(struct meter *m)
{
    uint64_t now = m->on ? time_mono_us() : 0;
    if (!m->on || now - m->shown_us < REDRAW_US)
        return;
    double seconds = (double)(now - m->begun_us) / 1e6;
    double mib = (double)m->bytes / 1048576;
    m->shown_us = now;
    fprintf(stderr, "\r%s: %llu records, %.1f MiB, %.1f MiB/s\033[K", m->what,
            (unsigned long long)m->records, mib, mib / seconds);
    fflush(stderr);
}

void meter_end(struct meter *m)
{
    if (m->on && m->shown_us != m->begun_us)
        fputs("\r\033[K", stderr);
    m->on = false;
}
