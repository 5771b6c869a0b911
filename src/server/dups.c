/* SPDX-License-Identifier: Apache-2.0 */
/* The memory for duplicates in the state file. */
#include "server/dups.h"

#include <string.h>

#include "copal/cursor.h"
#include "copal/error.h"

enum { VERSION = 1 };

typedef struct visitor {
  copal_dup_visitor hook; /* first */
  dups *all;
  handler_ways *ways;
  state_writer *w;
} visitor;

static void put_short(state_writer *w, const uint8_t *bytes, uint8_t len)
{
  state_put_uint(w, len, 1);
  state_put(w, copal_span_of(bytes, len));
}

static int on_dup(copal_dup_visitor *hook, const copal_dup *dup)
{
  visitor *v = (visitor *)hook;
  handler_way way;
  if (v->ways->describe(v->ways, &dup->path, &way) < 0)
    return COPAL_OK; /* ends with this process, as its session does */
  const size_t len = 4 + 2 + 1 + 1u + way.who_len + 1u + way.side_len + dup->reply.len;
  state_put_uint(v->w, len, 4);
  state_put_uint(v->w, dup->left, 4);
  state_put_uint(v->w, dup->mid, 2);
  state_put_uint(v->w, dup->answer, 1);
  put_short(v->w, way.who, way.who_len);
  put_short(v->w, way.side, way.side_len);
  state_put(v->w, dup->reply);
  v->all->saved++;
  return COPAL_OK;
}

static void save(state_section *s, state_writer *w)
{
  dups *d = (dups *)s;
  for (uint32_t i = 0; i < d->count; i++) {
    visitor v = {.hook = {on_dup}, .all = d, .ways = d->shards[i].ways, .w = w};
    (void)copal_ep_dups_save(d->shards[i].ep, &v.hook, d->now);
  }
}

static bool get_short(copal_rd *r, uint8_t *bytes, size_t cap, uint8_t *len)
{
  const copal_span s = copal_rd_span(r, copal_rd_u8(r));
  if (r->err != COPAL_OK || s.len > cap)
    return false;
  if (s.len > 0)
    memcpy(bytes, s.ptr, s.len);
  *len = (uint8_t)s.len;
  return true;
}

static bool parse(copal_rd r, copal_dup *dup, handler_way *way)
{
  *dup = (copal_dup){.left = copal_rd_be(&r, 4)};
  dup->mid = copal_rd_u16(&r);
  const uint8_t answer = copal_rd_u8(&r);
  if (answer > COPAL_DUP_REPLAYED || !get_short(&r, way->who, sizeof way->who, &way->who_len) ||
      !get_short(&r, way->side, sizeof way->side, &way->side_len))
    return false;
  dup->answer = (copal_dup_answer)answer;
  dup->reply = copal_rd_rest(&r);
  return r.err == COPAL_OK;
}

static const dups_shard *owner_of(const dups *d, const handler_way *way)
{
  for (uint32_t i = 0; i < d->count; i++) {
    handler_ways *ways = d->shards[i].ways;
    if (ways->is_mine(ways, way))
      return &d->shards[i];
  }
  return NULL;
}

static bool restore(const dups *d, copal_rd record, uint64_t age)
{
  copal_dup dup;
  handler_way way;
  if (!parse(record, &dup, &way) || dup.left <= age)
    return false;
  dup.left -= (copal_dur)age;
  const dups_shard *s = owner_of(d, &way);
  return s != NULL && s->ways->recall(s->ways, &way, &dup.path) == COPAL_OK &&
         copal_ep_dup_restore(s->ep, &dup, d->now) == COPAL_OK;
}

static void load(state_section *s, uint32_t version, copal_span bytes, uint64_t age)
{
  dups *d = (dups *)s;
  (void)version;
  copal_rd r = copal_rd_init(bytes);
  while (r.left > 0) {
    const copal_rd record = copal_rd_sub(&r, copal_rd_be(&r, 4));
    if (r.err != COPAL_OK)
      return;
    if (restore(d, record, age))
      d->restored++;
    else
      d->refused++;
  }
}

void dups_init(dups *d)
{
  *d = (dups){.section = {.name = "DUPS", .version = VERSION, .save = save, .load = load}};
}

void dups_lend(dups *d, dups_shard *shards, uint32_t count, copal_time now)
{
  d->shards = shards;
  d->count = count;
  d->now = now;
}
