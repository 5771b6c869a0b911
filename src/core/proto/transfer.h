/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of block-wise transfers of a client: what to send next, and what a response means.
 * The states and their table are in copal/transfer.h. RFC 7959, RFC 9175. */
#ifndef CORE_PROTO_TRANSFER_H
#define CORE_PROTO_TRANSFER_H

#include "copal/transfer.h"

typedef enum transfer_state {
  TRANSFER_READY,
  TRANSFER_SENDING,  /* the request with a block of its body, or without one, is out */
  TRANSFER_FETCHING, /* the request for a block behind the first is out */
  TRANSFER_HELD,     /* a hook or the endpoint asked to wait */
  TRANSFER_WATCHING, /* nothing is out but the observation */
  TRANSFER_CLOSING,  /* over, as soon as what is out has ended */
} transfer_state;

/* What a response calls for. */
typedef enum transfer_step {
  TRANSFER_AGAIN,   /* send what is next */
  TRANSFER_ADVANCE, /* the same, after a block of the request body has been acknowledged */
  TRANSFER_RESTART, /* the same, from the beginning */
  TRANSFER_TAKE,    /* the payload belongs to the response body */
  TRANSFER_DONE,    /* the response is the last */
} transfer_step;

enum { TRANSFER_SZX_BIAS = 4 }; /* RFC 7959 section 2.2: block size is 2^(SZX + 4) */

/* Sends the next request, as `t->is_fetching` says. Returns as copal_ep_request(), or what read()
 * said, COPAL_EINVAL or COPAL_ETOOBIG. */
int transfer_send(copal_transfer *t, copal_time now);

/* Asks for the block of a slot, or sends it, under a token of its own. Returns as transfer_send().
 */
int transfer_send_slot(copal_transfer *t, copal_transfer_slot *slot, copal_time now);

/* Keeps the Echo value of a response for the next request. RFC 9175 section 2.3. */
void transfer_keep_echo(copal_transfer *t, const copal_msg *msg);

/* Judge the response to a request with a block of the request body (or without body), to a request
 * for a block, and a notification; they move the counters of the transfer. Return a transfer_step
 * or an error of copal_transfer_result. */
int transfer_judge_sent(copal_transfer *t, const copal_msg *msg);
int transfer_judge_fetched(copal_transfer *t, const copal_msg *msg);
int transfer_judge_first(copal_transfer *t, const copal_msg *msg);

/* True when a response is what was expected of a request in a window, so that nothing has to be
 * decided. */
bool transfer_is_expected(const copal_transfer *t, const copal_transfer_slot *slot,
                          const copal_msg *msg);

/* The Block1 or Block2 option of a message. COPAL_OK; COPAL_ENOTFOUND; COPAL_EBLOCK. */
int transfer_find_block(const copal_msg *msg, uint16_t number, copal_block *b);

/* True when a notification has the ETag of the representation that is being fetched. */
bool transfer_is_fetching_it(const copal_transfer *t, const copal_msg *msg);

/* Bytes of the request body, or COPAL_TRANSFER_UNKNOWN. */
int64_t transfer_body_size(const copal_transfer *t);

/* ------------------------------------------------------------------ the window: transfer_window.c
 */

/* Makes the window of the transfer, if it has one, empty and open. */
void transfer_window_reset(copal_transfer *t);

/* True when blocks of the request body may go ahead of others. */
bool transfer_window_may_send(const copal_transfer *t);

/* Blocks outstanding in the window. */
uint16_t transfer_window_out(const copal_transfer *t);

/* Sends as many blocks as may leave. COPAL_OK: wait for what is outstanding; COPAL_ENOTFOUND:
 * nothing is, the block that is due goes by itself; COPAL_EINCOMPLETE: the same, and it is the
 * first of an upload that begins again; or another error of the transfer. */
int transfer_window_fill(copal_transfer *t, copal_time now);

/* The slot of an exchange, or NULL. */
copal_transfer_slot *transfer_window_find(const copal_transfer *t, copal_xref ref);

/* Notes that the exchange of a slot has ended, with `msg` or without a response. */
void transfer_window_settle(copal_transfer *t, copal_transfer_slot *slot, const copal_msg *msg);

/* True when the answer to the last block of an upload may be due to the window: the upload is set
 * back to its beginning and goes without. */
bool transfer_window_doubts(copal_transfer *t, copal_code code);

/* A block has been sent again: the path or the server is overloaded. */
void transfer_window_back_off(copal_transfer *t, const copal_transfer_slot *slot);

/* Takes the block that is due out of the window, if it is there. */
bool transfer_window_take(copal_transfer *t, copal_transfer_slot *block, copal_span *bytes);

/* Links a transfer into its set, if it has one, and out of it. */
void transfer_set_insert(copal_transfer *t);
void transfer_set_remove(copal_transfer *t);

/* Chooses the Request-Tag of an upload in blocks, when it needs one. RFC 9175 section 3.4. */
void transfer_set_tag(copal_transfer *t);

#endif
