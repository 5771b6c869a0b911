/* SPDX-License-Identifier: Apache-2.0 */
/* Ordering and freshness of notifications. */
#include "core/proto/observation.h"

#include "core/proto/exchange.h"

enum {
  MAX_AGE_DEFAULT_S = 60, /* RFC 7252 section 5.10.5 */
  HALF_RANGE = 1 << 23,   /* RFC 7641 section 3.4 */
  SEQUENCE_MASK = (1 << 24) - 1,
};

static const copal_dur reorder_limit = 128 * COPAL_SECOND; /* RFC 7641 section 3.4 */
static const copal_dur grace_min = 5 * COPAL_SECOND;       /* RFC 7641 section 3.3.1 */
static const copal_dur grace_spread = 10 * COPAL_SECOND;

bool observation_is_asked(const copal_request *rq)
{
  uint32_t action;
  for (size_t i = 0; rq->opts && i < rq->opt_count; i++) {
    if (rq->opts[i].number == COPAL_OPT_OBSERVE)
      return copal_opt_uint(rq->opts[i].value, &action) == COPAL_OK && action == 0;
  }
  return false;
}

bool observation_is_notification(const copal_msg *msg)
{
  copal_span value;
  return copal_code_class(msg->code) == COPAL_CLASS_SUCCESS &&
         copal_opt_find_valid(msg->options, COPAL_OPT_OBSERVE, &value);
}

/* RFC 7641 section 3.4, with V1 and T1 in the exchange. */
static bool is_fresher(const exchange *x, uint32_t sequence, copal_time now)
{
  const uint32_t ahead = (sequence - x->sequence) & SEQUENCE_MASK;
  return (ahead != 0 && ahead < HALF_RANGE) || now > x->fresh_at + reorder_limit;
}

/* True when the notification answers the renewed registration for certain: its number does not
 * matter then, the server may have started anew. */
static bool answers_renewal(const exchange *x, const copal_msg *msg, uint32_t sequence)
{
  return x->is_renewing && (msg->type == COPAL_ACK || sequence == x->sequence);
}

/* A notification that comes again with the sequence number of the freshest is no news either. */
bool observation_accept(copal_ep *ep, exchange *x, const copal_msg *msg, copal_time now)
{
  const uint32_t sequence = copal_opt_uint_or(msg->options, COPAL_OPT_OBSERVE, 0);
  const uint32_t max_age = copal_opt_uint_or(msg->options, COPAL_OPT_MAX_AGE, MAX_AGE_DEFAULT_S);

  if (x->has_observed && !is_fresher(x, sequence, now) && !answers_renewal(x, msg, sequence))
    return false;
  x->has_observed = true;
  x->is_renewing = false;
  x->sequence = sequence;
  x->fresh_at = now;
  x->give_up =
      now + (copal_time)max_age * COPAL_SECOND + grace_min + ep_random_dur(ep, grace_spread);
  return true;
}

bool observation_renew(copal_ep *ep, exchange *x, copal_time now)
{
  if (!x->has_observed || x->is_renewing)
    return false;
  exchange_renew_mid(ep, x, exchange_draw_mid(ep, x, ep_path_hash(ep, &x->path), now));
  x->is_renewing = true;
  return true;
}
