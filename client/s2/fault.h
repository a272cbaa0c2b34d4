/*
 * Typed errors: making them, reading them from answers, what may be tried again.
 */
#ifndef CLIENT_S2_FAULT_H
#define CLIENT_S2_FAULT_H

#include <weir/s2.h>

/** Sets all of it; `code` as in weir/err.h. Returns code. `e` may be NULL. */
int s2c_fail(struct weir_s2_err *e, enum weir_s2_code what, int code, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/** From an errno (positive): WHAT: strerror. Returns -errnum. */
int s2c_fail_sys(struct weir_s2_err *e, enum weir_s2_code what, int errnum, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/** The failure in `err`, as a local one. Returns its code. */
int s2c_fail_local(struct weir_s2_err *e, const struct err *err);
int s2c_no_memory(struct weir_s2_err *e);
/** What a server said: a status that is not 2xx and its body. Returns the code. */
int s2c_fail_answer(struct weir_s2_err *e, int status, struct span body, uint64_t retry_after_ms);
/** Copies a failure and returns its code. */
int s2c_fail_again(struct weir_s2_err *e, const struct weir_s2_err *from);

#endif
