/* SPDX-License-Identifier: Apache-2.0 */
/* How many observers are told of a change at once, or asked about when the rights have changed. RFC
 * 7641 section 4.2. A server with many does so in bursts, so that what arrives meanwhile need not
 * wait for all. A build for few takes observe_burst_none.c, which does all in one go. */
#ifndef CORE_PROTO_OBSERVE_BURST_H
#define CORE_PROTO_OBSERVE_BURST_H

#include "core/proto/observe.h"

/* A subject gets its first relation. */
void burst_init(copal_subject *s);

/* A subject has lost a relation; with the last one it may go. */
void burst_shrink(copal_ep *ep, copal_subject *s);

/* All observers of the subject are to be told of a change: those who may be at once are. */
void burst_begin(copal_ep *ep, copal_subject *s, copal_time now);

/* The client of a relation is about to be sent something: when the reviewer may not have come to it
 * yet it is asked now, and the relation is over if it says so. NULL: it is asked about some of
 * those that wait. */
void burst_judge(copal_ep *ep, relation *r, copal_time now);

/* Tells some of those who have not been told yet, and asks about some of those who have not been
 * asked about. */
void burst_go_on(copal_ep *ep, copal_time now);

/* Whether there are any, and burst_go_on() will go on. */
bool burst_is_due(const copal_ep *ep);

#endif
