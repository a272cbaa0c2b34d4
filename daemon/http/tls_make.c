/*
 * A key and a certificate of our own making. The certificate is its own root and no authority: clients that take it as trusted trust
 * this daemon alone.
 */
#include "daemon/http/tls_impl.h"

#include <arpa/inet.h>
#include <string.h>
#include <time.h>

#include <gnutls/crypto.h>

#define DAY_S (24 * 60 * 60)
#define GOOD_S (3650L * DAY_S)
#define LEFT_S (30L * DAY_S)

static const char *const own_names[] = {"localhost", "127.0.0.1", "::1", NULL};

int tls_make_key(gnutls_datum_t *out)
{
    gnutls_x509_privkey_t key;
    int rc = gnutls_x509_privkey_init(&key);
    if (rc < 0)
        return rc;
    rc = gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0);
    if (rc >= 0)
        rc = gnutls_x509_privkey_export2_pkcs8(key, GNUTLS_X509_FMT_PEM, NULL, GNUTLS_PKCS_PLAIN, out);
    gnutls_x509_privkey_deinit(key);
    return rc;
}

/* The length of the address, 0 for a name. */
static unsigned address_of(const char *name, uint8_t address[static 16])
{
    if (inet_pton(AF_INET, name, address) == 1)
        return 4;
    return inet_pton(AF_INET6, name, address) == 1 ? 16 : 0;
}

static bool is_own(const char *name)
{
    for (const char *const *own = own_names; *own; own++)
        if (strcmp(name, *own) == 0)
            return true;
    return false;
}

static int add_names(gnutls_x509_crt_t certificate, const char *const *names, bool own)
{
    int rc = 0;
    for (; rc >= 0 && *names; names++) {
        uint8_t address[16];
        if (is_own(*names) != own)
            continue;
        unsigned len = address_of(*names, address);
        rc = len ? gnutls_x509_crt_set_subject_alt_name(certificate, GNUTLS_SAN_IPADDRESS, address, len, GNUTLS_FSAN_APPEND)
                 : gnutls_x509_crt_set_subject_alt_name(certificate, GNUTLS_SAN_DNSNAME, *names, (unsigned)strlen(*names),
                                                        GNUTLS_FSAN_APPEND);
    }
    return rc;
}

static int fill_in(gnutls_x509_crt_t certificate, gnutls_x509_privkey_t key, const char *const *names)
{
    uint8_t serial[16];
    time_t now = time(NULL);
    int rc = gnutls_rnd(GNUTLS_RND_NONCE, serial, sizeof(serial));
    serial[0] = (uint8_t)((serial[0] & 0x7f) | 0x40); /* positive, and of full length */
    if (rc >= 0)
        rc = gnutls_x509_crt_set_version(certificate, 3);
    if (rc >= 0)
        rc = gnutls_x509_crt_set_serial(certificate, serial, sizeof(serial));
    if (rc >= 0)
        rc = gnutls_x509_crt_set_dn_by_oid(certificate, GNUTLS_OID_X520_COMMON_NAME, 0, "weir", 4);
    if (rc >= 0)
        rc = gnutls_x509_crt_set_activation_time(certificate, now - DAY_S);
    if (rc >= 0)
        rc = gnutls_x509_crt_set_expiration_time(certificate, now + GOOD_S);
    if (rc >= 0)
        rc = gnutls_x509_crt_set_basic_constraints(certificate, 0, -1);
    if (rc >= 0)
        rc = gnutls_x509_crt_set_key_purpose_oid(certificate, GNUTLS_KP_TLS_WWW_SERVER, 0);
    if (rc >= 0)
        rc = add_names(certificate, own_names, true);
    if (rc >= 0)
        rc = add_names(certificate, names, false);
    return rc < 0 ? rc : gnutls_x509_crt_set_key(certificate, key);
}

int tls_make_certificate(gnutls_datum_t *out, const gnutls_datum_t *key, const char *const *names)
{
    gnutls_x509_privkey_t private = NULL;
    gnutls_x509_crt_t certificate = NULL;
    int rc = gnutls_x509_privkey_init(&private);
    if (rc >= 0)
        rc = gnutls_x509_privkey_import2(private, key, GNUTLS_X509_FMT_PEM, NULL, 0);
    if (rc >= 0)
        rc = gnutls_x509_crt_init(&certificate);
    if (rc >= 0)
        rc = fill_in(certificate, private, names);
    if (rc >= 0)
        rc = gnutls_x509_crt_sign2(certificate, certificate, private, GNUTLS_DIG_SHA256, 0);
    if (rc >= 0)
        rc = gnutls_x509_crt_export2(certificate, GNUTLS_X509_FMT_PEM, out);
    if (certificate)
        gnutls_x509_crt_deinit(certificate);
    if (private)
        gnutls_x509_privkey_deinit(private);
    return rc;
}

static bool has_names(gnutls_x509_crt_t certificate, const char *const *names)
{
    for (; *names; names++) {
        uint8_t address[16];
        unsigned len = address_of(*names, address);
        if (len ? !gnutls_x509_crt_check_ip(certificate, address, len, 0) : !gnutls_x509_crt_check_hostname2(certificate, *names, 0))
            return false;
    }
    return true;
}

bool tls_still_fits(const gnutls_datum_t *certificate, const char *const *names)
{
    gnutls_x509_crt_t read;
    if (gnutls_x509_crt_init(&read) < 0)
        return false;
    bool fits = gnutls_x509_crt_import(read, certificate, GNUTLS_X509_FMT_PEM) >= 0 &&
                gnutls_x509_crt_get_expiration_time(read) > time(NULL) + LEFT_S && has_names(read, own_names) && has_names(read, names);
    gnutls_x509_crt_deinit(read);
    return fits;
}
