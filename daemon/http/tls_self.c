/*
 * The certificate of our own making, kept with the store: STORE/tls/key.pem and certificate.pem. Each is written beside its name and renamed,
 * so that a kill leaves the old one or the new one.
 */
#include "daemon/http/tls_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clean.h"
#include "base/fd.h"

#define KEY "key.pem"
#define CERTIFICATE "certificate.pem"

static int write_all(int fd, const gnutls_datum_t *bytes)
{
    int rc = fd_write_all(fd, span_of(bytes->data, bytes->size));
    return rc == 0 && fsync(fd) < 0 ? -errno : rc;
}

static int write_file(int dirfd, const char *name, const gnutls_datum_t *bytes)
{
    char fresh[64];
    snprintf(fresh, sizeof(fresh), "%s.new", name);
    CLEAN_FD int fd = openat(dirfd, fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0 || fchmod(fd, 0600) < 0)
        return -errno;
    int rc = write_all(fd, bytes);
    if (rc == 0 && (renameat(dirfd, fresh, dirfd, name) < 0 || fsync(dirfd) < 0))
        rc = -errno;
    return rc;
}

/* What a call of GnuTLS made, kept under its name. */
static int keep(int dirfd, const char *name, int made, const gnutls_datum_t *bytes, struct err *err)
{
    if (made < 0)
        return err_set(err, ERR_INVALID, "make tls/%s: %s", name, gnutls_strerror(made));
    int rc = write_file(dirfd, name, bytes);
    return rc < 0 ? err_sys(err, -rc, "write tls/%s", name) : 0;
}

static int have_key(gnutls_datum_t *out, int dirfd, struct err *err)
{
    int rc = tls_read_file(out, dirfd, KEY, "tls/" KEY, err);
    if (rc != -ENOENT)
        return rc;
    int made = tls_make_key(out);
    return keep(dirfd, KEY, made, out, err);
}

static int have_certificate(gnutls_datum_t *out, int dirfd, const gnutls_datum_t *key, const char *const *names, struct err *err)
{
    int rc = tls_read_file(out, dirfd, CERTIFICATE, "tls/" CERTIFICATE, err);
    if (rc < 0 && rc != -ENOENT)
        return rc;
    if (rc == 0 && tls_still_fits(out, names))
        return 0;
    gnutls_free(out->data);
    *out = (gnutls_datum_t){NULL, 0};
    int made = tls_make_certificate(out, key, names);
    return keep(dirfd, CERTIFICATE, made, out, err);
}

static int open_dir(int dirfd, struct err *err)
{
    if (mkdirat(dirfd, "tls", 0700) < 0 && errno != EEXIST)
        return err_sys(err, errno, "make the directory tls");
    int fd = openat(dirfd, "tls", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    return fd < 0 ? err_sys(err, errno, "open the directory tls") : fd;
}

int tls_self(struct tls **out, int dirfd, const char *const *names, struct err *err)
{
    gnutls_datum_t key = {NULL, 0}, certificate = {NULL, 0};
    CLEAN_FD int dir = open_dir(dirfd, err);
    if (dir < 0)
        return dir;
    int rc = have_key(&key, dir, err);
    if (rc == 0)
        rc = have_certificate(&certificate, dir, &key, names, err);
    if (rc == 0)
        rc = tls_from_pem(out, &certificate, "tls/" CERTIFICATE, &key, "tls/" KEY, err);
    if (key.data)
        gnutls_memset(key.data, 0, key.size);
    gnutls_free(key.data);
    gnutls_free(certificate.data);
    return rc;
}
