/* Diagnostics. */
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "base/text.h"
#include "bridge/relay/end.h"

void relay_say(const char *fmt, ...)
{
    char text[1024];
    CLEAN_BUF safe = BUF_INIT;
    va_list list;
    va_start(list, fmt);
    vsnprintf(text, sizeof(text), fmt, list);
    va_end(list);
    /* Names and bytes from elsewhere reach the terminal as one harmless line. */
    const char *shown = text_neutralise(&safe, span_str(text)) == 0 ? buf_cstr(&safe) : NULL;
    fprintf(stderr, "%sweir relay: %s\n", isatty(STDERR_FILENO) ? "\r\033[K" : "", shown ? shown : "out of memory");
}
