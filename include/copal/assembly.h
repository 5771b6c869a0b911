/* SPDX-License-Identifier: Apache-2.0 */
/* Putting a request body together from the blocks of a Block1 transfer: which block may come next
 * and how it is answered. Where the bytes are kept is the caller's affair. RFC 7959 sections 2.3,
 * 2.5 and 2.9.
 *
 * One object follows one transfer: one client endpoint, method, URI and Request-Tag (RFC 9175
 * section 3). All zero is one that has not begun. */
#ifndef COPAL_ASSEMBLY_H
#define COPAL_ASSEMBLY_H

#include <stdbool.h>
#include <stdint.h>

#include "copal/endpoint.h"
#include "copal/platform.h"

COPAL_BEGIN_DECLS

enum { COPAL_ASSEMBLY_NO_FORMAT = 0x10000 }; /* no Content-Format has this number */

typedef struct copal_assembly {
  uint32_t have;           /* bytes of the body received, from its beginning without a gap */
  uint32_t content_format; /* of the body, or COPAL_ASSEMBLY_NO_FORMAT */
  bool is_open;            /* the first block has come and the last has not */
} copal_assembly;

/* What to do with a block. */
typedef struct copal_assembly_step {
  uint32_t offset;  /* where the payload goes in the body */
  bool is_first;    /* what was kept of an earlier transfer is void */
  bool is_repeated; /* the payload is there already: nothing to keep, answer as before */
  bool is_last;     /* the body is complete with it; otherwise answer 2.31 Continue */
} copal_assembly_step;

/* Takes a request with a Block1 option in. `limit` is the largest body accepted, bytes. On success
 * the payload is to be kept at `step->offset` and the request answered with the same Block1 value:
 * 2.31 (Continue), or the final answer. Returns COPAL_OK; COPAL_EINCOMPLETE (4.08) when blocks
 * before it are missing, the Content-Format changed, or the last block ends before what is there;
 * COPAL_ETOOBIG (4.13); COPAL_EBLOCK (4.00) when the payload does not fill its block. After an
 * error the transfer has to begin again. */
COPAL_API int copal_assembly_take(copal_assembly *a, const copal_req *req, uint32_t limit,
                                  copal_assembly_step *step);

COPAL_END_DECLS

#endif
