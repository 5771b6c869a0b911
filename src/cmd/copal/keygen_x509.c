/* SPDX-License-Identifier: Apache-2.0 */
/* Keys on P-256, and a small CA in a directory. RFC 5280. */
#include "cmd/copal/keygen_x509.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include <gnutls/x509.h>

#include "cmd/copal/keygen_file.h"
#include "cmd/copal/keygen_pkcs8.h"

enum {
  SERIAL_SIZE = 16, /* RFC 5280 section 4.1.2.2: at most 20 */
  KEY_ID_SIZE = 64,
  PRINT_BYTES = 32, /* of SHA-256 */
  DAYS_CA = 3650,
  DAYS_CERTIFICATE = 365,
  DAY = 24 * 60 * 60,
  VERSION_CERTIFICATE = 3,
  VERSION_CRL = 2,
  LIST_NUMBER_SIZE = 8,
};

/* A CA at work. */
typedef struct authority {
  gnutls_x509_crt_t crt;
  gnutls_x509_privkey_t key;
} authority;

void keygen_made_wipe(keygen_made *m)
{
  buf_wipe(&m->certificate);
  buf_wipe(&m->key);
  buf_wipe(&m->crl);
}

static status check(int rc, const char *what, buf *err)
{
  if (rc >= 0)
    return STATUS_OK;
  buf_print(err, "%s: %s", what, gnutls_strerror(rc));
  return STATUS_INTERNAL;
}

static gnutls_datum_t datum_of(const buf *b)
{
  return (gnutls_datum_t){(unsigned char *)b->ptr, (unsigned)b->len};
}

/* ------------------------------------------------------------------------------------------------
 * keys */

static status make_key(gnutls_x509_privkey_t *key, buf *err)
{
  int rc = gnutls_x509_privkey_init(key);
  if (rc >= 0)
    rc = gnutls_x509_privkey_generate(*key, GNUTLS_PK_ECDSA,
                                      GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0);
  return check(rc, "cannot make a key", err);
}

static status write_key(gnutls_x509_privkey_t key, const char *path, bool is_replace, buf *err)
{
  gnutls_datum_t pem = {NULL, 0};
  status s = check(keygen_pkcs8(key, &pem), "cannot write a key", err);
  const keygen_file file = {path, copal_span_of(pem.data, pem.size), true, is_replace};
  if (s == STATUS_OK)
    s = keygen_write(&file, err);
  if (pem.data)
    explicit_bzero(pem.data, pem.size);
  gnutls_free(pem.data);
  return s;
}

/* SHA-256 of the SubjectPublicKeyInfo. RFC 7250 section 3. */
static int print_of(gnutls_pubkey_t pub, char print[KEYGEN_PRINT_SIZE])
{
  uint8_t bytes[PRINT_BYTES];
  size_t size = sizeof bytes;
  const int rc = gnutls_pubkey_get_key_id(pub, GNUTLS_KEYID_USE_SHA256, bytes, &size);
  memcpy(print, "sha256:", sizeof "sha256:");
  char *at = print + strlen(print);
  for (size_t i = 0; rc >= 0 && i < size; i++, at += 2) {
    static const char digits[] = "0123456789abcdef";
    at[0] = digits[bytes[i] >> 4];
    at[1] = digits[bytes[i] & 15];
  }
  *at = '\0';
  return rc;
}

static int print_of_key(gnutls_x509_privkey_t key, char print[KEYGEN_PRINT_SIZE])
{
  gnutls_privkey_t half = NULL;
  gnutls_pubkey_t pub = NULL;
  int rc = gnutls_privkey_init(&half);
  if (rc >= 0)
    rc = gnutls_privkey_import_x509(half, key, GNUTLS_PRIVKEY_IMPORT_COPY);
  if (rc >= 0)
    rc = gnutls_pubkey_init(&pub);
  if (rc >= 0)
    rc = gnutls_pubkey_import_privkey(pub, half, 0, 0);
  if (rc >= 0)
    rc = print_of(pub, print);
  if (pub)
    gnutls_pubkey_deinit(pub);
  if (half)
    gnutls_privkey_deinit(half);
  return rc;
}

status keygen_raw(const keygen_args *a, const char *path, keygen_made *m, buf *err)
{
  gnutls_x509_privkey_t key = NULL;
  status s = make_key(&key, err);
  if (s == STATUS_OK)
    s = check(print_of_key(key, m->print), "cannot make a fingerprint", err);
  if (s == STATUS_OK)
    s = write_key(key, path, a->is_force, err);
  if (s == STATUS_OK)
    buf_text(&m->key, path);
  if (key)
    gnutls_x509_privkey_deinit(key);
  return s;
}

static int print_of_certificate(const gnutls_datum_t *pem, char print[KEYGEN_PRINT_SIZE])
{
  gnutls_x509_crt_t crt = NULL;
  gnutls_pubkey_t pub = NULL;
  int rc = gnutls_x509_crt_init(&crt);
  if (rc >= 0)
    rc = gnutls_x509_crt_import(crt, pem, GNUTLS_X509_FMT_PEM);
  if (rc >= 0)
    rc = gnutls_pubkey_init(&pub);
  if (rc >= 0)
    rc = gnutls_pubkey_import_x509(pub, crt, 0);
  if (rc >= 0)
    rc = print_of(pub, print);
  if (pub)
    gnutls_pubkey_deinit(pub);
  if (crt)
    gnutls_x509_crt_deinit(crt);
  return rc;
}

static int print_of_public(const gnutls_datum_t *pem, char print[KEYGEN_PRINT_SIZE])
{
  gnutls_pubkey_t pub = NULL;
  int rc = gnutls_pubkey_init(&pub);
  if (rc >= 0)
    rc = gnutls_pubkey_import(pub, pem, GNUTLS_X509_FMT_PEM);
  if (rc >= 0)
    rc = print_of(pub, print);
  if (pub)
    gnutls_pubkey_deinit(pub);
  return rc;
}

static int print_of_private(const gnutls_datum_t *pem, char print[KEYGEN_PRINT_SIZE])
{
  gnutls_x509_privkey_t key = NULL;
  int rc = gnutls_x509_privkey_init(&key);
  if (rc >= 0)
    rc = gnutls_x509_privkey_import2(key, pem, GNUTLS_X509_FMT_PEM, NULL, 0);
  if (rc >= 0)
    rc = print_of_key(key, print);
  if (key)
    gnutls_x509_privkey_deinit(key);
  return rc;
}

status keygen_show(const char *path, keygen_made *m, buf *err)
{
  buf text = {0};
  const status s = keygen_read(path, false, &text, err);
  const gnutls_datum_t pem = datum_of(&text);
  const bool is_found = s == STATUS_OK && (print_of_certificate(&pem, m->print) >= 0 ||
                                           print_of_public(&pem, m->print) >= 0 ||
                                           print_of_private(&pem, m->print) >= 0);
  keygen_forget(&text);
  if (s != STATUS_OK || is_found)
    return s;
  buf_print(err, "%s: there is neither a key nor a certificate in it, in PEM", path);
  return STATUS_INTERNAL;
}

/* ------------------------------------------------------------------------------------------------
 * certificates */

static void note_expiry(keygen_made *m, time_t when)
{
  struct tm parts;
  if (gmtime_r(&when, &parts))
    strftime(m->expires, sizeof m->expires, "%Y-%m-%dT%H:%M:%SZ", &parts);
}

/* What all certificates have. The serial number is random: nothing has to be remembered. */
static int prepare(gnutls_x509_crt_t crt, gnutls_x509_privkey_t key, const char *name, time_t end)
{
  uint8_t serial[SERIAL_SIZE], id[KEY_ID_SIZE];
  size_t id_size = sizeof id;
  int rc = gnutls_rnd(GNUTLS_RND_NONCE, serial, sizeof serial);
  serial[0] = (uint8_t)((serial[0] & 0x7f) | 0x40); /* positive, and of full length */
  if (rc >= 0)
    rc = gnutls_x509_crt_set_version(crt, VERSION_CERTIFICATE);
  if (rc >= 0)
    rc = gnutls_x509_crt_set_key(crt, key);
  if (rc >= 0)
    rc = gnutls_x509_crt_set_serial(crt, serial, sizeof serial);
  if (rc >= 0)
    rc = gnutls_x509_crt_set_activation_time(crt, time(NULL) - DAY); /* clocks differ */
  if (rc >= 0)
    rc = gnutls_x509_crt_set_expiration_time(crt, end);
  if (rc >= 0)
    rc = gnutls_x509_crt_set_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 0, name,
                                       (unsigned)strlen(name));
  if (rc >= 0)
    rc = gnutls_x509_crt_get_key_id(crt, 0, id, &id_size);
  return rc >= 0 ? gnutls_x509_crt_set_subject_key_id(crt, id, id_size) : rc;
}

static status write_certificate(gnutls_x509_crt_t crt, const char *path, bool is_replace, buf *err)
{
  gnutls_datum_t pem = {NULL, 0};
  status s = check(gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_PEM, &pem),
                   "cannot write a certificate", err);
  const keygen_file file = {path, copal_span_of(pem.data, pem.size), false, is_replace};
  if (s == STATUS_OK)
    s = keygen_write(&file, err);
  gnutls_free(pem.data);
  return s;
}

static status sign_list(const authority *ca, gnutls_x509_crl_t crl, time_t end, buf *err)
{
  uint8_t id[KEY_ID_SIZE], number[LIST_NUMBER_SIZE];
  size_t id_size = sizeof id;
  unsigned critical;
  const time_t now = time(NULL);
  struct timespec fine;
  clock_gettime(CLOCK_REALTIME, &fine); /* each list has a higher number. RFC 5280 section 5.2.3 */
  const uint64_t value = (uint64_t)fine.tv_sec * 1000000000 + (uint64_t)fine.tv_nsec;
  for (unsigned i = 0; i < LIST_NUMBER_SIZE; i++)
    number[i] = (uint8_t)(value >> (8 * (LIST_NUMBER_SIZE - 1 - i)));
  int rc = gnutls_x509_crl_set_version(crl, VERSION_CRL);
  if (rc >= 0)
    rc = gnutls_x509_crl_set_this_update(crl, now - DAY);
  if (rc >= 0)
    rc = gnutls_x509_crl_set_next_update(crl, end);
  if (rc >= 0)
    rc = gnutls_x509_crl_set_number(crl, number, sizeof number);
  if (rc >= 0)
    rc = gnutls_x509_crt_get_subject_key_id(ca->crt, id, &id_size, &critical);
  if (rc >= 0)
    rc = gnutls_x509_crl_set_authority_key_id(crl, id, id_size);
  if (rc >= 0)
    rc = gnutls_x509_crl_sign2(crl, ca->crt, ca->key, GNUTLS_DIG_SHA256, 0);
  return check(rc, "cannot sign the revocation list", err);
}

static status write_list(gnutls_x509_crl_t crl, const char *path, bool is_replace, buf *err)
{
  gnutls_datum_t pem = {NULL, 0};
  status s = check(gnutls_x509_crl_export2(crl, GNUTLS_X509_FMT_PEM, &pem),
                   "cannot write the revocation list", err);
  const keygen_file file = {path, copal_span_of(pem.data, pem.size), false, is_replace};
  if (s == STATUS_OK)
    s = keygen_write(&file, err);
  gnutls_free(pem.data);
  return s;
}

/* ------------------------------------------------------------------------------------------------
 * the CA */

static void close_authority(authority *ca)
{
  if (ca->crt)
    gnutls_x509_crt_deinit(ca->crt);
  if (ca->key)
    gnutls_x509_privkey_deinit(ca->key);
}

static void put_path(buf *b, const char *dir, const char *name)
{
  b->len = 0;
  buf_print(b, "%s/%s", dir, name);
}

static status open_authority(const char *dir, authority *ca, buf *err)
{
  buf path = {0}, crt = {0}, key = {0};
  *ca = (authority){NULL, NULL};
  put_path(&path, dir, "ca.pem");
  status s = keygen_read(buf_str(&path), false, &crt, err);
  const gnutls_datum_t crt_pem = datum_of(&crt);
  if (s == STATUS_OK && (gnutls_x509_crt_init(&ca->crt) < 0 ||
                         gnutls_x509_crt_import(ca->crt, &crt_pem, GNUTLS_X509_FMT_PEM) < 0)) {
    buf_print(err, "%s: there is no certificate in it", buf_str(&path));
    s = STATUS_INTERNAL;
  }
  put_path(&path, dir, "ca.key");
  if (s == STATUS_OK)
    s = keygen_read(buf_str(&path), true, &key, err);
  const gnutls_datum_t key_pem = datum_of(&key);
  if (s == STATUS_OK &&
      (gnutls_x509_privkey_init(&ca->key) < 0 ||
       gnutls_x509_privkey_import2(ca->key, &key_pem, GNUTLS_X509_FMT_PEM, NULL, 0) < 0)) {
    buf_print(err, "%s: there is no private key in it", buf_str(&path));
    s = STATUS_INTERNAL;
  }
  buf_wipe(&path);
  buf_wipe(&crt);
  keygen_forget(&key);
  return s;
}

static time_t end_of(const keygen_args *a, uint32_t days)
{
  return time(NULL) + (time_t)(a->days ? a->days : days) * DAY;
}

/* Nothing outlives the CA. */
static time_t end_within(const keygen_args *a, uint32_t days, const authority *ca)
{
  const time_t end = end_of(a, days), last = gnutls_x509_crt_get_expiration_time(ca->crt);
  return end < last ? end : last;
}

static status make_authority(const keygen_args *a, authority *ca, time_t end, buf *err)
{
  const char *name = a->name ? a->name : "copal CA";
  status s = make_key(&ca->key, err);
  int rc = s == STATUS_OK ? gnutls_x509_crt_init(&ca->crt) : 0;
  if (s != STATUS_OK)
    return s;
  if (rc >= 0)
    rc = prepare(ca->crt, ca->key, name, end);
  if (rc >= 0)
    rc = gnutls_x509_crt_set_basic_constraints(ca->crt, 1, 0);
  if (rc >= 0)
    rc = gnutls_x509_crt_set_key_usage(ca->crt, GNUTLS_KEY_KEY_CERT_SIGN | GNUTLS_KEY_CRL_SIGN);
  if (rc >= 0)
    rc = gnutls_x509_crt_sign2(ca->crt, ca->crt, ca->key, GNUTLS_DIG_SHA256, 0);
  return check(rc, "cannot make a CA", err);
}

/* Nothing is written when a part of it could not be. */
static status check_room(const keygen_args *a, const keygen_made *m, buf *err)
{
  const char *const files[] = {buf_str(&m->key), buf_str(&m->certificate), buf_str(&m->crl)};
  for (size_t i = 0; !a->is_force && i < sizeof files / sizeof *files; i++)
    if (*files[i] != '\0' && access(files[i], F_OK) == 0) {
      buf_print(err, "%s exists; give --force to replace it", files[i]);
      return STATUS_USAGE;
    }
  return STATUS_OK;
}

status keygen_ca(const keygen_args *a, const char *dir, keygen_made *m, buf *err)
{
  authority ca = {NULL, NULL};
  gnutls_x509_crl_t crl = NULL;
  const time_t end = end_of(a, DAYS_CA);
  if (mkdir(dir, 0700) != 0 && errno != EEXIST) {
    buf_print(err, "%s: %s", dir, strerror(errno));
    return STATUS_INTERNAL;
  }
  put_path(&m->certificate, dir, "ca.pem");
  put_path(&m->key, dir, "ca.key");
  put_path(&m->crl, dir, "crl.pem");
  status s = check_room(a, m, err);
  if (s == STATUS_OK)
    s = make_authority(a, &ca, end, err);
  if (s == STATUS_OK)
    s = check(gnutls_x509_crl_init(&crl), "cannot make a revocation list", err);
  if (s == STATUS_OK)
    s = sign_list(&ca, crl, end, err);
  if (s == STATUS_OK)
    s = check(print_of_key(ca.key, m->print), "cannot make a fingerprint", err);
  if (s == STATUS_OK) /* the key first: it is what must not be lost */
    s = write_key(ca.key, buf_str(&m->key), a->is_force, err);
  if (s == STATUS_OK)
    s = write_certificate(ca.crt, buf_str(&m->certificate), a->is_force, err);
  if (s == STATUS_OK)
    s = write_list(crl, buf_str(&m->crl), a->is_force, err);
  note_expiry(m, end);
  if (crl)
    gnutls_x509_crl_deinit(crl);
  close_authority(&ca);
  return s;
}

static int add_host(gnutls_x509_crt_t crt, const char *host)
{
  uint8_t ip[16];
  if (inet_pton(AF_INET, host, ip) == 1)
    return gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_IPADDRESS, ip, 4,
                                                GNUTLS_FSAN_APPEND);
  if (inet_pton(AF_INET6, host, ip) == 1)
    return gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_IPADDRESS, ip, 16,
                                                GNUTLS_FSAN_APPEND);
  return gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_DNSNAME, host, (unsigned)strlen(host),
                                              GNUTLS_FSAN_APPEND);
}

static int set_purpose(const keygen_args *a, gnutls_x509_crt_t crt)
{
  int rc = gnutls_x509_crt_set_basic_constraints(crt, 0, -1);
  if (rc >= 0)
    rc = gnutls_x509_crt_set_key_usage(crt, GNUTLS_KEY_DIGITAL_SIGNATURE);
  if (rc >= 0)
    rc = gnutls_x509_crt_set_key_purpose_oid(
        crt, a->client ? GNUTLS_KP_TLS_WWW_CLIENT : GNUTLS_KP_TLS_WWW_SERVER, 0);
  for (uint32_t i = 0; rc >= 0 && i < a->host_count; i++)
    rc = add_host(crt, a->hosts[i]);
  return rc;
}

static status make_certificate(const keygen_args *a, const authority *ca, gnutls_x509_privkey_t key,
                               gnutls_x509_crt_t *crt, buf *err)
{
  uint8_t id[KEY_ID_SIZE];
  size_t id_size = sizeof id;
  int rc = gnutls_x509_crt_init(crt);
  if (rc >= 0)
    rc = prepare(*crt, key, a->client ? a->client : a->hosts[0],
                 end_within(a, DAYS_CERTIFICATE, ca));
  if (rc >= 0)
    rc = set_purpose(a, *crt);
  if (rc >= 0)
    rc = gnutls_x509_crt_get_subject_key_id(ca->crt, id, &id_size, NULL);
  if (rc >= 0)
    rc = gnutls_x509_crt_set_authority_key_id(*crt, id, id_size);
  if (rc >= 0)
    rc = gnutls_x509_crt_sign2(*crt, ca->crt, ca->key, GNUTLS_DIG_SHA256, 0);
  return check(rc, "cannot make a certificate", err);
}

status keygen_cert(const keygen_args *a, const char *prefix, keygen_made *m, buf *err)
{
  authority ca;
  gnutls_x509_privkey_t key = NULL;
  gnutls_x509_crt_t crt = NULL;
  status s = open_authority(a->ca, &ca, err);
  buf_print(&m->certificate, "%s.pem", prefix);
  buf_print(&m->key, "%s.key", prefix);
  if (s == STATUS_OK)
    s = check_room(a, m, err);
  if (s == STATUS_OK)
    s = make_key(&key, err);
  if (s == STATUS_OK)
    s = make_certificate(a, &ca, key, &crt, err);
  if (s == STATUS_OK)
    s = check(print_of_key(key, m->print), "cannot make a fingerprint", err);
  if (s == STATUS_OK)
    s = write_key(key, buf_str(&m->key), a->is_force, err);
  if (s == STATUS_OK) {
    s = write_certificate(crt, buf_str(&m->certificate), a->is_force, err);
    note_expiry(m, gnutls_x509_crt_get_expiration_time(crt));
  }
  if (crt)
    gnutls_x509_crt_deinit(crt);
  if (key)
    gnutls_x509_privkey_deinit(key);
  close_authority(&ca);
  return s;
}

/* ------------------------------------------------------------------------------------------------
 * revocation */

static status open_list(const char *path, gnutls_x509_crl_t *crl, buf *err)
{
  buf text = {0};
  status s = check(gnutls_x509_crl_init(crl), "cannot make a revocation list", err);
  if (s == STATUS_OK && access(path, F_OK) == 0) {
    s = keygen_read(path, false, &text, err);
    const gnutls_datum_t pem = datum_of(&text);
    if (s == STATUS_OK && gnutls_x509_crl_import(*crl, &pem, GNUTLS_X509_FMT_PEM) < 0) {
      buf_print(err, "%s: there is no revocation list in it", path);
      s = STATUS_INTERNAL;
    }
  }
  buf_wipe(&text);
  return s;
}

static status put_on_list(const authority *ca, gnutls_x509_crl_t crl, const char *path, buf *err)
{
  buf text = {0};
  gnutls_x509_crt_t crt = NULL;
  status s = keygen_read(path, false, &text, err);
  const gnutls_datum_t pem = datum_of(&text);
  int rc = s == STATUS_OK ? gnutls_x509_crt_init(&crt) : 0;
  if (s == STATUS_OK && rc >= 0)
    rc = gnutls_x509_crt_import(crt, &pem, GNUTLS_X509_FMT_PEM);
  if (s == STATUS_OK && rc >= 0 && gnutls_x509_crt_check_issuer(crt, ca->crt) != 1) {
    buf_print(err, "%s: this CA has not signed it", path);
    s = STATUS_USAGE;
  }
  if (s == STATUS_OK && rc >= 0)
    rc = gnutls_x509_crl_set_crt(crl, crt, time(NULL));
  if (s == STATUS_OK)
    s = check(rc, path, err);
  if (crt)
    gnutls_x509_crt_deinit(crt);
  buf_wipe(&text);
  return s;
}

status keygen_crl(const keygen_args *a, const char *path, keygen_made *m, buf *err)
{
  authority ca;
  gnutls_x509_crl_t crl = NULL;
  status s = open_authority(a->ca, &ca, err);
  put_path(&m->crl, a->ca, "crl.pem");
  if (s == STATUS_OK)
    s = open_list(buf_str(&m->crl), &crl, err);
  if (s == STATUS_OK && path)
    s = put_on_list(&ca, crl, path, err);
  if (s == STATUS_OK) {
    const time_t end = end_within(a, DAYS_CA, &ca);
    note_expiry(m, end);
    s = sign_list(&ca, crl, end, err);
  }
  if (s == STATUS_OK)
    s = write_list(crl, buf_str(&m->crl), true, err);
  if (crl)
    gnutls_x509_crl_deinit(crl);
  close_authority(&ca);
  return s;
}
