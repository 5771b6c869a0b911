/* SPDX-License-Identifier: Apache-2.0 */
/* Request bodies that come in sets of blocks, in any order: Q-Block1 of the server. RFC 9177
 * sections 4.3, 5 and 7.2; bodies of one client are told apart by method, URI with its query, and
 * Request-Tag.
 *
 * event                        answer
 * ---------------------------  ------------------------------------------------------------
 * block, set not complete      none (CON: Empty ACK); the request is kept for a later answer
 * block completes its set      2.31 (CON: none)
 * block of a later set         4.08 with what is missing before it, once for each set
 * nothing for a while          4.08 with what is missing, NON_MAX_RETRANSMIT times, then the end
 * block completes the body     that of the request
 * block of a finished body     that of the request again
 *
 * Unfinished bodies are bounded for each shard in number, for one client and in all, and in bytes;
 * the one that has waited longest gives way, in all that of an address which holds more than half
 * of them. Threads: a body is touched by its shard only. */
#ifndef SERVICE_QBODIES_H
#define SERVICE_QBODIES_H

#include <stdint.h>

#include "copal/qblock.h"
#include "server/handler.h"
#include "service/lender.h"
#include "store/staging.h"

typedef struct qbodies qbodies;

/* Limits of a shard; a field that is zero takes the default named. */
typedef struct qbodies_cfg {
  copal_qblock params;
  uint32_t count_max;   /* unfinished bodies; default 64 */
  uint32_t per_client;  /* of these, from one address and port, or session; default 8 */
  uint64_t byte_max;    /* bytes of all of them; default 256 MiB */
  staging_place *place; /* where large bodies wait. Lent; default: files in "/var/tmp" */
} qbodies_cfg;

typedef struct qbodies_counts {
  uint64_t open;       /* now */
  uint64_t bytes;      /* now */
  uint64_t finished;   /* bodies that came in whole */
  uint64_t repeated;   /* blocks that were there already */
  uint64_t beyond;     /* blocks too far ahead to be taken */
  uint64_t incomplete; /* 4.08 sent */
  uint64_t expired;    /* bodies given up */
  uint64_t evicted;    /* gave way to another body */
  uint64_t failed;     /* could not be kept: no memory, no space */
} qbodies_counts;

/* Returns NULL without memory. */
qbodies *qbodies_open(const qbodies_cfg *cfg);
void qbodies_close(qbodies *q);

typedef struct qbody qbody;

/* Takes the block of a request with Q-Block1 in, and answers where that is due. Returns COPAL_OK
 * with `*whole` NULL: nothing more to do. Or COPAL_OK with a complete body, lent until
 * qbody_handled() or to who takes its lender: put `*note` into the request and carry it out. Or
 * COPAL_EPENDING: the answer may come later. Or an error to answer with: COPAL_ETOOBIG,
 * COPAL_EBLOCK, COPAL_ENOSLOT. */
int qbodies_take(qbodies *q, const handler_req *req, qbody **whole, copal_span *body,
                 handler_note **note);

/* Who has the bytes of a complete body. */
lender *qbody_lender(qbody *whole);

/* The request has been carried out, or is being so when `result` is COPAL_EPENDING. */
void qbody_handled(qbody *b, int result);

qbodies_counts qbodies_counts_now(qbodies *q);

#endif
