/* SPDX-License-Identifier: Apache-2.0 */
/* Shared immutable versions. */
#include "store/journal/version.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static copal_span keep(uint8_t **at, copal_span s)
{
  const copal_span kept = copal_span_of(*at, s.len);
  if (s.len > 0)
    memcpy(*at, s.ptr, s.len);
  *at += s.len;
  return kept;
}

static size_t room_of(const batch_record *r)
{
  switch (r->kind) {
  case BATCH_DELETE: break;
  case BATCH_OP: return r->op.key.len;
  case BATCH_PUT:
    return r->rec.item.attrs.len +
           (r->rec.item.body.len < BATCH_LENT_MIN ? r->rec.item.body.len : 0);
  }
  return 0;
}

/* Small ones take a multiple of so many bytes, so that one may follow another in its place. */
enum { UNIT = 64, STOCK_MAX = 1024 };

static size_t stock_of(size_t size)
{
  return size / UNIT - 1;
}

static bool is_stocked(size_t size)
{
  return size % UNIT == 0 && stock_of(size) < STOCK_SIZES;
}

static version *take(version_stock *st, size_t size)
{
  version *v = st != NULL && is_stocked(size) ? st->free[stock_of(size)] : NULL;
  if (v == NULL)
    return malloc(size);
  st->free[stock_of(size)] = v->next;
  st->count[stock_of(size)]--;
  return v;
}

void version_stock_wipe(version_stock *st)
{
  for (size_t i = 0; i < STOCK_SIZES; i++)
    for (version *v; (v = st->free[i]) != NULL;) {
      st->free[i] = v->next;
      free(v);
    }
  *st = (version_stock){.count = {0}};
}

version *version_make(const batch_record *r, version_stock *st)
{
  size_t size = sizeof(version) + room_of(r);
  if (size <= UNIT * STOCK_SIZES)
    size = (size + UNIT - 1) / UNIT * UNIT;
  version *v = take(st, size);
  if (v == NULL)
    return NULL;
  *v = (version){.kind = r->kind, .size = size, .rev = r->rev};
  atomic_init(&v->refs, 1);
  uint8_t *at = v->bytes;
  if (r->kind == BATCH_OP) {
    v->op = r->op;
    v->op.key = keep(&at, r->op.key);
    v->rev = r->op.rev;
  } else if (r->kind == BATCH_PUT) {
    v->rec = r->rec;
    v->rec.path = copal_span_none();
    v->rec.item.attrs = keep(&at, r->rec.item.attrs);
    if (r->rec.item.body.len < BATCH_LENT_MIN)
      v->rec.item.body = keep(&at, r->rec.item.body);
    v->rev = r->rec.item.rev;
  }
  return v;
}

void version_place(version *v, void *map, size_t map_len, const uint8_t *body,
                   atomic_uint_fast64_t *maps)
{
  v->maps = maps;
  v->map = map;
  v->map_len = map_len;
  v->rec.item.body = copal_span_of(body, v->rec.item.body.len);
}

/* Gives one reference back. Returns true when it was the last, and the memory is to be freed. */
static bool is_last(version *v)
{
  /* The last holder must see all reads of the others done before it frees. */
  if (v == NULL || atomic_fetch_sub_explicit(&v->refs, 1, memory_order_acq_rel) != 1)
    return false;
  if (v->map != NULL) {
    munmap(v->map, v->map_len);
    atomic_fetch_sub_explicit(v->maps, 1, memory_order_release);
  }
  return true;
}

void version_give(version *v)
{
  if (is_last(v))
    free(v);
}

void version_give_to(version *v, version_stock *st)
{
  if (!is_last(v))
    return;
  if (!is_stocked(v->size) || st->count[stock_of(v->size)] == STOCK_MAX) {
    free(v);
    return;
  }
  const size_t i = stock_of(v->size);
  v->next = st->free[i];
  st->free[i] = v;
  st->count[i]++;
}

trail *trail_extend(const trail *t, version *old, uint32_t max)
{
  uint32_t count = 1 + (t != NULL && old->kind != BATCH_DELETE ? t->count : 0);
  if (count > max)
    count = max;
  trail *longer = malloc(sizeof *longer + count * sizeof(version *));
  if (longer == NULL)
    return NULL;
  *longer = (trail){.count = count};
  atomic_init(&longer->refs, 1);
  for (uint32_t i = 0; i < count; i++) {
    longer->former[i] = version_take(i == 0 ? old : t->former[i - 1]);
    longer->size += longer->former[i]->size;
  }
  return longer;
}

void trail_give(trail *t)
{
  if (t == NULL || atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) != 1)
    return;
  for (uint32_t i = 0; i < t->count; i++)
    version_give(t->former[i]);
  free(t);
}
