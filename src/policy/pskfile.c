/* SPDX-License-Identifier: Apache-2.0 */
/* Pre-shared keys in a text file. RFC 4279 section 5. */
#include "policy/pskfile.h"

#include <ctype.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "copal/error.h"
#include "policy/proof.h"

enum { LINE_SIZE = 1024 };

typedef struct psk_entry {
  uint8_t identity[DTLS_PSK_IDENTITY_MAX];
  size_t identity_len;
  char name[IDENTITY_NAME_MAX + 1]; /* identity_name_of_psk() */
  size_t order;                     /* line */
  dtls_psks psks;
} psk_entry;

typedef struct psk_table {
  psk_entry *entries; /* sorted by identity once read */
  size_t count, cap;
} psk_table;

struct pskfile {
  dtls_credentials face; /* first */
  char *path;
  identities *all;
  pthread_mutex_t lock; /* of `table`: a reload may come while shards look up */
  psk_table table;
  psk_entry *own; /* client */
};

/* ------------------------------------------------------------------------------------------------
 * reading */

static int digit(char c)
{
  if (c >= '0' && c <= '9')
    return c - '0';
  c = (char)tolower((unsigned char)c);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Returns the number of bytes, or -1. */
static int decode_hex(const char *text, uint8_t *out, size_t cap)
{
  const size_t len = strlen(text);
  if (len % 2 != 0 || len / 2 > cap)
    return -1;
  for (size_t i = 0; i < len / 2; i++) {
    const int high = digit(text[2 * i]), low = digit(text[2 * i + 1]);
    if (high < 0 || low < 0)
      return -1;
    out[i] = (uint8_t)(high << 4 | low);
  }
  return (int)(len / 2);
}

static int compare(const void *a, const void *b)
{
  const psk_entry *x = a, *y = b;
  const size_t len = x->identity_len < y->identity_len ? x->identity_len : y->identity_len;
  const int order = memcmp(x->identity, y->identity, len);
  if (order != 0 || x->identity_len == y->identity_len)
    return order;
  return x->identity_len < y->identity_len ? -1 : 1;
}

/* One name for one identity, however the file writes it. */
static const char *name_it(psk_entry *e)
{
  return identity_name_of_psk(copal_span_of(e->identity, e->identity_len), e->name)
             ? NULL
             : "an identity that is not UTF-8 text has up to 127 bytes";
}

static const char *read_identity(psk_entry *e, const char *text)
{
  const size_t len = strlen(text);
  if (len == 0)
    return "there is no identity in front of the colon";
  if (text[0] == '#') {
    const int n = decode_hex(text + 1, e->identity, sizeof e->identity);
    if (n <= 0)
      return "what follows # is not an identity in hexadecimal";
    e->identity_len = (size_t)n;
    return name_it(e);
  }
  if (len > sizeof e->identity)
    return "the identity is longer than 128 bytes";
  if (!identity_name_is_valid(copal_span_of(text, len)))
    return "the identity is not UTF-8 text; write it in hexadecimal behind #";
  memcpy(e->identity, text, len);
  e->identity_len = len;
  return name_it(e);
}

static const char *read_key(psk_entry *e, const char *text)
{
  const int n = decode_hex(text, e->psks.keys[0].bytes, DTLS_PSK_SIZE_MAX);
  if (n < 0)
    return "the key is not hexadecimal of up to 64 bytes";
  if (n == 0)
    return "there is no key behind the colon";
  e->psks.keys[0].len = (size_t)n;
  e->psks.count = 1;
  return NULL;
}

static psk_entry *table_find(const psk_table *t, copal_span name)
{
  psk_entry wanted = {.identity_len = name.len};
  if (name.len > sizeof wanted.identity || t->count == 0)
    return NULL;
  memcpy(wanted.identity, name.ptr, name.len);
  return bsearch(&wanted, t->entries, t->count, sizeof *t->entries, compare);
}

static bool table_add(psk_table *t, const psk_entry *e)
{
  if (t->count == t->cap) {
    const size_t cap = t->cap == 0 ? 64 : 2 * t->cap;
    psk_entry *grown = calloc(cap, sizeof *grown);
    if (grown == NULL)
      return false;
    if (t->count > 0)
      memcpy(grown, t->entries, t->count * sizeof *grown);
    if (t->entries != NULL)
      explicit_bzero(t->entries, t->cap * sizeof *t->entries);
    free(t->entries);
    t->entries = grown;
    t->cap = cap;
  }
  t->entries[t->count++] = *e;
  return true;
}

static void table_wipe(psk_table *t)
{
  if (t->entries != NULL)
    explicit_bzero(t->entries, t->cap * sizeof *t->entries);
  free(t->entries);
  *t = (psk_table){.entries = NULL};
}

/* Puts lines of the same identity together. Returns the third line of one, or 0. */
static size_t table_settle(psk_table *t)
{
  size_t kept = 0;
  if (t->count > 0)
    qsort(t->entries, t->count, sizeof *t->entries, compare);
  for (size_t i = 0; i < t->count; i++) {
    psk_entry *e = &t->entries[i];
    psk_entry *last = kept > 0 ? &t->entries[kept - 1] : NULL;
    if (last == NULL || compare(last, e) != 0) {
      t->entries[kept++] = *e;
      continue;
    }
    if (last->psks.count == DTLS_PSK_COUNT)
      return e->order;
    const bool is_later = e->order > last->order;
    last->psks.keys[is_later] = last->psks.keys[0];
    last->psks.keys[!is_later] = e->psks.keys[0];
    last->psks.count = 2;
    if (!is_later)
      last->order = e->order;
  }
  t->count = kept;
  return 0;
}

static int complain(char why[PSKFILE_WHY_SIZE], const char *path, size_t line, const char *what)
{
  if (line > 0)
    snprintf(why, PSKFILE_WHY_SIZE, "%s:%zu: %s", path, line, what);
  else
    snprintf(why, PSKFILE_WHY_SIZE, "%s: %s", path, what);
  return COPAL_EINVAL;
}

/* Reads one line; NULL when it is good. */
static const char *read_line(psk_table *t, char *line, size_t number)
{
  psk_entry e = {.order = number};
  const size_t len = strcspn(line, "\r\n");
  line[len] = '\0';
  char *colon = strrchr(line, ':'); /* an identity may have colons */
  if (len == 0 || (line[0] == '#' && colon == NULL))
    return NULL;
  if (colon == NULL)
    return "expected is identity:hexkey";
  *colon = '\0';
  const char *wrong = read_identity(&e, line);
  if (wrong == NULL)
    wrong = read_key(&e, colon + 1);
  if (wrong == NULL && !table_add(t, &e))
    wrong = "out of memory";
  explicit_bzero(&e, sizeof e);
  return wrong;
}

static int read_lines(psk_table *t, FILE *in, const char *path, char why[PSKFILE_WHY_SIZE])
{
  char line[LINE_SIZE];
  size_t number = 0;
  const char *wrong = NULL;
  while (wrong == NULL && fgets(line, sizeof line, in) != NULL) {
    number++;
    wrong = strlen(line) == sizeof line - 1 ? "the line is too long" : read_line(t, line, number);
  }
  explicit_bzero(line, sizeof line);
  if (wrong != NULL)
    return complain(why, path, number, wrong);
  if (ferror(in))
    return complain(why, path, 0, strerror(errno));
  number = table_settle(t);
  if (number > 0)
    return complain(why, path, number, "an identity can have two keys, not more");
  return COPAL_OK;
}

static int read_file(psk_table *t, const char *path, char why[PSKFILE_WHY_SIZE])
{
  struct stat info;
  char room[BUFSIZ]; /* wiped, which the stream's own would not be */
  FILE *in = fopen(path, "re");
  if (in == NULL)
    return complain(why, path, 0, strerror(errno));
  setvbuf(in, room, _IOFBF, sizeof room);
  int rc = COPAL_OK;
  if (fstat(fileno(in), &info) != 0)
    rc = complain(why, path, 0, strerror(errno));
  else if ((info.st_mode & (S_IROTH | S_IWOTH)) != 0 && S_ISREG(info.st_mode))
    rc = complain(why, path, 0, "everybody can read or change these keys: chmod 0600 it");
  if (rc == COPAL_OK)
    rc = read_lines(t, in, path, why);
  fclose(in);
  explicit_bzero(room, sizeof room);
  if (rc == COPAL_OK && t->count == 0)
    rc = complain(why, path, 0, "there is no identity in it");
  if (rc < 0)
    table_wipe(t);
  return rc;
}

/* ------------------------------------------------------------------------------------------------
 * the face */

static int psk_find(dtls_credentials *c, copal_span name, dtls_psk_wait *w, dtls_psks *keys)
{
  pskfile *f = (pskfile *)c;
  (void)w; /* nothing has to be waited for */
  pthread_mutex_lock(&f->lock);
  const psk_entry *e = table_find(&f->table, name);
  if (e != NULL)
    *keys = e->psks;
  pthread_mutex_unlock(&f->lock);
  return e != NULL ? COPAL_OK : COPAL_ENOTFOUND;
}

static int psk_own(dtls_credentials *c, dtls_own_psk *own)
{
  const psk_entry *e = ((pskfile *)c)->own;
  if (e == NULL)
    return COPAL_ENOTFOUND;
  memcpy(own->identity, e->identity, e->identity_len);
  own->identity_len = e->identity_len;
  memcpy(own->key, e->psks.keys[0].bytes, e->psks.keys[0].len);
  own->key_len = e->psks.keys[0].len;
  return COPAL_OK;
}

static int hold(const pskfile *f, const psk_entry *e, uint32_t *who)
{
  const copal_span name = copal_span_str(e->name);
  const proof p = proof_of_psk(copal_span_of(e->identity, e->identity_len), name);
  const identity id = {.kind = IDENTITY_PSK, .name = name, .proof = proof_span(&p)};
  return identity_hold_as(f->all, &id, who);
}

static int vouch(dtls_credentials *c, const dtls_claim *claim, uint32_t *who)
{
  pskfile *f = (pskfile *)c;
  if (claim->kind != DTLS_CLAIM_PSK || f->all == NULL)
    return COPAL_ENOTFOUND;
  pthread_mutex_lock(&f->lock);
  const psk_entry *e =
      table_find(&f->table, copal_span_of(claim->items[0].data, claim->items[0].size));
  const int rc = e == NULL ? COPAL_ENOTFOUND : hold(f, e, who);
  pthread_mutex_unlock(&f->lock);
  return rc;
}

static int readmit(dtls_credentials *c, uint32_t who, uint32_t *now)
{
  pskfile *f = (pskfile *)c;
  const identity *id = identity_of(f->all, who);
  if (proof_kind(id) != PROOF_PSK)
    return COPAL_ENOTFOUND;
  pthread_mutex_lock(&f->lock);
  const psk_entry *e = table_find(&f->table, proof_psk(id));
  const int rc = e == NULL
                     ? COPAL_ENOTFOUND
                     : proof_readmit(f->all, who, copal_span_str(e->name), copal_span_none(), now);
  pthread_mutex_unlock(&f->lock);
  return rc;
}

static void release(dtls_credentials *c, uint32_t who)
{
  const pskfile *f = (pskfile *)c;
  if (f->all != NULL && who != 0)
    identity_release(f->all, who);
}

static pskfile *make(identities *all)
{
  pskfile *f = calloc(1, sizeof *f);
  if (f == NULL)
    return NULL;
  f->face = (dtls_credentials){
      .psk_find = psk_find, .psk_own = psk_own, .vouch = vouch, .release = release};
  f->face.readmit = all != NULL ? readmit : NULL;
  f->all = all;
  pthread_mutex_init(&f->lock, NULL);
  return f;
}

int pskfile_of(const char *name, const char *hex, pskfile **out, char why[PSKFILE_WHY_SIZE])
{
  pskfile *f = make(NULL);
  psk_entry e = {.identity_len = 0};
  const char *wrong = f == NULL ? "out of memory" : read_identity(&e, name);
  if (wrong == NULL)
    wrong = read_key(&e, hex);
  if (wrong == NULL && !table_add(&f->table, &e))
    wrong = "out of memory";
  explicit_bzero(&e, sizeof e);
  if (wrong != NULL) {
    snprintf(why, PSKFILE_WHY_SIZE, "%s", wrong);
    pskfile_close(f);
    return COPAL_EINVAL;
  }
  f->own = f->table.entries;
  *out = f;
  return COPAL_OK;
}

int pskfile_open(const char *path, identities *all, pskfile **out, char why[PSKFILE_WHY_SIZE])
{
  pskfile *f = make(all);
  snprintf(why, PSKFILE_WHY_SIZE, "out of memory");
  if (f == NULL)
    return COPAL_ENOSPC;
  f->path = strdup(path);
  const int rc = f->path == NULL ? COPAL_ENOSPC : read_file(&f->table, path, why);
  if (rc < 0) {
    pskfile_close(f);
    return rc;
  }
  for (size_t i = 0; i < f->table.count; i++)
    if (f->own == NULL || f->table.entries[i].order < f->own->order)
      f->own = &f->table.entries[i];
  *out = f;
  return COPAL_OK;
}

void pskfile_close(pskfile *f)
{
  if (f == NULL)
    return;
  table_wipe(&f->table);
  pthread_mutex_destroy(&f->lock);
  free(f->path);
  free(f);
}

int pskfile_reload(pskfile *f, char why[PSKFILE_WHY_SIZE])
{
  psk_table fresh = {.entries = NULL};
  const int rc = read_file(&fresh, f->path, why);
  if (rc < 0)
    return rc;
  pthread_mutex_lock(&f->lock);
  psk_table old = f->table;
  f->table = fresh;
  f->own = NULL; /* a client does not reload */
  pthread_mutex_unlock(&f->lock);
  table_wipe(&old);
  return COPAL_OK;
}

int pskfile_choose(pskfile *f, const char *name)
{
  psk_entry wanted;
  if (read_identity(&wanted, name) != NULL)
    return COPAL_ENOTFOUND;
  for (size_t i = 0; i < f->table.count; i++)
    if (compare(&f->table.entries[i], &wanted) == 0) {
      f->own = &f->table.entries[i];
      return COPAL_OK;
    }
  return COPAL_ENOTFOUND;
}

size_t pskfile_count(pskfile *f)
{
  pthread_mutex_lock(&f->lock);
  const size_t count = f->table.count;
  pthread_mutex_unlock(&f->lock);
  return count;
}

dtls_credentials *pskfile_credentials(pskfile *f)
{
  return &f->face;
}
