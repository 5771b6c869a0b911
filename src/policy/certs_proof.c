/* SPDX-License-Identifier: Apache-2.0 */
/* What is kept of a certificate that was believed, to know later whether it still would be: not the
 * certificate, of which there may be a million, but what a revocation list, the list of CAs and the
 * clock can say of it. RFC 5280 sections 5 and 6.
 *
 *   C | when the first of the chain ends, seconds since 1970 (8 bytes) | the CA that was trusted
 * (16) | each certificate of the chain: hash of issuer and serial number (16)
 *
 * The hashes are SHA-256, cut: of the CA's name and key, and of the issuer's name and the serial
 * number, which is what revocation lists have. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <gnutls/crypto.h>

#include "copal/cursor.h"
#include "copal/error.h"
#include "policy/certs_inside.h"

enum {
  SHA256_SIZE = 32,
  SERIAL_MAX = 64, /* RFC 5280 section 4.1.2.2 allows 20 */
  HEAD = 1 + 8 + CERTS_ID_SIZE,
  REVOKED_FIRST = 64,
};

/* ------------------------------------------------------------------------------------------------
 * hashes */

/* SHA-256 of a name's SHA-256 and of what tells apart who has it. */
static bool hash_pair(const gnutls_datum_t *dn, copal_span other, certs_id *out)
{
  uint8_t both[SHA256_SIZE + SERIAL_MAX], whole[SHA256_SIZE];
  if (other.len > SERIAL_MAX || gnutls_hash_fast(GNUTLS_DIG_SHA256, dn->data, dn->size, both) < 0)
    return false;
  memcpy(both + SHA256_SIZE, other.ptr, other.len);
  if (gnutls_hash_fast(GNUTLS_DIG_SHA256, both, SHA256_SIZE + other.len, whole) < 0)
    return false;
  memcpy(out->bytes, whole, sizeof out->bytes);
  return true;
}

static bool id_of_certificate(gnutls_x509_crt_t crt, certs_id *out)
{
  gnutls_datum_t dn = {NULL, 0};
  uint8_t serial[SERIAL_MAX];
  size_t len = sizeof serial;
  const bool is_good = gnutls_x509_crt_get_raw_issuer_dn(crt, &dn) >= 0 &&
                       gnutls_x509_crt_get_serial(crt, serial, &len) >= 0 &&
                       hash_pair(&dn, copal_span_of(serial, len), out);
  gnutls_free(dn.data);
  return is_good;
}

/* A CA that gets another certificate for the same key stays the same. */
static bool id_of_authority(gnutls_x509_crt_t crt, certs_id *out)
{
  gnutls_datum_t dn = {NULL, 0};
  uint8_t key[SERIAL_MAX];
  size_t len = sizeof key;
  const bool is_good = gnutls_x509_crt_get_raw_dn(crt, &dn) >= 0 &&
                       gnutls_x509_crt_get_key_id(crt, GNUTLS_KEYID_USE_SHA256, key, &len) >= 0 &&
                       hash_pair(&dn, copal_span_of(key, len), out);
  gnutls_free(dn.data);
  return is_good;
}

static bool is_same(const certs_id *a, const certs_id *b)
{
  return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

/* ------------------------------------------------------------------------------------------------
 * what an edition knows */

static int compare_ids(const void *a, const void *b)
{
  return memcmp(a, b, sizeof(certs_id));
}

int certs_note_authorities(edition *e, const gnutls_x509_crt_t *crts, unsigned count)
{
  e->authorities = calloc((size_t)count + 1, sizeof *e->authorities);
  if (e->authorities == NULL)
    return COPAL_ENOSPC;
  for (unsigned i = 0; i < count; i++) {
    certs_authority *a = &e->authorities[e->authority_count];
    a->expires = (int64_t)gnutls_x509_crt_get_expiration_time(crts[i]);
    e->authority_count += id_of_authority(crts[i], &a->id);
  }
  return COPAL_OK;
}

static certs_id *room_for_revoked(edition *e)
{
  if (e->revoked_count == e->revoked_cap) {
    const size_t cap = e->revoked_cap > 0 ? 2 * e->revoked_cap : REVOKED_FIRST;
    certs_id *grown = realloc(e->revoked, cap * sizeof *grown);
    if (grown == NULL)
      return NULL;
    e->revoked = grown;
    e->revoked_cap = cap;
  }
  return &e->revoked[e->revoked_count];
}

static int note_list(edition *e, gnutls_x509_crl_t list)
{
  gnutls_x509_crl_iter_t at = NULL;
  gnutls_datum_t dn = {NULL, 0};
  int rc = gnutls_x509_crl_get_raw_issuer_dn(list, &dn) < 0 ? COPAL_ENOSPC : COPAL_OK;
  while (rc == COPAL_OK) {
    uint8_t serial[SERIAL_MAX];
    size_t len = sizeof serial;
    if (gnutls_x509_crl_iter_crt_serial(list, &at, serial, &len, NULL) < 0)
      break; /* behind the last one */
    certs_id *id = room_for_revoked(e);
    if (id == NULL)
      rc = COPAL_ENOSPC;
    else
      e->revoked_count += hash_pair(&dn, copal_span_of(serial, len), id);
  }
  gnutls_x509_crl_iter_deinit(at);
  gnutls_free(dn.data);
  return rc;
}

int certs_note_lists(edition *e, const gnutls_x509_crl_t *lists, unsigned count)
{
  int rc = COPAL_OK;
  for (unsigned i = 0; rc == COPAL_OK && i < count; i++)
    rc = note_list(e, lists[i]);
  if (e->revoked_count > 0)
    qsort(e->revoked, e->revoked_count, sizeof *e->revoked, compare_ids);
  return rc;
}

/* ------------------------------------------------------------------------------------------------
 * proofs */

static void put_time(copal_wr *w, int64_t t)
{
  copal_wr_be(w, (uint32_t)((uint64_t)t >> 32), 4);
  copal_wr_be(w, (uint32_t)t, 4);
}

/* By its key, not by name alone: CAs that follow one another have the same name. Times are judged
 * elsewhere. */
static bool has_signed(gnutls_x509_crt_t ca, gnutls_x509_crt_t crt)
{
  unsigned problems = 0;
  return gnutls_x509_crt_check_issuer(crt, ca) != 0 &&
         gnutls_x509_crt_verify(crt, &ca, 1, GNUTLS_VERIFY_DISABLE_TIME_CHECKS, &problems) >= 0 &&
         problems == 0;
}

static bool find_signer(const edition *e, gnutls_x509_crt_t crt, certs_id *out)
{
  gnutls_x509_trust_list_iter_t at = NULL;
  gnutls_x509_crt_t ca;
  bool is_found = false;
  while (!is_found && gnutls_x509_trust_list_iter_get_ca(e->trusted, &at, &ca) >= 0) {
    is_found = has_signed(ca, crt) && id_of_authority(ca, out);
    gnutls_x509_crt_deinit(ca);
  }
  gnutls_x509_trust_list_iter_deinit(at);
  return is_found;
}

/* Who is trusted when a certificate is: the CA that has signed it, or it itself stands in the list.
 */
static bool find_authority(const edition *e, gnutls_x509_crt_t crt, certs_id *out)
{
  if (find_signer(e, crt, out))
    return true;
  if (!id_of_authority(crt, out))
    return false;
  for (size_t i = 0; i < e->authority_count; i++)
    if (is_same(&e->authorities[i].id, out))
      return true;
  return false;
}

bool certs_prove(const edition *e, const gnutls_x509_crt_t *chain, unsigned count, proof *out)
{
  certs_id authority, ids[CERTS_CHAIN_MAX];
  int64_t expires = INT64_MAX;
  unsigned used = 0;
  bool has_authority = false;
  while (!has_authority && used < count && used < CERTS_CHAIN_MAX) {
    const int64_t end = (int64_t)gnutls_x509_crt_get_expiration_time(chain[used]);
    expires = end < expires ? end : expires;
    if (!id_of_certificate(chain[used], &ids[used]))
      return false;
    has_authority = find_authority(e, chain[used], &authority);
    used++;
  }
  if (!has_authority)
    return false;
  copal_wr w = copal_wr_init((copal_mspan){out->bytes, sizeof out->bytes});
  copal_wr_u8(&w, PROOF_CERTIFICATE);
  put_time(&w, expires);
  copal_wr_span(&w, copal_span_of(authority.bytes, sizeof authority.bytes));
  for (unsigned i = 0; i < used; i++)
    copal_wr_span(&w, copal_span_of(ids[i].bytes, sizeof ids[i].bytes));
  out->len = w.len;
  return w.err == COPAL_OK;
}

static bool knows_authority(const edition *e, copal_span bytes, int64_t now)
{
  certs_id id;
  memcpy(id.bytes, bytes.ptr, sizeof id.bytes);
  for (size_t i = 0; i < e->authority_count; i++)
    if (is_same(&e->authorities[i].id, &id) && e->authorities[i].expires >= now)
      return true;
  return false;
}

static bool is_revoked(const edition *e, copal_span bytes)
{
  certs_id id;
  memcpy(id.bytes, bytes.ptr, sizeof id.bytes);
  return e->revoked_count > 0 &&
         bsearch(&id, e->revoked, e->revoked_count, sizeof id, compare_ids) != NULL;
}

bool certs_still_believe(const edition *e, copal_span bytes)
{
  const int64_t now = (int64_t)time(NULL);
  if (bytes.len < HEAD || (bytes.len - HEAD) % CERTS_ID_SIZE != 0 ||
      bytes.ptr[0] != PROOF_CERTIFICATE)
    return false;
  copal_rd r = copal_rd_init(copal_span_of(bytes.ptr + 1, bytes.len - 1));
  const uint64_t high = copal_rd_be(&r, 4), end = high << 32 | copal_rd_be(&r, 4);
  if ((int64_t)end < now || !knows_authority(e, copal_rd_span(&r, CERTS_ID_SIZE), now))
    return false;
  while (r.left > 0 && r.err == COPAL_OK)
    if (is_revoked(e, copal_rd_span(&r, CERTS_ID_SIZE)))
      return false;
  return true;
}
