/*
 * The directories of programs on disk: STORE/run/ID/, where ID is the defining frame, mode 0700. One holds the program and its socket, and
 * is the program's working directory: what it keeps there stays as long as its definition is in force.
 *
 * Everything goes by descriptors, so a link that a program puts in our way leads nowhere.
 *
 * Thread rule: any; every call may block on the disk.
 */
#ifndef DAEMON_RUN_RUN_DIR_H
#define DAEMON_RUN_RUN_DIR_H

#include <weir/err.h>
#include <weir/id.h>

#define RUN_DIR_PROGRAM "program" /**< the program's file */

/** Opens STORE/run/ID, which is made when it is missing; `store_fd` is the store's directory. Sets a descriptor. -errno. */
int run_dir_open(int *out, int store_fd, struct frame_id id, struct err *err);
/** Begins the program's file, executable, beside the one that may be there; sets a descriptor to write to. -errno. */
int run_dir_begin_program(int *out, int dirfd, struct err *err);
/** Ends it: closes the descriptor and puts the file in its place. -errno. */
int run_dir_end_program(int dirfd, int fd, struct err *err);
/** Removes STORE/run/ID with all that is in it. 0 also when it is not there; -errno: something is left. */
int run_dir_remove(int store_fd, struct frame_id id, struct err *err);
/** Removes every directory in STORE/run but those of which `keep` says true. What is no id is left alone. */
int run_dir_sweep(int store_fd, bool (*keep)(void *arg, struct frame_id id), void *arg, struct err *err);

#endif
