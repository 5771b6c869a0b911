/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates and raw public keys: editions of what files say, and the face for handshakes. RFC
 * 7252 section 9.1.3. */
#include "policy/certs.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "copal/error.h"
#include "policy/certs_inside.h"

struct certs {
  dtls_credentials face; /* first */
  certs_cfg cfg;
  char *files[7];       /* copies of what `cfg` names */
  pthread_mutex_t lock; /* of the list of editions and their holders */
  edition *editions;    /* the newest first */
};

/* ------------------------------------------------------------------------------------------------
 * editions */

static edition *hold(certs *c)
{
  pthread_mutex_lock(&c->lock);
  edition *e = c->editions;
  e->holders++;
  pthread_mutex_unlock(&c->lock);
  return e;
}

/* Lets go of the edition with these credentials, and of the edition when it is an old one that
 * nobody else has. */
static void let_go(certs *c, gnutls_certificate_credentials_t own)
{
  edition *done = NULL;
  pthread_mutex_lock(&c->lock);
  for (edition **at = &c->editions; *at != NULL; at = &(*at)->next) {
    edition *e = *at;
    if (e->own != own)
      continue;
    e->holders--;
    if (e->holders == 0 && e != c->editions) {
      *at = e->next;
      done = e;
    }
    break;
  }
  pthread_mutex_unlock(&c->lock);
  if (done != NULL)
    edition_free(done);
}

/* ------------------------------------------------------------------------------------------------
 * the face */

static int vouch(dtls_credentials *face, const dtls_claim *claim, uint32_t *who)
{
  certs *c = (certs *)face;
  dtls_objection ignored;
  if (claim->kind == DTLS_CLAIM_PSK)
    return c->cfg.psks != NULL ? c->cfg.psks->vouch(c->cfg.psks, claim, who) : COPAL_ENOTFOUND;
  edition *e = hold(c);
  const int rc =
      certs_judge(&c->cfg, e, claim, who, claim->objection != NULL ? claim->objection : &ignored);
  let_go(c, e->own);
  return rc;
}

static void release(dtls_credentials *face, uint32_t who)
{
  const certs *c = (certs *)face;
  if (c->cfg.all != NULL && who != 0)
    identity_release(c->cfg.all, who);
}

static gnutls_certificate_credentials_t take(dtls_credentials *face)
{
  return hold((certs *)face)->own;
}

static void give(dtls_credentials *face, gnutls_certificate_credentials_t taken)
{
  let_go((certs *)face, taken);
}

static bool admits_nobody(dtls_credentials *face)
{
  return ((certs *)face)->cfg.clients != CERTS_CLIENTS_REQUIRED;
}

static bool asks_nobody(dtls_credentials *face)
{
  return ((certs *)face)->cfg.clients == CERTS_CLIENTS_NONE;
}

static int psk_find(dtls_credentials *face, copal_span name, dtls_psk_wait *w, dtls_psks *keys)
{
  dtls_credentials *psks = ((certs *)face)->cfg.psks;
  return psks->psk_find(psks, name, w, keys);
}

static void psk_cancel(dtls_credentials *face, dtls_psk_wait *w)
{
  dtls_credentials *psks = ((certs *)face)->cfg.psks;
  psks->psk_cancel(psks, w);
}

static int psk_own(dtls_credentials *face, dtls_own_psk *own)
{
  dtls_credentials *psks = ((certs *)face)->cfg.psks;
  return psks->psk_own(psks, own);
}

static void set_face(certs *c)
{
  const dtls_credentials *psks = c->cfg.psks;
  const bool has_keys = certs_is_named(c->cfg.raw_peers) || certs_is_named(c->cfg.pin);
  const bool has_pin = c->cfg.is_client && certs_is_named(c->cfg.pin);
  const bool has_authorities = certs_is_named(c->cfg.ca) || has_pin;
  c->face = (dtls_credentials){.certificates_take = take,
                               .certificates_give = give,
                               .admits_nobody = admits_nobody,
                               .asks_nobody = asks_nobody,
                               .refuses_raw_keys = !has_keys && !c->cfg.is_gullible,
                               .refuses_certificates =
                                   has_keys && !has_authorities && !c->cfg.is_gullible,
                               .vouch = vouch,
                               .release = release};
  if (psks == NULL)
    return;
  c->face.psk_hint = psks->psk_hint;
  c->face.psk_find = psks->psk_find != NULL ? psk_find : NULL;
  c->face.psk_cancel = psks->psk_cancel != NULL ? psk_cancel : NULL;
  c->face.psk_own = psks->psk_own != NULL ? psk_own : NULL;
}

/* ------------------------------------------------------------------------------------------------
 * life */

static bool keep_names(certs *c)
{
  const char **names[] = {&c->cfg.certificate, &c->cfg.key,       &c->cfg.ca, &c->cfg.crl,
                          &c->cfg.raw_key,     &c->cfg.raw_peers, &c->cfg.pin};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    if (*names[i] == NULL)
      continue;
    c->files[i] = strdup(*names[i]);
    *names[i] = c->files[i];
    if (c->files[i] == NULL)
      return false;
  }
  return true;
}

int certs_open(const certs_cfg *cfg, certs **out, char why[CERTS_WHY_SIZE])
{
  certs *c = calloc(1, sizeof *c);
  snprintf(why, CERTS_WHY_SIZE, "out of memory");
  if (c == NULL)
    return COPAL_ENOSPC;
  c->cfg = *cfg;
  pthread_mutex_init(&c->lock, NULL);
  const int rc = keep_names(c) ? edition_read(&c->cfg, &c->editions, why) : COPAL_ENOSPC;
  if (rc < 0) {
    certs_close(c);
    return rc;
  }
  set_face(c);
  *out = c;
  return COPAL_OK;
}

void certs_close(certs *c)
{
  if (c == NULL)
    return;
  while (c->editions != NULL) {
    edition *e = c->editions;
    c->editions = e->next;
    edition_free(e);
  }
  for (size_t i = 0; i < sizeof c->files / sizeof *c->files; i++)
    free(c->files[i]);
  pthread_mutex_destroy(&c->lock);
  free(c);
}

int certs_reload(certs *c, char why[CERTS_WHY_SIZE])
{
  edition *fresh = NULL;
  const int rc = edition_read(&c->cfg, &fresh, why);
  if (rc < 0)
    return rc;
  pthread_mutex_lock(&c->lock);
  edition *old = c->editions;
  fresh->next = old;
  old->holders++; /* ours, let go of below */
  c->editions = fresh;
  pthread_mutex_unlock(&c->lock);
  let_go(c, old->own);
  return COPAL_OK;
}

void certs_facts_now(certs *c, certs_facts *f)
{
  pthread_mutex_lock(&c->lock);
  *f = c->editions->facts;
  pthread_mutex_unlock(&c->lock);
}

dtls_credentials *certs_credentials(certs *c)
{
  return &c->face;
}
