/* SPDX-License-Identifier: Apache-2.0 */
/* Relations that outlive their endpoint: what is told of them, and how they come back. RFC 7641
 * sections 4.1 and 4.5. A build in which nothing outlives takes observe_keep_none.c. */
#ifndef CORE_PROTO_OBSERVE_KEEP_H
#define CORE_PROTO_OBSERVE_KEEP_H

#include "core/proto/observe.h"

/* Tells the subject of a relation what has become of it. */
void observe_tell(copal_ep *ep, const relation *r, copal_relation_event event);

/* True when the registration in `t` would change what has been told of the relation. */
bool observe_is_other(const relation *r, const turn *t);

/* An observer that only waits for its turn after a restoration does so no longer: there is news. */
void observe_hasten(observer *o, copal_time now);

#endif
