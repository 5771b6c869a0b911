/* SPDX-License-Identifier: Apache-2.0 */
/* The credentials file of the daemon, as handshakes see it. */
#include "policy/credfile.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "copal/error.h"
#include "policy/credbook.h"

struct credfile {
  dtls_credentials face; /* first */
  char *path;
  identities *all;
  dtls_credentials *next; /* NULL: none */
  pthread_rwlock_t lock;  /* of `book`: a reload may come while shards look things up */
  credbook book;
  char *files[CREDFILE_NAME_COUNT];
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

static int vouch_for_psk(credfile *f, const dtls_claim *claim, uint32_t *who)
{
  int rc = COPAL_ENOTFOUND;
  pthread_rwlock_rdlock(&f->lock);
  const book_psk *p =
      credbook_psk(&f->book, copal_span_of(claim->items[0].data, claim->items[0].size));
  if (p != NULL)
    rc = identity_hold_in(f->all, IDENTITY_PSK, p->name, p->groups, who);
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
  if (k != NULL)
    rc = identity_hold_in(f->all, IDENTITY_RPK, k->name.len > 0 ? k->name : copal_span_str(text),
                          k->groups, who);
  pthread_rwlock_unlock(&f->lock);
  return k != NULL ? rc : vouch_next(f, claim, who);
}

/* Names the owner of a certificate that has been verified. */
static int name_owner(credfile *f, const dtls_claim *claim, uint32_t *who)
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
  if (s != NULL)
    rc = identity_hold_in(f->all, IDENTITY_X509, copal_span_str(name), s->groups, who);
  pthread_rwlock_unlock(&f->lock);
  gnutls_x509_crt_deinit(crt);
  if (s == NULL)
    object(claim, DTLS_REFUSAL_NAME, "no rule of the credentials file takes this subject");
  return rc;
}

static int vouch_for_certificate(credfile *f, const dtls_claim *claim, uint32_t *who)
{
  const int rc = vouch_next(f, claim, who);
  pthread_rwlock_rdlock(&f->lock);
  const bool has_rules = f->book.has_subjects;
  pthread_rwlock_unlock(&f->lock);
  if (rc < 0 || !has_rules)
    return rc;
  f->next->release(f->next, *who);
  *who = 0;
  return name_owner(f, claim, who);
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

static void release(dtls_credentials *c, uint32_t who)
{
  if (who != 0)
    identity_release(((credfile *)c)->all, who);
}

/* ------------------------------------------------------------------------------------------------
 * what is passed on */

static gnutls_certificate_credentials_t take(dtls_credentials *c)
{
  dtls_credentials *next = ((credfile *)c)->next;
  return next->certificates_take(next);
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

void credfile_set_next(credfile *f, dtls_credentials *next)
{
  f->next = next;
  if (next == NULL)
    return;
  const bool has_keys = f->book.raw_key_count > 0;
  f->face.psk_hint = next->psk_hint;
  f->face.psk_cancel = next->psk_cancel != NULL ? psk_cancel : NULL;
  f->face.certificates_take = next->certificates_take != NULL ? take : NULL;
  f->face.certificates_give = next->certificates_give != NULL ? give : NULL;
  f->face.admits_nobody = next->admits_nobody != NULL ? admits_nobody : NULL;
  f->face.asks_nobody = next->asks_nobody != NULL ? asks_nobody : NULL;
  f->face.refuses_raw_keys = next->refuses_raw_keys && !has_keys;
  f->face.refuses_certificates = next->refuses_certificates;
}

/* ------------------------------------------------------------------------------------------------
 * life */

static bool keep_names(credfile *f)
{
  for (size_t i = 0; i < CREDFILE_NAME_COUNT; i++) {
    if (f->book.files[i] == NULL)
      continue;
    f->files[i] = strdup(f->book.files[i]);
    if (f->files[i] == NULL)
      return false;
  }
  return true;
}

int credfile_open(const char *path, identities *all, credfile **out, mistakes *m)
{
  credfile *f = calloc(1, sizeof *f);
  if (f == NULL) {
    mistakes_add(m, path, 0, "out of memory");
    return COPAL_ENOSPC;
  }
  f->face = (dtls_credentials){.psk_find = psk_find, .vouch = vouch, .release = release};
  f->all = all;
  pthread_rwlock_init(&f->lock, NULL);
  f->path = strdup(path);
  int rc = f->path != NULL ? credbook_read(&f->book, path, m) : COPAL_ENOSPC;
  if (rc == COPAL_OK && !keep_names(f))
    rc = COPAL_ENOSPC;
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
  for (size_t i = 0; i < CREDFILE_NAME_COUNT; i++)
    free(f->files[i]);
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

const char *credfile_file(const credfile *f, credfile_name what)
{
  return f->files[what];
}

static bool is_same_name(const char *a, const char *b)
{
  return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

bool credfile_needs_restart(credfile *f)
{
  pthread_rwlock_rdlock(&f->lock);
  bool needs = f->face.refuses_raw_keys && f->book.raw_key_count > 0;
  for (size_t i = 0; i < CREDFILE_NAME_COUNT; i++)
    needs = needs || !is_same_name(f->files[i], f->book.files[i]);
  pthread_rwlock_unlock(&f->lock);
  return needs;
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
