#include "daemon/http/tls_impl.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clean.h"

#define FILE_MAX (1024 * 1024)
#define NAMES_MAX 256

/* --- files ----------------------------------------------------------------------------------------- */

static int read_whole(int fd, gnutls_datum_t *out, size_t size)
{
    uint8_t *bytes = gnutls_malloc(size + 1);
    size_t len = 0;
    ssize_t n = 1;
    if (!bytes)
        return -ENOMEM;
    while (len < size && (n = read(fd, bytes + len, size - len)) > 0)
        len += (size_t)n;
    if (n < 0) {
        int why = errno;
        gnutls_free(bytes);
        return -why;
    }
    bytes[len] = '\0';
    *out = (gnutls_datum_t){bytes, (unsigned)len};
    return 0;
}

int tls_read_file(gnutls_datum_t *out, int dirfd, const char *path, const char *name, struct err *err)
{
    struct stat st;
    CLEAN_FD int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st) < 0)
        return err_sys(err, errno, "read %s", name);
    if (!S_ISREG(st.st_mode) || st.st_size > FILE_MAX)
        return err_set(err, ERR_INVALID, "%s is no file of PEM", name);
    int rc = read_whole(fd, out, (size_t)st.st_size);
    return rc < 0 ? err_sys(err, -rc, "read %s", name) : 0;
}

/* --- the certificate -------------------------------------------------------------------------------- */

static int add_name(struct tls *tls, char *name)
{
    char **names = name ? realloc(tls->names, (tls->name_count + 2) * sizeof(*names)) : NULL;
    if (!names) {
        free(name);
        return -ENOMEM;
    }
    tls->names = names;
    names[tls->name_count++] = name;
    names[tls->name_count] = NULL;
    return 0;
}

static char *address_text(const uint8_t *address, size_t len)
{
    char text[INET6_ADDRSTRLEN], bracketed[INET6_ADDRSTRLEN + 2];
    if (len == 4)
        return inet_ntop(AF_INET, address, text, sizeof(text)) ? strdup(text) : NULL;
    if (len != 16 || !inet_ntop(AF_INET6, address, text, sizeof(text)))
        return NULL;
    snprintf(bracketed, sizeof(bracketed), "[%s]", text);
    return strdup(bracketed);
}

static int read_names(struct tls *tls, gnutls_x509_crt_t certificate)
{
    for (unsigned i = 0; i < NAMES_MAX; i++) {
        char text[256];
        size_t len = sizeof(text) - 1;
        int type = gnutls_x509_crt_get_subject_alt_name(certificate, i, text, &len, NULL);
        if (type == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
            break;
        if (type == GNUTLS_SAN_DNSNAME && add_name(tls, strndup(text, len)) < 0)
            return -ENOMEM;
        if (type == GNUTLS_SAN_IPADDRESS && (len == 4 || len == 16) && add_name(tls, address_text((uint8_t *)text, len)) < 0)
            return -ENOMEM;
    }
    return 0;
}

static int describe(struct tls *tls, gnutls_x509_crt_t certificate)
{
    uint8_t digest[TLS_FINGERPRINT];
    size_t len = sizeof(digest);
    tls->names = calloc(1, sizeof(*tls->names));
    if (!tls->names || gnutls_x509_crt_get_fingerprint(certificate, GNUTLS_DIG_SHA256, digest, &len) < 0)
        return -ENOMEM;
    for (size_t i = 0; i < len; i++)
        snprintf(tls->fingerprint + i * 3, 4, "%02X%s", digest[i], i + 1 < len ? ":" : "");
    return read_names(tls, certificate);
}

/* Each alone first, so that the message can say which of the two is at fault. */
static int check_parts(struct tls *tls, const gnutls_datum_t *certificate, const char *certificate_name, const gnutls_datum_t *key,
                       const char *key_name, struct err *err)
{
    gnutls_x509_crt_t *list = NULL;
    gnutls_x509_privkey_t private;
    unsigned count = 0;
    int rc = gnutls_x509_crt_list_import2(&list, &count, certificate, GNUTLS_X509_FMT_PEM, 0);
    if (rc < 0 || count == 0)
        return err_set(err, ERR_INVALID, "%s holds no certificate in PEM: %s", certificate_name, gnutls_strerror(rc));
    int described = describe(tls, list[0]);
    for (unsigned i = 0; i < count; i++)
        gnutls_x509_crt_deinit(list[i]);
    gnutls_free(list);
    if (described < 0 || gnutls_x509_privkey_init(&private) < 0)
        return err_set(err, -ENOMEM, "no memory for the certificate");
    rc = gnutls_x509_privkey_import2(private, key, GNUTLS_X509_FMT_PEM, NULL, 0);
    gnutls_x509_privkey_deinit(private);
    return rc < 0 ? err_set(err, ERR_INVALID, "%s holds no private key in PEM without a password: %s", key_name, gnutls_strerror(rc)) : 0;
}

int tls_from_pem(struct tls **out, const gnutls_datum_t *certificate, const char *certificate_name, const gnutls_datum_t *key,
                 const char *key_name, struct err *err)
{
    struct tls *tls = calloc(1, sizeof(*tls));
    if (!tls || gnutls_certificate_allocate_credentials(&tls->credentials) < 0) {
        free(tls);
        return err_set(err, -ENOMEM, "no memory for the certificate");
    }
    int rc = check_parts(tls, certificate, certificate_name, key, key_name, err);
    int failed = rc < 0 ? 0 : gnutls_certificate_set_x509_key_mem2(tls->credentials, certificate, key, GNUTLS_X509_FMT_PEM, NULL, 0);
    if (failed == GNUTLS_E_CERTIFICATE_KEY_MISMATCH)
        rc = err_set(err, ERR_INVALID, "the key in %s does not belong to the certificate in %s", key_name, certificate_name);
    else if (failed < 0)
        rc = err_set(err, ERR_INVALID, "%s and %s: %s", certificate_name, key_name, gnutls_strerror(failed));
    if (rc < 0) {
        tls_destroy(tls);
        return rc;
    }
    *out = tls;
    return 0;
}

int tls_load(struct tls **out, const char *certificate, const char *key, struct err *err)
{
    gnutls_datum_t certificate_pem = {NULL, 0}, key_pem = {NULL, 0};
    int rc = tls_read_file(&certificate_pem, AT_FDCWD, certificate, certificate, err);
    if (rc == 0)
        rc = tls_read_file(&key_pem, AT_FDCWD, key, key, err);
    if (rc == 0)
        rc = tls_from_pem(out, &certificate_pem, certificate, &key_pem, key, err);
    if (key_pem.data)
        gnutls_memset(key_pem.data, 0, key_pem.size);
    gnutls_free(certificate_pem.data);
    gnutls_free(key_pem.data);
    return rc;
}

const char *const *tls_names(const struct tls *tls)
{
    return (const char *const *)tls->names;
}

const char *tls_fingerprint(const struct tls *tls)
{
    return tls->fingerprint;
}

void tls_destroy(struct tls *tls)
{
    if (!tls)
        return;
    for (size_t i = 0; i < tls->name_count; i++)
        free(tls->names[i]);
    free(tls->names);
    gnutls_certificate_free_credentials(tls->credentials);
    free(tls);
}

/* --- sessions --------------------------------------------------------------------------------------- */

int tls_session(const struct tls *tls, gnutls_session_t *out)
{
    static unsigned char h2[] = "h2", http1[] = "http/1.1";
    const gnutls_datum_t protocols[] = {{h2, sizeof(h2) - 1}, {http1, sizeof(http1) - 1}};
    int rc = gnutls_init(out, GNUTLS_SERVER | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL | GNUTLS_NO_TICKETS);
    if (rc < 0)
        return rc;
    rc = gnutls_set_default_priority_append(*out, "-VERS-SSL3.0:-VERS-TLS1.0:-VERS-TLS1.1", NULL, 0);
    if (rc >= 0)
        rc = gnutls_credentials_set(*out, GNUTLS_CRD_CERTIFICATE, tls->credentials);
    if (rc >= 0)
        rc = gnutls_alpn_set_protocols(*out, protocols, 2, 0);
    if (rc < 0)
        gnutls_deinit(*out);
    return rc;
}
