/*
 * A handler for benchmarks: reads frames as lines, as fast as it can.
 *
 *   handler_echo count   at a frame on topic `end` prints {"lines":N,"bytes":N,"us":N} since its first byte
 *   handler_echo answer  answers each line with one byte
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"

static char block[256 * 1024];

static void write_all(const char *text, size_t len)
{
    while (len > 0) {
        ssize_t n = write(1, text, len);
        if (n <= 0)
            _exit(1);
        text += n;
        len -= (size_t)n;
    }
}

static size_t lines_in(const char *from, size_t len)
{
    size_t lines = 0;
    for (const char *p = from; (p = memchr(p, '\n', len - (size_t)(p - from))); p++)
        lines++;
    return lines;
}

/* The end is the last frame there is, so its topic stands whole in what was read last or the two last reads. */
static int count(void)
{
    unsigned long long lines = 0, bytes = 0;
    uint64_t begun = 0;
    size_t kept = 0;
    for (;;) {
        ssize_t n = read(0, block + kept, sizeof(block) - kept);
        if (n <= 0)
            return 0;
        if (begun == 0)
            begun = time_mono_us();
        lines += lines_in(block + kept, (size_t)n);
        bytes += (unsigned long long)n;
        size_t len = kept + (size_t)n;
        if (memmem(block, len, "\"topic\":\"end\"", 13)) {
            char text[128];
            int out = snprintf(text, sizeof(text), "{\"meta\":{\"lines\":%llu,\"bytes\":%llu,\"us\":%llu}}\n",
                               lines, bytes, (unsigned long long)(time_mono_us() - begun));
            write_all(text, (size_t)out);
        }
        kept = len < 13 ? len : 13;
        memmove(block, block + len - kept, kept);
    }
}

static int answer(void)
{
    ssize_t n;
    while ((n = read(0, block, sizeof(block))) > 0)
        for (size_t i = lines_in(block, (size_t)n); i > 0; i--)
            write_all("x\n", 2);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "count") == 0)
        return count();
    if (argc == 2 && strcmp(argv[1], "answer") == 0)
        return answer();
    fprintf(stderr, "usage: handler_echo count|answer\n");
    return 2;
}
