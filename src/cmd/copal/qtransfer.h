/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies in sets of Non-confirmable messages, Q-Block1 up and Q-Block2 down. RFC 9177.
 *
 * A confirmable request finds out first whether the server knows these options. RFC 9177 section
 * 4.1. */
#ifndef COPAL_CMD_QTRANSFER_H
#define COPAL_CMD_QTRANSFER_H

#include "cmd/copal/transfer.h"
#include "copal/qblock.h"

/* Runs the transfer. Returns false when Q-Block is not for it, or nothing for the server: then it
 * has had no effect, and Block1 and Block2 remain. */
bool qtransfer_run(session *s, const transfer *t, transfer_result *r);

/* ------------------------------------------------------------------ shared by the two directions
 */

/* A transfer under way. */
typedef struct qrun {
  session *session;
  const transfer *t;
  transfer_result *r;
  copal_qblock params;
  copal_time start;
  uint8_t szx;
  buf echo; /* the server's last Echo value */
} qrun;

/* What a step has come to. */
typedef enum qstep {
  QSTEP_DONE,     /* the result is filled in */
  QSTEP_FALLBACK, /* to be done with Block1 and Block2 */
} qstep;

/* The outcome of all that ends without a response. */
qstep qrun_end(qrun *q, transfer_outcome outcome, const char *why);

/* The instant at which the whole transfer has taken too long, or COPAL_NEVER. */
copal_time qrun_limit(const qrun *q);

/* A request of this transfer with these options; path, code and type are filled in. */
copal_request qrun_request(const qrun *q, copal_type type, const optset *options);

/* NON_TIMEOUT_RANDOM. */
copal_dur qrun_pause(const qrun *q);

/* Fetches the body whose first block, or all of it, has come; `probe` is given. */
qstep qget_run(qrun *q, reply *probe, copal_block first);

/* Sends the body to a server that knows Q-Block1. */
qstep qput_run(qrun *q);

#endif
