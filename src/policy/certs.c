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

/* Names of files, and the array of pairs. */
typedef struct copies {
  size_t count;
  char **texts;
  certs_pair *more;
} copies;

struct certs {
  dtls_credentials face; /* first */
  certs_cfg cfg;
  copies names;         /* of the files that `cfg` names */
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
    if (!certs_shows(e, own))
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

static int readmit_raw_key(const certs *c, const edition *e, const identity *id, uint32_t who,
                           uint32_t *now)
{
  fingerprint print;
  char text[FINGERPRINT_TEXT];
  const known_key *k = proof_raw_key(id, &print) ? edition_find(e, &print) : NULL;
  if (k == NULL)
    return COPAL_ENOTFOUND;
  fingerprint_write(&print, text);
  return proof_readmit(c->cfg.all, who, copal_span_str(k->name[0] != '\0' ? k->name : text),
                       copal_span_none(), now);
}

static int readmit(dtls_credentials *face, uint32_t who, uint32_t *now)
{
  certs *c = (certs *)face;
  dtls_credentials *psks = c->cfg.psks;
  const identity *id = identity_of(c->cfg.all, who);
  const int kind = proof_kind(id);
  const size_t head = kind == PROOF_RULE ? PROOF_RULE_HEAD : 0; /* which is not our business */
  if (kind == PROOF_PSK || kind == PROOF_LOOKUP)
    return psks != NULL && psks->readmit != NULL ? psks->readmit(psks, who, now) : COPAL_ENOTFOUND;
  *now = who;
  edition *e = hold(c);
  int rc = COPAL_ENOTFOUND;
  if (kind == PROOF_RAW_KEY)
    rc = readmit_raw_key(c, e, id, who, now);
  else if (id->proof.len > head &&
           certs_still_believe(e, copal_span_of(id->proof.ptr + head, id->proof.len - head)))
    rc = COPAL_OK;
  let_go(c, e->own);
  return rc;
}

static void release(dtls_credentials *face, uint32_t who)
{
  const certs *c = (certs *)face;
  if (c->cfg.all != NULL && who != 0)
    identity_release(c->cfg.all, who);
}

/* A server that has nothing to show does not ask for anything either. */
static gnutls_certificate_credentials_t take(dtls_credentials *face, copal_span server_name)
{
  certs *c = (certs *)face;
  edition *e = hold(c);
  if (c->cfg.is_client || e->facts.certificates > 0 || e->facts.raw_key[0] != '\0')
    return certs_shown_to(e, server_name);
  let_go(c, e->own);
  return NULL;
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

static bool refuses_raw_keys(dtls_credentials *face)
{
  certs *c = (certs *)face;
  edition *e = hold(c);
  const bool refuses = e->key_count == 0 && !c->cfg.is_gullible;
  let_go(c, e->own);
  return refuses;
}

/* The pin of a client may be that of a certificate. */
static bool refuses_certificates(dtls_credentials *face)
{
  certs *c = (certs *)face;
  edition *e = hold(c);
  const bool refuses =
      e->key_count > 0 && e->trusted == NULL && !c->cfg.is_client && !c->cfg.is_gullible;
  let_go(c, e->own);
  return refuses;
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
  c->face = (dtls_credentials){.certificates_take = take,
                               .certificates_give = give,
                               .admits_nobody = admits_nobody,
                               .asks_nobody = asks_nobody,
                               .refuses_raw_keys = refuses_raw_keys,
                               .refuses_certificates = refuses_certificates,
                               .vouch = vouch,
                               .readmit = c->cfg.all != NULL ? readmit : NULL,
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

static void drop_names(copies *n)
{
  for (size_t i = 0; i < n->count; i++)
    free(n->texts[i]);
  free(n->texts);
  free(n->more);
  *n = (copies){.count = 0};
}

static bool keep_name(copies *n, const char **name)
{
  if (*name == NULL)
    return true;
  n->texts[n->count] = strdup(*name);
  *name = n->texts[n->count];
  return n->texts[n->count++] != NULL;
}

/* Copies all names, and lets `cfg` name the copies. On failure nothing is left of them. */
static bool keep_names(copies *n, certs_cfg *cfg)
{
  const char **names[] = {&cfg->certificate, &cfg->key,       &cfg->ca, &cfg->crl,
                          &cfg->raw_key,     &cfg->raw_peers, &cfg->pin};
  const size_t fixed = sizeof names / sizeof *names;
  bool is_good = true;
  *n = (copies){.texts = calloc(fixed + 2 * cfg->more_count, sizeof *n->texts),
                .more = calloc(cfg->more_count + 1, sizeof *n->more)};
  is_good = n->texts != NULL && n->more != NULL;
  for (size_t i = 0; is_good && i < fixed; i++)
    is_good = keep_name(n, names[i]);
  for (size_t i = 0; is_good && i < cfg->more_count; i++) {
    n->more[i] = cfg->more[i];
    is_good = keep_name(n, &n->more[i].certificate) && keep_name(n, &n->more[i].key);
  }
  cfg->more = n->more;
  if (!is_good)
    drop_names(n);
  return is_good;
}

int certs_open(const certs_cfg *cfg, certs **out, char why[CERTS_WHY_SIZE])
{
  certs *c = calloc(1, sizeof *c);
  snprintf(why, CERTS_WHY_SIZE, "out of memory");
  if (c == NULL)
    return COPAL_ENOSPC;
  c->cfg = *cfg;
  pthread_mutex_init(&c->lock, NULL);
  const int rc =
      keep_names(&c->names, &c->cfg) ? edition_read(&c->cfg, &c->editions, why) : COPAL_ENOSPC;
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
  drop_names(&c->names);
  pthread_mutex_destroy(&c->lock);
  free(c);
}

/* Takes over other names; shards look at nothing of these. */
static void rename_files(certs *c, const copies *fresh, const certs_cfg *cfg)
{
  c->cfg.certificate = cfg->certificate;
  c->cfg.key = cfg->key;
  c->cfg.more_count = cfg->more_count;
  c->cfg.more = cfg->more;
  c->cfg.ca = cfg->ca;
  c->cfg.crl = cfg->crl;
  c->cfg.raw_key = cfg->raw_key;
  c->cfg.raw_peers = cfg->raw_peers;
  c->cfg.pin = cfg->pin;
  drop_names(&c->names);
  c->names = *fresh;
}

static void publish(certs *c, edition *fresh)
{
  pthread_mutex_lock(&c->lock);
  edition *old = c->editions;
  fresh->next = old;
  old->holders++; /* ours, let go of below */
  c->editions = fresh;
  pthread_mutex_unlock(&c->lock);
  let_go(c, old->own);
}

int certs_reload(certs *c, const certs_cfg *names, char why[CERTS_WHY_SIZE])
{
  certs_cfg cfg = names != NULL ? *names : c->cfg;
  edition *fresh = NULL;
  copies kept;
  cfg.is_client = c->cfg.is_client;
  snprintf(why, CERTS_WHY_SIZE, "out of memory");
  if (!keep_names(&kept, &cfg))
    return COPAL_ENOSPC;
  const int rc = edition_read(&cfg, &fresh, why);
  if (rc < 0) {
    drop_names(&kept);
    return rc;
  }
  rename_files(c, &kept, &cfg);
  publish(c, fresh);
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
