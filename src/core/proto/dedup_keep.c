/* SPDX-License-Identifier: Apache-2.0 */
/* The memory of messages received, handed from one endpoint to the next. RFC 7252 section 4.5. */
#include "core/proto/dedup.h"

/* What has not been dealt with yet, or has an answer on its way, must be dealt with again. */
static bool is_settled(const dedup *d, copal_time now)
{
  if (d->exchange || d->expires <= now)
    return false;
  return d->state != DEDUP_OPEN && d->state != DEDUP_DEAD;
}

static copal_dup_answer answer_of(const dedup *d)
{
  if (d->state == DEDUP_REPLIED)
    return COPAL_DUP_REPLAYED;
  return d->state == DEDUP_ACKED ? COPAL_DUP_ACKED : COPAL_DUP_IGNORED;
}

static int show(copal_ep *ep, const dedup *d, copal_dup_visitor *v, copal_time now)
{
  copal_dup dup = {
      .path = d->peer->path,
      .mid = d->mid,
      .answer = answer_of(d),
      .left = (copal_dur)(d->expires - now),
  };
  dup.path.local = d->local;
  ep->rendering.subject = NULL;
  copal_wr w = copal_wr_init((copal_mspan){ep->scratch.ptr, ep->cfg.message_max});
  if (dup.answer == COPAL_DUP_REPLAYED) {
    copal_chain_put(&d->reply, &ep->chunks, &w);
    dup.reply = copal_wr_done(&w);
  }
  return v->on_dup(v, &dup);
}

int copal_ep_dups_save(copal_ep *ep, copal_dup_visitor *v, copal_time now)
{
  int count = 0;
  for (copal_node *n = ep->dedup_by_age.next; n != &ep->dedup_by_age; n = n->next) {
    const dedup *d = COPAL_AROUND(n, dedup, age);
    if (!is_settled(d, now))
      continue;
    const int err = show(ep, d, v, now);
    if (err < 0)
      return err;
    count++;
  }
  return count;
}

int copal_ep_dup_restore(copal_ep *ep, const copal_dup *dup, copal_time now)
{
  if (dedup_find(ep, &dup->path, dup->mid, now))
    return COPAL_EINVAL;
  dedup *d = dedup_remember(ep, &dup->path, dup->mid, dup->left, now);
  if (!d)
    return COPAL_ENOSLOT;
  d->state = dup->answer == COPAL_DUP_ACKED ? DEDUP_ACKED : DEDUP_SILENT;
  if (dup->answer == COPAL_DUP_REPLAYED)
    dedup_keep_reply(ep, d, dup->reply, now);
  return COPAL_OK;
}
