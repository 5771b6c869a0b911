/* SPDX-License-Identifier: Apache-2.0 */
/* Parameters of RFC 9177 section 7.2. */
#include "copal/error.h"
#include "copal/params.h"
#include "copal/qblock.h"

enum {
  PERCENT_ONE = 100,
  PERCENT_MAX = 1000,
  RETRANSMIT_LIMIT = 20,
};

static copal_dur saturated(uint64_t us)
{
  return us < UINT32_MAX ? (copal_dur)us : UINT32_MAX;
}

/* NON_TIMEOUT * ACK_RANDOM_FACTOR. The percentage becomes a 16-bit binary fraction by multiplying
 * with 2^24 / 100, because small processors have no division. */
static uint64_t longest_pause(const copal_qblock *q)
{
  const uint32_t factor = ((uint32_t)q->random_percent * 167772 + 128) >> 8;
  return (uint64_t)q->non_timeout * factor >> 16;
}

copal_qblock copal_qblock_default(void)
{
  const copal_params p = copal_params_default();
  return (copal_qblock){
      .non_timeout = p.ack_timeout,
      .non_receive_timeout = 2 * p.ack_timeout,
      .non_partial_timeout = copal_exchange_lifetime(&p),
      .random_percent = p.ack_random_percent,
      .max_payloads = 10,
      .non_max_retransmit = p.max_retransmit,
      .flow_count = 16,
  };
}

int copal_qblock_check(const copal_qblock *q)
{
  if (q->max_payloads == 0 || q->max_payloads > COPAL_QBLOCK_PAYLOADS_MAX || q->flow_count == 0)
    return COPAL_EINVAL;
  if (q->random_percent < PERCENT_ONE || q->random_percent > PERCENT_MAX ||
      q->non_max_retransmit > RETRANSMIT_LIMIT || q->non_timeout == 0)
    return COPAL_EINVAL;
  return q->non_receive_timeout < longest_pause(q) + COPAL_SECOND ? COPAL_EINVAL : COPAL_OK;
}

copal_dur copal_qblock_pause(const copal_qblock *q, uint32_t rnd)
{
  const uint64_t spread = longest_pause(q) - q->non_timeout;
  return saturated(q->non_timeout + (spread * rnd >> 32));
}

copal_dur copal_qblock_patience(const copal_qblock *q, unsigned asked)
{
  return saturated((uint64_t)q->non_receive_timeout << (asked < 32 ? asked : 32));
}
