#include "daemon/log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clean.h"
#include "base/text.h"

#define WAITING_MAX (1024 * 1024) /* bytes of lines kept for a slow reader */
#define LINE_MAX_BYTES 1024
#define LAST_WORDS_MS 1000
#define GATHER_MS                                                                                  \
    20 /* lines wait this long for company, so that an append does not wake this thread each time  \
        */

struct log {
    pthread_mutex_t lock;
    pthread_cond_t changed; /* lines are there, were written, or stop */
    pthread_t thread;
    pthread_cond_t hurry; /* stop, or many lines */
    struct buf waiting;
    uint64_t dropped;
    bool gathering, writing, stop;
    bool journal; /* journald reads it: lines begin with their level */
    char *path, *old_path;
    uint64_t size;
    time_t second; /* of `clock` */
    char clock[9]; /* HH:MM:SS */
};

/* --- writing (the log's thread) ------------------------------------------------------------------
 */

static void write_all(const uint8_t *p, size_t len)
{
    while (len > 0) {
        ssize_t n = write(STDERR_FILENO, p, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return; /* nobody is there to be told */
        p += n;
        len -= (size_t)n;
    }
}

/* The old file stays as FILE.1; failing to rotate means to go on in the same file. */
static void rotate(struct log *log)
{
    if (!log->path || log->size < LOG_FILE_MAX)
        return;
    log->size = 0;
    if (rename(log->path, log->old_path) != 0)
        return;
    CLEAN_FD int fd = open(log->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd >= 0)
        dup2(fd, STDERR_FILENO);
}

/* Called and returns with the lock. */
static void gather(struct log *log)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += GATHER_MS * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    log->gathering = true;
    while (!log->stop && log->waiting.len < WAITING_MAX / 4 &&
           pthread_cond_timedwait(&log->hurry, &log->lock, &until) == 0)
        ;
    log->gathering = false;
}

static void *write_main(void *arg)
{
    struct log *log = arg;
    pthread_mutex_lock(&log->lock);
    while (!log->stop || log->waiting.len > 0) {
        if (log->waiting.len == 0) {
            pthread_cond_wait(&log->changed, &log->lock);
            continue;
        }
        gather(log);
        struct buf lines = log->waiting;
        log->waiting = BUF_INIT;
        if (log->dropped)
            buf_addf(&lines, "warn log dropped_lines=%" PRIu64 "\n", log->dropped);
        log->dropped = 0;
        log->writing = true;
        pthread_mutex_unlock(&log->lock);
        write_all(lines.ptr, lines.len);
        log->size += lines.len;
        rotate(log);
        buf_finish(&lines);
        pthread_mutex_lock(&log->lock);
        log->writing = false;
        pthread_cond_broadcast(&log->changed);
    }
    pthread_mutex_unlock(&log->lock);
    return NULL;
}

/* --- lines
 * ----------------------------------------------------------------------------------------- */

static void add_line(struct log *log, const char *line, size_t len)
{
    pthread_mutex_lock(&log->lock);
    bool first = log->waiting.len == 0;
    if (log->waiting.len + len > WAITING_MAX || buf_add(&log->waiting, line, len) < 0)
        log->dropped++;
    if (first && !log->writing)
        pthread_cond_broadcast(&log->changed);
    if (log->gathering && log->waiting.len >= WAITING_MAX / 4)
        pthread_cond_signal(&log->hurry);
    pthread_mutex_unlock(&log->lock);
}

static const char *level_name(enum log_level level)
{
    return level == LOG_ERROR ? "error" : level == LOG_WARN ? "warn" : "info";
}

void log_say(struct log *log, enum log_level level, const char *module, const char *fmt, ...)
{
    char line[LINE_MAX_BYTES];
    va_list args;
    int head = log->journal ? snprintf(line, sizeof(line), "<%d>%s ", (int)level, module)
                            : snprintf(line, sizeof(line), "%s %s ", level_name(level), module);
    va_start(args, fmt);
    int body = vsnprintf(line + head, sizeof(line) - (size_t)head - 1, fmt, args);
    va_end(args);
    size_t len = (size_t)head + (size_t)(body > 0 ? body : 0);
    if (len > sizeof(line) - 2)
        len = sizeof(line) - 2;
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)line[i] < 0x20)
            line[i] = ' ';
    line[len++] = '\n';
    add_line(log, line, len);
}

static void set_clock(struct log *log, time_t second)
{
    struct tm tm;
    if (log->second == second && log->clock[0])
        return;
    localtime_r(&second, &tm);
    snprintf(log->clock, sizeof(log->clock), "%02u:%02u:%02u", (unsigned)tm.tm_hour % 100,
             (unsigned)tm.tm_min % 100, (unsigned)tm.tm_sec % 100);
    log->second = second;
}

void log_frame(struct log *log, const struct frame *frame)
{
    char id[ID_TEXT_LEN + 1];
    char line[LINE_MAX_BYTES];
    uint64_t ms = id_time_ms(frame->id);
    id_format(id, frame->id);
    set_clock(log, (time_t)(ms / 1000));
    int len =
        snprintf(line, sizeof(line), "%s%s.%03u %s %.*s\n", log->journal ? "<6>" : "", log->clock,
                 (unsigned)(ms % 1000), id + ID_TEXT_LEN - 5, SPAN_ARG(frame->topic));
    if (len <= 0 || (size_t)len >= sizeof(line))
        return;
    for (int i = 0; i < len - 1; i++) /* names of streams may hold anything */
        if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
            line[i] = ' ';
    add_line(log, line, (size_t)len);
}

/* --- life
 * ------------------------------------------------------------------------------------------ */

/* systemd names the stream that is its journal; standard error may have been sent elsewhere since.
 */
static bool is_journal(void)
{
    unsigned long long dev, ino;
    struct stat st;
    const char *text = getenv("JOURNAL_STREAM");
    return text && sscanf(text, "%llu:%llu", &dev, &ino) == 2 && fstat(STDERR_FILENO, &st) == 0 &&
           st.st_dev == dev && st.st_ino == ino;
}

static int open_file(struct log *log, const char *file, struct err *err)
{
    struct stat st;
    log->path = strdup(file);
    if (!log->path || asprintf(&log->old_path, "%s.1", file) < 0)
        return err_set(err, -ENOMEM, "no memory for the log");
    CLEAN_FD int fd = open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0 || fstat(fd, &st) < 0 || dup2(fd, STDERR_FILENO) < 0)
        return err_sys(err, errno, "open the log %s", file);
    log->size = (uint64_t)st.st_size;
    return 0;
}

static void release(struct log *log)
{
    pthread_mutex_destroy(&log->lock);
    pthread_cond_destroy(&log->changed);
    pthread_cond_destroy(&log->hurry);
    buf_finish(&log->waiting);
    free(log->path);
    free(log->old_path);
    free(log);
}

int log_create(struct log **out, const char *file, struct err *err)
{
    struct log *log = calloc(1, sizeof(*log));
    if (!log)
        return err_set(err, -ENOMEM, "no memory for the log");
    pthread_mutex_init(&log->lock, NULL);
    pthread_cond_init(&log->changed, NULL);
    pthread_cond_init(&log->hurry, NULL);
    int rc = file ? open_file(log, file, err) : 0;
    log->journal = !file && is_journal();
    if (rc == 0) {
        int error = pthread_create(&log->thread, NULL, write_main, log);
        rc = error ? err_sys(err, error, "start the log's thread") : 0;
    }
    if (rc < 0) {
        release(log);
        return rc;
    }
    *out = log;
    return 0;
}

void log_destroy(struct log *log)
{
    struct timespec until;
    if (!log)
        return;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += LAST_WORDS_MS / 1000;
    pthread_mutex_lock(&log->lock);
    log->stop = true;
    pthread_cond_broadcast(&log->changed);
    pthread_cond_broadcast(&log->hurry);
    int rc = 0;
    while (rc == 0 && (log->waiting.len > 0 || log->writing))
        rc = pthread_cond_timedwait(&log->changed, &log->lock, &until);
    pthread_mutex_unlock(&log->lock);
    if (rc != 0) {
        pthread_detach(log->thread); /* stuck in a write: the process ends with it */
        return;
    }
    pthread_join(log->thread, NULL);
    release(log);
}
