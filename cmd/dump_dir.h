/*
 * Dumps as directories, the form the xs shell module writes:
 *
 *   DIR/frames.jsonl   frames as `cat` prints them
 *   DIR/cas/NAME       contents; NAME is the standard base64 of the hash text
 */
#ifndef CMD_DUMP_DIR_H
#define CMD_DUMP_DIR_H

#include "cmd/call.h"

/** Contents up to this many bytes travel in their frame's line; larger ones are sent ahead. */
#define DUMP_INLINE_MAX ((size_t)1 << 20)

/** Imports the dump by POST `target` (/import?stream...). Borrows dirfd. Returns an exit status. */
int dump_dir_import(const struct call *call, struct weir *w, const char *target, int dirfd);

/**
 * Fills the empty directory with what GET `target` (/?...) gives, and its contents. Content that is
 * gone fails it unless allow_missing. Checks interrupted() now and then. Returns an exit status.
 */
int dump_dir_export(const struct call *call, struct weir *w, const char *target, int dirfd,
                    bool allow_missing, bool (*interrupted)(void));

#endif
