/* SPDX-License-Identifier: Apache-2.0 */
/* Identities by number. The entry of a number never moves, and is written only while nobody holds
 * it; whoever holds it reads without a lock. Everything else happens under one lock: per handshake,
 * not per request. RFC 7252 section 9.1. */
#include "policy/identity.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "copal/error.h"

enum { NONE = 0 }; /* no entry; as a number: anonymous */

typedef struct entry {
  identity id;
  uint32_t holders; /* 0: free */
  uint32_t next;    /* in its bucket, or in the free list */
  uint32_t hash;
} entry;

struct identities {
  pthread_mutex_t lock; /* for all but what identity_of() reads */
  entry *entries;       /* max + 1; the first stands for anonymous */
  uint32_t *buckets;    /* a power of two */
  uint32_t mask;
  uint32_t max;
  uint32_t used; /* entries that were ever taken */
  uint32_t free; /* those given back */
  uint32_t count;
  uint64_t serial;
  uint64_t seed;
};

static const identity anonymous = {.kind = IDENTITY_ANONYMOUS};

static uint64_t hash_on(uint64_t h, copal_span bytes)
{
  for (size_t i = 0; i < bytes.len; i++)
    h = (h ^ bytes.ptr[i]) * UINT64_C(0x100000001b3); /* FNV-1a from a random start */
  return h;
}

static uint32_t hash_of(const identities *all, const identity *id)
{
  uint64_t h = (all->seed ^ (uint64_t)id->kind) * UINT64_C(0x9e3779b97f4a7c15);
  h = hash_on(hash_on(hash_on(h, id->name), id->groups), id->proof);
  return (uint32_t)(h ^ h >> 32);
}

/* Bytes of the UTF-8 sequence that begins a text, or 0 when there is none that is well formed, or
 * it is a control character. RFC 3629 section 4. */
static size_t sequence_len(const uint8_t *s, size_t left)
{
  const uint8_t c = s[0];
  if (c < 0x80)
    return c < 0x20 || c == 0x7f ? 0 : 1;
  const size_t n = c >= 0xc2 && c <= 0xdf ? 2 : c >= 0xe0 && c <= 0xef ? 3 : 4;
  if (c < 0xc2 || c > 0xf4 || n > left)
    return 0;
  for (size_t i = 1; i < n; i++)
    if ((s[i] & 0xc0) != 0x80)
      return 0;
  if ((c == 0xc2 && s[1] < 0xa0) || (c == 0xe0 && s[1] < 0xa0) || (c == 0xed && s[1] > 0x9f) ||
      (c == 0xf0 && s[1] < 0x90) || (c == 0xf4 && s[1] > 0x8f))
    return 0; /* C1 controls, overlong, surrogates, beyond U+10FFFF */
  return n;
}

bool identity_name_is_valid(copal_span name)
{
  if (name.len == 0 || name.len > IDENTITY_NAME_MAX)
    return false;
  for (size_t i = 0; i < name.len;) {
    const size_t n = sequence_len(name.ptr + i, name.len - i);
    if (n == 0)
      return false;
    i += n;
  }
  return true;
}

bool identity_name_of_psk(copal_span psk_identity, char name[IDENTITY_NAME_MAX + 1])
{
  static const char digits[] = "0123456789abcdef";
  const size_t len = psk_identity.len;
  if (identity_name_is_valid(psk_identity) && psk_identity.ptr[0] != '#') {
    memcpy(name, psk_identity.ptr, len);
    name[len] = '\0';
    return true;
  }
  if (len == 0 || len > (IDENTITY_NAME_MAX - 1) / 2)
    return false;
  *name++ = '#';
  for (size_t i = 0; i < len; i++) {
    *name++ = digits[psk_identity.ptr[i] >> 4];
    *name++ = digits[psk_identity.ptr[i] & 15];
  }
  *name = '\0';
  return true;
}

bool identity_group_is_valid(copal_span group)
{
  static const char others[] = "-_.";
  for (size_t i = 0; i < group.len; i++) {
    const uint8_t c = group.ptr[i];
    if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') &&
        (c == 0 || strchr(others, c) == NULL))
      return false;
  }
  return group.len > 0;
}

bool identity_next_group(copal_span *groups, copal_span *group)
{
  if (groups->len == 0)
    return false;
  const uint8_t *end = memchr(groups->ptr, ',', groups->len);
  const size_t len = end != NULL ? (size_t)(end - groups->ptr) : groups->len;
  const size_t past = end != NULL ? len + 1 : len;
  *group = copal_span_of(groups->ptr, len);
  *groups = copal_span_of(groups->ptr + past, groups->len - past);
  return true;
}

bool identity_groups_are_valid(copal_span groups)
{
  copal_span group;
  if (groups.len > IDENTITY_GROUPS_MAX || groups.len == 0 || groups.ptr[groups.len - 1] == ',')
    return false;
  while (identity_next_group(&groups, &group))
    if (!identity_group_is_valid(group))
      return false;
  return true;
}

static uint32_t find(const identities *all, const identity *id, uint32_t hash)
{
  uint32_t at = all->buckets[hash & all->mask];
  for (; at != NONE; at = all->entries[at].next) {
    const entry *e = &all->entries[at];
    if (e->hash == hash && e->id.kind == id->kind && copal_span_is_equal(e->id.name, id->name) &&
        copal_span_is_equal(e->id.groups, id->groups) &&
        copal_span_is_equal(e->id.proof, id->proof))
      break;
  }
  return at;
}

static uint32_t take(identities *all)
{
  const uint32_t at = all->free;
  if (at != NONE) {
    all->free = all->entries[at].next;
    return at;
  }
  return all->used < all->max ? ++all->used : NONE;
}

/* Returns NONE when there is no room. */
static uint32_t make(identities *all, const identity *id, uint32_t hash)
{
  const size_t len = id->name.len, more = id->groups.len, proof = id->proof.len;
  uint8_t *copy = malloc(len + more + proof);
  const uint32_t at = copy != NULL ? take(all) : NONE;
  if (at == NONE) {
    free(copy);
    return NONE;
  }
  memcpy(copy, id->name.ptr, len);
  if (more > 0)
    memcpy(copy + len, id->groups.ptr, more);
  if (proof > 0)
    memcpy(copy + len + more, id->proof.ptr, proof);
  uint32_t *bucket = &all->buckets[hash & all->mask];
  all->entries[at] = (entry){.id = {.kind = id->kind,
                                    .name = copal_span_of(copy, len),
                                    .groups = copal_span_of(copy + len, more),
                                    .proof = copal_span_of(copy + len + more, proof),
                                    .serial = ++all->serial},
                             .next = *bucket,
                             .hash = hash};
  *bucket = at;
  all->count++;
  return at;
}

static void unmake(identities *all, uint32_t at)
{
  entry *e = &all->entries[at];
  uint32_t *place = &all->buckets[e->hash & all->mask];
  while (*place != at)
    place = &all->entries[*place].next;
  *place = e->next;
  free((void *)(uintptr_t)e->id.name.ptr);
  *e = (entry){.next = all->free};
  all->free = at;
  all->count--;
}

int identity_hold(identities *all, identity_kind kind, copal_span name, identity_ref *ref)
{
  return identity_hold_in(all, kind, name, copal_span_of(NULL, 0), ref);
}

int identity_hold_in(identities *all, identity_kind kind, copal_span name, copal_span groups,
                     identity_ref *ref)
{
  return identity_hold_as(all, &(identity){.kind = kind, .name = name, .groups = groups}, ref);
}

int identity_hold_as(identities *all, const identity *id, identity_ref *ref)
{
  *ref = NONE;
  if (id->kind == IDENTITY_ANONYMOUS)
    return COPAL_OK;
  if (!identity_name_is_valid(id->name) || id->proof.len > IDENTITY_PROOF_MAX ||
      (id->groups.len > 0 && !identity_groups_are_valid(id->groups)))
    return COPAL_EINVAL;
  const uint32_t hash = hash_of(all, id);
  pthread_mutex_lock(&all->lock);
  uint32_t at = find(all, id, hash);
  if (at == NONE)
    at = make(all, id, hash);
  if (at != NONE)
    all->entries[at].holders++;
  pthread_mutex_unlock(&all->lock);
  *ref = at;
  return at != NONE ? COPAL_OK : COPAL_ENOSLOT;
}

void identity_hold_again(identities *all, identity_ref ref)
{
  if (ref == NONE)
    return;
  pthread_mutex_lock(&all->lock);
  all->entries[ref].holders++;
  pthread_mutex_unlock(&all->lock);
}

void identity_release(identities *all, identity_ref ref)
{
  if (ref == NONE)
    return;
  pthread_mutex_lock(&all->lock);
  if (--all->entries[ref].holders == 0)
    unmake(all, ref);
  pthread_mutex_unlock(&all->lock);
}

const identity *identity_of(const identities *all, identity_ref ref)
{
  return ref == NONE ? &anonymous : &all->entries[ref].id;
}

uint32_t identities_count(identities *all)
{
  pthread_mutex_lock(&all->lock);
  const uint32_t count = all->count;
  pthread_mutex_unlock(&all->lock);
  return count;
}

const char *identity_kind_name(identity_kind kind)
{
  switch (kind) {
  case IDENTITY_ANONYMOUS: return "anonymous";
  case IDENTITY_PSK: return "psk";
  case IDENTITY_RPK: return "rpk";
  case IDENTITY_X509: return "x509";
  case IDENTITY_OSCORE: return "oscore";
  }
  return "";
}

static uint32_t bucket_count(uint32_t max)
{
  uint32_t count = 16;
  while (count < max && count < UINT32_C(1) << 31)
    count *= 2;
  return count;
}

identities *identities_open(uint32_t max)
{
  identities *all = calloc(1, sizeof *all);
  if (all == NULL)
    return NULL;
  const uint32_t buckets = bucket_count(max);
  all->max = max < UINT32_MAX ? max : UINT32_MAX - 1;
  all->mask = buckets - 1;
  /* Pages that are never touched cost nothing. */
  all->entries = calloc((size_t)all->max + 1, sizeof *all->entries);
  all->buckets = calloc(buckets, sizeof *all->buckets);
  pthread_mutex_init(&all->lock, NULL);
  if (all->entries == NULL || all->buckets == NULL ||
      getrandom(&all->seed, sizeof all->seed, 0) != (ssize_t)sizeof all->seed) {
    identities_close(all);
    return NULL;
  }
  return all;
}

void identities_close(identities *all)
{
  if (all == NULL)
    return;
  for (uint32_t at = 1; all->entries != NULL && at <= all->used; at++)
    free((void *)(uintptr_t)all->entries[at].id.name.ptr);
  pthread_mutex_destroy(&all->lock);
  free(all->entries);
  free(all->buckets);
  free(all);
}
