/* SPDX-License-Identifier: Apache-2.0 */
/* Transmission parameters and the times derived from them. RFC 7252 section 4.8. */
#include "copal/params.h"
#include "copal/error.h"

enum {
  PERCENT_ONE = 100,
  PERCENT_MAX = 1000,    /* a factor of ten */
  RETRANSMIT_LIMIT = 20, /* keeps 2^(MAX_RETRANSMIT + 1) well inside 32 bits */
};

/* A derived time that does not fit is held at the end of the range, where copal_params_check()
 * finds it. */
static copal_dur saturated(uint64_t us)
{
  return us < UINT32_MAX ? (copal_dur)us : UINT32_MAX;
}

/* ACK_RANDOM_FACTOR times `t`. The percentage becomes a 16-bit binary fraction by multiplying with
 * 2^24 / 100, because small processors have no division. */
static copal_dur randomised(const copal_params *p, copal_dur t)
{
  const uint32_t factor = ((uint32_t)p->ack_random_percent * 167772 + 128) >> 8;
  return saturated((uint64_t)t * factor >> 16);
}

/* ACK_TIMEOUT * (2^doublings - 1) * ACK_RANDOM_FACTOR. */
static copal_dur backoff_span(const copal_params *p, unsigned doublings)
{
  const uint32_t intervals = ((uint32_t)1 << doublings) - 1;
  return randomised(p, saturated((uint64_t)p->ack_timeout * intervals));
}

copal_params copal_params_default(void)
{
  return (copal_params){
      .ack_timeout = 2 * COPAL_SECOND,
      .ack_random_percent = 150,
      .max_retransmit = 4,
      .nstart = 1,
      .default_leisure = 5 * COPAL_SECOND,
      .probing_rate = 1,
      .max_latency = 100 * COPAL_SECOND,
      .processing_delay = 2 * COPAL_SECOND,
      .ack_delay = 500 * COPAL_MILLISECOND,
  };
}

int copal_params_check(const copal_params *p)
{
  if (p->ack_timeout == 0 || p->ack_delay >= p->ack_timeout)
    return COPAL_EINVAL;
  if (p->ack_random_percent < PERCENT_ONE || p->ack_random_percent > PERCENT_MAX)
    return COPAL_EINVAL;
  if (p->max_retransmit > RETRANSMIT_LIMIT || p->nstart == 0)
    return COPAL_EINVAL;
  /* EXCHANGE_LIFETIME is the largest of all, but for NON_LIFETIME, which it contains. */
  return copal_exchange_lifetime(p) == UINT32_MAX ? COPAL_EINVAL : COPAL_OK;
}

copal_dur copal_max_transmit_span(const copal_params *p)
{
  return backoff_span(p, p->max_retransmit);
}

copal_dur copal_max_transmit_wait(const copal_params *p)
{
  return backoff_span(p, p->max_retransmit + 1u);
}

copal_dur copal_max_rtt(const copal_params *p)
{
  return saturated((uint64_t)p->max_latency + p->max_latency + p->processing_delay);
}

copal_dur copal_exchange_lifetime(const copal_params *p)
{
  /* When the last waiting period is longer than a round trip, the sender still waits after the
   * last datagram must have arrived; RFC 7252 section 4.8.2 leaves that case to the reader. */
  const copal_dur wait = copal_max_transmit_wait(p);
  const copal_dur life = saturated((uint64_t)copal_max_transmit_span(p) + copal_max_rtt(p));
  return wait > life ? wait : life;
}

copal_dur copal_non_lifetime(const copal_params *p)
{
  return saturated((uint64_t)copal_max_transmit_span(p) + p->max_latency);
}
