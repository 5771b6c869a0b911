/* SPDX-License-Identifier: Apache-2.0 */
/* Transmission parameters and the times derived from them. RFC 7252 section 4.8. */
#ifndef COPAL_PARAMS_H
#define COPAL_PARAMS_H

#include <stdint.h>

#include "copal/platform.h"
#include "copal/time.h"

COPAL_BEGIN_DECLS

typedef struct copal_params {
  copal_dur ack_timeout;       /* ACK_TIMEOUT, default 2 s */
  uint16_t ack_random_percent; /* ACK_RANDOM_FACTOR in percent, default 150, 100 to 1000 */
  uint8_t max_retransmit;      /* MAX_RETRANSMIT, default 4, at most 20 */
  uint8_t nstart;              /* NSTART, default 1 */
  copal_dur default_leisure;   /* DEFAULT_LEISURE, default 5 s */
  uint32_t probing_rate; /* PROBING_RATE in bytes per second, default 1; 0 turns the limit off */
  copal_dur max_latency; /* MAX_LATENCY, default 100 s */
  copal_dur processing_delay; /* PROCESSING_DELAY, default ACK_TIMEOUT */
  copal_dur ack_delay; /* how long a response may wait for its handler before an Empty ACK is sent,
                          default 500 ms; below ACK_TIMEOUT */
} copal_params;

/* The defaults of RFC 7252 section 4.8. */
COPAL_API copal_params copal_params_default(void);

/* COPAL_OK, or COPAL_EINVAL when a value is out of the range that RFC 7252 section 4.8.1 allows or
 * when a derived time does not fit copal_dur. */
COPAL_API int copal_params_check(const copal_params *p);

/* Derived times, RFC 7252 section 4.8.2. */
COPAL_API copal_dur copal_max_transmit_span(const copal_params *p);
COPAL_API copal_dur copal_max_transmit_wait(const copal_params *p);
COPAL_API copal_dur copal_max_rtt(const copal_params *p);
COPAL_API copal_dur copal_exchange_lifetime(const copal_params *p);
COPAL_API copal_dur copal_non_lifetime(const copal_params *p);

COPAL_END_DECLS

#endif
