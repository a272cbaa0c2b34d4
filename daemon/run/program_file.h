/*
 * Whether a content can be a program here: what can be said before it is run.
 *
 * Thread rule: any; may block on the disk.
 */
#ifndef DAEMON_RUN_PROGRAM_FILE_H
#define DAEMON_RUN_PROGRAM_FILE_H

#include <weir/err.h>
#include <weir/span.h>

#include "daemon/run/definition.h"

#define PROGRAM_HEAD 4096          /**< bytes that are looked at */
#define PROGRAM_SHELL "/bin/sh"    /**< runs what is neither script nor ELF */

/**
 * Judges the first bytes (PROGRAM_HEAD, or all when it is shorter) of a program of that form: the interpreter of a script is there and may be
 * executed, also one that `env` is to find in `path` (NULL: not looked for); an ELF file is for this machine. ERR_INVALID says what is wrong.
 */
int program_check(enum program_form form, struct span head, const char *path, struct err *err);

#endif
