/* SPDX-License-Identifier: Apache-2.0 */
/* Writing a response: what of it is sent at all, and which part of its body.
 * RFC 7252 section 8.2, RFC 7959 section 2.4, RFC 7967. */
#ifndef CORE_PROTO_REPLY_H
#define CORE_PROTO_REPLY_H

#include "core/proto/ep.h"

/* Begins the rules with what the head of a request and its path say. */
void reply_rules_begin(turn *t);

/* Collects from the options of a request what its response depends on. COPAL_EBLOCK when its Block2
 * option has the reserved size; the rest is filled all the same. */
int reply_rules_read(const copal_ep *ep, turn *t);

/* True when a response with that code is held back: the client said so (RFC 7967), or the request
 * came to a group and the response would be an error (RFC 7252 section 8.2). */
bool reply_is_suppressed(const reply_rules *rules, copal_code code);

/* Writes the response with the header and token of `head` into `w`, cut to one block where `rules`
 * or its size ask for it. Returns COPAL_OK, COPAL_EBLOCK (the client asks for a block behind the
 * end), COPAL_EINVAL or COPAL_ENOSPC. */
int reply_write(const copal_ep *ep, copal_wr *w, const copal_msg *head, const reply_rules *rules,
                const copal_response *response);

/* The same without header and token: what the receivers of one notification have in common. */
int reply_write_tail(const copal_ep *ep, copal_wr *w, const reply_rules *rules,
                     const copal_response *response);

#endif
