/* SPDX-License-Identifier: Apache-2.0 */
/* Block-wise transfer in sets of Non-confirmable messages: parameters and counters of the Q-Block1
 * and Q-Block2 options. RFC 9177.
 *
 * An endpoint answers requests with Q-Block2 by itself. Bodies of requests with Q-Block1 are put
 * together by the server's handler, which sees `is_qblock1` in its request. */
#ifndef COPAL_QBLOCK_H
#define COPAL_QBLOCK_H

#include <stddef.h>
#include <stdint.h>

#include "copal/platform.h"
#include "copal/time.h"

COPAL_BEGIN_DECLS

enum { COPAL_QBLOCK_PAYLOADS_MAX = 32 }; /* the largest max_payloads handled here */

/* Parameters, RFC 9177 section 7.2. Both sides must use the same max_payloads. */
typedef struct copal_qblock {
  copal_dur non_timeout;         /* NON_TIMEOUT, default 2 s */
  copal_dur non_receive_timeout; /* NON_RECEIVE_TIMEOUT, default 4 s; at least a second above
                                    NON_TIMEOUT_RANDOM */
  copal_dur non_partial_timeout; /* NON_PARTIAL_TIMEOUT, default 247 s */
  uint16_t random_percent;       /* ACK_RANDOM_FACTOR in percent, default 150, 100 to 1000 */
  uint8_t max_payloads;          /* MAX_PAYLOADS, default 10, 1 to 32 */
  uint8_t non_max_retransmit;    /* NON_MAX_RETRANSMIT, default 4, at most 20 */
  uint32_t flow_count;           /* bodies on their way to clients at a time; default 16 */
} copal_qblock;

/* Wraps at the width of a pointer; readers take differences. */
typedef struct copal_qblock_stats {
  size_t blocks;   /* sent beyond the first of each response */
  size_t sets;     /* begun after a pause, because no 'Continue' had come */
  size_t refused;  /* bodies for which there was no room: the client asks for the rest */
  size_t ended;    /* bodies given up: changed, or nothing was heard of the client */
  size_t withheld; /* sets held back by the guard, copal/guard.h */
} copal_qblock_stats;

/* The defaults of RFC 9177 section 7.2. */
COPAL_API copal_qblock copal_qblock_default(void);

/* COPAL_OK, or COPAL_EINVAL when a value is out of its range or when NON_RECEIVE_TIMEOUT does not
 * leave the second that RFC 9177 section 7.2 asks for. */
COPAL_API int copal_qblock_check(const copal_qblock *q);

/* NON_TIMEOUT_RANDOM for a uniform 32-bit value. RFC 9177 section 7.2. */
COPAL_API copal_dur copal_qblock_pause(const copal_qblock *q, uint32_t rnd);

/* How long to wait for missing blocks when `asked` requests for them have been made: the time
 * doubles with each. RFC 9177 section 7.2. */
COPAL_API copal_dur copal_qblock_patience(const copal_qblock *q, unsigned asked);

COPAL_END_DECLS

#endif
