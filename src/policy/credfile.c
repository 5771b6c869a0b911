/* SPDX-License-Identifier: Apache-2.0 */
/* The credentials file of the daemon, as handshakes see it. */
#include "policy/credfile.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "copal/error.h"
#include "policy/credbook.h"
#include "policy/proof.h"

struct credfile {
  dtls_credentials face; /* first */
  char *path;
  identities *all;
  dtls_credentials *next; /* NULL: none */
  pthread_rwlock_t lock;  /* of `book`: a reload may come while shards look things up */
  credbook book;
};

static void object(const dtls_claim *claim, dtls_refusal kind, const char *text)
{
  if (claim->objection == NULL)
    return;
  claim->objection->kind = kind;
  snprintf(claim->objection->text, sizeof claim->objection->text, "%s", text);
}

/* ------------------------------------------------------------------------------------------------
 * pre-shared keys */

static bool find_own(credfile *f, copal_span name, dtls_psks *keys)
{
  pthread_rwlock_rdlock(&f->lock);
  const book_psk *p = credbook_psk(&f->book, name);
  keys->count = 0;
  for (size_t i = 0; p != NULL && i < DTLS_PSK_COUNT && p->keys[i].len > 0; i++) {
    memcpy(keys->keys[i].bytes, p->keys[i].ptr, p->keys[i].len);
    keys->keys[i].len = p->keys[i].len;
    keys->count++;
  }
  pthread_rwlock_unlock(&f->lock);
  return p != NULL;
}

static int psk_find(dtls_credentials *c, copal_span name, dtls_psk_wait *w, dtls_psks *keys)
{
  credfile *f = (credfile *)c;
  if (find_own(f, name, keys))
    return COPAL_OK;
  return f->next != NULL && f->next->psk_find != NULL ? f->next->psk_find(f->next, name, w, keys)
                                                      : COPAL_ENOTFOUND;
}

static void psk_cancel(dtls_credentials *c, dtls_psk_wait *w)
{
  dtls_credentials *next = ((credfile *)c)->next;
  next->psk_cancel(next, w);
}

/* ------------------------------------------------------------------------------------------------
 * who it is */

static int vouch_next(credfile *f, const dtls_claim *claim, uint32_t *who)
{
  return f->next != NULL ? f->next->vouch(f->next, claim, who) : COPAL_ENOTFOUND;
}

static int hold(credfile *f, identity_kind kind, copal_span name, copal_span groups,
                const proof *by, uint32_t *who)
{
  const identity id = {.kind = kind, .name = name, .groups = groups, .proof = proof_span(by)};
  return identity_hold_as(f->all, &id, who);
}

static int vouch_for_psk(credfile *f, const dtls_claim *claim, uint32_t *who)
{
  int rc = COPAL_ENOTFOUND;
  pthread_rwlock_rdlock(&f->lock);
  const book_psk *p =
      credbook_psk(&f->book, copal_span_of(claim->items[0].data, claim->items[0].size));
  if (p != NULL) {
    const proof by = proof_of_psk(p->identity, p->name);
    rc = hold(f, IDENTITY_PSK, p->name, p->groups, &by, who);
  }
  pthread_rwlock_unlock(&f->lock);
  return p != NULL ? rc : vouch_next(f, claim, who);
}

static int vouch_for_raw_key(credfile *f, const dtls_claim *claim, uint32_t *who)
{
  fingerprint print;
  char text[FINGERPRINT_TEXT];
  int rc = COPAL_ENOTFOUND;
  if (claim->count == 0 ||
      !fingerprint_of(copal_span_of(claim->items[0].data, claim->items[0].size), &print))
    return COPAL_ENOSLOT;
  fingerprint_write(&print, text);
  pthread_rwlock_rdlock(&f->lock);
  const book_raw_key *k = credbook_raw_key(&f->book, &print);
  if (k != NULL) {
    const proof by = proof_of_raw_key(&print);
    rc = hold(f, IDENTITY_RPK, k->name.len > 0 ? k->name : copal_span_str(text), k->groups, &by,
              who);
  }
  pthread_rwlock_unlock(&f->lock);
  return k != NULL ? rc : vouch_next(f, claim, who);
}

/* The rule, and what the certificate was believed for. */
static proof proof_by_rule(const book_subject *s, copal_span rest)
{
  proof p = {.len = PROOF_RULE_HEAD, .bytes = {PROOF_RULE}};
  memcpy(p.bytes + 1, s->mark, sizeof s->mark);
  if (rest.len == 0 || rest.len > sizeof p.bytes - p.len)
    return (proof){.len = 0};
  memcpy(p.bytes + p.len, rest.ptr, rest.len);
  p.len += rest.len;
  return p;
}

/* Names the owner of a certificate that has been verified, and was called `verified`. */
static int name_owner(credfile *f, const dtls_claim *claim, uint32_t verified, uint32_t *who)
{
  gnutls_x509_crt_t crt;
  char name[IDENTITY_NAME_MAX + 1];
  int rc = COPAL_EINVAL;
  if (gnutls_x509_crt_init(&crt) < 0)
    return COPAL_ENOSLOT;
  pthread_rwlock_rdlock(&f->lock);
  const book_subject *s = gnutls_x509_crt_import(crt, &claim->items[0], GNUTLS_X509_FMT_DER) >= 0
                              ? credbook_subject(&f->book, crt, name)
                              : NULL;
  if (s != NULL) {
    const proof by = proof_by_rule(s, identity_of(f->all, verified)->proof);
    rc = hold(f, IDENTITY_X509, copal_span_str(name), s->groups, &by, who);
  }
  pthread_rwlock_unlock(&f->lock);
  gnutls_x509_crt_deinit(crt);
  if (s == NULL)
    object(claim, DTLS_REFUSAL_NAME, "no rule of the credentials file takes this subject");
  return rc;
}

static int vouch_for_certificate(credfile *f, const dtls_claim *claim, uint32_t *who)
{
  int rc = vouch_next(f, claim, who);
  pthread_rwlock_rdlock(&f->lock);
  const bool has_rules = f->book.has_subjects;
  pthread_rwlock_unlock(&f->lock);
  if (rc < 0 || !has_rules)
    return rc;
  const uint32_t verified = *who;
  *who = 0;
  rc = name_owner(f, claim, verified, who);
  f->next->release(f->next, verified);
  return rc;
}

static int vouch(dtls_credentials *c, const dtls_claim *claim, uint32_t *who)
{
  credfile *f = (credfile *)c;
  switch (claim->kind) {
  case DTLS_CLAIM_PSK: return vouch_for_psk(f, claim, who);
  case DTLS_CLAIM_RPK: return vouch_for_raw_key(f, claim, who);
  case DTLS_CLAIM_X509: return vouch_for_certificate(f, claim, who);
  case DTLS_CLAIM_NONE: break;
  }
  return vouch_next(f, claim, who);
}

/* ------------------------------------------------------------------------------------------------
 * who it still is */

static int readmit_next(credfile *f, uint32_t who, uint32_t *now)
{
  return f->next != NULL && f->next->readmit != NULL ? f->next->readmit(f->next, who, now)
                                                     : COPAL_ENOTFOUND;
}

/* Someone with a key, of either kind, who may be in the file. Returns false for others. */
static bool readmit_key(credfile *f, const identity *id, uint32_t who, uint32_t *now, int *rc)
{
  fingerprint print;
  char text[FINGERPRINT_TEXT];
  const book_raw_key *k = NULL;
  const book_psk *p = NULL;
  pthread_rwlock_rdlock(&f->lock);
  if (proof_kind(id) == PROOF_PSK)
    p = credbook_psk(&f->book, proof_psk(id));
  else if (proof_raw_key(id, &print))
    k = credbook_raw_key(&f->book, &print);
  if (p != NULL)
    *rc = proof_readmit(f->all, who, p->name, p->groups, now);
  if (k != NULL) {
    fingerprint_write(&print, text);
    *rc = proof_readmit(f->all, who, k->name.len > 0 ? k->name : copal_span_str(text), k->groups,
                        now);
  }
  pthread_rwlock_unlock(&f->lock);
  return p != NULL || k != NULL;
}

/* A certificate whose owner a rule has named: the rule must be there still. Its owner's name was
 * made from the certificate, which nobody has kept. */
static int readmit_by_rule(credfile *f, const identity *id, uint32_t who, uint32_t *now)
{
  int rc = COPAL_ENOTFOUND;
  pthread_rwlock_rdlock(&f->lock);
  const book_subject *s =
      id->proof.len > PROOF_RULE_HEAD ? credbook_rule(&f->book, id->proof.ptr + 1) : NULL;
  if (s != NULL)
    rc = proof_readmit(f->all, who, id->name, s->groups, now);
  pthread_rwlock_unlock(&f->lock);
  return rc;
}

static int readmit_certificate(credfile *f, const identity *id, uint32_t who, uint32_t *now)
{
  const bool has_rule = proof_kind(id) == PROOF_RULE;
  pthread_rwlock_rdlock(&f->lock);
  const bool has_rules = f->book.has_subjects;
  pthread_rwlock_unlock(&f->lock);
  if (has_rule != has_rules)
    return COPAL_ENOTFOUND;
  const int rc = readmit_next(f, who, now);
  return rc == COPAL_OK && has_rule ? readmit_by_rule(f, id, who, now) : rc;
}

static int readmit(dtls_credentials *c, uint32_t who, uint32_t *now)
{
  credfile *f = (credfile *)c;
  const identity *id = identity_of(f->all, who);
  int rc = COPAL_OK;
  switch (proof_kind(id)) {
  case PROOF_PSK:
  case PROOF_RAW_KEY: return readmit_key(f, id, who, now, &rc) ? rc : readmit_next(f, who, now);
  case PROOF_RULE:
  case PROOF_CERTIFICATE: return readmit_certificate(f, id, who, now);
  default: return readmit_next(f, who, now);
  }
}

static void release(dtls_credentials *c, uint32_t who)
{
  if (who != 0)
    identity_release(((credfile *)c)->all, who);
}

/* ------------------------------------------------------------------------------------------------
 * what is passed on */

static gnutls_certificate_credentials_t take(dtls_credentials *c, copal_span server_name)
{
  dtls_credentials *next = ((credfile *)c)->next;
  return next->certificates_take(next, server_name);
}

static void give(dtls_credentials *c, gnutls_certificate_credentials_t taken)
{
  dtls_credentials *next = ((credfile *)c)->next;
  next->certificates_give(next, taken);
}

static bool admits_nobody(dtls_credentials *c)
{
  dtls_credentials *next = ((credfile *)c)->next;
  return next->admits_nobody(next);
}

static bool asks_nobody(dtls_credentials *c)
{
  dtls_credentials *next = ((credfile *)c)->next;
  return next->asks_nobody(next);
}

static bool refuses_raw_keys(dtls_credentials *c)
{
  credfile *f = (credfile *)c;
  pthread_rwlock_rdlock(&f->lock);
  const bool has_keys = f->book.raw_key_count > 0;
  pthread_rwlock_unlock(&f->lock);
  return !has_keys && f->next->refuses_raw_keys(f->next);
}

static bool refuses_certificates(dtls_credentials *c)
{
  dtls_credentials *next = ((credfile *)c)->next;
  return next->refuses_certificates(next);
}

void credfile_set_next(credfile *f, dtls_credentials *next)
{
  f->next = next;
  if (next == NULL)
    return;
  f->face.psk_hint = next->psk_hint;
  f->face.psk_cancel = next->psk_cancel != NULL ? psk_cancel : NULL;
  f->face.certificates_take = next->certificates_take != NULL ? take : NULL;
  f->face.certificates_give = next->certificates_give != NULL ? give : NULL;
  f->face.admits_nobody = next->admits_nobody != NULL ? admits_nobody : NULL;
  f->face.asks_nobody = next->asks_nobody != NULL ? asks_nobody : NULL;
  f->face.refuses_raw_keys = next->refuses_raw_keys != NULL ? refuses_raw_keys : NULL;
  f->face.refuses_certificates = next->refuses_certificates != NULL ? refuses_certificates : NULL;
}

/* ------------------------------------------------------------------------------------------------
 * life */

int credfile_open(const char *path, identities *all, credfile **out, mistakes *m)
{
  credfile *f = calloc(1, sizeof *f);
  if (f == NULL) {
    mistakes_add(m, path, 0, "out of memory");
    return COPAL_ENOSPC;
  }
  f->face = (dtls_credentials){
      .psk_find = psk_find, .vouch = vouch, .readmit = readmit, .release = release};
  f->all = all;
  pthread_rwlock_init(&f->lock, NULL);
  f->path = strdup(path);
  int rc = f->path != NULL ? credbook_read(&f->book, path, m) : COPAL_ENOSPC;
  if (rc == COPAL_ENOSPC)
    mistakes_add(m, path, 0, "out of memory");
  if (rc < 0) {
    credfile_close(f);
    return rc;
  }
  *out = f;
  return COPAL_OK;
}

void credfile_close(credfile *f)
{
  if (f == NULL)
    return;
  credbook_wipe(&f->book);
  pthread_rwlock_destroy(&f->lock);
  free(f->path);
  free(f);
}

int credfile_reload(credfile *f, mistakes *m)
{
  credbook fresh = {.chunks = NULL};
  const int rc = credbook_read(&fresh, f->path, m);
  if (rc < 0)
    return rc;
  pthread_rwlock_wrlock(&f->lock);
  credbook old = f->book;
  f->book = fresh;
  pthread_rwlock_unlock(&f->lock);
  credbook_wipe(&old);
  return COPAL_OK;
}

size_t credfile_file_count(const credfile *f, credfile_name what)
{
  return f->book.files[what].count;
}

const char *credfile_file(const credfile *f, credfile_name what, size_t i)
{
  const book_files *files = &f->book.files[what];
  return i < files->count ? files->items[i] : NULL;
}

credfile_facts credfile_facts_now(credfile *f)
{
  pthread_rwlock_rdlock(&f->lock);
  const credfile_facts facts = {f->book.psk_count, f->book.raw_key_count, f->book.subject_count};
  pthread_rwlock_unlock(&f->lock);
  return facts;
}

bool credfile_groups(credfile *f, identity_kind kind, copal_span name,
                     char groups[IDENTITY_GROUPS_MAX + 1])
{
  const copal_span *found = NULL;
  pthread_rwlock_rdlock(&f->lock);
  const credbook *b = &f->book;
  for (size_t i = 0; found == NULL && kind == IDENTITY_PSK && i < b->psk_count; i++)
    if (copal_span_is_equal(b->psks[i].name, name))
      found = &b->psks[i].groups;
  for (size_t i = 0; found == NULL && kind == IDENTITY_RPK && i < b->raw_key_count; i++)
    if (copal_span_is_equal(b->raw_keys[i].name, name))
      found = &b->raw_keys[i].groups;
  if (found != NULL) {
    memcpy(groups, found->ptr != NULL ? (const char *)found->ptr : "", found->len);
    groups[found->len] = '\0';
  }
  pthread_rwlock_unlock(&f->lock);
  return found != NULL;
}

dtls_credentials *credfile_credentials(credfile *f)
{
  return &f->face;
}
