/* SPDX-License-Identifier: Apache-2.0 */
/* Holders in a tree by their keys and in a heap by how much they hold. */
#include "service/shares.h"

#include <assert.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

enum { CAP_MIN = 8 };

typedef struct holder {
  copal_span key; /* in `bytes`, or of a caller while it is looked up */
  holding *newest, *oldest;
  uint32_t count;
  uint32_t at; /* in the heap */
  uint8_t bytes[];
} holder;

static int compare(const void *left, const void *right)
{
  const copal_span a = ((const holder *)left)->key;
  const copal_span b = ((const holder *)right)->key;
  if (a.len != b.len)
    return a.len < b.len ? -1 : 1;
  return a.len > 0 ? memcmp(a.ptr, b.ptr, a.len) : 0;
}

static holder *find(const shares *s, copal_span key)
{
  const holder wanted = {.key = key};
  holder **found = tfind(&wanted, &s->tree, compare);
  return found != NULL ? *found : NULL;
}

/* ------------------------------------------------------------------------------------------------
 * the heap */

static void place(shares *s, holder *o, uint32_t at)
{
  s->heap[at] = o;
  o->at = at;
}

static void rise(shares *s, holder *o)
{
  uint32_t at = o->at;
  for (; at > 0 && s->heap[(at - 1) / 2]->count < o->count; at = (at - 1) / 2)
    place(s, s->heap[(at - 1) / 2], at);
  place(s, o, at);
}

/* Of the two below a place the one that holds more; `count` when there is none. */
static uint32_t heavier_below(const shares *s, uint32_t at)
{
  const uint32_t left = 2 * at + 1;
  const uint32_t right = left + 1;
  if (left >= s->count)
    return s->count;
  return right < s->count && s->heap[right]->count > s->heap[left]->count ? right : left;
}

static void sink(shares *s, holder *o)
{
  uint32_t at = o->at;
  for (uint32_t below = heavier_below(s, at); below < s->count && s->heap[below]->count > o->count;
       below = heavier_below(s, at)) {
    place(s, s->heap[below], at);
    at = below;
  }
  place(s, o, at);
}

static bool has_room(shares *s)
{
  if (s->count < s->cap)
    return true;
  const uint32_t cap = s->cap > 0 ? 2 * s->cap : CAP_MIN;
  holder **heap = realloc(s->heap, cap * sizeof(holder *));
  if (heap == NULL)
    return false;
  s->heap = heap;
  s->cap = cap;
  return true;
}

/* ------------------------------------------------------------------------------------------------
 * holders */

static holder *make(shares *s, copal_span key)
{
  holder *o = has_room(s) ? calloc(1, sizeof *o + key.len) : NULL;
  if (o == NULL)
    return NULL;
  if (key.len > 0)
    memcpy(o->bytes, key.ptr, key.len);
  o->key = copal_span_of(o->bytes, key.len);
  if (tsearch(o, &s->tree, compare) == NULL) {
    free(o);
    return NULL;
  }
  place(s, o, s->count++);
  return o;
}

/* It holds nothing any more, so that nobody is below it but those who hold nothing, who go, too. */
static void forget(shares *s, holder *o)
{
  holder *last = s->heap[--s->count];
  if (last != o) {
    place(s, last, o->at);
    rise(s, last);
  }
  tdelete(o, &s->tree, compare);
  free(o);
}

static void link_newest(holder *o, holding *h)
{
  h->newer = NULL;
  h->older = o->newest;
  if (o->newest != NULL)
    o->newest->newer = h;
  else
    o->oldest = h;
  o->newest = h;
}

static void unlink_age(holder *o, holding *h)
{
  if (h->newer != NULL)
    h->newer->older = h->older;
  else
    o->newest = h->older;
  if (h->older != NULL)
    h->older->newer = h->newer;
  else
    o->oldest = h->newer;
}

bool shares_add(shares *s, holding *h, copal_span key)
{
  holder *o = find(s, key);
  if (o == NULL)
    o = make(s, key);
  if (o == NULL)
    return false;
  h->holder = o;
  link_newest(o, h);
  o->count++;
  rise(s, o);
  return true;
}

void shares_renew(holding *h)
{
  if (h->holder == NULL)
    return;
  unlink_age(h->holder, h);
  link_newest(h->holder, h);
}

void shares_drop(shares *s, holding *h)
{
  holder *o = h->holder;
  if (o == NULL)
    return;
  unlink_age(o, h);
  *h = (holding){0};
  o->count--;
  sink(s, o);
  if (o->count == 0)
    forget(s, o);
}

uint32_t shares_of(const shares *s, copal_span key, holding **oldest)
{
  const holder *o = find(s, key);
  *oldest = o != NULL ? o->oldest : NULL;
  return o != NULL ? o->count : 0;
}

holding *shares_majority(const shares *s, uint64_t total)
{
  const holder *most = s->count > 0 ? s->heap[0] : NULL;
  return most != NULL && most->count > total / 2 ? most->oldest : NULL;
}

void shares_wipe(shares *s)
{
  assert(s->count == 0);
  free(s->heap);
  *s = (shares){0};
}
