/* SPDX-License-Identifier: Apache-2.0 */
/* Our own certificates, chosen by the name that a client wants, and our raw public key. RFC 7252
 * sections 9.1.3.2 and 9.1.3.3, RFC 6066 section 3, RFC 7250. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <gnutls/abstract.h>

#include "copal/error.h"
#include "copal/uri.h"
#include "policy/certs_inside.h"
#include "policy/lines.h"

enum {
  KEY_BITS = 256,  /* of P-256, the curve that the suites have. RFC 7252 section 9.1.3.2 */
  CHAIN_MAX = 16,  /* certificates of a chain of ours */
  NAMES_MAX = 64,  /* of a certificate of ours */
  NAME_SIZE = 256, /* of each, with its end */
};

static const char no_curve[] =
    "the key is not on the curve P-256, which these suites need: openssl "
    "ecparam -name prime256v1 -genkey -noout makes one";

/* Reads a private key that the suites can use. */
static int read_key(const char *path, gnutls_datum_t *pem, gnutls_x509_privkey_t *key,
                    char why[CERTS_WHY_SIZE])
{
  unsigned bits = 0;
  int rc = certs_load(path, LINES_SECRET, pem, why);
  if (rc < 0)
    return rc;
  if (gnutls_x509_privkey_init(key) < 0)
    return COPAL_ENOSPC;
  if (gnutls_x509_privkey_import2(*key, pem, GNUTLS_X509_FMT_PEM, NULL, GNUTLS_PKCS_PLAIN) < 0)
    return certs_complain(why, path,
                          "there is no private key in it, in PEM and without a password");
  const int kind = gnutls_x509_privkey_get_pk_algorithm2(*key, &bits);
  return kind == GNUTLS_PK_ECDSA && bits == KEY_BITS ? COPAL_OK
                                                     : certs_complain(why, path, no_curve);
}

/* ------------------------------------------------------------------------------------------------
 * names */

/* Names of hosts that a certificate is for. */
typedef struct certs_names {
  size_t count;
  char texts[NAMES_MAX][NAME_SIZE];
} certs_names;

/* Keeps a name in lower case; others that a Common Name may hold, or a cut one, are no names of
 * hosts. */
static void add_name(certs_names *names, const char *text, size_t len)
{
  if (names->count == NAMES_MAX || len == 0 || len >= NAME_SIZE)
    return;
  char *name = names->texts[names->count];
  for (size_t i = 0; i < len; i++) {
    const unsigned char c = (unsigned char)text[i];
    if (c >= 0x80 || (isalnum(c) == 0 && c != '-' && c != '.' && c != '_'))
      return;
    name[i] = (char)tolower(c);
  }
  name[len] = '\0';
  names->count++;
}

static void add_host_of(certs_names *names, const char *text, size_t len)
{
  copal_uri u;
  if (copal_uri_parse(copal_span_of(text, len), &u, NULL) == COPAL_OK && !u.host_is_ipv4 &&
      !u.host_is_ipv6)
    add_name(names, (const char *)u.host.ptr, u.host.len);
}

/* DNS names and the hosts of CoAP URIs, or the Common Name when there is no SubjectAltName: as
 * certs_is_for() has it. */
static void list_names(gnutls_x509_crt_t crt, certs_names *names)
{
  char text[NAME_SIZE];
  bool has_alternatives = false;
  size_t len = sizeof text;
  int type = 0;
  names->count = 0;
  for (unsigned i = 0; type >= 0 || type == GNUTLS_E_SHORT_MEMORY_BUFFER; i++) {
    len = sizeof text;
    type = gnutls_x509_crt_get_subject_alt_name(crt, i, text, &len, NULL);
    has_alternatives = has_alternatives || type != GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE;
    if (type == GNUTLS_SAN_DNSNAME)
      add_name(names, text, len);
    else if (type == GNUTLS_SAN_URI)
      add_host_of(names, text, len);
  }
  len = sizeof text;
  if (!has_alternatives &&
      gnutls_x509_crt_get_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 0, 0, text, &len) >= 0)
    add_name(names, text, len);
}

/* ------------------------------------------------------------------------------------------------
 * certificates */

/* A pair of files, as they are read. */
typedef struct pair_read {
  const certs_pair *files;
  gnutls_datum_t chain, pem; /* wiped at the end */
  gnutls_x509_privkey_t key;
  unsigned count;
  gnutls_x509_crt_t *crts;
} pair_read;

/* A certificate that clients would refuse for what it says of itself is not served. */
static int check_own(const pair_read *p, bool is_client, char why[CERTS_WHY_SIZE])
{
  const char *purpose = is_client ? GNUTLS_KP_TLS_WWW_CLIENT : GNUTLS_KP_TLS_WWW_SERVER;
  unsigned usage = 0, critical;
  if (gnutls_x509_crt_check_key_purpose(p->crts[0], purpose, 0) == 0)
    return certs_complain(why, p->files->certificate,
                          is_client ? "its extended key usage does not allow TLS clients"
                                    : "its extended key usage does not allow TLS servers");
  if (gnutls_x509_crt_get_key_usage(p->crts[0], &usage, &critical) >= 0 &&
      (usage & GNUTLS_KEY_DIGITAL_SIGNATURE) == 0)
    return certs_complain(why, p->files->certificate,
                          "its key usage does not allow digital signatures");
  return COPAL_OK;
}

static void write_subject(gnutls_x509_crt_t crt, char text[IDENTITY_NAME_MAX + 1])
{
  size_t len = IDENTITY_NAME_MAX + 1;
  if (gnutls_x509_crt_get_dn(crt, text, &len) < 0 || len <= 1)
    snprintf(text, IDENTITY_NAME_MAX + 1, "(without a subject)");
}

/* The first is the one that is shown to who names none of them. */
static void note_own(certs_facts *f, gnutls_x509_crt_t crt)
{
  const int64_t expires = (int64_t)gnutls_x509_crt_get_expiration_time(crt);
  if (f->certificates++ == 0)
    write_subject(crt, f->subject);
  if (f->expiring[0] != '\0' && expires >= f->expires)
    return;
  f->expires = expires;
  write_subject(crt, f->expiring);
}

/* Hands a chain and its key to the library; what it does not take is freed. Returns as the library
 * does. */
static int hand_over(gnutls_certificate_credentials_t own, const pair_read *p)
{
  gnutls_pcert_st chain[CHAIN_MAX];
  unsigned count = p->count;
  gnutls_privkey_t key = NULL;
  int rc = gnutls_pcert_import_x509_list(chain, p->crts, &count, GNUTLS_X509_CRT_LIST_SORT);
  if (rc < 0)
    return rc;
  rc = gnutls_privkey_init(&key);
  if (rc >= 0)
    rc = gnutls_privkey_import_x509(key, p->key, GNUTLS_PRIVKEY_IMPORT_COPY);
  if (rc >= 0)
    rc = gnutls_certificate_set_key(own, NULL, 0, chain, (int)count, key);
  if (rc >= 0)
    return rc;
  if (key != NULL)
    gnutls_privkey_deinit(key);
  while (count > 0)
    gnutls_pcert_deinit(&chain[--count]);
  return rc;
}

/* One of several is shown alone to who wants it by name. */
static int show_alone(edition *e, const pair_read *p)
{
  if (e->shown == NULL)
    return 0;
  certs_shown *s = &e->shown[e->shown_count++];
  s->names = malloc(sizeof *s->names);
  if (s->names == NULL)
    return GNUTLS_E_MEMORY_ERROR;
  list_names(p->crts[0], s->names);
  const int rc = gnutls_certificate_allocate_credentials(&s->own);
  return rc < 0 ? rc : hand_over(s->own, p);
}

static bool has_name(const certs_names *names, copal_span wanted)
{
  for (size_t i = 0; i < names->count; i++)
    if (strlen(names->texts[i]) == wanted.len &&
        strncasecmp(names->texts[i], (const char *)wanted.ptr, wanted.len) == 0)
      return true;
  return false;
}

gnutls_certificate_credentials_t certs_shown_to(const edition *e, copal_span server_name)
{
  for (size_t i = 0; i < e->shown_count && server_name.len > 0; i++)
    if (has_name(e->shown[i].names, server_name))
      return e->shown[i].own;
  return e->own;
}

bool certs_shows(const edition *e, gnutls_certificate_credentials_t own)
{
  for (size_t i = 0; i < e->shown_count; i++)
    if (e->shown[i].own == own)
      return true;
  return e->own == own;
}

void certs_free_shown(edition *e)
{
  for (size_t i = 0; i < e->shown_count; i++) {
    if (e->shown[i].own != NULL)
      gnutls_certificate_free_credentials(e->shown[i].own);
    free(e->shown[i].names);
  }
  free(e->shown);
}

static int import_chain(pair_read *p, char why[CERTS_WHY_SIZE])
{
  const int rc =
      gnutls_x509_crt_list_import2(&p->crts, &p->count, &p->chain, GNUTLS_X509_FMT_PEM, 0);
  if (rc < 0)
    p->count = 0;
  if (rc < 0 || p->count == 0)
    return certs_complain(why, p->files->certificate, "there is no certificate in it, in PEM");
  if (p->count > CHAIN_MAX)
    return certs_complain(why, p->files->certificate, "there are too many certificates in it");
  return COPAL_OK;
}

static int read_pair(edition *e, pair_read *p, bool is_client, char why[CERTS_WHY_SIZE])
{
  int rc = certs_load(p->files->certificate, LINES_OPEN, &p->chain, why);
  if (rc == COPAL_OK)
    rc = read_key(p->files->key, &p->pem, &p->key, why);
  if (rc == COPAL_OK)
    rc = import_chain(p, why);
  if (rc == COPAL_OK)
    rc = check_own(p, is_client, why);
  if (rc < 0)
    return rc;
  int n = hand_over(e->own, p);
  if (n >= 0)
    n = show_alone(e, p);
  if (n == GNUTLS_E_CERTIFICATE_KEY_MISMATCH) {
    snprintf(why, CERTS_WHY_SIZE, "%s: the key is that of another certificate: %s",
             p->files->certificate, p->files->key);
    return COPAL_EINVAL;
  }
  if (n < 0)
    return certs_complain(why, p->files->certificate, gnutls_strerror(n));
  note_own(&e->facts, p->crts[0]);
  return COPAL_OK;
}

int certs_read_pair(edition *e, const certs_pair *files, bool is_client, char why[CERTS_WHY_SIZE])
{
  pair_read p = {.files = files};
  const int rc = read_pair(e, &p, is_client, why);
  while (p.count > 0)
    gnutls_x509_crt_deinit(p.crts[--p.count]);
  gnutls_free(p.crts);
  if (p.key != NULL)
    gnutls_x509_privkey_deinit(p.key);
  certs_drop(&p.chain);
  certs_drop(&p.pem);
  return rc;
}

/* ------------------------------------------------------------------------------------------------
 * the raw public key */

/* Writes the public key that belongs to the private one: PEM for the library, DER for the
 * fingerprint. Both are freed with gnutls_free(). */
static int derive_public(gnutls_x509_privkey_t key, gnutls_datum_t *pem, gnutls_datum_t *der)
{
  gnutls_privkey_t abstract = NULL;
  gnutls_pubkey_t public = NULL;
  int rc = gnutls_privkey_init(&abstract);
  if (rc >= 0)
    rc = gnutls_privkey_import_x509(abstract, key, 0);
  if (rc >= 0)
    rc = gnutls_pubkey_init(&public);
  if (rc >= 0)
    rc = gnutls_pubkey_import_privkey(public, abstract, 0, 0);
  if (rc >= 0)
    rc = gnutls_pubkey_export2(public, GNUTLS_X509_FMT_PEM, pem);
  if (rc >= 0)
    rc = gnutls_pubkey_export2(public, GNUTLS_X509_FMT_DER, der);
  if (public != NULL)
    gnutls_pubkey_deinit(public);
  if (abstract != NULL)
    gnutls_privkey_deinit(abstract);
  return rc;
}

static int add_raw_key(gnutls_certificate_credentials_t own, const gnutls_datum_t *spki,
                       const gnutls_datum_t *pem)
{
  return gnutls_certificate_set_rawpk_key_mem(own, spki, pem, GNUTLS_X509_FMT_PEM, NULL, 0, NULL, 0,
                                              GNUTLS_PKCS_PLAIN);
}

/* It has no name: it is shown beside each certificate. */
static int set_raw_key(edition *e, gnutls_x509_privkey_t key, const gnutls_datum_t *pem)
{
  gnutls_datum_t spki = {NULL, 0}, der = {NULL, 0};
  fingerprint print;
  int rc = derive_public(key, &spki, &der);
  if (rc >= 0)
    rc = add_raw_key(e->own, &spki, pem);
  for (size_t i = 0; rc >= 0 && i < e->shown_count; i++)
    rc = add_raw_key(e->shown[i].own, &spki, pem);
  if (rc >= 0)
    rc = fingerprint_of(copal_span_of(der.data, der.size), &print) ? 0 : GNUTLS_E_MEMORY_ERROR;
  if (rc >= 0)
    fingerprint_write(&print, e->facts.raw_key);
  gnutls_free(spki.data);
  gnutls_free(der.data);
  return rc;
}

int certs_read_raw_key(edition *e, const char *path, char why[CERTS_WHY_SIZE])
{
  gnutls_datum_t pem = {NULL, 0};
  gnutls_x509_privkey_t key = NULL;
  int rc = read_key(path, &pem, &key, why);
  if (rc == COPAL_OK) {
    const int n = set_raw_key(e, key, &pem);
    rc = n < 0 ? certs_complain(why, path, gnutls_strerror(n)) : COPAL_OK;
  }
  if (key != NULL)
    gnutls_x509_privkey_deinit(key);
  certs_drop(&pem);
  return rc;
}
