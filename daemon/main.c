/*
 * weird: serves one store.
 */
#include <malloc.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "daemon/check.h"
#include "daemon/http/listen.h"
#include "daemon/log.h"
#include "daemon/loop.h"
#include "daemon/memory.h"
#include "daemon/options.h"
#include "daemon/run/spawn.h"
#include "daemon/s2/init_file.h"

/* With --ready-fd: the store is another process's, which whoever started us may wait for. */
#define EXIT_LOCKED 75

/* Many readers of a file each may hold a descriptor: all that we may have. */
static void raise_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    runner_set_descriptors(limit.rlim_cur);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static void prepare(void)
{
    umask(077);
    raise_descriptors();
    loop_hold_signals();
    /* Threads hand memory to each other here; few arenas keep what is freed from piling up in each.
     */
    mallopt(M_ARENA_MAX, 2);
    mallopt(M_TRIM_THRESHOLD, 1024 * 1024);
    mallopt(M_MMAP_THRESHOLD, 512 * 1024);
}

static int fail(const struct options *options, const struct err *err)
{
    fprintf(stderr, "weird: %s\n", err->text);
    return err->code == ERR_LOCKED && options->ready_fd >= 0 ? EXIT_LOCKED : 1;
}

static int serve(const struct options *options)
{
    struct err err = ERR_INIT;
    struct log *log;
    if (log_create(&log, options->log, &err) < 0)
        return fail(options, &err);
    int rc = loop_serve(options, log, &err);
    log_destroy(log);
    return rc < 0 ? fail(options, &err) : 0;
}

/* In a directory of its own, which goes with us. */
static int serve_memory(const struct options *options)
{
    struct err err = ERR_INIT;
    struct memory memory;
    struct options mine = *options;
    if (memory_make(&memory, options->path, &err) < 0)
        return fail(options, &err);
    mine.path = memory.path;
    int status = serve(&mine);
    memory_remove(&memory);
    return status;
}

static int start(const struct options *options)
{
    struct err err = ERR_INIT;
    struct init_file init = {0};
    struct options mine = *options;
    if (options->init_path && init_file_read(&init, options->init_path, &err) < 0)
        return fail(options, &err);
    mine.init = options->init_path ? &init : NULL;
    int status = options->memory ? serve_memory(&mine) : serve(&mine);
    init_file_finish(&init);
    return status;
}

int main(int argc, char **argv)
{
    struct options options;
    struct err err = ERR_INIT;
    switch (options_parse(&options, argc, argv)) {
    case OPTIONS_END:
        return 0;
    case OPTIONS_USAGE:
        return 2;
    case OPTIONS_RUN:
        break;
    }
    if (options.supervisor_fd >= 0) /* before anything else: it is to stay small */
        return supervisor_main(options.supervisor_fd);
    prepare();
    for (unsigned i = 0; i < options.expose_count; i++) /* before anything is made */
        if (listen_check(options.expose[i], options_anywhere(&options), &err) < 0)
            return fail(&options, &err);
    for (unsigned i = 0; i < options.http_count; i++)
        if (listen_check(options.http[i], true, &err) < 0)
            return fail(&options, &err);
    if (options.repair && check_repair(options.path, &err) < 0)
        return fail(&options, &err);
    if (options.verify)
        return check_verify(options.path, &err) < 0 ? fail(&options, &err) : 0;
    return options.repair ? 0 : start(&options);
}
