/* SPDX-License-Identifier: Apache-2.0 */
/* Tables of which as many buckets are in use as their population asks for: linear hashing. */
#include "core/base/map_ref.h"

enum {
  FIRST = 8192,     /* buckets in use from the beginning, if there are as many */
  STEP = 16,        /* buckets that come into use at a time: a cache line */
  FOR_EACH = 1,     /* buckets for each link, as long as there are more */
  PLENTY = 1 << 30, /* of links: when all buckets are in use */
};

_Static_assert((FIRST & (FIRST - 1)) == 0, "a mask chooses among them");
_Static_assert(FIRST % STEP == 0, "a step ends where the mask grows, or before");
_Static_assert(STEP % FOR_EACH == 0, "a step makes room for whole links");

/* In front of the buckets. */
typedef struct head {
  _Alignas(uint64_t) int32_t room; /* links that can be inserted before the next step */
  uint32_t used;                   /* buckets */
  uint32_t mask; /* of a hash, for its bucket: without the highest bit if that is not in use */
} head;

_Static_assert(sizeof(head) % COPAL_MAP_UNIT == 0, "from the buckets to a link it is whole units");

static head *head_of(const copal_map *m)
{
  return (head *)(void *)m->buckets - 1;
}

void copal_map_carve(copal_map *m, copal_carver *c, uint32_t count)
{
  const uint32_t buckets = copal_map_bucket_count(count);
  const uint32_t used = buckets < FIRST ? buckets : FIRST;
  head *h = copal_carve_zeros(c, sizeof *h + (uint64_t)sizeof *m->buckets * used);
  copal_carve(c, (uint64_t)sizeof *m->buckets * (buckets - used));
  if (!h)
    return;
  h->room = (int32_t)(used / FOR_EACH);
  h->used = used;
  h->mask = used - 1;
  m->buckets = (copal_map_ref *)(void *)(h + 1);
  m->mask = buckets - 1;
}

copal_map_ref *copal_map_bucket(const copal_map *m, uint32_t hash)
{
  const head *h = head_of(m);
  const uint32_t at = hash & h->mask;
  return &m->buckets[at < h->used ? at : at & h->mask >> 1];
}

/* Puts a bucket into use: from the one that has had its links until now it takes those whose hashes
 * have the bit that tells them apart. Their order stays. */
static void split(const copal_map *m, copal_map_ref *stay, copal_map_ref *leave, uint32_t bit)
{
  copal_map_ref ref = *stay;
  while (ref) {
    copal_map_link *link = map_at(m, ref);
    if (link->hash & bit) {
      *leave = ref;
      leave = &link->next;
    } else {
      *stay = ref;
      stay = &link->next;
    }
    ref = link->next;
  }
  *stay = 0;
  *leave = 0;
}

/* There is no room for another link: the next buckets come into use, if there are any. Inlined it
 * would cost each insertion some registers. */
__attribute__((noinline)) static void grow(const copal_map *m, head *h)
{
  const uint32_t from = h->used;
  if (from > m->mask) {
    h->room = PLENTY;
    return;
  }
  if (from > h->mask)
    h->mask = 2 * from - 1;
  h->used = from + STEP;
  h->room = STEP / FOR_EACH - 1;
  const uint32_t bit = (h->mask >> 1) + 1;
  copal_map_ref *leave = &m->buckets[from];
  for (const copal_map_ref *end = leave + STEP; leave < end; leave++)
    split(m, leave - bit, leave, bit);
}

/* The bucket for a link that is about to be inserted. */
static copal_map_ref *bucket_for(const copal_map *m, uint32_t hash)
{
  head *h = head_of(m);
  if (--h->room < 0)
    grow(m, h);
  return copal_map_bucket(m, hash);
}

void copal_map_insert(copal_map *m, copal_map_link *link, uint32_t hash)
{
  link->hash = hash;
  map_push(m, bucket_for(m, hash), link);
}

void map_append_to(copal_map *m, copal_map_link *link, uint32_t hash)
{
  link->hash = hash;
  map_append(m, bucket_for(m, hash), link);
}

/* Inlined it would cost registers where duplicates are looked for, and most look for nothing. */
__attribute__((noinline)) void copal_map_remove(copal_map *m, copal_map_link *link)
{
  head_of(m)->room++;
  map_drop(m, copal_map_bucket(m, link->hash), link);
}

copal_map_link *copal_map_first(const copal_map *m, uint32_t hash)
{
  return map_skip_to(m, *copal_map_bucket(m, hash), hash, UINT32_MAX);
}

copal_map_link *map_next_of(const copal_map_link *link)
{
  return map_skip_to(NULL, link->next, link->hash, UINT32_MAX);
}

copal_map_link *map_next_in(const copal_map *m, const copal_map_link *link)
{
  return map_skip_to(m, link->next, link->hash, UINT32_MAX);
}

const copal_map_link *copal_map_alike(const copal_map *m, uint32_t hash)
{
  return map_skip_to(m, *copal_map_bucket(m, hash), hash, m->mask);
}

void copal_map_foresee(const copal_map *m, uint32_t hash)
{
  map_foresee(m, copal_map_bucket(m, hash));
}
