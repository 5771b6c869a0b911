/* SPDX-License-Identifier: Apache-2.0 */
/* Answers that are given once more. A handler may prove its answer to a GET (copal_response.proof):
 * whoever asks with the same options is answered the same, from memory, as long as the server says
 * that the proof holds (copal_server.is_current). RFC 7252 section 5.6 is about caches; this is
 * none in its sense: no answer is older than the handler's would be. */
#ifndef CORE_PROTO_RECALL_H
#define CORE_PROTO_RECALL_H

#include "core/base/carver.h"
#include "core/proto/ep.h"

/* An answer that is kept, with what was asked. */
typedef struct recall_slot {
  uint8_t key_len;
  uint8_t tail_len;
  uint8_t proof_len;
  copal_code code;
  _Alignas(uint64_t) uint8_t bytes[]; /* proof, options asked with, options and payload of the
                                         answer */
} recall_slot;

/* True when the configuration is one that this build can have. */
bool recall_is_valid(const copal_ep_cfg *cfg);

/* Plans the memory, as all of setup.c: `ep` NULL measures. */
void recall_lay_out(copal_carver *c, copal_ep *ep, const copal_ep_cfg *cfg);

/* The answer to the request of `t` when one is kept that is good now, or NULL. Lent until the next
 * call of this module. When it has come before without one, `t->recall_hash` says where an answer
 * to it would be kept. */
const recall_slot *recall_find(copal_ep *ep, turn *t);

/* Options and payload of a kept answer. */
static inline copal_span recall_tail(const recall_slot *s)
{
  return copal_span_of(s->bytes + s->proof_len + s->key_len, s->tail_len);
}

/* Keeps the answer when there is a place for it and the handler has proved it; `w` has the whole
 * datagram. */
void recall_keep(copal_ep *ep, const turn *t, const copal_response *r, const copal_wr *w);

#endif
