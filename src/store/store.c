/* SPDX-License-Identifier: Apache-2.0 */
/* The store's interface, handed on to the engine, and the rules that all engines share. */
#include "store/store.h"

#include <string.h>
#include <sys/random.h>

#include "copal/error.h"

int store_port_open(store *s, store_waker *waker, store_port **port)
{
  return s->engine->port_open(s, waker, port);
}

void store_port_close(store_port *p)
{
  if (p != NULL)
    p->store->engine->port_close(p);
}

void store_view_renew(store_port *p)
{
  p->store->engine->view_renew(p);
}

store_status store_get(store_port *p, copal_span key, store_item *item, copal_time now)
{
  return p->store->engine->get(p, STORE_RESOURCES, key, item, now);
}

store_status store_get_state(store_port *p, copal_span key, store_item *item, copal_time now)
{
  return p->store->engine->get(p, STORE_STATE, key, item, now);
}

enum { IN_CHANGE = 1 }; /* of a state */

bool store_stamp_of(store_port *p, copal_span key, store_stamp *stamp)
{
  const store_engine *e = p->store->engine;
  if (e->where == NULL)
    return false;
  stamp->where = e->where(p, key);
  stamp->state = e->state(p, stamp->where);
  return (stamp->state & IN_CHANGE) == 0;
}

bool store_is_unchanged(store_port *p, const store_stamp *stamp)
{
  return p->store->engine->state(p, stamp->where) == stamp->state;
}

/* A change of the state has no conditions but one, and nothing to describe. */
static bool is_plain_state(const store_op *op)
{
  return op->key.len > 0 && op->key.len <= STORE_STATE_KEY_MAX && op->verb != STORE_SET_ATTRS &&
         op->attrs.len == 0 && !op->must_be_present && op->must_be_rev == 0 && op->etag_count == 0;
}

size_t store_foresight(store_port *p)
{
  const store_engine *engine = p->store->engine;
  return engine->foresight != NULL ? engine->foresight(p) : 0;
}

void store_foresee(store_port *p, const copal_span *keys, size_t count)
{
  p->store->engine->foresee(p, keys, count);
}

static bool is_valid(const store_op *op)
{
  if (op->key.len > STORE_KEY_MAX || op->etag_count > STORE_ETAG_MAX ||
      op->attrs.len > STORE_ATTRS_MAX || op->body.len > UINT32_MAX)
    return false;
  return op->space != STORE_STATE || is_plain_state(op);
}

int store_commit(store_port *p, store_op *op, copal_time now)
{
  return is_valid(op) ? p->store->engine->commit(p, op, now) : COPAL_EINVAL;
}

void store_gather(store_port *p, bool gathers)
{
  if (p->store->engine->gather != NULL)
    p->store->engine->gather(p, gathers);
}

copal_time store_gathered(const store_port *p)
{
  const store_engine *engine = p->store->engine;
  return engine->gathered != NULL ? engine->gathered(p) : COPAL_NEVER;
}

bool store_can_apply(const store_port *p)
{
  return p->store->engine->apply != NULL;
}

int store_apply(store_port *p, store_op *op, copal_time now)
{
  return is_valid(op) ? p->store->engine->apply(p, op, now) : COPAL_EINVAL;
}

int store_drain(store_port *p, int max)
{
  return p->store->engine->drain(p, max);
}

int store_list(store_port *p, const store_range *range, store_each *each, void *ctx, copal_time now)
{
  return p->store->engine->list(p, range, each, ctx, now);
}

int store_history(store_port *p, copal_span key, size_t max, store_each *each, void *ctx,
                  copal_time now)
{
  return p->store->engine->history(p, key, max, each, ctx, now);
}

void store_follow(store *s, store_follower *f)
{
  s->engine->follow(s, f);
}

store_usage store_usage_now(store *s)
{
  return s->engine->usage(s);
}

size_t store_counts_now(store *s, store_count counts[STORE_COUNT_MAX])
{
  return s->engine->counts(s, counts);
}

void store_close(store *s)
{
  if (s != NULL)
    s->engine->close(s);
}

static bool etag_is_listed(const store_op *op, const store_item *item)
{
  const copal_span own = copal_span_of(item->etag.bytes, STORE_ETAG_SIZE);
  for (size_t i = 0; i < op->etag_count; i++)
    if (copal_span_is_equal(own, copal_span_of(op->etags[i].bytes, STORE_ETAG_SIZE)))
      return true;
  return false;
}

bool store_conditions_hold(const store_op *op, const store_item *item)
{
  if (item == NULL)
    return !op->must_be_present && op->must_be_rev == 0 && op->etag_count == 0;
  if (op->must_be_absent)
    return false;
  if (op->must_be_rev != 0 && op->must_be_rev != item->rev)
    return false;
  return op->etag_count == 0 || etag_is_listed(op, item);
}

bool store_is_expired(const store_item *item, copal_time now)
{
  return item->lifetime_s != 0 && now >= item->written &&
         now - item->written >= item->lifetime_s * (uint64_t)COPAL_SECOND;
}

bool store_op_is_named(const store_op *op)
{
  static const store_opid none = {.bytes = {0}};
  return memcmp(op->id.bytes, none.bytes, STORE_OPID_SIZE) != 0;
}

bool store_links_differ(const store_item *a, const store_item *b)
{
  if (a->content_format != b->content_format || !copal_span_is_equal(a->attrs, b->attrs))
    return true;
  const bool is_listed = a->body.len > STORE_SIZE_LISTED || b->body.len > STORE_SIZE_LISTED;
  return is_listed && a->body.len != b->body.len;
}

store_etag store_etag_of(store_rev rev, uint64_t epoch)
{
  /* The finaliser of splitmix64, a bijection: distinct revisions have distinct tags. */
  uint64_t x = rev + epoch;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
  x ^= x >> 31;
  store_etag etag;
  for (int i = 0; i < STORE_ETAG_SIZE; i++)
    etag.bytes[i] = (uint8_t)(x >> (8 * i));
  return etag;
}

bool store_random(copal_mspan out)
{
  return getrandom(out.ptr, out.len, 0) == (ssize_t)out.len;
}
