/* SPDX-License-Identifier: Apache-2.0 */
/* Reading the files of certificates and raw public keys. RFC 5280, RFC 7250. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gnutls/crypto.h>

#include "copal/error.h"
#include "policy/certs_inside.h"
#include "policy/lines.h"

enum { KEYS_FIRST = 16 };

/* ------------------------------------------------------------------------------------------------
 * files */

int certs_complain(char why[CERTS_WHY_SIZE], const char *path, const char *what)
{
  snprintf(why, CERTS_WHY_SIZE, "%s: %s", path, what);
  return COPAL_EINVAL;
}

/* The first mistake becomes the sentence. */
static int pass_on(char why[CERTS_WHY_SIZE], const mistakes *m)
{
  const size_t len = strcspn(m->text, "\n");
  snprintf(why, CERTS_WHY_SIZE, "%.*s", (int)len, m->text);
  return COPAL_EINVAL;
}

/* Reads a whole file; wiped and given back with certs_drop(). */
int certs_load(const char *path, lines_secrecy secrecy, gnutls_datum_t *out,
               char why[CERTS_WHY_SIZE])
{
  mistakes m = {.count = 0};
  copal_mspan text;
  if (lines_load(path, secrecy, &text, &m) < 0)
    return pass_on(why, &m);
  *out = (gnutls_datum_t){text.ptr, (unsigned)text.len};
  return COPAL_OK;
}

void certs_drop(gnutls_datum_t *d)
{
  if (d->data != NULL)
    gnutls_memset(d->data, 0, d->size);
  free(d->data);
  *d = (gnutls_datum_t){NULL, 0};
}

/* ------------------------------------------------------------------------------------------------
 * certification authorities and their revocation lists */

typedef struct authorities {
  unsigned count;
  gnutls_x509_crt_t *items;
} authorities;

static int read_authorities(const char *path, authorities *a, char why[CERTS_WHY_SIZE])
{
  gnutls_datum_t pem = {NULL, 0};
  int rc = certs_load(path, LINES_OPEN, &pem, why);
  if (rc == COPAL_OK) {
    const int n = gnutls_x509_crt_list_import2(&a->items, &a->count, &pem, GNUTLS_X509_FMT_PEM, 0);
    if (n < 0 || a->count == 0)
      rc = certs_complain(why, path, "there is no certificate in it, in PEM");
  }
  certs_drop(&pem);
  return rc;
}

/* Checks who has signed a revocation list. That a newer one is due is told, but is no reason to
 * forget whom it revokes. RFC 5280 section 5. */
static int check_crl(gnutls_x509_crl_t crl, const authorities *a, edition *e)
{
  const unsigned age = GNUTLS_CERT_REVOCATION_DATA_SUPERSEDED;
  unsigned status = 0;
  if (gnutls_x509_crl_verify(crl, a->items, a->count, 0, &status) < 0)
    return COPAL_EINVAL;
  if (status != 0 && status != age && status != (age | GNUTLS_CERT_INVALID))
    return COPAL_EINVAL;
  const int64_t next = (int64_t)gnutls_x509_crl_get_next_update(crl);
  if (next > 0 && (e->facts.outdated == 0 || next < e->facts.outdated))
    e->facts.outdated = next;
  e->facts.revocation_lists++;
  return COPAL_OK;
}

static int add_crls(edition *e, const certs_cfg *cfg, const authorities *a,
                    char why[CERTS_WHY_SIZE])
{
  gnutls_datum_t pem = {NULL, 0};
  gnutls_x509_crl_t *list = NULL;
  unsigned count = 0, good = 0;
  int rc = certs_load(cfg->crl, LINES_OPEN, &pem, why);
  if (rc == COPAL_OK &&
      (gnutls_x509_crl_list_import2(&list, &count, &pem, GNUTLS_X509_FMT_PEM, 0) < 0 || count == 0))
    rc = certs_complain(why, cfg->crl, "there is no revocation list in it, in PEM");
  while (rc == COPAL_OK && good < count && check_crl(list[good], a, e) == COPAL_OK)
    good++;
  if (rc == COPAL_OK && good < count) {
    snprintf(why, CERTS_WHY_SIZE, "%s: no CA of %s has signed revocation list %u in it", cfg->crl,
             cfg->ca, good + 1);
    rc = COPAL_EINVAL;
  }
  if (rc == COPAL_OK)
    rc = certs_note_lists(e, list, count);
  if (rc == COPAL_OK) {
    rc = gnutls_x509_trust_list_add_crls(e->trusted, list, count, 0, 0) < 0 ? COPAL_ENOSPC : rc;
  } else {
    for (unsigned i = 0; i < count; i++)
      gnutls_x509_crl_deinit(list[i]);
  }
  gnutls_free(list);
  certs_drop(&pem);
  return rc;
}

static int read_trust(edition *e, const certs_cfg *cfg, char why[CERTS_WHY_SIZE])
{
  authorities a = {.count = 0};
  int rc = gnutls_x509_trust_list_init(&e->trusted, 0) < 0 ? COPAL_ENOSPC : COPAL_OK;
  if (rc == COPAL_OK)
    rc = read_authorities(cfg->ca, &a, why);
  if (rc == COPAL_OK && certs_is_named(cfg->crl))
    rc = add_crls(e, cfg, &a, why);
  if (rc == COPAL_OK)
    rc = certs_note_authorities(e, a.items, a.count);
  e->facts.authorities = a.count;
  if (rc == COPAL_OK) /* which takes them */
    rc = gnutls_x509_trust_list_add_cas(e->trusted, a.items, a.count, 0) < 0 ? COPAL_ENOSPC : rc;
  else
    while (a.count > 0)
      gnutls_x509_crt_deinit(a.items[--a.count]);
  gnutls_free(a.items);
  return rc;
}

/* ------------------------------------------------------------------------------------------------
 * raw public keys of peers */

static bool add_key(edition *e, const known_key *k)
{
  if (e->key_count == e->key_cap) {
    const size_t cap = e->key_cap > 0 ? 2 * e->key_cap : KEYS_FIRST;
    known_key *grown = realloc(e->keys, cap * sizeof *grown);
    if (grown == NULL)
      return false;
    e->keys = grown;
    e->key_cap = cap;
  }
  e->keys[e->key_count++] = *k;
  return true;
}

/* [name] fingerprint */
static int read_peer(edition *e, lines *l)
{
  known_key k = {.line = l->number};
  if (!lines_item(l, ""))
    return COPAL_OK; /* the complaint is made */
  if (!lines_is_over(l)) {
    if (!identity_name_is_valid(copal_span_of(l->item, l->len)))
      lines_wrong(l, "the name is not UTF-8 text of up to %d bytes", IDENTITY_NAME_MAX);
    else
      memcpy(k.name, l->item, l->len);
    if (!lines_item(l, ""))
      return COPAL_OK;
  }
  const char *wrong = fingerprint_read(l->item, &k.print);
  if (wrong != NULL)
    lines_wrong(l, "'%s' %s", l->item, wrong);
  else if (!lines_is_over(l))
    lines_wrong(l, "something follows the fingerprint");
  return l->is_bad || add_key(e, &k) ? COPAL_OK : COPAL_ENOSPC;
}

static int compare_keys(const void *a, const void *b)
{
  return memcmp(((const known_key *)a)->print.bytes, ((const known_key *)b)->print.bytes,
                FINGERPRINT_MIN);
}

static void sort_keys(edition *e, const char *path, mistakes *m)
{
  if (e->key_count > 0)
    qsort(e->keys, e->key_count, sizeof *e->keys, compare_keys);
  for (size_t i = 1; i < e->key_count; i++) {
    const unsigned a = e->keys[i - 1].line, b = e->keys[i].line;
    if (compare_keys(&e->keys[i - 1], &e->keys[i]) == 0)
      mistakes_add(m, path, a > b ? a : b, "this key stands in line %u already", a > b ? b : a);
  }
}

static int read_peers(edition *e, const char *path, char why[CERTS_WHY_SIZE])
{
  mistakes m = {.count = 0};
  copal_mspan text;
  if (lines_load(path, LINES_OPEN, &text, &m) < 0)
    return pass_on(why, &m);
  lines l = {.file = path, .left = copal_span_of(text.ptr, text.len), .mistakes = &m};
  int rc = COPAL_OK;
  while (rc == COPAL_OK && lines_next(&l))
    rc = read_peer(e, &l);
  free(text.ptr);
  if (rc == COPAL_OK)
    sort_keys(e, path, &m);
  e->facts.peers = e->key_count;
  return rc == COPAL_OK && m.count > 0 ? pass_on(why, &m) : rc;
}

static int read_pin(edition *e, const char *pin, char why[CERTS_WHY_SIZE])
{
  known_key k = {.line = 1};
  const char *wrong = fingerprint_read(pin, &k.print);
  if (wrong != NULL) {
    snprintf(why, CERTS_WHY_SIZE, "'%.80s' %s", pin, wrong);
    return COPAL_EINVAL;
  }
  return add_key(e, &k) ? COPAL_OK : COPAL_ENOSPC;
}

const known_key *edition_find(const edition *e, const fingerprint *whole)
{
  const known_key wanted = {.print = *whole};
  const known_key *k = e->key_count > 0
                           ? bsearch(&wanted, e->keys, e->key_count, sizeof *e->keys, compare_keys)
                           : NULL;
  return k != NULL && fingerprint_is_of(&k->print, whole) ? k : NULL;
}

/* ------------------------------------------------------------------------------------------------
 * all of it */

static int check(const certs_cfg *cfg, char why[CERTS_WHY_SIZE])
{
  if (certs_is_named(cfg->certificate) != certs_is_named(cfg->key))
    return certs_complain(why, certs_is_named(cfg->key) ? cfg->key : cfg->certificate,
                          "a certificate and its key belong together: give both");
  for (size_t i = 0; i < cfg->more_count; i++)
    if (!certs_is_named(cfg->more[i].certificate) || !certs_is_named(cfg->more[i].key))
      return certs_complain(why, cfg->certificate,
                            "each certificate and its key belong together: give both");
  if (certs_is_named(cfg->crl) && !certs_is_named(cfg->ca))
    return certs_complain(why, cfg->crl,
                          "a revocation list needs the CA that signed it: give it, too");
  return COPAL_OK;
}

static int read_all(edition *e, const certs_cfg *cfg, char why[CERTS_WHY_SIZE])
{
  int rc = check(cfg, why);
  if (rc == COPAL_OK && cfg->more_count > 0) {
    e->shown = calloc(cfg->more_count + 1, sizeof *e->shown);
    rc = e->shown != NULL ? COPAL_OK : COPAL_ENOSPC;
  }
  if (rc == COPAL_OK && certs_is_named(cfg->certificate))
    rc = certs_read_pair(e, &(certs_pair){cfg->certificate, cfg->key}, cfg->is_client, why);
  for (size_t i = 0; rc == COPAL_OK && i < cfg->more_count; i++)
    rc = certs_read_pair(e, &cfg->more[i], cfg->is_client, why);
  if (rc == COPAL_OK && certs_is_named(cfg->ca))
    rc = read_trust(e, cfg, why);
  if (rc == COPAL_OK && certs_is_named(cfg->raw_key))
    rc = certs_read_raw_key(e, cfg->raw_key, why);
  if (rc == COPAL_OK && certs_is_named(cfg->raw_peers))
    rc = read_peers(e, cfg->raw_peers, why);
  if (rc == COPAL_OK && certs_is_named(cfg->pin))
    rc = read_pin(e, cfg->pin, why);
  return rc;
}

int edition_read(const certs_cfg *cfg, edition **out, char why[CERTS_WHY_SIZE])
{
  edition *e = calloc(1, sizeof *e);
  snprintf(why, CERTS_WHY_SIZE, "out of memory");
  if (e == NULL)
    return COPAL_ENOSPC;
  const int rc =
      gnutls_certificate_allocate_credentials(&e->own) < 0 ? COPAL_ENOSPC : read_all(e, cfg, why);
  if (rc < 0)
    edition_free(e);
  else
    *out = e;
  return rc;
}

void edition_free(edition *e)
{
  if (e->own != NULL)
    gnutls_certificate_free_credentials(e->own);
  certs_free_shown(e);
  if (e->trusted != NULL)
    gnutls_x509_trust_list_deinit(e->trusted, 1);
  free(e->keys);
  free(e->authorities);
  free(e->revoked);
  free(e);
}
