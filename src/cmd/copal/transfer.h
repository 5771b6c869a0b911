/* SPDX-License-Identifier: Apache-2.0 */
/* A request with bodies of any size over a session: Block1 up, Block2 down, by the library's
 * copal_transfer. RFC 7959, RFC 9175 section 2.3. */
#ifndef COPAL_CMD_TRANSFER_H
#define COPAL_CMD_TRANSFER_H

#include <stdbool.h>
#include <stdint.h>

#include "cmd/copal/buf.h"
#include "cmd/copal/optset.h"
#include "cmd/copal/session.h"
#include "copal/block.h"
#include "copal/endpoint.h"

/* Takes the body of a success as it comes. Both functions return 0, or -1 with errno. */
typedef struct transfer_sink {
  /* A body begins, or begins again, at its byte `at`; `first` is the response that opens it. */
  int (*begin)(struct transfer_sink *k, const reply *first, size_t at);
  int (*put)(struct transfer_sink *k, copal_span bytes);
  const char *name; /* for messages */
} transfer_sink;

/* Hears how far a block-wise transfer is: `done` of `total` bytes, 0 when that is not known. */
typedef struct transfer_monitor {
  void (*on_progress)(struct transfer_monitor *m, size_t done, size_t total);
} transfer_monitor;

/* What to send. All is lent for the call. */
typedef struct transfer {
  const copal_path *path;
  copal_type type;
  copal_code code;
  const optset *options; /* Block options in here turn block-wise transfer off */
  copal_span token;
  bool has_token;
  copal_span body;
  uint8_t szx;           /* largest block, 0 to 6 */
  bool has_szx;          /* ask the server for blocks of that size */
  uint16_t window;       /* blocks under way at most, as far as NSTART allows; 0 and 1: one */
  bool is_qblock;        /* try Q-Block1 and Q-Block2 first */
  copal_dur non_timeout; /* of those, microseconds; 0: the default of RFC 9177 section 7.2 */
  copal_dur timeout; /* for all of it, microseconds; 0: none beyond the transmission parameters */
  session_wait wait;
  transfer_sink *sink;       /* NULL: the body is collected in the result */
  transfer_monitor *monitor; /* NULL: nobody */
  size_t resume_at;          /* bytes of the body that are there already; whole blocks count */
  copal_span resume_etag;    /* of the representation they belong to */
} transfer;

typedef enum transfer_outcome {
  TRANSFER_RESPONSE, /* `reply` is the response, `body` its body */
  TRANSFER_SILENT,   /* nothing came, and nothing was waited for */
  TRANSFER_TIMEOUT,
  TRANSFER_RESET,
  TRANSFER_UNREACHABLE, /* `reply.errnum` tells */
  TRANSFER_INVALID,     /* the response breaks the protocol; `why` tells */
  TRANSFER_CHANGED,     /* transfer_rest(): the representation is another one now */
  TRANSFER_STORE,       /* the sink `why` failed with `reply.errnum` */
  TRANSFER_FAILED,      /* could not be sent; `why` tells */
  TRANSFER_INTERRUPTED,
} transfer_outcome;

typedef struct transfer_result {
  transfer_outcome outcome;
  reply reply; /* the response; of a block-wise one its first */
  buf body;    /* the whole body, unless a sink took it */
  size_t size; /* of the body, bytes */
  const char *why;
  unsigned exchanges;
  unsigned retransmits;
  copal_dur total; /* microseconds */
} transfer_result;

/* Runs the transfer to its end. Wipe `r` afterwards. */
void transfer_run(session *s, const transfer *t, transfer_result *r);

/* Completes the body that the response `first` begins, with requests of their own; `first` is
 * given. When the ETag changes meanwhile the outcome is TRANSFER_CHANGED. RFC 7641 section 3, RFC
 * 7959 sections 2.8 and 3.4. */
void transfer_rest(session *s, const transfer *t, reply *first, transfer_result *r);
void transfer_result_wipe(transfer_result *r);

#endif
