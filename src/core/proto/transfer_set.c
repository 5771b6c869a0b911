/* SPDX-License-Identifier: Apache-2.0 */
/* Which uploads a server could take for one another, and the Request-Tags that keep them apart.
 * RFC 9175 sections 3.3, 3.4 and 3.5. */
#include "core/proto/ep.h"
#include "core/proto/transfer.h"

/* The next option of a request that distinguishes operations, or NULL. RFC 9175 section 3.3. */
static const copal_opt *next_key(const copal_transfer_request *rq, size_t *at)
{
  while (*at < rq->opt_count) {
    const copal_opt *opt = &rq->opts[(*at)++];
    if (copal_opt_is_critical(opt->number) || !copal_opt_is_no_cache_key(opt->number))
      return opt;
  }
  return NULL;
}

static bool is_matchable(const copal_transfer_request *a, const copal_transfer_request *b)
{
  size_t at_a = 0, at_b = 0;

  if (a->code != b->code || !copal_path_is_same_peer(a->path, b->path))
    return false;
  for (;;) {
    const copal_opt *x = next_key(a, &at_a);
    const copal_opt *y = next_key(b, &at_b);
    if (!x || !y)
      return !x && !y;
    if (x->number != y->number || !copal_span_is_equal(x->value, y->value))
      return false;
  }
}

static bool has_matchable(const copal_transfer *t)
{
  for (const copal_transfer *x = t->request->set->first; x; x = x->next) {
    if (x != t && x->is_blockwise && is_matchable(x->request, t->request))
      return true;
  }
  return false;
}

void transfer_set_insert(copal_transfer *t)
{
  copal_transfer_set *set = t->request->set;
  if (!set)
    return;
  t->next = set->first;
  set->first = t;
}

void transfer_set_remove(copal_transfer *t)
{
  copal_transfer_set *set = t->request->set;
  if (!set)
    return;
  for (copal_transfer **at = &set->first; *at; at = &(*at)->next) {
    if (*at == t) {
      *at = t->next;
      return;
    }
  }
}

/* A tag that no transfer of the set has, nor, in all likelihood, another of this endpoint. */
static uint32_t draw_tag(copal_transfer *t)
{
  copal_transfer_set *set = t->request->set;
  copal_entropy *entropy = t->ep->cfg.entropy;
  uint32_t tag = 0;
  if (!set) {
    entropy->fill(entropy, (copal_mspan){(uint8_t *)&tag, sizeof tag});
    return tag ? tag : 1;
  }
  if (++set->last_tag == 0)
    set->last_tag = 1;
  return set->last_tag;
}

/* A tag is only taken when the absent option would be ambiguous, to keep messages short, and where
 * blocks go ahead of others: a server that has lost one must know that they are of one body. A
 * transfer that begins again keeps its own, unless it is for another reason. */
void transfer_set_tag(copal_transfer *t)
{
  const copal_transfer_set *set = t->request->set;
  const bool is_ambiguous = set && (set->is_strict || has_matchable(t));
  if (!t->tag && (is_ambiguous || transfer_window_may_send(t)))
    t->tag = draw_tag(t);
}
