/*
 * Private directories for one run of a program: STORE/run/eval.XXXXXX, gone when it is over.
 *
 * Thread rule: everything here blocks on the disk and belongs on the pool, but scratch_discard.
 */
#ifndef DAEMON_RUN_SCRATCH_H
#define DAEMON_RUN_SCRATCH_H

#include <uv.h>

#include <weir/err.h>
#include <weir/span.h>

/** Makes a fresh directory (0700) in STORE/run; `out` is its absolute path, the caller frees. -errno, -ENOMEM. */
int scratch_make(char **out, const char *store_path, struct err *err);
/** Writes a file in it; `mode` as open's. The file is new. -errno, ERR_FULL. */
int scratch_write(const char *directory, const char *name, unsigned mode, struct span bytes, struct err *err);
/** Removes a directory with all that is in it, as purge_tree. 0 also when it is not there; -errno. */
int scratch_remove(const char *directory, struct err *err);
/** Loop thread: removes it on the pool, whoever is gone meanwhile. Takes over and frees the text; takes NULL. */
void scratch_discard(uv_loop_t *loop, char *directory);
/** Removes what runs left behind when the daemon before was killed. Before the first run. -errno: the first that could not be removed. */
int scratch_sweep(const char *store_path, struct err *err);

#endif
