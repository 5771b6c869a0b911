/* SPDX-License-Identifier: Apache-2.0 */
/* Where an answer goes: to the request being handled, or to one that was deferred. RFC 7252
 * section 5.2. */
#ifndef SERVICE_REPLY_H
#define SERVICE_REPLY_H

#include "server/handler.h"

enum {
  REPLY_ANY_FORMAT = 0x10000, /* the client sent no Accept; no Content-Format has this number */
  REPLY_OPT_MAX = 72,         /* options of an answer */
};

/* A value; keep it across a deferral. */
typedef struct reply {
  const handler_env *env;
  copal_xref exchange; /* 0: the request whose on_request() is running */
  copal_time now;      /* of the request */
  uint32_t accept;     /* Content-Format, or REPLY_ANY_FORMAT */
  bool has_block1;     /* the request was a block: the answer says which, RFC 7959 section 2.2 */
  bool is_change;      /* it has taken effect: one that does not fit is cut to its code */
  bool is_qblock1;     /* with Q-Block1: the answer to the whole body carries none */
  copal_block block1;
  handler_note *note; /* is told of the answer; or NULL */
} reply;

/* The reply to the request being handled. */
reply reply_to(const handler_req *req);

/* Takes an exchange so that the answer can come later. Returns 0 or COPAL_ENOSLOT. */
int reply_defer(reply *r);

/* Answers; a deferred exchange has ended afterwards. Adds Block1 when the request had one.
 * `response` has at most REPLY_OPT_MAX options. Returns what copal_ep_respond() or
 * copal_ep_resume() returned. */
int reply_send(const reply *r, const copal_response *response);

#endif
