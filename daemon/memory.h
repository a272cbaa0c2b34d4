/*
 * A store that ends with its daemon: a private directory in memory (/dev/shm, else $TMPDIR, else /tmp), removed at the end.
 *
 * Those of daemons that were killed are removed at the next start of one of the same user, when nobody holds their lock.
 */
#ifndef DAEMON_MEMORY_H
#define DAEMON_MEMORY_H

#include <weir/err.h>

struct memory {
    char path[256];   /**< of the directory */
    const char *link; /**< the name it is also known by, or NULL */
};

/**
 * Removes what is left over and makes a new directory, 0700. `link` (may be NULL) becomes a symbolic link to it: it must not be there, or
 * be such a link that leads nowhere any more. ERR_CONFLICT; -errno. Blocks; before threads.
 */
int memory_make(struct memory *out, const char *link, struct err *err);
/** Removes the directory with all that is in it, and the link. Blocks. */
void memory_remove(const struct memory *memory);

#endif
