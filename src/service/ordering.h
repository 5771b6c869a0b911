/* SPDX-License-Identifier: Apache-2.0 */
/* The order of the blocks of a Block1 transfer, with some of them ahead of others: what a client
 * sends that has several under way, and what the network makes of it. RFC 7959 section 2.5.
 *
 * The body grows without gaps as copal/assembly.h has it; a window of full blocks behind the first
 * that is missing is taken too, if a Request-Tag tells that they are of the same body (RFC 9175
 * section 3); of other transfers a block out of sequence is refused. The last block completes the
 * body only when all others are there.
 */
#ifndef SERVICE_ORDERING_H
#define SERVICE_ORDERING_H

#include <stdint.h>

#include "copal/assembly.h"

enum { ORDERING_AHEAD = 64 }; /* blocks behind the one that is missing */

/* All zero is one that has not begun. */
typedef struct ordering {
  copal_assembly assembly;
  uint64_t ahead; /* bit n: the block n + 1 behind the one that is missing is there */
  uint8_t szx;    /* of those */
} ordering;

/* As copal_assembly_take(). A block ahead is to be kept at `step->offset`, with a gap before it. */
int ordering_take(ordering *o, const copal_req *req, uint32_t limit, copal_assembly_step *step);

#endif
