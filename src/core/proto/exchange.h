/* SPDX-License-Identifier: Apache-2.0 */
/* Exchanges in either role: taking and giving, finding them, and the retransmission schedule of
 * their confirmable messages. RFC 7252 sections 4.2, 4.4, 5.3.
 *
 * state          event            next            action                    deadline
 * -------------  ---------------  --------------  ------------------------  ----------------------
 * QUEUED         turn comes       WAIT_ACK        send CON                  first interval
 *                                 WAIT_RESPONSE   send NON                  patience
 * WAIT_ACK       deadline         WAIT_ACK        send again                interval doubled
 *                deadline         (end)           TIMEOUT, or drop          after MAX_RETRANSMIT
 *                Empty ACK        WAIT_RESPONSE   tell, next in the queue   patience
 *                Empty ACK        (end)           separate response arrived
 *                RST              (end)           RESET, or drop
 * WAIT_ACK,      response         (end)           RESPONSE                  (stays for wants_many)
 * WAIT_RESPONSE
 * WAIT_RESPONSE  deadline         (end)           TIMEOUT
 *                deadline         QUEUED          STALE (observed before), register again
 * DEFERRED       deadline         ACKED           send Empty ACK            none
 *                resume           (end)           piggybacked response
 * ACKED          resume           WAIT_ACK        separate CON response     first interval
 *                resume           (end)           NON response
 * DEFERRED,      resume           LEISURE         (group requests)          random leisure
 * ACKED
 * LEISURE        deadline         (end)           send
 */
#ifndef CORE_PROTO_EXCHANGE_H
#define CORE_PROTO_EXCHANGE_H

#include "core/proto/ep.h"

/* Takes an exchange with empty links and timers along `path`; NULL, counted, when there is none. */
exchange *exchange_take(copal_ep *ep, const copal_path *path);

/* Unlinks the exchange from everything and gives it back. */
void exchange_give(copal_ep *ep, exchange *x);

/* The handle of an exchange, and back; NULL when it has ended. */
copal_xref exchange_ref(const copal_ep *ep, const exchange *x);
exchange *exchange_at(const copal_ep *ep, copal_xref ref);

/* Links. A token must be set by exchange_set_token() before it is linked. */
void exchange_set_token(exchange *x, copal_span token);
copal_span exchange_token(const exchange *x);
void exchange_link_token(copal_ep *ep, exchange *x);
void exchange_link_mid(copal_ep *ep, exchange *x, uint16_t mid);
void exchange_unlink_mid(copal_ep *ep, exchange *x);

/* A Message ID for a request of the exchange, whose path has that hash. */
uint16_t exchange_draw_mid(copal_ep *ep, const exchange *x, uint32_t path_hash, copal_time now);

/* Gives the kept datagram and the exchange another Message ID. */
void exchange_renew_mid(copal_ep *ep, exchange *x, uint16_t mid);

/* The client exchange that a response along `path` with that token belongs to, or NULL. A request
 * to a group is matched by its token alone. RFC 7252 sections 5.3.2 and 8.2. */
exchange *exchange_find_token(copal_ep *ep, const copal_path *path, copal_span token);

/* The exchange whose message an ACK or RST along `path` with that Message ID means, or NULL.
 * RFC 7252 section 4.4. */
exchange *exchange_find_mid(copal_ep *ep, const copal_path *path, uint16_t mid);

/* Keeps a datagram, giving up old dedup replies when chunks are short. COPAL_ENOSLOT, counted. */
int exchange_keep(copal_ep *ep, exchange *x, copal_span datagram, copal_time now);

/* Enters WAIT_ACK: the kept confirmable message has been sent for the first time.
 * RFC 7252 section 4.2. */
void exchange_start_con(copal_ep *ep, exchange *x, copal_time now);

/* Sends the kept message once more and arms the next interval. Returns false when the schedule is
 * at its end; nothing is sent then. RFC 7252 section 4.2. */
bool exchange_resend(copal_ep *ep, exchange *x, copal_time now);

#endif
